"""Timing several frameworks side by side: each in its own process, turn by turn, so that a slow moment affects all alike."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from .machine import ROOT, THREAD_VARIABLES

PAUSE = 0.05  # seconds between two turns: the threads of BLAS and OpenMP spin for a while before they sleep


def free_environment() -> dict[str, str]:
    """The environment without the variables that set the number of threads."""
    return {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}


class Worker:
    """A process that runs one work in one framework; threads None: the framework's default."""

    def __init__(self, framework: str, work: str, threads: int | None, environment: dict[str, str] | None = None) -> None:
        variables = free_environment()
        if threads is not None:
            variables |= dict.fromkeys(THREAD_VARIABLES, str(threads))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", framework, work],
            cwd=ROOT,
            env=variables | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.checked = self._answer()["checked"]
        self.seconds: list[float] = []
        self.peak_mb = 0.0

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"the worker ended: {self.process.args}, exit status {self.process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, repeats: int) -> None:
        """Make it repeat its work this many times; `take` waits for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{repeats}\n")
        self.process.stdin.flush()

    def take(self, warm_up: int) -> None:
        """Wait for the answer, and keep its times except the first `warm_up`."""
        answer = self._answer()
        self.seconds += answer["seconds"][warm_up:]
        self.peak_mb = answer["peak_mb"]

    def run(self, repeats: int, warm_up: int = 1) -> None:
        """Time `repeats` more, after `warm_up` that are not counted."""
        self.ask(warm_up + repeats)
        self.take(warm_up)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def race(frameworks: list[str], work: str, threads: int, turns: int, repeats: int) -> dict[str, dict[str, float]]:
    """framework -> milliseconds (median, quartiles), peak memory, and the ratio to PyTorch: the median over turns of ratios."""
    workers = {name: Worker(name, work, threads) for name in frameworks}
    medians: dict[str, list[float]] = {name: [] for name in frameworks}
    try:
        for turn in range(turns):
            for name in frameworks if turn % 2 == 0 else reversed(frameworks):
                time.sleep(PAUSE)
                workers[name].run(repeats)
                medians[name].append(statistics.median(workers[name].seconds[-repeats:]))
    finally:
        for worker in workers.values():
            worker.close()
    result = {}
    for name, worker in workers.items():
        lower, middle, upper = (1000 * value for value in statistics.quantiles(worker.seconds, n=4))
        row = {"ms": middle, "lower": lower, "upper": upper, "peak_mb": worker.peak_mb, "checked": worker.checked}
        if "torch" in workers:
            ratios = [own / peer for own, peer in zip(medians[name], medians["torch"], strict=True)]
            row["ratio"] = statistics.median(ratios)
            row["ratio_low"], row["ratio_high"] = min(ratios), max(ratios)
            quartiles = statistics.quantiles(ratios, n=4)
            row["ratio_lower"], row["ratio_upper"] = quartiles[0], quartiles[2]
        result[name] = row
    return result
