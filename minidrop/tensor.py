"""Tensor: an array that records how it was computed.

A tensor holds an array (`data`), the gradient of some scalar with respect to it (`grad`, after `backward`), and the op that
made it. It is a `core.Variable` with operators (`operators.py`), devices, and checks of user input.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy import generic

from . import backend, core
from .backend import Array, run_on
from .errors import GraphError
from .guard import doors, numpy_calls, operands
from .operators import Operators
from .ops import elementwise, shape


class Tensor(Operators):
    """Tensor(data, requires_grad=False, dtype=None): any shape.

    data: an array is used directly, type and memory shared, NumPy or CuPy; Python numbers and (nested) lists become float32.
    Raises DTypeError for data that is not numbers, and for requires_grad=True with anything but floating-point numbers.
    """

    __slots__ = ()
    changes_in_place = False  # True of what belongs to a module
    __array_ufunc__ = None  # numpy_array + tensor: NumPy leaves it to Tensor.__radd__
    __array_priority__ = 1000  # the same for CuPy

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        super().__init__(operands.as_array(data._data if isinstance(data, core.Variable) else data, dtype))
        self.requires_grad = requires_grad

    # Properties ------------------------------------------------------------------------------------------------------

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
        help = "for arrays: (x > 0).data.any() or .all(); and, or, not are & | ~"
        operands.require_one_element(self.shape, "if, and, or, not, bool()", help)
        return bool(self.item())

    # One element as a Python number, without history: float(loss), round(loss, 3), f"{loss:.3f}", classes[prediction]

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())  # type: ignore[arg-type]

    def __round__(self, digits: int | None = None) -> float | int:
        return round(self.item(), digits)

    def __format__(self, spec: str) -> str:
        if spec:
            operands.require_one_element(self.shape, f"format {spec!r}")
        return format(self.item(), spec) if spec else str(self)

    # In place: Parameters, Buffers, and leaves that require a gradient stay what they are; what requires a gradient can be
    # changed only inside no_grad. Of other tensors y += b is y = y + b.

    def __iadd__(self, other: Any) -> Tensor:
        return self._in_place(operator.add, other)

    def __isub__(self, other: Any) -> Tensor:
        return self._in_place(operator.sub, other)

    def __imul__(self, other: Any) -> Tensor:
        return self._in_place(operator.mul, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._in_place(operator.truediv, other)

    def __ipow__(self, other: Any) -> Tensor:
        return self._in_place(operator.pow, other)

    def __imatmul__(self, other: Any) -> Tensor:
        return self._in_place(operator.matmul, other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return self._in_place(operator.floordiv, other)

    def __imod__(self, other: Any) -> Tensor:
        return self._in_place(operator.mod, other)

    def _in_place(self, operation: Callable[[Any, Any], Any], other: Any) -> Tensor:
        if self._op is not None or not (self._requires_grad or self.changes_in_place):
            return operation(self, other)  # type: ignore[no-any-return]
        operands.require_no_recording(operation.__name__, self, other)
        result = operation(self, other)
        operands.require_same_shape(operation.__name__, self, result)
        run_on(self._data, self._data.__setitem__, ..., result._data)
        return self

    # NumPy's functions: guard/numpy_calls.py

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        numpy_calls.require_nothing_lost(self)
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_calls.call(function, args, kwargs)

    # Copies

    def __copy__(self) -> Tensor:
        made: Any = super().__reduce_ex__(4)
        make, arguments, (attributes, slots), *_ = made  # attributes: of a user's subclass
        new: Tensor = make(*arguments)
        for name, value in {**(attributes or {}), **slots}.items():
            object.__setattr__(new, name, value)
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:  # copy.deepcopy and pickle
        operands.require_leaf(self)
        return super().__reduce_ex__(protocol)

    # Conversions -----------------------------------------------------------------------------------------------------

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
        """(any shape) -> same, on `device`: "cpu", "cuda", "cuda:1". Itself if already there; gradients are moved back."""
        target = backend.normalise_device(device)
        return self if target == self.device else apply(shape.ToDevice(self.device, target), self)

    def astype(self, dtype: Any) -> Tensor:
        """(any shape) -> same, in another number type; the gradient comes back in the first. Integers and bools have none."""
        target = np.dtype(dtype)
        if target.kind != "f":
            return Tensor(run_on(self._data, self._data.astype, target))
        return apply(elementwise.AsType(target), self)

    # Backward --------------------------------------------------------------------------------------------------------

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """() or (shape) -> adds d(sum of grad * self) / d(leaf) to the `.grad` of every leaf that requires a gradient.

        grad: the upstream gradient, of this tensor's shape (its number type is converted); may be omitted for one element (1).
        The graph is released during backward, unless `retain_graph`: a second backward through the same ops is an error.
        Raises GraphError, ShapeError or DeviceError before anything is computed. ModifiedError (a saved array was changed in
        place), and GraphError where another backward has released a part, are raised midway: then no gradient has changed, but
        the graph is used up.
        """
        if not self._requires_grad:
            raise GraphError(
                "backward: this tensor has no history and requires no gradient",
                expected="a tensor made from one with requires_grad=True",
                got=repr(self),
                help="was the graph cut, by .data, .numpy(), argmax, a comparison or no_grad? Or no input requires a gradient",
            )
        upstream = operands.upstream_gradient(self, grad)
        run_on(upstream, doors.hand_out, self if self._op is None else self._op, upstream, retain_graph)

    def retain_grad(self) -> Tensor:
        """(any shape) -> itself: keep `.grad` of this tensor too, although an op made it. Call it before backward."""
        if self._op is not None:
            self._op.retained = weakref.ref(self)
        return self

    # Comparisons: (a), (b) -> broadcast, bool; they have no gradient, and number types may differ -----------------------------

    def __lt__(self, other: Any) -> Tensor:
        return self._compare(operator.lt, other)

    def __le__(self, other: Any) -> Tensor:
        return self._compare(operator.le, other)

    def __gt__(self, other: Any) -> Tensor:
        return self._compare(operator.gt, other)

    def __ge__(self, other: Any) -> Tensor:
        return self._compare(operator.ge, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compare(operator.eq, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compare(operator.ne, other)

    __hash__ = object.__hash__

    def _compare(self, comparison: Callable[[Array, Array], Array], other: Any) -> Tensor:
        if not isinstance(other, (Tensor, float, int, list, tuple, generic)) and not backend.is_array(other):
            return NotImplemented  # type: ignore[no-any-return]
        if isinstance(other, (list, tuple)):
            other = Tensor(other, dtype=self.dtype if self.dtype.kind == "f" else np.asarray(other).dtype).to(self.device)
        if isinstance(other, Tensor):
            operands.require_same_device(comparison.__name__, self.device, other.device)
            other = other._data
        try:
            return Tensor(run_on(self._data, comparison, self._data, other))
        except ValueError as error:
            operands.explain_broadcasting(comparison.__name__, error, self._data, other)
            raise


Operand: TypeAlias = Tensor | float | int | bool | Array
apply: Callable[..., Tensor] = core.apply
core.kind = Tensor


def as_tensor(value: Operand) -> Tensor:
    """value -> a tensor: itself if it is one."""
    return value if isinstance(value, Tensor) else Tensor(value)
