"""Random numbers on a GPU: the same stream of words as `random.py`, drawn inside the kernel that uses them."""

from __future__ import annotations

from typing import Any

from ..backend import Array, array_module, current_capture
from ..random import LOW_32_BITS, Generator
from . import kernels


def stream(generator: Generator, where: Array, count: int) -> tuple[Any, ...]:
    """The arguments of a kernel that draws `count` words on the GPU of `where`: counter, first, key0, key1; advances it.

    While a step is captured the counter is an array on the GPU: as a number it would be the same at each replay.
    """
    xp = array_module(where)
    key = generator.seed & LOW_32_BITS, generator.seed >> 32
    if (capture := current_capture()) is not None:
        return capture.draw(generator, xp, -(-count // 4)), 0, *key
    return xp.zeros(1, dtype="uint64"), generator.advance(count), *key


def words(generator: Generator, count: int, where: Array) -> Array:
    """(count,) random integers of 32 bits, held as uint64."""
    return kernels.run("random_words", *stream(generator, where, count), array_module(where).empty(count, dtype="uint64"))


def bernoulli(generator: Generator, keep: Array) -> Array:
    """(shape) of probabilities -> same shape and type: 1 with probability `keep`, else 0; NaN counts as 1."""
    return kernels.run("bernoulli", *stream(generator, keep, keep.size), keep, array_module(keep).empty_like(keep))
