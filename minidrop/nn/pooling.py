"""Layers that make images smaller."""

from __future__ import annotations

from typing import Any

from .. import functional
from ..ops.window import pair
from ..tensor import Operand, Tensor
from .module import Module


class MaxPool2d(Module):
    """(N, C, H, W) -> (N, C, H', W'): `functional.max_pool2d`; stride is kernel_size unless given."""

    def __init__(self, kernel_size: Any, stride: Any = None) -> None:
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride, 1)

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return functional.max_pool2d(x, self.kernel_size, self.stride)

    def describe(self) -> str:
        """One line."""
        stride = "" if self.stride == self.kernel_size else f", stride={self.stride}"
        return f"MaxPool2d({self.kernel_size[0]}x{self.kernel_size[1]}{stride})"
