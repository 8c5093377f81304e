"""Checkers of lesson 14: a distribution whose expectation is tanh, its derivative, and where beta's clip sets in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks import Wrong, called, compare

POINTS = np.array([-6.0, -2.0, -0.7, -0.01, 0.01, 0.5, 1.5, 8.0])


def _safe(function: Any, z: Any) -> Any:
    """What the reader's function gives, with NumPy's warnings off: a NaN is reported as such."""
    with np.errstate(all="ignore"):
        return called(function, z)


def exercise_1(answer: Any) -> str:
    """drop_probability(z)."""
    keep = np.tanh(POINTS) / POINTS
    got = _safe(answer, POINTS)
    if np.shape(got) == POINTS.shape:
        if np.allclose(got, keep):
            raise Wrong("that is k(z), the probability to keep: p(z) = 1 - k(z)")
        if np.allclose(got, np.tanh(POINTS)) or np.allclose(got, 1 - np.tanh(POINTS)):
            raise Wrong("tanh is the expectation z k(z), not the probability: divide by z")
        if np.allclose(got, np.where(POINTS < 0, 1 - keep, 0)):
            raise Wrong(
                "right below 0. Above 0 tanh z is less than z, too: there must be dropping on both sides"
            )
    compare(got, 1 - keep, "p(z)")
    at_zero = np.asarray(_safe(answer, np.array([0.0, 1.0])), dtype="float64")
    if not np.isfinite(at_zero[0]):
        raise Wrong(
            "right, but at z = 0 you divide 0 by 0, and p is NaN: put a guard there (tanh z / z tends to 1)"
        )
    compare(at_zero[0], 0.0, "p(0)")
    return "A unit that is dropped the more often the larger it is, whatever its sign: on average it saturates like tanh."


def exercise_2(answer: Any) -> str:
    """derivative(z)."""
    tanh = np.tanh(POINTS)
    slope = -((1 - tanh**2) * POINTS - tanh) / POINTS**2
    got = _safe(answer, POINTS)
    if np.shape(got) == POINTS.shape:
        if np.allclose(got, -slope):
            raise Wrong("the sign is wrong: that is k'(z), and p = 1 - k")
        if np.allclose(got, -(1 - tanh**2) / POINTS) or np.allclose(got, (1 - tanh**2) / POINTS):
            raise Wrong(
                "you held the z in the denominator constant: the quotient rule has a second part, -tanh z / z²"
            )
        if np.allclose(got, slope * POINTS**2):
            raise Wrong("the quotient rule divides by z²")
        if np.allclose(got, 1 - tanh**2):
            raise Wrong(
                "that is the derivative of tanh itself: p(z) = 1 - tanh z / z is a quotient"
            )
    compare(got, slope, "p'(z)", rtol=1e-3)
    at_zero = np.asarray(_safe(answer, np.array([0.0, 1.0])), dtype="float64")
    if not np.isfinite(at_zero[0]):
        raise Wrong(
            "right, but at z = 0 it is NaN: put a guard there (p is smallest at 0, so its slope there is 0)"
        )
    compare(at_zero[0], 0.0, "p'(0)")
    return "gradcheck would have told you all of that, but for the NaN at 0."


def exercise_3(answer: Any) -> str:
    """clip_sets_in(c, p_max)."""
    for c, p_max in ((0.2, 0.999), (0.2, 0.95), (0.5, 0.9)):
        got = called(answer, c, p_max)
        expected = -c / (1 - p_max)
        if math.isclose(got, -expected, rel_tol=1e-6):
            raise Wrong(
                f"for c = {c}, p_max = {p_max}: beta drops negative inputs only, so the place has a minus sign"
            )
        if math.isclose(got, -(1 - p_max) / c, rel_tol=1e-6):
            raise Wrong(f"for c = {c}, p_max = {p_max}: upside down: solve 1 + c / z = p_max for z")
        compare(got, expected, f"for c = {c}, p_max = {p_max}")
    got = called(answer, 0.2, 0.5)
    if math.isclose(got, -0.4, rel_tol=1e-6):
        raise Wrong(
            "for c = 0.2, p_max = 0.5: above -1 the formula is not 1 + c / z but the plateau 1 - c, and it is clipped too"
        )
    if math.isclose(got, -1):
        raise Wrong(
            "for c = 0.2, p_max = 0.5: the plateau, from -1 to 0, is clipped as well: the clip sets in at 0"
        )
    compare(got, 0.0, "for c = 0.2, p_max = 0.5")
    try:
        got = called(answer, 0.2, 1.0)
    except ZeroDivisionError:
        raise Wrong(
            "for p_max = 1 you divide by 0: nothing is ever clipped, the place is minus infinity"
        ) from None
    if got != -math.inf:
        raise Wrong(f"for p_max = 1 nothing is ever clipped: expected minus infinity, got {got!r}")
    return "With the paper's c and .999 that is -200: on these networks p_max is never reached."
