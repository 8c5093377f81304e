"""Functions of images: convolution and pooling. `functional.py` re-exports them."""

from __future__ import annotations

from typing import Any

from .errors import ShapeError
from .guard import arguments
from .ops import conv, pool, window
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
    stride = window.pair("conv2d", "stride", stride, 1)
    pads = window.padding_pairs("conv2d", padding, x.shape[2:], weight.shape[2:], stride)
    if algorithm in ("fourier", "mixed"):
        arguments.require_floats("conv2d in the frequency domain", x.dtype, conv.FOURIER_TYPES)
    return apply(conv.Conv2d(stride, pads, algorithm), x, weight, bias)


def max_pool2d(x: Operand, kernel_size: Any, stride: Any = None) -> Tensor:
    """(N, C, H, W) -> (N, C, H', W'): the maximum of each window, H' = floor((H - R) / stride) + 1.

    kernel_size: an int or (rows, columns); stride: the same, by default equal to kernel_size. Of equal maxima in a window the
    first, row by row, gets the gradient.
    Raises ShapeError for a wrong rank, a window larger than the image, an empty batch.
    """
    x = as_tensor(x)
    arguments.require_rank("max_pool2d", "x", x.shape, "(N, C, H, W)")
    arguments.require_batch("max_pool2d", x.shape)
    kernel = window.pair("max_pool2d", "kernel_size", kernel_size, 1)
    step = kernel if stride is None else window.pair("max_pool2d", "stride", stride, 1)
    window.padding_pairs("max_pool2d", 0, x.shape[2:], kernel, step)
    return apply(pool.MaxPool2d(kernel, step), x)
