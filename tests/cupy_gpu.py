"""What the stand-in for CuPy needs to imitate a GPU: streams, graphs that replay, and a cuBLAS.

A graph is recorded as the list of calls that the stand-in made; to replay it, each call is repeated and its result written into
the memory of the first time. So what a real graph would bake in (a number that Python computed) is baked in here too.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import threading
import types

import numpy as np

GPU_COUNT = 2


class MemoryPool:
    """NumPy allocates the memory; a pool counts the requests."""

    def __init__(self):
        self.total = 0

    def malloc(self, size):
        if size < 0:
            raise OverflowError("can't convert negative value to size_t")
        self.total += size

    def total_bytes(self):
        return self.total

    def used_bytes(self):
        return 0  # its memory is NumPy's, which knows itself who uses it

    def free_all_blocks(self):
        self.total = 0


ERRORS = {
    1: "cudaErrorInvalidValue: invalid argument",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
    101: "cudaErrorInvalidDevice: invalid device ordinal",
    900: "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
    901: "cudaErrorStreamCaptureInvalidated: operation failed due to a previous error during capture",
}


class CUDARuntimeError(RuntimeError):
    """An error of CUDA, by its number."""

    def __init__(self, status):
        super().__init__(ERRORS[operator.index(status)])
        self.status = status


_current = threading.local()


class Device:
    def __init__(self, device=None):
        self.id = current_device() if device is None else int(device)

    def __enter__(self):
        if not 0 <= self.id < GPU_COUNT:
            raise CUDARuntimeError(101)
        _current.stack = [*getattr(_current, "stack", []), self.id]
        return self

    def __exit__(self, *error):
        _current.stack = _current.stack[:-1]

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None


def current_device():
    stack = getattr(_current, "stack", [])
    return stack[-1] if stack else 0


recording = None  # the calls of the graph that is being recorded
allocator = MemoryPool().malloc  # allocates the memory of new arrays
invalidated = False  # a call that ends a capture with an error was made in it
changed = []  # (array, its old value): a real capture does not run what it records, so this is undone at its end


def call(function, *args, changes=(), **kwargs):
    """function(...), remembered if a graph is being recorded; results are NumPy arrays. changes: what it writes into."""
    if recording is not None:
        changed.extend((array, array.copy()) for array in changes)
    result = function(*args, **kwargs)
    if isinstance(result, np.ndarray) and result.flags.owndata:
        allocator(result.nbytes)
    if recording is not None:
        recording.append((function, args, kwargs, result))
    return result


def refuse_while_capturing(what):
    if recording is not None:
        raise RuntimeError(f"the current stream is capturing, so {what} disallowed")


class Graph:
    def __init__(self, calls):
        self.calls = calls
        self.launches = 0

    def launch(self, stream=None):
        self.launches += 1
        for function, args, kwargs, result in self.calls:
            again = function(*args, **kwargs)
            for old, new in zip(*(part if isinstance(part, tuple) else (part,) for part in (result, again)), strict=True):
                if isinstance(old, np.ndarray) and new is not old and old.flags.writeable:  # not a view that broadcasts
                    old[...] = new

    def kernels(self):
        """The names of those calls for which a GPU would launch something: neither views nor new memory."""
        names = []
        for function, args, _, result in self.calls:
            inner = args[0] if function.__name__.startswith("quietly") else function
            name = getattr(inner, "__name__", str(inner))
            operands = [arg for arg in args if isinstance(arg, np.ndarray)]
            same_memory = isinstance(result, np.ndarray) and any(np.shares_memory(result, operand) for operand in operands)
            if name not in ("empty", "empty_like") and not (same_memory and not name.startswith("__i")):
                names.append(name)
        return names


class Event:
    ptr = 9


streams = threading.local()


class Stream:
    def __init__(self, *, non_blocking=False):
        self.non_blocking, self.ptr = non_blocking, id(self)

    def __enter__(self):
        streams.stack = [*getattr(streams, "stack", []), self]
        return self

    def __exit__(self, *error):
        streams.stack = streams.stack[:-1]

    def record(self):
        return Event()

    def wait_event(self, event):
        assert event.ptr

    def synchronize(self):
        global invalidated
        if recording is not None:
            invalidated = True
            raise CUDARuntimeError(900)

    def begin_capture(self):
        global recording, invalidated
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if recording is not None:
            raise CUDARuntimeError(900)
        assert self.non_blocking and get_current_stream() is self  # CuPy takes others, whose work would not be captured
        recording, invalidated = [], False

    def end_capture(self):
        global recording
        if recording is None:
            raise CUDARuntimeError(1)
        graph, recording = Graph(recording), None
        while changed:
            array, before = changed.pop()
            array[...] = before
        if invalidated:
            raise CUDARuntimeError(901)
        return graph


default = Stream()
default.ptr = 0


def get_current_stream():
    return (getattr(streams, "stack", None) or [default])[-1]


class using_allocator:
    def __init__(self, malloc):
        self.malloc = malloc

    def __enter__(self):
        global allocator
        self.before, allocator = allocator, self.malloc

    def __exit__(self, *error):
        global allocator
        allocator = self.before


class FakeCublas:
    """The functions of cuBLAS that minidrop calls, for memory of this process. Matrices are column-major, as there."""

    def cublasSetStream_v2(self, handle, stream):
        return 0

    def cublasSetWorkspace_v2(self, handle, workspace, size):
        return 0

    def cublasSgemmStridedBatched(self, *arguments):
        return self.gemm(np.float32, *arguments)

    def cublasDgemmStridedBatched(self, *arguments):
        return self.gemm(np.float64, *arguments)

    def gemm(
        self, dtype, handle, trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, count
    ):
        trans_a, trans_b, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, count = (
            value.value for value in (trans_a, trans_b, m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, count)
        )
        a, b, c = a.value, b.value, c.value
        if lda < max(1, k if trans_a else m) or ldb < max(1, n if trans_b else k) or ldc < max(1, m):
            return 7  # CUBLAS_STATUS_INVALID_VALUE

        def gemm():
            for index in range(count):
                left = columns(a, dtype, index * stride_a, *((k, m) if trans_a else (m, k)), lda)
                right = columns(b, dtype, index * stride_b, *((n, k) if trans_b else (k, n)), ldb)
                product = (left.T if trans_a else left) @ (right.T if trans_b else right)
                columns(c, dtype, index * stride_c, m, n, ldc)[...] = product

        call(gemm)
        return 0


LINALG = "cupy._core._routines_linalg"
math_mode = 0  # of the cuBLAS handle
compute_type = 1  # of float32, which CuPy passes to cuBLAS for products with two axes


def linalg():
    """The module of CuPy in which `use_tf32` sets the compute type."""

    def set_compute_type(dtype, value):
        global compute_type
        assert dtype == "float32"
        compute_type = value

    set_compute_type("float32", 1)
    set_math_mode(None, 0)
    return types.SimpleNamespace(COMPUTE_TYPE_DEFAULT=1, COMPUTE_TYPE_TF32=7, set_compute_type=set_compute_type)


def set_math_mode(handle, mode):
    global math_mode
    math_mode = mode


def of_ten_bits(product):
    """A product that rounds its float32 operands as TensorFloat-32 does, if that is switched on for it."""

    @functools.wraps(product)
    def call(a, b, **kwargs):
        on = compute_type == 7 if a.ndim == b.ndim == 2 else math_mode == 3
        if on and a.dtype == b.dtype == "float32":
            a, b = (((np.array(x).view("uint32") + 0x1000) & 0xFFFFE000).view("float32") for x in (a, b))
        return product(a, b, **kwargs)

    return call


def columns(address, dtype, offset, rows, width, leading):
    """The (rows, width) matrix at an address, column by column, `leading` numbers from one column to the next."""
    size = np.dtype(dtype).itemsize
    length = (width - 1) * leading + rows
    buffer = (ctypes.c_char * (length * size)).from_address(address + offset * size)
    flat = np.frombuffer(buffer, dtype=dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, width), (size, leading * size))


def equip(cupy):
    """Give the stand-in its GPU."""
    cupy.cuda.Stream, cupy.cuda.MemoryPool, cupy.cuda.using_allocator = Stream, MemoryPool, using_allocator
    cupy.cuda.get_current_stream = get_current_stream
    cupy.cuda.get_cublas_handle = lambda: 5
    cupy.cuda.cublas = types.SimpleNamespace(setMathMode=set_math_mode)
