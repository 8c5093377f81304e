"""Batches: a dataset, or any arrays, in random order, a few at a time, as the numbers that a network takes.

for images, labels in md.datasets.batches(md.datasets.digits(), batch_size=64):
    ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..backend import Array, device_of, is_array, normalise_device, run_on, to_device
from ..errors import ArgumentError, DTypeError, ShapeError
from ..guard import arguments
from ..random import Generator, default_generator
from .dataset import Dataset


def normalise(images: Array, mean: float, maximum: float) -> Array:
    """uint8 (any shape) -> float32, same shape: (pixel - mean) / maximum."""
    return (images.astype("float32") - np.float32(mean)) / np.float32(maximum)


def batches(
    images: Any,
    labels: Any = None,
    batch_size: int = 32,
    shuffle: bool = True,
    generator: Generator | None = None,
    drop_last: bool = False,
    device: str | None = None,
    mean: float = 0.0,
    maximum: float | None = None,
) -> Loader:
    """(N, ...) images and (N, ...) labels, or a Dataset -> batches of both: a `Loader`, to be used in a for loop.

    Bytes (uint8) become float32, (pixel - mean) / maximum; maximum is the Dataset's, else 255, so that white is 1. Others
    stay as they are, unless a maximum or a mean is given. shuffle: in another order in each pass, drawn from `generator` (by
    default the default generator). drop_last: leave out a last batch that is smaller. device: where all is kept and handed out,
    by default where the images are.
    Raises ShapeError for lengths that differ and for no images, ArgumentError or DTypeError for other arguments.
    """
    if isinstance(images, Dataset):
        if labels is not None:
            help = "batches(dataset, batch_size=64)"
            raise ArgumentError("batches: labels beside a Dataset", expected="its own", got=type(labels).__name__, help=help)
        if maximum is None and images.images.dtype == "uint8":
            maximum = images.maximum
        images, labels = images.images, images.labels
    pixels, classes = _as_array("images", images), _as_array("labels", labels)
    if len(pixels) != len(classes) or not len(pixels):
        got = f"{len(pixels)} images and {len(classes)} labels"
        raise ShapeError("batches: not one label per image", expected="as many labels as images, and at least one", got=got)
    _require("batch_size", batch_size, isinstance(batch_size, (int, np.integer)) and batch_size >= 1, "an integer from 1")
    for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
        _require(name, flag, isinstance(flag, bool), "True or False")
    _require("generator", generator, generator is None or isinstance(generator, Generator), "an md.Generator")
    mean = arguments.number("batches", "mean", mean)
    _require("mean", mean, math.isfinite(mean), "a finite number")
    if maximum is not None:
        maximum = arguments.positive("batches", "maximum", maximum)
        _require("maximum", maximum, maximum > 0, "a number above 0")
    if drop_last and len(pixels) < batch_size:
        raise ArgumentError("batches: no batch is full", expected=f"at most {len(pixels)}", got=f"batch_size={batch_size}")
    where = device_of(pixels) if device is None else normalise_device(device)
    if maximum is None:
        maximum = 255 if pixels.dtype == "uint8" else 1 if mean else None
    return Loader(
        to_device(pixels, where),
        to_device(classes, where),
        int(batch_size),
        shuffle,
        generator,
        drop_last,
        mean,
        maximum,
    )


class Loader:
    """What `batches` returns: len() is the number of batches in a pass; each `for` loop is a new pass, in a new order.

    A batch is (images, labels), arrays in new memory. A pass sees each image once, with its label; not a dropped batch.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        batch_size: int,
        shuffle: bool,
        generator: Generator | None,
        drop_last: bool,
        mean: float,
        maximum: float | None,
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.generator = generator
        self.mean, self.maximum = mean, maximum

    def __len__(self) -> int:
        full, rest = divmod(len(self.labels), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        count = len(self.labels)
        order = (self.generator or default_generator()).permutation(count) if self.shuffle else np.arange(count)
        return (self._batch(order[number * self.batch_size :][: self.batch_size]) for number in range(len(self)))

    def _batch(self, indices: Any) -> tuple[Array, Array]:
        return run_on(self.images, self._take, to_device(indices, device_of(self.images)))  # type: ignore[no-any-return]

    def _take(self, indices: Array) -> tuple[Array, Array]:
        images = self.images[indices]
        return images if self.maximum is None else normalise(images, self.mean, self.maximum), self.labels[indices]

    def __repr__(self) -> str:
        order = "shuffled" if self.shuffle else "in order"
        return f"Loader({len(self.labels)} images {self.images.shape[1:]}, {len(self)} batches of {self.batch_size}, {order})"


def _as_array(name: str, value: Any) -> Array:
    """images or labels -> an array with at least one axis."""
    value = arguments.constant("batches", name, value)
    try:
        array = value if is_array(value) else np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(
            f"batches: {name} are no array", expected="equal shapes", got=f"{type(value).__name__} ({error})"
        ) from error
    if array.dtype.kind not in "fiub":
        got = f"an array of {array.dtype}" if is_array(value) else type(value).__name__
        raise DTypeError(f"batches: {name} are no numbers", expected="an array of numbers, or a Dataset alone", got=got)
    if not array.ndim:
        help = "batches(images, labels, batch_size=64)"
        raise ShapeError(
            f"batches: {name} are one number", expected=f"one row for each of the {name}", got=repr(value), help=help
        )
    return array


def _require(name: str, value: Any, good: bool, expected: str) -> None:
    if not good:
        raise ArgumentError(f"batches: bad {name}", expected=expected, got=repr(value))
