"""Stored experiments, as the ledger uses them: numbers by seed, pairs of two variants, and the command that made them."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..history import summarise
from ..protocol import PAPER
from ..reproduce.grid import Finished, Grid, read_config, read_json, read_runs, steps_path
from ..variants import VARIANTS
from .intervals import Interval, of_mean
from .rules import losses_per_window

BySeed = dict[int, float]
LOGS_FILE = "logs.json"


class Stored:
    """An experiment's folder, loaded; only runs that are done count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.config = read_config(folder)
        self.runs = [run for run in read_runs(folder) if run.done]
        self.settings: dict[str, Any] = self.config["settings"]

    def of(self, variant: str) -> dict[int, Finished]:
        """The runs of one variant, by seed."""
        return {run.run.seed: run for run in self.runs if run.run.variant == variant}

    def variants(self) -> list[str]:
        """The variants with at least one finished run, in the order of the settings."""
        return [name for name in self.settings["variants"] if self.of(name)]

    def each(self, variant: str, number: Callable[[Finished], float]) -> BySeed:
        """One number per run of a variant, by seed."""
        return {seed: number(run) for seed, run in self.of(variant).items()}

    @property
    def as_the_paper(self) -> bool:
        """Whether its runs can be compared with the paper's: its network, its protocol, any `evaluate_every`."""
        own = {"evaluate_every": self.settings["evaluate_every"]}
        protocol = {**dataclasses.asdict(PAPER), **own}
        # with the protocol's own rate, and without clipping
        plain = self.settings["learning_rate"] is None and self.settings["clip_norm"] is None
        return bool(plain and self.settings["network"] == "published" and self.settings["protocol_values"] == protocol)

    def each_curve(self, variant: str) -> dict[int, dict[int, float]]:
        """The training losses of a variant's runs, by seed: {iteration: mean over the EVERY iterations before it}."""
        return {seed: losses_per_window(run.rows) for seed, run in self.of(variant).items()}

    def pairs(self, variant: str, against: str, number: Callable[[Finished], float]) -> list[float]:
        """number(variant) - number(against), for each seed that both have."""
        ours, theirs = self.each(variant, number), self.each(against, number)
        return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]

    def difference(self, variant: str, against: str, number: Callable[[Finished], float]) -> Interval:
        """The mean of `pairs`, with its interval. Raises DataError if the two have no seed in common."""
        found = self.pairs(variant, against, number)
        if not found:
            raise DataError(f"{self.name}: nothing to pair", expected=f"seeds of both {variant} and {against}", got="none")
        return of_mean(found)

    def seeds(self, *variants: str) -> str:
        """The seeds that all these variants have: "0 to 4"."""
        common = sorted(set.intersection(*(set(self.of(variant)) for variant in variants))) if variants else []
        return seeds_text(common)

    @property
    def where(self) -> str:
        """Data, network, protocol and length, in a few words."""
        settings = self.settings
        return (
            f"{self.config['dataset']['label']}, `{settings['network']}` network, `{settings['protocol']}` protocol, "
            f"{settings['iterations']:,} iterations"
        )

    @property
    def command(self) -> str:
        """The command that makes the folder again, from its settings."""
        return command_of(self.settings, self.config["provenance"][-1]["gpu"])


def seeds_text(seeds: list[int]) -> str:
    """[0, 1, 2] -> "0 to 2"."""
    if len(seeds) > 1 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def command_of(settings: dict[str, Any], gpu: str | None = None) -> str:
    """Settings of an experiment -> `minidrop reproduce` with every option that is not its default."""
    default = Grid.of(iterations=settings["iterations"], protocol=settings["protocol"]).settings
    default |= {
        "protocol": "paper",
        "iterations": 4_000 if settings["dataset"] == "digits" else 20_000,
    }  # as the command has it
    parts = ["minidrop reproduce"]
    for name in (
        "dataset",
        "network",
        "variants",
        "protocol",
        "iterations",
        "seeds",
        "device",
        "evaluate_every",
        "evaluation_images",
        "record_steps",
        "on_divergence",
        "learning_rate",
        "clip_norm",
    ):
        value = settings.get(name, default[name])  # an old folder has not every setting
        if name == "variants" and tuple(value) == VARIANTS:
            continue
        if value != default[name]:
            text = f'"{" ".join(value)}"' if name == "variants" else str(value)
            parts.append(f"--{name.replace('_', '-')} {text}")
    if settings["cuda_graphs"] and gpu:
        parts.append("--cuda-graphs")
    return " ".join(parts)


class Evidence:
    """All stored experiments of a folder, by name."""

    def __init__(self, results: Path) -> None:
        self.results = results
        found = [Stored(path.parent) for path in sorted(results.glob("*/config.json"))]
        self.experiments = {stored.name: stored for stored in found if stored.runs}  # unfinished ones are left out

    @functools.cached_property
    def logs(self) -> dict[str, Any]:
        """What is stored from the published logs (`logs.py`). Raises DataError if it was not derived yet."""
        path = self.results / LOGS_FILE
        if not path.exists():
            raise DataError(
                "nothing is stored of the published logs",
                expected=path.name,
                got="no such file",
                help="minidrop claims --published curves.csv derives it",
            )
        return read_json(path, {"source", "rows", "repeats", "gate", "gate_late"})

    def __getitem__(self, name: str) -> Stored:
        if name not in self.experiments:
            raise DataError(
                f"no stored experiment {name!r}",
                expected=f"one of {', '.join(self.experiments)}",
                got=f"no {name}/config.json in {self.results.name}",
                help="lessons/results/README.md says how each was made",
            )
        return self.experiments[name]

    def of_paper(self, dataset: str, variant: str) -> dict[int, tuple[Finished, Stored]]:
        """The runs of one variant that can be compared with the paper's (`Stored.as_the_paper`), by seed.

        From all experiments; where several have a seed, the longest run. Each comes with its experiment. Raises DataError if
        they do not all use the same data.
        """
        found: dict[int, tuple[Finished, Stored]] = {}
        for stored in self.experiments.values():
            if stored.settings["dataset"] != dataset or not stored.as_the_paper:
                continue
            for seed, run in stored.of(variant).items():
                if seed not in found or run.rows[-1]["iteration"] > found[seed][0].rows[-1]["iteration"]:
                    found[seed] = run, stored
        kinds = {stored.config["dataset"]["train_sha256"]: stored.name for _, stored in found.values()}
        if len(kinds) > 1:
            raise DataError(
                f"stored runs of {dataset} are of different data",
                expected="one kind: all from the original files, or all from the same copy",
                got=", ".join(f"{name}: sha256 {digest[:12]}..." for digest, name in kinds.items()),
            )
        return found

    @property
    def crashes(self) -> Stored:
        """The runs on CIFAR-10 that the crash is judged by: of the published network, as soon as it has the planned 3 seeds."""
        published = self.find("crash-published")
        return published if published is not None and len(published.runs) >= 3 else self["crash"]

    def find(self, *names: str) -> Stored | None:
        """The first of these experiments that is stored, or None."""
        return next((self.experiments[name] for name in names if name in self.experiments), None)


# Numbers of a run -----------------------------------------------------------------------------------------------------


def peak(run: Finished) -> float:
    """The highest accuracy of any evaluation: the paper's number."""
    return summarise(run.rows)["peak"]


def late(run: Finished) -> float:
    """The mean of the last 20 evaluations."""
    return summarise(run.rows)["mean_last"]


def whole_test(run: Finished) -> float:
    """The accuracy on the whole test set, with the last weights."""
    return float(run.result["test_accuracy"])


def reaches(accuracy: float) -> Callable[[Finished], float]:
    """-> run -> the iteration of its first evaluation that has at least this accuracy; inf if none has."""

    def first(run: Finished) -> float:
        return next((row["iteration"] for row in run.rows if row["accuracy"] >= accuracy), math.inf)

    return first


def at(iteration: int, column: str) -> Callable[[Finished], float]:
    """-> run -> one column of its history at an iteration. Raises DataError if it was not measured then."""

    def value(run: Finished) -> float:
        for row in run.rows:
            if row["iteration"] == iteration:
                return row[column]
        raise DataError(f"{run.run.name}: not measured at iteration {iteration:,}", expected=column, got="no row")

    return value


def steps(stored: Stored, run: Finished) -> list[dict[str, float]]:
    """The steps that were recorded before a run's end, [] if none were."""
    path = steps_path(stored.folder, run.run)
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
