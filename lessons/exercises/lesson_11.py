"""Checkers of lesson 11: mean logits, a predicted gap, a distribution without one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """mean_logits(z, k, weight, bias, scaled)."""
    random = np.random.default_rng(3)
    z = random.normal(size=(5, 4)) * 2
    k = 0.1 + 0.8 * random.random(size=(5, 4))
    weight, bias = random.normal(size=(4, 3)), random.normal(size=3)
    plain, weighted = z @ weight + bias, (z * k) @ weight + bias
    got = {
        scaled: np.asarray(called(answer, z, k, weight, bias, scaled), dtype="float64")
        for scaled in (False, True)
    }
    for scaled, right in ((False, weighted), (True, plain)):
        name = "scaled" if scaled else "unscaled"
        mine = got[scaled]
        if mine.shape == right.shape and not np.allclose(mine, right):
            if np.allclose(mine, plain):
                raise Wrong(
                    "unscaled: that is the identity, as published; on average a unit puts out z k, not z"
                )
            if np.allclose(mine, weighted):
                raise Wrong(
                    "scaled: what is kept was divided by k in training, so the mean is z already"
                )
            if np.allclose(mine, (z / k) @ weight + bias):
                raise Wrong(
                    f"{name}: z / k is what a unit puts out if it is kept; the mean counts the dropped ones too"
                )
            if np.allclose(mine, right - bias):
                raise Wrong(f"{name}: the bias is missing")
            if np.allclose(mine, (z * k.mean()) @ weight + bias) or np.allclose(
                mine, k.mean() * plain
            ):
                raise Wrong(f"{name}: k belongs to each unit; its average over units is not enough")
        compare(mine, right, name)
    return "One random layer and a linear one after it: this mean is exact, whatever k is."


def exercise_2(answer: Any) -> str:
    """predicted_gap(z1, k1, weights, curvature)."""
    random = np.random.default_rng(5)
    z1 = np.array([-0.4, 0.3, -0.2, 0.5, -0.1, -0.3])
    k1 = np.where(z1 < 0, 1 + 0.8 * z1, 1.0)
    weights = random.normal(size=(6, 4)) / 4

    def curvature(z: Any) -> Any:
        return 1.6 + 0.5 * np.asarray(z)  # anything that depends on where it is asked

    mean = (z1 * k1) @ weights
    own = z1**2 * k1 * (1 - k1)
    right = 0.5 * curvature(mean) * (own @ weights**2)
    got = np.asarray(called(answer, z1, k1, weights, curvature), dtype="float64")
    here, squared = curvature(mean) / 2, weights**2
    mistakes = [
        (2 * right, "the Taylor series has a 1/2 in front of the second derivative"),
        (here * (own @ weights), "the variance of w h is w² times that of h: square the weights"),
        (
            here * np.sqrt(own @ squared),
            "that is the standard deviation: the gap goes with the variance",
        ),
        (
            curvature(z1 @ weights) / 2 * (own @ squared),
            "the curvature is taken at the mean of z2: (z1 k1) @ weights",
        ),
        (
            here * ((k1 * (1 - k1)) @ squared),
            "k (1 - k) is the variance of the coin; z1 theta has z1² times that",
        ),
        (
            here * ((z1**2 * k1) @ squared),
            "that is E[h²]; the variance is E[h²] less the squared mean: z1² k (1 - k)",
        ),
        (here * ((z1**2 * (1 - k1) / k1) @ squared), "that is the variance of the scaled layer"),
        (own @ squared / 2, "multiply by the curvature"),
    ]
    if got.shape == right.shape and not np.allclose(got, right):
        for wrong, hint in mistakes:
            if np.allclose(got, wrong):
                raise Wrong(hint)
    compare(got, right, "the gap")
    return (
        "No masks were listed, and it works for a thousand units. It fails where g has a corner (beta at 0 and -1): there g'' "
        "is 0 nearly everywhere and infinite in between."
    )


def exercise_3(answer: Any) -> str:
    """p_straight(z)."""
    z = np.linspace(-6, 6, 241)
    p = np.broadcast_to(np.asarray(called(answer, z), dtype="float64"), z.shape)
    if not np.isfinite(p).all() or (p < 0).any() or (p > 1).any():
        raise Wrong(
            "a probability lies between 0 and 1; yours does not for some z between -6 and 6"
        )
    if not p.any():
        raise Wrong("that drops nothing: expectation-linear, but there are no coins any more")
    if (p == 1).all():
        raise Wrong("that drops everything: the output is always 0")
    gap = two_layer_gap(answer)
    if gap > 1e-9:
        g = z * (1 - p)
        below, above = np.ptp(p[z < -1e-9]) < 1e-9, np.ptp(p[z > 1e-9]) < 1e-9
        if below and above:
            raise Wrong(
                f"the gap is {gap:.1%}: each side is straight, but g(z) = z (1 - p) has a corner at 0, as a leaky ReLU has"
            )
        place = z[1:-1][np.abs(np.diff(g, 2)).argmax()]
        raise Wrong(
            f"the gap is {gap:.1%}: g(z) = z (1 - p) is bent, most at z = {place:.2g}; for which p is it a straight line?"
        )
    return "A constant: ordinary dropout without an activation function. Its mean network is linear: that is the price."


def two_layer_gap(p: Any) -> float:
    """The relative gap of two unscaled layers of drop probability p: exact mean against one pass."""
    random = np.random.default_rng(0)
    masks = np.array(list(itertools.product((0.0, 1.0), repeat=8)))
    first, second = random.normal(size=(6, 8)), random.normal(size=(8, 5)) / 2
    z1 = random.normal(size=(20, 6)) @ first
    k1 = 1 - np.broadcast_to(p(z1.copy()), z1.shape)
    chance = np.where(masks == 1, k1[:, None], 1 - k1[:, None]).prod(axis=2)  # (20, 256)
    z2 = (z1[:, None] * masks) @ second
    exact = (chance[..., None] * z2 * (1 - np.asarray(p(z2.copy())))).sum(axis=1)
    mean = (z1 * k1) @ second
    one_pass = mean * (1 - np.asarray(p(mean.copy())))
    return float(np.sqrt(((exact - one_pass) ** 2).mean() / max((exact**2).mean(), 1e-30)))
