"""relu, elu, sigmoid, softplus, tanh: the nonlinearities."""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Op
from .mask import keep_where


class Relu(Op):
    """(any shape) -> same: y = max(x, 0).  dy/dx = 1 for x > 0, else 0 (also at x = 0).

    NaN stays NaN in the output (numpy.maximum); its gradient is 0.
    """

    def forward(self, x: Array) -> Array:
        if self.needs_grad[0]:
            self.positive = x > 0
        return array_module(x).maximum(x, 0)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (keep_where(self.positive, grad),)


class Elu(Op):
    """(any shape) -> same: y = x for x > 0, else alpha (e^x - 1).  dy/dx = 1 for x > 0, else alpha e^x.

    Source: Clevert et al., 2016; Casallas (2018, section II) calls it one of the most successful remedies for dead ReLUs.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        self.saved = (x,)
        # expm1 of min(x, 0), so that the branch not taken cannot overflow.
        return xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, 0)))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        xp = array_module(x)
        # Not y + alpha, which rounds to 0 long before alpha e^x does.
        return (grad * xp.where(x > 0, 1, self.alpha * xp.exp(xp.minimum(x, 0))),)


class Sigmoid(Op):
    """(any shape) -> same: y = 1 / (1 + e^-x).  dy/dx = y (1 - y)."""

    def forward(self, x: Array) -> Array:
        y = sigmoid(x)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * (y * (1 - y)),)


class Softplus(Op):
    """(any shape) -> same: y = ln(1 + e^x).  dy/dx = 1 / (1 + e^-x), the sigmoid."""

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        self.saved = (x,)
        # ln(1 + e^x) = x + ln(1 + e^-x): of the two exponents the one that is <= 0.
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        return (grad * sigmoid(x),)


class Tanh(Op):
    """(any shape) -> same: y = tanh x.  dy/dx = 1 - y^2."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).tanh(x)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * (1 - y * y),)


def sigmoid(x: Array) -> Array:
    """(any shape) -> same: 1 / (1 + e^-x)."""
    xp = array_module(x)
    # Both exponents are <= 0, so nothing overflows, and small results keep all their digits.
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))
