"""Wrong answers to the exercises of lesson 12, and what the checker must say of each."""

import itertools
import math

import numpy as np


def share(d, count):
    """The share of sign patterns for which count(mean of the pattern, observed mean) is true."""
    patterns = np.array(list(itertools.product((1, -1), repeat=len(d))))
    means = (patterns * np.abs(d)).mean(axis=1)
    return np.mean(count(means, d.mean()))


def error_of(d, divisor):
    return d.mean(), d.std(ddof=1) / divisor


WRONG = {
    "1": [
        (lambda a, b: ((a - b).mean(), math.hypot(a.std(ddof=1), b.std(ddof=1)) / 2), "unpaired"),
        (lambda a, b: error_of(a - b, 1), "scatter of single differences"),
        (lambda a, b: error_of(a - b, 4), "square root of the number"),
        (lambda a, b: ((a - b).mean(), (a - b).std() / 2), "ddof=1"),
        (lambda a, b: error_of(b - a, 2), "sign is wrong"),
        (lambda a, b: (a - b).mean(), "two numbers"),
    ],
    "2": [
        (lambda d: share(d, lambda means, seen: means >= seen - 1e-12), "one side"),
        (lambda d: share(d, lambda means, seen: abs(means) > abs(seen) + 1e-12), "leave out the observed pattern"),
        (lambda d: share(d, lambda means, seen: abs(means) >= abs(seen) - 1e-12) * 2 ** len(d), "divide by their number"),
        (lambda d: share(d, lambda means, seen: abs(means) >= 0.01), "comparing means|too large"),
        (lambda d: 0.25 if len(d) == 4 else 0.0, "p of 0"),
    ],
    "3": [
        (lambda level: max(1, math.ceil(-math.log2(level))), "One-sided"),
        (lambda level: 1 - math.log2(level), "round up"),
        (lambda level: math.floor(1 - math.log2(level)), "rounded down"),
        (lambda level: next(n for n in range(1, 60) if 2 / 2**n < level), "exactly a quarter"),
        (lambda level: round(1 / level), "expected 6"),
    ],
}
