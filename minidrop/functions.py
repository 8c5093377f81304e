"""Functions of two or more tensors, and the methods of Tensor as functions, which take arrays and lists too.

`functional.py` re-exports them and adds those that the layers of the paper compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .backend import device_of, is_array, to_device
from .guard import operands, shapes
from .operators import Axis
from .ops import elementwise, shape
from .tensor import Operand, Tensor, apply, as_tensor


def where(condition: Any, a: Operand, b: Operand) -> Tensor:
    """(condition), (a), (b) -> broadcast: a where the condition holds, else b. The condition has no gradient."""
    device = next((operand.device for operand in (a, b) if isinstance(operand, Tensor)), "cpu")
    chosen = condition.data if isinstance(condition, Tensor) else condition
    chosen = chosen if is_array(chosen) else to_device(operands.as_array(chosen, "bool"), device)
    operands.require_same_device("where", device, device_of(chosen))
    op = elementwise.Where(chosen if chosen.dtype.kind == "b" else chosen != 0)
    try:
        return apply(op, a, b)
    except ValueError as error:
        operands.explain_broadcasting("Where", error, chosen, *(as_tensor(operand).data for operand in (a, b)))
        raise


def maximum(a: Operand, b: Operand) -> Tensor:
    """(a), (b) -> broadcast: the larger of the two; ties share the gradient, one half each."""
    return apply(elementwise.Maximum(), a, b)


def minimum(a: Operand, b: Operand) -> Tensor:
    """(a), (b) -> broadcast: the smaller of the two; ties share the gradient, one half each."""
    return apply(elementwise.Minimum(), a, b)


def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """(.., d1, ..), (.., d2, ..), ... -> (.., d1 + d2 + ..., ..): joined along an existing axis."""
    joined = [as_tensor(tensor) for tensor in tensors]
    along = shapes.joining_axis("concatenate", [tensor.shape for tensor in joined], axis, new=False)
    return apply(shape.Concatenate(along), *joined)


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """k tensors of (shape) -> shape with a new axis of length k at `axis`."""
    joined = [as_tensor(tensor) for tensor in tensors]
    along = shapes.joining_axis("stack", [tensor.shape for tensor in joined], axis, new=True)
    return apply(shape.Stack(along), *joined)


# The methods of Tensor ------------------------------------------------------------------------------------------------


def exp(x: Operand, /) -> Tensor:
    """(any shape) -> same: e^x."""
    return as_tensor(x).exp()


def log(x: Operand, /) -> Tensor:
    """(any shape) -> same: the natural logarithm; -inf at 0, NaN below."""
    return as_tensor(x).log()


def sqrt(x: Operand, /) -> Tensor:
    """(any shape) -> same: the square root; NaN below 0."""
    return as_tensor(x).sqrt()


def abs(x: Operand, /) -> Tensor:
    """(any shape) -> same: |x|; the gradient at 0 is 0."""
    return as_tensor(x).abs()


def clip(x: Operand, /, low: float | None = None, high: float | None = None) -> Tensor:
    """(any shape) -> same: min(max(x, low), high); the gradient passes where low <= x <= high."""
    return as_tensor(x).clip(low, high)


def tanh(x: Operand, /) -> Tensor:
    """(any shape) -> same: the hyperbolic tangent."""
    return as_tensor(x).tanh()


def sigmoid(x: Operand, /) -> Tensor:
    """(any shape) -> same: 1 / (1 + e^-x)."""
    return as_tensor(x).sigmoid()


def relu(x: Operand, /) -> Tensor:
    """(any shape) -> same: max(x, 0); the gradient at 0 is 0."""
    return as_tensor(x).relu()


def softplus(x: Operand, /) -> Tensor:
    """(any shape) -> same: ln(1 + e^x), a smooth max(x, 0)."""
    return as_tensor(x).softplus()


def softmax(x: Operand, /, axis: int = -1) -> Tensor:
    """(shape) -> same: e^x / (sum of e^x along `axis`); no overflow, however large x is."""
    return as_tensor(x).softmax(axis)


def elu(x: Operand, /, alpha: float = 1.0) -> Tensor:
    """(any shape) -> same: x for x > 0, else alpha (e^x - 1)."""
    return as_tensor(x).elu(alpha)


def sum(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`: the sum over one axis, several, or (None) all."""
    return as_tensor(x).sum(axis, keepdims)


def mean(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`: the arithmetic mean. Raises ShapeError if there is nothing to average."""
    return as_tensor(x).mean(axis, keepdims)


def max(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`: the largest element; equal ones share the gradient in equal parts."""
    return as_tensor(x).max(axis, keepdims)


def min(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`: the smallest element; equal ones share the gradient in equal parts."""
    return as_tensor(x).min(axis, keepdims)


def var(x: Operand, /, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """(shape) -> shape without `axis`: sum of (x - mean)^2 / (n - ddof)."""
    return as_tensor(x).var(axis, keepdims, ddof)


def std(x: Operand, /, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """(shape) -> shape without `axis`: the square root of `var`; the gradient where it is 0 is 0."""
    return as_tensor(x).std(axis, keepdims, ddof)


def prod(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`: the product over one axis, several, or (None) all."""
    return as_tensor(x).prod(axis, keepdims)


def argmax(x: Operand, /, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`, int64: the place of the largest element, the first of equal ones."""
    return as_tensor(x).argmax(axis, keepdims)


def argmin(x: Operand, /, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """(shape) -> shape without `axis`, int64: the place of the smallest element, the first of equal ones."""
    return as_tensor(x).argmin(axis, keepdims)


def reshape(x: Operand, /, *new_shape: Any) -> Tensor:
    """(shape) -> new shape of the same size; one length may be -1."""
    return as_tensor(x).reshape(*new_shape)


def flatten(x: Operand, /, start_axis: int = 0) -> Tensor:
    """(d0, ..., dn) -> (d0, ..., product of the axes from start_axis on)."""
    return as_tensor(x).flatten(start_axis)


def squeeze(x: Operand, /, axis: Axis = None) -> Tensor:
    """(.., 1, ..) -> (.., ..): without the axis, which must have length 1; None: without all those."""
    return as_tensor(x).squeeze(axis)


def unsqueeze(x: Operand, /, axis: int) -> Tensor:
    """(shape) -> shape with a new axis of length 1 at `axis`."""
    return as_tensor(x).unsqueeze(axis)


def split(x: Operand, /, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """(.., n, ..) -> (.., n1, ..), (.., n2, ..), ...: pieces along `axis`, of these lengths, or of one length (an int)."""
    return as_tensor(x).split(sizes, axis)


def transpose(x: Operand, /, *axes: Any) -> Tensor:
    """(d0, d1, ...) -> the axes in another order; without arguments in reverse."""
    return as_tensor(x).transpose(*axes)


def expand(x: Operand, /, *new_shape: Any) -> Tensor:
    """(shape) -> the shape that it is broadcast to; -1 keeps the length of an axis."""
    return as_tensor(x).expand(*new_shape)


def pad(x: Operand, /, widths: Any, value: float = 0.0) -> Tensor:
    """(d0, ...) -> (before0 + d0 + after0, ...): a constant all around."""
    return as_tensor(x).pad(widths, value)
