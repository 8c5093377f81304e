"""Checkers of lesson 12: paired differences, a sign-flip test, and how many seeds it needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """paired(a, b)."""
    a, b = np.array([0.70, 0.66, 0.73, 0.69]), np.array([0.68, 0.65, 0.70, 0.69])
    d = a - b
    got = called(answer, a, b)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"expected two numbers, `(mean, standard error)`, got {got!r}")
    compare(got[0], d.mean(), "the mean")
    error = d.std(ddof=1) / 2
    if np.isclose(got[1], math.hypot(a.std(ddof=1), b.std(ddof=1)) / 2):
        raise Wrong(
            "the error: that is for unpaired runs, and here four times too large; take the differences first"
        )
    if np.isclose(got[1], d.std(ddof=1)):
        raise Wrong(
            "the error: that is the scatter of single differences; their mean scatters less"
        )
    if np.isclose(got[1], d.std() / 2):
        raise Wrong("the error: as a sample's, the standard deviation is divided by n - 1 (ddof=1)")
    if np.isclose(got[1], d.std(ddof=1) / 4):
        raise Wrong(
            "the error: divide by the square root of the number of seeds, not by the number"
        )
    compare(got[1], error, "the error")
    return "Seeds move both networks by several points here, and the difference by one: pairing takes out what they share."


def exercise_2(answer: Any) -> str:
    """sign_flip_p(differences)."""
    d = np.array(
        [0.02, 0.01, 0.03, -0.005]
    )  # as far from 0 or further: ++++, +++-, and their mirror images
    got = called(answer, d)
    if np.isclose(got, 2 / 16):
        raise Wrong(
            "differences .02, .01, .03, -.005: you count one side, or leave out the observed pattern; all of them count"
        )
    if np.isclose(got, 6 / 16):
        raise Wrong(
            "differences .02, .01, .03, -.005: expected 4 of 16; do you count signs instead of comparing means?"
        )
    if np.isclose(got, 4):
        raise Wrong("that is how many patterns: divide by their number, 2 to the power of n")
    compare(got, 4 / 16, "differences .02, .01, .03, -.005")
    compare(called(answer, -d), 4 / 16, "the same with all signs turned, two-sided")
    got = called(answer, np.array([0.1, 0.2, 0.3]))
    if np.isclose(got, 0):
        raise Wrong(
            "all differences positive: a p of 0 would mean impossible; the observed pattern itself is one of the 8"
        )
    compare(got, 2 / 8, "three positive differences")
    got = called(answer, np.array([0.3, 0.1, -0.2]))
    compare(
        got,
        6 / 8,
        "differences .3, .1, -.2, where rounding decides on ties unless you allow for it",
    )
    return "Ties deserve the care: a sum that should be equal may differ in its last bit, and the count with it."


def exercise_3(answer: Any) -> str:
    """seeds_needed(level)."""
    for level, expected in ((0.05, 6), (0.01, 8), (0.25, 3), (0.001, 11), (1.0, 1)):
        got = called(answer, level)
        if got == expected:
            continue
        where = f"level {level:g}: expected {expected}, got {got}"
        if isinstance(got, float) and math.isclose(got, 1 - math.log2(level)):
            raise Wrong(f"{where}. Seeds come whole: round up")
        if got == max(1, math.ceil(-math.log2(level))):
            raise Wrong(
                f"{where}. One-sided, or rounded down: of the 2^n patterns *two* are the most extreme"
            )
        if level == 0.25 and got == 4:
            raise Wrong(f"{where}. 2 of 8 is exactly a quarter, and 'at most' includes it")
        raise Wrong(where)
    return "Five seeds, the usual number in the field, are one too few for this test at .05."
