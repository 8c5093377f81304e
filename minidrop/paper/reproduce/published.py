"""What the paper reports: Tables I and II and, where available, its training logs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ...errors import DataError


class Published(NamedTuple):
    """A row of a table: the highest accuracy of any evaluation, and the iteration at which it was reached."""

    accuracy: float
    iteration: int


# Casallas (2018), Tables I and II. The iterations are those of the paper; by its logs each is 1,000 too small: they are
# zero-based indices of evaluations, in thousands.
TABLES: dict[str, dict[str, Published]] = {
    "cifar10": {
        "cnn": Published(0.724, 113_000),
        "dropout": Published(0.736, 110_000),
        "alpha": Published(0.699, 28_000),
        "beta": Published(0.704, 35_000),
        "beta-scaled": Published(0.723, 42_000),
    },
    "mnist": {
        "cnn": Published(0.9888, 84_000),
        "dropout": Published(0.9906, 115_000),
        "alpha": Published(0.9843, 96_000),
        "beta": Published(0.9819, 97_000),
        "beta-scaled": Published(0.9906, 102_000),
    },
}

NAMES = {
    "cnn": "CNN",
    "dropout": "CNN with dropout",
    "alpha": "DropAlan alpha",
    "beta": "DropAlan beta",
    "beta-scaled": "DropAlan beta, scaled",
}

# The names of the logs in the author's repository (acasallas/6860-final-project), and which of the runs in a log is meant.
LOGS: dict[str, dict[str, tuple[str, int]]] = {
    "cifar10": {
        "cnn": ("conv_cifar", 0),
        "dropout": ("convdropout_cifar", 0),
        "alpha": ("convdropalanprob1_cifar_noscale", 0),
        "beta": ("convdropalanprob2_cifar", 0),
        "beta-scaled": ("convdropalan_cifar_best", 0),
    },
    "mnist": {
        "cnn": ("conv_mnist", 0),
        "dropout": ("convdropout_mnist", 0),
        "alpha": ("convdropalanprob1_mnist_backtonormal", 0),
        "beta": ("convdropalanprob2_mnist_backtonormal", 0),
        "beta-scaled": ("convdropalanprob2_mnist_scaled", 0),
    },
}


Log = tuple[str, int]  # a log's name, and which of the runs in it
Curves = dict[str, list[dict[str, float]]]  # rows of a log, by variant


def read_logs(path: Path) -> dict[Log, list[dict[str, float]]]:
    """{log: [{"iteration", "loss", "accuracy"}]} from a CSV of the published logs (log, run, iteration, loss, accuracy).

    Raises DataError for any other file.
    """
    wanted = ["log", "run", "iteration", "loss", "accuracy"]
    found: dict[Log, list[dict[str, float]]] = {}
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        if list(reader.fieldnames or ()) != wanted:
            raise ValueError(f"columns {','.join(reader.fieldnames or ())}")
        for line in reader:
            row = {name: float(line[name]) for name in wanted[2:]}
            found.setdefault((line["log"], int(line["run"])), []).append(row)
    except (TypeError, ValueError) as error:  # not UTF-8, other columns, no numbers
        raise DataError(f"{path}: not published curves", expected=",".join(wanted), got=str(error)) from error
    return found


def read_curves(path: Path, dataset: str) -> Curves:
    """{variant: rows} of the logs behind a dataset's table. Raises DataError also for a dataset that the paper did not use."""
    if dataset not in LOGS:
        raise DataError(f"{path}: nothing to lay beside", expected=f"a dataset of the paper: {', '.join(LOGS)}", got=dataset)
    found = read_logs(path)
    return {variant: found[log] for variant, log in LOGS[dataset].items() if log in found}
