"""The operators and methods of Tensor that are ops, one line each. The formulas are in `minidrop.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeAlias

from . import core
from .discrete import Discrete
from .errors import GraphError
from .guard import arguments, shapes
from .ops import activation, arithmetic, elementwise, loss, reduction, shape as shaping
from .ops.matmul import MatMul

Axis: TypeAlias = int | tuple[int, ...] | None


class Operators(Discrete):
    """Base class of Tensor: +, -, *, /, **, @, indexing, and the ops that are also methods.

    Operands are tensors, arrays, lists and Python numbers, of any shapes that broadcast; a number or a list takes the number
    type of the other operand, if that is floating-point. Errors: `guard/doors.py`.
    """

    __slots__ = ()

    shape: Any  # defined by Tensor
    dtype: Any
    device: Any
    apply: Callable[..., Self] = staticmethod(core.apply)

    # Operators -------------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Self:
        return self.apply(arithmetic.Add(), self, other)

    def __radd__(self, other: Any) -> Self:
        return self.apply(arithmetic.Add(), other, self)

    def __sub__(self, other: Any) -> Self:
        return self.apply(arithmetic.Sub(), self, other)

    def __rsub__(self, other: Any) -> Self:
        return self.apply(arithmetic.Sub(), other, self)

    def __mul__(self, other: Any) -> Self:
        return self.apply(arithmetic.Mul(), self, other)

    def __rmul__(self, other: Any) -> Self:
        return self.apply(arithmetic.Mul(), other, self)

    def __truediv__(self, other: Any) -> Self:
        return self.apply(arithmetic.Div(), self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.apply(arithmetic.Div(), other, self)

    def __pow__(self, other: Any) -> Self:
        return self.apply(arithmetic.Pow(), self, other)

    def __rpow__(self, other: Any) -> Self:
        return self.apply(arithmetic.Pow(), other, self)

    def __neg__(self) -> Self:
        return self.apply(arithmetic.Neg(), self)

    def __matmul__(self, other: Any) -> Self:
        shapes.require_matrices(self, other)
        return self.apply(MatMul(), self, other)

    def __rmatmul__(self, other: Any) -> Self:
        shapes.require_matrices(other, self)
        return self.apply(MatMul(), other, self)

    def __getitem__(self, index: Any) -> Self:
        return self.apply(shaping.GetItem(shapes.index(index, self.device)), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphError("tensors are not changed in place", help="build a new one (md.where), or assign to x.data[...]")

    # Element by element: (any shape) -> same; formulas in ops/elementwise.py and ops/activation.py -----------------------

    def exp(self) -> Self:
        """(any shape) -> same: e^x."""
        return self.apply(elementwise.Exp(), self)

    def log(self) -> Self:
        """(any shape) -> same: the natural logarithm; -inf at 0, NaN below."""
        return self.apply(elementwise.Log(), self)

    def sqrt(self) -> Self:
        """(any shape) -> same: the square root; NaN below 0."""
        return self.apply(elementwise.Sqrt(), self)

    def abs(self) -> Self:
        """(any shape) -> same: |x|; the gradient at 0 is 0."""
        return self.apply(elementwise.Abs(), self)

    __abs__ = abs

    def clip(self, low: float | None = None, high: float | None = None) -> Self:
        """(any shape) -> same: min(max(x, low), high); the gradient passes where low <= x <= high."""
        return self.apply(elementwise.Clip(*shapes.bounds(low, high)), self)

    def tanh(self) -> Self:
        """(any shape) -> same: the hyperbolic tangent."""
        return self.apply(activation.Tanh(), self)

    def sigmoid(self) -> Self:
        """(any shape) -> same: 1 / (1 + e^-x)."""
        arguments.require_floating("sigmoid", self.dtype)
        return self.apply(activation.Sigmoid(), self)

    def relu(self) -> Self:
        """(any shape) -> same: max(x, 0); the gradient at 0 is 0."""
        return self.apply(activation.Relu(), self)

    def elu(self, alpha: float = 1.0) -> Self:
        """(any shape) -> same: x for x > 0, else alpha (e^x - 1)."""
        return self.apply(activation.Elu(arguments.number("elu", "alpha", alpha)), self)

    def softplus(self) -> Self:
        """(any shape) -> same: ln(1 + e^x), a smooth max(x, 0)."""
        arguments.require_floating("softplus", self.dtype)
        return self.apply(activation.Softplus(), self)

    def softmax(self, axis: int = -1) -> Self:
        """(shape) -> same: e^x / (sum of e^x along `axis`); no overflow, however large x is."""
        arguments.require_floating("softmax", self.dtype)
        return self.apply(loss.Softmax(shapes.one_axis("softmax", self.shape, axis, fewest=1)), self)

    # Reductions: (shape) -> shape without the axes (with length 1 where keepdims); formulas in ops/reduction.py ------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`: the sum over one axis, several, or (None) all."""
        return self.apply(reduction.Sum(shapes.axes("sum", self.shape, axis), keepdims), self)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`: the arithmetic mean. Raises ShapeError if there is nothing to average."""
        return self.apply(reduction.Mean(shapes.axes("mean", self.shape, axis, fewest=1), keepdims), self)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`: the largest element; equal ones share the gradient in equal parts."""
        return self.apply(reduction.Max(shapes.axes("max", self.shape, axis, fewest=1), keepdims), self)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`: the smallest element; equal ones share the gradient in equal parts."""
        return self.apply(reduction.Min(shapes.axes("min", self.shape, axis, fewest=1), keepdims), self)

    def var(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Self:
        """(shape) -> shape without `axis`: sum of (x - mean)^2 / (n - ddof); ddof 0 as in NumPy, 1 for the unbiased one."""
        fewest = 1 + arguments.count("var", "ddof", ddof)
        return self.apply(reduction.Var(shapes.axes("var", self.shape, axis, fewest), keepdims, ddof), self)

    def std(self, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Self:
        """(shape) -> shape without `axis`: the square root of `var`; the gradient where it is 0 is 0."""
        fewest = 1 + arguments.count("std", "ddof", ddof)
        return self.apply(reduction.Std(shapes.axes("std", self.shape, axis, fewest), keepdims, ddof), self)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`: the product over one axis, several, or (None) all."""
        return self.apply(reduction.Prod(shapes.axes("prod", self.shape, axis), keepdims), self)

    # Shapes: formulas in ops/shape.py --------------------------------------------------------------------------------------

    def reshape(self, *new_shape: Any) -> Self:
        """(shape) -> new shape of the same size; one length may be -1."""
        return self.apply(shaping.Reshape(shapes.new_shape(self.shape, new_shape)), self)

    def flatten(self, start_axis: int = 0) -> Self:
        """(d0, ..., dn) -> (d0, ..., product of the axes from start_axis on)."""
        return self.apply(shaping.Reshape(shapes.flat_shape(self.shape, start_axis)), self)

    def squeeze(self, axis: Axis = None) -> Self:
        """(.., 1, ..) -> (.., ..): without the axis, which must have length 1; None: without all those."""
        return self.apply(shaping.Reshape(shapes.squeezed_shape(self.shape, axis)), self)

    def unsqueeze(self, axis: int) -> Self:
        """(shape) -> shape with a new axis of length 1 at `axis`."""
        return self.apply(shaping.Reshape(shapes.unsqueezed_shape(self.shape, axis)), self)

    def split(self, sizes: Any, axis: int = 0) -> tuple[Self, ...]:
        """(.., n, ..) -> (.., n1, ..), (.., n2, ..), ...: cut along `axis`.

        sizes: how long each piece is (a list), or all of them (an int; the last may be shorter), as in PyTorch. NumPy's int is
        the number of pieces instead.
        """
        return tuple(self[index] for index in shapes.split_places(self.shape, sizes, axis))

    def transpose(self, *axes: Any) -> Self:
        """(d0, d1, ...) -> the axes in another order; without arguments in reverse."""
        return self.apply(shaping.Transpose(shapes.permutation(self.shape, axes)), self)

    @property
    def T(self) -> Self:
        """The axes in reverse."""
        return self.transpose()

    def expand(self, *new_shape: Any) -> Self:
        """(shape) -> the shape that it is broadcast to; -1 keeps the length of an axis."""
        return self.apply(shaping.Expand(shapes.expanded_shape(self.shape, new_shape)), self)

    def pad(self, widths: Any, value: float = 0.0) -> Self:
        """(d0, ...) -> (before0 + d0 + after0, ...); widths: a number, a pair, or one (before, after) per axis."""
        return self.apply(shaping.Pad(shapes.pad_widths(self.shape, widths), arguments.number("pad", "value", value)), self)
