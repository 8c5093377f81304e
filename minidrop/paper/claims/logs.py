"""What the ledger needs from the author's published training logs: single figures, and the distance of our loss curves.

    minidrop claims --published curves.csv      recomputes them, and writes lessons/results/logs.json

The logs themselves are the author's (repository acasallas/6860-final-project) and are not part of this project. So the numbers
that the ledger quotes are derived from them once, and stored with the SHA-256 of the file that they came from.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..reproduce.published import LOGS, Log, read_logs
from .evidence import Evidence
from .rules import CUTS, THRESHOLDS, arrivals, losses_per_window, peak_until, window_mean, window_start

GATES = {
    "mnist": {"published": "gate-mnist", "described": "gate-mnist-described"},
    "cifar10": {"published": "gate-cifar10", "described": "gate-cifar10-described"},
}
FIRST = 2_000  # losses are compared from this iteration on: before, they fall too steeply

# Runs in the logs that are not rows of a table: not labelled, or repeats. The repeats of beta have the same name in the code.
OTHERS: dict[str, tuple[Log, ...]] = {
    "cifar10": (("convdropalan_cifar", 1), ("convdropalanprob2_cifar_noscale", 0), ("convdropalanprob2_cifar_noscale", 1)),
    "mnist": (),
}
REPEATS: dict[str, dict[str, tuple[Log, ...]]] = {
    "cifar10": {"beta": (LOGS["cifar10"]["beta"], *OTHERS["cifar10"][1:])},
    "mnist": {},
}


def distance(one: dict[int, float], other: dict[int, float], first: int = FIRST) -> float:
    """Two curves {iteration: mean loss} -> mean |log(loss ratio)| from `first` on, over the iterations that both have.

    Raises DataError if there are none.
    """
    common = [iteration for iteration in sorted(one.keys() & other.keys()) if iteration >= first]
    if not common:
        raise DataError("two loss curves without a common part", expected=f"iterations from {first:,} on", got="none")
    return math.fsum(abs(math.log(one[i] / other[i])) for i in common) / len(common)


def label(log: Log) -> str:
    """For a table: the log's name, and which of its runs, if it is not the first."""
    return log[0] + (f", run {log[1]}" if log[1] else "")


def compared(dataset: str) -> dict[str, Log]:
    """The logs that the gate compares ours with: the rows of the table by variant, the others by label."""
    return {**LOGS[dataset], **{label(log): log for log in OTHERS[dataset]}}


def derive(path: Path, evidence: Evidence) -> dict[str, Any]:
    """What logs.json holds: figures of each row and of the repeats, and the gate's distances to the stored runs.

    Raises DataError for a file of another kind, or if logs are missing.
    """
    logs = read_logs(path)
    missing = [label(log) for dataset in LOGS for log in compared(dataset).values() if log not in logs]
    if missing:
        raise DataError(f"{path}: logs are missing", expected="all of the author's logs", got=f"without {', '.join(missing)}")
    return {
        "source": {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "rows": {name: {row: _figures(logs[log], name, row) for row, log in LOGS[name].items()} for name in LOGS},
        "repeats": {
            name: {row: [window_mean(logs[log], CUTS[name][row]) for log in runs] for row, runs in REPEATS[name].items()}
            for name in LOGS
        },
        "gate": {name: _gate(name, logs, evidence, late=False) for name in LOGS},
        "gate_late": {name: _gate(name, logs, evidence, late=True) for name in LOGS},
    }


def _figures(rows: list[dict[str, float]], dataset: str, variant: str) -> dict[str, Any]:
    """Single figures of a log, up to its row's cut."""
    cut = CUTS[dataset][variant]
    best = peak_until(rows, cut)
    reached = arrivals(rows, THRESHOLDS[dataset], cut)
    return {
        "cut": cut,
        "first": window_start(cut),
        "window_mean": window_mean(rows, cut),
        "peak": best,
        "peak_iteration": next(row["iteration"] for row in rows if row["accuracy"] == best),
        "arrivals": [None if math.isinf(iteration) else iteration for iteration in reached],
    }


def _gate(dataset: str, logs: dict[Log, list[dict[str, float]]], evidence: Evidence, late: bool) -> dict[str, Any]:
    """{network: {log: {variant: {seed: distance}}}}; late: over the second half of our runs, for logs that reach it."""
    theirs = {key: losses_per_window(logs[log]) for key, log in compared(dataset).items()}
    found: dict[str, Any] = {}
    for network, folder in GATES[dataset].items():
        stored = evidence.find(folder)
        if stored is None:
            continue
        curves = {name: stored.each_curve(name) for name in stored.variants()}
        first = stored.settings["iterations"] // 2 if late else FIRST
        found[network] = {
            key: {
                variant: {str(seed): distance(curve, ours, first) for seed, ours in seeds.items()}
                for variant, seeds in curves.items()
            }
            for key, curve in theirs.items()
            if max(curve) >= first
        }
    return found


def as_bytes(derived: dict[str, Any]) -> bytes:
    """The content of logs.json as bytes."""
    return (json.dumps(derived, indent=1) + "\n").encode()
