"""A fingerprint of an array's contents: how backward notices that an array it still needs was changed in place.

NumPy arrays keep no version counter, and locking them would stop users from changing arrays that nobody needs any more. So
the tape takes a fingerprint of what an op saved, and compares when backward comes to use it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy import ndarray

from .backend import Array, is_array, to_numpy

Fingerprint: TypeAlias = bytes | tuple[bytes, int, bytes] | None

EXACT_BYTES = 256  # up to here the copy costs less than any hash
SAMPLES = 128


def fingerprint(array: Array) -> Fingerprint:
    """(any shape) -> what changes when the contents of `array` change; None for anything but a NumPy array.

    A small array: a copy of its bytes. A large one: some 128 elements; the sum, modulo 2^64, of its memory read as 64-bit
    integers, which do not round, so that a change of any one element shows; and the last 8 bytes, for a rest that fills no
    word. Missed is only a change that keeps the sum and touches no sampled element, such as two other elements exchanged.

    A GPU array is not watched, for reading it would make the GPU wait at every op (`fingerprint_anywhere` does).
    """
    if type(array) is not ndarray:
        return None
    if array.nbytes <= EXACT_BYTES:
        return array.tobytes()
    in_memory_order = array.ravel(order="K")  # no copy for an array that is dense in any order of its axes
    sample = in_memory_order[:: in_memory_order.size // SAMPLES + 1].tobytes()
    as_bytes = in_memory_order.view(np.uint8)
    whole_words = as_bytes[: as_bytes.size // 8 * 8].view(np.uint64)
    return sample, int(np.add.reduce(whole_words)), as_bytes[-8:].tobytes()


def fingerprint_anywhere(array: Array) -> Fingerprint:
    """(any shape) -> the same for NumPy and CuPy arrays; None for what is no array. For `detect_anomaly`."""
    return fingerprint(to_numpy(array)) if is_array(array) else None
