"""How a convolution's cost grows: `python -m tests.benchmarks.cost [--json FILE] [--plot FILE]`.

Forward and backward of one convolution ('same' padding, float32), by `algorithm="auto"` and by im2col, while one length grows
and the others stay: batch, image size, kernel size, channels; beside it, what the arithmetic of the definition grows by.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conv import shape_of
from .machine import limit_threads, provenance, write_json

MIDDLE = {"batch": 16, "size": 32, "kernel": 5, "channels": 32}
SWEEPS = {
    "batch": (1, 4, 16, 64, 256),
    "size": (16, 24, 32, 48, 64),
    "kernel": (3, 5, 7, 9, 11),
    "channels": (16, 32, 64, 128),
}
ALGORITHMS = ("auto", "im2col")
TITLES = {"batch": "batch", "size": "image size", "kernel": "kernel size", "channels": "channels, in and out"}


def arithmetic(batch: int, size: int, kernel: int, channels: int) -> int:
    """Multiplications of the definition, forward."""
    return batch * size**2 * kernel**2 * channels**2


def convolution(algorithm: str, batch: int, size: int, kernel: int, channels: int) -> Callable[[], Any]:
    """A function that runs forward and backward once."""
    import numpy as np

    import minidrop as md

    random = np.random.default_rng(0)
    shapes = (size, size, batch, channels), (kernel, kernel, channels, channels), (size, size, batch, channels)
    x, weight, grad = (random.normal(size=shape).astype("float32") for shape in shapes)
    image = md.Tensor(x.transpose(2, 3, 0, 1), requires_grad=True)
    filters = md.Tensor(weight.transpose(3, 2, 0, 1), requires_grad=True)

    def once() -> None:
        md.functional.conv2d(image, filters, padding="same", algorithm=algorithm).backward(grad.transpose(2, 3, 0, 1))
        image.grad = filters.grad = None

    return once


def measure(turns: int) -> list[dict[str, Any]]:
    """One row per sweep and length: milliseconds, medians over turns, each with all lengths of a sweep."""
    rows = []
    for name, lengths in SWEEPS.items():
        cases = list(itertools.product(lengths, ALGORITHMS))
        runs = {case: convolution(case[1], **MIDDLE | {name: case[0]}) for case in cases}
        times: dict[tuple[int, str], list[float]] = {case: [] for case in cases}
        for turn in range(turns + 1):
            for case, run in runs.items():
                run()  # the previous one has changed the cache and the memory to reuse
                start = time.perf_counter()
                run()
                if turn:
                    times[case].append(time.perf_counter() - start)
        for length in lengths:
            rows.append({"sweep": name, "length": length, "arithmetic": arithmetic(**MIDDLE | {name: length})})
            rows[-1] |= {algorithm: 1000 * statistics.median(times[length, algorithm]) for algorithm in ALGORITHMS}
    return rows


def done(batch: int, size: int, kernel: int, channels: int) -> float:
    """How many multiplications the algorithm that "auto" chooses does."""
    from minidrop.ops import conv_choice

    shape = shape_of((batch, channels, size, channels, kernel, "same"), backward=True)
    work = conv_choice.work(conv_choice.fastest(shape), shape)
    return work.large + work.small


def growth(rows: list[dict[str, Any]], sweep: str) -> tuple[float, float, float]:
    """How many times as large, from the first length to the last: the definition's arithmetic, what is done, and the time."""
    first, *_, last = [row for row in rows if row["sweep"] == sweep]
    own = done(**MIDDLE | {sweep: last["length"]}) / done(**MIDDLE | {sweep: first["length"]})
    return last["arithmetic"] / first["arithmetic"], own, last["auto"] / first["auto"]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    head = ["what grows", "lengths", "arithmetic of the definition grows", "of the algorithm", "time grows"]
    lines = ["| " + " | ".join([*head, "ms at each length", "by im2col, ms"]) + " |", "|---" * 7 + "|"]
    for sweep, title in TITLES.items():
        own = [row for row in rows if row["sweep"] == sweep]
        lines.append(
            f"| {title} | {', '.join(str(row['length']) for row in own)} | "
            + " | ".join(f"{times:.1f} times" for times in growth(rows, sweep))
            + f" | {', '.join(format(row['auto'], '.1f') for row in own)} "
            f"| {', '.join(format(row['im2col'], '.1f') for row in own)} |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Time against length, one panel per sweep."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axes, (sweep, title) in zip(figure.subplots(1, 4), TITLES.items(), strict=True):
        own = [row for row in rows if row["sweep"] == sweep]
        lengths = [row["length"] for row in own]
        axes.loglog(lengths, [row["auto"] for row in own], "o-", color="#0072B2", label="auto")
        axes.loglog(lengths, [row["im2col"] for row in own], "s--", color="#D55E00", label="im2col")
        scaled = [own[0]["auto"] * row["arithmetic"] / own[0]["arithmetic"] for row in own]
        axes.loglog(lengths, scaled, ":", color="#666666", label="growth of the arithmetic")
        axes.set_xlabel(title)
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("forward and backward, ms")
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw, store."""
    parser = argparse.ArgumentParser(description="How a convolution's cost grows with each of its lengths.")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(arguments)
    limit_threads(options.threads)
    rows = measure(options.turns)
    print(table(rows))
    if options.plot:
        plot(rows, options.plot)
    if options.json:
        write_json(options.json, {"provenance": provenance(), "turns": options.turns, "threads": options.threads, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
