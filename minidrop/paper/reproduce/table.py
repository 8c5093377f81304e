"""table.md: the paper's accuracy and iteration beside ours, a row per variant."""

from __future__ import annotations

import math
from typing import Any

from ..history import counted, summarise
from .grid import Finished
from .provenance import describe
from .published import NAMES, TABLES, Curves, Published

NETWORKS = {
    "lite": ["`lite` is a smaller network than the published one, of the same shape."],
    "described": ["`described` is the network of the paper's text; its numbers come from another one, `published`."],
}
LENGTHS = (88_000, 250_000)  # iterations of the paper's shortest and longest run
ENOUGH = 40  # evaluations; with fewer the mean of the last 20 is not shown
HEADER = (
    "network",
    "paper: accuracy",
    "at iteration",
    "ours: peak",
    "at iteration",
    "mean of the last 20",
    "standard error",
    "spread over seeds",
    "whole test set, last weights",
    "lost classes",
    "seeds",
    "went wrong",
)


def table(config: dict[str, Any], runs: list[Finished]) -> str:
    """The table of an experiment, as Markdown, with the meaning of its columns and its provenance."""
    lines = [
        f"# {title(config)}",
        "",
        markdown([HEADER, *rows_of(config, runs)]),
        "",
        *(f"* {note}" for note in notes(config, runs)),
        "",
        *(describe(origin) for origin in config["provenance"]),
    ]
    return "\n".join(lines) + "\n"


def rows_of(config: dict[str, Any], runs: list[Finished]) -> list[tuple[str, ...]]:
    """A row per variant, in the order of the settings."""
    settings = config["settings"]
    return [row_of(name, [run for run in runs if run.run.variant == name], settings) for name in settings["variants"]]


def title(config: dict[str, Any]) -> str:
    """The experiment in one line."""
    settings = config["settings"]
    own = [f", {name.replace('_', ' ')} {settings[name]:g}" for name in ("learning_rate", "clip_norm") if settings[name]]
    return (
        f"{config['dataset']['label']}: `{settings['network']}` network, `{settings['protocol']}` protocol, "
        f"{counted(settings['iterations'], 'iteration')}, {counted(settings['seeds'], 'seed')}{''.join(own)}"
    )


def row_of(variant: str, runs: list[Finished], settings: dict[str, Any]) -> tuple[str, ...]:
    """One variant's row: means over its runs; standard error of one evaluation; spread: the standard deviation of the peaks."""
    paper = reference(settings["dataset"]).get(variant)
    name = NAMES.get(variant, variant)
    published = (f"{paper.accuracy:.4f}".rstrip("0"), f"{paper.iteration:,}") if paper else ("", "")
    if not runs:
        return (name, *published, *[""] * 7, "0", "")
    summaries = [summarise(run.rows) for run in runs]
    peaks = [summary["peak"] for summary in summaries]
    peak, tail = mean(peaks), mean([summary["mean_last"] for summary in summaries])
    images = next((run.result["evaluation_images"] for run in runs if run.result), None)
    error = f"{standard_error(peak, images):.4f}" if images else ""
    tests = [run.result["test_accuracy"] for run in runs if run.done]
    return (
        name,
        *published,
        f"{peak:.4f}",
        f"{round(mean([summary['peak_iteration'] for summary in summaries])):,}",
        f"{tail:.4f}" if enough(summaries) else "",
        error,
        f"{deviation(peaks):.4f}" if len(peaks) > 1 else "",
        f"{mean(tests):.4f}" if tests else "",
        f"{mean([run.rows[-1]['lost_classes'] for run in runs]):.2f}",
        str(len(runs)),
        "; ".join(troubles(runs)),
    )


def by_variant(config: dict[str, Any], runs: list[Finished]) -> dict[str, list[Finished]]:
    """The runs of each variant that has any, in the order of the settings."""
    found = {name: [run for run in runs if run.run.variant == name] for name in config["settings"]["variants"]}
    return {name: mine for name, mine in found.items() if mine}


def enough(summaries: list[dict[str, float]]) -> bool:
    """Whether every run has ENOUGH evaluations, so that the last 20 are not most of them."""
    return all(summary["evaluations"] >= ENOUGH for summary in summaries)


def troubles(runs: list[Finished]) -> list[str]:
    """Notes on single runs: divergence, and runs that are not done yet."""
    wrong = [f"seed {run.run.seed}: {run.divergence}" for run in runs if run.divergence]
    return wrong + [
        f"seed {run.run.seed}: not done, evaluated up to iteration {int(run.rows[-1]['iteration']):,}"
        for run in runs
        if not run.done
    ]


def reference(dataset: str) -> dict[str, Published]:
    """The paper's table for a dataset: its own for CIFAR-10 and MNIST; for others MNIST's, to compare the order only."""
    return TABLES.get(dataset, TABLES["mnist"])


def standard_error(accuracy: float, images: int) -> float:
    """The standard error of a share of `images` independent images: sqrt(a (1 - a) / n)."""
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / images)


def notes(config: dict[str, Any], runs: list[Finished]) -> list[str]:
    """What a reader must know to interpret the table."""
    settings, values = config["settings"], config["settings"]["protocol_values"]
    images = next((run.result["evaluation_images"] for run in runs if run.result), None)
    every = settings["evaluate_every"]
    measured = "images held out of the training set" if values["validation_share"] else "images of the test set"
    result = [
        f"Ours was measured {'every iteration' if every == 1 else f'every {every:,} iterations'}"
        + (f" on {images:,} {measured}" if images else f" on {measured}")
        + (
            ", drawn anew each time." if values.get("evaluation_buffer") and images != config["dataset"]["test_images"] else "."
        ),
        "`peak` is the highest of all evaluations, as in the paper: a maximum, and so on the high side; the mean of the last "
        f"20 evaluations is not (left out where there are fewer than {ENOUGH}). `standard error` is that of one evaluation.",
        "`spread` is the standard deviation of the peak over seeds; with more than one seed, the other columns are means.",
        "`lost classes`: classes whose own logit is 0 on all of their evaluation images, at the end; mean over seeds. Behind a "
        "ReLU such a class gets no gradient from its own images; each costs some ten points until it comes back.",
        "The paper counts evaluations from 0, one per 1,000 iterations: add 1,000. Its runs were "
        f"{LENGTHS[0]:,} to {LENGTHS[1]:,} iterations long.",
    ]
    if settings["dataset"] not in TABLES:
        result.insert(0, f"The paper did not use {config['dataset']['label']}: beside ours stand its numbers for MNIST.")
    result += NETWORKS.get(settings["network"], [])
    return result


def at_equal_iteration(runs: list[Finished], curves: Curves) -> list[tuple[str, ...]]:
    """Rows (the first is the header): published and our loss and accuracy where both exist; about ten per variant."""
    rows: list[tuple[str, ...]] = []
    for variant, published in curves.items():
        theirs = {row["iteration"]: row for row in published}
        for run in (run for run in runs if run.run.variant == variant and run.run.seed == 0):
            common = [row for row in run.rows if row["iteration"] in theirs]
            early, late = common[:4], common[4:]  # the rise in full, then about five more, including the last
            step = max(1, len(late) // 5)
            picked = early + late[::-step][::-1]
            rows += [
                (
                    NAMES[variant],
                    f"{row['iteration']:,}",
                    f"{theirs[row['iteration']]['loss']:.3f}",
                    f"{row['loss']:.3f}",
                    f"{theirs[row['iteration']]['accuracy']:.4f}",
                    f"{row['accuracy']:.4f}",
                )
                for row in picked
            ]
    header = ("network", "iteration", "loss: published", "loss: ours", "accuracy: published", "accuracy: ours")
    return [header, *rows] if rows else []


def mean(values: list[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def deviation(values: list[float]) -> float:
    """The standard deviation of a sample (divided by n - 1)."""
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Rows (the first is the header) as a Markdown table, aligned as plain text too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
