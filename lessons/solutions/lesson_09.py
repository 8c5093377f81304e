"""Solutions of lesson 09. ANSWERS says which is which."""

import math


def first_reaching(iterations, accuracies, level):
    """The first that qualifies; infinity where none does."""
    return next(
        (int(i) for i, accuracy in zip(iterations, accuracies, strict=True) if accuracy >= level),
        math.inf,
    )


def best_by(iterations, accuracies, limit):
    """A maximum over the evaluations that had happened."""
    return accuracies[iterations <= limit].max()


def crashed_at(before, after, mean, end, every):
    """mean = before + share * (after - before), and the share of the stretch lies at its end."""
    share = (mean - before) / (after - before)
    return end - share * every


ANSWERS = {"1": first_reaching, "2": best_by, "3": crashed_at}
