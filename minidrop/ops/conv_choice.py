"""Which algorithm convolves fastest? A cost model: what each one multiplies, moves and calls, priced with measured rates.

The prices are nanoseconds on one machine (`python -m tests.benchmarks.conv` measures them again, and how good the choice is);
what decides is their ratios, which differ little from one processor to another. They are for float32; on a GPU they were not
measured yet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from ..tape import Op
from .conv import KEPT_BYTES, Conv2dIm2col, Conv2dLoops
from .fourier import Conv2dFourier, circle
from .window import Padding, Pair, output_size

ALGORITHMS: dict[str, Callable[[Pair, Padding], Op]] = {"loops": Conv2dLoops, "im2col": Conv2dIm2col, "fourier": Conv2dFourier}


FLOAT32_BYTES = 4
FOURIER_TYPES = ("float32", "float64")  # in any other type the cosines would be rounded to a few digits, or to integers


class Shape(NamedTuple):
    """What the model looks at: the sizes, and which of the gradients (x, weight) are wanted."""

    images: int
    channels: int
    filters: int
    image: Pair
    kernel: Pair
    stride: Pair
    padding: Padding
    needs: tuple[bool, bool]


class Work(NamedTuple):
    """How much of each kind an algorithm does, or (as PRICES) what one of it costs in nanoseconds."""

    large: float  # multiplications in large matrix products
    small: float  # multiplications in many small ones
    moved: float  # numbers copied, or added in passing
    calls: float  # calls of NumPy
    products: float  # small matrix products


PRICES = {
    "im2col": Work(large=0.015, small=0, moved=0.61, calls=620, products=0),
    "fourier": Work(large=0.02, small=0.032, moved=0.36, calls=2000, products=31),
}


def outputs(shape: Shape) -> Pair:
    """H', W'."""
    height, width = (
        output_size(size + sum(ends), kernel, step)
        for size, ends, kernel, step in zip(shape.image, shape.padding, shape.kernel, shape.stride, strict=True)
    )
    return height, width


def im2col_work(shape: Shape) -> Work:
    """A product of all columns for y and each gradient; the columns are made once or twice, and added back for dL/dx."""
    height, width = outputs(shape)
    columns = shape.images * height * width * shape.channels * shape.kernel[0] * shape.kernel[1]
    needs_x, needs_weight = shape.needs
    made_again = needs_weight and columns * FLOAT32_BYTES > KEPT_BYTES
    times = 1 + made_again + 2 * needs_x
    places = shape.kernel[0] * shape.kernel[1]
    return Work(columns * shape.filters * (1 + needs_x + needs_weight), 0, columns * times, 20 + places * times, 0)


def fourier_work(shape: Shape) -> Work:
    """Transforms along both axes, and a product of (2 N, 2 C) and (2 C, F) per frequency for y and each gradient."""
    rows, columns = (circle(size, ends) for size, ends in zip(shape.image, shape.padding, strict=True))
    frequencies = rows // 2 + 1
    nc, cf, nf = shape.images * shape.channels, shape.channels * shape.filters, shape.images * shape.filters
    needs_x, needs_weight = shape.needs
    parts = [(shape.image, nc), (shape.kernel, cf), (outputs(shape), nf)]  # x, weight, y
    parts += [(outputs(shape), nf)] * (needs_x or needs_weight)
    parts += [(shape.image, nc)] * needs_x + [(shape.kernel, cf)] * needs_weight
    large = sum(2 * frequencies * width * (height + 2 * columns) * size for (height, width), size in parts)
    spectra = sum(2 * frequencies * columns * size for _, size in parts) + 2 * frequencies * columns * nc * (1 + needs_x)
    steps = 1 + needs_x + needs_weight
    return Work(
        large, 4 * frequencies * columns * nc * shape.filters * steps, spectra, 20 * steps, frequencies * columns * steps
    )


def work(algorithm: str, shape: Shape) -> Work:
    """What it does."""
    return im2col_work(shape) if algorithm == "im2col" else fourier_work(shape)


def cost(algorithm: str, shape: Shape) -> float:
    """The time it should take, in nanoseconds."""
    return sum(amount * price for amount, price in zip(work(algorithm, shape), PRICES[algorithm], strict=True))


@functools.lru_cache(maxsize=1024)
def fastest(shape: Shape) -> str:
    """ "im2col" or "fourier"."""
    return min(PRICES, key=lambda algorithm: cost(algorithm, shape))


def convolution(
    algorithm: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    dtype: Any,
    stride: Pair,
    padding: Padding,
    needs: tuple[bool, bool],
) -> Op:
    """The op of that name, or for "auto" the fastest one, for the shapes (N, C, H, W) and (F, C, R, S)."""
    if algorithm == "auto":
        shape = Shape(x[0], x[1], weight[0], (x[2], x[3]), (weight[2], weight[3]), stride, padding, needs)
        algorithm = fastest(shape) if str(dtype) in FOURIER_TYPES else "im2col"
    return ALGORITHMS[algorithm](stride, padding)
