"""Convolution in the frequency domain: what costs R S products per output in the image costs one product per frequency there.

**The theorem.** Write one row of an image as x[h], h = 0 ... H - 1, on a circle of L places, and likewise the kernel, w[r] at
place r - p, where p is the padding. With the frequencies f = 0 ... L - 1 and e(t) = exp(2 pi i t / L) the spectra are

    X[f] = sum over h of x[h] e(-f h)          W[f] = sum over r of w[r] e(f (r - p))          Y[f] = X[f] W[f]

    y[i] = 1 / L  sum over f of Y[f] e(f i)  =  sum over r of x[i + r - p] w[r]

(for the sum of e(f t) over f is L where t is a multiple of L, and 0 elsewhere), and that is the convolution. With G the
spectrum of the upstream gradient g, made as X is of x, both gradients are convolutions again, and a conjugate (*) turns the
sign of a shift:

    grad x[h] = 1 / L  sum over f of G[f] W*[f] e(f h)          grad w[r] = 1 / L  sum over f of X[f] G*[f] e(f (r - p))

Here for one row; an image has two axes, transformed one after the other. Over channels, filters and images the products are
summed as ever: at each frequency stands one small matrix product, X W of shapes (N, C) (C, F), and for the gradients G W*^T,
(N, F) (F, C), and X^T G*, (C, N) (N, F).

**How long is the circle?** The outputs look at places from -p to H - 1 + p', p' the padding behind. The zeros behind the image
serve as those before it too, since on a circle -1 is L - 1. So L = H + max(p, p') is enough: 19 for 16 rows and 7 x 7, 'same'.

**The matrices.** L is small, so a transform is a product with the dense matrix of all e(f t), which the processor does faster
than a fast Fourier transform. A stride takes fewer places i, for y and g alike, and the padding in front shifts the places of
w: nothing else changes. The first axis transformed starts from real numbers: X[L - f] = X*[f], so that L // 2 + 1 frequencies
are enough.

**Real numbers only.** A complex number a + bi is also the real matrix [[a, -b], [b, a]], and multiplies like it. So an (N, C)
matrix of complex numbers is a real (2 N, 2 C) matrix of four quarters. With X in quarters and W, Y and G as two parts (re, im),
one below the other, each product comes from one real matrix product per frequency:

    X W       (2 N, 2 C) (2 C, F) -> (2 N, F): the two parts of Y
    X^T G*    (2 C, 2 N) (2 N, F) -> (2 C, F): the transpose of X in quarters is X*^T, so this is the conjugate of what is
              wanted; the matrix of the way back negates the imaginary part
    G W*^T    (2 N, F) (F, 2 C) -> (2 N, 2 C): with W^T, the four products of parts;  re = re re + im im,  im = im re - re im

The parts lie in memory as the transforms write them. Only X, always the left factor, is written out in quarters.

Memory is (H, W, N, C), so that one transform is one matrix product. The transforms of the second axis and the products are done
for some frequencies of the first axis at a time, so that all of it stays in the cache.

Rounding errors are relative to the largest number in an image. An inf or NaN in an image makes all of its outputs NaN, one in
the weight all outputs of its filter.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..backend import Array, array_module, capturing, device_of, matmul, to_device
from ..tape import Op
from .window import Padding, Pair, output_size

CACHE_BYTES = 2**20  # what the largest of the spectra may take, for one slice of frequencies


def circle(size: int, padding: Pair) -> int:
    """L: how many places, and frequencies, one axis needs."""
    return size + max(padding)


class Conv2dFourier(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): convolution by the theorem above.

    Backward needs the spectra of x and weight, which no one else can reach, and neither of the two themselves: a change of them
    in place after forward does not disturb it.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        self.images, self.channels, height, width = x.shape
        self.filters, _, *kernel = weight.shape
        shape = (height, width), (kernel[0], kernel[1]), self.stride, self.padding
        self.matrices = m = matrices(*shape, x.dtype.str, device_of(x))
        if (capture := capturing()) is not None:
            capture.kept.append(m)
        needs_x, needs_weight, _ = self.needs_grad
        x_down = transform_down(m.x_down, x.transpose(2, 3, 0, 1))
        weight_down = transform_down(m.weight_down, weight.transpose(2, 3, 1, 0))
        y_down = self.empty(m.y_back, self.images * self.filters)
        # For each slice of frequencies what backward needs: X in quarters, W in parts.
        self.spectra: dict[int, tuple[Array | None, Array | None]] = {}
        for some in self.slices():
            x_quarters = in_quarters(transform_across(m.x_across, x_down[some], (2, self.images, self.channels)))
            weight_parts = transform_across(m.weight_across, weight_down[some], (2 * self.channels, self.filters))
            y_parts = matmul(x_quarters, weight_parts)
            if bias is not None and some.start == 0:
                # A constant b has one frequency, 0, with b times the number of places; the way back divides by that number.
                constant = y_parts[0, 0, : self.images]
                constant += bias * (circle(height, self.padding[0]) * circle(width, self.padding[1]))
            transform_back(m.y_back, y_parts, out=y_down[some])
            self.spectra[some.start] = x_quarters if needs_weight else None, weight_parts if needs_x else None
        return transform_up(m.y_up, y_down, self.images, self.filters).transpose(2, 3, 0, 1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        m = self.matrices
        needs_x, needs_weight, needs_bias = self.needs_grad
        grad_down = transform_down(m.grad_down, grad.transpose(2, 3, 0, 1))
        x_down = self.empty(m.grad_x_back, self.images * self.channels if needs_x else 0)
        weight_down = self.empty(m.grad_weight_back, self.channels * self.filters if needs_weight else 0)
        grad_x = grad_weight = grad_bias = None
        for some in self.slices():
            parts = transform_across(m.grad_across, grad_down[some], (2 * self.images, self.filters))
            x_quarters, weight_parts = self.spectra[some.start]
            if needs_bias and some.start == 0:
                grad_bias = parts[0, 0, : self.images].sum(axis=0)  # the frequency 0 of G is the sum of g
            if weight_parts is not None:
                four = matmul(in_columns(parts), weight_parts.swapaxes(2, 3))
                transform_back(m.grad_x_back, times_conjugate(four, self.images, self.channels), out=x_down[some])
            if x_quarters is not None:
                transform_back(m.grad_weight_back, matmul(x_quarters.swapaxes(2, 3), parts), out=weight_down[some])
        if needs_x:
            grad_x = transform_up(m.grad_x_up, x_down, self.images, self.channels).transpose(2, 3, 0, 1)
        if needs_weight:
            grad_weight = transform_up(m.grad_weight_up, weight_down, self.channels, self.filters).transpose(3, 2, 0, 1)
        return grad_x, grad_weight, grad_bias

    def empty(self, back: Array, columns: int) -> Array:
        """(2 W, 2 L), M -> (K, 2 W, M): room for what `back` gives at all frequencies of the first axis."""
        return array_module(back).empty((len(self.matrices.x_down) // 2, len(back), columns), dtype=back.dtype)

    def slices(self) -> list[slice]:
        """The frequencies of the first axis, as many at a time as the cache has room for; on a GPU, all at once."""
        m = self.matrices
        frequencies, numbers = len(m.x_down) // 2, len(m.x_across)
        largest = max(self.images * self.channels, self.images * self.filters, self.channels * self.filters)
        fitting = CACHE_BYTES // (numbers * largest * m.x_down.dtype.itemsize)
        step = max(1, fitting) if device_of(m.x_down) == "cpu" else frequencies
        return [slice(start, min(start + step, frequencies)) for start in range(0, frequencies, step)]


def transform_down(down: Array, image: Array) -> Array:
    """(2 K, H), image (H, W, N, C) -> (K, 2 W, N C): each column of the image transformed; in the middle (re or im, W)."""
    height, width, images, channels = image.shape
    rows = image.reshape(height, width * images * channels)  # no copy where (H, W, N, C) is the order in memory
    spectrum = matmul(down, rows)
    return spectrum.reshape(len(down) // 2, 2 * width, images * channels)


def transform_across(across: Array, spectrum: Array, shape: tuple[int, ...]) -> Array:
    """(2 L, 2 W), (B, 2 W, M) -> (B, L, *shape): each row transformed; in `shape` (re or im) first, then the M columns."""
    return matmul(across, spectrum).reshape(len(spectrum), len(across) // 2, *shape)


def transform_back(back: Array, spectrum: Array, out: Array) -> None:
    """(2 W, 2 L), (B, L, (re or im, M)) -> (B, 2 W, M), into `out`: the way back of `transform_across`."""
    matmul(back, spectrum.reshape(len(spectrum), back.shape[1], -1), out=out)


def transform_up(up: Array, spectrum: Array, images: int, channels: int) -> Array:
    """(H, 2 K), (K, 2 W, N C) -> image (H, W, N, C): the way back of `transform_down`."""
    frequencies, twice_width, _ = spectrum.shape
    return matmul(up, spectrum.reshape(2 * frequencies, -1)).reshape(len(up), twice_width // 2, images, channels)


def in_quarters(parts: Array) -> Array:
    """(B, L, 2, N, C) -> (B, L, 2 N, 2 C): [[re, -im], [im, re]]."""
    xp = array_module(parts)
    frequencies, length, _, rows, columns = parts.shape
    quarters = xp.empty((frequencies, length, 2, rows, 2, columns), dtype=parts.dtype)
    if kernels.available(parts):
        kernels.run("in_quarters", parts, rows, columns, quarters)
    else:
        quarters[:, :, :, :, 0] = parts
        xp.negative(parts[:, :, 1], out=quarters[:, :, 0, :, 1])
        quarters[:, :, 1, :, 1] = parts[:, :, 0]
    return quarters.reshape(frequencies, length, 2 * rows, 2 * columns)


def in_columns(matrices: Array) -> Array:
    """(..., M, K) -> the same, column after column in memory.

    Where the inner axis of a product is the fast one of both factors, OpenBLAS multiplies small matrices at half its speed.
    """
    if device_of(matrices) != "cpu":
        return matrices
    return array_module(matrices).ascontiguousarray(matrices.swapaxes(-2, -1)).swapaxes(-2, -1)


def times_conjugate(four: Array, rows: int, columns: int) -> Array:
    """(B, L, 2 N, 2 C), the products of parts of G and W -> (B, L, 2, N, C): (re re + im im, im re - re im)."""
    xp = array_module(four)
    four = four.reshape(*four.shape[:2], 2, rows, 2, columns)
    product = xp.empty((*four.shape[:2], 2, rows, columns), dtype=four.dtype)
    if kernels.available(four):
        return kernels.run("times_conjugate", four, rows, columns, product)
    xp.add(four[:, :, 0, :, 0], four[:, :, 1, :, 1], out=product[:, :, 0])
    xp.subtract(four[:, :, 1, :, 0], four[:, :, 0, :, 1], out=product[:, :, 1])
    return product


# The matrices ---------------------------------------------------------------------------------------------------------


class Matrices(NamedTuple):
    """The transforms of one shape.

    down, up: the height, first in and last out; (2 K, n) and (n, 2 K), K = L // 2 + 1, L of the height. across, back: the
    width; (2 L, 2 n) and (2 n, 2 L). n is the length of x, weight or y. Rows and columns are (frequency, re or im) and, in
    across and back, (re or im, place).
    """

    x_down: Array
    x_across: Array
    weight_down: Array
    weight_across: Array
    y_back: Array
    y_up: Array
    grad_down: Array
    grad_across: Array
    grad_x_back: Array
    grad_x_up: Array
    grad_weight_back: Array
    grad_weight_up: Array


@functools.lru_cache(maxsize=64)
def matrices(image: Pair, kernel: Pair, stride: Pair, padding: Padding, dtype: str, device: str) -> Matrices:
    """The shape of a convolution -> its transforms, made once and kept."""
    places = []
    for size, length, step, (before, after) in zip(image, kernel, stride, padding, strict=True):
        outputs = output_size(size + before + after, length, step)
        places.append((np.arange(size), np.arange(length) - before, np.arange(outputs) * step))
    (h, r, i), (w, s, j) = places
    down, across = (circle(size, ends) for size, ends in zip(image, padding, strict=True))
    made = Matrices(
        x_down=from_real(waves(down, h, half=True).conj()),
        x_across=from_parts(waves(across, w).conj()),
        weight_down=from_real(waves(down, r, half=True)),
        weight_across=from_parts(waves(across, s)),
        y_back=to_parts(waves(across, j)),
        y_up=to_real(waves(down, i, half=True), down),
        grad_down=from_real(waves(down, i, half=True).conj()),
        grad_across=from_parts(waves(across, j).conj()),
        grad_x_back=to_parts(waves(across, w)),
        grad_x_up=to_real(waves(down, h, half=True), down),
        grad_weight_back=to_parts(waves(across, s), conjugate=True),
        grad_weight_up=to_real(waves(down, r, half=True), down),
    )
    return Matrices(*(to_device(np.ascontiguousarray(matrix, dtype=dtype), device) for matrix in made))


def waves(length: int, places: Any, half: bool = False) -> Any:
    """(n,) places -> (K, n) complex: e(f t) for every frequency f and place t; half: K = L // 2 + 1, else L.

    f t is taken modulo L, which keeps the angle small, and so exact.
    """
    frequencies = np.arange(length // 2 + 1 if half else length)
    return np.exp(2j * np.pi / length * (np.outer(frequencies, places) % length))


def as_real(matrix: Any) -> Any:
    """(a, b) complex -> (2, 2, a, b): the real matrix that takes (re, im) to (re, im)."""
    return np.array([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])


def from_real(wave: Any) -> Any:
    """(K, n) waves -> (2 K, n): real numbers in, rows (frequency, re or im) out."""
    return as_real(wave)[:, 0].transpose(1, 0, 2).reshape(2 * len(wave), wave.shape[1])


def from_parts(wave: Any) -> Any:
    """(L, n) waves -> (2 L, 2 n): columns (re or im, place) in, rows (frequency, re or im) out."""
    return as_real(wave).transpose(2, 0, 1, 3).reshape(2 * len(wave), 2 * wave.shape[1])


def to_parts(wave: Any, conjugate: bool = False) -> Any:
    """(L, n) waves -> (2 n, 2 L): columns (frequency, re or im) in, rows (re or im, place) out; the inverse, divided by L.

    conjugate: what comes in has its imaginary part negated.
    """
    inverse = as_real(wave) / len(wave)
    if conjugate:
        inverse[:, 1] *= -1
    return inverse.transpose(0, 3, 2, 1).reshape(2 * wave.shape[1], 2 * len(wave))


def to_real(wave: Any, length: int) -> Any:
    """(K, n) waves -> (n, 2 K): columns (frequency, re or im) in, real numbers out; the inverse, divided by L.

    Each frequency stands for L - f too, its conjugate: the imaginary parts of the two cancel, the real part doubles, unless the
    two are one (0, and L / 2).
    """
    frequencies = np.arange(len(wave))
    count = np.where((frequencies == 0) | (2 * frequencies == length), 1, 2)
    return (as_real(wave)[0] * count[:, None] / length).transpose(2, 1, 0).reshape(wave.shape[1], 2 * len(wave))
