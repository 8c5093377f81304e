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
    """`writable`, and locked. Raises StateError also if another process on this machine has locked the folder."""
    from filelock import FileLock, Timeout

    with writable(folder) as new:
        try:
            with FileLock(folder / NAME, timeout=0):
                yield
        except Timeout as error:
            new.clear()  # both saw no folder, and the other was faster: it is theirs
            raise StateError(
                f"another process is at work on {folder}",
                expected="one at a time",
                got="a lock that is held",
                help="wait for it, or name another folder with --out",
            ) from error


@contextlib.contextmanager
def writable(folder: Path, help: str = "name another folder") -> Iterator[list[Path]]:
    """Make the folder, if need be, before the work whose results it is to hold; remove a new one if nothing is written to it.

    Yields the folders that it may remove then, the innermost first. Raises StateError if the folder cannot be made or written.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise StateError(
                f"{folder} cannot be used",
                expected="a folder that can be made, or one that can be written",
                got=f"{error.filename or folder}: {error.strerror}",
                help=help,
            ) from error
        yield new
    finally:
        with contextlib.suppress(OSError):  # not empty
            if new and [path.name for path in folder.iterdir()] == [NAME]:
                (folder / NAME).unlink()
            for path in new:
                path.rmdir()
