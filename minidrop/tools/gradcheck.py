"""gradcheck: compare backward with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array
from ..core import no_grad
from ..errors import ArgumentError, GradientError
from ..guard.operands import as_array
from ..random import Generator
from ..tensor import Tensor

STEP = 1e-6


def gradcheck(function: Callable[..., Tensor], inputs: Any, seed: int = 0, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """function of tensors, inputs of any shapes -> True, or GradientError: backward against central differences.

    For a random upstream gradient u (normal, from `seed`; never all ones, which a wrong gradient can pass) and each element
    x_i of each input, backward's gradient must agree with the quotient  (u . f(x + h e_i) - u . f(x - h e_i)) / (2 h)  to
    within  atol + rtol * |quotient| + 1e-9 * sum |u f|;  the last term is the rounding error of f divided by h. h = 1e-6: the
    truncation error grows like h^2, the rounding error like 1 / h, and near this h, in float64, they balance.

    inputs: a tensor or array, or a sequence of them. Floating-point ones are checked, as float64 copies, keeping device and
    memory order; integer and bool ones are passed on. The function must give the same output each time (pass a mask, or seed
    the generator inside), must not change its inputs or the upstream gradient, and must be smooth at them. Its output must
    require a gradient: the derivative of a cast to integers is 0, its gradient never comes, and the two would agree.
    Cost: two calls of the function per element.
    """
    tensors = [_checked_copy(value) for value in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
    checked = [tensor for tensor in tensors if tensor.requires_grad]
    if not checked:
        raise ArgumentError("gradcheck: nothing to check", expected="at least one floating-point input", got="none")
    before = [_numpy_copy(tensor) for tensor in tensors]

    output = function(*tensors)
    _require_gradient(output)
    value = _numpy_copy(output)
    generator = Generator(seed)
    upstream = generator.normal(output.shape, "float64")
    if not np.array_equal(_without_graph(function, tensors), value, equal_nan=True):
        raise GradientError(
            "gradcheck: the function is not deterministic",
            expected="the same output for the same inputs",
            got="two different ones",
            help="pass a fixed mask, or a generator that is made anew inside the function",
        )
    given = backend.to_device(upstream.copy(), output.device)
    output.backward(given)
    _require_unchanged("an input", tensors, before)
    if not np.array_equal(backend.to_numpy(given), upstream):
        raise GradientError("gradcheck: backward changed the upstream gradient in place", expected="no change", got="a change")

    noise = 1e-9 * float(np.abs(upstream * np.where(np.isfinite(value), value, 0)).sum())
    for position, tensor in enumerate(tensors):
        if tensor.requires_grad:
            expected = _difference_quotients(function, tensors, tensor, upstream)
            got = np.zeros(tensor.shape) if tensor.grad is None else backend.to_numpy(tensor.grad)
            _compare(position, got, expected, rtol, atol + noise)
    return True


def _checked_copy(value: Any) -> Tensor:
    """A copy as float64 that requires a gradient, in the same memory order; integers and bools unchanged."""
    array = value.data if isinstance(value, Tensor) else as_array(value, None)
    if array.dtype.kind != "f":
        return Tensor(array)
    copy = backend.array_module(array).empty_like(array, dtype="float64")
    copy[...] = array
    return Tensor(copy, requires_grad=True)


def _require_gradient(output: Tensor) -> None:
    """Nothing leads from the output back to an input: where the output is also flat, all gradients would seem to be right."""
    if not output.requires_grad:
        of_floats = output.dtype.kind == "f"
        raise GradientError(
            "gradcheck: the output requires no gradient, so that there is no backward to check",
            expected="an output made from the inputs by ops",
            got=f"a tensor of {output.dtype}" + (" without history" if of_floats else ", a type without gradients"),
            help="is the input detached, or cast to integers on the way?" if of_floats else "check it without the last cast",
        )


def _numpy_copy(tensor: Tensor) -> Any:
    return np.array(tensor.numpy())


def _without_graph(function: Callable[..., Tensor], tensors: Sequence[Tensor]) -> Any:
    with no_grad():
        return _numpy_copy(function(*tensors))


def _difference_quotients(function: Callable[..., Tensor], tensors: Sequence[Tensor], tensor: Tensor, upstream: Any) -> Any:
    """(shape of `tensor`): the derivative of u . f by each of its elements, by central differences."""
    quotients = np.zeros(tensor.shape)
    original = tensor.data

    def output_with(index: tuple[int, ...], value: float) -> Any:
        nudged = original.copy(order="K")
        nudged[index] = value
        tensor.data = nudged
        return _without_graph(function, tensors)

    try:
        for index in np.ndindex(*tensor.shape):
            here = float(original[index].item())
            # Differences first, then the product with u: outputs that did not change cancel exactly.
            change = output_with(index, here + STEP) - output_with(index, here - STEP)
            quotients[index] = (upstream * change).sum() / (2 * STEP)
    finally:
        tensor.data = original
    return quotients


def _require_unchanged(what: str, tensors: Sequence[Tensor], before: Sequence[Any]) -> None:
    for position, (tensor, values) in enumerate(zip(tensors, before, strict=True)):
        if not np.array_equal(tensor.numpy(), values, equal_nan=tensor.dtype.kind == "f"):
            raise GradientError(
                f"gradcheck: forward or backward changed {what} in place",
                expected=f"input {position} unchanged",
                got="a change",
            )


def _compare(position: int, got: Array, expected: Any, rtol: float, atol: float) -> None:
    wrong = ~(np.abs(got - expected) <= atol + rtol * np.abs(expected))
    if not wrong.any():
        return
    index = np.unravel_index(np.argmax(np.where(np.isfinite(got), np.abs(got - expected), np.inf)), got.shape)
    raise GradientError(
        f"gradcheck: the gradient of input {position} is wrong in {int(wrong.sum())} of {wrong.size} elements",
        expected=f"{expected[index]:.9g} at index {tuple(int(i) for i in index)} (central differences)",
        got=f"{got[index]:.9g}{_suspicion(got, expected)}",
        help="is the function smooth there? At a kink, such as relu at 0, the difference quotient means nothing",
    )


def _suspicion(got: Any, expected: Any) -> str:
    """A guess at the cause, from the pattern of the error: a wrong factor or sign, or 0 everywhere."""
    scale = float((expected * expected).sum())
    if not np.isfinite(got).all() or scale == 0:
        return ""
    if not got.any():
        return ", 0 everywhere: is the input detached?"
    factor = float((got * expected).sum()) / scale
    if np.allclose(got, factor * expected, rtol=1e-4, atol=1e-6):
        return f", everywhere {factor:.6g} times the right one"
    return ""
