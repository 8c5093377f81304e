"""Two experiments side by side: what differs in their settings, and in their results, variant by variant."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, DataError
from ...serialization import write_atomically
from ..history import summarise
from ..variants import Variant
from .figures import draw, look, together
from .grid import Finished, read_config, read_runs
from .page import require_packages
from .published import NAMES
from .table import by_variant, deviation, enough, mean, standard_error, title, troubles
from .terminal import fitted, wrapped

HEADER = ("network", "peak, A", "peak, B", "last 20, A", "last 20, B", "last 20, B-A", "standard error", "seeds")
KINDS = (".png", ".pdf", ".svg")  # of files of figures


def compare(left: Path, right: Path, figure: Path | None = None, width: int = 80) -> str:
    """The settings that differ, and a row per pair of variants, in lines of at most `width` columns.

    figure: where to draw the accuracies (KINDS). A variant is paired with the one of the same name; one that only one side has
    with the one of the other side that differs from it in the fewest options.

    B - A is the difference of the means of the last 20 evaluations. Where the two have seeds in common, all columns use only
    those. With two or more of them the difference is paired by seed, and its standard error is that of the mean of the pairs;
    else it comes from the sizes of the evaluation sets alone, and does not cover the spread over seeds. Runs that are not
    done, or diverged, are named. With fewer than 40 evaluations the columns of the last 20 are empty. Raises
    DataError if no two variants can be paired, ArgumentError for another kind of file.
    """
    if figure is not None:
        require_figure(figure)
    configs = read_config(left), read_config(right)
    sides = by_variant(configs[0], read_runs(left)), by_variant(configs[1], read_runs(right))
    both = pairs(*sides)
    if not both:
        raise DataError(
            "nothing to compare",
            expected="a variant that both folders have, or two that differ in options",
            got=" against ".join(", ".join(side) or "no runs" for side in sides),
        )
    found = {pair: (sides[0][pair[0]], sides[1][pair[1]]) for pair in both}
    lines = [f"{label}, {name}: {title(own)}" for label, name, own in zip("AB", names_of(left, right), configs, strict=True)]
    lines.append("")
    lines += [f"* {difference}" for difference in differences(*configs)] or ["* the same settings and data"]
    others = ", ".join(f"{one} beside {other}" for one, other in both if one != other)
    lines += [f"* of A and B: {others}"] if others else []
    lines += [
        f"* {label}, {NAMES.get(run.run.variant, run.run.variant)}, {trouble}"
        for label, side in zip("AB", zip(*found.values(), strict=True), strict=True)
        for runs in side
        for run in runs
        for trouble in troubles([run])
    ]
    if any(not seeds_in_both(*two, least=2) for two in found.values()):
        lines.append("* with fewer than two seeds in both, the standard error is of the evaluation alone")
    rows = [row_of(_name(pair), *two) for pair, two in found.items()]
    lines = [line for text in lines for line in (wrapped(text, width) or [""])]
    lines += ["", *fitted([HEADER, *rows], width)]
    if figure is not None:
        write_atomically(figure, draw(accuracy_figure, found, kind=figure.suffix[1:].lower()))
    return "\n".join(lines) + "\n"


def require_figure(path: Path) -> None:
    """Raise ArgumentError for a file that is none of KINDS or lies in no folder, DataError if packages are missing."""
    if path.suffix.lower() not in KINDS:
        raise ArgumentError("no such kind of figure", expected=" or ".join(KINDS), got=repr(path.name))
    if not path.absolute().parent.is_dir():
        raise ArgumentError("a figure in no folder", expected="a folder that is there", got=f"no {path.absolute().parent}")
    require_packages()


def pairs(left: Collection[str], right: Collection[str]) -> list[tuple[str, str]]:
    """Which variants are laid side by side: those of the same name, and of the rest those of one base, the closest first.

    Each is used once; in the order of `left`.
    """
    found = [(name, name) for name in left if name in right]
    ones, others = ([Variant(name) for name in side if (name, name) not in found] for side in (left, right))
    near = [
        (
            len(one.options ^ other.options) + len(set(one.numbers.items()) ^ set(other.numbers.items())),
            place,
            one.name,
            other.name,
        )
        for place, one in enumerate(ones)
        for other in others
        if one.base == other.base
    ]
    for _, _, one, other in sorted(near):
        if not any(one == a or other == b for a, b in found):
            found.append((one, other))
    return sorted(found, key=lambda pair: list(left).index(pair[0]))


def names_of(left: Path, right: Path) -> tuple[str, str]:
    """The folders by their last names; by their whole paths where those are the same."""
    one, other = left.resolve().name, right.resolve().name
    return (one, other) if one != other else (str(left), str(right))


def _name(pair: tuple[str, str]) -> str:
    """A pair in the table."""
    return NAMES.get(pair[0], pair[0]) if pair[0] == pair[1] else f"{pair[0]}, {pair[1]}"


def seeds_in_both(left: list[Finished], right: list[Finished], least: int = 1) -> list[int]:
    """The seeds that both have; [] if they are fewer than `least`."""
    seeds = sorted({run.run.seed for run in left} & {run.run.seed for run in right})
    return seeds if len(seeds) >= least else []


def row_of(name: str, left: list[Finished], right: list[Finished]) -> tuple[str, ...]:
    """The row of one pair of variants."""
    sides = [{run.run.seed: summarise(run.rows) for run in side} for side in (left, right)]
    seeds = seeds_in_both(left, right)
    if seeds:
        sides = [{seed: side[seed] for seed in seeds} for side in sides]
    peaks = [mean([summary["peak"] for summary in side.values()]) for side in sides]
    tails = [mean([summary["mean_last"] for summary in side.values()]) for side in sides]
    if len(seeds) > 1:
        apart = [sides[1][seed]["mean_last"] - sides[0][seed]["mean_last"] for seed in seeds]
        difference, error = mean(apart), f"{deviation(apart) / math.sqrt(len(apart)):.4f}"
    else:
        difference = tails[1] - tails[0]
        images = [next((run.result["evaluation_images"] for run in side if run.result), None) for side in (left, right)]
        errors = [standard_error(tail, count) for tail, count in zip(tails, images, strict=True) if count]
        error = f"{math.hypot(*errors):.4f}" if len(errors) == 2 else ""
    late = [*(f"{tail:.4f}" for tail in tails), f"{difference:+.4f}", error]
    if not all(enough(list(side.values())) for side in sides):
        late = [""] * len(late)
    return (name, *(f"{peak:.4f}" for peak in peaks), *late, str(len(seeds)))


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What differs in the settings and data of two experiments."""
    found = []
    for part in ("settings", "dataset"):
        for name in {**left[part], **right[part]}:
            old, new = left[part].get(name), right[part].get(name)
            if name == "protocol_values" and isinstance(old, dict) and isinstance(new, dict):
                found += [f"protocol, {key}: {old.get(key)} | {new.get(key)}" for key in new if old.get(key) != new.get(key)]
            elif old != new:
                found.append(f"{name}: {_plain(name, old, left)} | {_plain(name, new, right)}")
    return found


def _plain(name: str, value: Any, config: dict[str, Any]) -> str:
    """A setting in words: one that is not set is what the protocol says, if it says something."""
    if name in ("learning_rate", "evaluation_images", "clip_norm") and not value:
        usual = config["settings"]["protocol_values"].get(name)
        return "none" if name == "clip_norm" else f"as the protocol: {'all' if usual is None else usual}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def accuracy_figure(figure: Any, found: dict[tuple[str, str], tuple[list[Finished], list[Finished]]]) -> None:
    """Accuracy of both experiments, a panel per pair of variants; A solid, B dashed."""
    across = min(3, len(found))
    down = -(-len(found) // across)
    figure.set_size_inches(4 * across, 3.1 * down)
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in panels.flat[len(found) :]:
        axes.set_visible(False)
    for axes, (pair, sides) in zip(panels.flat, found.items(), strict=False):
        for side, label, style in zip(sides, "AB", ("-", "--"), strict=True):
            iterations, values = together(side, "accuracy")
            colour = look("beta-scaled" if label == "B" else "dropout", 0)["color"]
            axes.plot(iterations, values.mean(axis=0), linestyle=style, color=colour, label=label)
        axes.set(xlabel="iteration", ylabel="accuracy")
        axes.set_title(_name(pair), fontsize=10)
        axes.legend(loc="lower right", fontsize=9)
