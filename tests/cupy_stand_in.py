"""A strict stand-in for CuPy, for machines without a GPU: NumPy underneath, with CuPy's restrictions.

It is a namespace with only those functions that CuPy has and minidrop may use; arrays of its own class refuse what CuPy
arrays refuse, and a little more:

* a NumPy array or a list as an operand, in an index, in an assignment (TypeError, as in CuPy);
* implicit conversion to NumPy: numpy.asarray(x), numpy.exp(x) (TypeError, as in CuPy for asarray);
* implicit reads of a scalar: bool(x), float(x), int(x), range(x). CuPy allows most of these, and waits for the GPU at each;
  here they are errors, so that every such wait is written out as .item();
* an array on another device than the current one, so that code for cuda:1 has to choose its device.

Reductions and indexing give 0-d arrays, never scalars. Nothing warns about floating-point errors.
"""

from __future__ import annotations

import sys
import threading
import types

import cupy_gpu
import numpy as np

GPU_COUNT = 2
_current = threading.local()


class Device:
    def __init__(self, index=0):
        if not 0 <= index < GPU_COUNT:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = index

    def __enter__(self):
        _current.stack = [*getattr(_current, "stack", []), self.id]
        return self

    def __exit__(self, *error):
        _current.stack = _current.stack[:-1]


class CUDARuntimeError(RuntimeError):
    pass


def current_device():
    stack = getattr(_current, "stack", [])
    return stack[-1] if stack else 0


def box(value):
    if isinstance(value, tuple):
        return tuple(box(part) for part in value)
    return ndarray(np.asarray(value), current_device())


def unbox(value):
    """What NumPy may compute with; refuses what CuPy would refuse."""
    if isinstance(value, ndarray):
        if value._device != current_device():
            raise ValueError(f"array on device {value._device} while the current device is {current_device()}")
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple):
        return tuple(unbox(part) for part in value)
    return value


def unbox_operand(value):
    if isinstance(value, list):
        raise TypeError(f"Unsupported type {type(value)}")
    return unbox(value)


def quietly(function, *args, **kwargs):
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    return result if isinstance(result, tuple) or result is NotImplemented else np.asarray(result)


def compute(function, *args, **kwargs):
    return box(cupy_gpu.call(quietly, function, *args, **kwargs))


class ndarray:
    __array_priority__ = 100

    def __init__(self, host, device):
        assert isinstance(host, np.ndarray)
        self._host = host
        self._device = device

    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    dtype = property(lambda self: self._host.dtype)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    device = property(lambda self: Device(self._device))
    T = property(lambda self: ndarray(self._host.T, self._device))

    @property
    def base(self):
        return None if self._host.base is None else ndarray(np.asarray(self._host.base), self._device)

    def get(self):
        cupy_gpu.refuse_while_capturing("a read of GPU memory")
        return self._host.copy(order="K")

    def item(self):
        cupy_gpu.refuse_while_capturing("a read of GPU memory")
        return self._host.item()

    def __repr__(self):
        return f"stand_in.array({self._host!r})"

    def __len__(self):
        return len(self._host)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct one explicitly.")

    def __array_ufunc__(self, *args, **kwargs):
        raise TypeError("a NumPy function was called on a GPU array")

    def _no_scalar_read(self, *args):
        raise TypeError("implicit read of a GPU scalar; write .item() if the wait for the GPU is meant")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __iter__ = __contains__ = _no_scalar_read
    __hash__ = object.__hash__

    def __getitem__(self, index):
        part = cupy_gpu.call(quietly, np.ndarray.__getitem__, self._host, unbox(_refuse_lists(index)))
        return box_view(part, self)

    def __setitem__(self, index, value):
        index, value = unbox(_refuse_lists(index)), unbox_operand(value)
        cupy_gpu.call(quietly, np.ndarray.__setitem__, self._host, index, value, changes=[self._host])


def _refuse_lists(index):
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, (list, np.ndarray)):
            raise TypeError(f"Unsupported type {type(part)} in an index")
    return index


def box_view(host, parent):
    return ndarray(np.asarray(host), parent._device)


def _add_operators():
    def binary(name):
        function = getattr(np.ndarray, name)
        if name.endswith("matmul__"):
            function = cupy_gpu.of_ten_bits(function)

        def method(self, other):
            if getattr(type(other), "__array_ufunc__", 1) is None:
                return NotImplemented
            result = cupy_gpu.call(quietly, function, unbox(self), unbox_operand(other))
            return result if result is NotImplemented else box(result)

        return method

    def in_place(name):
        function = getattr(np.ndarray, name)

        def method(self, other):
            cupy_gpu.call(quietly, function, unbox(self), unbox_operand(other), changes=[self._host])
            return self

        return method

    def unary(name):
        function = getattr(np.ndarray, name)
        return lambda self: compute(function, unbox(self))

    for stem in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"):
        setattr(ndarray, f"__{stem}__", binary(f"__{stem}__"))
        setattr(ndarray, f"__r{stem}__", binary(f"__r{stem}__"))
        if stem != "matmul":
            setattr(ndarray, f"__i{stem}__", in_place(f"__i{stem}__"))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(ndarray, f"__{name}__", binary(f"__{name}__"))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(ndarray, f"__{name}__", unary(f"__{name}__"))


def _add_methods():
    def method(name):
        function = getattr(np.ndarray, name)

        def call(self, *args, **kwargs):
            return compute(function, unbox(self), *map(unbox, args), **kwargs)

        return call

    for name in (
        "sum", "max", "min", "mean", "var", "all", "any", "argmax", "argmin", "prod", "reshape", "transpose", "swapaxes", "astype", "copy",
        "ravel", "squeeze", "flatten", "dot", "take", "clip",
    ):  # fmt: skip
        setattr(ndarray, name, method(name))


_add_operators()
_add_methods()


def make_module():
    """The stand-in, as a module to be put under the name "cupy" into sys.modules."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = ndarray
    cupy.__version__ = "0.0 (stand-in)"

    def ufunc(name):
        function = getattr(np, name)

        def call(*args, out=None, **kwargs):
            args = [unbox_operand(arg) for arg in args]
            if out is not None:
                compute(function, *args, out=unbox(out), **kwargs)
                return out
            return compute(function, *args, **kwargs)

        return call

    for name in (
        "add", "subtract", "multiply", "divide", "maximum", "minimum", "exp", "expm1", "log", "log1p", "sqrt", "abs",
        "absolute", "sign", "tanh", "isfinite", "isnan", "logical_and", "logical_or", "logical_not", "floor", "greater",
        "where", "clip", "zeros_like", "ones_like", "empty_like", "full_like", "broadcast_to", "pad", "take", "sum", "matmul",
        "ascontiguousarray", "negative", "nextafter", "nansum", "tile", "cumprod",
    ):  # fmt: skip
        setattr(cupy, name, ufunc(name))

    def add_at(array, index, values):
        host, index, values = unbox(array), unbox(_refuse_lists(index)), unbox_operand(values)
        cupy_gpu.call(quietly, np.add.at, host, index, values, changes=[host])

    cupy.add.at = add_at

    def as_strided(array, shape, strides):
        return box_view(np.lib.stride_tricks.as_strided(unbox(array), shape, strides), array)

    cupy.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=as_strided))

    def count_nonzero(array):
        return compute(lambda host: np.asarray(np.count_nonzero(host)), unbox(array))  # NumPy's own answer is an int

    cupy.count_nonzero = count_nonzero

    def joined(name):
        function = getattr(np, name)
        return lambda arrays, axis=0: compute(function, [unbox_operand(array) for array in arrays], axis=axis)

    cupy.concatenate, cupy.stack = joined("concatenate"), joined("stack")

    def created(name):
        function = getattr(np, name)
        return lambda *args, **kwargs: compute(function, *args, **kwargs)

    for name in ("zeros", "ones", "empty", "full", "arange"):
        setattr(cupy, name, created(name))

    def asarray(value, dtype=None):
        if isinstance(value, ndarray):
            same = value._device == current_device() and (dtype is None or value.dtype == dtype)
            return value if same else ndarray(np.array(value._host, dtype=dtype), current_device())
        # CuPy knows two orders only (_array_default in its core.pyx)
        order = "F" if isinstance(value, np.ndarray) and value.flags.fnc else "C"
        return ndarray(np.array(value, dtype=dtype, order=order), current_device())

    cupy.asarray = asarray
    cupy.asnumpy = lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array)
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: GPU_COUNT,
            getDeviceProperties=lambda index: {
                "name": f"stand-in {index}".encode(),
                "major": 9,
                "minor": 0,
                "totalGlobalMem": 8 * 2**30,
            },
            runtimeGetVersion=lambda: 13000,
            driverGetVersion=lambda: 13020,
            CUDARuntimeError=CUDARuntimeError,
        ),
    )
    cupy_gpu.equip(cupy, ndarray, unbox)
    return cupy


class installed:
    """with installed(): `import cupy` finds the stand-in."""

    def __enter__(self):
        self.previous = {name: sys.modules.get(name) for name in ("cupy", cupy_gpu.LINALG)}
        sys.modules |= {"cupy": make_module(), cupy_gpu.LINALG: cupy_gpu.linalg()}
        return sys.modules["cupy"]

    def __exit__(self, *error):
        for name, module in self.previous.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
