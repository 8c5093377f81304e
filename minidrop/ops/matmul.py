"""a @ b: matrix product, batched and broadcast over leading axes."""

from __future__ import annotations

from ..backend import Array
from ..broadcasting import unbroadcast
from ..tape import Op
from .products import matmul


class MatMul(Op):
    """(..., M, K) @ (..., K, N) -> (..., M, N).  dL/da = grad @ b^T, dL/db = a^T @ grad.

    The gradients are summed over leading axes along which an operand was broadcast.
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        needs_a, needs_b = self.needs_grad
        self.saved = (a if needs_b else None, b if needs_a else None)
        return matmul(a, b)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        shape_a, shape_b = self.shapes
        needs_a, needs_b = self.needs_grad
        return (
            unbroadcast(matmul(grad, b.swapaxes(-1, -2)), shape_a) if needs_a else None,
            unbroadcast(matmul(a.swapaxes(-1, -2), grad), shape_b) if needs_b else None,
        )
