"""Sliding windows over images: the arithmetic of kernel size, stride and padding that convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[Pair, Pair]  # ((top, bottom), (left, right))


def same_padding(size: int, kernel: int, stride: int) -> Pair:
    """Rows to add (before, after), so that the output has ceil(size / stride) rows; an odd one goes after, as in Keras."""
    outputs = -(-size // stride)  # size / stride, rounded up
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def output_size(padded: int, kernel: int, stride: int) -> int:
    """How many windows fit: floor((padded - kernel) / stride) + 1."""
    return (padded - kernel) // stride + 1


def window_slices(kernel: Pair, stride: Pair, output: Pair) -> Iterator[tuple[int, int, slice, slice]]:
    """For each place (r, s) in the window, row by row: r, s, and the rows and columns of the image that stand there.

    image[..., rows, columns] has the shape of the output: element (i, j) is what window (i, j) sees at its place (r, s).
    """
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            rows = slice(r, r + stride[0] * (output[0] - 1) + 1, stride[0])
            columns = slice(s, s + stride[1] * (output[1] - 1) + 1, stride[1])
            yield r, s, rows, columns
