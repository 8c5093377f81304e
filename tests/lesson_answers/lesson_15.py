"""Wrong answers to the exercises of lesson 15, and what the checker must say of each."""

import math


def rule(yes, no):
    return lambda low, high: "reproduced" if yes(low, high) else "not reproduced" if no(low, high) else "undecided"


WRONG = {
    "1": [
        (rule(lambda low, high: high > 0, lambda low, high: high < 0), "look at both its ends"),
        (rule(lambda low, high: high < 0, lambda low, high: low > 0), "other way round"),
        (rule(lambda low, high: low >= 0, lambda low, high: high < 0), "holds 0 itself"),
        (rule(lambda low, high: low > 0, lambda low, high: False), "one side, and that decides"),
        (lambda low, high: True, "expected 'reproduced', got True"),
    ],
    "2": [
        (lambda rows, accuracy: max(rows, key=lambda row: row["accuracy"])["iteration"], "place of the maximum"),
        (
            lambda rows, accuracy: next((i for i, row in enumerate(rows) if row["accuracy"] >= accuracy), math.inf),
            "not its iteration",
        ),
        (
            lambda rows, accuracy: next((row["iteration"] for row in rows if row["accuracy"] > accuracy), math.inf),
            "includes equal",
        ),
        (
            lambda rows, accuracy: next(
                (row["iteration"] for row in rows if row["accuracy"] >= accuracy), rows[-1]["iteration"]
            ),
            "no late arrival",
        ),
    ],
    "3": [
        (lambda rate, iterations: 1 - math.exp(-rate * iterations), "dead by then"),
        (lambda rate, iterations: max(0.0, 1 - rate * iterations), "does not mean one certain"),
        (lambda rate, iterations: math.exp(-1) / (iterations * rate) if rate else 1.0, "multiply the survivors"),
        (lambda rate, iterations: rate * iterations * 2, "expected|too large|factor"),
    ],
}
