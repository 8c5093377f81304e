"""What the terminal shows of an experiment: three sentences, and a table that fits. The whole table is table.md."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..history import CLASSES, counted, summarise
from ..run import usual_iterations
from ..variants import Variant
from .grid import Finished, read_config, read_grid, read_runs
from .published import NAMES, TABLES
from .table import LENGTHS, at_equal_iteration, enough, mean, reference, troubles

GAP = 2  # blanks between two columns
NARROWEST = 11  # the first column is not made narrower than this for the sake of the others
LONGEST_RUNS = {"cifar10": 125_000, "mnist": 106_000}  # iterations that cover all of the paper's, as paper/README.md runs them


def overview(folder: Path, published: dict[str, list[dict[str, float]]], width: int) -> str:
    """The sentences and the table of an experiment's folder, in lines of at most `width` columns, commands excepted.

    Raises DataError if the folder holds no experiment, or one without a single evaluation.
    """
    config, runs, planned = read_config(folder), read_runs(folder), len(read_grid(folder).runs())
    if not runs:
        raise DataError(f"{folder} has no rows yet", expected="at least one evaluation in history/", got="none")
    lines = ["", *wrapped(trained(config, runs, planned), width), *wrapped(came(config, runs), width)]
    sentence, command = next_step(folder, config, runs, planned)
    lines += [*wrapped(sentence, width), *([f"  {command}"] if command else [])]
    lines += ["", *fitted(rows_of(config, runs), width), ""]
    for run in runs:
        lines += [line for trouble in troubles([run]) for line in wrapped(f"{run.run.variant}, {trouble}", width)]
    beside = at_equal_iteration(runs, published)
    if beside:
        lines += ["Beside the published curves, at equal iteration:", "", *fitted(beside, width), ""]
    return "\n".join(lines)


# Three sentences ------------------------------------------------------------------------------------------------------


def trained(config: dict[str, Any], runs: list[Finished], planned: int) -> str:
    """What was trained."""
    settings = config["settings"]
    done = sum(run.done for run in runs)
    unfinished = "" if done == planned else f"; {done} of {counted(planned, 'run')} done so far"
    return (
        f"What was trained: {counted(len(settings['variants']), 'network')} of size {settings['network']} on "
        f"{config['dataset']['label']}, {counted(settings['iterations'], 'iteration')} each, with "
        f"{counted(settings['seeds'], 'seed')}, by the {settings['protocol']} protocol{unfinished}."
    )


def came(config: dict[str, Any], runs: list[Finished]) -> str:
    """What came: the best network and the last; and in what the paper's experiment, whose numbers stand beside, was another."""
    settings = config["settings"]
    ends = {name: end_of(mine) for name, mine in by_variant(config, runs).items()}
    best, last = max(ends, key=ends.__getitem__), min(ends, key=ends.__getitem__)
    images = "held-out images" if settings["protocol_values"]["validation_share"] else "test images"
    how = "over the last 20 evaluations" if enough([summarise(run.rows) for run in runs]) else "at the last evaluation"
    text = f"What came: {NAMES.get(best, best)} names {ends[best]:.1%} of the {images} rightly {how}"
    if best != last:
        text += f", the best; {NAMES.get(last, last)} {ends[last]:.1%}, the least"
    lost = mean([run.rows[-1]["lost_classes"] for run in by_variant(config, runs)[last]])
    text += f", with {lost:.2g} of {CLASSES} classes lost" if lost else ""
    other = unlike_the_papers(settings)
    return f"{text}; the paper's numbers are of {other}." if other else f"{text}."


def unlike_the_papers(settings: dict[str, Any]) -> str:
    """In what the paper's experiment differs from this one: "another dataset (MNIST) and longer runs (...)"; else ""."""
    shortest, longest = LENGTHS
    parts = [] if settings["dataset"] in TABLES else ["another dataset (MNIST)"]
    parts += [] if settings["network"] == "published" else ["another network (published)"]
    parts += [f"longer runs ({shortest:,} to {longest:,} iterations)"] if settings["iterations"] < shortest else []
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def next_step(folder: Path, config: dict[str, Any], runs: list[Finished], planned: int) -> tuple[str, str]:
    """What to try next, and its command."""
    settings, start = config["settings"], "What to try next: "
    at = shlex.quote(str(folder))
    if sum(run.done for run in runs) < planned:
        return f"{start}the runs that are not done.", f"minidrop reproduce --resume --out {at}"
    usual = usual_iterations(settings["dataset"])
    if settings["iterations"] < usual:
        return f"{start}train longer.", f"minidrop reproduce --resume --iterations {usual} --out {at}"
    lost = {name: mean([run.rows[-1]["lost_classes"] for run in mine]) for name, mine in by_variant(config, runs).items()}
    names = [f"{name}-linear" for name in lost if lost[name] >= 0.5 and "linear" not in Variant(name).options]
    if names and settings["protocol_values"]["relu_logits"]:
        options = f'--variants "{" ".join(names)}"{other_options(settings)} --out {shlex.quote(f"{folder}-linear")}'
        return f"{start}leave out the ReLU on the logits, behind which classes are lost.", f"minidrop reproduce {options}"
    if settings["seeds"] == 1:
        return f"{start}more seeds, to see what is chance.", f"minidrop reproduce --resume --seeds 3 --out {at}"
    if unlike_the_papers(settings):
        dataset = settings["dataset"] if settings["dataset"] in TABLES else "mnist"
        options = f"--dataset {dataset} --network published --iterations {LONGEST_RUNS[dataset]}"
        return f"{start}the paper's own experiment, which is long on a CPU.", f"minidrop reproduce {options}"
    return f"{start}two experiments side by side.", f"minidrop compare {at} ANOTHER_FOLDER"


def other_options(settings: dict[str, Any]) -> str:
    """The options that a new experiment needs to be like this one but for its variants."""
    usual = {"dataset": "digits", "network": "lite", "protocol": "paper", "seeds": 1}
    usual["iterations"] = usual_iterations(settings["dataset"])
    return "".join(f" --{name} {settings[name]}" for name, value in usual.items() if settings[name] != value)


def by_variant(config: dict[str, Any], runs: list[Finished]) -> dict[str, list[Finished]]:
    """The runs of each variant that has any, in the order of the settings."""
    found = {name: [run for run in runs if run.run.variant == name] for name in config["settings"]["variants"]}
    return {name: mine for name, mine in found.items() if mine}


def end_of(runs: list[Finished]) -> float:
    """The mean of the last 20 evaluations if there are enough, else the last one; the mean over seeds."""
    summaries = [summarise(run.rows) for run in runs]
    if enough(summaries):
        return mean([summary["mean_last"] for summary in summaries])
    return mean([run.rows[-1]["accuracy"] for run in runs])


# The table ------------------------------------------------------------------------------------------------------------


def rows_of(config: dict[str, Any], runs: list[Finished]) -> list[tuple[str, ...]]:
    """The header, and a row per variant: means over seeds, at the end for dead logits and lost classes."""
    dataset = config["settings"]["dataset"]
    paper = "paper" if dataset in TABLES else "paper, MNIST"
    rows: list[tuple[str, ...]] = [("network", paper, "peak", "last 20", "dead logits", "lost classes")]
    for name in config["settings"]["variants"]:
        mine = [run for run in runs if run.run.variant == name]
        published = reference(dataset).get(name)
        cells = [NAMES.get(name, name), f"{published.accuracy:.4f}" if published else ""]
        if mine:
            summaries = [summarise(run.rows) for run in mine]
            cells += [
                f"{mean([summary['peak'] for summary in summaries]):.4f}",
                f"{mean([summary['mean_last'] for summary in summaries]):.4f}" if enough(summaries) else "",
                f"{mean([run.rows[-1]['dead_logits'] for run in mine]):.0%}",
                f"{mean([run.rows[-1]['lost_classes'] for run in mine]):.2f}",
            ]
        rows.append((*cells, *[""] * (6 - len(cells))))
    return rows


def fitted(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """Rows (the first is the header) as lines of at most `width` columns; the first column stands to the left.

    What does not fit gives way in this order: a header stands on two lines; the first column is broken into lines; columns
    are left out, the last one first.
    """
    header, *body = rows
    for columns in range(len(header), 0, -1):
        cells = [max((len(row[column]) for row in body), default=0) for column in range(columns)]
        for whole in (True, False):
            heads = [len(name) if whole else max(map(len, name.split())) for name in header[:columns]]
            widths = [max(pair) for pair in zip(cells, heads, strict=True)]
            room = width - sum(widths[1:]) - GAP * (columns - 1)
            if room >= (widths[0] if whole else min(widths[0], NARROWEST)):
                widths[0] = min(widths[0], room)
                return [line for row in rows for line in _row(row[:columns], widths)]
    return [line for row in rows for line in _row(row[:1], [max(width, 1)])]


def _row(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    columns = [textwrap.wrap(cell, wide) or [""] for cell, wide in zip(cells, widths, strict=True)]
    height = max(map(len, columns))
    lines = []
    for number in range(height):
        texts = [column[number] if number < len(column) else "" for column in columns]
        padded = [texts[0].ljust(widths[0]), *(text.rjust(wide) for text, wide in zip(texts[1:], widths[1:], strict=True))]
        lines.append((" " * GAP).join(padded).rstrip())
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """A sentence in lines of at most `width` columns, the first at the margin, the others two blanks in."""
    return textwrap.wrap(text, max(width, 20), subsequent_indent="  ", break_on_hyphens=False)
