"""Tensor: an array that remembers how it was made.

A tensor holds an array (`data`), the gradient of some scalar with respect to it (`grad`, after `backward`), and the op that
made it. Its operators and methods are in `operators.py`, the formulas behind them in `ops/`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy import generic, ndarray

from . import backend
from .backend import Array, run_on
from .errors import GraphError
from .guard import anomaly, operands
from .operators import Operators
from .ops import elementwise, shape
from .ops.matmul import MatMul
from .tape import Op, add, backpropagate, mode


class Tensor(Operators):
    """Tensor(data, requires_grad=False, dtype=None): any shape.

    data: an array is taken as it is, type and memory shared, NumPy or CuPy; Python numbers and (nested) lists become float32.
    Raises DTypeError for data that is not numbers, and if gradients are wanted of anything but floating-point numbers.
    """

    __slots__ = ("__weakref__", "_data", "_op", "_requires_grad", "grad")
    __array_ufunc__ = None  # numpy_array + tensor: NumPy leaves it to Tensor.__radd__
    __array_priority__ = 1000  # the same for CuPy

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        self._data: Array = operands.as_array(data._data if isinstance(data, Tensor) else data, dtype)
        self._op: Op | None = None
        self._requires_grad = False
        self.grad: Array | None = None
        self.requires_grad = requires_grad

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The array itself, not a copy. Assign a new one to change the tensor; backward keeps using the old one."""
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        self._data = operands.as_array(array, None)

    @property
    def requires_grad(self) -> bool:
        """True if backward should reach this tensor. Can be set on tensors that the user made (leaves)."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        operands.can_require_grad(self, value)
        self._requires_grad = bool(value)

    @property
    def is_leaf(self) -> bool:
        """True for a tensor that a user made, False for the recorded output of an op."""
        return self._op is None

    @property
    def grad_shape(self) -> tuple[int, ...]:
        """The shape that its gradient must have: its own."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """The number type, as a NumPy dtype."""
        return self._data.dtype

    @property
    def device(self) -> str:
        """Where the array is: "cpu", "cuda", "cuda:1", ..."""
        return backend.device_of(self._data)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", threshold=20, prefix="Tensor(")
        made_by = f", made by {self._op.name}" if self._op is not None and not self._op.released else ""
        notes = f", {self.dtype}" + (", requires_grad" if self._requires_grad and not made_by else made_by)
        return f"Tensor({values}{notes}" + ("" if self.device == "cpu" else f", {self.device}") + ")"

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    __hash__ = object.__hash__

    # Where it goes ---------------------------------------------------------------------------------------------------

    def numpy(self) -> Any:
        """(any shape) -> the same numbers as a NumPy array, without history; shares memory on the CPU, a copy from a GPU."""
        return backend.to_numpy(self._data)

    def item(self) -> float | int | bool:
        """(one element) -> a Python number. Raises ShapeError for any other size."""
        operands.require_one_element(self.shape)
        return self._data.item()  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """(any shape) -> same: the same array, without history: a constant to backward."""
        return Tensor(self._data)

    def to(self, device: str) -> Tensor:
        """(any shape) -> same, on `device`: "cpu", "cuda", "cuda:1". Itself if it is there; gradients travel back."""
        target = backend.normalise_device(device)
        return self if target == self.device else apply(shape.ToDevice(self.device, target), self)

    def astype(self, dtype: Any) -> Tensor:
        """(any shape) -> same, as another number type; the gradient comes back in this tensor's own."""
        return apply(elementwise.AsType(np.dtype(dtype)), self)

    # Backward --------------------------------------------------------------------------------------------------------

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """() or (shape) -> adds d(sum of grad * self) / d(leaf) to the `.grad` of every leaf that requires a gradient.

        grad: the upstream gradient, of this tensor's shape (its number type is converted); may be left out for one element (1).
        The graph is released on the way, unless `retain_graph`: a second backward through the same ops is an error.
        Raises GraphError, ShapeError or DeviceError before anything is computed. ModifiedError (a saved array was changed in
        place) comes midway: then no gradient has changed, but the graph is used up.
        """
        if not self._requires_grad:
            raise GraphError(
                "backward: this tensor has no history and requires no gradient",
                expected="a tensor made from one with requires_grad=True",
                got=repr(self),
                help="make the inputs with md.Tensor(..., requires_grad=True), and not inside no_grad()",
            )
        upstream = operands.upstream_gradient(self, grad)
        backpropagate(self if self._op is None else self._op, upstream, retain_graph)

    def retain_grad(self) -> Tensor:
        """(any shape) -> itself: keep `.grad` of this tensor too, though an op made it. Call it before backward."""
        if self._op is not None:
            self._op.retained = weakref.ref(self)
        return self

    def accumulate_grad(self, gradient: Array) -> None:
        """(shape): add `gradient` to `.grad`, in a new array: one read out earlier keeps its numbers."""
        if backend.recording():
            backend.capturing().gradients.append((self, self.grad))
        self.grad = gradient if self.grad is None else add(self.grad, gradient)


Operand: TypeAlias = Tensor | float | int | bool | Array
CONSTANTS = frozenset({float, int, bool, type(None)})


def apply(op: Op, *inputs: Operand) -> Tensor:
    """op, inputs -> the output of `op`, recorded on the tape if an input requires a gradient (and not inside no_grad).

    inputs: tensors; Python numbers and None, which are constants of the op; arrays and lists, which are made into tensors.
    A bool tensor beside others counts as 0 and 1 in their number type.
    Raises DTypeError or DeviceError, before anything is computed, if tensors differ in number type or device.
    """
    first: Array = None
    arrays: list[Array] = []
    parents: list[Any] = []
    needs_grad: list[bool] = []
    recording = mode.recording
    for value in inputs:
        if isinstance(value, Tensor):
            array = value._data
            if first is None:
                first = array
            elif not (type(array) is type(first) is ndarray and array.dtype is first.dtype):
                if first.dtype != array.dtype and "b" in (first.dtype.kind, array.dtype.kind):
                    return apply(op, *_masks_as_numbers(inputs))
                operands.require_alike(op.name, first, array)
            arrays.append(array)
            if recording and value._requires_grad:
                parents.append(value if value._op is None else value._op)
                needs_grad.append(True)
                continue
        elif type(value) in CONSTANTS:
            arrays.append(value)
        else:
            return apply(op, *_as_operands(inputs))
        parents.append(None)
        needs_grad.append(False)
    if first is None:
        return apply(op, Tensor(inputs[0]), *inputs[1:])

    op.needs_grad = needs_grad
    try:
        result = run_on(first, op.forward, *arrays)
    except ValueError as error:
        operands.explain_broadcasting(op.name, error, *arrays)
        raise
    if type(result) is not ndarray and isinstance(result, generic):  # NumPy turns 0-d results into scalars
        result = np.asarray(result)
    anomaly_mode = anomaly.enabled
    if anomaly_mode:
        anomaly.check_output(op.name, result, [array for array in arrays if backend.is_array(array)])
    output = Tensor.__new__(Tensor)
    output._data = result
    output.grad = None
    output._requires_grad = recorded = True in needs_grad
    output._op = op if recorded else None
    if recorded:
        op.record(parents, result, anomaly_mode)
    return output


def _as_operands(inputs: tuple[Any, ...]) -> list[Any]:
    """Arrays and lists as tensors, NumPy scalars as Python numbers; a list takes type and device of the first tensor."""
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    operands: list[Any] = []
    for value in inputs:
        if isinstance(value, Tensor) or type(value) in CONSTANTS:
            operands.append(value)
        elif isinstance(value, generic):
            operands.append(value.item())
        elif isinstance(value, (list, tuple)) and tensors:
            operands.append(Tensor(value, dtype=tensors[0].dtype).to(tensors[0].device))
        else:
            operands.append(Tensor(value))
    return operands


def _masks_as_numbers(inputs: tuple[Any, ...]) -> list[Any]:
    """Bool tensors as 0 and 1 in the number type of the others: x * (x > 0) means what it says."""
    types = [value.dtype for value in inputs if isinstance(value, Tensor) and value.dtype.kind != "b"]
    return [value.astype(types[0]) if isinstance(value, Tensor) and value.dtype.kind == "b" else value for value in inputs]


def as_tensor(value: Operand) -> Tensor:
    """value -> a tensor: itself if it is one."""
    return value if isinstance(value, Tensor) else Tensor(value)


def matmul(a: Operand, b: Operand) -> Tensor:
    """(..., M, K) @ (..., K, N) -> (..., M, N): the matrix product; a 1-d operand is one row (left) or one column (right)."""
    a, b = (as_tensor(value) for value in _as_operands((a, b)))
    operands.require_matrices(a.shape, b.shape)
    rows = a.reshape(1, -1) if a.ndim == 1 else a
    columns = b.reshape(-1, 1) if b.ndim == 1 else b
    result = apply(MatMul(), rows, columns)
    if a.ndim == 1 or b.ndim == 1:
        leading = result.shape[:-2]
        return result.reshape(
            leading + (() if a.ndim == 1 else (rows.shape[-2],)) + (() if b.ndim == 1 else (columns.shape[-1],))
        )
    return result


def compare(comparison: Callable[[Array, Array], Array], a: Tensor, b: Any) -> Any:
    """(a), (b) -> broadcast, bool: a comparison element by element. It has no gradient; number types may differ."""
    if not isinstance(b, (Tensor, float, int, list, tuple, generic)) and not backend.is_array(b):
        return NotImplemented
    if isinstance(b, (list, tuple)):
        b = Tensor(b, dtype=a.dtype if a.dtype.kind == "f" else np.asarray(b).dtype).to(a.device)
    if isinstance(b, Tensor):
        operands.require_same_device(comparison.__name__, a.device, b.device)
        b = b._data
    try:
        return Tensor(backend.run_on(a._data, comparison, a._data, b))
    except ValueError as error:
        operands.explain_broadcasting(comparison.__name__, error, a._data, b)
        raise


# What the methods of Operators call.
Tensor.apply = staticmethod(apply)  # type: ignore[misc]
Tensor.matmul = staticmethod(matmul)  # type: ignore[misc]
Tensor.compare = staticmethod(compare)  # type: ignore[misc]
