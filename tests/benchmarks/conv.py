"""How fast each convolution algorithm is, and whether `algorithm="auto"` chooses well: `python -m tests.benchmarks.conv`.

    python -m tests.benchmarks.conv [--turns 9] [--threads 1] [--json FILE] [--fit]

For every shape, forward alone and forward with backward are timed in each algorithm, turn by turn. --fit also prints prices for
`minidrop/ops/conv_choice.py` that fit these times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from .machine import limit_threads, provenance, write_json

ALGORITHMS = ("im2col", "fourier", "mixed")
# images, channels, image size, filters, kernel size, padding. Those of the paper's networks, as it trained them and as it
# described them; `lite`; 3 x 3 networks; others, deliberately unusual.
VALID = [
    *[
        (16, 3, 30, 64, 7),
        (16, 64, 12, 64, 5),
        (16, 1, 26, 64, 7),
        (16, 64, 10, 64, 5),
        (256, 3, 30, 64, 7),
        (256, 64, 12, 64, 5),
    ],
    *[(16, 3, 30, 16, 7), (16, 16, 12, 32, 5), (16, 1, 26, 16, 7), (16, 16, 10, 32, 5), (16, 1, 8, 16, 3), (16, 16, 3, 32, 2)],
    *[(8, 4, 40, 64, 9), (100, 1, 28, 32, 5), (16, 8, 24, 32, 5), (4, 3, 64, 64, 7), (16, 64, 14, 128, 3)],
]
SAME = [
    *[
        (16, 3, 32, 64, 11),
        (16, 64, 16, 64, 7),
        (16, 64, 8, 64, 5),
        (16, 1, 28, 64, 11),
        (16, 64, 14, 64, 7),
        (16, 64, 7, 64, 5),
    ],
    *[(16, 1, 28, 8, 5), (16, 8, 14, 16, 3), (16, 16, 7, 32, 3), (16, 3, 32, 8, 5), (16, 8, 16, 16, 3), (16, 16, 8, 32, 3)],
    *[(16, 1, 8, 8, 5), (16, 8, 4, 16, 3), (16, 16, 2, 32, 3)],
    *[
        (64, 3, 32, 32, 3),
        (64, 32, 16, 64, 3),
        (64, 64, 8, 128, 3),
        (16, 128, 8, 128, 3),
        (64, 16, 32, 16, 3),
        (8, 64, 32, 64, 3),
    ],
    *[(1, 64, 16, 64, 7), (1, 3, 32, 64, 11), (1, 1, 28, 8, 5), (256, 64, 8, 64, 5), (128, 1, 28, 16, 5), (4, 16, 64, 16, 9)],
    *[(16, 64, 16, 64, 1), (16, 16, 16, 32, 1), (2, 32, 32, 32, 5), (32, 16, 16, 16, 7), (8, 32, 48, 8, 3), (2, 3, 64, 16, 7)],
]
SHAPES: list[tuple[Any, ...]] = [*((*shape, 0) for shape in VALID), *((*shape, "same") for shape in SAME)]


def convolution(algorithm: str, shape: tuple[Any, ...], backward: bool) -> Any:
    """A function that convolves once, as the first layer of a network where there are up to 3 channels (no gradient of x)."""
    import numpy as np

    import minidrop as md

    images, channels, size, filters, kernel, padding = shape
    outputs = size if padding == "same" else size - kernel + 1
    random = np.random.default_rng(0)

    def draw(*lengths: int) -> Any:
        return random.normal(size=lengths).astype("float32")

    x = md.Tensor(draw(size, size, images, channels).transpose(2, 3, 0, 1), requires_grad=backward and channels > 3)
    weight = md.Tensor(draw(kernel, kernel, channels, filters).transpose(3, 2, 0, 1), requires_grad=backward)
    bias = md.Tensor(draw(filters), requires_grad=backward)
    grad = draw(outputs, outputs, images, filters).transpose(2, 3, 0, 1)

    def once() -> None:
        y = md.functional.conv2d(x, weight, bias, padding=padding, algorithm=algorithm)
        if backward:
            y.backward(grad)
            x.grad = weight.grad = bias.grad = None

    return once


def shape_of(shape: tuple[Any, ...], backward: bool) -> Any:
    """The same for the cost model."""
    from minidrop.ops.conv_choice import Shape
    from minidrop.ops.window import same_padding

    images, channels, size, filters, kernel, padding = shape
    pads = same_padding(size, kernel, 1) if padding == "same" else (0, 0)
    needs = (backward and channels > 3, backward)
    return Shape(images, channels, filters, (size, size), (kernel, kernel), (1, 1), (pads, pads), needs)


def measure(turns: int) -> list[dict[str, Any]]:
    """One row per shape and direction: milliseconds, medians of interleaved turns."""
    rows = []
    for shape in SHAPES:
        for backward in (False, True):
            functions = {name: convolution(name, shape, backward) for name in ALGORITHMS}
            seconds: dict[str, list[float]] = {name: [] for name in functions}
            for turn in range(turns + 1):
                for name, once in functions.items():
                    start = time.perf_counter()
                    once()
                    if turn:
                        seconds[name].append(time.perf_counter() - start)
            rows.append({"shape": shape, "backward": backward} | {n: 1000 * statistics.median(s) for n, s in seconds.items()})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, with what "auto" chooses and how far that is from the best."""
    from minidrop.ops.conv_choice import fastest

    lines = [
        "| images, channels, size, filters, kernel, padding | | im2col, ms | fourier, ms | mixed, ms | auto | auto / best |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        chosen = fastest(shape_of(row["shape"], row["backward"]))
        ratio = row[chosen] / min(row[name] for name in ALGORITHMS)
        lines.append(
            f"| {', '.join(map(str, row['shape']))} | {'forward and backward' if row['backward'] else 'forward'} "
            f"| {row['im2col']:.2f} | {row['fourier']:.2f} | {row['mixed']:.2f} | {chosen} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def fit(rows: list[dict[str, Any]]) -> None:
    """Print prices that fit the times, each row weighted by its time (non-negative least squares)."""
    import numpy as np
    from scipy.optimize import nnls

    from minidrop.ops import conv_choice

    for algorithm in ALGORITHMS:
        times = np.array([row[algorithm] * 1e6 for row in rows])
        amounts = np.array([conv_choice.work(algorithm, shape_of(row["shape"], row["backward"])) for row in rows])
        prices, _ = nnls(amounts / times[:, None], np.ones(len(times)))
        print(algorithm, conv_choice.Work(*(float(f"{price:.2g}") for price in prices)), amounts @ prices / times)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time the convolution algorithms, and what auto chooses.")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args(arguments)
    limit_threads(options.threads)
    rows = measure(options.turns)
    result = {"provenance": provenance(), "threads": options.threads, "turns": options.turns, "rows": rows}
    print(table(rows))
    if options.fit:
        fit(rows)
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
