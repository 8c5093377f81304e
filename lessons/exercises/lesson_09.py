"""Checkers of lesson 09: when a run gets somewhere, how far it was by then, and when it crashed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks import Wrong, called, compare

ITERATIONS = np.array([1000, 2000, 3000, 4000, 5000])
ACCURACIES = np.array([0.30, 0.55, 0.52, 0.60, 0.58])


def exercise_1(answer: Any) -> str:
    """first_reaching(iterations, accuracies, level)."""
    got = called(answer, ITERATIONS, ACCURACIES, 0.54)
    if got == 1:
        raise Wrong("that is the position of the evaluation: return its iteration")
    if got == 4000:
        raise Wrong("it was above the level at 2,000 already: a later fall does not undo that")
    if got == 5000:
        raise Wrong("that is the last evaluation above the level: return the first")
    compare(got, 2000, "level .54")
    if called(answer, ITERATIONS, ACCURACIES, 0.60) != 4000:
        raise Wrong(
            "level .60, which the evaluation at 4,000 reaches exactly: 'at or above' includes it"
        )
    never = called(answer, ITERATIONS, ACCURACIES, 0.9)
    if never == 1000:
        raise Wrong(
            "level .90 is never reached, and you say 1,000: argmax of a mask without a True in it is 0"
        )
    if never != math.inf:
        raise Wrong(f"level .90 is never reached: expected math.inf, got {never!r}")
    return "An infinity keeps order: a run that never gets there is later than any that does. Just do not take a mean of it."


def exercise_2(answer: Any) -> str:
    """best_by(iterations, accuracies, limit)."""
    got = called(answer, ITERATIONS, ACCURACIES, 3000)
    if np.isclose(got, 0.52):
        raise Wrong("that is the evaluation at the limit: a better one came before it")
    if np.isclose(got, 0.60):
        raise Wrong("that is the best of all: leave out what comes after the limit")
    compare(got, 0.55, "limit 3,000")
    got = called(answer, ITERATIONS, ACCURACIES, 4000)
    if np.isclose(got, 0.55):
        raise Wrong("limit 4,000: the evaluation at the limit itself counts too")
    compare(got, 0.60, "limit 4,000")
    compare(
        called(answer, ITERATIONS, ACCURACIES, 3999), 0.55, "limit 3,999, between two evaluations"
    )
    return "The paper compares like this, at 42,000. It is still a maximum of many: lesson 12."


def exercise_3(answer: Any) -> str:
    """crashed_at(before, after, mean, end, every)."""
    before, after, mean, end, every = (
        0.5,
        2.3,
        1.4,
        8000,
        1000,
    )  # half of the stretch before the crash, half after it
    got = called(answer, before, after, mean, end, every)
    if np.isclose(got, 500):
        raise Wrong(
            "that is how many iterations of the stretch were spent crashed: count back from its end"
        )
    compare(got, 7500, "before .5, after 2.3, mean 1.4")
    got = called(answer, 0.5, 2.3, 1.85, end, every)  # a quarter before, three quarters after
    if np.isclose(got, 7750):
        raise Wrong(
            "a mean close to `after` means that it crashed early in the stretch; you have it late"
        )
    if np.isclose(got, end - every * 1.85 / 2.3):
        raise Wrong(
            "you divide by `after`: the loss before the crash is not 0, so measure both from `before`"
        )
    compare(got, 7250, "before .5, after 2.3, mean 1.85")
    compare(
        called(answer, 0.5, 2.3, 1.85, 4000, 500),
        3625,
        "rows every 500 iterations",
        {2: "use `every`"},
    )
    return (
        "With .51, ln 10, 1.78 and 55,000 it says about 54,290. A spike before it would have moved this: "
        "the assumption is that there was none."
    )
