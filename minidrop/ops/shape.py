"""reshape, transpose, expand, pad, indexing, concatenate, stack: ops that move numbers and compute nothing."""

from __future__ import annotations

from typing import Any

from ..backend import Array, array_module, is_array, to_device
from ..core import Op
from .half import narrow, unbroadcast, wide


class Reshape(Op):
    """(shape) -> another shape of the same size, in C order whatever the order in memory.  The gradient is shaped back."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.target = shape

    def forward(self, x: Array) -> Array:
        self.input_shape = x.shape
        return x.reshape(self.target)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (grad.reshape(self.input_shape),)


class Transpose(Op):
    """(d0, d1, ...) -> (d[axes[0]], d[axes[1]], ...).  The gradient goes back through the inverse permutation."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return (grad.transpose(inverse),)


class Expand(Op):
    """(shape) -> a broadcast shape, as a view that repeats.  The gradient is the sum over the repeats."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.target = shape

    def forward(self, x: Array) -> Array:
        self.input_shape = x.shape
        return array_module(x).broadcast_to(x, self.target)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (unbroadcast(grad, self.input_shape),)


class Pad(Op):
    """(d0, ...) -> (before0 + d0 + after0, ...): a constant all around.  The gradient is the inner part of the upstream one."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths = widths
        self.value = value

    def forward(self, x: Array) -> Array:
        self.inside = tuple(slice(before, before + length) for (before, _), length in zip(self.widths, x.shape, strict=True))
        return array_module(x).pad(x, self.widths, mode="constant", constant_values=self.value)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (grad[self.inside],)


class GetItem(Op):
    """(shape) -> x[index].  Each element's gradient is the sum over all outputs taken from it.

    The index may hold integers, slices, None, an Ellipsis, and integer or bool arrays.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        self.input_shape = x.shape
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        self.saved = tuple(part for part in parts if is_array(part))
        return x[self.index]

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        xp, given, grad = array_module(grad), grad, wide(grad)
        result = xp.zeros(self.input_shape, dtype=grad.dtype)
        if any(part.dtype.kind in "iu" for part in self.saved):
            xp.add.at(result, self.index, grad)  # an element may be indexed twice; result[index] += grad would count one
        else:
            result[self.index] = grad
        return (narrow(result, given),)


class Concatenate(Op):
    """(.., d1, ..), (.., d2, ..), ... -> (.., d1 + d2 + ..., ..) along `axis`.  Each input gets its part of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        self.lengths = [array.shape[self.axis] for array in arrays]
        return array_module(arrays[0]).concatenate(arrays, axis=self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        pieces: list[Array] = []
        start = 0
        for length in self.lengths:
            pieces.append(grad[(slice(None),) * self.axis + (slice(start, start + length),)])
            start += length
        return tuple(pieces)


class Stack(Op):
    """k arrays of (shape) -> shape with a new axis of length k at `axis`.  Input i gets slice i of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        self.count = len(arrays)
        return array_module(arrays[0]).stack(arrays, axis=self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return tuple(grad[(slice(None),) * self.axis + (i,)] for i in range(self.count))


class ToDevice(Op):
    """(any shape) -> same, on another device.  The gradient goes back to the device that x came from."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target

    def forward(self, x: Array) -> Array:
        return to_device(x, self.target)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (to_device(grad, self.source),)
