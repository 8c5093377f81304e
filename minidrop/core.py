"""The heart of minidrop: how a number finds its gradient (reverse-mode automatic differentiation).

    y = apply(op, x, w)   computes y; if x or w wants a gradient, y remembers op, and op the ops that made x and w
    y.backward(dL/dy)     goes back along what is remembered: op.backward for every op that led to y, the newest first

An op is newer than those that made its inputs. If the newest always goes first, its gradient is complete, summed over all that
used its output, when its turn comes: each op is visited once, and nothing is recursive. This file runs alone. NaN, GPUs, errors
and changes in place are handled behind four doors, `forward`, `backward`, `fold` and `add`, which `guard/doors.py` replaces.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from heapq import heappop, heappush
from typing import Any, TypeAlias

Array: TypeAlias = Any  # of NumPy or CuPy: the two share no static type


class Op:
    """One differentiable operation on plain arrays, and all that is remembered of one call of it: make a new one for each.

    `forward` takes what is differentiated; the rest (axis, stride, labels) goes into the constructor. `backward` takes grad =
    dL/dy and returns dL/dx for each x:  dL/dx_i = sum over j of grad_j dy_j/dx_i.  Neither writes into its arguments.
    """

    name: str = "Op"  # of the class: what errors, `detect_anomaly` and `draw_graph` call the op
    saved: tuple[Array, ...] = ()  # arrays that backward needs and others can reach: they are watched for changes
    broadcasts: bool = False  # True: backward may return gradients of the output's shape, which `fold` sums (guard/ asks)
    needs_grad: Sequence[bool] = ()  # one per input, set before `forward`; where it is False, backward may return None
    parents: Sequence[Node | None] = ()  # for each input the op that made it, or the leaf that it is; None: a constant
    sequence_number: int = -1  # counts up with every op that is remembered: the larger, the newer
    grad_shape: tuple[int, ...] = (-1,)  # of the output and so of its gradient; (-1,): not set, or forgotten by backward
    retained: Callable[[], Variable | None] | None = None  # a weak reference to the output, if it is to keep its gradient
    released: bool = False  # True: backward has been here, and parents and arrays are forgotten
    fingerprints: Sequence[Any] = ()  # for guard/: what `saved` looked like
    made_at: str = ""  # for guard/: under `detect_anomaly` the user's line that made the op

    def forward(self, *arrays: Array) -> Array:
        """arrays -> array: the result, in new memory or as a view of an input."""
        raise TypeError(f"{self.name} has no forward(): an op says there what it computes")

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        """dL/dy -> dL/dx for each input, in its shape (or see `broadcasts`)."""
        raise TypeError(f"{self.name} has no backward(): an op says there what its gradients are")

    def __init_subclass__(cls) -> None:
        cls.name, cls.__eq__, cls.__hash__ = vars(cls).get("name", cls.__name__), object.__eq__, object.__hash__  # type: ignore


class Variable:
    """An array, the gradient of some number with respect to it, and the op that made it (None: a leaf, made by a user)."""

    __slots__ = ("__weakref__", "_data", "_op", "_requires_grad", "grad")

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self._data, self._requires_grad = data, requires_grad
        self._op: Op | None = None
        self.grad: Array = None

    @property
    def grad_shape(self) -> tuple[int, ...]:
        """The shape of its gradient: its own."""
        return self._data.shape  # type: ignore[no-any-return]

    def backward(self, grad: Array, retain_graph: bool = False) -> None:
        """dL/d(self) -> adds dL/d(leaf) to the `.grad` of every leaf that led to it. (Tensor has its own, with checks.)"""
        for leaf, gradient in backpropagate(self if self._op is None else self._op, grad, retain_graph):
            leaf.grad = gradient if leaf.grad is None else add(leaf.grad, gradient)


Node: TypeAlias = Op | Variable
numbers = itertools.count()
no_grad_depth: Any = type("Depth", (threading.local,), {"now": 0})()  # .now: inside how many `no_grad` this thread is


class no_grad(ContextDecorator):
    """Inside `with no_grad():`, or a function decorated `@no_grad()`, nothing is remembered: outputs are constants. Nests."""

    def __enter__(self) -> None:
        no_grad_depth.now += 1

    def __exit__(self, *error: object) -> None:
        no_grad_depth.now -= 1


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """(broadcast shape) -> `shape`: an element that was used k times gets the sum of its k gradients."""
    new = grad.ndim - len(shape)
    stretched = tuple(axis for axis in range(grad.ndim) if axis < new or shape[axis - new] != grad.shape[axis])
    total = grad.sum(axis=stretched, keepdims=not shape) if stretched else grad  # NumPy's sum over all is no array
    return total if total.shape == shape else total.reshape(shape)


forward: Callable[[Op, list[Any]], Array] = lambda op, arrays: op.forward(*arrays)
backward: Callable[[Op, Array], tuple[Array | None, ...]] = lambda op, grad: op.backward(grad)
fold: Callable[[Op, Array, Node], Array] = lambda op, grad, parent: unbroadcast(grad, parent.grad_shape)
add: Callable[[Array, Array], Array] = lambda one, other: one + other
kind: type[Variable] = Variable  # of outputs: tensor.py makes it Tensor


def apply(op: Op, *inputs: Any) -> Any:
    """op, inputs -> the output of `op`, remembered if an input wants a gradient. What is no Variable is a constant."""
    remembers = not no_grad_depth.now
    arrays, parents, needs_grad = [], [], []
    for value in inputs:
        parent = None
        if isinstance(value, Variable):
            arrays.append(value._data)
            if remembers and value._requires_grad:
                parent = value if value._op is None else value._op
        else:
            arrays.append(value)
        parents.append(parent)
        needs_grad.append(parent is not None)
    op.needs_grad = needs_grad
    result, output = forward(op, arrays), kind.__new__(kind)  # without __init__, which checks what users hand it
    remembered = True in needs_grad
    if remembered:
        op.parents, op.sequence_number, op.grad_shape = parents, next(numbers), result.shape
    output._data, output.grad, output._op, output._requires_grad = result, None, op if remembered else None, remembered
    return output


def backpropagate(root: Node, grad: Array, retain_graph: bool) -> list[tuple[Variable, Array]]:
    """dL/d(root) -> (leaf, dL/d(leaf)) for each leaf that led to it; forgets each op on the way, unless `retain_graph`."""
    gradients, found = {root: grad}, []
    reached = [(-root.sequence_number, root)] if isinstance(root, Op) else []  # a heap: the newest op comes first
    while reached:
        op = heappop(reached)[1]
        upstream = gradients.pop(op)  # complete: every consumer of an op is newer, so it is already done
        if op.retained and (output := op.retained()) is not None:
            found.append((output, upstream))
        for parent, gradient in zip(op.parents, backward(op, upstream)):  # noqa: B905 (the door looks at the lengths)
            if parent is None or gradient is None:
                continue
            if gradient.shape != parent.grad_shape:
                gradient = fold(op, gradient, parent)
            if parent in gradients:
                gradients[parent] = add(gradients[parent], gradient)
            else:
                gradients[parent] = gradient
                if isinstance(parent, Op):
                    heappush(reached, (-parent.sequence_number, parent))
        if not retain_graph:
            op.__dict__ = {"released": True}  # all else as in the class: parents and arrays are forgotten, memory is free
    return found + [(leaf, gradient) for leaf, gradient in gradients.items() if isinstance(leaf, Variable)]
