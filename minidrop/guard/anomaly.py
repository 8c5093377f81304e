"""detect_anomaly: name the first op whose output or gradient is not finite, and the line that made it."""

from __future__ import annotations

import linecache
import os
import sys
from types import TracebackType

from ..backend import Array, array_module
from ..errors import AnomalyError
from ..threads import shared_lock

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


enabled = 0  # how many detect_anomaly are open, in the whole process: read at every op, so it has to be cheap
_counting = shared_lock()


class detect_anomaly:
    """Inside `with detect_anomaly():` the first op whose output or gradient holds an inf or a NaN raises AnomalyError.

    The message names the op, says whether output or gradient went wrong and how, and quotes the line of the user's code that
    made the op. For a gradient the line is known only if the forward pass ran inside too. It checks every array and, on a GPU,
    waits for every op: use it for debugging, not for training. It holds for all threads while any of them is inside.
    """

    def __enter__(self) -> None:
        global enabled
        with _counting:
            enabled += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        global enabled
        with _counting:
            enabled -= 1


def user_line() -> str:
    """'file.py:12: y = 1 / x': the innermost line of the call stack that does not belong to minidrop."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(file, number, frame.f_globals).strip()
    return f"{file}:{number}: {source}"


def describe_non_finite(array: Array) -> str | None:
    """None if every element is finite, else how many are not: '3 of 12 elements (2 nan, 1 inf)'."""
    xp = array_module(array)
    if array.dtype.kind != "f":
        return None
    finite = int(xp.isfinite(array).sum().item())
    if finite == array.size:
        return None
    nan = int(xp.isnan(array).sum().item())
    return f"{array.size - finite} of {array.size} elements ({nan} nan, {array.size - finite - nan} inf)"


def check_output(op: str, output: Array, inputs: list[Array]) -> None:
    """Raise AnomalyError if `output`, just made by the op named `op` from `inputs`, is not finite."""
    trouble = describe_non_finite(output)
    if trouble is None:
        return
    came_in = any(describe_non_finite(array) is not None for array in inputs)
    raise AnomalyError(
        f"{op}: the output is not finite",
        expected=f"only finite numbers ({'an input was not finite already' if came_in else 'all inputs were finite'})",
        got=trouble,
        help=f"made at {user_line()}",
    )


def check_given(gradient: Array) -> None:
    """Raise AnomalyError if the gradient that backward starts from is not finite."""
    trouble = describe_non_finite(gradient)
    if trouble is not None:
        raise AnomalyError("backward: the upstream gradient given is not finite", expected="only finite numbers", got=trouble)


def check_gradient(op: str, gradient: Array, line: str) -> None:
    """Raise AnomalyError if `gradient`, just made by the backward of `op`, is not finite."""
    trouble = describe_non_finite(gradient)
    if trouble is not None:
        raise AnomalyError(
            f"{op}: the gradient is not finite",
            expected="only finite numbers (the gradient that came in was finite)",
            got=trouble,
            help=f"the op was made at {line or 'a line that is not known: run the forward pass under detect_anomaly too'}",
        )
