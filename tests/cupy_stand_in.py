"""A strict stand-in for CuPy, for machines without a GPU: NumPy underneath, with CuPy's restrictions.

It is a namespace with only those functions that CuPy has and minidrop may use. Its arrays (cupy_array.py) refuse what CuPy's
refuse, with the same errors: a NumPy array or a list as an operand or in an assignment, numpy.asarray(x). test_stand_in.py holds
it to CuPy itself, where that is to be had. It is stricter than CuPy in what `cupy_array.STRICTER` lists, and in two things more:

* an array on another device than the current one is an error, so that code for cuda:1 has to choose its device;
* what NumPy itself refuses, such as sign(mask).

Reductions and indexing give 0-d arrays, never scalars. Nothing warns about floating-point errors.
"""

from __future__ import annotations

import sys
import types

import cupy_gpu
import numpy as np
from cupy_array import Stricter, add_at, box, check_call, host, ndarray, product
from cupy_gpu import GPU_COUNT, CUDARuntimeError, Device, current_device
from cupy_kernel import COMPILER, make_elementwise_kernel
from cupy_methods import CREATED, FUNCTIONS, UFUNCS, created, function, joined, ufunc, where

__all__ = ["current_device", "installed", "make_module", "ndarray"]


def as_strided(x, shape, strides):
    view = np.lib.stride_tricks.as_strided(host(x), shape, strides)
    return ndarray(view, x._device)  # CuPy leaves its base empty


def matmul(*args, **kwargs):
    check_call("x1, x2, /, *, out=None", args, kwargs)
    return product(*args, **kwargs)


def asarray(a, dtype=None, **kwargs):
    check_call("", (), kwargs)
    if isinstance(a, ndarray):
        if a._device == current_device() and (dtype is None or a.dtype == dtype):
            return a
        return ndarray(np.array(a._host, dtype=dtype, order="K"), current_device())
    if isinstance(a, (list, tuple)) and any(isinstance(value, ndarray) for value in a):
        raise Stricter("unused", "cupy.asarray([cupy_array])")
    if isinstance(a, (list, tuple, np.ndarray)):
        cupy_gpu.refuse_while_capturing("H2D transfers are")
    # CuPy knows two orders only (_array_default in its core.pyx)
    order = "F" if isinstance(a, np.ndarray) and a.flags.fnc else "C"
    values = np.array(a, dtype=dtype, order=order)
    return box(values.astype(values.dtype.newbyteorder("="), copy=False))


def asnumpy(a, **kwargs):
    check_call("", (), kwargs)
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def device_properties(device):
    if not 0 <= device < GPU_COUNT:
        raise CUDARuntimeError(101)
    return {"name": f"stand-in {device}".encode(), "major": 9, "minor": 0, "totalGlobalMem": 8 * 2**30}


def make_module():
    """The stand-in, as a module to be put under the name "cupy" into sys.modules."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = ndarray
    cupy.__version__ = "0.0 (stand-in)"
    for name in UFUNCS:
        setattr(cupy, name, ufunc(name))
    for name in FUNCTIONS:
        setattr(cupy, name, function(name))
    for name in CREATED:
        setattr(cupy, name, created(name))
    cupy.where, cupy.matmul, cupy.asarray, cupy.asnumpy = where, matmul, asarray, asnumpy
    cupy.concatenate, cupy.stack = joined("concatenate"), joined("stack")
    cupy.add.at = add_at
    cupy.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=as_strided))
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: GPU_COUNT,
            getDeviceProperties=device_properties,
            runtimeGetVersion=lambda: 13000,
            driverGetVersion=lambda: 13020,
            CUDARuntimeError=CUDARuntimeError,
        ),
    )
    cupy_gpu.equip(cupy)
    if COMPILER is not None:
        cupy.ElementwiseKernel = make_elementwise_kernel(ndarray, host, Stricter)
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
