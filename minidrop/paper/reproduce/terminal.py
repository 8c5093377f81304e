"""What the terminal shows of an experiment: three sentences, and a table that fits. The whole table is table.md."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..history import CLASSES, counted, summarise
from .advice import next_step, unlike_the_papers
from .grid import Finished, read_config, read_grid, read_runs
from .published import NAMES, TABLES
from .table import ENOUGH, at_equal_iteration, by_variant, enough, mean, reference, troubles
from .wrong import ended_in, gone_wrong, in_words, measurable

GAP = 2  # blanks between two columns
NOTHING = "-"  # in a cell: there was nothing that could be measured
NARROWEST = 11  # the first column is not made narrower than this for the sake of the others
LEGEND = (
    "peak: the highest accuracy of all evaluations. last 20: the mean of the last 20{few}. At the end: dead logits, those that "
    "are 0 for every image; lost classes, those whose own logit is 0 for all their images.{wrong}"
)


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
    lines += ["", *fitted(rows_of(config, runs), width), "", *wrapped(legend(runs), width), ""]
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
    """What came: what went wrong; of the rest the best network and the least; in what the paper's experiment was another."""
    settings = config["settings"]
    wrong = gone_wrong(runs)
    parts = [in_words(wrong, len(runs))] if wrong else []
    sound = by_variant(config, [run for run in runs if ended_in(run) is None])
    if sound:
        parts.append(("of the rest, " if wrong else "") + ranking(settings, sound))
    other = unlike_the_papers(settings)
    if other and any(name in reference(settings["dataset"]) for name in settings["variants"]):
        parts.append(f"the paper's numbers are of {other}")
    return f"What came: {'; '.join(parts)}."


def ranking(settings: dict[str, Any], sound: dict[str, list[Finished]]) -> str:
    """The best network and the least, as it is shown: those that round to the same are named together."""
    ends = {name: f"{100 * end_of(mine):.1f}" for name, mine in sound.items()}
    best, least = max(ends.values(), key=float), min(ends.values(), key=float)
    images = "held-out images" if settings["protocol_values"]["validation_share"] else "test images"
    how = (
        "over the last 20 evaluations"
        if enough([summarise(run.rows) for mine in sound.values() for run in mine])
        else ("at the last evaluation")
    )
    first, last = ([name for name in ends if ends[name] == end] for end in (best, least))
    who = (
        ("both networks" if len(ends) == 2 else f"all {len(ends)} networks")
        if best == least and len(ends) > 1
        else together(first)
    )
    text = f"{who} {'classifies' if len(first) == 1 else 'classify'} {best} % of the {images} correctly {how}"
    if best != least:
        text += f", the best; {together(last)} {least} %, the least"
    lost = mean([run.rows[-1]["lost_classes"] for name in last for run in sound[name]])
    return text + (f", with {lost:.2g} of {CLASSES} classes lost" if lost else "")


def together(names: list[str]) -> str:
    """["cnn", "alpha"] -> "CNN and DropAlan alpha"."""
    shown = [NAMES.get(name, name) for name in names]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def end_of(runs: list[Finished]) -> float:
    """The mean of the last 20 evaluations if there are enough, else the last one; the mean over seeds."""
    summaries = [summarise(run.rows) for run in runs]
    if enough(summaries):
        return mean([summary["mean_last"] for summary in summaries])
    return mean([run.rows[-1]["accuracy"] for run in runs])


# The table ------------------------------------------------------------------------------------------------------------


def rows_of(config: dict[str, Any], runs: list[Finished]) -> list[tuple[str, ...]]:
    """The header, and a row per variant: means over seeds, at the end for dead logits and lost classes.

    A run whose network computes NaN counts for the peak that it had before, and for nothing else.
    """
    dataset = config["settings"]["dataset"]
    paper = "paper" if dataset in TABLES else "paper, MNIST"
    rows: list[tuple[str, ...]] = [("network", paper, "peak", "last 20", "dead logits", "lost classes")]
    for name in config["settings"]["variants"]:
        mine = [run for run in runs if run.run.variant == name]
        published = reference(dataset).get(name)
        cells = [NAMES.get(name, name), f"{published.accuracy:.4f}" if published else ""]
        if mine:
            sound = [run for run in mine if measurable(run)]
            early = [kept for run in mine if (kept := [row for row in run.rows if math.isfinite(row["loss"])])]
            peaks = [summarise(rows)["peak"] for rows in early]
            summaries = [summarise(run.rows) for run in sound]
            cells += [f"{mean(peaks):.4f}" if peaks else NOTHING, *[NOTHING] * 3]
            if sound:
                cells[3:] = [
                    f"{mean([summary['mean_last'] for summary in summaries]):.4f}" if enough(summaries) else "",
                    f"{mean([run.rows[-1]['dead_logits'] for run in sound]):.0%}",
                    f"{mean([run.rows[-1]['lost_classes'] for run in sound]):.2f}",
                ]
        rows.append((*cells, *[""] * (6 - len(cells))))
    return rows


def legend(runs: list[Finished]) -> str:
    """What the columns mean."""
    few = "" if enough([summarise(run.rows) for run in runs]) else f", where there are {ENOUGH}"
    lost = any(not measurable(run) for run in runs)
    return LEGEND.format(few=few, wrong=" Runs with a non-finite loss count only for the peak before it." if lost else "")


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


def sentence_with_path(text: str, path: Path, width: int) -> list[str]:
    """A sentence that ends with a path: wrapped, the path in one piece, on a line of its own if it does not fit behind."""
    *before, last = wrapped(text, width)
    return [*before, f"{last} {path}"] if len(f"{last} {path}") <= width else [*before, last, f"  {path}"]
