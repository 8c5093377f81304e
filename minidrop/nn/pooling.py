"""Layers that make images smaller."""

from __future__ import annotations

from typing import Any

from .. import functional
from ..errors import ArgumentError
from ..ops.window import pair
from ..tensor import Operand, Tensor
from .module import Module


class Pool2d(Module):
    """(N, C, H, W) -> (N, C, H', W'): one number for each window. Base of MaxPool2d and AvgPool2d.

    kernel_size: an int or (rows, columns); stride: the same, kernel_size unless given; padding: the same, at most half of
    kernel_size.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        if any(2 * side > length for side, length in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(f"{name}: bad padding", expected=f"at most half of {self.kernel_size}", got=repr(padding))

    def describe(self) -> str:
        """One line."""
        rows, columns = self.kernel_size
        stride = "" if self.stride == self.kernel_size else f", stride={self.stride}"
        padding = "" if self.padding == (0, 0) else f", padding={self.padding}"
        return f"{type(self).__name__}({rows}x{columns}{stride}{padding})"


class MaxPool2d(Pool2d):
    """(N, C, H, W) -> (N, C, H', W'): the maximum of each window, `functional.max_pool2d`."""

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Pool2d):
    """(N, C, H, W) -> (N, C, H', W'): the mean of each window, `functional.avg_pool2d`; count_include_pad as there."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = count_include_pad

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.count_include_pad)


class GlobalAvgPool2d(Module):
    """(N, C, H, W) -> (N, C): the mean of each channel of each image."""

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return functional.global_avg_pool2d(x)
