"""Functions of images: convolution and pooling. `functional.py` re-exports them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .backend import Array, array_module, run_on
from .errors import ArgumentError, ShapeError
from .guard import arguments
from .ops import conv, pool, window
from .ops.window import Pair
from .tensor import Operand, Tensor, apply, as_tensor

CONVOLUTIONS = ("auto", *conv.ALGORITHMS)


def conv2d(
    x: Operand, weight: Operand, bias: Operand | None = None, stride: Any = 1, padding: Any = 0, algorithm: str = "auto"
) -> Tensor:
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'), H' = floor((H + 2 padding - R) / stride) + 1, W' likewise with S.

    stride: an int or (rows, columns). padding: zeros on each side, an int or (rows, columns), or "same": H' = ceil(H / stride),
    with the odd row or column at the bottom and right (as in Keras, the paper's framework). algorithm: "loops" (the
    definition), "im2col", "fourier", "mixed", or "auto", the fastest by the model in ops/conv_choice.py.
    With "fourier" rounding is relative to the largest number of an image, and an inf or NaN reaches all its outputs; with
    "mixed", those in the columns whose windows contain it. Both need float32 or float64: for other types they raise DTypeError,
    and "auto" is "im2col". Raises ShapeError for a wrong rank, a number of channels that is not the weight's, a kernel larger
    than the padded image, or an empty batch.
    Source: formula in ops/conv.py; the theorem in ops/fourier.py.
    """
    x, weight, bias = as_tensor(x), as_tensor(weight), None if bias is None else as_tensor(bias)
    arguments.require_choice("conv2d", "algorithm", algorithm, CONVOLUTIONS)
    arguments.require_rank("conv2d", "x", x.shape, "(N, C, H, W)")
    arguments.require_rank("conv2d", "weight", weight.shape, "(F, C, R, S)")
    arguments.require_batch("conv2d", x.shape)
    arguments.require_features("conv2d", x.shape, 1, weight.shape[1], "channels")
    if 0 in weight.shape:
        raise ShapeError("conv2d: empty weight", expected="at least one filter, channel, row and column", got=str(weight.shape))
    arguments.require_vector("conv2d", "bias", bias, weight.shape[0])
    arguments.require_type_of_layer("conv2d", x, weight)
    stride = window.pair("conv2d", "stride", stride, 1)
    pads = window.padding_pairs("conv2d", padding, x.shape[2:], weight.shape[2:], stride)
    if algorithm in ("fourier", "mixed"):
        arguments.require_floats("conv2d in the frequency domain", x.dtype, conv.FOURIER_TYPES)
    return apply(conv.Conv2d(stride, pads, algorithm), x, weight, bias)


def max_pool2d(x: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """(N, C, H, W) -> (N, C, H', W'): the maximum of each window, H' = floor((H + 2 padding - R) / stride) + 1, W' likewise.

    kernel_size: an int or (rows, columns); stride: the same, by default equal to kernel_size; padding: the same, at most half
    of the kernel: rows and columns of -inf around the image (of integers, their lowest). Of equal maxima in a window the first,
    row by row, gets the gradient; if it is one of the padding (all in the window are -inf), no element does.
    Raises ShapeError for a wrong rank, a window larger than the image, an empty batch.
    """
    x, kernel, step, sides = _windows("max_pool2d", x, kernel_size, stride, padding)
    return apply(pool.MaxPool2d(kernel, step), _padded(x, sides, _smallest(x.dtype)))


def avg_pool2d(x: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True) -> Tensor:
    """(N, C, H, W) -> (N, C, H', W'): the mean of each window, H' = floor((H + 2 padding - R) / stride) + 1, W' likewise.

    kernel_size, stride, padding: as in `max_pool2d`; the padding is zeros. count_include_pad: divide by the size of the window,
    as PyTorch does by default; False: by the number of its places that lie inside the image.
    Raises what `max_pool2d` raises, and DTypeError for numbers that are not floating-point.
    """
    x, kernel, step, sides = _windows("avg_pool2d", x, kernel_size, stride, padding)
    arguments.require_floating("avg_pool2d", x.dtype)
    y = apply(pool.AvgPool2d(kernel, step), _padded(x, sides, 0.0))
    if count_include_pad or sides == (0, 0):
        return y
    return y * Tensor(run_on(x.data, _whole_over_inside, x.data, y.shape, kernel, step, sides))


def global_avg_pool2d(x: Operand) -> Tensor:
    """(N, C, H, W) -> (N, C): the mean of each channel of each image."""
    x = as_tensor(x)
    arguments.require_rank("global_avg_pool2d", "x", x.shape, "(N, C, H, W)")
    return x.mean(axis=(2, 3))


def _windows(name: str, x: Operand, kernel_size: Any, stride: Any, padding: Any) -> tuple[Tensor, Pair, Pair, Pair]:
    """The arguments of a pooling function, checked: image, kernel, stride, padding on each side."""
    x = as_tensor(x)
    arguments.require_rank(name, "x", x.shape, "(N, C, H, W)")
    arguments.require_batch(name, x.shape)
    kernel = window.pair(name, "kernel_size", kernel_size, 1)
    step = kernel if stride is None else window.pair(name, "stride", stride, 1)
    sides = window.pair(name, "padding", padding, 0)
    if 2 * sides[0] > kernel[0] or 2 * sides[1] > kernel[1]:
        raise ArgumentError(
            f"{name}: too much padding",
            expected=f"at most half of the kernel {kernel}, so that each window holds a part of the image",
            got=repr(padding),
        )
    window.padding_pairs(name, sides, x.shape[2:], kernel, step)
    return x, kernel, step, sides


def _padded(x: Tensor, sides: Pair, value: float) -> Tensor:
    rows, columns = sides
    return x if sides == (0, 0) else x.pad(((0, 0), (0, 0), (rows, rows), (columns, columns)), value)


def _smallest(dtype: Any) -> float:
    """A number that no other number of this type is smaller than."""
    return -math.inf if dtype.kind == "f" else 0 if dtype.kind == "b" else float(np.iinfo(dtype).min)


def _whole_over_inside(x: Array, shape: tuple[int, ...], kernel: Pair, step: Pair, sides: Pair) -> Array:
    """-> (H', W'): the size of each window divided by the number of its places inside the image."""
    xp = array_module(x)
    inside = []
    for axis in range(2):
        first = xp.arange(shape[2 + axis]) * step[axis] - sides[axis]
        inside.append(xp.minimum(first + kernel[axis], x.shape[2 + axis]) - xp.maximum(first, 0))
    return (kernel[0] * kernel[1] / (inside[0][:, None] * inside[1])).astype(x.dtype)
