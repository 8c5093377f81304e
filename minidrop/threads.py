"""How many threads a matrix product takes on a CPU: one, unless you say otherwise. `md.set_threads(2)`, or MINIDROP_THREADS=2.

Left alone, BLAS takes a thread per core for each large product. Its threads spin while they wait for each other, and when
another program wants one of the cores, all of them wait for the one that does not run. On the networks here that brings
little or nothing on a quiet machine, and on a busy one a step takes many times as long (`tests/benchmarks/README.md`). So
BLAS is held to one thread, but only while minidrop multiplies: what other code computes with NumPy is left as it is.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from .errors import ArgumentError

P = ParamSpec("P")
Result = TypeVar("Result")


def set_threads(count: int) -> None:
    """Let BLAS take up to `count` threads for a large matrix product, in this process; never more than BLAS itself would take.

    Results may differ in their last bits from one count to another. Raises ArgumentError for anything but an integer from 1.
    """
    _limit.count = _valid(count, "set_threads", "for example md.set_threads(2)")


def get_threads() -> int:
    """How many threads a product may take: what `set_threads` said last, else MINIDROP_THREADS, else 1."""
    return _limit.count


def _valid(count: Any, what: str, help: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"{what}: bad number of threads", expected="an integer from 1", got=repr(count), help=help)
    return count


def _from_environment() -> int:
    text = os.environ.get("MINIDROP_THREADS", "1")
    return _valid(int(text) if text.isdecimal() else text, "MINIDROP_THREADS", "for example MINIDROP_THREADS=2")


class _Limit:
    """`with blas_limited:` BLAS takes at most `count` threads in here, and as many as before when the last thread has left.

    OpenBLAS (0.3.31) lets other threads than the main one set its number only until the main one has done so once. After that
    a product in another thread may take as many as before: slower on a busy machine, and right all the same.
    """

    def __init__(self) -> None:
        self.count = _from_environment()
        self.lock = threading.Lock()
        self.inside = 0
        self.libraries: list[Any] | None = None  # looked up at the first product
        self.before: list[int] = []
        self.holding = False  # somebody is inside, and BLAS does as it was told

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.holding:
                return
            if self.libraries is None:
                self.libraries = _blas_libraries()
            now = [library.get_num_threads() for library in self.libraries]
            if self.inside == 1:
                self.before = now
            for library, count in zip(self.libraries, now, strict=True):
                if count > self.count:
                    library.set_num_threads(self.count)
            self.holding = all(library.get_num_threads() <= self.count for library in self.libraries)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.holding = False
                for library, count in zip(self.libraries or (), self.before, strict=True):
                    if count > self.count:
                        library.set_num_threads(count)


def _blas_libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


blas_limited = _limit = _Limit()


def limits_blas(function: Callable[P, Result]) -> Callable[P, Result]:
    """A function of many products: the limit is set once for all of them. (To set it for each takes a fortieth of a step.)"""

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> Result:
        with blas_limited:
            return function(*args, **kwargs)

    return limited
