"""How a case of an op is drawn: what the entries of op_registry.py and op_layers.py are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minidrop as md


@dataclass
class Case:
    """inputs: float64 arrays. run(library, *tensors): minidrop. torch(torch, *tensors): the same in PyTorch."""

    inputs: list[np.ndarray]
    run: Callable[..., md.Tensor]
    torch: Callable[..., Any]
    note: dict[str, Any] = field(default_factory=dict)

    def __repr__(self):
        return f"Case(shapes={[value.shape for value in self.inputs]}, {self.note})"


@dataclass
class Entry:
    op: type[md.Op]
    cases: st.SearchStrategy[Case]
    elementwise: bool = False  # if so, the memory order of the input is kept


OPS: dict[str, Entry] = {}


def register(op, elementwise=False, name=None):
    def decorate(function):
        OPS[name or op.__name__] = Entry(op, st.composite(function)(), elementwise)
        return function

    return decorate


# Drawing values ------------------------------------------------------------------------------------------------------


def shapes(min_dims=0, max_dims=4, min_side=0, max_side=4):
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def rng(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def normal(draw, shape):
    return rng(draw).normal(size=shape)


def positive(draw, shape):
    return rng(draw).uniform(0.3, 3, size=shape)


def away_from_zero(draw, shape):
    generator = rng(draw)
    return generator.uniform(0.05, 3, size=shape) * generator.choice([-1.0, 1.0], size=shape)


def distinct(draw, shape):
    """No two within .01 of each other."""
    count = int(np.prod(shape))
    return (rng(draw).permutation(count) * 0.1 - count * 0.05).reshape(shape)


def broadcastable(draw, shape):
    """A shape that broadcasts to `shape`: some axes of length 1, some leading axes missing."""
    result = tuple(1 if draw(st.booleans()) else length for length in shape)
    return result[draw(st.integers(0, len(shape))) :]


def pair_of_shapes(draw):
    full = draw(shapes())
    a, b = full, broadcastable(draw, full)
    return (a, b) if draw(st.booleans()) else (b, a)


def with_zeros(draw, shape):
    """A third of them 0."""
    generator = rng(draw)
    return generator.normal(size=shape) * (generator.random(size=shape) < 0.67)
