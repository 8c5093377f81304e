"""What the records of a run cost: `python -m tests.benchmarks.recording`.

A training step with the count of zeros and without it, by turns, in one process on one thread; and an evaluation with all its
columns against one that only counts right answers, once per 1,000 steps. On random images of the right shapes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import minidrop as md
from minidrop.datasets import Dataset
from minidrop.paper.measuring import BATCH
from minidrop.paper.protocol import drawn, normalise
from minidrop.paper.training import Run, Trainer

from .machine import provenance, write_json

# network, shape of an image, and how many test images there are to measure on (of 1,700 the protocol takes 1,600)
WORKS = {
    "published, CIFAR-10 shapes": ("published", (3, 32, 32), 1_700),
    "published, MNIST shapes": ("published", (1, 28, 28), 1_700),
    "lite, CIFAR-10 shapes": ("lite", (3, 32, 32), 1_700),
    "lite, digits shapes": ("lite", (1, 8, 8), 360),
}
PER_EVALUATION = 1_000  # steps


def trainer(network: str, shape: tuple[int, ...], test_images: int) -> Trainer:
    """A run of unscaled beta, which has the second accuracy too, on random images."""
    rng = np.random.default_rng(0)
    parts = [
        Dataset(rng.integers(0, 256, (count, *shape)).astype(np.uint8), rng.integers(0, 10, count), tuple("0123456789"))
        for count in (2_000, test_images)
    ]
    return Trainer(Run("random", network, "beta"), (parts[0], parts[1]))


def only_accuracy(run: Trainer) -> float:
    """The least that an evaluation has to do: right answers on as many images."""
    data = drawn(run.run.protocol, run.evaluator.measured, md.Generator(0))
    run.network.eval()
    with md.no_grad():
        right = 0
        for start in range(0, len(data), BATCH):
            part = data.part(slice(start, start + BATCH))
            logits = run.network(md.Tensor(normalise(part.images, run.mean, part.maximum)))
            right += int((logits.data.argmax(axis=1) == part.labels).sum())
    run.network.train()
    return right / len(data)


def by_turns(works: list[Callable[[], Any]], turns: int) -> list[list[float]]:
    """Milliseconds of each, in alternating order."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 3):
        for index in range(len(works)) if turn % 2 else reversed(range(len(works))):
            start = time.perf_counter()
            works[index]()
            if turn >= 3:  # the first ones warm up
                times[index].append(1000 * (time.perf_counter() - start))
    return times


def measure(network: str, shape: tuple[int, ...], test_images: int, turns: int) -> dict[str, float]:
    """Milliseconds of a step with and without the count, of an evaluation in full and for the accuracy alone; the share of both."""
    full, bare = (trainer(network, shape, test_images) for _ in range(2))
    bare.network.hidden.hooks = ()
    step, without = map(statistics.median, by_turns([full.step, bare.step], turns))
    whole, least = by_turns([lambda: full.evaluator(1_000, True), lambda: only_accuracy(full)], max(3, turns // 20))
    evaluation, accuracy = statistics.median(whole), statistics.median(least)
    share = (step - without + (evaluation - accuracy) / PER_EVALUATION) / without
    return {
        "step_ms": step,
        "step_without_ms": without,
        "evaluation_ms": evaluation,
        "accuracy_only_ms": accuracy,
        "share": share,
    }


def report(result: dict[str, Any]) -> str:
    """A table."""
    lines = [
        "| network | step, ms | without the count | evaluation, ms | accuracy alone | both, of the step |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in result["works"].items():
        lines.append(
            f"| {name} | {row['step_ms']:.3f} | {row['step_without_ms']:.3f} | {row['evaluation_ms']:.0f} | "
            f"{row['accuracy_only_ms']:.0f} | {row['share']:.1%} |"
        )
    where = ", ".join(f"{key} {value}" for key, value in result["provenance"].items())
    return "\n".join(
        [*lines, "", f"Medians of {result['turns']} turns, one thread, an evaluation per {PER_EVALUATION:,} steps; {where}."]
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time what the records of a run cost.")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with threadpool_limits(1):
        works = {name: measure(*work, options.turns) for name, work in WORKS.items()}
    result = {"provenance": provenance(("numpy", "minidrop")), "turns": options.turns, "works": works}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
