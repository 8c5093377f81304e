"""Checkers of lesson 08: lost classes, seen in the logits and in the loss, and a row of the table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """classes_lost(logits, labels)."""
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    logits = np.zeros((8, 4))
    logits[2:4, 1] = [0.0, 1.5]  # class 1: one of its two images is enough
    logits[4:6, 3] = 2.0  # class 3: above 0, but for images of class 2 alone
    logits[4, 2] = 0.5  # class 2: alive, though its images are taken for class 3
    expected = [0, 3]  # 0 is right by argmax: its images have four zeros
    got = called(answer, logits, labels)
    if isinstance(got, np.ndarray) and got.dtype == bool:
        raise Wrong(
            "expected a list of class numbers such as [0, 3], got a mask: see np.flatnonzero"
        )
    try:
        got = [int(k) for k in got]
    except (TypeError, ValueError):
        raise Wrong(f"expected a list of class numbers, got {got!r}") from None
    if got == [0]:
        raise Wrong(
            "you look at a class's logit over all images: class 3 is above 0 for images of class 2, and for none of its own"
        )
    if got == [2, 3]:
        raise Wrong(
            "you look at the answers: class 0 is 'right' because argmax of zeros is 0; class 2 is alive, if not yet right"
        )
    if got == [0, 1, 3]:
        raise Wrong(
            "class 1 is alive: one image above 0 sends a gradient; ask for none of its images, not for some"
        )
    if sorted(got) == expected and got != expected:
        raise Wrong("the right classes, smallest first please")
    if sorted(got) == [1, 2]:
        raise Wrong("these are the classes that are alive: return the others")
    if got != expected:
        raise Wrong(f"expected {expected}, got {got}")
    return (
        "Class 0 is in the list although every one of its images is counted as right. "
        "That is how accuracy hides a lost class."
    )


def exercise_2(answer: Any) -> str:
    """count_lost(loss, classes)."""
    for classes, lost, healthy in (
        (10, 3, 0.05),
        (10, 0, 0.2),
        (10, 1, 0.04),
        (100, 7, 0.03),
        (2, 1, 0.1),
    ):
        loss = lost * math.log(classes) / classes + healthy
        got = called(answer, loss, classes)
        if not isinstance(got, (int, np.integer)):
            raise Wrong(
                f"expected an integer, got {got!r}: only whole units are lost classes, the rest is ordinary loss"
            )
        if got == lost:
            continue
        where = f"for a loss of {loss:.4f} and {classes} classes: expected {lost}, got {got}"
        if got == round(loss * classes / math.log(classes)):
            raise Wrong(
                f"{where}. Rounding counts a healthy loss of more than half a unit as a class: round down"
            )
        if got == int(loss // (math.log(10) / 10)):
            raise Wrong(f"{where}. The unit is ln(classes) / classes, not always ln 10 / 10")
        if got == int(loss // math.log(classes)):
            raise Wrong(
                f"{where}. Only one image in {classes} is of a lost class: divide the unit by {classes}"
            )
        if got == int(loss * classes):
            raise Wrong(f"{where}. An image of a lost class does not lose 1 but ln({classes})")
        raise Wrong(where)
    return "With 100 classes a lost one costs a hundredth of the accuracy, and could pass for noise. The loss still tells."


def exercise_3(answer: Any) -> str:
    """peak_and_spread(accuracies)."""
    accuracies = np.array([[0.5, 0.9, 0.8, 0.85], [0.6, 0.7, 0.95, 0.9], [0.55, 0.6, 0.58, 0.57]])
    got = called(answer, accuracies)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"expected two numbers, `(mean, spread)`, got {got!r}")
    peaks = accuracies.max(axis=1)
    if np.isclose(got[0], accuracies.mean(axis=0).max()):
        raise Wrong(
            "the mean: that is the peak of the mean curve; take each seed's peak first, then the mean"
        )
    if np.isclose(got[0], accuracies.max()):
        raise Wrong("the mean: that is the best of all seeds; take each seed's peak, then the mean")
    if np.isclose(got[0], accuracies.max(axis=0).mean()):
        raise Wrong(
            "the mean: you took the maximum over seeds; the evaluations are along the last axis"
        )
    compare(got[0], peaks.mean(), "the mean")
    if np.isclose(got[1], peaks.std()):
        raise Wrong(
            "the spread: divided by the number of seeds; as a sample's, divide by one less (ddof=1)"
        )
    if np.isclose(got[1], peaks.var(ddof=1)):
        raise Wrong("the spread: that is the variance; take its square root")
    if np.isclose(got[1], peaks.std(ddof=1) / np.sqrt(len(peaks))):
        raise Wrong(
            "the spread: that is the standard error of the mean; the question is how far single seeds lie apart"
        )
    compare(got[1], peaks.std(ddof=1), "the spread")
    return "One seed of these three hangs behind, and the spread says so; the mean alone would not."
