"""The methods of the stand-in's array, and the functions of its namespace: CuPy's parameters, as far as minidrop uses them."""

from __future__ import annotations

import cupy_gpu
import numpy as np
from cupy_array import Stricter, box, check_call, compute, host, ndarray, operand, product, quietly

REDUCTION = "axis=None, keepdims=False"
METHODS = {
    "sum": "axis=None, dtype=None, *, keepdims=False", "prod": "axis=None, dtype=None, *, keepdims=False",
    "mean": "axis=None, dtype=None, *, keepdims=False", "var": "axis=None, dtype=None, *, ddof=0, keepdims=False",
    "max": "axis=None, *, keepdims=False", "min": "axis=None, *, keepdims=False",
    "all": "axis=None, *, keepdims=False", "any": "axis=None, *, keepdims=False",
    "argmax": "axis=None, *, keepdims=False", "argmin": "axis=None, *, keepdims=False",
    "reshape": "*shape", "transpose": "*axes", "swapaxes": "axis1, axis2", "squeeze": "axis=None",
    "ravel": "order='C'", "flatten": "order='C'", "astype": "dtype, order='K', *, copy=True", "copy": "order='C'",
    "clip": "min=None, max=None", "take": "indices, axis=None", "dot": "b",
}  # fmt: skip
REDUCTIONS = ("sum", "prod", "mean", "var", "max", "min", "all", "any", "argmax", "argmin")
UFUNCS = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "exp", "expm1", "log", "log1p", "sqrt", "abs", "absolute", "sign",
    "tanh", "isfinite", "isnan", "logical_and", "logical_or", "logical_not", "floor", "fmod", "greater", "negative",
    "nextafter",
)  # fmt: skip
FUNCTIONS = {
    "sum": "a, axis=None, dtype=None, *, keepdims=False", "nansum": "a, axis=None, dtype=None, *, keepdims=False",
    "cumprod": "a, axis=None, dtype=None", "count_nonzero": "a", "clip": "a, a_min, a_max", "take": "a, indices, axis=None",
    "pad": "array, pad_width, mode='constant', *, constant_values=0", "tile": "A, reps", "broadcast_to": "array, shape",
    "zeros_like": "a, dtype=None, order='K', *, shape=None", "ones_like": "a, dtype=None, order='K', *, shape=None",
    "empty_like": "prototype, dtype=None, order='K', *, shape=None",
    "full_like": "a, fill_value, dtype=None, order='K', *, shape=None", "ascontiguousarray": "a, dtype=None",
}  # fmt: skip
CREATED = {
    "zeros": "shape, dtype=float, order='C'", "ones": "shape, dtype=float, order='C'", "empty": "shape, dtype=float, order='C'",
    "full": "shape, fill_value, dtype=None, order='C'", "arange": "start, stop=None, step=1, dtype=None",
}  # fmt: skip


def check_axis(array, args, kwargs):
    """NumPy lets a 0-d array be reduced along axis 0; CuPy does not."""
    axis = args[0] if args else kwargs.get("axis")
    if array.ndim == 0 and axis not in (None, ()):
        raise np.exceptions.AxisError(axis if isinstance(axis, int) else axis[0], 0)


def method(name):
    function = getattr(np.ndarray, name)

    def call(self, *args, **kwargs):
        own = host(self)
        check_call(METHODS[name], args, kwargs)
        if name in REDUCTIONS:
            check_axis(own, args, kwargs)
            return box(compute(function, own, *args, **kwargs))
        if name == "dot":
            return product(self, *args, *kwargs.values(), function=np.dot)
        if name == "take":
            return take(self, *args, **kwargs)
        if name == "clip":
            values = {key: None if value is None else operand(value) for key, value in kwargs.items()}
            return box(compute(function, own, *(None if value is None else operand(value) for value in args), **values))
        if name == "reshape" and not args:
            args = ((),)
        if any(isinstance(value, (ndarray, np.ndarray)) for value in (*args, *kwargs.values())):
            raise TypeError(f"{name}: an array among the arguments")
        return box(cupy_gpu.call(quietly, function, own, *args, **kwargs), self)

    return call


def needs_array(array, function):
    """The array's host memory; CuPy asks a list for a method or a dtype that it does not have, and leaves NumPy's to NumPy."""
    if isinstance(array, np.ndarray):
        raise Stricter("copy", f"cupy.{function}(numpy_array)")
    if not isinstance(array, ndarray):
        error = (
            TypeError
            if function in ("broadcast_to", "count_nonzero", "ascontiguousarray", "pad", "nansum", "cumprod")
            else AttributeError
        )
        raise error(f"{type(array).__name__!r} object is no cupy.ndarray")
    return host(array)


def take(a, indices, axis=None):
    own = needs_array(a, "take")
    if isinstance(indices, (list, tuple, np.ndarray)):
        raise Stricter("copy", "take(x, numpy_array)")
    try:
        return box(compute(np.take, own, operand(indices), axis=axis))
    except IndexError as error:
        raise Stricter("unchecked", error) from None


def ufunc(name):
    function = getattr(np, name)
    is_a_mask = isinstance(
        function(*[np.float32(1)] * function.nin), np.bool_
    )  # CuPy takes dtype there, and gives other numbers
    keywords = "" if is_a_mask else ", *, dtype=None"
    text = ", ".join(f"x{index}" for index in range(function.nin)) + ", /, out=None" + keywords

    def call(*args, **kwargs):
        check_call(text, args, kwargs)
        out = kwargs.pop("out", None) if len(args) == function.nin else args[-1]
        args = [operand(arg) for arg in args[: function.nin]]
        if out is None:
            return box(compute(function, *args, **kwargs))
        if isinstance(out, tuple):
            raise Stricter("unused", "out=(x,)")
        cupy_gpu.call(quietly, function, *args, out=host(out), changes=[host(out)], **kwargs)
        return out

    return call


def where(condition, x=None, y=None):
    if x is None and y is None:
        raise Stricter("unused", "where(condition)")
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if not isinstance(condition, ndarray):
        error = TypeError if isinstance(condition, np.ndarray) else AttributeError
        raise error(f"{type(condition).__name__!r}: a condition has to be a cupy.ndarray")
    values = [operand(value) for value in (x, y)]
    for number, other in (values, values[::-1]):
        if type(number) is int and isinstance(other, np.ndarray) and other.dtype.kind in "iu":
            other.dtype.type(number)  # OverflowError
    return box(compute(np.where, host(condition), *values))


def function(name):
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        check_call(FUNCTIONS[name], args, kwargs)
        first, *rest = args
        own = needs_array(first, name)
        if name == "take":
            return take(first, *rest, **kwargs)
        if name in ("sum", "nansum"):
            check_axis(own, rest, kwargs)
        elif name == "clip":
            rest = [None if value is None else operand(value) for value in rest]
        elif name == "full_like":
            rest[:1] = [fill_value(value) for value in rest[:1]]
        elif any(isinstance(value, ndarray) for value in rest):
            raise TypeError(f"{name}: a GPU array among the arguments")
        elif name == "pad" and (rest[1] if len(rest) > 1 else kwargs.get("mode")) == "median":
            raise ValueError("mode 'median' is not supported")
        keeps_order = name.endswith("_like") or name in ("broadcast_to", "ascontiguousarray", "pad")
        result = cupy_gpu.call(quietly, numpys, own, *rest, **kwargs) if keeps_order else compute(numpys, own, *rest, **kwargs)
        if name == "broadcast_to":
            result = np.lib.stride_tricks.as_strided(own, result.shape, result.strides, writeable=False)
        if name == "tile" or (name == "cumprod" and result.ndim > 1):  # CuPy reshapes what it has filled
            return ndarray(result, first._device, box(result.ravel()))
        return box(result, first) if name in ("broadcast_to", "ascontiguousarray") else box(result)

    return call


def fill_value(value):
    """What `full` fills with: a number or an array."""
    if isinstance(value, np.ndarray) and value.ndim:
        raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
    if isinstance(value, (list, tuple, str)):
        raise AttributeError(f"{type(value).__name__!r} object has no attribute 'dtype'")
    return host(value) if isinstance(value, ndarray) else value


def created(name):
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        check_call(CREATED[name], args, kwargs)
        if name == "full":
            args = [*args[:1], *map(fill_value, args[1:2]), *args[2:]]
        if any(isinstance(value, ndarray) for value in args):
            raise Stricter("read", name)
        return box(cupy_gpu.call(quietly, numpys, *args, **kwargs))

    return call


def joined(name):
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        check_call("tup, axis=0", args, kwargs)
        arrays = [host(array) for array in args[0]]
        if name == "concatenate" and any(array.ndim == 0 for array in arrays):
            raise TypeError("zero-dimensional arrays cannot be concatenated")
        return box(compute(numpys, arrays, *args[1:], **kwargs))

    return call


for _name in METHODS:
    setattr(ndarray, _name, method(_name))
