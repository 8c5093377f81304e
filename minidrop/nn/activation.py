"""Activation functions as layers."""

from __future__ import annotations

from .. import functional
from ..tensor import Operand, Tensor
from .module import Module


class ReLU(Module):
    """(any shape) -> same: max(x, 0)."""

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.relu(x)


class ELU(Module):
    """(any shape) -> same: x for x > 0, else alpha (e^x - 1)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.elu(x, self.alpha)

    def describe(self) -> str:
        """One line."""
        return f"ELU(alpha={self.alpha})"
