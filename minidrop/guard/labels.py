"""Checks of labels and indices, before any work: integers, one for each example, within range.

Labels on a GPU are not read back at each step, which would wait for the GPU: see `unread`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, array_module, capturing, current_capture, device_of, is_array, run_on, to_device
from ..core import Variable
from ..errors import ArgumentError, DTypeError, ShapeError
from . import anomaly
from .operands import require_same_device


def unread(array: Array) -> bool:
    """True for labels on a GPU, whose range is not checked: a label out of range makes the loss NaN there.

    They are checked inside `detect_anomaly`, and in the steps before a capture. (Reading them would end the capture itself.)
    """
    return capturing() or not (isinstance(array, np.ndarray) or anomaly.enabled or current_capture() is not None)


def class_labels(name: str, labels: Any, batch: int, classes: int, device: str, also: str = "") -> Array:
    """labels -> an integer array of shape (batch,) on `device`, each from 0 to classes - 1, unless they are `unread`."""
    array = _integer_labels(name, labels, batch, classes)
    if unread(array):
        require_same_device(name, device, device_of(array))
        return array
    lowest, highest = (int(run_on(array, extreme, array).item()) for extreme in (_smallest, _largest))
    if lowest < 0 or highest >= classes:
        raise ArgumentError(
            f"{name}: labels out of range",
            expected=f"from 0 to {classes - 1}, for {classes} logits per example{also}",
            got=f"from {lowest} to {highest}",
        )
    if is_array(labels) and not isinstance(labels, np.ndarray):
        require_same_device(name, device, device_of(array))
    return to_device(array, device)


def kept_labels(name: str, labels: Any, batch: int, classes: int, device: str, ignored: Any) -> tuple[Array, Array | None]:
    """labels, some of which may be `ignored` -> labels from 0 to classes - 1, and a mask (batch,), False for ignored ones.

    An ignored label becomes 0. The mask is None if no label is ignored; that is not known of `unread` labels.
    """
    if isinstance(ignored, bool) or not isinstance(ignored, (int, np.integer)):
        raise ArgumentError(f"{name}: bad ignore_index", expected="an integer", got=repr(ignored))
    also = f", or {ignored}, which is ignored"
    array = _integer_labels(name, labels, batch, classes)
    kept, replaced = run_on(array, _without, array, int(ignored))
    if not unread(array) and run_on(kept, kept.all).item():
        return class_labels(name, labels, batch, classes, device, also), None
    if not isinstance(array, np.ndarray):
        require_same_device(name, device, device_of(array))
    return class_labels(name, replaced, batch, classes, device, also), to_device(kept, device)


def may_hold_true(mask: Array) -> bool:
    """A mask -> False if all of it is False; True also for one that is `unread`."""
    return unread(mask) or bool(run_on(mask, mask.any).item())


def usable_labels(labels: Array, classes: int) -> tuple[Array, Array]:
    """(N) -> (N) bool, which labels are from 0 to classes - 1; and (N), the labels, with 0 for the others."""
    valid = (labels >= 0) & (labels < classes)
    return valid, array_module(labels).where(valid, labels, 0)


def row_indices(name: str, indices: Any, count: int, device: str) -> Array:
    """indices -> an integer array of any shape on `device`, each from 0 to count - 1."""
    if isinstance(indices, Variable):
        indices = indices._data
    array = indices if is_array(indices) else _array_of(name, "indices", indices)
    array = array.astype("int64") if not array.size else array
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: indices are not integers",
            expected=f"integers from 0 to {count - 1}",
            got=f"{array.dtype} of shape {array.shape}",
            help='indices.astype("int64")',
        )
    if array.size and not capturing():  # as in class_labels
        lowest, highest = (int(run_on(array, extreme, array).item()) for extreme in (_smallest, _largest))
        if lowest < 0 or highest >= count:
            raise ArgumentError(
                f"{name}: indices out of range", expected=f"from 0 to {count - 1}", got=f"from {lowest} to {highest}"
            )
    if not isinstance(array, np.ndarray):
        require_same_device(name, device, device_of(array))
    return to_device(array, device)


def _integer_labels(name: str, labels: Any, batch: int, classes: int) -> Array:
    if isinstance(labels, Variable):
        labels = labels._data
    array = labels if is_array(labels) else _array_of(name, "labels", labels)
    help = ""
    if array.ndim == 2 and array.shape[1] == classes:
        help = "class numbers, not one-hot rows or probabilities: labels.argmax(axis=1)"
    elif array.ndim == 2 and array.shape[1] == 1:
        help = "labels.reshape(-1)"
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: labels are not integers",
            expected=f"{batch} integers from 0 to {classes - 1}",
            got=f"{array.dtype} of shape {array.shape}",
            help=help or 'labels.astype("int64"), if they are class numbers',
        )
    if array.shape != (batch,):
        got = str(array.shape)
        raise ShapeError(f"{name}: one label per example", expected=f"labels of shape ({batch},)", got=got, help=help)
    return array


def _array_of(name: str, argument: str, value: Any, dtype: Any = None) -> Array:
    """A list, or a number, as a NumPy array."""
    try:
        return np.asarray(value, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"{name}: {argument} are not one array", expected="an array, or lists of equal lengths", got=str(error)
        ) from error


def _without(labels: Array, ignored: int) -> tuple[Array, Array]:
    signed = labels.astype("int64")  # no uint8 is -100
    kept = signed != ignored
    return kept, array_module(kept).where(kept, signed, 0)


def _smallest(array: Array) -> Array:
    return array.min()


def _largest(array: Array) -> Array:
    return array.max()
