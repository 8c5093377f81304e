"""How a convolution's cost grows: `python -m tests.benchmarks.cost [--json FILE] [--plot FILE]`.

Forward and backward of one convolution ('same' padding, float32, `algorithm="auto"`), and of PyTorch's, while one length grows
and the others stay: batch, image size, kernel size, channels. With each step goes what the arithmetic of the definition grows by.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .machine import limit_threads, provenance, write_json

MIDDLE = {"batch": 16, "size": 32, "kernel": 5, "channels": 32}
SWEEPS = {
    "batch": (1, 4, 16, 64, 256),
    "size": (16, 24, 32, 48, 64),
    "kernel": (3, 5, 7, 9, 11),
    "channels": (16, 32, 64, 128),
}
TITLES = {"batch": "batch", "size": "image size", "kernel": "kernel size", "channels": "channels, in and out"}


def arithmetic(batch: int, size: int, kernel: int, channels: int) -> int:
    """Multiplications of the definition, forward."""
    return batch * size**2 * kernel**2 * channels**2


def functions(batch: int, size: int, kernel: int, channels: int) -> dict[str, Callable[[], Any]]:
    """Forward and backward once, in minidrop and, if it is installed, in PyTorch."""
    import numpy as np

    import minidrop as md

    random = np.random.default_rng(0)
    arrays = [
        random.normal(size=shape).astype("float32")
        for shape in ((batch, channels, size, size), (channels, channels, kernel, kernel))
    ]
    x, weight = (
        md.Tensor(np.ascontiguousarray(array.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1), requires_grad=True)
        for array in arrays
    )
    grad = np.ones((size, size, batch, channels), dtype="float32").transpose(2, 3, 0, 1)

    def own() -> None:
        md.functional.conv2d(x, weight, padding="same").backward(grad)
        x.grad = weight.grad = None

    made: dict[str, Callable[[], Any]] = {"minidrop": own}
    try:
        import torch
    except ImportError:
        return made
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    upstream = torch.ones(batch, channels, size, size)

    def peer() -> None:
        torch.nn.functional.conv2d(*tensors, padding=kernel // 2).backward(upstream)
        for tensor in tensors:
            tensor.grad = None

    return made | {"torch": peer}


def measure(turns: int) -> list[dict[str, Any]]:
    """One row per sweep and length: milliseconds, medians of interleaved turns."""
    rows = []
    for name, lengths in SWEEPS.items():
        for length in lengths:
            shape = MIDDLE | {name: length}
            runs = functions(**shape)
            times: dict[str, list[float]] = {framework: [] for framework in runs}
            for turn in range(turns + 1):
                for framework, run in runs.items():
                    time.sleep(0.02)  # until the other's threads sleep
                    start = time.perf_counter()
                    run()
                    if turn:
                        times[framework].append(time.perf_counter() - start)
            rows.append({"sweep": name, "length": length, "arithmetic": arithmetic(**shape)})
            rows[-1] |= {framework: 1000 * statistics.median(values) for framework, values in times.items()}
    return rows


def grows_like(rows: list[dict[str, Any]], sweep: str) -> float:
    """How many times faster than the arithmetic the time of minidrop grows from the first length to the last; at best below 1."""
    own = [row for row in rows if row["sweep"] == sweep]
    return float((own[-1]["minidrop"] / own[0]["minidrop"]) / (own[-1]["arithmetic"] / own[0]["arithmetic"]))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| what grows | from | to | arithmetic grows | minidrop's time grows | PyTorch's time grows | minidrop / PyTorch, each length |"
    ]
    lines.append("|---" * 7 + "|")
    for sweep, title in TITLES.items():
        own = [row for row in rows if row["sweep"] == sweep]
        first, last = own[0], own[-1]
        ratios = ", ".join(f"{row['minidrop'] / row['torch']:.2f}" if "torch" in row else "-" for row in own)
        peer = f"{last['torch'] / first['torch']:.1f}" if "torch" in first else "-"
        lines.append(
            f"| {title} | {first['length']} | {last['length']} | {last['arithmetic'] / first['arithmetic']:.1f} "
            f"| {last['minidrop'] / first['minidrop']:.1f} | {peer} | {ratios} |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Time against length, one panel per sweep."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axes, (sweep, title) in zip(figure.subplots(1, 4), TITLES.items(), strict=True):
        own = [row for row in rows if row["sweep"] == sweep]
        lengths = [row["length"] for row in own]
        axes.loglog(lengths, [row["minidrop"] for row in own], "o-", color="#0072B2", label="minidrop")
        if "torch" in own[0]:
            axes.loglog(lengths, [row["torch"] for row in own], "s--", color="#D55E00", label="PyTorch")
        scaled = [own[0]["minidrop"] * row["arithmetic"] / own[0]["arithmetic"] for row in own]
        axes.loglog(lengths, scaled, ":", color="#666666", label="the arithmetic of the definition")
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
    parser.add_argument("--threads", type=int, default=2)
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
