"""Checks of the input of layers, before any work: ranks, channels, windows, labels, masks, rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array, arranged_like, capturing, device_of, is_array, run_on, to_device
from ..core import Variable, no_grad_depth
from ..errors import ArgumentError, DTypeError, GraphError, ShapeError
from .operands import as_array, require_same_device, type_name


def require_rank(name: str, argument: str, shape: tuple[int, ...], layout: str) -> None:
    """Raise ShapeError unless `shape` has as many axes as `layout`, which is written like "(N, C, H, W)"."""
    rank = layout.count(",") + 1 - layout.count(",)")
    if len(shape) != rank:
        raise ShapeError(
            f"{name}: {argument} has the wrong rank",
            expected=f"{argument} of shape {layout}",
            got=str(shape),
            help="grey images: x[:, None] adds the channel axis; one image: x[None]" if layout == "(N, C, H, W)" else "",
        )


def require_batch(name: str, shape: tuple[int, ...]) -> None:
    """Raise ShapeError for an empty batch."""
    if shape[0] == 0:
        raise ShapeError(
            f"{name}: empty batch",
            expected="at least one example",
            got=f"shape {shape}",
            help="does the data loader hand out a last batch of size 0?",
        )


def require_features(name: str, shape: tuple[int, ...], axis: int, features: int, what: str) -> None:
    """Raise ShapeError unless axis `axis` has length `features`; `what` names them in the message."""
    if len(shape) <= axis or shape[axis] != features:
        raise ShapeError(
            f"{name}: the number of {what} differs",
            expected=f"{features} {what} in axis {axis} of the input",
            got=f"shape {shape}",
            help="channels last? x.transpose(0, 3, 1, 2)" if len(shape) == 4 and axis == 1 and shape[3] == features else "",
        )


def require_vector(name: str, argument: str, value: Any, length: int) -> None:
    """Raise ShapeError unless `value` is None or of shape (length,)."""
    if value is not None and value.shape != (length,):
        raise ShapeError(f"{name}: {argument} does not fit", expected=f"shape ({length},)", got=str(value.shape))


def require_floats(name: str, dtype: Any, types: tuple[str, ...]) -> None:
    """Raise DTypeError unless the numbers are of one of these types."""
    if str(dtype) not in types:
        raise DTypeError(
            f"{name}: numbers of the wrong type",
            expected=" or ".join(types),
            got=str(dtype),
            help=f"x.astype({types[0]!r}); or another algorithm",
        )


def require_floating(name: str, dtype: Any) -> None:
    """Raise DTypeError unless the numbers are floating-point."""
    if dtype.kind != "f":
        raise DTypeError(
            f"{name}: not floating-point numbers",
            expected="float32 or float64",
            got=str(dtype),
            help=_conversion("float32", dtype),
        )


def require_type_of_layer(name: str, x: Any, *own: Any) -> None:
    """Raise DTypeError unless the input x is of the number type of the layer's own arrays (None: not there), or bool."""
    for array in own:
        if array is not None:
            if x.dtype != array.dtype and x.dtype.kind != "b":
                raise _other_type(name, x, array.dtype)
            return


def _other_type(name: str, x: Any, dtype: Any) -> DTypeError:
    swapped = "" if x.dtype.isnative else ", its bytes in the other order"
    return DTypeError(
        f"{name}: the input is of another number type than the layer",
        expected=f"{dtype}, the layer's type",
        got=f"{x.dtype} of shape {x.shape}{swapped}",
        help=_conversion(type_name(dtype), x.dtype),
    )


def _conversion(wanted: str, given: Any) -> str:
    """How to convert: bytes are images, and a network wants small numbers."""
    if given == "uint8":
        return f"x.astype({wanted!r}) / 255 (of digits: / 16) for images; md.datasets.batches(dataset) does it batch by batch"
    return f"x.astype({wanted!r}); nothing is converted silently"


def require_same_shape(name: str, first: str, shape: tuple[int, ...], second: str, other: tuple[int, ...]) -> None:
    """Raise ShapeError unless two arguments have one shape: broadcasting would pair each number with many others."""
    if shape != other:
        raise ShapeError(
            f"{name}: {first} and {second} differ in shape",
            expected=f"{second} of shape {shape}",
            got=str(other),
            help="reshape or squeeze one of them; nothing is broadcast here",
        )


def probability(name: str, argument: str, value: Any) -> float:
    """A number from 0 to 1, as float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)) or not 0 <= value <= 1:
        raise ArgumentError(f"{name}: bad {argument}", expected="a number from 0 to 1", got=repr(value))
    return float(value)


def number(name: str, argument: str, value: Any, help: str = "") -> float:
    """A number, as float. Raises ArgumentError for anything else, also a tensor: its gradient would be lost."""
    try:
        if not isinstance(value, (Variable, str)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ArgumentError(f"{name}: bad {argument}", expected="a number", got=repr(value)[:80], help=help)


def positive(name: str, argument: str, value: Any) -> float:
    """A number, 0 or more, as float."""
    result = number(name, argument, value)
    if not 0 <= result < math.inf:
        raise ArgumentError(f"{name}: bad {argument}", expected="a number, 0 or more", got=repr(value))
    return result


def count(name: str, argument: str, value: Any) -> int:
    """An integer, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"{name}: bad {argument}", expected="an integer, 0 or more", got=repr(value)[:80])
    return int(value)


def float_type(name: str, dtype: Any) -> Any:
    """A floating-point number type, as a NumPy dtype."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype("O")
    if kind.kind != "f" or dtype is None:
        raise DTypeError(f"{name}: bad dtype", expected="float32 or float64", got=repr(dtype))
    return kind


def constant(name: str, argument: str, value: Any) -> Any:
    """A tensor -> its array; anything else as it is. Raises GraphError for a tensor whose gradient would be lost."""
    if not isinstance(value, Variable):
        return value
    if value._requires_grad and not no_grad_depth.now:
        raise GraphError(
            f"{name}: {argument} has no gradient here",
            expected="a constant",
            got="a tensor that requires a gradient, which would be lost",
            help=f"{argument}.detach()",
        )
    return value._data


def keep_mask(name: str, mask: Any, like: Array) -> Array:
    """mask -> an array of 1 (kept) and 0 (dropped), in the shape, number type, device and memory order of `like`."""
    mask = constant(name, "mask", mask)
    array = mask if is_array(mask) else to_device(as_array(mask, None), device_of(like))
    require_same_device(name, device_of(like), device_of(array))
    if array.shape != like.shape:
        raise ShapeError(f"{name}: the mask does not fit", expected=f"shape {like.shape}", got=f"shape {array.shape}")
    if not capturing() and not run_on(array, _holds_only_0_and_1, array).item():
        raise ArgumentError(f"{name}: bad mask", expected="1 for kept, 0 for dropped", got="other numbers in it")
    return run_on(like, arranged_like, array, like)


def _holds_only_0_and_1(mask: Array) -> Array:
    return ((mask == 0) | (mask == 1)).all()


def require_probabilities(name: str, p: Any, z: Array) -> None:
    """Raise unless p, computed from z by a user's distribution, has the shape of z and values from 0 to 1 (NaN passes)."""
    if getattr(p, "shape", None) != z.shape or getattr(p.dtype, "kind", "") != "f":
        got = f"{p.dtype} of shape {p.shape}" if hasattr(p, "shape") else type(p).__name__
        raise ShapeError(f"{name}.drop_probability: wrong result", expected=f"floats of shape {z.shape}", got=got)
    if not capturing() and not run_on(p, _lies_from_0_to_1, p).item():
        raise ArgumentError(f"{name}.drop_probability: not a probability", expected="0 <= p <= 1", got="numbers outside")


def _lies_from_0_to_1(p: Array) -> Array:
    return ~((p < 0) | (p > 1)).any()


def require_choice(name: str, argument: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ArgumentError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(f"{name}: bad {argument}", expected=" or ".join(map(repr, choices)), got=repr(value))


def values_per_channel(name: str, shape: tuple[int, ...]) -> int:
    """(N, C, ...) -> how many numbers each channel has; ShapeError if only one, whose variance is 0."""
    count = shape[0] * math.prod(shape[2:])
    if count < 2:
        raise ShapeError(
            f"{name}: one value per channel has no variance",
            expected="at least 2 values per channel in training",
            got=f"shape {shape}",
            help="a larger batch, or eval() to use the running statistics",
        )
    return count
