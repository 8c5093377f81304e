"""no_grad as users write it: a `with` block or a decorator, with or without parentheses, also of a generator function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

from .. import core
from ..errors import ArgumentError


class NoGrad(core.no_grad):
    """Inside `with no_grad():`, or a function decorated `@no_grad`, nothing is recorded: outputs are constants. Nests.

    It holds for the thread that is inside. A decorated generator function records nothing while it runs, and what its caller
    does between two of its items is recorded as usual.
    Raises ArgumentError for what it cannot decorate: a class, or an `async` function, which others run in between.
    """

    def __call__(self, function: Callable[..., Any] | None = None) -> Any:
        """no_grad() -> itself; no_grad(function) -> the function, inside `with no_grad():`."""
        if function is None:
            return self
        kind = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004
        kind = getattr(function, "func", kind)  # of functools.partial
        if isinstance(function, type) or not callable(function) or _is_async(kind):
            raise ArgumentError(
                "no_grad: this cannot be decorated",
                expected="a function or a method",
                got=f"async {function.__name__}" if _is_async(kind) else repr(function),
                help="write `with md.no_grad():` inside it",
            )
        return _by_steps(function) if inspect.isgeneratorfunction(kind) else super().__call__(function)


no_grad = NoGrad()


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _by_steps(function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function -> the same, each step inside `no_grad`. (Between two steps its caller runs.)"""

    @functools.wraps(function)
    def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with no_grad:
            generator = function(*args, **kwargs)
        resume, value = generator.send, None
        while True:
            try:
                with no_grad:
                    item = resume(value)
            except StopIteration as end:
                return end.value
            try:
                resume, value = generator.send, (yield item)
            except BaseException as error:  # thrown in, or GeneratorExit: the generator decides what becomes of it
                resume, value = generator.throw, error

    return steps
