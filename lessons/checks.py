"""Exercises that check themselves: not just whether an answer is wrong, but what is wrong with it.

    from checks import check

    check("03.1", my_function)      # in a notebook: a line that says "right", or what to mend

The checker of exercise NN.k is the function `exercise_k` in exercises/lesson_NN.py. It returns a closing remark if the answer
is right, and raises `Wrong` with a hint if it is not; `compare` below finds the usual mistakes.
Solutions: solutions/lesson_NN.py.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np


class Wrong(Exception):
    """The answer is wrong; the message says what to mend."""


class Unanswered(Exception):
    """The reader's function has no body yet."""


@dataclass(frozen=True)
class Verdict:
    """What `check` found. right: None if there is no answer yet."""

    right: bool | None
    text: str

    def _repr_markdown_(self) -> str:
        mark = {True: "✅ **Right.**", False: "❌ **Not yet.**", None: "✏️ **Yours to fill in.**"}[
            self.right
        ]
        return f"{mark} {self.text}"


def check(number: str, answer: Any) -> Verdict:
    """The verdict on the answer to exercise `number`, such as "03.1"."""
    lesson, _, position = number.partition(".")
    checker = getattr(importlib.import_module(f"exercises.lesson_{lesson}"), f"exercise_{position}")
    try:
        if answer is None or answer is ...:
            raise Unanswered
        return Verdict(True, checker(answer))
    except Unanswered:
        return Verdict(None, "Replace the `...` above, and run this cell again.")
    except Wrong as wrong:
        return Verdict(False, str(wrong))
    except Exception as error:  # the reader's own code failed inside the checker
        return Verdict(False, f"Your code raised `{type(error).__name__}`: {error}")


def called(function: Any, *arguments: Any, **more: Any) -> Any:
    """What the reader's function returns for copies of the arguments. Raises Wrong if it changes them, Unanswered for None."""
    if not callable(function):
        raise Wrong(f"expected a function, got {function!r}")
    given = [
        argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments
    ]
    result = function(*given, **more)
    if result is None or result is ...:
        raise Unanswered
    for position, (before, after) in enumerate(zip(arguments, given, strict=True)):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Wrong(
                f"your function changed its argument number {position + 1} in place: work on a copy"
            )
    return result


def compare(
    got: Any,
    expected: Any,
    name: str,
    factors: dict[float, str] | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> None:
    """Raise Wrong, with what is wrong, unless `got` is `expected` up to rounding.

    factors: what it means if the answer is so many times too large, for example {16: "divide by the batch"}.
    """
    expected = np.asarray(expected)
    try:
        got = np.asarray(getattr(got, "data", got), dtype="float64")  # a minidrop tensor's numbers
    except (TypeError, ValueError):
        raise Wrong(f"{name}: expected numbers of shape {expected.shape}, got {got!r}") from None
    if got.shape != expected.shape:
        if (
            expected.ndim == 2
            and got.shape == expected.T.shape
            and np.allclose(got.T, expected, rtol, atol)
        ):
            raise Wrong(f"{name}: transposed")
        if got.size == expected.size and np.allclose(got.ravel(), expected.ravel(), rtol, atol):
            raise Wrong(
                f"{name}: the right numbers in shape {got.shape}; expected shape {expected.shape}"
            )
        raise Wrong(f"{name}: expected shape {expected.shape}, got {got.shape}")
    if np.allclose(got, expected, rtol, atol):
        return
    if not np.isfinite(got).all():
        raise Wrong(
            f"{name}: {int((~np.isfinite(got)).sum())} of {got.size} numbers are inf or NaN"
        )
    if got.ndim == 2 and got.shape[0] == got.shape[1] and np.allclose(got.T, expected, rtol, atol):
        raise Wrong(f"{name}: transposed")
    if np.allclose(-got, expected, rtol, atol):
        raise Wrong(f"{name}: the sign is wrong")
    if not got.any():
        raise Wrong(f"{name}: all zeros")
    factor = _factor(got, expected, rtol, atol)
    meanings = factors or {}
    hint = next(
        (
            f": {text}"
            for value, text in meanings.items()
            if factor and np.isclose(factor, value, rtol=1e-3)
        ),
        "",
    )
    if factor is not None and (
        hint or got.size > 1
    ):  # any two single numbers have a factor between them
        size = (
            f"{factor:.4g} times too large"
            if abs(factor) > 1
            else f"{1 / factor:.4g} times too small"
        )
        raise Wrong(f"{name}: {size}{hint}")
    difference = np.abs(got - expected)
    place = tuple(int(i) for i in np.unravel_index(difference.argmax(), got.shape))
    where = f" at {place}" if place else ""
    wrong = int((~np.isclose(got, expected, rtol, atol)).sum())
    count = f"{wrong} of {got.size} numbers differ; " if got.size > 1 else ""
    raise Wrong(
        f"{name}: {count}the worst{where}: expected {expected[place]:.6g}, got {got[place]:.6g}"
    )


def _factor(got: Any, expected: Any, rtol: float, atol: float) -> float | None:
    """The one number that `got` is too large by, if there is one."""
    if not expected.any():
        return None
    factor = float((got * expected).sum() / (expected * expected).sum())
    return factor if factor and np.allclose(got, factor * expected, rtol, atol) else None
