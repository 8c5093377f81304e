"""Convolution by Fourier transform: one product per frequency replaces R S products per output.

**The theorem.** Put one row of an image, x[h], h = 0 ... H - 1, on a circle of L places, and likewise the kernel, w[r] at
place r - p, where p is the padding. With the frequencies f = 0 ... L - 1 and e(t) = exp(2 pi i t / L) the spectra are

    X[f] = sum over h of x[h] e(-f h)          W[f] = sum over r of w[r] e(f (r - p))          Y[f] = X[f] W[f]

    y[i] = 1 / L  sum over f of Y[f] e(f i)  =  sum over r of x[i + r - p] w[r]

(because the sum of e(f t) over f is L where t is a multiple of L, and 0 elsewhere), which is the convolution. With G the
spectrum of the upstream gradient g, computed as X is from x, both gradients are convolutions too; a conjugate (*) reverses
the sign of a shift:

    grad x[h] = 1 / L  sum over f of G[f] W*[f] e(f h)          grad w[r] = 1 / L  sum over f of X[f] G*[f] e(f (r - p))

This is for one row; an image has two axes, transformed one after the other. With the sums over channels, filters and images
it is one small matrix product per frequency: X W of shapes (N, C) (C, F), and for the gradients G W*^T, (N, F) (F, C), and
X^T G*, (C, N) (N, F).

**The length of the circle.** The outputs read places from -p to H - 1 + p', p' being the padding after the image. On a circle
-1 is L - 1, so the zeros after the image also serve as those before it. So L = H + max(p, p') is enough: 19 for 16 rows and a
7 x 7 kernel, 'same'.

**The matrices.** L is small, so a transform is a product with the dense matrix of all e(f t), which is faster here than a fast
Fourier transform. A stride uses fewer places i, for y and g alike, and the padding before the image shifts the places of w;
nothing else changes. The axis transformed first holds real numbers: X[L - f] = X*[f], so that L // 2 + 1 frequencies are
enough. Frequency 0 of real numbers is real, and so is L / 2 for an even L: for these rows half of the frequencies of the
second axis are enough too, and nothing is computed twice. On a GPU, where calls cost more than arithmetic, all rows are
treated alike.

**Real numbers only.** A complex number a + bi can be written as the real matrix [[a, -b], [b, a]], which multiplies in the
same way. So a complex (N, C) matrix is a real (2 N, 2 C) matrix of four quarters. With X in quarters and W, Y and G as two
parts (re, im), one below the other, each product is one real matrix product per frequency:

    X W       (2 N, 2 C) (2 C, F) -> (2 N, F): the two parts of Y
    X^T G*    (2 C, 2 N) (2 N, F) -> (2 C, F): the transpose of X in quarters is X*^T, so this is the conjugate of what is
              needed; the matrix of the inverse transform negates the imaginary part
    G W*^T    (2 N, F) (F, 2 C) -> (2 N, 2 C): with W^T, the four products of parts;  re = re re + im im,  im = im re - re im

The parts stay in memory as the transforms write them. Only X, always the left factor, is copied into quarters.

The memory order is (H, W, N, C), so that one transform is one matrix product. The transforms of the second axis and the
products are done for some frequencies of the first axis at a time, so that all data stays in the cache.

Rounding errors are relative to the largest number in an image. An inf or NaN in an image makes all of its outputs NaN; one in
the weight makes all outputs of its filter NaN.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, array_module, constant_on, device_of
from ..core import Op
from ..threads import limits_blas
from .products import matmul
from .waves import circle, from_parts, from_real, real_frequencies, to_parts, to_real, waves
from .window import Padding, Pair, output_size

CACHE_BYTES = 2**20  # memory limit of the largest spectrum, for one slice of frequencies


class Conv2dFourier(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): convolution by the theorem above.

    Backward needs only the spectra of x and weight, which are private to the op. So x and weight may be changed in place after
    forward.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    @limits_blas
    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        self.images, self.channels, height, width = x.shape
        self.filters, _, *kernel = weight.shape
        shape = (height, width), (kernel[0], kernel[1]), self.stride, self.padding
        self.matrices = m = matrices(*shape, x.dtype.str, device_of(x))
        needs_x, needs_weight, _ = self.needs_grad
        x_down = transform_down(m.x_down, x.transpose(2, 3, 0, 1))
        weight_down = transform_down(m.weight_down, weight.transpose(2, 3, 1, 0))
        y_down = array_module(x).empty((len(m.x_down), m.outputs, self.images * self.filters), dtype=x.dtype)
        # What backward needs, for each slice of frequencies: X in quarters, W in parts.
        self.spectra: list[tuple[Array | None, Array | None]] = []
        for band, some in self.slices():
            x_quarters = self.in_quarters(
                transform_across(band.x_across, band.rows(x_down)[some], (2, self.images, self.channels))
            )
            weight_parts = transform_across(band.weight_across, band.rows(weight_down)[some], (2 * self.channels, self.filters))
            y_parts = matmul(x_quarters, weight_parts)
            if bias is not None and not self.spectra:
                # A constant b has only frequency 0, b times the number of places; the inverse transform divides by that number.
                constant = y_parts[0, 0, : self.images]
                constant += bias * (circle(height, self.padding[0]) * circle(width, self.padding[1]))
            transform_back(band.y_back, y_parts, out=band.rows(y_down)[some])
            self.spectra.append((x_quarters if needs_weight else None, weight_parts if needs_x else None))
        return transform_up(m.y_up, y_down, self.images, self.filters).transpose(2, 3, 0, 1)

    @limits_blas
    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        m = self.matrices
        needs_x, needs_weight, needs_bias = self.needs_grad
        grad_down = transform_down(m.grad_down, grad.transpose(2, 3, 0, 1))
        empty, frequencies = array_module(grad).empty, len(m.x_down)
        x_down = empty((frequencies, m.width, self.images * self.channels if needs_x else 0), dtype=grad.dtype)
        weight_down = empty((frequencies, m.kernel, self.channels * self.filters if needs_weight else 0), dtype=grad.dtype)
        grad_x = grad_weight = grad_bias = None
        for (band, some), (x_quarters, weight_parts) in zip(self.slices(), self.spectra, strict=True):
            parts = transform_across(band.grad_across, band.rows(grad_down)[some], (2 * self.images, self.filters))
            if needs_bias and grad_bias is None:
                grad_bias = parts[0, 0, : self.images].sum(axis=0)  # the frequency 0 of G is the sum of g
            if weight_parts is not None:
                four = matmul(in_columns(parts), weight_parts.swapaxes(2, 3))
                product = self.times_conjugate(four, self.images, self.channels)
                transform_back(band.grad_x_back, product, out=band.rows(x_down)[some])
            if x_quarters is not None:
                product = matmul(x_quarters.swapaxes(2, 3), parts)
                transform_back(band.grad_weight_back, product, out=band.rows(weight_down)[some])
        if needs_x:
            grad_x = transform_up(m.grad_x_up, x_down, self.images, self.channels).transpose(2, 3, 0, 1)
        if needs_weight:
            grad_weight = transform_up(m.grad_weight_up, weight_down, self.channels, self.filters).transpose(3, 2, 0, 1)
        return grad_x, grad_weight, grad_bias

    def in_quarters(self, parts: Array) -> Array:
        """(B, L, 2, N, C) -> (B, L, 2 N, 2 C): a method, so that `gpu/fused.py` can override it."""
        return in_quarters(parts)

    def times_conjugate(self, four: Array, rows: int, columns: int) -> Array:
        """(B, L, 2 N, 2 C) -> (B, L, 2, N, C): a method for the same reason."""
        return times_conjugate(four, rows, columns)

    def slices(self) -> list[tuple[Band, slice]]:
        """The rows of each band, as many at a time as fit into the cache; on a GPU, all. Frequency 0 comes first."""
        largest = max(self.images * self.channels, self.images * self.filters, self.channels * self.filters)
        found = []
        for band in self.matrices.bands:
            fitting = CACHE_BYTES // (len(band.x_across) * largest * band.x_across.dtype.itemsize)
            step = max(1, fitting) if device_of(band.x_across) == "cpu" else band.height
            found += [(band, slice(start, min(start + step, band.height))) for start in range(0, band.height, step)]
        return found


def transform_down(down: Array, image: Array) -> Array:
    """(K, H), image (H, W, N, C) -> (K, W, N C): transforms each column of the image; K numbers, re or im (`Matrices`)."""
    height, width, images, channels = image.shape
    rows = image.reshape(height, width * images * channels)  # no copy where (H, W, N, C) is the order in memory
    return matmul(down, rows).reshape(len(down), width, images * channels)


def transform_across(across: Array, spectrum: Array, shape: tuple[int, ...]) -> Array:
    """(2 L, P W), (B, P W, M) -> (B, L, *shape): transforms each row; in `shape` (re or im) first, then the M columns."""
    return matmul(across, spectrum).reshape(len(spectrum), len(across) // 2, *shape)


def transform_back(back: Array, spectrum: Array, out: Array) -> None:
    """(P W, 2 L), (B, L, (re or im, M)) -> (B, P W, M), into `out`: the inverse of `transform_across`."""
    matmul(back, spectrum.reshape(len(spectrum), back.shape[1], -1), out=out)


def transform_up(up: Array, spectrum: Array, images: int, channels: int) -> Array:
    """(H, K), (K, W, N C) -> image (H, W, N, C): the inverse of `transform_down`."""
    width = spectrum.shape[1]
    return matmul(up, spectrum.reshape(up.shape[1], -1)).reshape(len(up), width, images, channels)


def in_quarters(parts: Array) -> Array:
    """(B, L, 2, N, C) -> (B, L, 2 N, 2 C): [[re, -im], [im, re]]."""
    xp = array_module(parts)
    frequencies, length, _, rows, columns = parts.shape
    quarters = xp.empty((frequencies, length, 2, rows, 2, columns), dtype=parts.dtype)
    quarters[:, :, :, :, 0] = parts
    xp.negative(parts[:, :, 1], out=quarters[:, :, 0, :, 1])
    quarters[:, :, 1, :, 1] = parts[:, :, 0]
    return quarters.reshape(frequencies, length, 2 * rows, 2 * columns)


def in_columns(matrices: Array) -> Array:
    """(..., M, K) -> the same matrices, stored column by column.

    If the inner axis of a product is contiguous in both factors, OpenBLAS multiplies small matrices at half speed.
    """
    if device_of(matrices) != "cpu":
        return matrices
    return array_module(matrices).ascontiguousarray(matrices.swapaxes(-2, -1)).swapaxes(-2, -1)


def times_conjugate(four: Array, rows: int, columns: int) -> Array:
    """(B, L, 2 N, 2 C), the products of parts of G and W -> (B, L, 2, N, C): (re re + im im, im re - re im)."""
    xp = array_module(four)
    four = four.reshape(*four.shape[:2], 2, rows, 2, columns)
    product = xp.empty((*four.shape[:2], 2, rows, columns), dtype=four.dtype)
    xp.add(four[:, :, 0, :, 0], four[:, :, 1, :, 1], out=product[:, :, 0])
    xp.subtract(four[:, :, 1, :, 0], four[:, :, 0, :, 1], out=product[:, :, 1])
    return product


# The matrices ---------------------------------------------------------------------------------------------------------


class Band(NamedTuple):
    """Rows of the spectrum along the height that share their transforms along the width, and the matrices of these.

    across, back: (2 L, P n) and (P n, 2 L), n the length of x, weight or y; P = 1 for rows of real numbers, else 2; the P n
    numbers are ordered (re or im, place). L: all frequencies of the width; for real rows half of them, as in `Matrices`.
    """

    first: int
    height: int  # number of rows, each of P n numbers
    parts: int
    x_across: Array
    weight_across: Array
    y_back: Array
    grad_across: Array
    grad_x_back: Array
    grad_weight_back: Array

    def rows(self, spectrum: Array) -> Array:
        """(K, n, M) -> (height, P n, M): the rows of this band."""
        _, length, columns = spectrum.shape
        own = spectrum[self.first : self.first + self.height * self.parts]
        return own.reshape(self.height, self.parts * length, columns)


class Matrices(NamedTuple):
    """The transform matrices for the shapes of one convolution.

    down, up: along the height, the first and the last transform; (K, n) and (n, K). The K numbers of a spectrum are the real
    parts of the frequencies without an imaginary part, then (re, im) of the others.
    """

    width: int  # of x, weight and y
    kernel: int
    outputs: int
    x_down: Array
    weight_down: Array
    y_up: Array
    grad_down: Array
    grad_x_up: Array
    grad_weight_up: Array
    bands: tuple[Band, ...]


@functools.lru_cache(maxsize=64)
def matrices(image: Pair, kernel: Pair, stride: Pair, padding: Padding, dtype: str, device: str) -> Matrices:
    """The shape of a convolution -> its transform matrices, cached."""
    places = []
    for size, length, step, (before, after) in zip(image, kernel, stride, padding, strict=True):
        outputs = output_size(size + before + after, length, step)
        places.append((np.arange(size), np.arange(length) - before, np.arange(outputs) * step))
    (h, r, i), (w, s, j) = places
    down, across = (circle(size, ends) for size, ends in zip(image, padding, strict=True))
    alone, kept = real_frequencies(down) if device == "cpu" else (0, list(range(2 * (down // 2 + 1))))

    def ready(matrix: Any) -> Array:
        return constant_on(np.ascontiguousarray(matrix, dtype=dtype), device)

    def band(first: int, count: int, parts: int) -> Band:
        wave, into, out = functools.partial(waves, across, half=parts == 1), from_parts, to_parts
        if parts == 1:
            into, out = from_real, functools.partial(to_real, length=across)
        made = (
            into(wave(w).conj()), into(wave(s)), out(wave(j)), into(wave(j).conj()), out(wave(w)), out(wave(s), conjugate=True)
        )  # fmt: skip
        return Band(first, count, parts, *map(ready, made))

    bands = [band(0, alone, 1)] if alone else []
    rest = (len(kept) - alone) // 2
    bands += [band(alone, rest, 2)] if rest else []
    wave = functools.partial(waves, down, half=True)
    return Matrices(
        width=len(w),
        kernel=len(s),
        outputs=len(j),
        x_down=ready(from_real(wave(h).conj())[kept]),
        weight_down=ready(from_real(wave(r))[kept]),
        y_up=ready(to_real(wave(i), down)[:, kept]),
        grad_down=ready(from_real(wave(i).conj())[kept]),
        grad_x_up=ready(to_real(wave(h), down)[:, kept]),
        grad_weight_up=ready(to_real(wave(r), down)[:, kept]),
        bands=tuple(bands),
    )
