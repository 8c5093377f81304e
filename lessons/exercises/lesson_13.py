"""Checkers of lesson 13: code for any library, a queue of launches, and where a GPU breaks even."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from checks import Wrong, called, compare


class Foreign:
    """An array that NumPy cannot read: what a GPU array is to NumPy, in a few lines."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = np.asarray(numbers)
        self.shape, self.ndim, self.dtype = (
            self.numbers.shape,
            self.numbers.ndim,
            self.numbers.dtype,
        )

    def __array__(self, *_arguments: Any, **_settings: Any) -> Any:
        raise Wrong(
            "you called NumPy on an array that is not NumPy's: a GPU array would refuse too. Call the function of `xp`"
        )

    __array_ufunc__ = __array__

    def __getattr__(self, name: str) -> Any:
        if name not in ("max", "sum", "mean", "min", "reshape"):
            raise AttributeError(f"a foreign array has no {name!r}")
        return lambda *arguments, **settings: Foreign(
            getattr(self.numbers, name)(*arguments, **settings)
        )

    def _with(self, other: Any, function: Any) -> Foreign:
        if isinstance(other, np.ndarray):
            raise Wrong(
                "a foreign array meets a NumPy array in your code: nothing is moved silently. Stay in `xp`"
            )
        return Foreign(function(self.numbers, getattr(other, "numbers", other)))

    def __sub__(self, other: Any) -> Foreign:
        return self._with(other, np.subtract)

    def __add__(self, other: Any) -> Foreign:
        return self._with(other, np.add)

    def __mul__(self, other: Any) -> Foreign:
        return self._with(other, np.multiply)

    def __truediv__(self, other: Any) -> Foreign:
        return self._with(other, np.divide)


def _foreign_function(name: str) -> Any:
    def function(x: Any, *arguments: Any, **settings: Any) -> Foreign:
        if not isinstance(x, Foreign):
            raise Wrong(
                f"xp.{name} was given {type(x).__name__}, which is not an array of that library"
            )
        plain = [getattr(argument, "numbers", argument) for argument in arguments]
        return Foreign(getattr(np, name)(x.numbers, *plain, **settings))

    return function


LIBRARY = SimpleNamespace(
    **{
        name: _foreign_function(name)
        for name in ("exp", "max", "amax", "sum", "log", "subtract", "divide", "maximum")
    }
)


def exercise_1(answer: Any) -> str:
    """softmax(xp, logits)."""
    numbers = np.random.default_rng(6).normal(size=(3, 5))
    right = np.exp(numbers) / np.exp(numbers).sum(axis=-1, keepdims=True)
    got = called(answer, np, numbers)
    down = np.exp(numbers) / np.exp(numbers).sum(axis=0, keepdims=True)
    if np.shape(got) == right.shape:
        if np.allclose(got, down):
            raise Wrong(
                "your sums run down the batch (axis 0): the probabilities of one row sum to 1 (the last axis)"
            )
        if np.allclose(got, np.exp(numbers) / np.exp(numbers).sum()):
            raise Wrong(
                "you divide by the sum of all rows: one sum per row, `axis=-1, keepdims=True`"
            )
    compare(got, right, "with NumPy, the softmax")
    with np.errstate(all="ignore"):
        large = called(answer, np, np.array([[1000.0, 999.0]]))
    if not np.isfinite(large).all():
        raise Wrong("right, until a logit is 1000: take out the largest logit first")
    foreign = called(answer, LIBRARY, Foreign(numbers))
    if not isinstance(foreign, Foreign):
        raise Wrong(
            f"given an array of another library you return {type(foreign).__name__}: the result must stay in that library"
        )
    compare(foreign.numbers, right, "with the other library, the softmax")
    one_row = called(answer, np, numbers[0])
    compare(one_row, right[0], "for a single row of logits")
    return "The same lines, two libraries. minidrop's ops are written so, and tested with such a library."


def exercise_2(answer: Any) -> str:
    """finished(work, launch)."""
    cases = [
        ([3.0], 2.0),
        ([1.0, 1.0, 1.0], 5.0),
        ([10.0, 10.0, 10.0], 1.0),
        ([1.0, 20.0, 1.0, 2.0, 30.0], 4.0),
        ([2.0, 9.0, 0.5, 0.5], 3.0),
    ]
    got = [float(called(answer, list(work), launch)) for work, launch in cases]

    def end(work: list[float], launch: float) -> float:
        free = 0.0
        for number, seconds in enumerate(work):
            free = max(free, (number + 1) * launch) + seconds
        return free

    right = [end(*case) for case in cases]
    if np.allclose(got, right):
        return (
            "While the work is small this is launches times their price; "
            "when it is large, one launch and the sum of all work."
        )

    def too_early(work: list[float], launch: float) -> float:
        free = 0.0
        for number, seconds in enumerate(work):
            free = max(free, number * launch) + seconds
        return free

    for message, wrong in (
        (
            "Python does not wait: while the GPU works, it launches the next. You add up launches and work",
            lambda w, t: sum(w) + len(w) * t,
        ),
        (
            "neither the launches nor the work alone: the GPU may wait for a launch here, for its own work there. "
            "Take the calls one by one",
            lambda w, t: max(sum(w), len(w) * t),
        ),
        ("you count the launches, but the last call still has to be done", lambda w, t: len(w) * t),
        ("you add up the work, as if nothing had to be launched", lambda w, t: sum(w)),
        (
            "per call the longer of launch and work is not it: a launch may hide behind the work of *earlier* calls",
            lambda w, t: sum(max(s, t) for s in w),
        ),
        (
            "all is launched at once in your version: call k is there after k launches only",
            lambda w, t: t + sum(w),
        ),
        (
            "the launch itself takes time: the first call can start after one `launch`, not at 0",
            too_early,
        ),
    ):
        if np.allclose(got, [wrong(*case) for case in cases]):
            raise Wrong(message)
    for (work, launch), value, expected in zip(cases, got, right, strict=True):
        if not np.isclose(value, expected):
            raise Wrong(
                f"for work={work} and launch={launch:g}: expected {expected:g}, got {value:g}. Draw the two rows of bars"
            )
    raise AssertionError("unreachable")


def exercise_3(answer: Any) -> str:
    """break_even(cpu, gpu)."""
    cases = [  # cpu, gpu, right
        ((5.0, 2.0), (50.0, 0.5), 31),
        ((10.0, 4.0), (45.0, 1.0), 12),
        ((9.0, 1.0), (100.0, 1.0), "never"),
        ((9.0, 1.0), (100.0, 3.0), "never"),
        ((9.0, 3.0), (4.0, 1.0), 1),
        ((7.0, 2.0), (8.0, 1.0), 2),
    ]
    got = []
    for cpu, gpu, _right in cases:
        try:
            got.append(called(answer, cpu, gpu))
        except ZeroDivisionError:
            raise Wrong(
                'if both take the same time per image, you divide by 0: the GPU then never catches up, `"never"`'
            ) from None
    for (cpu, gpu, right), value in zip(cases, got, strict=True):
        where = f"for cpu={cpu}, gpu={gpu}"
        if value == right:
            continue
        if right == "never":
            raise Wrong(
                f'{where}: the GPU is behind at the start and wins nothing per image: `"never"`; got {value!r}'
            )
        if value == "never":
            raise Wrong(f"{where}: the GPU does get ahead, at batch {right}")
        behind, gain = gpu[0] - cpu[0], cpu[1] - gpu[1]
        if isinstance(value, (float, np.floating)) and not float(value).is_integer():
            raise Wrong(f"{where}: a batch is a whole number: the next one above {value:g}")
        if value < 1:
            raise Wrong(f"{where}: the smallest batch is 1; got {value:g}")
        if value * gain == behind:
            raise Wrong(
                f"{where}: at batch {value:g} the two are equal; the GPU is *faster* from the next on"
            )
        if value < right:
            raise Wrong(f"{where}: at batch {value:g} the CPU is still ahead")
        raise Wrong(f"{where}: the GPU is ahead before batch {value:g}: expected {right}")
    return "Measure a and b for your own network: two batch sizes are enough."
