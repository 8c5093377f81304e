"""sum, mean, max, min, var, std, prod: reductions along some axes.

Backward repeats the upstream gradient along the reduced axes and multiplies each element by its own weight. float16
numbers are added up in float32 (`half.py`).
`axes` is a tuple of distinct axes, none negative.
"""

from __future__ import annotations

import math

from ..backend import Array, array_module
from ..core import Op
from .half import narrow, total, wide


class Reduction(Op):
    """Base of the reductions: which axes are reduced, and whether they are kept with length 1."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool) -> None:
        self.axes = axes
        self.keepdims = keepdims

    def spread(self, reduced: Array, shape: tuple[int, ...]) -> Array:
        return expand_reduced(reduced, shape, self.axes)

    def count(self, shape: tuple[int, ...]) -> int:
        """How many elements are reduced to one."""
        return math.prod(shape[axis] for axis in self.axes)


class Sum(Reduction):
    """(shape) -> shape without `axes`: y = sum of x.  dy/dx = 1."""

    def forward(self, x: Array) -> Array:
        self.input_shape = x.shape
        return narrow(total(x, self.axes, self.keepdims), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        # Copied: matrix products are many times slower on a view that repeats one number.
        return (self.spread(grad, self.input_shape).copy(),)


class Mean(Reduction):
    """(shape) -> shape without `axes`: y = sum of x / n, n the number of elements averaged.  dy/dx = 1 / n."""

    def forward(self, x: Array) -> Array:
        self.input_shape = x.shape
        return narrow(total(x, self.axes, self.keepdims) / self.count(x.shape), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        share = narrow(wide(grad) / self.count(self.input_shape), grad)  # the count may exceed the largest float16
        return (self.spread(share, self.input_shape).copy(),)


class Extremum(Reduction):
    """Base of max and min: elements equal to the extremum share the gradient in equal parts (the rule for ties).

    NaN in the input gives NaN in the output and in the gradient.
    """

    def keep(self, x: Array, y: Array) -> None:
        self.saved = (x, y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, y = self.saved
        hit = (x == self.spread(y, x.shape)).astype(grad.dtype)
        ties = total(hit, self.axes, keepdims=True)
        return (narrow(hit * self.spread(grad, x.shape) / ties, grad),)


class Max(Extremum):
    """(shape) -> shape without `axes`: y = max of x.  The k elements equal to the maximum get 1 / k of the gradient each."""

    def forward(self, x: Array) -> Array:
        y = x.max(axis=self.axes, keepdims=self.keepdims)
        self.keep(x, y)
        return y


class Min(Extremum):
    """(shape) -> shape without `axes`: y = min of x.  The k elements equal to the minimum get 1 / k of the gradient each."""

    def forward(self, x: Array) -> Array:
        y = x.min(axis=self.axes, keepdims=self.keepdims)
        self.keep(x, y)
        return y


class Deviation(Reduction):
    """Base of var and std: the sum of (x - mean)^2, divided by n - ddof.

    ddof = 0 is the variance of the numbers themselves (NumPy's default), ddof = 1 the unbiased estimate (PyTorch's).
    """

    def __init__(self, axes: tuple[int, ...], keepdims: bool, ddof: int) -> None:
        super().__init__(axes, keepdims)
        self.ddof = ddof

    def variance(self, x: Array) -> Array:
        """(shape) -> shape without `axes`; of float16 numbers in float32."""
        # The mean depends on x too, but its share of the gradient is the sum of (x - mean), which is 0.
        self.centred = wide(x) - total(x, self.axes, keepdims=True) / self.count(x.shape)
        self.divisor = self.count(x.shape) - self.ddof
        return (self.centred * self.centred).sum(axis=self.axes, keepdims=self.keepdims) / self.divisor


class Var(Deviation):
    """(shape) -> shape without `axes`: y = sum of (x - mean)^2 / (n - ddof).  dy/dx = 2 (x - mean) / (n - ddof)."""

    def forward(self, x: Array) -> Array:
        return narrow(self.variance(x), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (narrow(self.spread(wide(grad) * (2 / self.divisor), self.centred.shape) * self.centred, grad),)


class Std(Deviation):
    """(shape) -> shape without `axes`: y = sqrt(sum of (x - mean)^2 / (n - ddof)).  dy/dx = (x - mean) / ((n - ddof) y).

    Where y = 0, all x are equal: the slope is set to 0 there (as in PyTorch), because the formula gives 0 / 0.
    """

    def forward(self, x: Array) -> Array:
        y = array_module(x).sqrt(self.variance(x))
        self.saved = (y,)
        return narrow(y, x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        slope = array_module(grad).where(y == 0, 0, wide(grad) / (self.divisor * y))
        return (narrow(self.spread(slope, self.centred.shape) * self.centred, grad),)


class Prod(Reduction):
    """(shape) -> shape without `axes`: y = product of x.  dy/dx_i = product of all the other x, also where some are 0.

    Not y / x_i: the product of those before x_i times the product of those after it.
    """

    def forward(self, x: Array) -> Array:
        self.saved = (x,)
        return narrow(wide(x).prod(axis=self.axes, keepdims=self.keepdims), x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        xp = array_module(x)
        order = [*(axis for axis in range(x.ndim) if axis not in self.axes), *self.axes]
        moved = wide(x).transpose(order)
        rows = moved.reshape(*moved.shape[: x.ndim - len(self.axes)], self.count(x.shape))
        ones = xp.ones_like(rows[..., :1])
        before = xp.cumprod(xp.concatenate([ones, rows[..., :-1]], axis=-1), axis=-1)
        after = xp.cumprod(xp.concatenate([ones, rows[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        others = (before * after).reshape(moved.shape).transpose(sorted(range(x.ndim), key=order.__getitem__))
        return (narrow(self.spread(grad, x.shape) * others, grad),)


def expand_reduced(array: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """(shape without `axes`, or with them at length 1) -> `shape`: a reduced array repeated along the reduced axes.

    A read-only view: nothing is copied.
    """
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return array_module(array).broadcast_to(array.reshape(kept), shape)
