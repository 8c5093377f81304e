"""a @ b: matrix product, batched and broadcast over leading axes."""

from __future__ import annotations

from ..backend import Array
from ..tape import Op


class MatMul(Op):
    """(..., M, K) @ (..., K, N) -> (..., M, N).  dL/da = grad @ b^T, dL/db = a^T @ grad.

    The tape sums the gradients over leading axes along which an operand was broadcast.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        needs_a, needs_b = self.needs_grad
        self.saved = (a if needs_b else None, b if needs_a else None)
        return a @ b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        needs_a, needs_b = self.needs_grad
        return grad @ b.swapaxes(-1, -2) if needs_a else None, a.swapaxes(-1, -2) @ grad if needs_b else None
