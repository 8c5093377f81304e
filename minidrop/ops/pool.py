"""Max-pooling: the largest number in each window."""

from __future__ import annotations

from ..backend import Array, array_module
from ..gpu import kernels
from ..tape import Op
from .mask import keep_where
from .window import Pair, output_size, window_slices


class MaxPool2d(Op):
    """(N, C, H, W) -> (N, C, H', W'): y[n, c, i, j] = max of the window at (i, j);  H' = floor((H - R) / stride) + 1.

    The gradient of each window goes to one place, where its maximum stands; of equal maxima the first one, row by row, takes
    it all (as in PyTorch). A window that holds a NaN gives NaN and, holding no maximum, passes no gradient on. Rows and
    columns that no window covers are ignored.

    The maximum is taken one place of the window at a time, for all windows at once: R * S strided views of the image, and no
    copy of any window. On a GPU one kernel does it all (`kernels.py`).
    """

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        output = (
            output_size(x.shape[2], self.kernel[0], self.stride[0]),
            output_size(x.shape[3], self.kernel[1], self.stride[1]),
        )
        if kernels.available(x):
            return self.forward_on_gpu(x, output)
        self.places = [(rows, columns) for _, _, rows, columns in window_slices(self.kernel, self.stride, output)]
        y = x[:, :, *self.places[0]].copy(order="K")
        for place in self.places[1:]:
            xp.maximum(y, x[:, :, *place], out=y)
        if self.needs_grad[0]:
            self.shape = x.shape
            self.wins = []  # for each place in the window: where the maximum stands there
            unclaimed = xp.ones_like(y, dtype=bool)
            for place in self.places:
                wins = (x[:, :, *place] == y) & unclaimed
                unclaimed ^= wins
                self.wins.append(wins)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        if kernels.available(grad):
            return (self.backward_on_gpu(grad),)
        tiled = self.kernel == self.stride and self.shape[2:] == tuple(
            outputs * step for outputs, step in zip(grad.shape[2:], self.stride, strict=True)
        )
        made = array_module(grad).empty_like if tiled else array_module(grad).zeros_like  # does each place get a number below?
        grad_x = made(self.wins[0], dtype=grad.dtype, shape=self.shape)  # in the memory order of x
        if [step // grad.itemsize for step in grad.strides] != list(self.wins[0].strides):
            grad, given = array_module(grad).empty_like(self.wins[0], dtype=grad.dtype), grad
            grad[...] = given  # from one order of memory into another: once, not at each place
        overlap = self.stride[0] < self.kernel[0] or self.stride[1] < self.kernel[1]
        for place, wins in zip(self.places, self.wins, strict=True):
            if overlap:
                grad_x[:, :, *place] += keep_where(wins, grad)
            else:
                keep_where(wins, grad, out=grad_x[:, :, *place])
        return (grad_x,)

    def forward_on_gpu(self, x: Array, output: Pair) -> Array:
        """The same in one kernel, which also notes at which place of its window each maximum stands."""
        xp = array_module(x)
        image = xp.ascontiguousarray(x.transpose(2, 3, 0, 1))  # no copy for what convolution left behind
        height, width, images, channels = image.shape
        y = xp.empty((*output, images, channels), dtype=x.dtype)
        self.place = xp.empty(y.shape, dtype="int32")
        self.sizes = height, width, images, channels
        kernels.run("max_pool", image, width, images * channels, output[1], *self.kernel, *self.stride, y, self.place)
        return y.transpose(2, 3, 0, 1)

    def backward_on_gpu(self, grad: Array) -> Array:
        xp = array_module(grad)
        grad = xp.ascontiguousarray(grad.transpose(2, 3, 0, 1))
        _, width, images, channels = self.sizes
        sizes = width, images * channels, *grad.shape[:2], *self.kernel, *self.stride
        grad_x = kernels.run("max_pool_gradient", grad, self.place, *sizes, xp.empty(self.sizes, dtype=grad.dtype))
        return grad_x.transpose(2, 3, 0, 1)
