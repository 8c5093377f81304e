"""Convolution by its definition (loops), and by matrix products (im2col: each window of the image is a column of a matrix).

The formula is in `conv.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..backend import Array, array_module, device_of
from ..core import Op
from ..threads import limits_blas
from .half import narrow, total, wide
from .products import matmul
from .window import Padding, Pair, output_size

KEPT_BYTES = 8 * 2**20  # strips up to this size are kept from forward to backward


class Conv2dLoops(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): the definition in plain loops; slow but easy to check.

    Each product y += x w of the sum gives dL/dx += grad w and dL/dw += grad x. Padding, stride: as in `Conv2dIm2col`.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        self.saved = (x, weight)
        padded, weight = pad_image(wide(x), self.padding), wide(weight)
        self.shape = output_shape(x, weight, self.stride, self.padding)
        y = array_module(x).zeros(self.shape, dtype=padded.dtype)
        for (n, f, i, j), (c, r, s), (row, column) in self.products(weight.shape):
            y[n, f, i, j] += padded[c, row, column, n] * weight[f, c, r, s]
        return narrow(y if bias is None else y + bias.reshape(-1, 1, 1), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        xp = array_module(grad)
        padded, weight = pad_image(wide(x), self.padding), wide(weight)
        grad_padded, grad_weight = xp.zeros_like(padded), xp.zeros_like(weight)
        for (n, f, i, j), (c, r, s), (row, column) in self.products(weight.shape):
            grad_padded[c, row, column, n] += grad[n, f, i, j] * weight[f, c, r, s]
            grad_weight[f, c, r, s] += grad[n, f, i, j] * padded[c, row, column, n]
        grad_x = unpad_image(grad_padded, x.shape, self.padding)
        grad_bias = narrow(total(grad, (0, 2, 3)), grad) if self.needs_grad[2] else None
        return narrow(grad_x, grad), narrow(grad_weight, grad), grad_bias

    def products(self, weight_shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Pair]]:
        """Every product of the sum: output (n, f, i, j), weight (c, r, s), and (row, column) of the padded image."""
        for n, f, i, j in itertools.product(*map(range, self.shape)):
            for c, r, s in itertools.product(*map(range, weight_shape[1:])):
                yield (n, f, i, j), (c, r, s), (i * self.stride[0] + r, j * self.stride[1] + s)


class Conv2dIm2col(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'), padding ((top, bottom), (left, right)), stride (rows, columns).

    H' = floor((H + top + bottom - R) / stride rows) + 1,  W' = floor((W + left + right - S) / stride columns) + 1.

    X_i: the columns of output row i, (R S C, W' N), one column per window; K: the weight, (R S C, F); G_i: row i of grad,
    (W' N, F). Then   y_i = X_i^T K + bias,   dL/dK = sum over i of X_i G_i,   dL/dbias = the column sums of G,   dL/dX_i =
    K G_i^T, each column of which is added back to the window of x that it came from.

    Only the windows along the width are copied, S times x: strips of (S C, W' N), one for each row of the padded image. The R
    strips that the windows of an output row cover are adjacent in memory. So X_i is a view of them, not a copy.

    Memory order: strips are (H, S, C, W', N), so that one place s of all windows is copied in runs of W' N numbers. Outputs and
    gradients are (H, W, N, C) in memory, the order in which the product gives y; they are returned as transposed views.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    @limits_blas
    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        needs_x, needs_weight, _ = self.needs_grad
        self.shapes = x.shape, weight.shape
        images, filters, height, width = output_shape(x, weight, self.stride, self.padding)
        given, x, weight = x, wide(x), wide(weight)  # wide, narrow: products and sums of float16 numbers in float32
        strips = image_to_strips(x, weight.shape[3], self.stride[1], self.padding)
        # Strips are up to S times as large as x: large ones are recomputed for backward, small ones kept.
        self.strips = strips if needs_weight and strips.nbytes <= KEPT_BYTES else None
        self.saved = (x if needs_weight and self.strips is None else None, weight if needs_x else None)
        columns = windows(strips, weight.shape[2], self.stride[0], height)
        y = matmul(columns.swapaxes(1, 2), as_matrix(weight))
        if bias is not None:
            rows = y.reshape(height, -1)
            rows += array_module(x).tile(bias, width * images)  # in long rows: F numbers at a time would take twice as long
        return narrow(y, given).reshape(height, width, images, filters).transpose(2, 3, 0, 1)

    @limits_blas
    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        needs_x, needs_weight, needs_bias = self.needs_grad
        x_shape, (filters, channels, *kernel) = self.shapes
        given, grad = grad, wide(grad)
        grad_rows = grad.transpose(2, 3, 0, 1).reshape(grad.shape[2], -1, filters)
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_columns = matmul(as_matrix(weight), grad_rows.swapaxes(1, 2))
            grad_x = columns_to_image(grad_columns, x_shape, (kernel[0], kernel[1]), self.stride, self.padding)
        if needs_weight:
            strips = self.strips
            if strips is None:
                strips = image_to_strips(x, kernel[1], self.stride[1], self.padding)
            products = matmul(windows(strips, kernel[0], self.stride[0], len(grad_rows)), grad_rows)
            grad_weight = sum_of_rows(products.reshape(len(products), -1))
            grad_weight = grad_weight.reshape(*kernel, channels, filters).transpose(3, 2, 0, 1)
        if needs_bias:
            grad_bias = sum_of_rows(grad_rows.reshape(-1, filters))
        return tuple(None if one is None else narrow(one, given) for one in (grad_x, grad_weight, grad_bias))


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


def image_to_strips(x: Array, kernel: int, stride: int, padding: Padding) -> Array:
    """(N, C, H, W) -> (H, S, C, W', N), H including padding: for each row of the image all windows along it."""
    padded = pad_image(x, padding).transpose(1, 0, 2, 3)
    height, channels, width, images = padded.shape
    places = output_size(width, kernel, stride)
    strips = array_module(x).empty((height, kernel, channels, places, images), dtype=x.dtype)
    for s in range(kernel):
        strips[:, s] = padded[:, :, s : s + stride * (places - 1) + 1 : stride]
    return strips


def windows(strips: Array, kernel: int, stride: int, outputs: int) -> Array:
    """(H, S, C, W', N) -> (H', R S C, W' N), a view: for each row of outputs the strips that its windows cover.

    A strip is part of up to R of these matrices, which is safe because they are only read.
    """
    _, *window, places, images = strips.shape
    in_one_strip = window[0] * window[1]
    length, size = places * images, strips.itemsize
    shape = (outputs, kernel * in_one_strip, length)
    strides = (stride * in_one_strip * length * size, length * size, size)
    return array_module(strips).lib.stride_tricks.as_strided(strips, shape, strides)


def as_matrix(weight: Array) -> Array:
    """(F, C, R, S) -> (R S C, F): no copy if the weight has the memory order of `nn.Conv2d`."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))


def sum_of_rows(matrix: Array) -> Array:
    """(n, m) -> (m): on a CPU as a product with ones, which is five times as fast as a sum over the first axis."""
    if device_of(matrix) != "cpu":
        return matrix.sum(axis=0)
    return matmul(array_module(matrix).ones((1, len(matrix)), dtype=matrix.dtype), matrix)[0]


def columns_to_image(columns: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """(H', R S C, W' N) -> (N, C, H, W): add every column back to the window that it came from (the transpose of im2col)."""
    images, channels, height, width = shape
    height, width = height + sum(padding[0]), width + sum(padding[1])
    outputs, places = len(columns), output_size(width, kernel[1], stride[1])
    grads = columns.reshape(outputs, *kernel, channels, places, images)
    strips = array_module(columns).zeros((height, kernel[1], channels, places, images), dtype=columns.dtype)
    for r in range(kernel[0]):
        # For one r each strip is in the slice once, so += is safe; the loop adds up overlapping windows. Likewise below.
        strips[r : r + stride[0] * (outputs - 1) + 1 : stride[0]] += grads[:, r]
    padded = array_module(columns).zeros((channels, height, width, images), dtype=columns.dtype)
    for s in range(kernel[1]):
        padded[:, :, s : s + stride[1] * (places - 1) + 1 : stride[1]] += strips[:, s].transpose(1, 0, 2, 3)
    return unpad_image(padded, shape, padding)
