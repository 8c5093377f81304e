"""Matrix products on arrays: the only calls of BLAS and cuBLAS, and the pieces in which OpenBLAS is fastest.

OpenBLAS multiplies small matrices (up to 10^6 multiplications) without copying them. For large ones it clears the product,
copies both factors, and adds the result to the product. Where one side of the product is short, such as 16 images or 64
filters, that is a fifth to more than half of the time; so such products are split into pieces that OpenBLAS treats as small.
"""

from __future__ import annotations

import functools
from itertools import pairwise

import numpy as np
from numpy import ndarray

from ..backend import Array, array_module, current_capture
from ..errors import CaptureError
from ..threads import blas_limited

SMALL_PRODUCT = 10**6  # multiplications; OpenBLAS treats products up to this as small
SHORT_SIDE = 64  # rows or columns of the product: with more on both sides, copying pays off
SHORTEST_PIECE = 16  # of the other side: with less, the calls cost more than the copies
SHORTEST_RUN = 64  # contiguous numbers, where a piece is cut out of the rows in memory
ONE_THREAD = 2**18  # multiplications; OpenBLAS uses one thread up to this anyway


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """(..., M, K) @ (..., K, N) -> (..., M, N), into `out`, if given: the matrix product, by BLAS or cuBLAS.

    While a step is being captured, CuPy refuses to call cuBLAS; `cublas.py` calls it then.
    """
    if (
        (capture := current_capture()) is not None
        and not isinstance(a, ndarray)
        and a.dtype.kind == "f"
        and a.dtype.itemsize >= 4
    ):
        if a.dtype != b.dtype:
            raise CaptureError(f"a matrix product of {a.dtype} and {b.dtype}: cuBLAS multiplies numbers of one type")
        return capture.matmul(a, b, out)
    if type(a) is ndarray and a.shape[-2] * a.shape[-1] * b.shape[-1] > ONE_THREAD:
        if blas_limited.holding:
            return _large_product(a, b, out)
        with blas_limited:
            return _large_product(a, b, out)
    return a @ b if out is None else array_module(a).matmul(a, b, out=out)


def _large_product(a: Array, b: Array, out: Array | None) -> Array:
    """(..., M, K) @ (..., K, N) -> (..., M, N) on a CPU."""
    if a.dtype is b.dtype:
        cuts = pieces(a.shape[-2], a.shape[-1], b.shape[-1], a.strides[-1] == a.itemsize, b.strides[-1] == b.itemsize)
        if len(cuts) > 2:
            return _in_pieces(a, b, cuts, out)
    return a @ b if out is None else np.matmul(a, b, out=out)


@functools.lru_cache(maxsize=1024)
def pieces(rows: int, inner: int, columns: int, a_by_rows: bool, b_by_rows: bool) -> tuple[int, ...]:
    """M, K, N -> where to cut the longer side of the product (M, N) so that its pieces are small; (0, its length): no cut.

    by_rows: whether the rows of the factor, not its columns, are contiguous in memory.
    """
    short, long = min(rows, columns), max(rows, columns)
    whole = (0, long)
    # If the inner axis is contiguous in both factors, small products are slow too, unless they are thin.
    thin_enough = SHORT_SIDE // 2 if a_by_rows and not b_by_rows else SHORT_SIDE
    if not 0 < short <= thin_enough or inner == 0:
        return whole
    longest = SMALL_PRODUCT // (short * inner)
    cuts_through_runs = b_by_rows if columns == long else not a_by_rows
    if longest < (SHORTEST_RUN if cuts_through_runs else SHORTEST_PIECE):
        return whole
    count = -(-long // longest)
    return tuple(long * index // count for index in range(count + 1))


def _in_pieces(a: Array, b: Array, cuts: tuple[int, ...], out: Array | None) -> Array:
    """(..., M, K) @ (..., K, N) -> (..., M, N), some columns at a time, or some rows if there are more of those."""
    if out is None:
        out = np.empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)
    if cuts[-1] == b.shape[-1]:
        for start, stop in pairwise(cuts):
            np.matmul(a, b[..., start:stop], out=out[..., start:stop])
    else:
        for start, stop in pairwise(cuts):
            np.matmul(a[..., start:stop, :], b, out=out[..., start:stop, :])
    return out
