"""Max-pooling: the largest number in each window."""

from __future__ import annotations

from ..backend import Array, array_module
from ..tape import Op
from .window import Pair, output_size, window_slices


class MaxPool2d(Op):
    """(N, C, H, W) -> (N, C, H', W'): y[n, c, i, j] = max of the window at (i, j);  H' = floor((H - R) / stride) + 1.

    The gradient of each window goes to one place, where its maximum stands; of equal maxima the first one, row by row, takes
    it all (as in PyTorch). A window that holds a NaN gives NaN and, holding no maximum, passes no gradient on. Rows and
    columns that no window covers are ignored.

    The maximum is taken one place of the window at a time, for all windows at once: R * S strided views of the image, and no
    copy of any window.
    """

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        height, width = x.shape[2:]
        self.output_size = (
            output_size(height, self.kernel[0], self.stride[0]),
            output_size(width, self.kernel[1], self.stride[1]),
        )
        places = [x[:, :, rows, cols] for _, _, rows, cols in window_slices(self.kernel, self.stride, self.output_size)]
        y = places[0].copy(order="K")
        for place in places[1:]:
            xp.maximum(y, place, out=y)
        self.saved = (x, y)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, y = self.saved
        xp = array_module(x)
        grad_x = xp.zeros_like(x)
        unclaimed = xp.ones_like(y, dtype=bool)
        for _, _, rows, cols in window_slices(self.kernel, self.stride, self.output_size):
            wins = (x[:, :, rows, cols] == y) & unclaimed
            unclaimed &= ~wins
            grad_x[:, :, rows, cols] += xp.where(wins, grad, 0)
        return (grad_x,)
