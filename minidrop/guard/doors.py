"""The checks around each op, kept out of `core.py`: replacements of its four doors.

    forward    operands alike, errors explained, a GPU kernel where there is one; arrays that backward needs are watched
    backward   graph not released, saved arrays not modified, as many gradients as inputs
    fold       a gradient of another shape than its input: stretched by broadcasting, or wrong
    add        two gradients of one tensor, on their own GPU

NumPy turns 0-d results into scalars; they are converted back to arrays here, once per op.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy import generic, ndarray

from .. import core
from ..backend import Array, capturing, current_capture, fused, is_array, run_on
from ..core import Node, Op
from ..errors import GraphError, ModifiedError, ShapeError
from ..ops import half
from ..threads import shared_lock
from . import anomaly, operands
from .fingerprint import fingerprints, fingerprints_anywhere, unchanged

CONSTANTS = frozenset({float, int, bool, type(None)})
_adding_up = shared_lock()


def forward(op: Op, arrays: list[Any]) -> Array:
    """op, its inputs (arrays, or anything else that a user may pass) -> its result. Raises before it computes, if possible."""
    if op.sequence_number >= 0 or op.released:
        raise _applied_before(op)
    first: Array = None
    for array in arrays:
        if type(array) is ndarray and (first is None or array.dtype is first.dtype):
            first = array
        elif type(array) not in CONSTANTS:
            first = None
            break
    recorded = True in op.needs_grad
    if first is None or (not recorded and first.dtype.kind not in operands.KINDS):
        # lists, masks, numbers alone, another library, other types; what wants a gradient is of a good type already
        first = operands.make_alike(op.name, arrays, op.needs_grad)
        if type(first) is not ndarray:
            op.__class__ = fused(type(op), first)
    try:
        result = run_on(first, op.forward, *arrays)
    except ValueError as error:
        operands.explain_broadcasting(op.name, error, *arrays)
        raise
    if type(result) is not ndarray and isinstance(result, generic):
        result = np.asarray(result)
    if anomaly.enabled:
        anomaly.check_output(op.name, result, [array for array in arrays if is_array(array)])
        op.fingerprints, op.made_at = fingerprints_anywhere(op.saved), anomaly.user_line()
    elif recorded and op.saved:
        op.fingerprints = fingerprints(op.saved)
    return result


def backward(op: Op, grad: Array) -> tuple[Array | None, ...]:
    """op, dL/dy -> dL/dx for each input."""
    if op.released:
        raise _released_before()
    if op.saved and not unchanged(op.saved, op.fingerprints):
        raise _modified(op)
    if type(grad) is ndarray:
        results = op.backward(grad)  # NumPy needs no device to be selected, and its warnings are off already
    else:
        grad = np.asarray(grad) if isinstance(grad, generic) else grad
        results = run_on(grad, op.backward, grad)
    if type(results) is not tuple or len(results) != len(op.parents):
        raise _wrong_count(op, results)
    if anomaly.enabled:
        for parent, gradient in zip(op.parents, results, strict=True):
            if parent is not None and hasattr(gradient, "dtype"):
                anomaly.check_gradient(op.name, gradient, op.made_at)
    return results


def fold(op: Op, grad: Array, parent: Node) -> Array:
    """op, a gradient whose shape differs from that of its input -> the gradient in the shape of the input."""
    if isinstance(parent, Op) and parent.released:  # its shape is gone
        raise _released_before()
    if not (op.broadcasts and grad.shape == op.grad_shape):
        raise _wrong_shape(op, grad, parent)
    folded = run_on(grad, half.unbroadcast, grad, parent.grad_shape)  # which may lie on another GPU than the loss
    if anomaly.enabled:
        anomaly.check_gradient(op.name, folded, op.made_at)
    return folded


def add(one: Array, other: Array) -> Array:
    """Two gradients of one tensor -> their sum, made on the GPU where they lie, which may be another one than the loss's."""
    return one + other if type(one) is ndarray else run_on(one, operator.add, one, other)


core.forward, core.backward, core.fold, core.add = forward, backward, fold, add


def hand_out(root: Node, given: Array, retain_graph: bool) -> None:
    """dL/d(root) -> adds dL/d(leaf) to the `.grad` of each leaf, in memory shared with no other array, nor with `given`.

    Raises, with the graph used up but no gradient changed: GraphError if an earlier backward has released it, ModifiedError
    if a saved array has changed, ShapeError if an op's backward returns a wrong shape.
    """
    if anomaly.enabled:
        anomaly.check_given(given)
    found = core.backpropagate(root, given, retain_graph)
    held_elsewhere = {id(given)}
    totals = []
    with _adding_up:  # read, add and write as one: another thread may have gradients for the same leaf
        for leaf, gradient in found:
            before = leaf.grad._data if isinstance(leaf.grad, core.Variable) else leaf.grad  # a user may have set it
            # a new array: one read earlier keeps its numbers
            total = gradient if before is None else add(before, gradient)
            if isinstance(total, generic):
                total = np.asarray(total)
            if total.base is not None or id(total) in held_elsewhere:
                total = run_on(total, total.copy, "K")
            held_elsewhere.add(id(total))
            totals.append((leaf, total))
        for leaf, total in totals:
            if capturing():
                current_capture().gradients.append((leaf, leaf.grad))
            leaf.grad = total


def _applied_before(op: Op) -> GraphError:
    return GraphError(
        f"{op.name}: this op object was applied before",
        expected="a new op for each call: an op holds what its one backward needs",
        got="the same object twice",
        help=f"write apply({op.name}(...), x) each time",
    )


def _released_before() -> GraphError:
    return GraphError(
        "backward: this part of the graph was already used by an earlier backward() and has been released",
        expected="a graph that has not been played yet",
        got="a second backward() through the same ops",
        help="run the forward pass again; or add the losses and call backward once; or backward(retain_graph=True)",
    )


def _modified(op: Op) -> ModifiedError:
    taken = zip(op.saved, op.fingerprints, fingerprints_anywhere(op.saved), strict=True)
    array = next(array for array, before, now in taken if before is not None and now != before)
    return ModifiedError(
        f"{op.name}: an array that backward needs was changed in place after the forward pass",
        expected=f"the array of shape {array.shape} as it was in forward",
        got="other contents",
        help="change it after backward(), or give the tensor a new array: x.data = x.data + 1, not x.data += 1",
    )


def _wrong_count(op: Op, results: object) -> GraphError:
    return GraphError(
        f"{op.name}.backward must return one gradient per input of forward",
        expected=f"a tuple of {len(op.parents)}",
        got=f"a tuple of {len(results)}" if isinstance(results, tuple) else type(results).__name__,
        help="return (grad_x,) for one input; None stands for an input without gradient",
    )


def _wrong_shape(op: Op, gradient: Array, parent: Node) -> ShapeError:
    return ShapeError(
        f"{op.name}.backward: a gradient has the wrong shape",
        expected=str(parent.grad_shape),
        got=str(gradient.shape),
        help="a gradient has the shape of what it is the gradient of; or set `broadcasts = True`",
    )
