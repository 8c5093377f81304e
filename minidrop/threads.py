"""How many threads a matrix product uses on a CPU: by default one. `md.set_threads(2)` or MINIDROP_THREADS=2 changes it.

By default BLAS uses a thread per core for each large product. Its threads spin while they wait for each other, and when
another program uses one of the cores, all of them wait for the thread that does not run. A step of the published network
becomes at most 13 % shorter that way on a quiet machine, and longer on a busy one (`tests/benchmarks/README.md`). So BLAS is
limited to one thread, but only while minidrop multiplies: between its products BLAS is unchanged for other code.
"""

from __future__ import annotations

import functools
import numbers
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from numpy import ndarray

from .errors import ArgumentError

P = ParamSpec("P")
Result = TypeVar("Result")


def set_threads(count: int) -> None:
    """Let BLAS use up to `count` threads for a large matrix product, in this process; never more than BLAS itself would use.

    Results may differ in their last bits from one count to another. Raises ArgumentError for anything but an integer from 1.
    """
    _limit.count = _valid(count, "set_threads", "for example md.set_threads(2)")


def get_threads() -> int:
    """How many threads a product may use: the last `set_threads`, else MINIDROP_THREADS, else 1."""
    return _limit.count


def _valid(count: Any, what: str, help: str) -> int:
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 1:
        raise ArgumentError(f"{what}: bad number of threads", expected="an integer from 1", got=repr(count), help=help)
    return int(count)


def _from_environment() -> int:
    text = os.environ.get("MINIDROP_THREADS", "1")
    return _valid(int(text) if text.isdecimal() else text, "MINIDROP_THREADS", "for example MINIDROP_THREADS=2")


def shared_lock() -> Any:
    """A lock for what threads share. A forked child process, which has only one thread, finds it open whoever held it."""
    lock = threading.RLock()  # a signal handler may interrupt the holder and take it again
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


class _Limit:
    """`with blas_limited:` BLAS uses at most `count` threads inside, and as many as before when the last thread has left.

    In OpenBLAS (0.3.31) threads other than the main one can set the number only until the main one has set it once. After
    that, a product in another thread may use as many as before: slower on a busy machine, but still correct.
    """

    def __init__(self) -> None:
        self.count = _from_environment()
        self.libraries: list[Any] | None = None  # looked up at the first product: by then NumPy has loaded its BLAS
        self.lowered: list[tuple[Any, int]] = []  # library, and its previous number
        self.begin_anew()

    def begin_anew(self) -> None:
        """Reset to no thread inside. Also for a forked child process, which keeps only one of the threads."""
        self.lock = threading.Lock()
        self.inside = 0
        self._put_back()

    def __enter__(self) -> None:
        with self.lock:
            if not self.holding:
                try:
                    self._lower()
                except BaseException:  # Ctrl-C too
                    if not self.inside:
                        self._put_back()
                    raise
            self.inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self._put_back()

    def _lower(self) -> None:
        if self.libraries is None:
            self.libraries = _blas_libraries()
        for library in self.libraries:
            if (before := library.get_num_threads()) > self.count:
                self.lowered.append((library, before))
                library.set_num_threads(self.count)
        self.holding = all(library.get_num_threads() <= self.count for library in self.libraries)

    def _put_back(self) -> None:
        self.holding = False  # True: a thread is inside, and every library is limited
        while self.lowered:  # in reverse order: a library may be listed twice
            library, before = self.lowered.pop()
            library.set_num_threads(before)


def _blas_libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


blas_limited = _limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.begin_anew)


def limits_blas(method: Callable[P, Result]) -> Callable[P, Result]:
    """Decorator for a method with many products of its first argument: one limit for all, which saves a fortieth of a step."""

    @functools.wraps(method)
    def limited(*args: P.args, **kwargs: P.kwargs) -> Result:
        if type(args[1]) is not ndarray:  # on a GPU
            return method(*args, **kwargs)
        with blas_limited:
            return method(*args, **kwargs)

    return limited
