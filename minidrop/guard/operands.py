"""Checks of arrays, shapes, axes and operands, before any work."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..backend import Array, device_of, is_array, ones_like, run_on, to_device
from ..core import Variable
from ..errors import ArgumentError, DeviceError, DTypeError, GraphError, MinidropError, ShapeError

Shape = tuple[int, ...]
KINDS = frozenset("fiub")  # of number types: floats, integers, bools


def as_array(data: Any, dtype: Any) -> Array:
    """data -> an array: arrays unchanged (memory shared), Python numbers and lists as float32, unless `dtype` is given."""
    if is_array(data):
        array = np.asarray(data) if isinstance(data, np.ndarray) else data
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        array = _array_from_python(data, "float32" if dtype is None else dtype)
    if array.dtype.kind not in KINDS:
        raise DTypeError(
            "Tensor: data that is not real numbers",
            expected="an array of floats, integers or bools",
            got=f"an array of {array.dtype}",
        )
    return array if dtype is None or array.dtype == dtype else array.astype(dtype)


def _array_from_python(data: Any, dtype: Any) -> Array:
    if isinstance(data, (list, tuple)) and any(isinstance(item, Variable) for item in data):
        raise DTypeError("Tensor: a list of tensors", expected="numbers", got="tensors", help="md.stack joins tensors")
    if data is None or isinstance(data, (str, bytes, dict, set)):
        raise DTypeError("Tensor: data that is not numbers", expected="numbers, lists or arrays", got=repr(data)[:80])
    try:
        return np.asarray(data, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(
            "Tensor: data that is not one array of numbers",
            expected="a number, an array, or nested lists of numbers with equal lengths",
            got=f"{type(data).__name__} ({error})",
        ) from error


def can_require_grad(tensor: Any, value: bool) -> None:
    """Raise unless `tensor.requires_grad = value` is allowed."""
    if tensor._op is not None and not value:
        raise GraphError("requires_grad can be set only on leaves", help="detach() gives a tensor without history")
    if value and tensor.dtype.kind != "f":
        raise DTypeError(
            "Tensor: only floating-point tensors can have gradients",
            expected="float32 or float64",
            got=str(tensor.dtype),
            help="pass dtype='float32', or requires_grad=False",
        )


def require_same_device(name: str, first: str, other: str) -> None:
    """Raise DeviceError unless both operands are on one device."""
    if first != other:
        raise DeviceError(
            f"{name}: operands on different devices",
            expected=f"all on {first!r}, like the first",
            got=repr(other),
            help=f"move it with .to({first!r}); nothing is moved silently, for a transfer costs more than most ops",
        )


def require_alike(name: str, first: Array, other: Array) -> None:
    """Raise DeviceError or DTypeError unless two arrays are on one device and of one number type."""
    require_same_device(name, device_of(first), device_of(other))
    if first.dtype != other.dtype:
        raise DTypeError(
            f"{name}: operands of different number types",
            expected=f"all {first.dtype}, like the first",
            got=str(other.dtype),
            help=f"convert one with .astype({str(first.dtype)!r}); nothing is converted silently, for it may lose digits",
        )


def make_alike(name: str, arrays: list[Any]) -> Array:
    """The inputs of an op -> its first array. Converts the inputs in place, or raises DeviceError or DTypeError.

    NumPy scalars become Python numbers; lists become arrays of the type and device of the others; masks become 0 and 1 in that
    type, so that x * (x > 0) works. If all are numbers, the first becomes an array.
    """
    for position, value in enumerate(arrays):
        if is_array(value):
            arrays[position] = as_array(value, None)  # a plain array of real numbers
        elif isinstance(value, np.generic):
            arrays[position] = _python_number(value)
    given = [value for value in arrays if is_array(value)]
    numbers = next((array.dtype for array in given if array.dtype.kind != "b"), None)
    for position, value in enumerate(arrays):
        if not is_array(value) and value is not None and type(value) not in (float, int, bool):
            made = as_array(value, _type_for(value, numbers))
            arrays[position] = made if not given else to_device(made, device_of(given[0]))
    if not any(is_array(value) for value in arrays):
        arrays[0] = as_array(arrays[0], None)
    numbers = next((array.dtype for array in arrays if is_array(array) and array.dtype.kind != "b"), None)
    for position, value in enumerate(arrays):
        if numbers is not None and is_array(value) and value.dtype.kind == "b":
            arrays[position] = run_on(value, value.astype, numbers)
    first, *others = [value for value in arrays if is_array(value)]
    for other in others:
        require_alike(name, first, other)
    return first


def _python_number(scalar: np.generic) -> float | int | bool:
    """A NumPy scalar as a Python number, which has no type of its own to impose."""
    number = as_array(scalar, None).item()
    return float(number) if isinstance(number, np.generic) else number  # a long double stays one in item()


def _type_for(value: Any, numbers: Any) -> Any:
    """The type for a list beside arrays of the type `numbers`: theirs, but integers do not swallow fractions."""
    if numbers is not None and numbers.kind in "iu" and np.asarray(value).dtype.kind == "f":
        return None
    return numbers


def explain_broadcasting(name: str, error: ValueError, *operands: Any) -> None:
    """Raise ShapeError if `error` came from shapes that do not broadcast; the library raises it before it computes."""
    shapes = [operand.shape for operand in operands if is_array(operand)]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        if "broadcast" in str(error) and not isinstance(error, MinidropError):
            raise ShapeError(
                f"{name}: shapes that do not broadcast",
                expected="equal lengths, or 1, in each axis, counted from the last",
                got=" and ".join(map(str, shapes)),
            ) from error


def require_one_element(shape: Shape) -> None:
    """Raise ShapeError unless there is exactly one element."""
    if math.prod(shape) != 1:
        raise ShapeError("item: not a single number", expected="one element", got=f"shape {shape}", help="reduce it first")


def upstream_gradient(tensor: Any, grad: Any) -> Array:
    """The gradient that `backward` starts from: `grad` in the tensor's shape, type and device, or 1 for a single element."""
    if grad is None:
        if tensor.size != 1:
            raise ShapeError(
                "backward: which gradient? This tensor is not a single number",
                expected="a scalar, or backward(grad) with an upstream gradient",
                got=f"shape {tensor.shape} and no gradient",
                help="reduce it to a scalar loss first, for example .mean()",
            )
        return ones_like(tensor.data)
    if isinstance(grad, Variable):
        grad = grad._data
    array = grad if is_array(grad) else to_device(as_array(grad, tensor.dtype), tensor.device)
    require_same_device("backward", tensor.device, device_of(array))
    if array.shape != tensor.shape:
        raise ShapeError(
            "backward: the upstream gradient has the wrong shape", expected=str(tensor.shape), got=str(array.shape)
        )
    return array if array.dtype == tensor.dtype else array.astype(tensor.dtype)


def axes(name: str, shape: Shape, axis: Any, fewest: int = 0) -> Shape:
    """axis -> the axes it means, none negative; at least `fewest` elements must be reduced to one."""
    try:
        given = range(len(shape)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
        chosen = tuple(operator.index(one) + (len(shape) if one < 0 else 0) for one in given)
    except TypeError:
        raise ArgumentError(f"{name}: bad axis", expected="an int, a tuple of ints, or None", got=repr(axis)) from None
    if any(not 0 <= one < len(shape) for one in chosen) or len(set(chosen)) != len(chosen):
        raise ShapeError(
            f"{name}: axes that the tensor does not have, or the same one twice",
            expected=f"distinct axes from {-len(shape)} to {len(shape) - 1} for shape {shape}",
            got=repr(axis),
        )
    count = math.prod(shape[one] for one in chosen)
    if count < fewest:
        raise ShapeError(
            f"{name}: too few elements",
            expected=f"at least {fewest} along the axes {chosen}",
            got=f"{count}, in shape {shape}",
            help="an empty batch? The result would be 0 / 0",
        )
    return chosen


def one_axis(name: str, shape: Shape, axis: Any, fewest: int = 0) -> int:
    """One axis, not negative; its length must be at least `fewest`."""
    if axis is None or isinstance(axis, (tuple, list)):
        raise ArgumentError(f"{name}: bad axis", expected="one int", got=repr(axis))
    return axes(name, shape, axis, fewest)[0]


def _lengths(arguments: tuple[Any, ...]) -> Shape:
    """f(2, 3) and f((2, 3)) mean the same."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        arguments = tuple(arguments[0])
    return tuple(operator.index(length) for length in arguments)


def new_shape(shape: Shape, arguments: tuple[Any, ...]) -> Shape:
    """The arguments of reshape -> the new shape, with a -1 filled in."""
    target, size = _lengths(arguments), math.prod(shape)
    if target.count(-1) == 1:
        known = math.prod(length for length in target if length != -1)
        if known > 0 and size % known == 0:
            target = tuple(size // known if length == -1 else length for length in target)
    if any(length < 0 for length in target) or math.prod(target) != size:
        raise ShapeError("reshape: the sizes differ", expected=f"{size} elements, from shape {shape}", got=f"shape {target}")
    return target


def flat_shape(shape: Shape, start: int) -> Shape:
    """(d0, ..., dn) -> (d0, ..., product of the axes from `start` on); a 0-d tensor becomes (1,)."""
    if shape and not -len(shape) <= start < len(shape):
        raise ShapeError("flatten: no such axis", expected=f"an axis of shape {shape}", got=str(start))
    start = start % len(shape) if shape else 0
    return (*shape[:start], math.prod(shape[start:]))


def permutation(shape: Shape, arguments: tuple[Any, ...]) -> Shape:
    """The arguments of transpose -> a permutation of the axes, none negative; without arguments, the reverse."""
    if not arguments or arguments == (None,):
        return tuple(reversed(range(len(shape))))
    chosen = tuple(axis + len(shape) if axis < 0 else axis for axis in _lengths(arguments))
    if sorted(chosen) != list(range(len(shape))):
        raise ShapeError("transpose: not a permutation", expected=f"each axis of shape {shape} once", got=str(arguments))
    return chosen


def expanded_shape(shape: Shape, arguments: tuple[Any, ...]) -> Shape:
    """The arguments of expand -> the shape to broadcast to; -1 stands for the old length."""
    target = _lengths(arguments)
    new = len(target) - len(shape)
    filled = (
        *target[:new],
        *(old if length == -1 else length for old, length in zip(shape, target[max(new, 0) :], strict=False)),
    )
    if new < 0 or min(filled, default=0) < 0 or any(old not in (1, now) for old, now in zip(shape, filled[new:], strict=True)):
        raise ShapeError(
            "expand: shapes that do not broadcast", expected=f"a shape that {shape} broadcasts to", got=str(arguments)
        )
    return filled


def pad_widths(shape: Shape, widths: Any) -> tuple[tuple[int, int], ...]:
    """The widths of pad -> one (before, after) per axis."""
    try:
        pairs = np.broadcast_to(np.asarray(widths), (len(shape), 2))
    except ValueError:
        pairs = np.array([[-1, -1]])
    if pairs.dtype.kind not in "iu" or (pairs < 0).any():
        raise ShapeError(
            "pad: bad widths",
            expected=f"a number, a pair, or {len(shape)} pairs (before, after), none negative",
            got=repr(widths),
        )
    return tuple((int(before), int(after)) for before, after in pairs)


def bounds(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """The bounds of clip, as numbers."""
    low, high = (None if bound is None else float(bound) for bound in (low, high))
    if (low is None and high is None) or (low is not None and high is not None and not low <= high):
        raise ArgumentError("clip: bad bounds", expected="low <= high, at most one of them None", got=f"low={low}, high={high}")
    return low, high


def index(index: Any, device: str) -> Any:
    """An index, with its arrays, lists and tensors converted to arrays on `device`."""
    return tuple(_index_part(part, device) for part in index) if isinstance(index, tuple) else _index_part(index, device)


def _index_part(part: Any, device: str) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)):
        return part
    if isinstance(part, Variable):
        part = part._data
    array = part if is_array(part) else np.asarray(part, dtype=None if np.size(part) else np.int64)
    if array.dtype.kind not in "iub":
        raise DTypeError(
            "index: not integers", expected="integers, slices, None, ..., integer or bool arrays", got=repr(part)[:80]
        )
    return to_device(array, device)


def require_matrices(left: Any, right: Any) -> None:
    """Raise ShapeError unless left @ right is defined."""
    a, b = (value.shape if hasattr(value, "shape") else as_array(value, None).shape for value in (left, right))
    fits = len(a) > 0 and len(b) > 0 and a[-1] == b[-2 if len(b) > 1 else 0]
    if fits and len(a) > 1 and len(b) > 1:
        fits = all(m == n or 1 in (m, n) for m, n in zip(a[-3::-1], b[-3::-1], strict=False))
    if not fits:
        raise ShapeError("matmul: shapes that do not fit", expected="(..., M, K) @ (..., K, N)", got=f"{a} @ {b}")


def joining_axis(name: str, shapes: list[Shape], axis: int, new: bool) -> int:
    """The axis of concatenate or (`new`) stack, not negative; the shapes must fit along all others."""
    if not shapes:
        raise ShapeError(f"{name}: nothing to join", expected="at least one tensor", got="none")
    rank = len(shapes[0]) + new
    along = one_axis(name, (1,) * rank, axis)
    others = {shape if new else (*shape[:along], -1, *shape[along + 1 :]) for shape in shapes}
    if len(others) > 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ShapeError(
            f"{name}: shapes that do not fit", expected=f"like {shapes[0]}, except in the joined axis", got=str(shapes)
        )
    return along
