"""New tensors from a shape: zeros, ones, full, rand, randn, arange, zeros_like, ones_like."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .backend import Array, array_module, empty_on, run_on, to_device
from .errors import ArgumentError, DTypeError
from .guard import arguments, shapes
from .guard.operands import KINDS
from .random import Generator, default_generator
from .tensor import Operand, Tensor, as_tensor


def zeros(*shape: Any, dtype: Any = "float32", device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """zeros(2, 3) or zeros((2, 3)) -> (2, 3): all 0."""
    return _full("zeros", shape, 0, dtype, device, requires_grad)


def ones(*shape: Any, dtype: Any = "float32", device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """ones(2, 3) or ones((2, 3)) -> (2, 3): all 1."""
    return _full("ones", shape, 1, dtype, device, requires_grad)


def full(shape: Any, value: float, dtype: Any = "float32", device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """full((2, 3), value) -> (2, 3): all `value`."""
    return _full("full", (shape,), _plain_number("full", "value", value), dtype, device, requires_grad)


def rand(
    *shape: Any,
    dtype: Any = "float32",
    device: str = "cpu",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """rand(2, 3) or rand((2, 3)) -> (2, 3): in [0, 1), equally likely; drawn from `generator`, else `default_generator()`."""
    lengths, kind = shapes.lengths("rand", shape), _floating("rand", dtype)
    return Tensor(_source("rand", generator).uniform(lengths, kind, device), requires_grad)


def randn(
    *shape: Any,
    dtype: Any = "float32",
    device: str = "cpu",
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """randn(2, 3) or randn((2, 3)) -> (2, 3): standard normal; drawn from `generator`, by default `default_generator()`.

    Drawn on the CPU, so that every device gets the same bits.
    """
    lengths, kind = shapes.lengths("randn", shape), _floating("randn", dtype)
    empty_on(device)  # its errors come before a draw
    return Tensor(to_device(_source("randn", generator).normal(lengths, kind), device), requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    device: str = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """arange(n) -> (n): 0, 1, ..., n - 1;  arange(start, stop, step) -> start, start + step, ... as long as it is below stop.

    Of integers int64 numbers, which can be indices, as in NumPy and PyTorch; of other numbers float32; or `dtype`.
    """
    first, end = (0, start) if stop is None else (start, stop)
    given = [_plain_number("arange", "bound or step", value) for value in (first, end, step)]
    whole = all(isinstance(value, int) for value in given)
    kind = _dtype("arange", ("int64" if whole else "float32") if dtype is None else dtype)
    begin, last, by = given
    if by == 0 or not all(map(math.isfinite, given)):
        raise ArgumentError("arange: bad range", expected="finite numbers, a step that is not 0", got=repr((first, end, step)))
    count = len(range(begin, last, by)) if whole else max(math.ceil((last - begin) / by), 0)
    where = empty_on(device)
    return Tensor(run_on(where, _steps, array_module(where), begin, by, count, whole).astype(kind), requires_grad)


def zeros_like(x: Operand, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """(any shape) -> same: all 0, with the number type (unless `dtype`), device and memory order of x."""
    return _like("zeros_like", x, dtype, requires_grad)


def ones_like(x: Operand, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """(any shape) -> same: all 1, with the number type (unless `dtype`), device and memory order of x."""
    return _like("ones_like", x, dtype, requires_grad)


def _full(name: str, shape: Any, value: float, dtype: Any, device: str, requires_grad: bool) -> Tensor:
    lengths, kind, where = shapes.lengths(name, shape), _dtype(name, dtype), empty_on(device)
    limits = np.iinfo(kind) if kind.kind in "iu" else None
    if limits and not (isinstance(value, int) and limits.min <= value <= limits.max):
        raise ArgumentError(f"{name}: bad value", expected=f"an integer from {limits.min} to {limits.max}", got=repr(value))
    fill: Callable[..., Array] = array_module(where).full
    return Tensor(run_on(where, fill, lengths, value, kind), requires_grad)


def _like(name: str, x: Operand, dtype: Any, requires_grad: bool) -> Tensor:
    array = as_tensor(x).data
    kind = array.dtype if dtype is None else _dtype(name, dtype)
    return Tensor(run_on(array, getattr(array_module(array), name), array, kind), requires_grad)


def _steps(xp: Any, begin: Any, step: Any, count: int, whole: bool) -> Array:
    return begin + step * xp.arange(count, dtype="int64" if whole else "float64")


def _plain_number(name: str, argument: str, value: Any) -> Any:
    """An int or a float; NumPy's numbers count."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    return arguments.number(name, argument, value)


def _dtype(name: str, dtype: Any) -> Any:
    """A number type, as a NumPy dtype."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype("O")
    if kind.kind not in KINDS or dtype is None:
        raise DTypeError(f"{name}: bad dtype", expected="float32, float64, int64, bool, ...", got=repr(dtype))
    return kind


def _source(name: str, generator: Any) -> Generator:
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentError(f"{name}: bad generator", expected="md.Generator(seed)", got=repr(generator)[:80])
    return generator or default_generator()


def _floating(name: str, dtype: Any) -> Any:
    return arguments.float_type(name, dtype)
