"""Matrix products by cuBLAS inside a CUDA graph capture, where CuPy refuses to call it.

cuBLAS itself may be captured (its manual, "CUDA Graphs Support"). CuPy, up to version 14, refuses: before each call it checks
whether the stream is being captured, and raises an error if so (https://github.com/cupy/cupy/issues/6290). So the one function
that is needed is called here, through ctypes, with CuPy's handle.

Run on the real CuPy with a cuBLAS of host memory (tests/fake_gpu), which reads the same arguments; on hardware: not yet.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, array_module
from ..errors import CaptureError

WORKSPACE_BYTES = 32 * 2**20  # NVIDIA's advice for Hopper; without it cuBLAS would allocate during the capture
FUNCTIONS: dict[str, tuple[str, Any]] = {
    "float32": ("cublasSgemmStridedBatched", ctypes.c_float),
    "float64": ("cublasDgemmStridedBatched", ctypes.c_double),
}
NORMAL, TRANSPOSED = 0, 1  # cublasOperation_t


class Operand(NamedTuple):
    """A batch of row-major matrices, in the terms of cuBLAS."""

    array: Array
    operation: int  # TRANSPOSED if its columns, not its rows, are contiguous in memory
    leading: int  # distance from one row (or column) to the next, in numbers
    stride: int  # distance from one matrix to the next, in numbers; 0 repeats the same one


class Cublas:
    """The cuBLAS handle of the current device and thread, with a workspace of its own."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.handle = ctypes.c_void_p(xp.cuda.get_cublas_handle())  # this makes CuPy load the library
        self.library = load_library(xp)
        self.workspace = xp.empty(WORKSPACE_BYTES, dtype="uint8")

    def use(self, stream: Any) -> None:
        """Run the following calls on this stream."""
        self.handle = ctypes.c_void_p(self.xp.cuda.get_cublas_handle())  # of this thread, which may have changed
        self._call("cublasSetStream_v2", ctypes.c_void_p(stream.ptr))
        self._call("cublasSetWorkspace_v2", ctypes.c_void_p(self.workspace.data.ptr), ctypes.c_size_t(WORKSPACE_BYTES))

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """(..., M, K) @ (..., K, N) -> (..., M, N), into `out`, if given."""
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        (rows, inner), columns = a.shape[-2:], b.shape[-1]
        function, number = FUNCTIONS[str(a.dtype)]
        direct = out is not None and out.flags.c_contiguous
        product: Any = out if direct else array_module(a).empty((*batch, rows, columns), dtype=a.dtype)
        if product.size == 0:
            return product
        left, right = operand(a, batch), operand(b, batch)
        # cuBLAS is column-major: it reads a row-major matrix as its transpose. So it computes out^T = b^T a^T.
        self._call(
            function,
            *(ctypes.c_int(value) for value in (right.operation, left.operation, columns, rows, inner)),
            ctypes.byref(number(1)),
            *(ctypes.c_void_p(right.array.data.ptr), ctypes.c_int(right.leading), ctypes.c_longlong(right.stride)),
            *(ctypes.c_void_p(left.array.data.ptr), ctypes.c_int(left.leading), ctypes.c_longlong(left.stride)),
            ctypes.byref(number(0)),
            *(ctypes.c_void_p(product.data.ptr), ctypes.c_int(columns), ctypes.c_longlong(rows * columns)),
            ctypes.c_int(math.prod(batch)),
        )
        if out is not None and not direct:
            out[...] = product
        return product if out is None else out

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(self.handle, *arguments)
        if status != 0:
            raise CaptureError(f"{name} failed", expected="status 0", got=f"cublasStatus_t {status}")


def load_library(xp: Any) -> Any:
    """The cuBLAS that CuPy has loaded."""
    return ctypes.CDLL(f"libcublas.so.{xp.cuda.runtime.runtimeGetVersion() // 1000}")


def operand(array: Array, batch: tuple[int, ...]) -> Operand:
    """(..., R, C) -> the array as cuBLAS can read it; copied if it cannot."""
    rows, columns = array.shape[-2:]
    size = array.dtype.itemsize
    row_step, column_step = (step // size for step in array.strides[-2:])
    together = _one_stride(array, batch)
    if together is not None:
        if (column_step == 1 or columns == 1) and (row_step >= columns or rows == 1):
            return Operand(array, NORMAL, max(row_step if rows > 1 else columns, 1), together)
        if (row_step == 1 or rows == 1) and (column_step >= rows or columns == 1):
            return Operand(array, TRANSPOSED, max(column_step if columns > 1 else rows, 1), together)
    xp = array_module(array)
    whole = array if array.ndim == 2 else xp.broadcast_to(array, (*batch, rows, columns))
    copied = xp.ascontiguousarray(whole)
    return Operand(copied, NORMAL, columns, 0 if array.ndim == 2 else rows * columns)


def _one_stride(array: Array, batch: tuple[int, ...]) -> int | None:
    """The distance from one matrix of the batch to the next, if it is constant."""
    if array.ndim == 2:
        return 0
    if array.shape[:-2] != batch:
        return None
    lengths, steps = array.shape[:-2], [step // array.dtype.itemsize for step in array.strides[:-2]]
    for outer in range(len(steps) - 1):
        if lengths[outer] > 1 and steps[outer] != steps[outer + 1] * lengths[outer + 1]:
            return None
    return int(steps[-1])
