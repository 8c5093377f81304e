"""Initial weights: random numbers scaled so that signals neither grow nor shrink from layer to layer.

fan_in and fan_out are the numbers of inputs and outputs that one unit is connected to; for a convolution that is channels (or
filters) times the kernel's area. Numbers are drawn on the CPU, so that a seed gives the same weights on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..backend import Array
from ..errors import ArgumentError
from ..random import Generator

Shape = tuple[int, ...]


def glorot_uniform(shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010). Keras' default, and so the paper's."""
    return _uniform(shape, math.sqrt(6 / (fan_in + fan_out)), generator, dtype)


def glorot_normal(shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return _normal(shape, math.sqrt(2 / (fan_in + fan_out)), generator, dtype)


def he_uniform(shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> uniform in +-sqrt(6 / fan_in), for layers that a ReLU follows (He et al., 2015)."""
    return _uniform(shape, math.sqrt(6 / fan_in), generator, dtype)


def he_normal(shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> normal with variance 2 / fan_in, for layers that a ReLU follows (He et al., 2015)."""
    return _normal(shape, math.sqrt(2 / fan_in), generator, dtype)


def zeros(shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> all 0."""
    return _uniform(shape, 0.0, generator, dtype)


INITIALISERS: dict[str, Callable[[Shape, int, int, Generator, Any], Array]] = {
    function.__name__: function for function in (glorot_uniform, glorot_normal, he_uniform, he_normal, zeros)
}


def initialise(name: str, shape: Shape, fan_in: int, fan_out: int, generator: Generator, dtype: Any) -> Array:
    """shape -> starting weights by the initialiser of that name. Raises ArgumentError for an unknown name."""
    if name not in INITIALISERS:
        raise ArgumentError("bad initialiser", expected=" or ".join(map(repr, INITIALISERS)), got=repr(name))
    return INITIALISERS[name](shape, fan_in, fan_out, generator, dtype)


def _uniform(shape: Shape, limit: float, generator: Generator, dtype: Any) -> Array:
    return ((2 * generator.uniform(shape, "float64") - 1) * limit).astype(dtype)


def _normal(shape: Shape, deviation: float, generator: Generator, dtype: Any) -> Array:
    return (generator.normal(shape, "float64") * deviation).astype(dtype)
