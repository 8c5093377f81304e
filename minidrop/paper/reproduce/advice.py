"""What to try after an experiment: a sentence, and a command that works as it stands."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

from ...backend import require_device
from ...errors import MinidropError
from ..run import usual_iterations
from ..variants import VARIANTS, Variant
from .grid import (
    Finished,
    Grid,
    checkpoint_path,
    config_settings,
    is_done,
    read_grid,
    read_runs,
    require_free,
    stored_settings,
)
from .published import TABLES
from .table import LENGTHS, by_variant, mean
from .wrong import NON_FINITE, gone_wrong, measurable

LONGEST_RUNS = {"cifar10": 125_000, "mnist": 106_000}  # iterations that cover all of the paper's, as paper/README.md runs them
ENOUGH_LOST = 0.5  # classes, as a mean over seeds, to advise something against it
AS_CARRIED_OUT = ("device", "cuda_graphs", "checkpoint_every", "on_divergence", "record_steps")  # not part of what is compared
START = "What to try next: "


def next_step(folder: Path, config: dict[str, Any], runs: list[Finished], planned: int) -> tuple[str, str]:
    """What to try next, and its command, which names no folder that is taken."""
    settings, at = config["settings"], shlex.quote(str(folder))
    unfinished = sum(run.done for run in runs) < planned
    wrong = gone_wrong(runs)
    if wrong and (len(wrong) == len(runs) or not unfinished):
        names = list(dict.fromkeys(one.run.run.variant for one in wrong if _too_fast(one.run, one.kind)))
        if names:
            return _slower(folder, settings, names)
        if all("composed" in Variant(one.run.run.variant).options for one in wrong):
            return f"{START}lesson 10, on what kills a network with `composed` in its name.", "minidrop lessons 10"
    if unfinished:
        if _can_go_on(folder, runs, settings["iterations"]):
            return f"{START}the runs that are not done.", f"minidrop reproduce --resume --out {at}"
        return _beside(folder, "again", _changed(settings), "the same anew: checkpoints to go on from are gone")
    usual, died = usual_iterations(settings["dataset"]), len(wrong) == len(runs)
    if settings["iterations"] < usual and not died:
        if _can_go_on(folder, runs, usual):
            return f"{START}train longer.", f"minidrop reproduce --resume --iterations {usual} --out {at}"
        longer = _changed(settings, iterations=usual, evaluate_every=None)
        return _beside(folder, "longer", longer, "train longer, anew: checkpoints to go on from are gone")
    sound = by_variant(config, [run for run in runs if measurable(run)])
    lost = {name: mean([run.rows[-1]["lost_classes"] for run in mine]) for name, mine in sound.items()}
    names = [f"{name}-linear" for name in lost if lost[name] >= ENOUGH_LOST and "linear" not in Variant(name).options]
    if names and settings["protocol_values"]["relu_logits"]:
        why = "leave out the ReLU on the logits, behind which classes are lost"
        return _beside(folder, "linear", _changed(settings, variants=tuple(names)), why)
    if settings["seeds"] == 1 and not died:
        return f"{START}more seeds, to see what is chance.", f"minidrop reproduce --resume --seeds 3 --out {at}"
    if unlike_the_papers(settings):
        dataset = settings["dataset"] if settings["dataset"] in TABLES else "mnist"
        own = Grid.of(dataset=dataset, network="published", iterations=LONGEST_RUNS[dataset])
        return _beside(folder, f"{dataset}-published", own, "the paper's own experiment, which is long on a CPU")
    other = "paper" if settings["protocol"] == "careful" else "careful"
    return _beside(folder, other, _changed(settings, protocol=other), f"the same by the {other} protocol")


def unlike_the_papers(settings: dict[str, Any]) -> str:
    """In what the paper's experiment differs from this one: "another dataset (MNIST) and longer runs (...)"; else ""."""
    shortest, longest = LENGTHS
    parts = [] if settings["dataset"] in TABLES else ["another dataset (MNIST)"]
    parts += [] if settings["network"] == "published" else ["another network (published)"]
    parts += [f"longer runs ({shortest:,} to {longest:,} iterations)"] if settings["iterations"] < shortest else []
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def options_of(grid: Grid) -> str:
    """The options of `minidrop reproduce` that make this grid; the device only if it is here."""
    own = grid.settings
    usual = Grid.of(dataset=own["dataset"], iterations=own["iterations"], protocol=own["protocol"]).settings
    usual |= {"dataset": "digits", "protocol": "paper", "iterations": usual_iterations(own["dataset"]), "variants": [*VARIANTS]}
    usual["checkpoint_every"] = own["evaluate_every"]
    text = ""
    for name in ("variants", *(name for name in usual if name not in ("variants", "device", "cuda_graphs"))):
        if own[name] != usual[name] and own[name] is not None:
            value = f"{own[name]:g}" if isinstance(own[name], float) else own[name]
            text += f" --{name.replace('_', '-')} " + (f'"{" ".join(own[name])}"' if name == "variants" else f"{value}")
    if own["device"] != usual["device"]:
        with contextlib.suppress(MinidropError):
            require_device(own["device"])
            text += f" --device {own['device']}" + (" --cuda-graphs" if own["cuda_graphs"] else "")
    return text


def _changed(settings: dict[str, Any], **changes: Any) -> Grid:
    """The grid of an experiment's settings, some of them changed."""
    return Grid.of(**{**{name: settings[name] for name in Grid().settings}, "checkpoint_every": None, **changes})


def _beside(folder: Path, name: str, grid: Grid, sentence: str) -> tuple[str, str]:
    """A sentence and the command for this experiment, in a folder beside, FOLDER-NAME; where it is done already, to compare."""
    folder = folder if folder.name.strip(".") else folder.resolve()
    for number in itertools.count(1):
        place = folder.with_name(f"{folder.name}-{name}" + ("" if number == 1 else f"-{number}"))
        at = shlex.quote(str(place))
        if _is_free(place, grid):
            return f"{START}{sentence}.", f"minidrop reproduce{options_of(grid)} --out {at}"
        if _holds(place, grid):
            if sum(run.done for run in read_runs(place)) < len(grid.runs()):
                return f"{START}the runs of {place.name} that are not done.", f"minidrop reproduce --resume --out {at}"
            return f"{START}compare with {place.name}.", f"minidrop compare {shlex.quote(str(folder))} {at}"
    raise AssertionError


def _is_free(place: Path, grid: Grid) -> bool:
    try:
        require_free(place, grid, resume=False)
    except MinidropError:
        return False
    return place.is_dir() or not place.exists()


def _holds(place: Path, grid: Grid) -> bool:
    """Whether the folder holds this very experiment, however it was carried out."""
    try:
        read_grid(place), read_runs(place)
        both = stored_settings(place), config_settings(grid)
    except (MinidropError, OSError):
        return False
    one, other = ({name: value for name, value in each.items() if name not in AS_CARRIED_OUT} for each in both)
    return {**one, "variants": sorted(one["variants"])} == {**other, "variants": sorted(other["variants"])}


def _can_go_on(folder: Path, runs: list[Finished], iterations: int) -> bool:
    """Whether each run that has an outcome, and is to reach so many iterations, still has its checkpoint."""
    longer = [(run, dataclasses.replace(run.run, iterations=iterations)) for run in runs]
    return all(is_done(more, run.result) or not run.result or checkpoint_path(folder, more).exists() for run, more in longer)


def _too_fast(run: Finished, kind: str) -> bool:
    """Whether smaller steps may help: not against the zeros that kill a `composed` network, nor a ReLU at the usual rate."""
    if "composed" in Variant(run.run.variant).options:
        return False
    return kind == NON_FINITE or (run.run.number("learning_rate") or 0) > run.run.protocol.learning_rate


def _slower(folder: Path, settings: dict[str, Any], names: list[str]) -> tuple[str, str]:
    """A tenth of the learning rate, for these variants."""
    own = {rate for name in names if (rate := Variant(name).numbers.get("learning_rate"))}
    rate = (max(own) if own else settings["learning_rate"] or settings["protocol_values"]["learning_rate"]) / 10
    variants = [f"{_without_rate(name)}-learning_rate={rate:g}" for name in names] if own else names
    grid = _changed(settings, variants=tuple(dict.fromkeys(variants)), learning_rate=None if own else rate)
    before = folder.with_name(re.sub(r"-lr[\d.e-]+$", "", folder.name)) if folder.name.strip(".") else folder.resolve()
    sentence, command = _beside(before, f"lr{rate:g}", grid, "a smaller --learning-rate, a tenth, in another folder")
    return sentence, command.replace(f"compare {shlex.quote(str(before))} ", f"compare {shlex.quote(str(folder))} ")


def _without_rate(name: str) -> str:
    return "-".join(word for word in re.split(r"(?<![\d.][eE])-", name) if not word.startswith("learning_rate="))
