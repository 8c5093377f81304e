"""a + b, a - b, a * b, a / b, a ** b, -a: element by element, with broadcasting.

Each operand is an array or a Python number; a number takes the other operand's type, if that is floating-point, and has no
gradient. The gradients below have the broadcast shape; the door `fold` sums them over the axes that broadcasting stretched.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array, array_module, capturing, is_array
from ..core import Op
from ..errors import ArgumentError


class Add(Op):
    """(a), (b) -> broadcast: y = a + b.  dy/da = 1, dy/db = 1."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return grad, grad


class Sub(Op):
    """(a), (b) -> broadcast: y = a - b.  dy/da = 1, dy/db = -1."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return grad, -grad if self.needs_grad[1] else None


class Mul(Op):
    """(a), (b) -> broadcast: y = a b.  dy/da = b, dy/db = a."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        needs_a, needs_b = self.needs_grad
        self.saved = (a if needs_b else None, b if needs_a else None)
        return a * b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        needs_a, needs_b = self.needs_grad
        return grad * b if needs_a else None, grad * a if needs_b else None


class Div(Op):
    """(a), (b) -> broadcast: y = a / b.  dy/da = 1 / b, dy/db = -a / b^2.

    b = 0 follows IEEE arithmetic: y is +-inf or NaN, without a warning. A later op that ignores y sends back grad = 0, but
    0 / 0 is NaN, so the gradients of a and b are NaN all the same. (A possible cause of the crash of the published DropAlan;
    `detect_anomaly` names the op.)
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        self.saved = (a if self.needs_grad[1] else None, b)
        return a / b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        needs_a, needs_b = self.needs_grad
        # Divided twice: b * b would overflow or underflow long before b does.
        return grad / b if needs_a else None, -grad * (a / b) / b if needs_b else None


class Pow(Op):
    """(a), (b) -> broadcast: y = a^b.  dy/da = b a^(b-1), dy/db = a^b log a.

    Integers to negative powers are refused: NumPy would do the same, CuPy would give 0.
    Edge cases: b = 0 gives dy/da = 0 (also for a = 0); a = 0 with b >= 0 gives dy/db = 0; a < 0 gives dy/db = NaN.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        self.saved = (a, b)
        if True not in self.needs_grad:
            require_powers_of_integers(a, b)
        return a**b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        needs_a, needs_b = self.needs_grad
        return grad * self.slope_base() if needs_a else None, grad * self.slope_exponent() if needs_b else None

    def slope_base(self) -> Array:
        a, b = self.saved
        if isinstance(b, (int, float)):
            return b * a ** (b - 1) if b != 0 else array_module(a).zeros_like(a)
        xp = array_module(b)
        return xp.where(b == 0, 0, b * a ** xp.where(b == 0, 1, b - 1))

    def slope_exponent(self) -> Array:
        a, b = self.saved
        xp = array_module(b)
        if isinstance(a, (int, float)):
            a = xp.asarray(a, dtype=b.dtype)
        return xp.where((a == 0) & (b >= 0), 0, a**b * xp.log(a))


class Neg(Op):
    """(any shape) -> same: y = -a.  dy/da = -1."""

    def forward(self, a: Array) -> Array:
        return -a

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (-grad,)


def require_powers_of_integers(a: Any, b: Any) -> None:
    """Raise ArgumentError for an integer to a negative integer power, which would not be an integer."""
    for value in (a, b):
        if not (value.dtype.kind in "iub" if is_array(value) else isinstance(value, int)):
            return
    negative = b < 0
    if not capturing() and (negative.any().item() if is_array(negative) else negative):
        raise ArgumentError(
            "Pow: an integer to a negative power",
            expected="exponents of 0 or more, or floating-point numbers",
            got="a negative integer exponent",
            help='x.astype("float32") ** -2',
        )
