"""float16: sums are added up in float32 and rounded once, at the end.

A float16 has 11 binary digits: 2048 + 1 is 2048, so a sum of ones stops there; above 65504 it is infinite. So a sum, a mean,
a variance and what is divided by a count are computed in float32; only the result is a float16 (as in PyTorch). For any other
type these functions do nothing.
"""

from __future__ import annotations

from .. import core
from ..backend import Array

FLOAT16 = "e"  # the letter of this type in NumPy and CuPy


def wide(x: Array) -> Array:
    """(any shape) -> same: a float16 array as float32; any other as it is."""
    return x.astype("float32") if x.dtype.char == FLOAT16 else x


def narrow(result: Array, like: Array) -> Array:
    """(any shape) -> same: `result` as float16 if `like` is; as it is otherwise."""
    return result.astype("float16") if like.dtype.char == FLOAT16 else result


def total(x: Array, axes: tuple[int, ...] | int, keepdims: bool = False) -> Array:
    """(shape) -> shape without `axes`: the sum; of float16 numbers a float32."""
    return x.sum(axis=axes, keepdims=keepdims, dtype="float32" if x.dtype.char == FLOAT16 else None)


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """(broadcast shape) -> `shape`: `core.unbroadcast`, which adds up."""
    return narrow(core.unbroadcast(wide(grad), shape), grad)
