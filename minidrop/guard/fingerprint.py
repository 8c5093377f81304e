"""A fingerprint of an array's contents: how backward notices that an array it still needs was changed in place.

NumPy arrays have no version counter, and locking them would stop users from changing arrays that backward no longer needs. So
the door `forward` takes a fingerprint of what an op saved, and compares it when backward uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy import ndarray

from ..backend import Array, is_array, to_numpy

Fingerprint: TypeAlias = bytes | tuple[bytes, bytes, bytes] | None

EXACT_BYTES = 4096  # up to this size a full copy is cheapest
COLUMNS = 509  # a prime, so that regular patterns fall into different columns
SAMPLES = 128


def fingerprints(arrays: tuple[Array, ...]) -> list[Fingerprint]:
    """A value for each array that changes with its contents; None for anything but a NumPy array.

    Called twice for every op, so the common case, a small array, is handled here: a copy of its bytes.
    GPU arrays are not watched: reading them would make the GPU wait at every op (`fingerprints_anywhere` does).
    """
    taken: list[Fingerprint] = []
    for array in arrays:  # a loop, because a comprehension costs a call
        if type(array) is not ndarray:
            taken.append(None)
        else:
            taken.append(array.tobytes() if array.nbytes <= EXACT_BYTES else fingerprint(array))
    return taken


def unchanged(arrays: tuple[Array, ...], taken: Sequence[Fingerprint]) -> bool:
    """True if the arrays still have the fingerprints that `fingerprints` or `fingerprints_anywhere` took of them."""
    for index, array in enumerate(arrays):
        before = taken[index]
        if before is not None:
            host = array if type(array) is ndarray else to_numpy(array)
            if (host.tobytes() if type(before) is bytes else fingerprint(host)) != before:
                return False
    return True


def fingerprint(array: Array) -> Fingerprint:
    """(any shape) -> the fingerprint of a large array.

    Its memory is read as 64-bit integers, which do not round, in rows of 509, and each column is summed modulo 2^64: a change
    of any one element is detected, and nearly any change of many. The bytes left after the last full row and about 128 sampled
    elements are kept unchanged. A change is missed only if it keeps every column sum and touches none of those, such as a swap
    of two elements in the same column.
    """
    in_memory_order = array.ravel(order="K")  # no copy for an array that is dense in any order of its axes
    sample = in_memory_order[:: in_memory_order.size // SAMPLES + 1].tobytes()
    as_bytes = in_memory_order.view(np.uint8)
    in_rows = as_bytes.size // (8 * COLUMNS) * (8 * COLUMNS)
    rows = as_bytes[:in_rows].view(np.uint64).reshape(-1, COLUMNS)
    return sample, np.add.reduce(rows, axis=0).tobytes(), as_bytes[in_rows:].tobytes()


def fingerprints_anywhere(arrays: tuple[Array, ...]) -> list[Fingerprint]:
    """The same for NumPy and CuPy arrays; None for anything else. For `detect_anomaly`."""
    return fingerprints(tuple(to_numpy(array) if is_array(array) else None for array in arrays))
