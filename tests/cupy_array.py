"""The array of the stand-in for CuPy (cupy_stand_in.py): a NumPy array that is treated as if it were on a GPU.

CuPy's own results are row-major, whatever the order of the operands; `.get()` gives a row-major copy. Both are so here.
"""

from __future__ import annotations

import functools
import inspect
import types

import cupy_gpu
import numpy as np
from cupy_gpu import Device, current_device

STRICTER = {
    "read": "an implicit read of a scalar: bool(x), float(x), int(x), for a in x. CuPy waits for the GPU; write .item()",
    "copy": "a NumPy array or a list where CuPy would copy it to the GPU (an index, cupy.take) or leave it on the CPU (cupy.sum)",
    "numpy": "a NumPy function or scalar that CuPy's arrays answer to: numpy.exp(x), numpy.float32(2) * x",
    "unchecked": "what CuPy computes unchecked: an index out of range (it wraps), a negative power of integers, a shift beyond the "
    "bits, writing into a broadcast array, writing through an index what lies in the same memory",
    "unused": "a keyword, or a way to call, that CuPy has and minidrop does not use",
}


class Stricter(TypeError):
    """The stand-in refuses what CuPy does: one of the kinds of STRICTER, which test_stand_in.py allows."""

    def __init__(self, kind, what=""):
        super().__init__(f"{STRICTER[kind]}: {what}")


def host(array):
    """The NumPy array under an array of the current device."""
    if not isinstance(array, ndarray):
        raise TypeError(f"Argument has incorrect type (expected cupy.ndarray, got {type(array).__name__})")
    if array._device != current_device():
        raise ValueError(f"array on device {array._device} while the current device is {current_device()}")
    return array._host


def operand(value):
    """What an operator or a ufunc may compute with: an array, or a number."""
    if isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        return value
    if not isinstance(value, ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return host(value)


def box(value, *parents):
    """An array on the current device; a view of a parent is on the parent's. What is a parent itself comes back as it is."""
    if isinstance(value, tuple):
        return tuple(box(part, *parents) for part in value)
    for parent in parents:
        if value is parent._host:
            return parent
        if value.base is not None and owner(value) is owner(parent._host):
            return ndarray(value, parent._device, parent if parent._base is None else parent._base)
    if value.dtype.kind not in "?biufc" or value.dtype.itemsize > (16 if value.dtype.kind == "c" else 8):
        raise ValueError(f"Unsupported dtype {value.dtype}")
    return ndarray(value, current_device())


def owner(array):
    while getattr(array, "base", None) is not None:  # also through NumPy's DummyArray of as_strided
        array = array.base
    return array


def quietly(function, *args, **kwargs):
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    return result if isinstance(result, tuple) or result is NotImplemented else np.asarray(result)


def quietly_in_rows(function, *args, **kwargs):
    result = quietly(function, *args, **kwargs)
    return np.asarray(result, order="C") if isinstance(result, np.ndarray) else result


def compute(function, *args, **kwargs):
    """function(*args), recorded if a step is being captured, row-major: a NumPy array."""
    return cupy_gpu.call(quietly_in_rows, function, *args, **kwargs)


@functools.cache
def signature(text):
    return inspect.signature(eval(f"lambda {text}: 0"))


def check_call(text, args, kwargs):
    """Raise Stricter unless a function with these parameters could be called so."""
    try:
        signature(text).bind(*args, **kwargs)
    except TypeError as error:
        raise Stricter("unused", error) from None


class Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata
        self.fnc, self.forc = flags.fnc, flags.forc

    def __getitem__(self, name):
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous, "OWNDATA": self.owndata}[name]


class ndarray:
    __slots__ = ("__weakref__", "_base", "_device", "_host")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host, device=None, base=None):
        if not isinstance(host, np.ndarray) or device is None:
            raise Stricter("unused", "cupy.ndarray(...)")
        self._host, self._device, self._base = host, device, base

    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    dtype = property(lambda self: self._host.dtype)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    base = property(lambda self: self._base)
    device = property(lambda self: Device(self._device))
    T = property(lambda self: box(self._host.T, self) if self.ndim > 1 else ndarray(self._host.T, self._device))
    flags = property(lambda self: Flags(self._host.flags))
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))

    def get(self, *args, **kwargs):
        check_call("", args, kwargs)
        cupy_gpu.refuse_while_capturing("D2H transfers are")
        return self._host.copy(order="C")

    def item(self, *args):
        check_call("", args, {})
        cupy_gpu.refuse_while_capturing("D2H transfers are")
        return self._host.item()

    def __repr__(self):
        return f"stand_in.array({self._host!r})"

    def __len__(self):
        return len(self._host)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return _unpickled, (self.get(), self._device)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct one explicitly.")

    def __array_ufunc__(self, ufunc, *args, **kwargs):
        raise Stricter("numpy", ufunc)

    def __array_function__(self, function, *args, **kwargs):
        raise Stricter("numpy", function)

    def _no_scalar_read(self, *args):
        raise Stricter("read")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __iter__ = __contains__ = __format__ = _no_scalar_read

    def __getitem__(self, index):
        host(self)
        index, copies = as_index(index)
        try:
            part = cupy_gpu.call(quietly_in_rows if copies else quietly, np.ndarray.__getitem__, self._host, index)
        except IndexError as error:
            raise _if_unchecked(error, copies) from None
        return box(part) if copies else box(part, self)

    def __setitem__(self, index, value):
        host(self)
        index, copies = as_index(index)
        if isinstance(value, (list, tuple, np.ndarray)):
            if copies or np.ndim(value) == 0:
                raise Stricter("copy", "x[...] = numpy_array")
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        if isinstance(value, str):
            raise ValueError("could not convert string to float")
        _write(np.ndarray.__setitem__, self._host, index, operand(value), copies)


def _unpickled(values, device):
    return ndarray(values, device)


def as_index(index):
    """-> the index for NumPy, and whether the result is a copy; a view of a single number is kept one by `...`."""
    parts = index if isinstance(index, tuple) else (index,)
    copies, own = False, []
    for part in parts:
        if isinstance(part, (list, np.ndarray)):
            raise Stricter("copy", f"{type(part)} in an index")
        if isinstance(part, ndarray):
            part, copies = host(part), True
            if part.dtype == bool:
                cupy_gpu.refuse_while_capturing("D2H transfers are")  # how many are True
        own.append(part)
    return (tuple(own) if copies or any(part is ... for part in own) else (*own, ...)), copies


def _if_unchecked(error, copies):
    return Stricter("unchecked", error) if copies and "out of bounds" in str(error) else error


def _write(function, array, index, value, copies):
    if not array.flags.writeable or (copies and isinstance(value, np.ndarray) and np.may_share_memory(array, value)):
        raise Stricter("unchecked", "writing into shared memory")
    try:
        cupy_gpu.call(quietly, function, array, index, value, changes=[array])
    except IndexError as error:
        raise _if_unchecked(error, copies) from None


def add_at(array, index, values):
    """cupy.add.at: duplicates add up."""
    if not isinstance(array, ndarray):
        raise AttributeError(f"{type(array).__name__!r} object has no attribute '_scatter_op'")
    target = host(array)
    if isinstance(values, (list, np.ndarray)):
        raise Stricter("copy", "cupy.add.at(x, index, numpy_array)")
    if target.dtype.name not in ("int32", "int64", "float16", "float32", "float64", "uint32", "uint64"):
        raise TypeError(f"cupy.add.at does not support {target.dtype}")
    index, _ = as_index(index)
    values = operand(values)
    if isinstance(values, np.ndarray) and np.may_share_memory(target, values):
        raise Stricter("unchecked", "add.at from the same memory")
    _write(_add_at_cast, target, index, values, True)


def _add_at_cast(array, index, values):
    """CuPy casts the values first; inside the recorded call, so that a replay reads them again."""
    np.add.at(array, index, np.asarray(values).astype(array.dtype))


def _check_integers(name, left, right):
    """Refuse what NumPy and a GPU compute differently: 2 ** -1, and 1 << 64."""
    power, shift = name.endswith("pow__"), name.endswith("shift__")
    if power or shift:
        left, right = (right, left) if name.startswith("__r") and name != "__rshift__" else (left, right)
        kind = np.result_type(left, right)
        if kind.kind in "iu" and (np.any(np.less(right, 0)) or (shift and np.any(np.greater_equal(right, kind.itemsize * 8)))):
            raise Stricter("unchecked", name)


def _add_operators():
    def binary(name):
        function = getattr(np.ndarray, name)

        def method(self, other):
            if getattr(type(other), "__array_ufunc__", 1) is None:
                return NotImplemented
            comparing = other is None and name in ("__eq__", "__ne__")
            left, right = host(self), None if comparing else operand(other)
            if "matmul" in name:
                return product(*((other, self) if name == "__rmatmul__" else (self, other)))
            _check_integers(name, left, right)
            result = compute(function, left, right)
            return result if result is NotImplemented else box(result)

        return method

    def in_place(name):
        function = getattr(np.ndarray, name)

        def method(self, other):
            left, right = host(self), operand(other)
            _check_integers(name, left, right)
            if not left.flags.writeable:
                raise Stricter("unchecked", name)
            cupy_gpu.call(quietly, function, left, right, changes=[left])
            return self

        return method

    def unary(name):
        function = getattr(np.ndarray, name)
        return lambda self: box(compute(function, host(self)))

    for stem in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"):
        setattr(ndarray, f"__{stem}__", binary(f"__{stem}__"))
        setattr(ndarray, f"__r{stem}__", binary(f"__r{stem}__"))
        if stem != "matmul":
            setattr(ndarray, f"__i{stem}__", in_place(f"__i{stem}__"))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(ndarray, f"__{name}__", binary(f"__{name}__"))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(ndarray, f"__{name}__", unary(f"__{name}__"))


def product(a, b, function=np.matmul, out=None):
    """cupy.matmul of two arrays."""
    a, b = host(a), host(b)
    if cupy_gpu.recording is not None and np.result_type(a, b).kind == "f" and a.ndim + b.ndim > 2:
        # CuPy's own refusal (_setStream in its cublas.pyx), by its type and words; minidrop's captures call cuBLAS themselves
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    function = cupy_gpu.of_ten_bits(function)
    if out is None:
        return box(compute(function, a, b))
    cupy_gpu.call(quietly, function, a, b, out=host(out), changes=[host(out)])
    return out


_add_operators()
