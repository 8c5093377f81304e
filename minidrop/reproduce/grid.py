"""The grid of an experiment, dataset x network x variants x seeds, and the folder that it leaves behind.

config.json                      settings, dataset digests, provenance of every call that worked on the folder
history/VARIANT_seedN.csv        a row per evaluation, as it happens
history/VARIANT_seedN.json       how the run ended: divergence, accuracy on the whole test set
checkpoints/VARIANT_seedN.safetensors
table.md, figure1.png ... figure4.png, diagnostics.png, report.html
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..datasets import Dataset
from ..errors import ArgumentError, DataError, StateError
from ..history import Divergence, read_history
from ..networks import VARIANTS, Variant
from ..protocol import Protocol, find_protocol
from ..serialization import write_atomically
from ..training import Run
from .provenance import provenance

GROWING = ("variants", "iterations", "seeds", "on_divergence", "checkpoint_every")  # what a resumed experiment may change


@dataclass(frozen=True)
class Grid:
    """The settings of an experiment; `evaluate_every` and `checkpoint_every` default to what fits the iterations."""

    dataset: str = "digits"
    network: str = "lite"
    variants: tuple[str, ...] = VARIANTS
    protocol: str = "paper"
    iterations: int = 4000
    seeds: int = 1
    device: str = "cpu"
    on_divergence: str = "continue"
    evaluate_every: int = 0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for variant in self.variants:
            Variant(variant)
        for name in ("iterations", "seeds"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"bad {name}", expected="1 or more", got=str(getattr(self, name)))
        if not self.variants or len(set(self.variants)) < len(self.variants):
            raise ArgumentError("bad variants", expected="at least one, each once", got=", ".join(self.variants) or "none")
        if self.evaluate_every < 1:
            # Every 1,000 iterations, as published; more often in a short run, so that there are 40 points to look at.
            every = find_protocol(self.protocol).evaluate_every
            object.__setattr__(self, "evaluate_every", min(every, max(1, self.iterations // 40)))
        if self.checkpoint_every < 1:
            object.__setattr__(self, "checkpoint_every", self.evaluate_every)

    def measured_protocol(self) -> Protocol:
        """The protocol, with this grid's distance between evaluations."""
        return dataclasses.replace(find_protocol(self.protocol), evaluate_every=self.evaluate_every)

    def runs(self) -> list[Run]:
        """Every run, seed by seed, so that a broken experiment has whole sets of variants."""
        return [
            Run(
                dataset=self.dataset,
                network=self.network,
                variant=variant,
                seed=seed,
                iterations=self.iterations,
                protocol=self.measured_protocol(),
                checkpoint_every=self.checkpoint_every,
                on_divergence=self.on_divergence,
                device=self.device,
            )
            for seed in range(self.seeds)
            for variant in self.variants
        ]


def history_path(folder: Path, run: Run) -> Path:
    """Where a run's rows are."""
    return folder / "history" / f"{run.name}.csv"


def checkpoint_path(folder: Path, run: Run) -> Path:
    """Where a run's checkpoint is."""
    return folder / "checkpoints" / f"{run.name}.safetensors"


def result_path(folder: Path, run: Run) -> Path:
    """Where is written how a run ended."""
    return folder / "history" / f"{run.name}.json"


def prepare(folder: Path, grid: Grid, data: tuple[Dataset, Dataset], resume: bool) -> None:
    """Make the folder and write config.json.

    Raises StateError, before anything is written, if the folder holds an experiment and `resume` is not set, or one with other
    settings than may change (variants, seeds and iterations may grow).
    """
    path = folder / "config.json"
    calls: list[dict[str, Any]] = []
    digests = {
        "label": data[0].label,
        "train_sha256": data[0].digest,
        "test_sha256": data[1].digest,
        "test_images": len(data[1]),
    }
    if path.exists():
        if not resume:
            raise StateError(
                f"{folder} holds an experiment already",
                expected="a new folder, or --resume",
                got="config.json in it",
                help="--resume goes on where it stopped; --out names another folder",
            )
        stored = read_config(folder)
        _require_same(folder, stored, {"settings": _settings(grid), "dataset": digests})
        calls = stored["provenance"]
    elif folder.exists() and any(folder.iterdir()):
        raise StateError(
            f"{folder} is not empty",
            expected="a new or empty folder",
            got="files, but no config.json",
            help="name another with --out",
        )
    for part in ("history", "checkpoints"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    config = {"settings": _settings(grid), "dataset": digests, "provenance": [*calls, provenance(grid.device)]}
    write_atomically(path, (json.dumps(config, indent=2) + "\n").encode())


def _settings(grid: Grid) -> dict[str, Any]:
    return {**asdict(grid), "variants": list(grid.variants), "protocol_values": asdict(grid.measured_protocol())}


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of an experiment's folder. Raises DataError if it is missing or damaged."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"settings", "dataset", "provenance"} <= set(config):
            raise ValueError(f"keys {sorted(config)}")
        return config
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} is not an experiment's folder",
            expected="config.json, as `minidrop reproduce` writes it",
            got=f"{type(error).__name__}: {error}",
        ) from error


def read_grid(folder: Path) -> Grid:
    """The grid of an experiment's folder."""
    settings = read_config(folder)["settings"]
    names = {field.name for field in dataclasses.fields(Grid)}
    values: dict[str, Any] = {name: value for name, value in settings.items() if name in names}
    return Grid(**{**values, "variants": tuple(settings["variants"])})


def _require_same(folder: Path, stored: dict[str, Any], new: dict[str, Any]) -> None:
    differences = [
        f"{name} {old[name]!r} -> {value!r}"
        for old, current in ((stored["settings"], new["settings"]), (stored["dataset"], new["dataset"]))
        for name, value in current.items()
        if name not in GROWING and old.get(name) != value
    ]
    old = stored["settings"]
    differences += [f"without variant {name}" for name in old["variants"] if name not in new["settings"]["variants"]]
    differences += [
        f"fewer {name}: {old[name]} -> {new['settings'][name]}"
        for name in ("iterations", "seeds")
        if new["settings"][name] < old[name]
    ]
    if differences:
        raise StateError(
            f"{folder} holds another experiment",
            expected="the same settings (variants, seeds and iterations may grow)",
            got="; ".join(differences),
            help="leave the other options out: --resume takes them from config.json; or name another folder with --out",
        )


@dataclass
class Finished:
    """What a run left in the folder, read back. `result` is empty while the run is under way."""

    run: Run
    rows: list[dict[str, float]]
    result: dict[str, Any]

    @property
    def divergence(self) -> Divergence:
        """When it went wrong."""
        return Divergence(self.result.get("divergence"))


def read_runs(folder: Path) -> list[Finished]:
    """Every run of the folder that has at least one row."""
    finished = []
    for run in read_grid(folder).runs():
        if history_path(folder, run).exists() and (rows := read_history(history_path(folder, run))):
            result = result_path(folder, run)
            finished.append(Finished(run, rows, json.loads(result.read_text()) if result.exists() else {}))
    return finished
