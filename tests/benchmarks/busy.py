"""A training step on a machine that is not alone: `python -m tests.benchmarks.busy [--turns 9] [--json FILE]`.

The step of the published network, CIFAR-10 shapes, in minidrop by default (one thread) and with two threads, in PyTorch by
default (a thread per core) and with one, each in its own process, by turns; alone, and beside other programs that use the
machine's cores. Nothing limits the threads of these other programs.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .interleave import PAUSE, Worker, free_environment
from .machine import ROOT, provenance, write_json

WORK = "published-cifar"
BUSY = "while True: pass"
PRODUCTS = "import numpy as np\na = np.ones((1500, 1500), 'float32')\nwhile True: a @ a"
TRAINING = f"from tests.benchmarks.works import build\nonce = build('minidrop', '{WORK}')\nwhile True: once()"
# title: what runs beside
BESIDE = {
    "nothing": [],
    "one busy Python process": [BUSY],
    "two busy Python processes": [BUSY, BUSY],
    "a NumPy process with a BLAS thread per core": [PRODUCTS],
    "another minidrop training": [TRAINING],
}
# title: framework, and how many threads it is told to use
RUNNERS: dict[str, tuple[str, int | None]] = {
    "minidrop": ("minidrop", None),
    "minidrop, 2 threads": ("minidrop", 2),
    "PyTorch, 1 thread": ("torch", 1),
    "PyTorch": ("torch", None),
}
SETTLE = 1.0  # seconds for the others to start up


@contextlib.contextmanager
def beside(programs: list[str]) -> Iterator[None]:
    """Run these programs in the meantime."""
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=free_environment()) for program in programs]
    try:
        time.sleep(SETTLE if running else 0)
        for process in running:
            if process.poll() is not None:
                raise RuntimeError(f"a program that was to run meanwhile ended: {process.args}")
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(turns: int, repeats: int) -> list[dict[str, Any]]:
    """One row per set of other programs: for each runner the milliseconds of a step, and the ratio to running alone."""
    workers = {title: Worker(framework, WORK, threads) for title, (framework, threads) in RUNNERS.items()}
    rows: list[dict[str, Any]] = []
    try:
        for company, programs in BESIDE.items():
            for worker in workers.values():
                worker.seconds.clear()
            with beside(programs):
                for _ in range(turns):
                    for worker in workers.values():
                        time.sleep(PAUSE)
                        worker.run(repeats)
            row: dict[str, Any] = {"beside": company}
            for title, worker in workers.items():
                ms = 1000 * statistics.median(worker.seconds)
                row[title] = {"ms": ms, "times": ms / rows[0][title]["ms"] if rows else 1.0}
            rows.append(row)
            print(table([row]).splitlines()[-1], file=sys.stderr, flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| beside | " + " | ".join(f"{title}, ms" for title in RUNNERS) + " |", "|---" * (1 + len(RUNNERS)) + "|"]
    for row in rows:
        cells = [f"{row[title]['ms']:.1f} ({row[title]['times']:.1f} times)" for title in RUNNERS]
        lines.append(f"| {row['beside']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    """A stored result as Markdown."""
    how = f"Medians of {result['turns']} turns of {result['repeats']}; in brackets: how many times as long as beside nothing; "
    where = ", ".join(f"{key} {value}" for key, value in result["provenance"].items())
    return table(result["rows"]) + "\n\n" + how + where + "."


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time a training step beside other programs.")
    parser.add_argument("--turns", type=int, default=9, help="how often each has its turn beside each company (9)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps per turn (3)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(arguments)
    if options.turns < 1 or options.repeats < 1:
        parser.error("--turns and --repeats must be at least 1")
    result = {
        "provenance": provenance(),
        "turns": options.turns,
        "repeats": options.repeats,
        "rows": measure(options.turns, options.repeats),
    }
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
