"""The two file formats: IDX (MNIST, Fashion-MNIST) and CIFAR-10's binary records. Contents are checked before use.

IDX: two zero bytes, a type (8: unsigned bytes), the number of axes, each axis as a big-endian 32-bit integer, then the bytes.
CIFAR-10: records of 1 label and 3072 pixels (1024 red, 1024 green, 1024 blue, row by row), nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

RETRY = "the file is as it was: move it away and run `minidrop data fetch`, or put a good copy in its place"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unzipped if it is gzipped (recognised by its first two bytes, not by its name)."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be unzipped", expected="a whole gzip file", got=f"{len(content)} bytes: {error}", help=RETRY
        ) from error


def sha256(content: bytes) -> str:
    """The digest, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def parse_idx(content: bytes, path: Path, shape: tuple[int, ...]) -> Any:
    """IDX bytes -> uint8 array of `shape`. Raises DataError that names `path` for any other content."""
    magic = 0x0800 | len(shape)
    what = "images" if len(shape) > 1 else "labels"
    header = 4 + 4 * len(shape)
    if len(content) < header:
        raise DataError(f"{path}: truncated", expected=f"a header of {header} bytes", got=f"{len(content)}", help=RETRY)
    got, *axes = struct.unpack(f">{1 + len(shape)}I", content[:header])
    if got != magic:
        raise DataError(
            f"{path}: not an IDX file of {what}", expected=f"magic number 0x{magic:08x}", got=f"0x{got:08x}", help=RETRY
        )
    if tuple(axes) != shape:
        raise DataError(f"{path}: another number of {what}", expected=str(shape), got=str(tuple(axes)), help=RETRY)
    return _reshape(content[header:], path, shape)


def parse_cifar(content: bytes, path: Path, count: int) -> tuple[Any, Any]:
    """Records -> images uint8 (count, 3, 32, 32), labels uint8 (count,). Raises DataError that names `path`."""
    records = _reshape(content, path, (count, 1 + 3 * 32 * 32))
    return records[:, 1:].reshape(count, 3, 32, 32), records[:, 0]


def require_labels(labels: Any, classes: int, path: Path) -> None:
    """Raise DataError if any label is `classes` or more."""
    if len(labels) and int(labels.max()) >= classes:
        raise DataError(f"{path}: bad labels", expected=f"0 to {classes - 1}", got=f"{int(labels.max())}", help=RETRY)


def _reshape(content: bytes, path: Path, shape: tuple[int, ...]) -> Any:
    expected = int(np.prod(shape))
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "longer than it should be"
        raise DataError(f"{path}: {problem}", expected=f"{expected} bytes of data", got=f"{len(content)}", help=RETRY)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()  # a copy is writable
