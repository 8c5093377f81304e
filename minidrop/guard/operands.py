"""Checks of arrays and operands, before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, device_of, is_array, ones_like, run_on, to_device
from ..core import Variable, no_grad_depth
from ..errors import DeviceError, DTypeError, GraphError, MinidropError, ShapeError

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
    if _holds_a_tensor(data):
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


def _holds_a_tensor(data: Any) -> bool:
    if not isinstance(data, (list, tuple)):
        return False
    return any(isinstance(item, Variable) or _holds_a_tensor(item) for item in data)


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


def require_leaf(tensor: Any) -> None:
    """Raise GraphError for the output of an op: its copy would have a copy of its history, which leads to copies of leaves."""
    if tensor._op is not None:
        raise GraphError(
            "copy.deepcopy or pickle of a tensor that an op made",
            expected="a tensor that the user made (a leaf): gradients would go to hidden copies of the leaves",
            got=f"the output of {tensor._op.name}, of shape {tensor.shape}",
            help="x.detach() has the same numbers and no history",
        )


def require_no_recording(name: str, tensor: Any, other: Any) -> None:
    """Raise GraphError unless inside no_grad: a tensor is about to be changed in place, and it or `other` has a gradient."""
    if not no_grad_depth.now and any(isinstance(one, Variable) and one._requires_grad for one in (tensor, other)):
        raise GraphError(
            f"{name}: in place, on a tensor that requires a gradient",
            expected="a change inside `with md.no_grad():`, as of an optimiser",
            got=f"a leaf of shape {tensor.shape}, while operations are recorded",
            help="for another tensor, whose gradient flows back to this one, write y = x + b, not x += b",
        )


def require_same_shape(name: str, tensor: Any, result: Any) -> None:
    """Raise ShapeError unless the result of a change in place fits into the tensor."""
    if result.shape != tensor.shape or result.dtype != tensor.dtype:
        raise ShapeError(
            f"{name}: in place, the result does not fit",
            expected=f"{tensor.dtype} of shape {tensor.shape}",
            got=f"{result.dtype} of shape {result.shape}",
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


def require_alike(name: str, model: Array, other: Array, which: str) -> None:
    """Raise DeviceError or DTypeError unless two arrays are on one device and of one number type; `which` names the first."""
    require_same_device(name, device_of(model), device_of(other))
    if model.dtype != other.dtype:
        raise DTypeError(
            f"{name}: operands of different number types",
            expected=f"all {model.dtype}, like {which}",
            got=str(other.dtype),
            help=f"convert the other with .astype({type_name(model.dtype)!r}); it is not done silently: digits may be lost",
        )


def type_name(dtype: Any) -> str:
    """A dtype as one writes it: "float32", whichever the order of the bytes is."""
    return str(np.dtype(dtype).newbyteorder("="))


def make_alike(name: str, arrays: list[Any], needs_grad: Sequence[bool] = ()) -> Array:
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
    given = [value for value in arrays if is_array(value)]
    trained = [value for value, needs in zip(arrays, needs_grad, strict=False) if needs and is_array(value)]
    model, which = (trained[0], "the one that requires a gradient") if trained else (given[0], "the first")
    for other in given:
        require_alike(name, model, other, which)
    return given[0]


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


def require_one_element(shape: Shape, what: str = "item", help: str = "reduce it first, by .mean() or .sum()") -> None:
    """Raise ShapeError unless there is exactly one element."""
    if math.prod(shape) != 1:
        raise ShapeError(f"{what}: not a single number", expected="one element", got=f"shape {shape}", help=help)


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
