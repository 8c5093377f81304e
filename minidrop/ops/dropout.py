"""Dropout: each unit is kept with probability 1 - rate, and kept units are scaled up (Srivastava et al., 2014)."""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Op
from ..random import Generator
from .mask import keep_where


class Dropout(Op):
    """(any shape) -> same: y = x * mask / (1 - rate), mask ~ Bernoulli(1 - rate).  dy/dx = mask / (1 - rate).

    E[y] = x: train and test agree in expectation (for one layer). At rate 1 every unit is dropped, whatever the mask, and y
    and the gradient are 0. A dropped unit is exactly 0, also where x is infinite or NaN.

    After forward `mask` holds 1 for kept, 0 for dropped, in the number type of x.
    """

    def __init__(self, rate: float, mask: Array | None, generator: Generator) -> None:
        self.rate = rate
        self.scale = 1 / (1 - rate) if rate < 1 else 0.0
        self.mask = mask
        self.generator = generator

    def forward(self, x: Array) -> Array:
        if self.mask is None:
            self.mask = self.generator.bernoulli(array_module(x).full_like(x, 1 - self.rate))
        self.factor = self.mask * self.scale
        self.saved = (self.mask,)
        return times_kept(x, self.factor)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (times_kept(grad, self.factor),)


def times_kept(values: Array, factor: Array) -> Array:
    """(any shape) -> same: values * factor, with an exact 0 wherever `factor` is 0."""
    return zero_where_dropped(values * factor, factor)


def zero_where_dropped(values: Array, kept: Array) -> Array:
    """(any shape) -> same: `values`, with an exact 0 wherever `kept` is 0 (a plain product would give inf * 0 = NaN)."""
    return keep_where(kept != 0, values)
