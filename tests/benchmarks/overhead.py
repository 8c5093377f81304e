"""What the tape costs: tiny ops, forward and backward together, against PyTorch in the same run.

    python -m tests.benchmarks.overhead [--repeats 200] [--length 500] [--json FILE]

One measurement is a chain of `length` ops on four float32 numbers, then one backward; the figure is its time divided by the
number of ops. The repeats of minidrop, of PyTorch (where installed) and of the bare array arithmetic (the same NumPy calls
that forward and backward make, without a tape) are interleaved, and medians are taken, so that a slow moment of the machine
affects all alike. "Overhead" is minidrop's time less that of the bare arithmetic.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One thread for all: the arrays are tiny, and other threads would only add noise.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import minidrop as md

from .machine import provenance, write_json

A = np.ones(4, dtype=np.float32)
B = np.full(4, 1.0001, dtype=np.float32)


# In a chain b has a gradient from each op, and one addition for each sums them.


def bare_mul() -> None:
    _ = A * B, A * B, A * B, A + B


def bare_add() -> None:
    _ = A + B, A + B


def bare_scale() -> None:
    _ = A * 1.0001, A * 1.0001


def bare_neg() -> None:
    _ = -A, -A


def bare_exp() -> None:
    _ = np.exp(A), A * B


def bare_relu() -> None:
    y = np.maximum(A, 0)
    _ = np.where(y > 0, A, 0)


# name: (the op, of the chain so far and a second tensor; the NumPy calls that its formulas need)
OPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], None]]] = {
    "y + b": (lambda y, b: y + b, bare_add),
    "y * b": (lambda y, b: y * b, bare_mul),
    "y * 1.0001": (lambda y, b: y * 1.0001, bare_scale),
    "-y": (lambda y, b: -y, bare_neg),
    "relu(y)": (lambda y, b: y.relu(), bare_relu),
    "exp(y)": (lambda y, b: y.exp(), bare_exp),
}


def chain_time(operation: Callable[[Any, Any], Any], make: Callable[[], tuple[Any, Any]], length: int) -> float:
    """Microseconds per op: forward and backward of a chain."""
    y, b = make()
    start = time.perf_counter()
    for _ in range(length):
        y = operation(y, b)
    y.sum().backward()
    return (time.perf_counter() - start) / length * 1e6


def bare_time(calls: Callable[[], None], length: int) -> float:
    """Microseconds per op: the array arithmetic alone."""
    start = time.perf_counter()
    for _ in range(length):
        calls()
    return (time.perf_counter() - start) / length * 1e6


def minidrop_pair() -> tuple[Any, Any]:
    return md.Tensor(A * 0, requires_grad=True), md.Tensor(B, requires_grad=True)


def measure(repeats: int, length: int) -> list[dict[str, Any]]:
    """One row per op: medians in microseconds, with the quartiles of minidrop's."""
    try:
        import torch
    except ImportError:
        torch = None
    else:
        torch.set_num_threads(1)

    def torch_pair() -> tuple[Any, Any]:
        return torch.zeros(4, requires_grad=True), torch.tensor(B, requires_grad=True)

    rows = []
    for name, (operation, calls) in OPS.items():
        times: dict[str, list[float]] = {"minidrop": [], "bare": [], "pytorch": []}
        for _ in range(repeats):
            times["minidrop"].append(chain_time(operation, minidrop_pair, length))
            times["bare"].append(bare_time(calls, length))
            if torch is not None:
                times["pytorch"].append(chain_time(operation, torch_pair, length))
        quartiles = statistics.quantiles(times["minidrop"], n=4)
        row = {"op": name, **{key: statistics.median(values) for key, values in times.items() if values}}
        row["overhead"] = row["minidrop"] - row["bare"]
        row["lower_quartile"], row["upper_quartile"] = quartiles[0], quartiles[2]
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| op, 4 float32 numbers, microseconds | minidrop | its array arithmetic | overhead of the tape | PyTorch | minidrop / PyTorch |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        pytorch = row.get("pytorch")
        ratio = f"{row['minidrop'] / pytorch:.2f}" if pytorch else "-"
        peer = f"{pytorch:.1f}" if pytorch else "-"
        lines.append(
            f"| `{row['op']}` | {row['minidrop']:.1f} ({row['lower_quartile']:.1f} to {row['upper_quartile']:.1f}) "
            f"| {row['bare']:.1f} | {row['overhead']:.1f} | {peer} | {ratio} |"
        )
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    """A result of `main --json` as Markdown: the table, how it was measured, and where."""
    how = f"Medians of {result['repeats']} interleaved repeats (quartiles in brackets), chains of {result['length']} ops, one thread; "
    return (
        table(result["rows"]) + "\n\n" + how + ", ".join(f"{key} {value}" for key, value in result["provenance"].items()) + "."
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time tiny ops, forward and backward together, against PyTorch.")
    parser.add_argument("--repeats", type=int, default=200, help="interleaved repeats per op (200)")
    parser.add_argument("--length", type=int, default=500, help="ops in a chain (500)")
    parser.add_argument("--json", type=Path, help="also write rows and provenance to this file")
    options = parser.parse_args(arguments)
    if options.repeats < 2 or options.length < 1:
        parser.error("--repeats must be at least 2 and --length at least 1")
    rows = measure(options.repeats, options.length)
    result = {"provenance": provenance(), "repeats": options.repeats, "length": options.length, "rows": rows}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
