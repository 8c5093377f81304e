"""Chooses the fastest convolution algorithm by a cost model: multiplications, copies and calls, times measured prices.

The prices are nanoseconds on one machine (`python -m tests.benchmarks.conv` measures them again, and how good the choice is).
Only their ratios matter, and these differ little between processors. They are for float32 and one thread; on a GPU they were
not measured yet.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from .im2col import KEPT_BYTES
from .waves import circle, real_frequencies
from .window import Padding, Pair, output_size

FLOAT32_BYTES = 4


class Shape(NamedTuple):
    """The input of the model: the sizes, and which of the gradients (x, weight) are needed."""

    images: int
    channels: int
    filters: int
    image: Pair
    kernel: Pair
    stride: Pair
    padding: Padding
    needs: tuple[bool, bool]


class Work(NamedTuple):
    """How much of each kind of work an algorithm does, or (in PRICES) what one unit of it costs in nanoseconds."""

    large: float  # multiplications in large matrix products
    small: float  # multiplications in many small ones
    moved: float  # numbers copied
    added: float  # numbers added to others
    calls: float  # calls of NumPy
    products: float  # small matrix products


PRICES = {
    "im2col": Work(large=0.022, small=0, moved=0.51, added=0.99, calls=1500, products=690),
    "fourier": Work(large=0.03, small=0.032, moved=0.16, added=0, calls=2800, products=8),
    "mixed": Work(large=0.024, small=0.024, moved=0.3, added=0.5, calls=3100, products=32),
}
ON_A_GPU = ("im2col", "fourier")  # "mixed" is many small products, and was not measured there


def outputs(shape: Shape) -> Pair:
    """H', W'."""
    height, width = (
        output_size(size + sum(ends), kernel, step)
        for size, ends, kernel, step in zip(shape.image, shape.padding, shape.kernel, shape.stride, strict=True)
    )
    return height, width


def im2col_work(shape: Shape) -> Work:
    """A product with all columns for y and each gradient, per row of y; strips made once or twice; columns added back."""
    height, width = outputs(shape)
    padded = shape.image[0] + sum(shape.padding[0])
    strips = shape.images * padded * width * shape.channels * shape.kernel[1]
    columns = shape.images * height * width * shape.channels * shape.kernel[0] * shape.kernel[1]
    needs_x, needs_weight = shape.needs
    made_again = needs_weight and strips * FLOAT32_BYTES > KEPT_BYTES
    steps = 1 + needs_x + needs_weight
    calls = 20 + shape.kernel[1] * (1 + made_again) + sum(shape.kernel) * needs_x
    return Work(columns * shape.filters * steps, 0, strips * (1 + made_again), columns * needs_x, calls, height * steps)


def fourier_work(shape: Shape) -> Work:
    """Transforms along both axes, and a product of (2 N, 2 C) and (2 C, F) per frequency for y and each gradient."""
    rows, columns = (circle(size, ends) for size, ends in zip(shape.image, shape.padding, strict=True))
    alone, _ = real_frequencies(rows)
    pairs, half = (rows - alone) // 2, columns // 2 + 1
    frequencies = pairs * columns + alone * half
    nc, cf, nf = shape.images * shape.channels, shape.channels * shape.filters, shape.images * shape.filters
    needs_x, needs_weight = shape.needs
    parts = [(shape.image, nc), (shape.kernel, cf), (outputs(shape), nf)]  # x, weight, y
    parts += [(outputs(shape), nf)] * (needs_x or needs_weight)
    parts += [(shape.image, nc)] * needs_x + [(shape.kernel, cf)] * needs_weight
    across = 4 * pairs * columns + 2 * alone * half
    large = sum(width * (rows * height + across) * size for (height, width), size in parts)
    spectra = sum(2 * frequencies * size for _, size in parts) + 2 * frequencies * nc * (1 + needs_x)
    steps = 1 + needs_x + needs_weight
    return Work(large, 4 * frequencies * nc * shape.filters * steps, spectra, 0, 20 * steps, frequencies * steps)


def mixed_work(shape: Shape) -> Work:
    """Transforms along the height, and a product of (2 N, 2 S C) and (2 S C, F) per frequency and place in the width."""
    rows = circle(shape.image[0], shape.padding[0])
    height, width = outputs(shape)
    padded = shape.image[1] + sum(shape.padding[1])
    needs_x, needs_weight = shape.needs
    steps = 1 + needs_x + needs_weight
    x, y = shape.images * shape.channels * padded, shape.images * shape.filters * width
    window = shape.channels * shape.kernel[1]
    large = rows * (shape.image[0] * x * (1 + needs_x) + height * y * (1 + (needs_x or needs_weight)))
    moved = rows * (6 * x + y * (1 + (needs_x or needs_weight)))
    across = 20 if needs_x else 0  # the windows' gradients are added back out of memory order
    added = rows * width * window * (across * shape.images + shape.filters * needs_weight)
    return Work(large, 2 * rows * window * y * steps, moved, added, 20 * steps, rows // 2 * width * steps)


def work(algorithm: str, shape: Shape) -> Work:
    """The work of `algorithm` for `shape`."""
    return {"im2col": im2col_work, "fourier": fourier_work, "mixed": mixed_work}[algorithm](shape)


def cost(algorithm: str, shape: Shape) -> float:
    """The predicted time, in nanoseconds."""
    return sum(amount * price for amount, price in zip(work(algorithm, shape), PRICES[algorithm], strict=True))


@functools.lru_cache(maxsize=1024)
def fastest(shape: Shape, device: str = "cpu") -> str:
    """The name of the algorithm with the lowest predicted time."""
    return min(PRICES if device == "cpu" else ON_A_GPU, key=lambda algorithm: cost(algorithm, shape))
