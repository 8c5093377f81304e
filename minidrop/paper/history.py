"""The record of a run: one row per evaluation, as CSV, and the steps at which something went wrong.

The file grows line by line during the run, so that it can be watched. When a run is resumed, it is rewritten from the
checkpoint, which holds the same rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..serialization import write_atomically

CLASSES = 10  # of every dataset here
QUANTILES = {"z_01": 0.01, "z_10": 0.1, "z_50": 0.5, "z_90": 0.9, "z_99": 0.99}
LAYERS = ("conv1", "conv2", "conv3", "dense", "logits")

COLUMNS = {
    "iteration": "training steps so far",
    "loss": "mean training loss of the steps since the last row, in nats",
    "accuracy": "share of the evaluation images that are classified rightly",
    "accuracy_expectation": "the same weights, but each unit of unscaled DropAlan hands on its mean z k(z); else as `accuracy`",
    "gradient_norm": "length of the whole gradient at the last step",
    "dead_dense": "share of the hidden stage's units whose output is 0 for every evaluation image",
    "dead_logits": "share of the logits that are 0 for every evaluation image",
    "lost_classes": "classes whose own logit is 0 on all of their evaluation images",
    **{f"right_{label}": f"evaluation images of class {label} that are classified rightly" for label in range(CLASSES)},
    **{f"images_{label}": f"evaluation images of class {label}" for label in range(CLASSES)},
    "keep_probability": "mean over evaluation images and units",
    "largest_z": "largest |z| at the hidden stage's input over evaluation images and units",
    **{name: f"the {share:.0%} quantile of z over evaluation images and units" for name, share in QUANTILES.items()},
    "below_zero": "units with z < 0 for every evaluation image",
    "came_back": "units that were so at the row before and are not now",
    "zeros": "inputs z of the hidden stage that were exactly 0, in all training steps so far",
    "lattice_zeros": "as many to expect, from how many z fell on the 4,001 floats around 0 (`recorder.ZeroCounter`)",
    **{f"norm_{layer}": f"length of the weights of {layer}, without its bias; 0 if there is none" for layer in LAYERS},
    "seconds": "of training and evaluation so far",
}
WHOLE = {"iteration", "lost_classes", "below_zero", "came_back", "zeros"} | {
    f"{what}_{label}" for what in ("right", "images") for label in range(CLASSES)
}  # integer columns


class History:
    """The rows of one run; with a path, also on disk, a line at a time."""

    def __init__(self, path: Path | None = None, rows: list[dict[str, float]] | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = list(rows or [])
        if path is not None:
            write_atomically(path, self.text().encode())

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row, and a line to the file."""
        self.rows.append({name: row[name] for name in COLUMNS})
        if self.path is not None:
            try:
                with self.path.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(self.rows[-1])
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from error

    def forget_final_row(self, evaluate_every: int) -> None:
        """Remove the last row if it lies between two evaluations.

        A run's last step always gets a row. If the run is extended later, that extra row is removed, so that the history is
        the same as if the run had never stopped there.
        """
        if self.rows and self.rows[-1]["iteration"] % evaluate_every:
            self.rows.pop()
            if self.path is not None:
                write_atomically(self.path, self.text().encode())

    def text(self) -> str:
        """The whole file."""
        return rows_as_csv(COLUMNS, self.rows)


def rows_as_csv(columns: Iterable[str], rows: Iterable[Mapping[str, float]]) -> str:
    """Rows, as the text of a CSV file with these columns."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a file that `History` wrote; an incomplete last line is left out. Raises DataError for other columns."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a history", expected="text", got=str(error)) from error
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    if list(reader.fieldnames or ()) != list(COLUMNS):
        found = list(reader.fieldnames or ())
        raise DataError(
            f"{path}: not a history",
            expected=f"{len(COLUMNS)} columns, from iteration to seconds",
            got=f"{counted(len(found), 'column')}, from {found[0]:.40} to {found[-1]:.40}" if found else "nothing",
        )
    try:
        return [{name: int(row[name]) if name in WHOLE else float(row[name]) for name in COLUMNS} for row in reader]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: a line is damaged", expected=f"{len(COLUMNS)} numbers", got=str(error)) from error


class Divergence:
    """When training went wrong: for each kind the first step, the last step, and how many there were.

    Kinds: "non-finite loss"; "equal logits" (each image of a batch has ten equal logits, so that the loss is
    ln 10 = 2.302585 and, if they come from a ReLU, the gradient 0).
    """

    def __init__(self, moments: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.moments: dict[str, dict[str, int]] = {kind: dict(moment) for kind, moment in (moments or {}).items()}

    def note(self, kind: str, iteration: int) -> None:
        """Step number `iteration` was of this kind."""
        moment = self.moments.setdefault(kind, {"first": iteration, "last": iteration, "steps": 0})
        moment["last"] = iteration
        moment["steps"] += 1

    def __bool__(self) -> bool:
        return bool(self.moments)

    def __str__(self) -> str:
        return "; ".join(f"{kind} {_when(**moment)}" for kind, moment in self.moments.items()) or "none"


def _when(first: int, last: int, steps: int) -> str:
    more = f", the last at {last:,}" if steps > 1 else ""
    return f"from iteration {first:,} ({counted(steps, 'step')}{more})"


def summarise(rows: list[dict[str, Any]], last: int = 20) -> dict[str, float]:
    """Rows -> {"peak", "peak_iteration", "mean_last", "evaluations"}: the first of the highest accuracies; the mean of the last
    `last` evaluations."""
    accuracies = [row["accuracy"] for row in rows]
    best = max(range(len(rows)), key=accuracies.__getitem__)
    tail = accuracies[-last:]
    return {
        "peak": accuracies[best],
        "peak_iteration": rows[best]["iteration"],
        "mean_last": sum(tail) / len(tail),
        "evaluations": len(rows),
    }


def counted(number: int, thing: str) -> str:
    """1, "run" -> "1 run"; 2, "run" -> "2 runs"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def share(number: int, whole: int, thing: str) -> str:
    """1, 4, "run" -> "1 of 4 runs is"; 2, 4, "run" -> "2 of 4 runs are"."""
    return f"{number:,} of {counted(whole, thing)} {'is' if 1 in (number, whole) else 'are'}"
