"""A small dataset that can be learned, made here: no file, no network, no scikit-learn."""

from __future__ import annotations

import numpy as np

from minidrop.datasets import Dataset

CLASSES = tuple("0123456789")


def make(count=200, shape=(1, 8, 8), seed=0, split="train", name="small"):
    """Ten fixed patterns and noise: labels can be learned, images differ."""
    patterns = np.random.default_rng(7).integers(0, 200, (10, *shape))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = (patterns[labels] + rng.integers(0, 56, (count, *shape))).astype(np.uint8)
    return Dataset(images, labels.astype(np.int64), CLASSES, name, split, "Small")


def pair():
    """(train, test)."""
    return make(200, seed=0), make(60, seed=1, split="test")
