"""Folders to write to: one process at a time in that of an experiment, by a lock that lies in it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...errors import StateError

NAME = ".lock"  # in the folder; it stays there, for who removes a lock's file may remove that of another process


@contextlib.contextmanager
def only_one_process(folder: Path) -> Iterator[None]:
    """Make the folder, if need be, and lock it; if nothing is written into a new one, it is removed again.

    Raises StateError if another process on this machine has locked it, or if it cannot be made or written.
    """
    from filelock import FileLock, Timeout

    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        require_writable(folder)  # for its error: the lock's own may be a timeout
    except StateError:
        _remove(new)
        raise
    try:
        with FileLock(folder / NAME, timeout=0):
            yield
    except Timeout as error:
        new = []  # theirs
        raise StateError(
            f"another process is at work on {folder}",
            expected="one at a time",
            got="a lock that is held",
            help="wait for it, or name another folder with --out",
        ) from error
    finally:
        if new and {path.name for path in folder.iterdir()} <= {NAME}:
            _remove(new)


def require_writable(folder: Path) -> None:
    """Make the folder, if need be, before the work whose results it is to hold. Raises StateError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StateError(
            f"{folder} cannot be used",
            expected="a folder that can be made, or one that can be written",
            got=f"{error.filename or folder}: {error.strerror}",
            help="name another folder",
        ) from error


def _remove(new: list[Path]) -> None:
    """Remove folders that were made here, the innermost first, as long as they are empty."""
    with contextlib.suppress(OSError):
        if new:
            (new[0] / NAME).unlink(missing_ok=True)
        for path in new:
            path.rmdir()
