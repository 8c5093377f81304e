"""The progress bar of `minidrop reproduce`."""

from __future__ import annotations

import math
import time
from typing import Any

from ..paper.history import Divergence
from ..paper.reproduce.terminal import wrapped
from ..paper.run import Run
from .options import width

LEAST = 10  # characters of the bar itself

# What stands around it, from the most to the least: {postfix} is loss and accuracy of a run.
FORMATS = (
    "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]",
    "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]",
    "{l_bar}{bar}| {remaining} left",
    "{l_bar}{bar}|",
)


def richest_format(values: dict[str, Any]) -> str:
    """The first of FORMATS that leaves the bar at least LEAST characters; `values` as `tqdm.format_dict` gives them."""
    from tqdm import tqdm

    columns = values["ncols"]
    for text in FORMATS:
        around = tqdm.format_meter(**{**values, "ncols": None, "bar_format": text.replace("{bar}", "")})
        if not columns or len(around) + LEAST <= columns:
            return text
    return FORMATS[-1]


class Bar:
    """A progress bar over all runs: steps, steps per second, time left; loss and accuracy of the run that reported last."""

    def __init__(self, runs: list[Any]) -> None:
        self.total = sum(run.iterations for run in runs)
        self.reached: dict[str, int] = {}
        self.written = 0.0

    def __enter__(self) -> Bar:
        from tqdm import tqdm

        class Fitted(tqdm):  # type: ignore[misc]
            """Its tail gives way before the bar does."""

            @property
            def format_dict(self) -> dict[str, Any]:
                values = super().format_dict
                return {**values, "bar_format": richest_format(values)}

        # disable=None: no bar if the output is a file or a pipe; the lines of `finished` are still written
        self.bar = Fitted(total=self.total, unit="step", dynamic_ncols=True, mininterval=0.5, disable=None)
        return self

    def __call__(self, name: str, iteration: int, loss: float, accuracy: float) -> None:
        """A run has reached `iteration`."""
        if name not in self.reached and iteration > 1:
            self.reached[name] = iteration - 1
            if not self.bar.disable:
                self.bar.initial += iteration - 1  # done before this call: must not count as speed
                self.bar.n += iteration - 1
        self.bar.update(iteration - self.reached.get(name, 0))
        self.reached[name] = iteration
        if time.monotonic() - self.written > 0.5 and not math.isnan(loss):
            self.written = time.monotonic()
            self.bar.set_postfix_str(f"{name}: loss {loss:.3f}, accuracy {accuracy:.3f}", refresh=False)

    def finished(self, outcome: dict[str, Any]) -> None:
        """A run has ended."""
        run = Run.from_dict(outcome["run"])
        if outcome["stopped"] != "interrupted":
            self(run.name, run.iterations, math.nan, math.nan)  # also for a run finished before this call
        accuracy = "" if outcome["test_accuracy"] is None else f", {outcome['test_accuracy']:.4f} of the test set"
        wrong = f"; {Divergence(outcome['divergence'])}" if outcome["divergence"] else ""
        line = f"{run.name}: {outcome['stopped'] or 'done'} at {outcome['iteration']:,}{accuracy}{wrong}"
        self.bar.write(line if self.bar.disable else "\n".join(wrapped(line, width())))  # in a file, a line per run

    def __exit__(self, *_error: object) -> None:
        self.bar.close()
