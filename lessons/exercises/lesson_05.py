"""Checkers of lesson 05: pooling backward, one training step, how many images a standard error takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import minidrop as md
from checks import Unanswered, Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """max_pool_backward(x, grad)."""
    generator = np.random.default_rng(0)
    x, grad = generator.permutation(24).astype(float).reshape(4, 6), generator.normal(size=(2, 3))
    x -= 30  # all negative: the largest is still the largest
    spread = np.kron(grad, np.ones((2, 2)))  # each window's derivative in all four of its places
    winners = np.kron(_pool(x), np.ones((2, 2))) == x
    got = np.asarray(called(answer, x, grad), dtype=float)
    if got.shape == grad.shape:
        raise Wrong(
            f"expected the shape of x, {x.shape}, got {got.shape}: put each number back at the place it came from"
        )
    if got.shape == x.shape:
        if np.allclose(got, spread):
            raise Wrong(
                "every place of a window gets its derivative: only the place of the maximum moved the result"
            )
        if np.allclose(got, spread / 4):
            raise Wrong(
                "you share the derivative out evenly, as average pooling would: the place of the maximum takes it all"
            )
        if np.allclose(got, winners):
            raise Wrong(
                "the places are right: now put the derivative that arrives, `grad`, there instead of 1"
            )
        if not got[x < 0].any():
            raise Wrong(
                "nothing passed back where the maximum is negative: that would be a ReLU; the largest is the largest"
            )
    compare(got, spread * winners, "the derivative")
    ties = np.array([[2.0, 2.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0]])
    expected = np.array([[3.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    got = np.asarray(called(answer, ties, np.array([[3.0, 5.0]])), dtype=float)
    equal = np.kron(_pool(ties), np.ones((2, 2))) == ties
    if np.allclose(got, np.kron([[3.0, 5.0]], np.ones((2, 2))) * equal):
        raise Wrong(
            "of equal maxima each takes all of the derivative, so there is more of it than arrived: only the first may"
        )
    if np.isclose(got.sum(), 8) and np.count_nonzero(got) > 2:
        raise Wrong(
            "equal maxima share the derivative here: the exercise asks for the first, row by row, to take it all"
        )
    compare(got, expected, "with equal maxima")
    return "Ties are not rare: after a ReLU a whole window is often 0, and 0 = 0 = 0 = 0."


def _pool(x: Any) -> Any:
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).max(axis=(1, 3))


def exercise_2(answer: Any) -> str:
    """train_step(model, optimizer, images, labels)."""
    if not callable(answer):
        raise Wrong(f"expected a function, got {answer!r}")
    generator = np.random.default_rng(0)
    batches = [
        (generator.normal(size=(4, 3)).astype("float32"), generator.integers(0, 2, 4))
        for _ in range(3)
    ]
    expected, losses = _walk(_right, batches)
    got, returned = _walk(answer, batches)
    if all(loss is None for loss in returned) and np.array_equal(got[-1], got[0]):
        raise Unanswered
    same = lambda other: all(np.allclose(a, b, 1e-4, 1e-6) for a, b in zip(got, other, strict=True))  # noqa: E731
    if np.array_equal(got[-1], got[0]):
        raise Wrong(
            "the weights did not move: does `zero_grad()` come between `backward()` and `step()`, and throw the gradients "
            "away? Or is `optimizer.step()` missing?"
        )
    if same(_walk(_piling_up, batches)[0]):
        raise Wrong(
            "from the second step on the gradients of all steps so far pile up: `optimizer.zero_grad()` is missing"
        )
    if np.array_equal(got[1], got[0]):
        raise Wrong(
            "the first step moved nothing: `step()` comes before `backward()`, with the gradients of the batch before"
        )
    if same(_walk(_twice, batches)[0]):
        raise Wrong("two steps for one batch: call `optimizer.step()` once")
    for step, (mine, theirs) in enumerate(zip(got[1:], expected[1:], strict=True), 1):
        compare(mine, theirs, f"the weights after step {step}")
    if any(loss is None for loss in returned):
        raise Wrong("the step is right; now return the loss as well")
    if any(isinstance(loss, md.Tensor) for loss in returned):
        raise Wrong(
            "you return a tensor, which keeps the graph of its batch alive: return a number, `loss.item()`"
        )
    if not np.allclose(returned, losses, 1e-4):
        raise Wrong(
            f"the loss of the first batch, before the step, is {losses[0]:.4f}; you return {returned[0]!r}"
        )
    return "Zero, backward, step: in any other order it still runs, and learns something else."


def _walk(step: Any, batches: Any) -> tuple[list[Any], list[Any]]:
    """The weights at the start and after each batch, and what `step` returned."""
    model = md.nn.Sequential(md.nn.Dense(3, 2, generator=md.Generator(5)))
    optimizer = md.optim.SGD(model.parameters(), lr=0.5)
    weights, returned = [model.parameters()[0].data.copy()], []
    for images, labels in batches:
        returned.append(step(model, optimizer, images.copy(), labels.copy()))
        weights.append(model.parameters()[0].data.copy())
    return weights, returned


def _loss(model: Any, images: Any, labels: Any) -> Any:
    return md.functional.softmax_cross_entropy(model(md.Tensor(images)), labels)


def _right(model: Any, optimizer: Any, images: Any, labels: Any) -> float:
    optimizer.zero_grad()
    return _piling_up(model, optimizer, images, labels)


def _piling_up(model: Any, optimizer: Any, images: Any, labels: Any) -> float:
    loss = _loss(model, images, labels)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def _twice(model: Any, optimizer: Any, images: Any, labels: Any) -> float:
    value = _right(model, optimizer, images, labels)
    optimizer.step()
    return value


def exercise_3(answer: Any) -> str:
    """images_needed(accuracy, error)."""
    for accuracy, error in ((0.72, 0.011), (0.9906, 0.003), (0.55, 0.043)):
        exact = accuracy * (1 - accuracy) / error**2
        got = called(answer, accuracy, error)
        try:
            value = float(got)
        except (TypeError, ValueError):
            raise Wrong(f"expected a whole number, got {got!r}") from None
        case = f"for accuracy {accuracy} and error {error}"
        mistakes = {
            accuracy
            * (1 - accuracy)
            / error: "square the error: the standard error has a root over n",
            math.sqrt(accuracy * (1 - accuracy))
            / error: "square it: the standard error has a root over everything",
            1 / error**2: "the variance of one image, a (1 - a), is missing",
            accuracy / error**2: "the variance of one image is a (1 - a), not a",
            math.sqrt(
                accuracy * (1 - accuracy) / error
            ): "solve the formula for n: that is a standard error, not a number of images",
        }
        for wrong, hint in mistakes.items():
            if abs(value - wrong) < 1:
                raise Wrong(f"{case}: {hint}")
        if value == math.floor(exact):
            raise Wrong(f"{case}: {value:g} images are just too few: round up")
        if value != math.ceil(exact):
            if abs(value - exact) < 1:
                raise Wrong(f"{case}: {got!r} is right but no whole number of images: round up")
            raise Wrong(f"{case}: expected {math.ceil(exact):,} images, got {got!r}")
    needed = math.ceil(0.9906 * 0.0094 / 0.0006**2)
    return f"For Table II that makes {needed:,} images, more than the test set of MNIST has."
