"""What all lessons share: sentences with numbers from the run, the look of figures, sliders, stored results.

    from lesson import full, results, say, slider

A lesson imports this and `checks`; everything else that it teaches it builds in front of the reader, or takes from minidrop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from minidrop.paper.reproduce import figures

HERE = Path(__file__).resolve().parent
# The real sizes, instead of those that fit two minutes:
full = os.environ.get("MINIDROP_LESSON_SCALE") == "full"

# The package's palette and style, a little smaller; a variant of the paper has the same colour everywhere.
BLACK, BLUE, ORANGE, GREEN, RED, PINK, SKY = figures.COLOURS
COLOURS = {variant: figures.look(variant, 0)["color"] for variant in figures.RUNS}
plt.rcParams.update(
    {
        **figures.STYLE,
        "figure.dpi": 90,
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.prop_cycle": plt.cycler(color=[BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK]),
        "image.cmap": "gray",
    }
)


class Untrue(AssertionError):
    """A sentence of the lesson that this run contradicts."""


def say(text: str, holds: bool, agree: float | None = 0.05, **numbers: float) -> None:
    """Show `text` as prose, with {name} or {name:.3f} replaced by the numbers of this run.

    holds: what the sentence claims, computed from this run. If it is false the lesson must not say it: Untrue. agree: how far
    (relatively, or absolutely below 1) another run may be from these numbers, None where that says nothing, as for timings;
    the tests compare a fresh run with the page that is stored.
    """
    sentence = text.format(**numbers)
    if not holds:
        raise Untrue(f'the lesson says "{sentence}", and this run does not bear it out')
    record = {
        "text": text,
        "numbers": {name: float(value) for name, value in numbers.items()},
        "agree": agree,
    }
    display(Markdown(sentence), metadata={"minidrop": record})


def slider(draw: Callable[..., Any], **choices: list[Any]) -> None:
    """Figures of draw(name=value) for each value, as small multiples side by side; where widgets work, also with a slider.

    draw(axes, name=value) draws into axes that it is given. choices: one name, and a list of values for it.
    """
    ((name, values),) = choices.items()
    shown = (
        [values[round(i * (len(values) - 1) / 3)] for i in range(4)] if len(values) > 4 else values
    )
    _figure, panels = plt.subplots(1, len(shown), figsize=(2.6 * len(shown), 2.6), squeeze=False)
    for axes, value in zip(panels[0], shown, strict=True):
        draw(axes, **{name: value})
    plt.show()
    try:
        from ipywidgets import SelectionSlider, interact
    except ImportError:  # the figures above say the same
        return

    def one(**chosen: Any) -> None:
        _figure, axes = plt.subplots(figsize=(5, 3.6))
        draw(axes, **chosen)
        plt.show()

    interact(
        one, **{name: SelectionSlider(options=values, value=shown[-1], continuous_update=False)}
    )


def results(name: str) -> Path:
    """The folder of a stored run, lessons/results/NAME. Raises FileNotFoundError that lists those that are there."""
    folder = HERE / "results" / name
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in folder.parent.iterdir() if path.is_dir()))
        raise FileNotFoundError(f"no stored run {name!r}; there are: {there}")
    return folder


def made_with(name: str) -> None:
    """Show in one line what a stored run was made with: network, data, seeds, versions, commit, machine, date."""
    from minidrop.paper.reproduce.grid import read_config
    from minidrop.paper.reproduce.provenance import describe
    from minidrop.paper.reproduce.table import title

    config = read_config(results(name))
    calls = config["provenance"]
    earlier = ", ".join(dict.fromkeys(call["commit"] for call in calls[:-1]))
    begun = f", begun at commit {earlier}" if earlier else ""
    display(Markdown(f"*Stored run `{name}`: {title(config)}. {describe(calls[-1])}{begun}.*"))
