"""What has no gradient: // and %, & | ^ and ~, argmax and argmin. A tensor that requires one is refused, in words."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Self

from . import core
from .backend import Array, array_module, capturing, device_of, is_array, run_on, to_device
from .errors import ArgumentError, DTypeError, GraphError
from .guard import operands, shapes

WITH_A_GRADIENT = {
    "//": "x.detach() // y computes the numbers",
    "%": "x - y * (x.detach() // y.detach()) is x % y, with its gradient",
}


class Discrete(core.Variable):
    """Base class of Operators: the operators and methods of Tensor whose results are constants.

    Operands and their number types: as in Operators. Inside `no_grad` nothing would be lost, and nothing is refused.
    """

    __slots__ = ()

    # Whole multiples and the rest: rounded down, like Python's own -----------------------------------------------------------

    def __floordiv__(self, other: Any) -> Self:
        return self._divided("//", operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self._divided("//", operator.floordiv, other, self)

    def __mod__(self, other: Any) -> Self:
        return self._divided("%", operator.mod, self, other)

    def __rmod__(self, other: Any) -> Self:
        return self._divided("%", operator.mod, other, self)

    def __divmod__(self, other: Any) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Self, Self]:
        return other // self, other % self

    # Bit by bit: of bools and, or, not; of integers their bits ----------------------------------------------------------------

    def __and__(self, other: Any) -> Self:
        return self._combined("&", operator.and_, self, other)

    def __rand__(self, other: Any) -> Self:
        return self._combined("&", operator.and_, other, self)

    def __or__(self, other: Any) -> Self:
        return self._combined("|", operator.or_, self, other)

    def __ror__(self, other: Any) -> Self:
        return self._combined("|", operator.or_, other, self)

    def __xor__(self, other: Any) -> Self:
        return self._combined("^", operator.xor, self, other)

    def __rxor__(self, other: Any) -> Self:
        return self._combined("^", operator.xor, other, self)

    def __invert__(self) -> Self:
        return self._combined("~", operator.invert, self)

    # Places -----------------------------------------------------------------------------------------------------------------

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`, int64: the place of the largest element, the first of equal ones.

        axis None: its place in the flattened tensor. A NaN counts as the largest.
        """
        return self._place("argmax", axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """(shape) -> shape without `axis`, int64: the place of the smallest element, the first of equal ones.

        axis None: its place in the flattened tensor. A NaN counts as the smallest.
        """
        return self._place("argmin", axis, keepdims)

    def _divided(self, name: str, function: Callable[..., Array], *values: Any) -> Self:
        if not core.no_grad_depth.now and any(isinstance(value, core.Variable) and value._requires_grad for value in values):
            raise GraphError(
                f"{name}: a tensor that requires a gradient",
                expected="constants: the result has no gradient",
                got="a tensor whose gradient would be lost",
                help=WITH_A_GRADIENT[name],
            )
        arrays = [value._data if isinstance(value, core.Variable) else value for value in values]
        first = operands.make_alike(name, arrays)
        if all(_is_whole(array) for array in arrays) and not capturing() and run_on(first, _has_zero, arrays[1]):
            raise ArgumentError(f"{name}: an integer divided by 0", expected="a divisor without zeros", got="a 0 in it")
        if device_of(first) != "cpu" and not all(_is_whole(array) for array in arrays):
            xp, kind = array_module(first), first.dtype if first.dtype.kind == "f" else "float64"
            arrays = [array if is_array(array) else run_on(first, xp.full, (), array, kind) for array in arrays]
            function = _exactly(xp, function)
        return _result(name, function, first, arrays)  # type: ignore[no-any-return]

    def _combined(self, name: str, function: Callable[..., Array], *values: Any) -> Self:
        arrays = [value._data if isinstance(value, core.Variable) else value for value in values]
        device = next(device_of(array) for array in arrays if is_array(array))
        for position, value in enumerate(arrays):
            if isinstance(value, (list, tuple)):  # of bools, most likely, which as an operand of an op would become floats
                arrays[position] = to_device(operands.as_array(value, _type_of_list(value)), device)
        first = operands.make_alike(name, arrays)
        for array in arrays:
            if not _is_whole(array):
                raise DTypeError(
                    f"{name}: not bools or integers",
                    expected="bools (a comparison) or integers",
                    got=str(array.dtype) if is_array(array) else repr(array),
                    help="of comparisons, with parentheses: (x > 0) & (x < 1), for & binds more closely than <",
                )
        return _result(name, function, first, arrays)  # type: ignore[no-any-return]

    def _place(self, name: str, axis: int | None, keepdims: bool) -> Self:
        array = self._data
        if axis is None:
            shapes.axes(name, array.shape, None, fewest=1)
            along, kept, array = 0, (1,) * array.ndim, array.reshape(-1)
        else:
            along = shapes.one_axis(name, array.shape, axis, fewest=1)
            kept = (*array.shape[:along], 1, *array.shape[along + 1 :])
        places = operands.as_array(run_on(array, getattr(array, name), along), None)
        return core.kind(places.reshape(kept) if keepdims else places)  # type: ignore[return-value]


def _result(name: str, function: Callable[..., Array], first: Array, arrays: list[Any]) -> Any:
    try:
        return core.kind(run_on(first, function, *arrays))
    except ValueError as error:
        operands.explain_broadcasting(name, error, *arrays)
        raise


def _is_whole(value: Any) -> bool:
    return value.dtype.kind in "iub" if is_array(value) else isinstance(value, int)


def _exactly(xp: Any, function: Callable[..., Array]) -> Callable[..., Array]:
    """// or % of floats by NumPy's steps. CuPy starts from a rounded quotient: 1e6 % 0.1 is 0 there, and 1 // 0.1 is 10."""

    def parts(a: Any, b: Any) -> tuple[Array, Array]:
        rest = xp.fmod(a, b)  # exact, with the sign of a
        return rest, (rest != 0) & ((rest < 0) != (b < 0))

    def remainder(a: Any, b: Any) -> Array:
        rest, other_sign = parts(a, b)
        return xp.where(other_sign, rest + b, rest)

    def quotient(a: Any, b: Any) -> Array:
        rest, other_sign = parts(a, b)
        nearly = (a - rest) / b - other_sign
        whole = xp.floor(nearly)
        return xp.where(b == 0, a / b, xp.where(nearly - whole > 0.5, whole + 1, whole))

    return remainder if function is operator.mod else quotient


def _has_zero(divisor: Any) -> bool:
    zero = divisor == 0
    return bool(zero.any().item()) if is_array(zero) else bool(zero)


def _type_of_list(values: Any) -> str | None:
    """bool and int64 for lists of those; None: as usual."""
    first = values
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return "bool" if isinstance(first, bool) else "int64" if isinstance(first, int) else None
