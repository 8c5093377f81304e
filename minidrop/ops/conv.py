"""Two-dimensional convolution (as in the whole field, without flipping the kernel: a cross-correlation).

    y[n, f, i, j] = bias[f] + sum over c, r, s of  x[n, c, i * stride + r, j * stride + s] * weight[f, c, r, s]

(with x already padded). Two versions stand here: `conv2d_loops`, the formula as it reads, which the tests compare against, and
`Conv2d`, the op, which writes every window of the image as a row of one matrix (im2col) and multiplies once.

Memory: inside the op images are (H, W, N, C), so that a window's row is gathered in runs of C numbers and the product needs
no rearranging. Outside they have the shape (N, C, H, W); the outputs are transposed views.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..tape import Op
from .window import Padding, Pair, output_size, window_slices


class Conv2d(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'), padding ((top, bottom), (left, right)), stride (rows, columns).

    H' = floor((H + top + bottom - R) / stride rows) + 1,  W' = floor((W + left + right - S) / stride columns) + 1.

    With X, the columns, of shape (H' W' N, R S C), one row per window; K, the weight as a matrix of shape (R S C, F); and G,
    grad rearranged to (H' W' N, F):   y = X K + bias,   dL/dK = X^T G,   dL/dbias = the column sums of G,   dL/dX = G K^T, each
    row of which is added back to the window of x that it came from.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        needs_x, needs_weight, _ = self.needs_grad
        self.saved = (x if needs_weight else None, weight if needs_x else None)
        self.shapes = x.shape, weight.shape
        columns, (out_height, out_width) = image_to_columns(x, weight.shape[2:], self.stride, self.padding)
        y = columns @ kernel_matrix(weight)
        if bias is not None:
            y += bias
        return y.reshape(out_height, out_width, x.shape[0], weight.shape[0]).transpose(2, 3, 0, 1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        needs_x, needs_weight, needs_bias = self.needs_grad
        x_shape, (filters, channels, kernel_height, kernel_width) = self.shapes
        kernel_size = kernel_height, kernel_width
        grad_matrix = grad.transpose(2, 3, 0, 1).reshape(-1, filters)
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_columns = grad_matrix @ kernel_matrix(weight).T
            grad_x = columns_to_image(grad_columns, x_shape, kernel_size, self.stride, self.padding)
        if needs_weight:
            # The columns are made again rather than kept: they are up to R * S times as large as x.
            columns, _ = image_to_columns(x, kernel_size, self.stride, self.padding)
            grad_kernel = columns.T @ grad_matrix
            grad_weight = grad_kernel.reshape(*kernel_size, channels, filters).transpose(3, 2, 0, 1)
        if needs_bias:
            grad_bias = grad_matrix.sum(axis=0)
        return grad_x, grad_weight, grad_bias


def kernel_matrix(weight: Array) -> Array:
    """(F, C, R, S) -> (R S C, F): one column per filter, in the order in which `image_to_columns` reads a window."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def pad_image(x: Array, padding: Padding) -> Array:
    """(N, C, H, W) -> (H + top + bottom, W + left + right, N, C): axes moved, zeros around the image."""
    (top, bottom), (left, right) = padding
    images, channels, height, width = x.shape
    padded = array_module(x).zeros((height + top + bottom, width + left + right, images, channels), dtype=x.dtype)
    padded[top : top + height, left : left + width] = x.transpose(2, 3, 0, 1)
    return padded


def image_to_columns(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Array, Pair]:
    """(N, C, H, W) -> (H' W' N, R S C), and (H', W'): every window of every image as one row (im2col)."""
    padded = pad_image(x, padding)
    height, width, images, channels = padded.shape
    out_height, out_width = output_size(height, kernel[0], stride[0]), output_size(width, kernel[1], stride[1])
    columns = array_module(x).empty((out_height, out_width, images, *kernel, channels), dtype=x.dtype)
    for r, s, at_rows, at_cols in window_slices(kernel, stride, (out_height, out_width)):
        columns[:, :, :, r, s] = padded[at_rows, at_cols]
    return columns.reshape(out_height * out_width * images, -1), (out_height, out_width)


def columns_to_image(columns: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """(H' W' N, R S C) -> (N, C, H, W): add every row back to the window that it came from (the transpose of im2col)."""
    images, channels, height, width = shape
    (top, bottom), (left, right) = padding
    padded_height, padded_width = height + top + bottom, width + left + right
    out_height, out_width = output_size(padded_height, kernel[0], stride[0]), output_size(padded_width, kernel[1], stride[1])
    windows = columns.reshape(out_height, out_width, images, *kernel, channels)
    image = array_module(columns).zeros((padded_height, padded_width, images, channels), dtype=columns.dtype)
    for r, s, at_rows, at_cols in window_slices(kernel, stride, (out_height, out_width)):
        # For one (r, s) no pixel stands in the slice twice, so += loses nothing; the loop adds up windows that overlap.
        image[at_rows, at_cols] += windows[:, :, :, r, s]
    return image[top : top + height, left : left + width].transpose(2, 3, 0, 1)


def conv2d_loops(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding) -> Array:
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): the definition in plain loops; slow, and easy to believe."""
    images, channels = x.shape[:2]
    filters, _, kernel_height, kernel_width = weight.shape
    padded = pad_image(x, padding).transpose(2, 3, 0, 1)
    out_height = output_size(padded.shape[2], kernel_height, stride[0])
    out_width = output_size(padded.shape[3], kernel_width, stride[1])
    y = array_module(x).zeros((images, filters, out_height, out_width), dtype=x.dtype)
    for n in range(images):
        for f in range(filters):
            for i in range(out_height):
                for j in range(out_width):
                    for c in range(channels):
                        for r in range(kernel_height):
                            for s in range(kernel_width):
                                pixel = padded[n, c, i * stride[0] + r, j * stride[1] + s]
                                y[n, f, i, j] += pixel * weight[f, c, r, s]
            if bias is not None:
                y[n, f] += bias[f]
    return y
