"""Pooling: the largest number in each window, or the mean."""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Op
from .half import narrow, wide
from .mask import keep_where
from .window import Pair, output_size, window_slices


class Pooling(Op):
    """Base of both: the window, the stride, and how many windows there are."""

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        self.kernel = kernel
        self.stride = stride

    def output(self, shape: tuple[int, ...]) -> Pair:
        """(N, C, H, W) -> H', W'."""
        return output_size(shape[2], self.kernel[0], self.stride[0]), output_size(shape[3], self.kernel[1], self.stride[1])


class MaxPool2d(Pooling):
    """(N, C, H, W) -> (N, C, H', W'): y[n, c, i, j] = max of the window at (i, j);  H' = floor((H - R) / stride) + 1.

    The gradient of each window goes to the place of its maximum; of equal maxima to the first one, row by row (as in PyTorch).
    A window that contains a NaN gives NaN, has no maximum, and passes no gradient on. Rows and columns that no window covers
    are ignored.

    The maximum is taken one place of the window at a time, for all windows at once: R * S strided views of the image; no
    window is copied.
    """

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        slices = window_slices(self.kernel, self.stride, self.output(x.shape))
        self.places = [(rows, columns) for _, _, rows, columns in slices]
        y = x[:, :, *self.places[0]].copy(order="K")
        for place in self.places[1:]:
            xp.maximum(y, x[:, :, *place], out=y)
        if self.needs_grad[0]:
            self.shape = x.shape
            self.wins = []  # for each place in the window: which windows have their maximum there
            unclaimed = xp.ones_like(y, dtype=bool)
            for place in self.places:
                wins = (x[:, :, *place] == y) & unclaimed
                unclaimed ^= wins
                self.wins.append(wins)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        upstream, grad = grad, wide(grad)
        tiled = self.kernel == self.stride and self.shape[2:] == tuple(
            outputs * step for outputs, step in zip(grad.shape[2:], self.stride, strict=True)
        )
        made = array_module(grad).empty_like if tiled else array_module(grad).zeros_like  # tiled: all elements are set below
        grad_x = made(self.wins[0], dtype=grad.dtype, shape=self.shape)  # in the memory order of x
        if [step // grad.itemsize for step in grad.strides] != list(self.wins[0].strides):
            grad, given = array_module(grad).empty_like(self.wins[0], dtype=grad.dtype), grad
            grad[...] = given  # change the memory order once, not at each place
        overlap = self.stride[0] < self.kernel[0] or self.stride[1] < self.kernel[1]
        for place, wins in zip(self.places, self.wins, strict=True):
            if overlap:
                grad_x[:, :, *place] += keep_where(wins, grad)
            else:
                keep_where(wins, grad, out=grad_x[:, :, *place])
        return (narrow(grad_x, upstream),)


class AvgPool2d(Pooling):
    """(N, C, H, W) -> (N, C, H', W'): y[n, c, i, j] = mean of the window at (i, j);  H' = floor((H - R) / stride) + 1.

    Each of the R S places of a window gets  grad / (R S),  and a place in several windows the sum. As in `MaxPool2d`, one place
    of the window at a time, for all windows at once.
    """

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        slices = window_slices(self.kernel, self.stride, self.output(x.shape))
        self.places = [(rows, columns) for _, _, rows, columns in slices]
        image = wide(x)
        y = image[:, :, *self.places[0]].copy(order="K")
        for place in self.places[1:]:
            y += image[:, :, *place]
        y /= len(self.places)
        return narrow(y, x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        share = wide(grad) / len(self.places)
        grad_x = array_module(grad).zeros_like(share, shape=self.shape)
        for place in self.places:
            grad_x[:, :, *place] += share
        return (narrow(grad_x, grad),)
