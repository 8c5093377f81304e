"""relu, elu, sigmoid, tanh: the nonlinearities."""

from __future__ import annotations

from ..backend import Array, array_module
from ..tape import Op


class Relu(Op):
    """(any shape) -> same: y = max(x, 0).  dy/dx = 1 for x > 0, else 0 (also at x = 0).

    NaN stays NaN in the output (numpy.maximum); its gradient is 0.
    """

    def forward(self, x: Array) -> Array:
        y = array_module(x).maximum(x, 0)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * (y > 0),)


class Elu(Op):
    """(any shape) -> same: y = x for x > 0, else alpha (e^x - 1).  dy/dx = 1 for x > 0, else y + alpha.

    Source: Clevert et al., 2016; named in section II of the paper as the best known remedy for dead units.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        self.positive = x > 0
        # expm1 of min(x, 0), so that the branch not taken cannot overflow.
        y = xp.where(self.positive, x, self.alpha * xp.expm1(xp.minimum(x, 0)))
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * array_module(y).where(self.positive, 1, y + self.alpha),)


class Sigmoid(Op):
    """(any shape) -> same: y = 1 / (1 + e^-x).  dy/dx = y (1 - y)."""

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        # Both exponents are <= 0, so nothing overflows, and small results keep all their digits.
        small = xp.exp(-xp.abs(x))
        y = xp.exp(xp.minimum(x, 0)) / (1 + small)
        self.slope = small / (1 + small) ** 2  # y (1 - y), without the cancellation in 1 - y
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (grad * self.slope,)


class Tanh(Op):
    """(any shape) -> same: y = tanh x.  dy/dx = 1 - y^2."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).tanh(x)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * (1 - y * y),)
