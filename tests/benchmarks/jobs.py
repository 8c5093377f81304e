"""Two runs at a time: `python -m tests.benchmarks.jobs [--turns 9] [--json FILE]`; needs CIFAR-10 (`minidrop data fetch cifar10`).

Steps per second of `minidrop reproduce --dataset cifar10 --network published --jobs 2`, both runs together, with all that a run
does (batches, counts, an evaluation per 1,000 steps), from the first row of its history to the last; against two processes of
PyTorch with one thread each, which do the bare training step at the same time. By turns.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .interleave import Worker
from .machine import provenance, write_json

WORK = "published-cifar"
GOAL = 0.45
STEPS = 300  # of PyTorch, per turn and process
ITERATIONS = 2_000
COMMAND = [
    "reproduce",
    "--dataset",
    "cifar10",
    "--network",
    "published",
    "--variants",
    "dropout",
    "--seeds",
    "2",
    "--jobs",
    "2",
]


def seconds_per_step(history: Path) -> float:
    """A run's history -> seconds per step, from its first row to its last."""
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, last = rows[0], rows[-1]
    return (float(last["seconds"]) - float(first["seconds"])) / (int(last["iteration"]) - int(first["iteration"]))


def of_minidrop(iterations: int) -> float:
    """Steps per second of two runs together, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--iterations", str(iterations), "--evaluate-every", "1000", "--out", folder]
        command = [sys.executable, "-m", "minidrop", *COMMAND, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "80"})
        if done.returncode != 0:
            raise RuntimeError(f"minidrop reproduce ended with {done.returncode}: {done.stderr[-500:]}")
        return sum(1 / seconds_per_step(history) for history in sorted(Path(folder).glob("history/*.csv")))


def of_torch(workers: list[Worker], steps: int) -> float:
    """Steps per second of these processes together."""
    for worker in workers:
        worker.ask(steps)
    total = 0.0
    for worker in workers:
        worker.seconds.clear()
        worker.take(0)
        total += len(worker.seconds) / sum(worker.seconds)
    return total


def measure(turns: int, iterations: int) -> dict[str, Any]:
    """Steps per second in each turn, and the ratio of the times that a step takes."""
    workers = [Worker("torch", WORK, 1) for _ in range(2)]
    own, peer = [], []
    try:
        for _ in range(turns):
            time.sleep(1)
            peer.append(of_torch(workers, STEPS))
            time.sleep(1)
            own.append(of_minidrop(iterations))
    finally:
        for worker in workers:
            worker.close()
    ratio = statistics.median(torch / mine for mine, torch in zip(own, peer, strict=True))
    return {"minidrop": own, "torch": peer, "ratio": ratio, "goal": GOAL}


def report(result: dict[str, Any]) -> str:
    """A stored result as Markdown."""
    rows = result["result"]
    mine, torch = (statistics.median(rows[name]) for name in ("minidrop", "torch"))
    ratios = sorted(peer / own for own, peer in zip(rows["minidrop"], rows["torch"], strict=True))
    where = ", ".join(f"{key} {value}" for key, value in result["provenance"].items())
    return (
        f"`minidrop reproduce --network published --dataset cifar10 --jobs 2`: {mine:.0f} steps per second in both runs together, "
        f"two PyTorch processes of one thread {torch:.0f}: a step takes **{rows['ratio']:.2f}** of PyTorch's time "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}; goal {rows['goal']:.2f}; medians of {len(ratios)} turns of both, one after the other; {where})."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time two runs at a time.")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="of each run, more than 1,000 (2,000)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(arguments)
    if options.turns < 1 or options.iterations <= 1_000:
        parser.error("--turns must be at least 1 and --iterations more than 1,000")
    result = {"provenance": provenance(), "result": measure(options.turns, options.iterations)}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
