"""Checks of shapes, axes, widths and indices, before any work."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from ..backend import is_array, to_device
from ..core import Variable
from ..errors import ArgumentError, DTypeError, ShapeError
from .arguments import number
from .operands import as_array

Shape = tuple[int, ...]


def axes(name: str, shape: Shape, axis: Any, fewest: int = 0) -> Shape:
    """axis -> the axes it means, none negative; at least `fewest` elements must be reduced to one."""
    try:
        given = range(len(shape)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
        chosen = tuple(operator.index(one) + (len(shape) if one < 0 else 0) for one in given)
    except TypeError:
        raise ArgumentError(f"{name}: bad axis", expected="an int, a tuple of ints, or None", got=repr(axis)) from None
    if chosen and not shape:
        raise ShapeError(
            f"{name}: a 0-d tensor has no axes", expected="no axis", got=f"axis={axis!r}", help="x.reshape(1) has one axis"
        )
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


def lengths(name: str, arguments: tuple[Any, ...]) -> Shape:
    """The shape of a new tensor, as ints or as one tuple."""
    try:
        shape = _lengths(arguments)
    except TypeError:
        shape = (-1,)
    if min(shape, default=0) < 0:
        raise ArgumentError(
            f"{name}: bad shape", expected=f"lengths, none negative: {name}(2, 3) or {name}((2, 3))", got=repr(arguments)
        )
    return shape


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


def squeezed_shape(shape: Shape, axis: Any) -> Shape:
    """The shape without the axes given, each of which must have length 1, or (None) without all those of length 1."""
    chosen = [place for place, length in enumerate(shape) if length == 1] if axis is None else axes("squeeze", shape, axis)
    if any(shape[place] != 1 for place in chosen):
        raise ShapeError(
            "squeeze: an axis that is not of length 1",
            expected="length 1",
            got=f"axis={axis} of shape {shape}",
            help="PyTorch would return the tensor as it is",
        )
    return tuple(length for place, length in enumerate(shape) if place not in chosen)


def unsqueezed_shape(shape: Shape, axis: Any) -> Shape:
    """The shape with a new axis of length 1."""
    along = one_axis("unsqueeze", (*shape, 1), axis)
    return (*shape[:along], 1, *shape[along:])


def split_places(shape: Shape, sizes: Any, axis: Any) -> list[tuple[slice, ...]]:
    """The arguments of split -> the index of each piece."""
    along = one_axis("split", shape, axis)
    length = shape[along]
    try:
        if isinstance(sizes, (list, tuple)):
            lengths = [operator.index(size) for size in sizes]
        else:
            size = operator.index(sizes)
            lengths = [min(size, length - start) for start in range(0, max(length, 1), size)] if size > 0 else [-1]
    except TypeError:
        lengths = [-1]
    if min(lengths, default=-1) < 0 or sum(lengths) != length:
        raise ShapeError(
            "split: bad sizes",
            expected=f"the length of a piece, 1 or more, or a list of lengths that add up to {length}",
            got=repr(sizes),
        )
    ends = list(itertools.accumulate(lengths, initial=0))
    return [(slice(None),) * along + (slice(start, end),) for start, end in itertools.pairwise(ends)]


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
    help = "md.maximum and md.minimum take tensors"
    low, high = (None if bound is None else number("clip", "bound", bound, help) for bound in (low, high))
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
