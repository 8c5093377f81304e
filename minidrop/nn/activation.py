"""Activation functions as layers."""

from __future__ import annotations

from .. import functional
from ..errors import ArgumentError
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


class Tanh(Module):
    """(any shape) -> same: tanh(x)."""

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.tanh(x)


class Sigmoid(Module):
    """(any shape) -> same: 1 / (1 + e^-x)."""

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.sigmoid(x)


class Softmax(Module):
    """(shape) -> same: e^x / (sum of e^x along `axis`). Not before `softmax_cross_entropy`, which takes logits."""

    def __init__(self, axis: int = -1) -> None:
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError("Softmax: bad axis", expected="an integer", got=repr(axis))
        self.axis = axis

    def forward(self, x: Operand) -> Tensor:
        """(shape) -> same."""
        return functional.softmax(x, self.axis)

    def describe(self) -> str:
        """One line."""
        return f"Softmax(axis={self.axis})"
