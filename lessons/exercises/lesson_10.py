"""Checkers of lesson 10: a guarded division, how long until a zero, and a coroner's routine."""

from __future__ import annotations

from typing import Any

import numpy as np

import minidrop as md
from checks import Unanswered, Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """guarded_probability(z)."""
    values = np.array(
        [-3000.0, -7.0, -2.0, -1.0, -0.5, -1e-3, -1e-8, -1e-30, 0.0, 1e-30, 1e-8, 0.5, 4.0],
        dtype="float32",
    )
    z = md.Tensor(values, requires_grad=True)
    p = answer(z)
    if p is None or p is ...:
        raise Unanswered
    if not isinstance(p, md.Tensor):
        raise Wrong(f"expected a tensor, so that a gradient can flow; got {type(p).__name__}")
    if p.shape != z.shape:
        raise Wrong(f"expected shape {z.shape}, got {p.shape}")
    expected = md.functional.drop_probability(values, "beta")
    for value, wanted, came in zip(values, expected, p.data, strict=True):
        if not np.isclose(wanted, came, rtol=1e-4):
            raise Wrong(f"at z = {value:g} the probability is {wanted:.4g}, yours is {came:.4g}")
    if not p.requires_grad:
        raise Wrong(
            "no gradient flows from your result back to z: compute with the tensor, not with its numbers"
        )
    p.backward(np.linspace(0.5, 1.5, len(values), dtype="float32"))
    if not np.isfinite(z.grad).all():
        places = ", ".join(f"{value:g}" for value in values[~np.isfinite(z.grad)])
        raise Wrong(
            f"the gradient is not finite at z = {places}: keep what you divide by away from 0 before you divide"
        )
    slope = np.where(
        (values < -1) & (expected < 0.999), -0.2 / np.minimum(values, -1) ** 2, 0
    ) * np.linspace(0.5, 1.5, len(values))
    slope, got = (
        np.where(values == -1, 0, gradient) for gradient in (slope, z.grad)
    )  # at the corner either side will do
    compare(got, slope, "the gradient")
    return "min(z, -1) is plateau and guard at once: that is how minidrop writes it."


def exercise_2(answer: Any) -> str:
    """steps_until_a_zero(density, added_last, batch, units)."""
    density, added_last, batch, units = 1.9, 0.017, 16, 512
    probability = density * float(np.spacing(np.float32(added_last)))
    right = 1 / (probability * batch * units)
    got = called(answer, density, added_last, batch, units)
    if np.isclose(
        got, 1 / (density * np.spacing(np.float64(added_last)) * batch * units), rtol=1e-3
    ):
        raise Wrong(
            "that is the spacing of float64: training computes in float32, `np.spacing(np.float32(...))`"
        )
    hints = {
        batch: "a step draws batch times units values",
        units: "a step draws batch times units values",
        batch * units: "that counts values of z, not steps",
    }
    if np.isclose(got, probability * batch * units, rtol=1e-3):
        raise Wrong("that is how many zeros a step brings: the steps until one are the inverse")
    compare(got, right, "the number of steps", hints, rtol=1e-3)
    return f"About {right:,.0f} steps for a small network whose biases are of the size 0.017."


def exercise_3(answer: Any) -> str:
    """diagnose(weights, logits)."""
    rng = np.random.default_rng(0)
    healthy = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    sick = [healthy[0].copy(), healthy[1]]
    sick[0][1, 2] = np.nan
    overflowed = [healthy[0], np.array([1.0, np.inf, 0.0, 2.0])]
    logits = np.maximum(rng.normal(size=(5, 10)), 0)
    one_row_dead = logits.copy()
    one_row_dead[2] = 0
    zeros = np.zeros((5, 10))
    cases = [
        ("finite weights, ordinary logits", healthy, logits, "alive"),
        ("finite weights, all logits 0", healthy, zeros, "dead logits"),
        ("one NaN among the weights, all logits 0 (a ReLU swallowed it)", sick, zeros, "nan"),
        ("one NaN among the weights, logits NaN", sick, zeros * np.nan, "nan"),
        ("an infinite weight", overflowed, logits, "nan"),
        ("one image of five whose logits are all 0", healthy, one_row_dead, "alive"),
    ]
    for what, weights, values, right in cases:
        got = called(answer, weights, values)
        if got != right:
            raise Wrong(f"{what}: expected {right!r}, got {got!r}")
    return "The weights come first: dead logits and swallowed NaN look the same from outside."
