"""Wrong answers to the exercises of lesson 08, and what the checker must say of each."""

import math

import numpy as np


def own(logits, labels, k):
    return logits[labels == k, k] > 0


WRONG = {
    "1": [
        (lambda logits, labels: np.flatnonzero((logits == 0).all(axis=0)), "over all images"),
        (
            lambda logits, labels: [k for k in range(4) if not (logits[labels == k].argmax(axis=1) == k).any()],
            "look at the answers",
        ),
        (
            lambda logits, labels: [k for k in range(4) if (logits[labels == k, k] == 0).mean() >= 0.5 and k != 2],
            "class 1 is alive",
        ),
        (lambda logits, labels: [k for k in range(4) if own(logits, labels, k).any()], "that are alive"),
        (lambda logits, labels: np.array([not own(logits, labels, k).any() for k in range(4)]), "mask"),
        (lambda logits, labels: [3, 0], "smallest first"),
        (lambda logits, labels: 2, "list of class numbers"),
    ],
    "2": [
        (lambda loss, classes: round(loss * classes / math.log(classes)), "round down"),
        (lambda loss, classes: loss * classes / math.log(classes), "integer"),
        (lambda loss, classes: int(loss // (math.log(10) / 10)), "not always ln 10"),
        (lambda loss, classes: int(loss // math.log(classes)), "divide the unit by 10"),
        (lambda loss, classes: int(loss * classes), "does not lose 1"),
    ],
    "3": [
        (lambda a: (a.mean(axis=0).max(), 0.1), "peak of the mean curve"),
        (lambda a: (a.max(), a.max(axis=1).std(ddof=1)), "best of all seeds"),
        (lambda a: (a.max(axis=0).mean(), 0.1), "maximum over seeds"),
        (lambda a: (a.max(axis=1).mean(), a.max(axis=1).std()), "ddof=1"),
        (lambda a: (a.max(axis=1).mean(), a.max(axis=1).var(ddof=1)), "square root"),
        (lambda a: (a.max(axis=1).mean(), a.max(axis=1).std(ddof=1) / 3**0.5), "standard error of the mean"),
        (lambda a: a.max(axis=1).mean(), "two numbers"),
    ],
}
