"""Checkers of lesson 07: the scatter of a scaled unit, a gradient without bias, a distribution made to measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """scaled_spread(z, k)."""
    z = np.array([-4.0, -2.5, -1.0, -0.3, 0.0, 1.5])
    k = np.array([0.05, 0.08, 0.2, 0.2, 1.0, 1.0])
    got = np.asarray(called(answer, z, k), dtype="float64")
    variance = z**2 * (1 - k) / k
    mistakes = [
        (variance, "that is the variance: take its square root"),
        (
            np.abs(z) * np.sqrt(k * (1 - k)),
            "that is the unscaled unit: what is kept is divided by k as well",
        ),
        (
            np.sqrt((1 - k) / k),
            "that is the scatter of theta / k: it is still to be multiplied by |z|",
        ),
        (z * np.sqrt((1 - k) / k), "a standard deviation is never negative: take |z|"),
        (np.abs(z) / np.sqrt(k), "that is the root of E[y²]: subtract the squared mean, z², first"),
        (
            np.abs(z) / k * np.sqrt(k),
            "that is the root of E[y²]: subtract the squared mean, z², first",
        ),
        (
            np.abs(z) * (1 - k) / k,
            "the variance of theta is k (1 - k), and the root of all of it is taken",
        ),
    ]
    _known_mistakes(got, np.sqrt(variance), mistakes)
    compare(got, np.sqrt(variance), "the standard deviation")
    return "At z = -4 it is 17, four times the mean. The unscaled unit scatters by 0.87 there."


def exercise_2(answer: Any) -> str:
    """mended_backward(z, theta, k, dk_dz, grad)."""
    z = np.array([-4.0, -2.0, -0.9, -0.5, -0.2, 1.0])
    k = np.array([0.05, 0.1, 0.28, 0.6, 0.84, 1.0])
    dk_dz = np.array([0.0125, 0.05, 0.8, 0.8, 0.8, 0.0])
    grad = np.array([1.0, -2.0, 0.7, 3.0, -0.5, 2.0])
    kept = np.asarray(called(answer, z, np.ones_like(z), k, dk_dz, grad), dtype="float64")
    dropped = np.asarray(called(answer, z, np.zeros_like(z), k, dk_dz, grad), dtype="float64")
    if kept.shape != z.shape or dropped.shape != z.shape:
        raise Wrong(f"expected a gradient of shape {z.shape}, got {kept.shape}")
    if dropped.any():
        if np.allclose(kept, dropped):
            raise Wrong(
                "that does not use theta: a dropped unit shall get 0, and a kept one more to make up for it"
            )
        raise Wrong("a dropped unit (theta = 0) shall get exactly 0: multiply by theta")
    right = grad * (1 + z * dk_dz / k)
    mistakes = [
        (
            grad,
            "that is the fixed mask's gradient, the biased one: its mean is k, and the term with k' is missing",
        ),
        (
            grad * (k + z * dk_dz),
            "the true slope, but only for kept units, so its mean is k times that: divide by k",
        ),
        (
            grad * (1 + z * dk_dz),
            "the term with k' is seen only by kept units, k of all: divide it by k",
        ),
        (
            grad * (1 - z * dk_dz / k),
            "the sign of the second term: you are given dk/dz, and k' = -p'",
        ),
        (1 + z * dk_dz / k, "multiply by the upstream gradient, `grad`"),
        (grad / k, "that is the gradient of the scaled layer, detached"),
    ]
    _known_mistakes(kept, right, mistakes)
    compare(k * kept, grad * (k + z * dk_dz), "the mean over theta")
    return (
        "The mean is true now. In a network `grad` depends on theta too, so this is exact only where the loss is linear in y. "
        "And for beta below -1 it is always 0: the truth about a flat mean is that nothing pulls."
    )


def exercise_3(answer: Any) -> str:
    """p_elu(z)."""
    z = np.array([-30.0, -5.0, -2.0, -1.0, -0.5, -0.01, 0.0, 0.5, 3.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        got = np.asarray(called(answer, z), dtype="float64")
    if got.shape != z.shape:
        raise Wrong(f"expected one probability for each z, shape {z.shape}, got {got.shape}")
    if not np.isfinite(got).all():
        place = z[~np.isfinite(got)][0]
        raise Wrong(
            f"at z = {place:g} your p is {got[~np.isfinite(got)][0]}: divide only where z < 0 (np.where computes both sides)"
        )
    right = np.zeros_like(z)
    right[z < 0] = 1 - np.expm1(z[z < 0]) / z[z < 0]
    below = z < 0
    if np.allclose(got[below], 1 - right[below], atol=1e-4):
        raise Wrong("below 0 that is k, the probability to keep: p = 1 - k")
    if np.allclose(got[below], 1 - np.exp(z[below]), atol=1e-4):
        raise Wrong(
            "below 0 your mean output is z e^z: the mean is z k, so divide the ELU by z to get k"
        )
    if (got < -1e-9).any() or (got > 1 + 1e-9).any():
        place = int(np.argmax((got < -1e-9) | (got > 1 + 1e-9)))
        raise Wrong(
            f"at z = {z[place]:g} your p is {got[place]:.3g}: a probability lies between 0 and 1"
        )
    if np.allclose(got[below], right[below], atol=1e-6) and np.any(got[~below]):
        raise Wrong("for z >= 0 the mean is to be z itself: nothing may be dropped there")
    means = z * (1 - got)
    compare(means, z * (1 - right), "the mean output z (1 - p)", rtol=1e-3)
    return "Any mean between z and 0 can be made to measure: k = mean / z. Lesson 14 trains such a network."


def _known_mistakes(got: Any, right: Any, mistakes: list[tuple[Any, str]]) -> None:
    """Raise Wrong for an answer that is one of `mistakes` and not `right`."""
    if got.shape != right.shape or np.allclose(got, right, rtol=1e-4, atol=1e-6):
        return
    for wrong, hint in mistakes:
        if np.allclose(got, wrong, rtol=1e-4, atol=1e-6):
            raise Wrong(hint)
