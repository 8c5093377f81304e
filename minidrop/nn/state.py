"""What numbers a parameter or buffer may be given: by assignment, or from a state dictionary."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..backend import Array
from ..core import Variable
from ..errors import ArgumentError, DTypeError, GraphError, ShapeError
from ..guard.operands import KINDS
from ..tensor import Tensor
from .parts import Buffer, Parameter


class LeftOut(NamedTuple):
    """What `load_state_dict(strict=False)` did not load: names that the state lacks, and names that the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def array_for(what: str, value: Any, like: Tensor) -> Array:
    """value (an array, a tensor, a nested list) -> a copy in the number type and memory order of `like`, on its device.

    Raises ShapeError for another shape, DTypeError for what is not real numbers.
    """
    if isinstance(value, Variable):
        value = value._data
    try:
        array = value if backend.is_array(value) else np.asarray(value)
    except Exception as error:  # another library's object may raise anything here
        raise _not_numbers(what, like, f"{type(value).__name__} ({error})") from error
    if array.dtype.kind not in KINDS:
        got = f"an array of {array.dtype}" if backend.is_array(value) else f"{type(value).__name__} {value!r}"[:80]
        raise _not_numbers(what, like, got)
    if like.dtype.kind != "f" and array.dtype.kind == "f":
        raise _not_numbers(what, like, f"fractions ({array.dtype}), for {like.dtype}")
    if array.shape != like.shape:
        raise ShapeError(f"{what}: numbers of another shape", expected=f"shape {like.shape}", got=str(array.shape))
    return backend.run_on(like.data, backend.arranged_like, backend.to_device(array, like.device), like.data)


def assigned(what: str, value: Any, held: Tensor) -> Array:
    """The numbers of `held` after `module.name = value`, where `value` is neither a Parameter nor a Buffer.

    Raises as `array_for`, and GraphError for the recorded output of an op, whose history would be lost.
    """
    if isinstance(value, Variable) and value._op is not None:
        raise GraphError(
            f"{what}: a tensor with a history cannot become the numbers of a {type(held).__name__}",
            expected="an array, or a tensor that no gradient flows through",
            got=f"the output of {value._op.name}",
            help="write `with md.no_grad():` around it; or compute it in forward(), under another name",
        )
    return array_for(what, value, held)


def require_own(what: str, held: Tensor) -> None:
    """Raise ArgumentError unless the tensor is the module's own, whose numbers an assignment may change; a user's is not."""
    if not isinstance(held, (Parameter, Buffer)):
        raise ArgumentError(
            f"{what}: a tensor that requires a gradient, and so is trained, would be lost",
            expected="another tensor that requires a gradient, or None, to take it away",
            got="a constant",
            help=f"make it an md.nn.Parameter, whose numbers can be assigned; or change {what.partition('.')[2]}.data",
        )


def put(held: Tensor, array: Array) -> None:
    """Make `array` the numbers of a parameter or buffer.

    A parameter gets a new array: a backward that is still to come uses the old one. A buffer has no gradient, and keeps its
    array, which a captured step may write to.
    """
    if isinstance(held, Buffer):
        backend.run_on(held.data, held.data.__setitem__, ..., array)
    else:
        held.data = array


def _not_numbers(what: str, like: Tensor, got: str) -> DTypeError:
    return DTypeError(
        f"{what}: no numbers for a {type(like).__name__}",
        expected=f"an array of real numbers of shape {like.shape}",
        got=got,
        help="a new md.nn.Parameter or md.nn.Buffer replaces the old one, None takes it away",
    )
