"""exp, log, sqrt, abs, clip, maximum, minimum, where, astype: element by element.

Every op here keeps the memory order that its input has.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Op


class Exp(Op):
    """(any shape) -> same: y = e^x.  dy/dx = y."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).exp(x)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad * y,)


class Log(Op):
    """(any shape) -> same: y = ln x.  dy/dx = 1 / x.  IEEE: ln 0 = -inf, ln of a negative number = NaN."""

    def forward(self, x: Array) -> Array:
        self.saved = (x,)
        return array_module(x).log(x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        return (grad / x,)


class Sqrt(Op):
    """(any shape) -> same: y = sqrt x.  dy/dx = 1 / (2 y), infinite at x = 0; NaN for x < 0."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).sqrt(x)
        self.saved = (y,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (grad / (2 * y),)


class Abs(Op):
    """(any shape) -> same: y = |x|.  dy/dx = sign x, 0 at x = 0."""

    def forward(self, x: Array) -> Array:
        self.saved = (x,)
        return array_module(x).abs(x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        return (grad * array_module(x).sign(x),)


class Clip(Op):
    """(any shape) -> same: y = min(max(x, low), high).  dy/dx = 1 where low <= x <= high, else 0 (as in TensorFlow, PyTorch).

    low and high are numbers, or None for no bound on that side. NaN stays NaN.
    """

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low = low
        self.high = high

    def forward(self, x: Array) -> Array:
        self.saved = (x,)
        return array_module(x).clip(x, self.low, self.high)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        xp = array_module(x)
        if self.low is not None:
            grad = xp.where(x >= self.low, grad, 0)
        if self.high is not None:
            grad = xp.where(x <= self.high, grad, 0)
        return (grad,)


class Maximum(Op):
    """(a), (b) -> broadcast: y = max(a, b).  The larger operand gets the gradient; ties share it, one half each.

    NaN in either operand gives NaN, and both operands then get the whole gradient.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        self.saved = (a, b)
        return array_module(b if isinstance(a, (int, float)) else a).maximum(a, b)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        xp = array_module(grad)
        shared = xp.where(a == b, grad / 2, grad)
        return (
            xp.where(a < b, 0, shared) if self.needs_grad[0] else None,
            xp.where(b < a, 0, shared) if self.needs_grad[1] else None,
        )


class Minimum(Op):
    """(a), (b) -> broadcast: y = min(a, b).  The smaller operand gets the gradient; ties share it, one half each.

    NaN in either operand gives NaN, and both operands then get the whole gradient.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        self.saved = (a, b)
        return array_module(b if isinstance(a, (int, float)) else a).minimum(a, b)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        xp = array_module(grad)
        shared = xp.where(a == b, grad / 2, grad)
        return (
            xp.where(a > b, 0, shared) if self.needs_grad[0] else None,
            xp.where(b > a, 0, shared) if self.needs_grad[1] else None,
        )


class Where(Op):
    """(condition), (a), (b) -> broadcast: y = a where the condition holds, else b.  Each gets the gradient where it was taken.

    The condition is a bool array; it has no gradient.
    """

    broadcasts = True

    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        self.saved = (self.condition,)
        return array_module(self.condition).where(self.condition, a, b)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (condition,) = self.saved
        xp = array_module(grad)
        return (
            xp.where(condition, grad, 0) if self.needs_grad[0] else None,
            xp.where(condition, 0, grad) if self.needs_grad[1] else None,
        )


class AsType(Op):
    """(any shape) -> same: x in another floating-point type; the gradient comes back in the type of x.

    To integers or bools there is no such op: they have no gradient (`Tensor.astype`).
    """

    def __init__(self, dtype: Array) -> None:
        self.target = dtype

    def forward(self, x: Array) -> Array:
        self.source = x.dtype
        return x.astype(self.target)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (grad.astype(self.source),)
