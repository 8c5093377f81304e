"""Is a stored run reproducible, bit for bit? Trains it again from the configuration stored with it, and compares.

minidrop again FOLDER                        every run of the experiment, as long as it was
minidrop again FOLDER --iterations 500       only the first evaluations of each
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...datasets import Dataset
from ...errors import DataError, did_you_mean
from ..history import COLUMNS
from ..training import Result, Trainer, load_data
from .grid import Finished, read_config, read_runs
from .provenance import provenance


def again(
    folder: Path,
    iterations: int | None = None,
    names: tuple[str, ...] = (),
    data: tuple[Dataset, Dataset] | None = None,
    report: Callable[[str, list[str]], None] = lambda _name, _differences: None,
) -> dict[str, list[str]]:
    """{run: its differences, [] if it is the same to the bit}, for the runs of an experiment's folder, or those in `names`.

    iterations: train only this far, and compare the evaluations up to there. `report` is called for each run as it ends.
    Everything is compared except the seconds and the recorded steps (the recorder's counts are compared). Raises DataError if
    the data are not those of the folder, a name is not one of its runs, or no evaluation lies within `iterations`.
    """
    config, runs = read_config(folder), read_runs(folder)
    train_data, test_data = data or load_data(config["settings"]["dataset"])
    stored = [config["dataset"]["train_sha256"], config["dataset"]["test_sha256"]]
    if [train_data.digest, test_data.digest] != stored:
        raise DataError(
            f"{folder.name} was made with other data",
            expected=f"{config['dataset']['label']}, sha256 {stored[0][:12]}..., {stored[1][:12]}...",
            got=f"{train_data.label}, sha256 {train_data.digest[:12]}..., {test_data.digest[:12]}...",
        )
    there = [run.run.name for run in runs]
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise DataError(
            f"no such run in {folder.name}",
            expected="some of " + ", ".join(there if len(there) <= 6 else [*there[:4], f"... ({len(there)} runs)"]),
            got=", ".join(unknown),
            help=did_you_mean(unknown[0], there),
        )
    found = {}
    for run in runs:
        if not names or run.run.name in names:
            found[run.run.name] = differences(run, iterations, (train_data, test_data))
            report(run.run.name, found[run.run.name])
    return found


def differences(stored: Finished, iterations: int | None, data: tuple[Dataset, Dataset]) -> list[str]:
    """Train a stored run again, on the CPU, with one BLAS thread, and list what differs."""
    from threadpoolctl import threadpool_limits

    reached = int(stored.rows[-1]["iteration"])
    to = min(iterations or reached, reached)
    expected = [row for row in stored.rows if row["iteration"] <= to]
    if not expected:
        raise DataError(
            f"{stored.run.name}: nothing to compare",
            expected=f"{int(stored.rows[0]['iteration']):,} iterations or more, its first evaluation",
            got=f"{to:,}",
        )
    to = int(expected[-1]["iteration"])
    run = dataclasses.replace(stored.run, iterations=to, device="cpu", cuda_graphs=False)
    with threadpool_limits(limits=1):
        trainer = Trainer(run, data)
        result = trainer.run_to_the_end()
    found = compare_rows(expected, result.history.rows)
    return found + (compare_ends(stored.result, result, trainer) if to == reached and stored.result else [])


def compare_rows(expected: list[dict[str, float]], rows: list[dict[str, float]]) -> list[str]:
    """The differences in the first row in which two histories differ; the seconds are ignored."""
    if len(expected) != len(rows):
        return [f"{len(expected)} evaluations stored, {len(rows)} now"]
    for old, new in zip(expected, rows, strict=True):
        wrong = [name for name in COLUMNS if name != "seconds" and repr(old[name]) != repr(new[name])]  # repr: NaN equals NaN
        if wrong:
            return [f"iteration {int(old['iteration']):,}, {name}: {old[name]!r} stored, {new[name]!r} now" for name in wrong]
    return []


def compare_ends(stored: dict[str, Any], result: Result, trainer: Trainer) -> list[str]:
    """The differences in how the two runs ended and in what their recorders counted."""
    now: dict[str, Any] = {
        "iteration": result.iteration,
        "stopped": result.stopped,
        "divergence": result.divergence.moments,
        "test_accuracy": result.test_accuracy,
    }
    if "recorded" in stored:
        recorded = trainer.recorder.state_dict()
        now["recorded"] = {name: recorded[name] for name in stored["recorded"]}
    return [f"{name}: {stored[name]!r} stored, {value!r} now" for name, value in now.items() if stored[name] != value]


def other_machine(origin: dict[str, Any]) -> list[str]:
    """The differences between here and `origin`, a provenance, that can change the last bits.

    These are NumPy's version, the processor for which OpenBLAS chose its kernels (OPENBLAS_CORETYPE chooses another), a GPU.
    """
    here = provenance()
    there, ours = origin["packages"].get("numpy"), here["packages"].get("numpy")
    found = [] if there == ours else [f"NumPy {there} there, {ours} here"]
    kernels = [sorted(set(re.findall(r"openblas [^(]*\((\w+)\)", " ".join(side["blas"])))) for side in (origin, here)]
    found += [] if kernels[0] == kernels[1] else [f"kernels for {', '.join(kernels[0])} there, {', '.join(kernels[1])} here"]
    return found + ([f"a GPU, {origin['gpu']}, there"] if origin["gpu"] else [])
