"""The tape: which op made which array from which, and backpropagation (reverse-mode automatic differentiation) over it.

An op that runs while gradients are recorded becomes a node of a graph: it knows its parents (the ops that made its inputs, or
the leaves that a user made) and its creation index, which counts up with every op. An op is made after its parents, so the
order of creation is a topological order of the graph. Going through it backwards, an op's gradient is complete (summed over
all its consumers) when its turn comes: each op is visited once, whatever the shape of the graph, and nothing is recursive.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from contextlib import ContextDecorator
from heapq import heappop, heappush
from types import TracebackType
from typing import Protocol, TypeAlias

import numpy as np
from numpy import generic, ndarray

from .backend import Array, run_on
from .broadcasting import unbroadcast
from .errors import GraphError, ModifiedError, ShapeError
from .guard import anomaly
from .guard.fingerprint import Fingerprint, fingerprints, fingerprints_anywhere, unchanged


class _Mode(threading.local):
    recording = True


mode = _Mode()


class no_grad(ContextDecorator):
    """Inside `with no_grad():` (or a function decorated `@no_grad()`) ops are not recorded: no graph, no saved arrays.

    Outputs made inside have `requires_grad=False`; to a later backward they are constants. Nests, and holds for this thread.
    """

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(mode.recording)
        mode.recording = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        mode.recording = self._previous.pop()


class Leaf(Protocol):
    """What the tape knows of a tensor that is to get a gradient: a shape, and a way to add to it."""

    @property
    def grad_shape(self) -> tuple[int, ...]:
        """The shape that its gradient must have."""
        ...

    def accumulate_grad(self, gradient: Array) -> None:
        """(shape): add to the gradient."""
        ...


class Op:
    """One differentiable operation on plain arrays, and the record of one call of it: make a new one for each call.

    Let L be the scalar that `backward()` differentiates, and y this op's output. The op's `backward` is the chain rule: it
    receives grad = dL/dy, of the shape of y, and returns dL/dx for each input x:  dL/dx_i = sum over j of grad_j dy_j/dx_i
    (the matrix of all dy_j/dx_i is never built). For an op that works element by element that is grad * dy/dx. The docstrings
    of the ops give dy/dx where that is enough, else dL/dx.

    What is differentiated comes as an argument of `forward`; everything else (axis, stride, labels, mask) goes into the
    constructor. `forward` puts the arrays that backward needs, and that others can reach, into `self.saved`: they are watched
    for changes. Anything else that backward needs is a plain attribute. Neither may write into its arguments.

    A new op is a subclass, used as `apply(Square(), x)`:

        class Square(Op):
            def forward(self, x):
                self.saved = (x,)
                return x * x

            def backward(self, grad):
                (x,) = self.saved
                return (2 * x * grad,)
    """

    saved: tuple[Array, ...] = ()
    # True for a + b and its like: backward returns gradients of the output's shape, and the tape sums each one over the axes
    # along which that input was broadcast.
    broadcasts: bool = False
    # One per input, filled in before `forward`; where it is False, backward may return None.
    needs_grad: Sequence[bool] = ()

    # The node of the graph, filled in by `record`, after `forward`.
    parents: Sequence[Op | Leaf | None] = ()
    creation_index: int = -1
    grad_shape: tuple[int, ...] = ()  # the output's shape; not `shape`, a name that an op may want for itself
    output_nbytes: int = 0
    fingerprints: Sequence[Fingerprint] = ()
    retained: weakref.ref[Leaf] | None = None  # the output tensor, if it asked for its gradient
    line: str = ""
    released: bool = False

    def forward(self, *arrays: Array) -> Array:
        """arrays -> array: the result, in new memory or as a view of an input."""
        raise TypeError(f"{self.name} has no forward(): an op says there what it computes")

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """dL/dy, in the shape of the output -> dL/dx for each input of `forward`, in its shape (or see `broadcasts`)."""
        raise TypeError(f"{self.name} has no backward(): an op says there what its gradients are")

    @property
    def name(self) -> str:
        """The class name: what errors, `detect_anomaly` and `draw_graph` call the op."""
        return type(self).__name__

    def record(self, parents: Sequence[Op | Leaf | None], output: Array, anomaly_mode: bool) -> None:
        """Make this op, which has just run, a node of the graph. Raises GraphError if it is one already."""
        if self.creation_index >= 0 or self.released:
            raise GraphError(
                f"{self.name}: this op object was applied before",
                expected="a new op for each call: an op holds what its one backward needs",
                got="the same object twice",
                help=f"write apply({self.name}(...), x) each time",
            )
        self.parents = parents
        self.creation_index = next(_creation_indices)
        self.grad_shape = output.shape
        self.output_nbytes = output.nbytes
        if self.saved:
            self.fingerprints = (fingerprints_anywhere if anomaly_mode else fingerprints)(self.saved)
        if anomaly_mode:
            self.line = anomaly.user_line()

    def check_saved(self) -> None:
        """Raise ModifiedError if a saved array is no longer what it was in the forward pass."""
        if unchanged(self.saved, self.fingerprints):
            return
        after = fingerprints_anywhere(self.saved)
        for array, before, now in zip(self.saved, self.fingerprints, after, strict=True):
            if before is not None and now != before:
                raise ModifiedError(
                    f"{self.name}: an array that backward needs was changed in place after the forward pass",
                    expected=f"the array of shape {array.shape} as it was in forward",
                    got="other contents",
                    help="change it after backward(), or give the tensor a new array: x.data = x.data + 1, not x.data += 1",
                )

    def release(self) -> None:
        """Forget parents and arrays: after backward nobody needs them, and memory comes back at once."""
        self.__dict__.clear()
        self.released = True


Node: TypeAlias = Op | Leaf
_creation_indices = itertools.count()


def backpropagate(root: Node, grad: Array, retain_graph: bool) -> None:
    """Send `grad` (the shape of `root`) back through the graph, and add what arrives at each leaf to that leaf's gradient.

    Raises, with the graph used up but no gradient changed: GraphError where the graph was released by an earlier backward,
    ModifiedError where a saved array has changed, and ShapeError where an op's backward returns a wrong shape.
    """
    run_on(grad, _backpropagate, root, grad, retain_graph)


def _backpropagate(root: Node, grad: Array, retain_graph: bool) -> None:
    anomaly_mode = anomaly.enabled
    if anomaly_mode:
        anomaly.check_given(grad)
    gradients: dict[Node, Array] = {root: grad}
    retained: list[tuple[Leaf, Array]] = []
    # The ops that a gradient has reached, the one made last on top: what it feeds was made later, and has had its turn.
    reached: list[tuple[int, Op]] = [(-root.creation_index, root)] if isinstance(root, Op) else []
    while reached:
        op = heappop(reached)[1]
        upstream = gradients.pop(op)
        if op.released:
            raise _released_before()
        if op.retained is not None and (output := op.retained()) is not None:
            retained.append((output, upstream))
        if op.saved:
            op.check_saved()
        # NumPy needs no device to be chosen, and its warnings are off already.
        on_numpy = type(upstream) is ndarray
        results = op.backward(upstream) if on_numpy else run_on(upstream, op.backward, upstream)
        if type(results) is not tuple or len(results) != len(op.parents):
            raise _wrong_count(op, results)
        for position, parent in enumerate(op.parents):  # a third of the time of zip(..., strict=True)
            gradient = results[position]
            if parent is None or gradient is None:
                continue
            # NumPy turns 0-d results into scalars.
            if on_numpy and type(gradient) is not ndarray and isinstance(gradient, generic):
                gradient = np.asarray(gradient)
            if gradient.shape != parent.grad_shape:
                if isinstance(parent, Op) and parent.released:  # it has forgotten its shape
                    raise _released_before()
                if not (op.broadcasts and gradient.shape == op.grad_shape):
                    raise _wrong_shape(op, gradient, parent)
                gradient = unbroadcast(gradient, parent.grad_shape)
            if anomaly_mode:
                anomaly.check_gradient(op.name, gradient, op.line)
            other = gradients.get(parent)
            if other is not None:
                gradients[parent] = add(other, gradient)
                continue
            gradients[parent] = gradient
            if isinstance(parent, Op):
                heappush(reached, (-parent.creation_index, parent))
        if not retain_graph:
            op.release()
    # What is left are the leaves.
    _hand_out(retained + [(leaf, gradient) for leaf, gradient in gradients.items() if not isinstance(leaf, Op)], grad)


def add(first: Array, second: Array) -> Array:
    """(shape), (shape) -> (shape): the sum, in new memory: a gradient may be another op's upstream gradient too.

    Always an array: NumPy turns the sum of two 0-d arrays into a scalar.
    """
    total = first + second
    return np.asarray(total) if isinstance(total, generic) else total


def _released_before() -> GraphError:
    return GraphError(
        "backward: this part of the graph was already used by an earlier backward() and has been released",
        expected="a graph that has not been played yet",
        got="a second backward() through the same ops",
        help="run the forward pass again; or add the losses and call backward once; or backward(retain_graph=True)",
    )


def _hand_out(gradients: list[tuple[Leaf, Array]], given: Array) -> None:
    """Give each leaf its gradient, in memory that no one else holds: neither another leaf, nor the caller of backward."""
    held_elsewhere = {id(given)}
    for leaf, gradient in gradients:
        if gradient.base is not None or id(gradient) in held_elsewhere:
            gradient = gradient.copy(order="K")
        held_elsewhere.add(id(gradient))
        leaf.accumulate_grad(gradient)


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
