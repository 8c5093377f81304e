"""Solutions of lesson 08. ANSWERS says which is which."""

import math

import numpy as np


def classes_lost(logits, labels):
    """For each class its own column, and in it the rows of its own images."""
    return [k for k in range(logits.shape[1]) if not (logits[labels == k, k] > 0).any()]


def count_lost(loss, classes):
    """An image of a lost class has the loss ln(classes), and one image in `classes` is of it."""
    return int(loss // (math.log(classes) / classes))


def peak_and_spread(accuracies):
    """Peaks first, then mean and spread over seeds."""
    peaks = accuracies.max(axis=1)
    return peaks.mean(), np.std(peaks, ddof=1)


ANSWERS = {"1": classes_lost, "2": count_lost, "3": peak_and_spread}
