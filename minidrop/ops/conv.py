"""Two-dimensional convolution (as in the whole field, without flipping the kernel: a cross-correlation).

    y[n, f, i, j] = bias[f] + sum over c, r, s of  x[n, c, i * stride + r, j * stride + s] * weight[f, c, r, s]

with x already padded. Three ops compute it, forward and backward. They differ in speed, in rounding, and in how far an inf or
NaN spreads:

    Conv2dLoops     the formula as it reads, product by product: what the others are tested against
    Conv2dIm2col    every window of the image as a column of one matrix (im2col), and one matrix product
    Conv2dFourier   in the frequency domain: `fourier.py`

`conv_choice.py` says which of the last two is the faster one for a shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..backend import Array, array_module, matmul
from ..tape import Op
from .window import Padding, Pair, output_size, window_slices

KEPT_BYTES = 8 * 2**20  # columns up to this size are kept from forward to backward


class Conv2dLoops(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): the definition in plain loops; slow, and easy to believe.

    Each product y += x w of the sum gives dL/dx += grad w and dL/dw += grad x. Padding, stride: as in `Conv2dIm2col`.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        self.saved = (x, weight)
        padded = pad_image(x, self.padding)
        self.shape = output_shape(x, weight, self.stride, self.padding)
        y = array_module(x).zeros(self.shape, dtype=x.dtype)
        for (n, f, i, j), (c, r, s), (row, column) in self.products(weight.shape):
            y[n, f, i, j] += padded[c, row, column, n] * weight[f, c, r, s]
        return y if bias is None else y + bias.reshape(-1, 1, 1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        xp = array_module(grad)
        padded = pad_image(x, self.padding)
        grad_padded, grad_weight = xp.zeros_like(padded), xp.zeros_like(weight)
        for (n, f, i, j), (c, r, s), (row, column) in self.products(weight.shape):
            grad_padded[c, row, column, n] += grad[n, f, i, j] * weight[f, c, r, s]
            grad_weight[f, c, r, s] += grad[n, f, i, j] * padded[c, row, column, n]
        grad_x = unpad_image(grad_padded, x.shape, self.padding)
        return grad_x, grad_weight, grad.sum(axis=(0, 2, 3)) if self.needs_grad[2] else None

    def products(self, weight_shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Pair]]:
        """Every product of the sum: output (n, f, i, j), weight (c, r, s), and (row, column) of the padded image."""
        for n, f, i, j in itertools.product(*map(range, self.shape)):
            for c, r, s in itertools.product(*map(range, weight_shape[1:])):
                yield (n, f, i, j), (c, r, s), (i * self.stride[0] + r, j * self.stride[1] + s)


class Conv2dIm2col(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'), padding ((top, bottom), (left, right)), stride (rows, columns).

    H' = floor((H + top + bottom - R) / stride rows) + 1,  W' = floor((W + left + right - S) / stride columns) + 1.

    With X, the columns, of shape (C R S, H' W' N), one column per window; K, the weight, as a matrix of shape (F, C R S); and
    G, grad rearranged to (H' W' N, F):   y = X^T K^T + bias,   dL/dK = (X G)^T,   dL/dbias = the column sums of G,
    dL/dX = K^T G^T, each column of which is added back to the window of x that it came from.

    Memory: inside the op images are (C, H, W, N), so that one place (r, s) of all windows is copied in runs of W' N numbers.
    Outputs and gradients are (H, W, N, C) in memory, as y comes out of the product; their shapes are transposed views.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        needs_x, needs_weight, _ = self.needs_grad
        self.shapes = x.shape, weight.shape
        columns = image_to_columns(x, weight.shape[2:], self.stride, self.padding)
        # The columns are up to R * S times as large as x: large ones are made again for backward, small ones kept.
        self.columns = columns if needs_weight and columns.nbytes <= KEPT_BYTES else None
        self.saved = (x if needs_weight and self.columns is None else None, weight if needs_x else None)
        y = matmul(columns.T, weight.reshape(len(weight), -1).T)
        if bias is not None:
            y += bias
        images, filters, height, width = output_shape(x, weight, self.stride, self.padding)
        return y.reshape(height, width, images, filters).transpose(2, 3, 0, 1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        needs_x, needs_weight, needs_bias = self.needs_grad
        x_shape, weight_shape = self.shapes
        grad_matrix = grad.transpose(2, 3, 0, 1).reshape(-1, weight_shape[0])
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_columns = matmul(weight.reshape(len(weight), -1).T, grad_matrix.T)
            grad_x = columns_to_image(grad_columns, x_shape, weight_shape[2:], self.stride, self.padding)
        if needs_weight:
            columns = self.columns
            if columns is None:
                columns = image_to_columns(x, weight_shape[2:], self.stride, self.padding)
            grad_weight = matmul(columns, grad_matrix).T.reshape(weight_shape)
        if needs_bias:
            grad_bias = grad_matrix.sum(axis=0)
        return grad_x, grad_weight, grad_bias


def output_shape(x: Array, weight: Array, stride: Pair, padding: Padding) -> tuple[int, int, int, int]:
    """x (N, C, H, W), weight (F, C, R, S) -> (N, F, H', W')."""
    height, width = (
        output_size(size + sum(ends), kernel, step)
        for size, ends, kernel, step in zip(x.shape[2:], padding, weight.shape[2:], stride, strict=True)
    )
    return x.shape[0], weight.shape[0], height, width


def pad_image(x: Array, padding: Padding) -> Array:
    """(N, C, H, W) -> (C, H + top + bottom, W + left + right, N): axes moved, zeros around the image."""
    (top, bottom), (left, right) = padding
    images, channels, height, width = x.shape
    padded = array_module(x).zeros((channels, height + top + bottom, width + left + right, images), dtype=x.dtype)
    padded[:, top : top + height, left : left + width] = x.transpose(1, 2, 3, 0)
    return padded


def unpad_image(padded: Array, shape: tuple[int, ...], padding: Padding) -> Array:
    """(C, H + top + bottom, W + left + right, N) -> (N, C, H, W), (H, W, N, C) in memory: the transpose of `pad_image`."""
    (top, _), (left, _) = padding
    image = padded[:, top : top + shape[2], left : left + shape[3]].transpose(1, 2, 3, 0)
    return array_module(padded).ascontiguousarray(image).transpose(2, 3, 0, 1)


def image_to_columns(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """(N, C, H, W) -> (C R S, H' W' N): every window of every image as one column (im2col)."""
    padded = pad_image(x, padding)
    channels, height, width, images = padded.shape
    output = output_size(height, kernel[0], stride[0]), output_size(width, kernel[1], stride[1])
    columns = array_module(x).empty((channels, *kernel, *output, images), dtype=x.dtype)
    for r, s, at_rows, at_columns in window_slices(kernel, stride, output):
        columns[:, r, s] = padded[:, at_rows, at_columns]
    return columns.reshape(channels * kernel[0] * kernel[1], -1)


def columns_to_image(columns: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """(C R S, H' W' N) -> (N, C, H, W): add every column back to the window that it came from (the transpose of im2col)."""
    images, channels, height, width = shape
    height, width = height + sum(padding[0]), width + sum(padding[1])
    output = output_size(height, kernel[0], stride[0]), output_size(width, kernel[1], stride[1])
    windows = columns.reshape(channels, *kernel, *output, images)
    padded = array_module(columns).zeros((channels, height, width, images), dtype=columns.dtype)
    for r, s, at_rows, at_columns in window_slices(kernel, stride, output):
        # For one (r, s) no pixel stands in the slice twice, so += loses nothing; the loop adds up windows that overlap.
        padded[:, at_rows, at_columns] += windows[:, r, s]
    return unpad_image(padded, shape, padding)
