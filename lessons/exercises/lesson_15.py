"""Checkers of lesson 15: a verdict from an interval, iterations to a fixed accuracy, how long a run lives."""

from __future__ import annotations

import math
from typing import Any

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """verdict(low, high)."""
    for (low, high), expected in (
        ((0.01, 0.03), "reproduced"),
        ((-0.03, -0.01), "not reproduced"),
        ((-0.01, 0.03), "undecided"),
        ((0.0, 0.02), "undecided"),
        ((-math.inf, math.inf), "undecided"),
    ):
        got = called(answer, low, high)
        if got == expected:
            continue
        where = f"from {low:g} to {high:g}: expected {expected!r}, got {got!r}"
        if low == 0:
            raise Wrong(f"{where}. An interval that holds 0 itself has not left it behind")
        if {got, expected} == {"reproduced", "not reproduced"}:
            raise Wrong(f"{where}. The claim says above 0; you have it the other way round")
        if expected == "undecided":
            raise Wrong(f"{where}. The interval reaches over both sides: look at both its ends")
        if got == "undecided":
            raise Wrong(f"{where}. All of it lies on one side, and that decides")
        raise Wrong(where)
    return "An interval that is infinite, as of a single seed, decides nothing, and your rule knows it."


def exercise_2(answer: Any) -> str:
    """reaches(rows, accuracy)."""
    rows = [
        {"iteration": 1000 * (index + 1), "accuracy": accuracy}
        for index, accuracy in enumerate((0.3, 0.5, 0.62, 0.58, 0.7))
    ]
    got = called(answer, rows, 0.6)
    if got == 5000:
        raise Wrong("to .6: expected 3000, got 5000, the place of the maximum (or the last row)")
    if got in (2, 3):
        raise Wrong(f"to .6: expected 3000, got {got}: that is the row's place, not its iteration")
    compare(got, 3000, "to .6")
    got = called(answer, rows, 0.5)
    if got == 3000:
        raise Wrong("to .5: expected 2000, got 3000: 'at least' includes equal")
    compare(got, 2000, "to .5")
    got = called(answer, rows, 0.9)
    if got != math.inf:
        raise Wrong(
            f"to .9, which no row has: expected inf, got {got!r}; a run that never got there is no late arrival"
        )
    return "With inf a mean over seeds is infinite if one never gets there; leave such seeds out only if you say so."


def exercise_3(answer: Any) -> str:
    """alive(rate, iterations)."""
    got = called(answer, 1 / 50_000, 50_000)
    if math.isclose(got, 1 - math.exp(-1)):
        raise Wrong("that is the probability to be dead by then")
    if math.isclose(got, 0, abs_tol=1e-12):
        raise Wrong(
            "one zero expected does not mean one certain: the count scatters, and e^-1 of all runs meet none"
        )
    compare(got, math.exp(-1), "a rate of one in 50,000, after 50,000 iterations")
    got = called(answer, 1 / 50_000, 150_000)
    if math.isclose(got, math.exp(-1) / 3, rel_tol=1e-3):
        raise Wrong("after 150,000: each further 50,000 multiply the survivors by e^-1 again")
    compare(got, math.exp(-3), "after 150,000")
    compare(called(answer, 0.0, 10_000), 1.0, "a rate of 0")
    return "The published MNIST run lived for 150,000 iterations: at a third of a zero, that is no wonder."
