"""What the benchmarks run: the same network, weights, images and labels in every framework.

A work is a name from WORKS. `build(framework, work)` returns a function without arguments that does it once: a training step
(forward, backward, SGD) or, for inference, a forward pass that records nothing. It returns the loss, or the logits.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Work(NamedTuple):
    """A network (its convolutions as filters and kernels, the units of its dense layer or none), and what is done with it."""

    image: tuple[int, int, int]
    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    units: int | None
    batch: int
    trains: bool


PAPER, LITE = ((64, 64, 64), (11, 7, 5), 1000), ((8, 16, 32), (5, 3, 3), 512)
CIFAR, MNIST = (3, 32, 32), (1, 28, 28)

WORKS = {
    "paper-cifar": Work(CIFAR, *PAPER, 16, True),
    "paper-mnist": Work(MNIST, *PAPER, 16, True),
    "inference-16": Work(CIFAR, *PAPER, 16, False),
    "inference-256": Work(CIFAR, *PAPER, 256, False),
    "lite-mnist": Work(MNIST, *LITE, 16, True),
    "lite-cifar": Work(CIFAR, *LITE, 16, True),
    "cnn-3x3": Work(CIFAR, (32, 64, 128), (3, 3, 3), None, 64, True),
}
CLASSES = 10
RATE = 0.01


def parameters(work: Work) -> list[Any]:
    """The weights and biases of all layers, in their order, drawn once for all frameworks (Glorot-uniform)."""
    random = np.random.default_rng(0)
    channels, rows, columns = work.image
    made = []
    for filters, kernel in zip(work.filters, work.kernels, strict=True):
        limit = (6 / ((channels + filters) * kernel**2)) ** 0.5
        made += [
            random.uniform(-limit, limit, (filters, channels, kernel, kernel)).astype("float32"),
            np.zeros(filters, "float32"),
        ]
        channels, rows, columns = filters, rows // 2, columns // 2
    units = [channels * rows * columns, *([] if work.units is None else [work.units]), CLASSES]
    for into, out in itertools.pairwise(units):
        limit = (6 / (into + out)) ** 0.5
        made += [random.uniform(-limit, limit, (into, out)).astype("float32"), np.zeros(out, "float32")]
    return made


def batch(work: Work) -> tuple[Any, Any]:
    """Images and labels."""
    random = np.random.default_rng(1)
    images = random.normal(size=(work.batch, *work.image)).astype("float32")
    return images, random.integers(0, CLASSES, work.batch)


def build(framework: str, name: str) -> Callable[[], float]:
    """The work, set up in the framework (a module of `frameworks` beside this file)."""
    module = importlib.import_module(f"{__package__}.frameworks.{framework}")
    work = WORKS[name]
    step: Callable[[], float] = module.build(work, parameters(work), *batch(work))
    return step
