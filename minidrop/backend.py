"""The one switch between NumPy and CuPy: an array's library, its device, and copies to another device.

Nothing else in minidrop imports CuPy. An op asks `array_module(x)` for its library and then writes the same code for both:

    xp = array_module(x)
    return xp.maximum(x, 0)

CuPy is imported when a GPU array is first requested, not when minidrop is: without it minidrop runs on NumPy alone. Its kernels
take float32 numbers below 1.2e-38 as 0; NumPy does not.
"""

from __future__ import annotations

import contextvars
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import generic, ndarray

from .core import Array as Array
from .errors import ArgumentError, CaptureError, DeviceError

DEFAULT_MATH, TF32_MATH = 0, 3  # cublasMath_t

INSTALL_HELP = "python -m pip install cupy-cuda12x (for CUDA 12) or cupy-cuda13x (for CUDA 13)"


def array_module(array: Array) -> Any:
    """array -> numpy or cupy: the library that `array` (or a NumPy scalar, a 0-d result) belongs to."""
    if isinstance(array, (ndarray, generic)):
        return np
    return _import_cupy()


def is_array(value: object) -> bool:
    """Anything -> True for a NumPy array and, where CuPy is in use, for a CuPy array."""
    if isinstance(value, ndarray):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def device_of(array: Array) -> str:
    """array -> "cpu", "cuda" (the first GPU) or "cuda:1", "cuda:2", ..."""
    if isinstance(array, (ndarray, generic)):
        return "cpu"
    return _cuda_name(int(array.device.id))


def to_device(array: Array, device: str) -> Array:
    """(any shape) -> same: `array` on `device`; the array itself if it is there already, a copy otherwise.

    Raises ArgumentError for a name that is not "cpu", "cuda" or "cuda:<index>"; DeviceError without CuPy or without that GPU.
    """
    target = normalise_device(device)
    if device_of(array) == target:
        return array
    if target == "cpu":
        return to_numpy(array)
    if capturing():
        raise CaptureError("it copies an array to the GPU, which replays would not do again")
    cupy = _cupy_with_gpu(_cuda_index(target))
    with cupy.cuda.Device(_cuda_index(target)):
        if not isinstance(array, ndarray):
            return cupy.asarray(array)
        return _in_its_order(array, cupy.asarray)


def constant_on(array: Array, device: str) -> Array:
    """(any shape) -> same: `to_device`, and a wait until it is there: a constant that is kept may be read by any stream."""
    there = to_device(array, device)
    if not isinstance(there, ndarray):
        run_on(there, lambda: array_module(there).cuda.get_current_stream().synchronize())
    return there


def memory_order(array: Array) -> list[int]:
    """(any shape) -> its axes, from the slowest in memory to the fastest."""
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def to_numpy(array: Array) -> Any:
    """(any shape) -> same: `array` in host memory, in its memory order; a NumPy array is returned as it is."""
    if isinstance(array, ndarray):
        return array
    return run_on(array, _in_its_order, array, _import_cupy().asnumpy)


def _in_its_order(array: Array, copy: Callable[[Array], Array]) -> Array:
    """(any shape) -> same: a copy in the memory order of `array`; CuPy's own copies, `copy(array)`, are row-major."""
    order = memory_order(array)
    back = sorted(range(array.ndim), key=order.__getitem__)
    copied: Array = copy(array.transpose(order)).transpose(back)
    return copied


_NOTHING = np.empty(0)


def empty_on(device: str) -> Array:
    """device -> (0,): an empty array there; the same errors as `to_device`."""
    if device == "cpu":
        return _NOTHING
    index = _cuda_index(normalise_device(device))
    cupy = _cupy_with_gpu(index)
    with cupy.cuda.Device(index):
        return cupy.empty(0)


def require_device(device: str) -> None:
    """Raise what `to_device` raises if `device` is not the name of a device, or cannot be used."""
    to_device(np.empty(0), device)


# op class, or function of arrays -> its replacement with its own GPU kernel; `gpu/fused.py` fills it.
FUSED: dict[Any, Any] = {}


def fused(thing: Any, array: Array) -> Any:
    """An op class or a function -> its replacement in one kernel, if there are kernels for the type of `array`."""
    return FUSED.get(thing, thing) if has_kernels(array) else thing


def has_kernels(array: Array) -> bool:
    """True for float32 and float64 numbers on a GPU whose library compiles kernels (CuPy does)."""
    if type(array) is ndarray:
        return False
    return str(array.dtype) in ("float32", "float64") and hasattr(array_module(array), "ElementwiseKernel")


class _Thread(threading.local):
    capture: Any = None


_thread = _Thread()


def current_capture() -> Any:
    """The capture (`capture.py`) for which this thread runs a step, or None."""
    return _thread.capture


def capturing() -> bool:
    """True while a step is captured: its work on the GPU is recorded, not done, and nothing can be read back."""
    return _thread.capture is not None and _thread.capture.capturing


def set_capture(capture: Any) -> None:
    """Set the capture for which this thread runs a step; None: no capture."""
    _thread.capture = capture


def use_tf32(on: bool, device: str = "cuda") -> None:
    """Let matrix products on a GPU round float32 operands to 10 bits (TensorFloat-32): faster, errors near 1e-3. Default: off.

    The setting is per process for products with two axes, and per thread and GPU for products with more: call it in each
    thread, before the steps are captured. Raises DeviceError without CuPy or without that GPU, ArgumentError for "cpu".
    """
    if normalise_device(device) == "cpu":
        raise ArgumentError("use_tf32: a CPU has no such numbers", expected='"cuda" or "cuda:<index>"', got=repr(device))
    index = _cuda_index(normalise_device(device))
    cupy = _cupy_with_gpu(index)
    linalg = importlib.import_module("cupy._core._routines_linalg")
    with cupy.cuda.Device(index):
        # cuBLAS reads it from the handle, CuPy's own calls (2-d products) pass it as an argument.
        cupy.cuda.cublas.setMathMode(cupy.cuda.get_cublas_handle(), TF32_MATH if on else DEFAULT_MATH)
        linalg.set_compute_type("float32", linalg.COMPUTE_TYPE_TF32 if on else linalg.COMPUTE_TYPE_DEFAULT)


def arranged_like(array: Array, like: Array) -> Array:
    """(shape) -> a copy in the number type and memory order of `like`; both on one device."""
    arranged: Array = array_module(like).empty_like(like)
    arranged[...] = array
    return arranged


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of up to 31 MB for the next step, not return them to the system; call it once per process.

    glibc adapts to the largest block freed so far (mallopt(3), M_MMAP_THRESHOLD). Without glibc this does nothing.
    """
    np.empty(31 * 2**20, dtype=np.uint8)  # allocated and freed at once; never written to, so it takes no memory


def ones_like(array: Array) -> Array:
    """(any shape) -> same: all 1, on the device of `array`."""
    return run_on(array, array_module(array).ones_like, array)


def device_name(device: str) -> str:
    """The name of a GPU and its CUDA version, or "cpu": to record what a result was made on."""
    if normalise_device(device) == "cpu":
        return "cpu"
    index = _cuda_index(normalise_device(device))
    runtime = _cupy_with_gpu(index).cuda.runtime
    return f"{runtime.getDeviceProperties(index)['name'].decode()}, CUDA {runtime.runtimeGetVersion()}"


def normalise_device(device: str) -> str:
    """The canonical name of a device: "cuda:0" becomes "cuda". Raises ArgumentError for any other text."""
    if device == "cpu":
        return "cpu"
    if isinstance(device, str):
        kind, colon, index = device.partition(":")
        if kind == "cuda" and (not colon or index.isdecimal()):
            return _cuda_name(int(index or 0))
    raise ArgumentError(
        "unknown device",
        expected='"cpu", "cuda" or "cuda:<index>"',
        got=repr(device),
        help='"cuda" is the first GPU, "cuda:1" the second',
    )


class _Quiet(threading.local):
    """For each thread a context in which NumPy does not warn.

    NumPy 2 keeps its errstate in a context variable. So errstate is entered once, the context is copied, and every op runs in
    the copy: that costs a tenth of entering errstate each time. Ops therefore see context variables, a caller's errstate among
    them, as they were when the context was copied.
    """

    def __init__(self) -> None:
        with np.errstate(all="ignore"):
            _inside.set(True)  # only in the copy: tells `run_on` that it is already inside
            self.context = contextvars.copy_context()
            _inside.set(False)


_inside = contextvars.ContextVar("_inside", default=False)
_quiet = _Quiet()


def run_on(array: Array, function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), on the device of `array`, by IEEE arithmetic without warnings.

    CuPy never warns that 1 / 0 is inf, NumPy does; the same code has to behave the same on both, so NumPy's floating-point
    warnings are off here. `minidrop.detect_anomaly` is the tool that finds where an inf or a NaN came from.
    """
    if type(array) is ndarray or isinstance(array, (ndarray, generic)):
        if _inside.get():  # an op that calls another: a context cannot be entered twice
            return function(*arguments)
        return _quiet.context.run(function, *arguments)
    with array.device:
        return function(*arguments)


def _cuda_name(index: int) -> str:
    return "cuda" if index == 0 else f"cuda:{index}"


def _cuda_index(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _import_cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            "a GPU was asked for, but CuPy is missing",
            expected="the package cupy",
            got=f"{type(error).__name__}: {error}",
            help=INSTALL_HELP,
        ) from error


def _cupy_with_gpu(index: int) -> Any:
    """The module cupy, after making sure that GPU number `index` can be used."""
    cupy = _import_cupy()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
        reason = f"{count} GPU(s) found"
    except Exception as error:  # CUDARuntimeError: no driver, no device, driver too old: all mean that no GPU can be used
        count, reason = 0, f"{type(error).__name__}: {error}"
    if index >= count:
        raise DeviceError(
            f'the device "{_cuda_name(index)}" was asked for, CuPy is installed, but that GPU is missing',
            expected=f"at least {index + 1} CUDA GPU(s) that the driver can see",
            got=reason,
            help="check the driver with nvidia-smi, and that CuPy fits the CUDA version (" + INSTALL_HELP + ")",
        )
    return cupy
