"""The paper's four figures, drawn from our runs, and one more with measurements inside the networks.

Colours: Okabe and Ito's palette, which colour-blind readers can tell apart; lines differ in style too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...functional import dropalan
from ...ops.dropalan import Alpha, Beta, Distribution, keep_probability
from ...random import Generator
from ...serialization import write_atomically
from ...tensor import Tensor
from ..history import COLUMNS
from .grid import Finished
from .published import NAMES, Curves

DRAWS = 10_000

COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
STYLES = ("-", "--", "-.", (0, (1, 1)), "-", "--", "-.")
RUNS = dict(zip(NAMES, range(len(NAMES)), strict=True))  # the paper's five look the same in every figure

STYLE: dict[str, Any] = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "minidrop",  # its identifiers are drawn at random else
}


NOT_IN_IT: dict[str, dict[str, Any]] = {  # versions and dates: same data, same file
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}


def look(variant: str, position: int) -> dict[str, Any]:
    """Colour and line style of a variant: fixed for the paper's five, by its position for others."""
    index = RUNS.get(variant, position)
    again = index // len(COLOURS)  # colours repeat, with other line styles
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[(index + again) % len(STYLES)]}


def load_matplotlib() -> Any:
    """The module matplotlib, also where the variable MPLBACKEND names a window system that it does not know: none is needed."""
    loaded = "matplotlib" in sys.modules
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if named and not loaded:
        with contextlib.suppress(ValueError):  # as its import does, but for the error
            matplotlib.rcParams["backend"] = named
    return matplotlib


def draw(make: Callable[..., Any], *arguments: Any, kind: str = "png") -> bytes:
    """What make(figure, *arguments) draws into an empty figure, as the content of a file: "png", "pdf" or "svg"."""
    matplotlib = load_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure()
        FigureCanvasAgg(figure)
        make(figure, *arguments)
        file = BytesIO()
        figure.savefig(file, format=kind, metadata=NOT_IN_IT[kind])
        return file.getvalue()


# Figures 1 and 2 ------------------------------------------------------------------------------------------------------


def distribution_figure(figure: Any, distribution: Distribution, symbol: str) -> None:
    """Figure 1 or 2: keep probability and expected output of a unit, by formula and from 10,000 draws."""
    z = np.linspace(-5, 2, 701, dtype="float32")
    keep = keep_probability(z, distribution)
    points = np.linspace(-4.9, 1.9, 35, dtype="float32")  # never on -1 or 0, where p has a jump or a kink
    output = dropalan(Tensor(np.repeat(points[:, None], DRAWS, axis=1)), distribution, generator=Generator(0)).data
    kept = (output != 0).mean(axis=1)
    figure.set_size_inches(9, 3.8)
    left, right = figure.subplots(1, 2)
    left.plot(z, keep, color=COLOURS[1], label="formula: k(z) = 1 - p(z)")
    left.plot(points, kept, "o", color=COLOURS[4], markersize=4, markerfacecolor="none", label=f"share kept of {DRAWS:,} draws")
    left.set(xlabel="z = w·x, the input of the unit", ylabel="probability to be kept", ylim=(-0.03, 1.08))
    left.set_title(f"Distribution {symbol}: keep probability", fontsize=11)
    right.plot(z, np.maximum(z, 0), color="#888888", linestyle=(0, (1, 1.5)), label="ReLU, for comparison")
    right.plot(z, z * keep, color=COLOURS[1], label="formula: z k(z)")
    right.plot(
        points,
        output.mean(axis=1),
        "o",
        color=COLOURS[4],
        markersize=4,
        markerfacecolor="none",
        label=f"mean of {DRAWS:,} draws",
    )
    right.set(xlabel="z = w·x, the input of the unit", ylabel="expected output")
    right.set_title(f"Distribution {symbol}: expectation (not scaled)", fontsize=11)
    for axes in (left, right):
        axes.legend(loc="upper left", fontsize=9)
    right.set_ylim(top=2.6)


# Figures 3 and 4 ------------------------------------------------------------------------------------------------------


def scaled_figure(figure: Any, runs: list[Finished], published: Curves, title: str) -> None:
    """Figure 3: loss and accuracy of the scaled run, one line per seed."""
    figure.set_size_inches(8, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, column, colour in ((upper, "loss", COLOURS[1]), (lower, "accuracy", COLOURS[4])):
        for index, run in enumerate(runs):
            label = "ours" if len(runs) == 1 else f"ours, {len(runs)} seeds" if index == 0 else None
            axes.plot(*columns(run.rows, column), color=colour, alpha=1 if len(runs) == 1 else 0.6, label=label)
        if "beta-scaled" in published:
            beside = as_far_as(published["beta-scaled"], runs)
            axes.plot(*columns(beside, column), color="black", linestyle=":", label="published")
        for run in runs:
            for kind, moment in run.divergence.moments.items():
                axes.axvline(
                    moment["first"], color="black", linewidth=0.9, linestyle=(0, (4, 2)), label=f"{kind}, seed {run.run.seed}"
                )
        axes.legend(loc="best", fontsize=9)
    upper.set(ylabel="training loss (nats)")
    upper.set_ylim(0, max(2.65, upper.get_ylim()[1]))  # room above ln 10
    upper.axhline(np.log(10), color="#888888", linewidth=0.8)
    upper.annotate(
        "ln 10: a blind guess", (1, np.log(10)), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
    )
    lower.set(xlabel="iteration", ylabel="accuracy")
    lower.xaxis.get_major_locator().set_params(integer=True)
    upper.set_title(f"DropAlan beta, scaled: {title}", fontsize=11)


def comparison_figure(figure: Any, runs: list[Finished], published: Curves, title: str) -> None:
    """Figure 4: accuracy of dropout against DropAlan; means over seeds, the band from the lowest to the highest seed.

    If the runs of a variant are not equally long, each seed has a line.
    """
    figure.set_size_inches(8, 5.2)
    axes = figure.subplots()
    for position, variant in enumerate(dict.fromkeys(run.run.variant for run in runs)):
        mine = [run for run in runs if run.run.variant == variant]
        strong = variant in ("dropout", "beta-scaled")
        line = {**look(variant, position), "linewidth": 2 if strong else 1.1}
        label = NAMES.get(variant, variant)
        if len({run.rows[-1]["iteration"] for run in mine}) > 1:  # some are unfinished: a mean would end with the shortest
            for index, run in enumerate(mine):
                axes.plot(*columns(run.rows, "accuracy"), **line, label=f"{label}, each seed" if index == 0 else None)
        else:
            iterations, values = together(mine, "accuracy")
            axes.plot(iterations, values.mean(axis=0), **line, label=label)
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(iterations, low, high, color=line["color"], alpha=0.15, linewidth=0)
        if variant in published and strong:
            label = f"published: {NAMES[variant]}"
            beside = as_far_as(published[variant], runs)
            axes.plot(*columns(beside, "accuracy"), color=line["color"], linestyle=":", linewidth=1.4, label=label)
    axes.set(xlabel="iteration", ylabel="accuracy")
    worst = min(run.rows[-1]["accuracy"] for run in runs)
    if worst > 0.4:
        axes.set_ylim(bottom=np.floor(10 * worst - 1.5) / 10)  # the end is what is compared; the rise is in the history
    axes.xaxis.get_major_locator().set_params(integer=True)  # no iteration 2.5 in a very short run
    axes.set_title(f"{compared(runs)}: {title}", fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)


def compared(runs: list[Finished]) -> str:
    """What figure 4 shows: "Dropout against DropAlan" only if both are in it."""
    bases = {run.run.variant.partition("-")[0] for run in runs}
    return "Dropout against DropAlan" if "dropout" in bases and bases & {"alpha", "beta"} else "Accuracy"


DIAGNOSTICS = {
    "loss": "training loss (nats)",
    "gradient_norm": "gradient norm",
    "dead_dense": "share of dead hidden units",
    "lost_classes": "lost classes",
    "keep_probability": "mean keep probability",
    "largest_z": "largest |z|",
}


def diagnostics_figure(figure: Any, runs: list[Finished], title: str) -> None:
    """What the history holds besides accuracy: six small panels, the first seed of each variant."""
    figure.set_size_inches(10.5, 6.4)
    panels = figure.subplots(2, 3, sharex=True)
    first = {run.run.variant: run for run in reversed(runs)}
    for axes, (column, label) in zip(panels.flat, DIAGNOSTICS.items(), strict=True):
        for position, variant in enumerate(dict.fromkeys(run.run.variant for run in runs)):
            axes.plot(*columns(first[variant].rows, column), **look(variant, position), label=NAMES.get(variant, variant))
        axes.set_ylabel(label, fontsize=10)
        if column.startswith(("dead", "keep")):
            axes.set_ylim(-0.03, 1.03)
        if column == "lost_classes":
            axes.set_ylim(-0.3, 10.3)
    for axes in panels[1]:
        axes.set_xlabel("iteration")
        axes.tick_params(axis="x", labelsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), fontsize=9)
    figure.suptitle(f"Inside the networks: {title} (first seed of each)", fontsize=11)


# Numbers --------------------------------------------------------------------------------------------------------------


def columns(rows: list[dict[str, float]], column: str) -> tuple[list[float], list[float]]:
    """Rows -> iterations, and one column's values."""
    return [row["iteration"] for row in rows], [row[column] for row in rows]


def as_far_as(published: list[dict[str, float]], runs: list[Finished]) -> list[dict[str, float]]:
    """The rows of a published curve up to where the longest of ours ends: the rest would squeeze ours."""
    last = max(run.rows[-1]["iteration"] for run in runs)
    return [row for row in published if row["iteration"] <= last] or published


def together(runs: list[Finished], column: str) -> tuple[Any, Any]:
    """Runs of one variant -> the iterations that all of them have, and values of shape (seeds, iterations)."""
    assert column in COLUMNS
    by_run = [{row["iteration"]: row[column] for row in run.rows} for run in runs]
    common = sorted(set.intersection(*(set(one) for one in by_run)))
    return np.array(common), np.array([[one[iteration] for iteration in common] for one in by_run])


def write_figures(folder: Path, runs: list[Finished], published: Curves, title: str) -> dict[str, str]:
    """Draw what the runs allow; {file name: what it shows}. Without a scaled run there is no figure 3."""
    scaled = [run for run in runs if run.run.variant == "beta-scaled"]
    alpha, beta = "\N{GREEK SMALL LETTER ALPHA}", "\N{GREEK SMALL LETTER BETA}"
    shown = {
        "figure1.png": "Alpha: probability to be kept, and expected output",
        "figure2.png": "Beta: probability to be kept, and expected output",
        "figure3.png": "Loss and accuracy of the scaled run",
        "figure4.png": "Accuracy" if compared(runs) == "Accuracy" else "Accuracy: dropout against DropAlan",
        "diagnostics.png": "Loss, gradient, dead units, lost classes, keep probability and largest |z|",
    }
    write_atomically(folder / "figure1.png", draw(distribution_figure, Alpha(), alpha))
    write_atomically(folder / "figure2.png", draw(distribution_figure, Beta(), beta))
    if scaled:
        write_atomically(folder / "figure3.png", draw(scaled_figure, scaled, published, title))
    else:
        (folder / "figure3.png").unlink(missing_ok=True)  # of an earlier report on other runs
        del shown["figure3.png"]
    write_atomically(folder / "figure4.png", draw(comparison_figure, runs, published, title))
    write_atomically(folder / "diagnostics.png", draw(diagnostics_figure, runs, title))
    return shown
