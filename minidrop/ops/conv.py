"""Two-dimensional convolution (a cross-correlation, as usual in deep learning: the kernel is not flipped).

    y[n, f, i, j] = bias[f] + sum over c, r, s of  x[n, c, i * stride + r, j * stride + s] * weight[f, c, r, s]

with x already padded. Four algorithms compute it, forward and backward. They differ in speed, in rounding, and in how far an
inf or NaN spreads:

    loops     the formula itself, product by product; the others are tested against it (`im2col.py`)
    im2col    every window of the image becomes a column of a matrix, then matrix products (`im2col.py`)
    fourier   in the frequency domain (`fourier.py`)
    mixed     in the frequency domain along the height, by windows along the width (`mixed.py`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..backend import device_of
from ..core import Array, Op
from .conv_choice import Shape, fastest
from .fourier import Conv2dFourier
from .im2col import Conv2dIm2col, Conv2dLoops
from .mixed import Conv2dMixed
from .window import Padding, Pair

ALGORITHMS: Mapping[str, Callable[[Pair, Padding], Op]] = {
    "loops": Conv2dLoops,
    "im2col": Conv2dIm2col,
    "fourier": Conv2dFourier,
    "mixed": Conv2dMixed,
}
FOURIER_TYPES = ("float32", "float64")  # in any other type the cosines would be rounded to a few digits, or to integers


class Conv2d(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): by the algorithm that `algorithm` names; "auto": the fastest.

    Which one is fastest depends on the shapes and on which gradients are needed (`conv_choice.py`). `name` is then its name.
    """

    ways = ALGORITHMS

    def __init__(self, stride: Pair, padding: Padding, algorithm: str) -> None:
        self.stride = stride
        self.padding = padding
        self.algorithm = algorithm

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        if self.algorithm == "auto":
            self.algorithm = self.fastest(x, weight) if str(x.dtype) in FOURIER_TYPES else "im2col"
        self.way = self.ways[self.algorithm](self.stride, self.padding)
        self.way.needs_grad, self.name = self.needs_grad, self.way.name
        y = self.way.forward(x, weight, bias)
        self.saved = self.way.saved
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return self.way.backward(grad)

    def fastest(self, x: Array, weight: Array) -> str:
        """The name of the algorithm with the lowest predicted time."""
        (images, channels, height, width), (filters, _, *kernel) = x.shape, weight.shape
        needs = bool(self.needs_grad[0]), bool(self.needs_grad[1])
        shape = Shape(images, channels, filters, (height, width), (kernel[0], kernel[1]), self.stride, self.padding, needs)
        return fastest(shape, device_of(x))
