"""Convolution in the frequency domain along the height, and by windows along the width: for first layers, with few channels.

`fourier.py` transforms both axes. With 3 channels that does not pay: there are few products, and most of the work is the
inverse transform of 64 filters. By the same theorem one axis alone can be transformed. With k the frequency along the height,

    Y[k; n, j, f] = sum over s, c of  X[k; n, j * stride + s, c] W[k; s, c, f]

which is one product per frequency and place j in the width, of the windows (N, S C) with the weight (S C, F). Per output that
is about 2 S C L / H' multiplications, and L for the inverse transform, instead of R S C: 82 instead of 147 for the paper's
first layer.

**Real numbers only**, as in `fourier.py`: a window's complex numbers are two rows, (re, -im) and (im, re), and the weight is
(re, im), one below the other. So the product of (2 N, 2 S C) and (2 S C, F) is the real part of Y above its imaginary part.
For the gradients, with G the spectrum of grad: windows^T G is the conjugate of the gradient of W; G W^T contains the four
products of parts.

**Windows without a copy.** X is laid out as (frequency, re or im of the row, N, W, C, re or im). So the S places of a window
with their channels and parts are adjacent in memory, and all windows are one strided view.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, array_module, constant_on, device_of
from ..core import Op
from ..threads import limits_blas
from .im2col import output_shape
from .products import matmul
from .waves import circle, from_real, real_frequencies, to_real, waves
from .window import Padding, Pair, output_size

CACHE_BYTES = 2**20  # memory limit of the spectrum of y, for some places of the width at a time


class Conv2dMixed(Op):
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'): convolution by the sum above.

    Like `Conv2dFourier` it needs neither x nor weight in backward, only spectra that are private to the op. An inf or NaN in x
    reaches all rows of the output columns whose windows contain it.
    """

    def __init__(self, stride: Pair, padding: Padding) -> None:
        self.stride = stride
        self.padding = padding

    @limits_blas
    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        needs_x, needs_weight, _ = self.needs_grad
        self.x_shape, self.weight_shape = x.shape, weight.shape
        images, filters, height, self.places = output_shape(x, weight, self.stride, self.padding)
        self.matrices = m = matrices(x.shape[2], weight.shape[2], self.stride[0], self.padding[0], x.dtype.str, device_of(x))
        spectra = [
            (band, for_windows(band, x_down), for_weight(band, weight_down))
            for x_down, weight_down in [(self.rows_down(x), self.weight_down(weight))]
            for band in m.bands
        ]
        y = array_module(x).empty((height, self.places, images * filters), dtype=x.dtype)
        for some, spectrum in self.slices(y):
            for band, x_parts, weight_parts in spectra:
                matmul(self.windows(x_parts)[:, some], weight_parts[:, None], out=band.of(spectrum, images))
            if bias is not None:
                # A constant b has only frequency 0, b times the circle's length; the inverse transform divides by that.
                constant = spectrum[:, 0].reshape(-1, images, filters)  # a view
                constant += bias * circle(x.shape[2], self.padding[0])
            matmul(m.y_up, spectrum, out=y[:, some].swapaxes(0, 1))
        self.spectra = [(x_parts if needs_weight else None, w_parts if needs_x else None) for _, x_parts, w_parts in spectra]
        return y.reshape(height, self.places, images, filters).transpose(2, 3, 0, 1)

    @limits_blas
    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        m, xp = self.matrices, array_module(grad)
        needs_x, needs_weight, needs_bias = self.needs_grad
        images, filters, height, _ = grad.shape
        grad_rows = grad.transpose(2, 3, 0, 1).reshape(height, self.places, images * filters)
        frequencies, (_, channels, _, kernel) = len(m.x_down), self.weight_shape
        width = self.x_shape[3] + sum(self.padding[1])
        x_down = xp.zeros((frequencies, images, channels, width) if needs_x else 0, dtype=grad.dtype)
        weight_down = xp.zeros((frequencies, kernel, channels, filters) if needs_weight else 0, dtype=grad.dtype)
        grad_x = grad_weight = grad_bias = None
        if needs_bias:
            grad_bias = xp.zeros(filters, dtype=grad.dtype)
        for some, spectrum in self.slices(grad_rows):
            matmul(m.grad_down, grad_rows[:, some].swapaxes(0, 1), out=spectrum)
            if grad_bias is not None:
                grad_bias += spectrum[:, 0].reshape(-1, filters).sum(axis=0)  # the frequency 0 of G is the sum of g
            for band, (x_parts, weight_parts) in zip(m.bands, self.spectra, strict=True):
                parts = band.of(spectrum, images)
                if x_parts is not None:
                    products = matmul(self.windows(x_parts)[:, some].swapaxes(2, 3), parts).sum(axis=1)
                    band.add_weight(weight_down, products)
                if weight_parts is not None:
                    four = matmul(parts, weight_parts.swapaxes(1, 2)[:, None])
                    band.add_windows(x_down, four, some, self.stride[1])
        if needs_x:
            grad_x = self.rows_up(matmul(m.grad_x_up, x_down.reshape(frequencies, -1)))
        if needs_weight:
            grad_weight = matmul(m.grad_weight_up, weight_down.reshape(frequencies, -1))
            grad_weight = grad_weight.reshape(-1, kernel, channels, filters).transpose(3, 2, 0, 1)
        return grad_x, grad_weight, grad_bias

    def rows_down(self, x: Array) -> Array:
        """(N, C, H, W) -> (K, N, C, W), W including padding: the spectrum of each column."""
        images, channels, height, width = x.shape
        left, right = self.padding[1]
        rows = array_module(x).zeros((height, images, channels, left + width + right), dtype=x.dtype)
        rows[..., left : left + width] = x.transpose(2, 0, 1, 3)
        down = matmul(self.matrices.x_down, rows.reshape(height, images * channels * rows.shape[3]))
        return down.reshape(len(down), *rows.shape[1:])

    def rows_up(self, rows: Array) -> Array:
        """(H, N C W), W including padding -> (N, C, H, W), (H, W, N, C) in memory."""
        images, channels, height, width = self.x_shape
        left = self.padding[1][0]
        padded = rows.reshape(height, images, channels, left + width + self.padding[1][1])
        image = padded[..., left : left + width].transpose(0, 3, 1, 2)
        return array_module(rows).ascontiguousarray(image).transpose(2, 3, 0, 1)

    def weight_down(self, weight: Array) -> Array:
        """(F, C, R, S) -> (K, S, C, F)."""
        filters, channels, rows, columns = weight.shape
        down = matmul(self.matrices.weight_down, weight.transpose(2, 3, 1, 0).reshape(rows, -1))
        return down.reshape(-1, columns, channels, filters)

    def windows(self, parts: Array) -> Array:
        """(B, P, N, W, C, P) -> (B, W', P N, S C P), a view: B frequencies of a band, P = 2 for complex numbers, 1 for real."""
        frequencies, both, images, _, channels, _ = parts.shape
        place, size = channels * both, parts.itemsize
        shape = (frequencies, self.places, both * images, self.weight_shape[3] * place)
        strides = (parts.strides[0], self.stride[1] * place * size, parts.strides[2], size)
        return array_module(parts).lib.stride_tricks.as_strided(parts, shape, strides)

    def slices(self, rows: Array) -> Iterator[tuple[slice, Array]]:
        """(H', W', N F) -> slices of places along the width, each with memory for its spectrum, (places, K, N F)."""
        frequencies = len(self.matrices.x_down)
        on_cpu = device_of(rows) == "cpu"
        step = max(1, CACHE_BYTES // (frequencies * rows.shape[2] * rows.itemsize)) if on_cpu else self.places
        spectrum = array_module(rows).empty((min(step, self.places), frequencies, rows.shape[2]), dtype=rows.dtype)
        for start in range(0, self.places, step):
            stop = min(start + step, self.places)
            yield slice(start, stop), spectrum[: stop - start]


def for_windows(band: Band, down: Array) -> Array:
    """(K, N, C, W) -> (B, P, N, W, C, P): a row of (re, -im) and a row of (im, re); real numbers unchanged."""
    xp = array_module(down)
    numbers = xp.ascontiguousarray(down[band.rows].swapaxes(2, 3))
    if band.parts == 1:
        return numbers[:, None, ..., None]
    real, imaginary = numbers[0::2], numbers[1::2]
    parts = xp.empty((len(real), 2, *real.shape[1:], 2), dtype=down.dtype)
    parts[:, 0, ..., 0] = parts[:, 1, ..., 1] = real
    parts[:, 1, ..., 0] = imaginary
    xp.negative(imaginary, out=parts[:, 0, ..., 1])
    return parts


def for_weight(band: Band, down: Array) -> Array:
    """(K, S, C, F) -> (B, S C P, F): re and im one below the other, for each place and channel."""
    _, places, channels, filters = down.shape
    parts = down[band.rows].reshape(-1, band.parts, places, channels, filters)
    return parts.transpose(0, 2, 3, 1, 4).reshape(len(parts), -1, filters)


# The matrices ---------------------------------------------------------------------------------------------------------


class Band(NamedTuple):
    """Frequencies whose numbers are real (`parts` 1), or complex (2); `rows`: their positions in a spectrum."""

    rows: slice
    parts: int

    def of(self, spectrum: Array, images: int) -> Array:
        """(W', K, N F) -> (B, W', P N, F), a view."""
        own = spectrum[:, self.rows]
        return own.reshape(len(own), own.shape[1] // self.parts, self.parts * images, -1).swapaxes(0, 1)

    def add_weight(self, down: Array, products: Array) -> None:
        """(K, S, C, F), (B, S C P, F): add the products of windows and G, in which the imaginary part is negated."""
        _, places, channels, filters = down.shape
        own = down[self.rows].reshape(-1, self.parts, places, channels, filters)
        own += products.reshape(-1, places, channels, self.parts, filters).transpose(0, 3, 1, 2, 4)

    def add_windows(self, down: Array, four: Array, some: slice, stride: int) -> None:
        """(K, N, C, W), (B, W', P N, S C P): add the gradients of the windows at the places `some` back to their positions."""
        frequencies, places, *_ = four.shape
        _, images, channels, width = down.shape
        own = down[self.rows].reshape(frequencies, self.parts, images, channels, width)
        four = four.reshape(frequencies, places, self.parts, images, -1, channels, self.parts)
        four = four.transpose(4, 2, 6, 0, 3, 5, 1)  # (S, P, P, B, N, C, W')
        for s in range(len(four)):
            window = four[s]
            at = slice(some.start * stride + s, (some.stop - 1) * stride + s + 1, stride)
            if self.parts == 1:
                own[:, 0, ..., at] += window[0, 0]
            else:  # G W*: re = re re + im im, im = im re - re im
                own[:, 0, ..., at] += window[0, 0] + window[1, 1]
                own[:, 1, ..., at] += window[1, 0] - window[0, 1]


class Matrices(NamedTuple):
    """The transforms of one height: as in `fourier.py`, (K, n) down and (n, K) up."""

    x_down: Array
    weight_down: Array
    y_up: Array
    grad_down: Array
    grad_x_up: Array
    grad_weight_up: Array
    bands: tuple[Band, ...]


@functools.lru_cache(maxsize=64)
def matrices(size: int, kernel: int, stride: int, padding: Pair, dtype: str, device: str) -> Matrices:
    """Height, rows of the kernel, stride, padding -> the transform matrices, cached."""
    length = circle(size, padding)
    alone, kept = real_frequencies(length)
    wave = functools.partial(waves, length, half=True)
    h, r = wave(np.arange(size)), wave(np.arange(kernel) - padding[0])
    i = wave(np.arange(output_size(size + sum(padding), kernel, stride)) * stride)

    def ready(matrix: Any) -> Array:
        return constant_on(np.ascontiguousarray(matrix, dtype=dtype), device)

    bands = [Band(slice(0, alone), 1), Band(slice(alone, len(kept)), 2)]
    return Matrices(
        x_down=ready(from_real(h.conj())[kept]),
        weight_down=ready(from_real(r)[kept]),
        y_up=ready(to_real(i, length)[:, kept]),
        grad_down=ready(from_real(i.conj())[kept]),
        grad_x_up=ready(to_real(h, length)[:, kept]),
        grad_weight_up=ready(to_real(r, length, conjugate=True)[:, kept]),
        bands=tuple(band for band in bands if band.rows.stop > band.rows.start),
    )
