"""The grid of an experiment, dataset x network x variants x seeds, and its folder.

config.json                      settings, dataset digests, provenance of every call that worked on the folder
history/VARIANT_seedN.csv        a row per evaluation, written as it happens
history/VARIANT_seedN.json       how the run ended: divergence, accuracy on the whole test set
history/VARIANT_seedN_steps.csv  the steps before something went wrong, if they were recorded
checkpoints/VARIANT_seedN.safetensors; ..._peak.safetensors and ..._end.safetensors: the weights at the peak and at the end
table.md, figure1.png ... figure4.png, diagnostics.png, report.html
.lock                            held by the process that works on the folder (`lock.py`)
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...datasets import Dataset
from ...errors import ArgumentError, DataError, StateError
from ...serialization import write_atomically
from ..history import Divergence, counted, read_history
from ..networks import find_size
from ..protocol import find_protocol
from ..run import Run
from ..settings import require_limits, setting, settings_of
from ..variants import VARIANTS, Variant
from . import lock
from .provenance import provenance

# What may differ when an experiment is resumed; the first three may only grow.
MAY_CHANGE = ("variants", "iterations", "seeds", "on_divergence", "checkpoint_every", "device", "cuda_graphs")

WHEN_DONE = "finds something to do if more --iterations, --seeds or --variants are named"

# Settings that the oldest experiments lack, with the values they had.
LATER: dict[str, Any] = {
    "cuda_graphs": False,
    "record_steps": 0,
    "evaluation_images": 0,
    "learning_rate": None,
    "clip_norm": None,
}


@dataclass(frozen=True)
class Grid:
    """An experiment: `run` is the template of its runs, which differ in variant and seed. `Grid.of` makes one from settings."""

    run: Run = Run()  # noqa: RUF009 (frozen)
    variants: tuple[str, ...] = setting(VARIANTS, "Names, joined by commas or blanks.")
    seeds: int = setting(1, "Runs of each variant: seeds 0, 1, ...", least=1)

    def __post_init__(self) -> None:
        require_limits(self)
        find_size(self.run.network)
        variants = [Variant(name) for name in self.variants]
        twice = any(one.same_as(other) for index, one in enumerate(variants) for other in variants[:index])
        if not variants or twice:
            raise ArgumentError("bad variants", expected="at least one, each once", got=", ".join(self.variants) or "none")
        self.runs()  # raises if the template and a variant's name ask for different numbers

    @staticmethod
    def of(
        protocol: str = "paper",
        evaluate_every: int | None = None,
        evaluation_images: int | None = None,
        checkpoint_every: int | None = None,
        variants: tuple[str, ...] = VARIANTS,
        seeds: int = 1,
        **settings: Any,
    ) -> Grid:
        """The grid of these settings, which have the same names in config.json and on the command line.

        protocol: its name. evaluate_every, checkpoint_every: None or 0: chosen by the iterations; evaluation_images: None or 0:
        as many as the protocol says. The rest are fields of `Run`.
        """
        run = Run(**settings)
        measured = find_protocol(protocol)
        # Every 1,000 iterations, as published; more often in a short run, so that there are 40 points to look at.
        every = evaluate_every or min(measured.evaluate_every, max(1, run.iterations // 40))
        measured = dataclasses.replace(measured, evaluate_every=every)
        if evaluation_images:
            measured = dataclasses.replace(measured, evaluation_images=evaluation_images)
        run = dataclasses.replace(run, protocol=measured, checkpoint_every=checkpoint_every or every)
        return Grid(run, tuple(variants), seeds)

    @property
    def settings(self) -> dict[str, Any]:
        """By name, as `of` takes them; JSON-serialisable."""
        own = {field.name: getattr(self.run, field.name) for field in settings_of(Run)}
        protocol = self.run.protocol
        usual = protocol.evaluation_images == find_protocol(protocol.name).evaluation_images
        return {
            **own,
            "variants": list(self.variants),
            "seeds": self.seeds,
            "protocol": protocol.name,
            "evaluate_every": protocol.evaluate_every,
            "evaluation_images": 0 if usual else protocol.evaluation_images,
        }

    def runs(self) -> list[Run]:
        """Every run, seed by seed, so that an interrupted experiment has complete sets of variants."""
        return [
            dataclasses.replace(self.run, variant=variant, seed=seed) for seed in range(self.seeds) for variant in self.variants
        ]


def history_path(folder: Path, run: Run) -> Path:
    """Where a run's rows are."""
    return folder / "history" / f"{run.name}.csv"


def checkpoint_path(folder: Path, run: Run) -> Path:
    """Where a run's checkpoint is."""
    return folder / "checkpoints" / f"{run.name}.safetensors"


def result_path(folder: Path, run: Run) -> Path:
    """Where the outcome of a run is written."""
    return folder / "history" / f"{run.name}.json"


def steps_path(folder: Path, run: Run) -> Path:
    """Where the last steps of a run are, if they were recorded."""
    return folder / "history" / f"{run.name}_steps.csv"


def require_free(folder: Path, grid: Grid, resume: bool) -> None:
    """Raise StateError unless the folder is new or empty or, with `resume`, holds this experiment.

    Variants, seeds and iterations may have grown, and how it is executed may differ (MAY_CHANGE); nothing else. What a process
    leaves that was killed before it had written config.json counts as nothing.
    """
    if (folder / "config.json").exists():
        if not resume:
            runs, done = read_grid(folder).runs(), sum(run.done for run in read_runs(folder))
            raise StateError(
                f"{folder} holds an experiment already",
                expected="a new folder with --out, or --resume",
                got=f"{done} of {counted(len(runs), 'run')} done",
                help=f"minidrop report {shlex.quote(str(folder))} shows its results again; minidrop reproduce --resume --out"
                f" {shlex.quote(str(folder))} " + (WHEN_DONE if done == len(runs) else "goes on where it stopped"),
            )
        _require_same(folder, stored_settings(folder), config_settings(grid))
    elif folder.is_dir() and any(not _left_by_a_kill(path) for path in folder.iterdir()):
        raise StateError(
            f"{folder} is not empty",
            expected="a new or empty folder",
            got="files, but no config.json",
            help="name another with --out",
        )


def _left_by_a_kill(path: Path) -> bool:
    return path.name == lock.NAME or path.match(".config.json.*.tmp")


def prepare(folder: Path, grid: Grid, data: tuple[Dataset, Dataset]) -> None:
    """Make the folder and write config.json; call `require_free` first. Raises StateError if it was started with other data."""
    train, test = data
    label = train.label if train.label == test.label else f"{train.label}, measured on {test.label}"
    digests = {"label": label, "train_sha256": train.digest, "test_sha256": test.digest, "test_images": len(test)}
    calls: list[dict[str, Any]] = []
    if (folder / "config.json").exists():
        stored = read_config(folder)
        _require_same(folder, stored["dataset"], digests)
        done = sum(run.done for run in read_runs(folder))
        if stored_settings(folder) == config_settings(grid) and done == len(grid.runs()):
            return  # nothing to do: the stored date is kept
        calls = stored["provenance"]
    config = {"settings": config_settings(grid), "dataset": digests, "provenance": [*calls, provenance(grid.run.device)]}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    for part in ("history", "checkpoints"):  # after config.json: a killed process leaves an empty folder, or one to resume
        (folder / part).mkdir(exist_ok=True)


def config_settings(grid: Grid) -> dict[str, Any]:
    """The settings as stored in config.json: these, and the values of the protocol."""
    return {**grid.settings, "protocol_values": asdict(grid.run.protocol)}


def stored_settings(folder: Path) -> dict[str, Any]:
    """The settings of an experiment's folder as `config_settings` would write them now, with its own protocol values."""
    return {**read_grid(folder).settings, "protocol_values": read_config(folder)["settings"]["protocol_values"]}


def read_json(path: Path, keys: set[str]) -> dict[str, Any]:
    """A JSON object that has at least `keys`. Raises DataError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not keys <= set(content):
            absent = keys - set(content) if isinstance(content, dict) else keys
            raise ValueError(f"without {', '.join(sorted(absent))}")
        return content
    except (OSError, ValueError) as error:  # ValueError: no JSON, no UTF-8
        raise DataError(
            f"{path} cannot be read",
            expected=f"{path.name}, as `minidrop reproduce` writes it",
            got=f"{type(error).__name__}: {error}",
            help="is its folder that of an experiment?",
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of an experiment's folder. Raises DataError if it is missing or damaged."""
    config = read_json(folder / "config.json", {"settings", "dataset", "provenance"})
    missing = {*Grid().settings, "protocol_values"} - {*config["settings"], *LATER}
    missing |= {"label", "train_sha256", "test_sha256"} - set(config["dataset"])
    missing |= set() if config["provenance"] else {"provenance"}
    if missing:
        raise DataError(
            f"{folder / 'config.json'} is damaged",
            expected="settings, dataset and provenance",
            got=f"without {', '.join(sorted(missing))}",
        )
    config["settings"] = {**LATER, **config["settings"]}
    return config


def read_grid(folder: Path) -> Grid:
    """The grid of an experiment's folder."""
    return Grid.of(**{name: value for name, value in read_config(folder)["settings"].items() if name in Grid().settings})


def _require_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise StateError if settings or data differ in what may not change."""
    differences = [
        f"{name} {old.get(name)!r} -> {new[name]!r}" for name in new if name not in MAY_CHANGE and old.get(name) != new[name]
    ]
    differences += [f"without variant {name}" for name in old.get("variants", ()) if name not in new["variants"]]
    differences += [
        f"fewer {name}: {old[name]} -> {new[name]}" for name in ("iterations", "seeds") if name in old and new[name] < old[name]
    ]
    if differences:
        raise StateError(
            f"{folder} holds another experiment",
            expected="the same settings and data (variants, iterations and seeds may grow; how to carry it out may change)",
            got="; ".join(differences),
            help="leave the other options out: --resume takes them from config.json; or name another folder with --out",
        )


@dataclass
class Finished:
    """A run as stored in the folder. `result` is empty if there is no .json yet."""

    run: Run
    rows: list[dict[str, float]]
    result: dict[str, Any]

    @property
    def done(self) -> bool:
        """True if the run reached the experiment's current number of iterations, or was stopped because it diverged."""
        return is_done(self.run, self.result)

    @property
    def divergence(self) -> Divergence:
        """When it went wrong."""
        return Divergence(self.result.get("divergence"))


def is_done(run: Run, result: dict[str, Any]) -> bool:
    """Whether `result`, the content of a run's .json, is the end of `run`."""
    if not result or result["stopped"] == "under way":
        return False
    stopped = result["stopped"] == "diverged" and run.on_divergence == "stop"
    return bool(result["iteration"] >= run.iterations or stopped)


RESULT_KEYS = {"run", "iteration", "stopped", "divergence", "test_accuracy", "evaluation_images"}


def read_result(folder: Path, run: Run) -> dict[str, Any]:
    """What a run's .json holds; {} if there is none. Raises DataError if it is damaged."""
    path = result_path(folder, run)
    return read_json(path, RESULT_KEYS) if path.exists() else {}


def read_runs(folder: Path) -> list[Finished]:
    """Every run of the folder that has at least one row."""
    return [
        Finished(run, rows, read_result(folder, run))
        for run in read_grid(folder).runs()
        if history_path(folder, run).exists() and (rows := read_history(history_path(folder, run)))
    ]
