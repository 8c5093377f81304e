"""Checkers of lesson 02: broadcasting back with sums, the gradient of log-softmax, an op of one's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import minidrop as md
from checks import Unanswered, Wrong, called, compare
from minidrop.errors import ShapeError


def exercise_1(answer: Any) -> str:
    """unbroadcast(grad, shape)."""
    numbers = np.random.default_rng(1)
    cases = [
        ((4, 3), (3,)),
        ((4, 3), (4, 1)),
        ((4, 3), (1, 3)),
        ((4, 3), ()),
        ((2, 4, 3), (4, 1)),
        ((2, 4, 3), (2, 1, 1)),
        ((2, 1, 3), (1, 3)),
        ((4, 3), (4, 3)),
    ]
    for long, short in cases:
        grad = numbers.normal(size=long)
        count = grad.size // math.prod(short)
        got = np.asarray(called(answer, grad, short))
        case = f"a gradient of shape {long}, for an input of shape {short}"
        if got.shape == long != short:
            raise Wrong(
                f"{case}: your answer still has the shape {long}: sum over the axes that were stretched"
            )
        first = grad[(0,) * (len(long) - len(short))]
        first = first[tuple(slice(0, length) for length in short)]
        if count > 1 and got.shape == short and np.allclose(got, first):
            raise Wrong(
                f"{case}: that is the share of one use; each element was used {count} times, and the shares add up"
            )
        compare(
            got,
            _folded(grad, short),
            case,
            {1 / count: "the shares add up: take the sum, not the mean"},
        )
    return "What forward stretched, backward sums: six lines in `minidrop/broadcasting.py`."


def _folded(grad: Any, shape: tuple[int, ...]) -> Any:
    """The gradient added up where its elements came from, as in the lesson."""
    origin = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), grad.shape)
    return np.bincount(origin.ravel(), grad.ravel(), math.prod(shape)).reshape(shape)


def exercise_2(answer: Any) -> str:
    """log_softmax_backward(y, grad)."""
    numbers = np.random.default_rng(2)
    x, grad = numbers.normal(size=(4, 5)), numbers.normal(size=(4, 5))
    y = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    p = np.exp(y)
    got = np.asarray(called(answer, y, grad))
    row = grad.sum(axis=1, keepdims=True)
    for wrong, message in (
        (
            grad - p,
            "right only where the upstream gradient of a row sums to 1: multiply exp(y) by the sum of that row",
        ),
        (grad - y * row, "`y` is the logarithm of the softmax: the probability itself is exp(y)"),
        (
            grad - row,
            "the second part lacks its weights: x_i moves the logarithm by its share, the softmax of x_i",
        ),
        (
            grad - p * grad.sum(axis=0),
            "you sum over axis 0: the examples of a batch do not touch each other, so sum along the row",
        ),
        (
            grad - p * grad.sum(),
            "you sum over the whole array: the examples of a batch do not touch each other, so sum by row",
        ),
        (
            grad - p * grad.mean(axis=1, keepdims=True),
            "sum the row's upstream gradient, do not average it",
        ),
        (grad - p * grad, "sum over j is missing: x_i enters every y_j of its row, not only y_i"),
        (
            p * (grad - (grad * p).sum(axis=1, keepdims=True)),
            "that is the gradient of the softmax, without the logarithm",
        ),
        (grad, "the logarithm of the sum is missing: it depends on x_i too"),
    ):
        if got.shape == wrong.shape and np.allclose(got, wrong):
            raise Wrong(message)
    compare(got, grad - p * row, "the gradient of x")
    return "With an upstream gradient of all ones, `grad - y.shape[1] * np.exp(y)` would have passed as well."


def exercise_3(answer: Any) -> str:
    """Hypotenuse, a subclass of md.Op."""
    if not (isinstance(answer, type) and issubclass(answer, md.Op)):
        raise Wrong(f"expected a class, a subclass of md.Op, got {answer!r}")
    numbers = np.random.default_rng(3)
    a, b, grad = (numbers.normal(size=(4, 3)) + offset for offset in (1, -2, 0))
    length = np.hypot(a, b)
    op = answer()
    op.needs_grad = [True, True]
    compare(called(op.forward, a, b), length, "forward")
    shares = called(op.backward, grad)
    if not isinstance(shares, tuple) or len(shares) != 2:
        raise Wrong(
            f"backward returns a tuple with one gradient per input, `(for_a, for_b)`, got {type(shares).__name__}"
        )
    for name, share, slope, other in (
        ("a", shares[0], a / length, b / length),
        ("b", shares[1], b / length, a / length),
    ):
        got = np.asarray(share)
        if got.shape == slope.shape:
            if np.allclose(got, slope):
                raise Wrong(
                    f"for {name}: the slope alone: multiply it by `grad` (all ones would not have told)"
                )
            if np.allclose(got, grad * other):
                raise Wrong(f"for {name}: that is the gradient of the other input")
            if np.allclose(got, grad * slope * length):
                raise Wrong(f"for {name}: the square root has a slope too: divide by the length")
        compare(share, grad * slope, f"for {name}")
    short = numbers.normal(size=3)
    inputs = md.Tensor(a, requires_grad=True), md.Tensor(short, requires_grad=True)
    try:
        md.apply(answer(), *inputs).backward(grad)
    except ShapeError as error:
        raise Wrong(
            "right for two inputs of one shape; but for shapes (4, 3) and (3,) the gradient of b has the shape of the output. "
            f"Write `broadcasts = True` into the class, and the tape sums. It said: {error.problem}"
        ) from None
    if inputs[1].grad is None:
        raise Unanswered
    md.gradcheck(lambda *tensors: md.apply(answer(), *tensors), [a, short])
    return "`md.gradcheck` agrees, with broadcasting too."
