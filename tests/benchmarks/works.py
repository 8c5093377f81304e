"""What the benchmarks run: the same network, weights, images and labels in every framework.

A work is a name from WORKS. `build(framework, work)` returns a function without arguments that does it once: a training step
(forward, backward, SGD) or, for inference, a forward pass that records nothing. It returns the loss, or the logits.
`checked` is the same work without dropout, whose masks no two frameworks draw alike: what it computes must be the same in all.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Size(NamedTuple):
    """A network: filters and kernels of its convolutions, each pooled by 2; units of its dense layer; padding 'same' or none.

    dropout: at .5, after the dense layer. The first three are those of `minidrop.paper.networks.SIZES`, which minidrop uses.
    """

    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    units: int | None
    same: bool
    dropout: bool = True

    def padding(self, kernel: int) -> int:
        """Zeros on each side of the image."""
        return kernel // 2 if self.same else 0


NETWORKS = {
    "published": Size((64, 64), (7, 5), 1000, same=False),
    "described": Size((64, 64, 64), (11, 7, 5), 1000, same=True),
    "lite": Size((16, 32), (7, 5), 512, same=False),
    "3x3": Size((32, 64, 128), (3, 3, 3), None, same=True, dropout=False),
}


class Work(NamedTuple):
    """A network, the images (C, H, W) that it gets, how many at a time, and what is done: training steps or inference."""

    network: str
    image: tuple[int, int, int]
    batch: int
    trains: bool = True

    @property
    def size(self) -> Size:
        """What the network consists of."""
        return NETWORKS[self.network]


CIFAR, MNIST = (3, 32, 32), (1, 28, 28)

WORKS = {
    "published-cifar": Work("published", CIFAR, 16),
    "published-mnist": Work("published", MNIST, 16),
    "described-cifar": Work("described", CIFAR, 16),
    "described-mnist": Work("described", MNIST, 16),
    "lite-cifar": Work("lite", CIFAR, 16),
    "lite-mnist": Work("lite", MNIST, 16),
    "inference-16": Work("published", CIFAR, 16, trains=False),
    "inference-256": Work("published", CIFAR, 256, trains=False),
    "described-inference-16": Work("described", CIFAR, 16, trains=False),
    "described-inference-256": Work("described", CIFAR, 256, trains=False),
    "cnn-3x3": Work("3x3", CIFAR, 64),
}
CLASSES = 10
RATE = 0.01
DROPOUT_RATE = 0.5
CHECKED_STEPS = 3


def parameters(work: Work) -> list[Any]:
    """The weights and biases of all layers, in their order, drawn once for all frameworks (Glorot-uniform)."""
    random = np.random.default_rng(0)
    channels, rows, columns = work.image
    made = []
    for filters, kernel in zip(work.size.filters, work.size.kernels, strict=True):
        limit = (6 / ((channels + filters) * kernel**2)) ** 0.5
        made += [
            random.uniform(-limit, limit, (filters, channels, kernel, kernel)).astype("float32"),
            np.zeros(filters, "float32"),
        ]
        lost = 0 if work.size.same else kernel - 1
        channels, rows, columns = filters, (rows - lost) // 2, (columns - lost) // 2
    units = [channels * rows * columns, *([] if work.size.units is None else [work.size.units]), CLASSES]
    for into, out in itertools.pairwise(units):
        limit = (6 / (into + out)) ** 0.5
        made += [random.uniform(-limit, limit, (into, out)).astype("float32"), np.zeros(out, "float32")]
    return made


def batch(work: Work) -> tuple[Any, Any]:
    """Images and labels."""
    random = np.random.default_rng(1)
    images = random.normal(size=(work.batch, *work.image)).astype("float32")
    return images, random.integers(0, CLASSES, work.batch)


def build(framework: str, name: str, dropout: bool = True) -> Callable[[], Any]:
    """The work, set up in the framework (a module of `frameworks` beside this file); without dropout, if requested."""
    module = importlib.import_module(f"{__package__}.frameworks.{framework}")
    work = WORKS[name]
    step: Callable[[], Any] = module.build(work, parameters(work), *batch(work), dropout and work.size.dropout)
    return step


def checked(framework: str, name: str) -> float:
    """What must be the same in all frameworks: the loss of the third training step without dropout; the sum of |logits|."""
    once = build(framework, name, dropout=False)
    for _ in range(CHECKED_STEPS - 1):
        once()
    result = once()
    return float(result) if isinstance(result, float) else float(abs(result).sum())
