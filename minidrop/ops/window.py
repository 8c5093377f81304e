"""Sliding windows over images: the arithmetic of kernel size, stride and padding that convolution and pooling share."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, TypeAlias

from ..errors import ArgumentError, ShapeError

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
    """For each place (r, s) in the window, row by row: r, s, and the rows and columns of the image at that place.

    image[..., rows, columns] has the shape of the output: element (i, j) is the value of window (i, j) at its place (r, s).
    """
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            rows = slice(r, r + stride[0] * (output[0] - 1) + 1, stride[0])
            columns = slice(s, s + stride[1] * (output[1] - 1) + 1, stride[1])
            yield r, s, rows, columns


# User arguments -------------------------------------------------------------------------------------------------------


def pair(name: str, argument: str, value: Any, least: int) -> Pair:
    """An int or a pair of ints, each at least `least` -> a pair: (rows, columns)."""
    try:
        rows, columns = (value, value) if not isinstance(value, (tuple, list)) else value
        result = operator.index(rows), operator.index(columns)
    except (TypeError, ValueError):
        result = (least - 1, least - 1)
    if min(result) < least:
        raise ArgumentError(f"{name}: bad {argument}", expected=f"an int >= {least}, or a pair of them", got=repr(value))
    return result


def padding_pair(name: str, padding: Any) -> Pair | None:
    """padding (int, pair or "same") -> (rows, columns) on each side; None: "same"."""
    if isinstance(padding, str):
        if padding != "same":
            raise ArgumentError(f"{name}: bad padding", expected='an int, a pair of ints, or "same"', got=repr(padding))
        return None
    return pair(name, "padding", padding, 0)


def padding_pairs(name: str, padding: Any, image: tuple[int, ...], kernel: tuple[int, ...], stride: Pair) -> Padding:
    """padding (int, pair or "same") -> ((top, bottom), (left, right)); ShapeError if the kernel does not fit."""
    sides = padding_pair(name, padding)
    if sides is None:
        pads = same_padding(image[0], kernel[0], stride[0]), same_padding(image[1], kernel[1], stride[1])
    else:
        pads = (sides[0], sides[0]), (sides[1], sides[1])
    padded = (image[0] + sum(pads[0]), image[1] + sum(pads[1]))
    if kernel[0] > padded[0] or kernel[1] > padded[1] or min(kernel) < 1:
        raise ShapeError(
            f"{name}: the kernel does not fit into the image",
            expected=f"a kernel of at most {padded[0]} x {padded[1]} (image {image[0]} x {image[1]}, padding {pads})",
            got=f"a kernel of {kernel[0]} x {kernel[1]}",
            help='a smaller kernel, or padding="same", or fewer pooling layers before',
        )
    return pads
