"""a @ b: matrix product, batched and broadcast over leading axes."""

from __future__ import annotations

from ..core import Array, Op
from .half import unbroadcast
from .products import matmul


class MatMul(Op):
    """(..., M, K) @ (..., K, N) -> (..., M, N).  dL/da = grad @ b^T, dL/db = a^T @ grad.

    A 1-d operand is one row (left) or one column (right); the result then has no axis M or N. The gradients are summed over
    leading axes along which an operand was broadcast.
    """

    def forward(self, a: Array, b: Array) -> Array:
        needs_a, needs_b = self.needs_grad
        self.row, self.column = a.ndim == 1, b.ndim == 1
        a, b = a[None] if self.row else a, b[:, None] if self.column else b
        self.saved = (a if needs_b else None, b if needs_a else None)
        self.shapes = a.shape, b.shape
        y = matmul(a, b)
        y = y[..., 0] if self.column else y
        return y.squeeze(-1 if self.column else -2) if self.row else y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        needs_a, needs_b = self.needs_grad
        shape_a, shape_b = self.shapes
        if self.row or self.column:
            leading = grad.shape[: grad.ndim - 2 + self.row + self.column]
            grad = grad.reshape(*leading, shape_a[-2], shape_b[-1])
        grad_a = grad_b = None
        if needs_a:
            grad_a = unbroadcast(matmul(grad, b.swapaxes(-1, -2)), shape_a)
        if needs_b:
            grad_b = unbroadcast(matmul(a.swapaxes(-1, -2), grad), shape_b)
        if self.row and grad_a is not None:
            grad_a = grad_a[0]
        if self.column and grad_b is not None:
            grad_b = grad_b[:, 0]
        return grad_a, grad_b
