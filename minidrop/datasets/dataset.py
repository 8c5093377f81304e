"""Dataset: images as bytes, their labels, the names of the classes, and where they came from."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


class Dataset:
    """images uint8 (N, C, H, W), labels int64 (N,), classes: the name of each label.

    label:   what to call results on it, such as "MNIST" or "CIFAR-10 (JPEG copy)"
    maximum: the value of a white pixel: 255, or 16 for `digits`
    digest:  SHA-256 of the images' and then the labels' bytes (labels as uint8): identifies the data, however it was stored
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        classes: tuple[str, ...],
        name: str = "",
        split: str = "",
        label: str = "",
        maximum: int = 255,
    ) -> None:
        self.images = images
        self.labels = labels
        self.classes = classes
        self.name = name
        self.split = split
        self.label = label or name
        self.maximum = maximum

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the images and the labels."""
        return hashlib.sha256(self.images.tobytes() + self.labels.astype(np.uint8).tobytes()).hexdigest()

    def part(self, indices: Any) -> Dataset:
        """The dataset of the images that `indices` (a slice, or integers) selects, with the same names."""
        return Dataset(
            self.images[indices], self.labels[indices], self.classes, self.name, self.split, self.label, self.maximum
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Dataset({self.label}, {self.split}: {len(self)} images {self.images.shape[1:]}, {len(self.classes)} classes)"
