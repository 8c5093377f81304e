"""What reached the fake GPU: `with recorded() as log: ...`, then `log.lines`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager


class Log:
    """Lines of the driver (queue.cpp, runtime.cpp) and of cuBLAS, in their order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def containing(self, *words: str) -> list[str]:
        """The lines with all these words."""
        return [line for line in self.lines if all(word in line for word in words)]


def driver() -> ctypes.CDLL | None:
    """The fake driver, if this process uses it."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
        library.fake_gpu_log_stop.restype = ctypes.c_char_p
    except (OSError, AttributeError):  # no driver; or a real one
        return None
    return library


@contextmanager
def recorded() -> Iterator[Log]:
    """Record what the driver does meanwhile."""
    library, log = driver(), Log()
    if library is None:
        raise RuntimeError("no fake GPU here: python -m tests.fake_gpu -m pytest ...")
    library.fake_gpu_log_start()
    try:
        yield log
    finally:
        log.lines = library.fake_gpu_log_stop().decode().splitlines()
