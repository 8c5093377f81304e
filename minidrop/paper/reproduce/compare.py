"""Two experiments side by side: what differs in their settings, and in their results, variant by variant."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...serialization import write_atomically
from ..history import summarise
from .figures import draw, look, together
from .grid import Finished, read_config, read_runs
from .page import require_packages
from .published import NAMES
from .table import deviation, enough, markdown, mean, standard_error, title, troubles


def compare(left: Path, right: Path, figure: Path | None = None) -> str:
    """Markdown: the settings that differ, and a row per variant that both have; `figure`: where to draw the accuracies.

    B - A is the difference of the means of the last 20 evaluations. Where the two have seeds in common, all columns use only
    those. With two or more of them the difference is paired by seed, and its standard error is that of the mean of the pairs;
    else it comes from the sizes of the evaluation sets alone, and does not cover the spread over seeds. Runs that are not
    done, or diverged, are named. With fewer than 40 evaluations the columns of the last 20 are empty. Raises
    DataError if no variant is in both.
    """
    configs = read_config(left), read_config(right)
    runs = read_runs(left), read_runs(right)
    common = [
        name for name in configs[0]["settings"]["variants"] if all(any(r.run.variant == name for r in side) for side in runs)
    ]
    if not common:
        raise DataError(
            "nothing to compare",
            expected="a variant that both folders have",
            got=" against ".join(_variants(side) for side in runs),
        )
    header = ("network", "peak, A", "peak, B", "last 20, A", "last 20, B", "B - A", "standard error", "seeds")
    rows = [row_of(name, *([run for run in side if run.run.variant == name] for side in runs)) for name in common]
    lines = [f"A: {title(configs[0])}", f"B: {title(configs[1])}", ""]
    lines += [f"* {difference}" for difference in differences(*configs)] or ["* the same settings and data"]
    lines += [
        f"* {label}, {NAMES.get(name, name)}, {trouble}"
        for label, side in zip("AB", runs, strict=True)
        for name in common
        for trouble in troubles([run for run in side if run.run.variant == name])
    ]
    lines += ["", markdown([header, *rows])]
    if figure is not None:
        require_packages()
        write_atomically(figure, draw(accuracy_figure, runs, common))
    return "\n".join(lines) + "\n"


def row_of(variant: str, left: list[Finished], right: list[Finished]) -> tuple[str, ...]:
    """One variant's row."""
    sides = [{run.run.seed: summarise(run.rows) for run in side} for side in (left, right)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    if seeds:
        sides = [{seed: side[seed] for seed in seeds} for side in sides]
    peaks = [mean([summary["peak"] for summary in side.values()]) for side in sides]
    tails = [mean([summary["mean_last"] for summary in side.values()]) for side in sides]
    if len(seeds) > 1:
        pairs = [sides[1][seed]["mean_last"] - sides[0][seed]["mean_last"] for seed in seeds]
        difference, error = mean(pairs), f"{deviation(pairs) / math.sqrt(len(pairs)):.4f}"
    else:
        difference = tails[1] - tails[0]
        images = [next((run.result["evaluation_images"] for run in side if run.result), None) for side in (left, right)]
        errors = [standard_error(tail, count) for tail, count in zip(tails, images, strict=True) if count]
        error = f"{math.hypot(*errors):.4f} (evaluation only)" if len(errors) == 2 else ""
    late = [*(f"{tail:.4f}" for tail in tails), f"{difference:+.4f}", error]
    if not all(enough(list(side.values())) for side in sides):
        late = [""] * len(late)
    return (NAMES.get(variant, variant), *(f"{peak:.4f}" for peak in peaks), *late, f"{len(seeds)} in common")


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What differs in the settings and data of two experiments."""
    found = []
    for part in ("settings", "dataset"):
        for name in {**left[part], **right[part]}:
            old, new = left[part].get(name), right[part].get(name)
            if name == "protocol_values" and isinstance(old, dict) and isinstance(new, dict):
                found += [f"protocol, {key}: {old.get(key)} | {new.get(key)}" for key in new if old.get(key) != new.get(key)]
            elif old != new:
                found.append(f"{name}: {old} | {new}")
    return found


def accuracy_figure(figure: Any, runs: tuple[list[Finished], list[Finished]], variants: list[str]) -> None:
    """Accuracy of both experiments, a panel per variant; A solid, B dashed."""
    across = min(3, len(variants))
    down = -(-len(variants) // across)
    figure.set_size_inches(4 * across, 3.1 * down)
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in panels.flat[len(variants) :]:
        axes.set_visible(False)
    for axes, variant in zip(panels.flat, variants, strict=False):
        for side, label, style in zip(runs, "AB", ("-", "--"), strict=True):
            iterations, values = together([run for run in side if run.run.variant == variant], "accuracy")
            colour = look("beta-scaled" if label == "B" else "dropout", 0)["color"]
            axes.plot(iterations, values.mean(axis=0), linestyle=style, color=colour, label=label)
        axes.set(xlabel="iteration", ylabel="accuracy")
        axes.set_title(NAMES.get(variant, variant), fontsize=10)
        axes.legend(loc="lower right", fontsize=9)


def _variants(runs: list[Finished]) -> str:
    return ", ".join(dict.fromkeys(run.run.variant for run in runs)) or "no runs"
