"""The driver's log of a training step, which lesson 13 shows.

python -m tests.fake_gpu -m tests.fake_gpu.lesson_log lessons/results/driver/step.json
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minidrop as md
from minidrop import backend
from minidrop.paper.networks import Network
from tests.benchmarks.gpu import training_step
from tests.benchmarks.machine import provenance, write_json

from .log import recorded

BATCH = 16


def lines_of(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """What the driver is asked meanwhile; not for memory, which depends on what CuPy's pool finds left, in an order of addresses."""
    with recorded() as log:
        function(*arguments)
    return [line for line in log.lines if not line.startswith("allocate")]


def asked(network: md.nn.Module, images: Any, labels: Any) -> dict[str, list[str]]:
    """One step op by op, reading its loss, the same step while it is captured, and replayed."""
    import cupy

    there = cupy.asarray(images), cupy.asarray(labels)
    step = training_step(network.to("cuda"))
    step(*there)  # kernels are compiled
    kept: list[Any] = []
    found = {"op by op": lines_of(lambda: kept.append(step(*there))), "read": lines_of(lambda: kept[0].item())}
    captured = md.capture(step)
    for _ in range(captured.warm_up):
        captured(*there)
    found["capture"] = lines_of(captured, *there)
    found["replay"] = lines_of(captured, *there)
    return found


def refused(network: md.nn.Module, images: Any, labels: Any) -> str:
    """A step that reads its loss: what `capture` says."""
    import cupy

    there = cupy.asarray(images), cupy.asarray(labels)
    step = training_step(network.to("cuda"))
    captured = md.capture(lambda images, labels: step(images, labels).item())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(captured.warm_up + 1):
            captured(*there)
    (warning,) = told
    return f"{warning.category.__name__}: {warning.message}"


def small_network() -> md.nn.Module:
    """64 -> 64 -> 10, as in the lesson."""
    weights = md.Generator(0)
    return md.nn.Sequential(md.nn.Dense(64, 64, generator=weights), md.nn.ReLU(), md.nn.Dense(64, 10, generator=weights))


def lesson_log() -> dict[str, Any]:
    """All that the lesson shows."""
    digits = md.datasets.digits("train")
    small = (digits.images[:BATCH].reshape(BATCH, 64) / digits.maximum).astype("float32"), digits.labels[:BATCH]
    paper = Network("published", "cnn", (1, 28, 28), 10, md.Generator(0), md.Generator(1))
    random = np.random.default_rng(0)
    images = random.random((BATCH, 1, 28, 28), dtype="float32"), random.integers(0, 10, BATCH)
    return {
        "made by": "python -m tests.fake_gpu -m tests.fake_gpu.lesson_log FILE",
        "64 - 64 - 10": asked(small_network(), *small),
        "refused": refused(small_network(), *small),
        "the paper's network": asked(paper, *images),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_gpu.lesson_log", description="The log that lesson 13 shows.")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    import cupy

    where = provenance(("numpy", "minidrop")) | {"cupy": cupy.__version__, "gpu": backend.device_name("cuda")}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.file, {"provenance": where} | lesson_log())
    return 0


if __name__ == "__main__":
    sys.exit(main())
