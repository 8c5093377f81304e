"""What the paper reports: Tables I and II, and, where somebody has them, its training logs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError


class Published(NamedTuple):
    """A row of a table: the highest accuracy of any evaluation, and the iteration at which it was reached."""

    accuracy: float
    iteration: int


# Casallas (2018), Tables I and II. The iterations are those of the paper; by its logs each is 1,000 too small, for they are
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


def read_curves(path: Path, dataset: str) -> dict[str, list[dict[str, float]]]:
    """{variant: [{"iteration", "loss", "accuracy"}]} from a CSV of the published logs (log, run, iteration, loss, accuracy).

    Raises DataError for a file that is none, or a dataset that the paper did not use.
    """
    wanted = ["log", "run", "iteration", "loss", "accuracy"]
    if dataset not in LOGS:
        raise DataError(f"{path}: nothing to lay beside", expected=f"a dataset of the paper: {', '.join(LOGS)}", got=dataset)
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        if list(reader.fieldnames or ()) != wanted:
            raise ValueError(f"columns {','.join(reader.fieldnames or ())}")
        rows = [
            ((line["log"], int(line["run"])), {name: float(line[name]) for name in ("iteration", "loss", "accuracy")})
            for line in reader
        ]
    except (TypeError, ValueError) as error:  # not UTF-8, other columns, no numbers
        raise DataError(f"{path}: not published curves", expected=",".join(wanted), got=str(error)) from error
    curves = {variant: [row for log, row in rows if log == source] for variant, source in LOGS[dataset].items()}
    return {variant: curve for variant, curve in curves.items() if curve}


class Logged(NamedTuple):
    """Single figures of a log: mean loss and accuracy at one iteration, and when it first had a certain accuracy (or never)."""

    loss: float
    accuracy: float
    reached: int | None


# Of the published logs, read off once: where they stand when our longest runs on a CPU end, and how many iterations they took
# to a fixed accuracy, .70 on CIFAR-10 and .98 on MNIST.
LOGGED_AT = {"cifar10": 10_000, "mnist": 20_000}
LOGGED_ACCURACY = {"cifar10": 0.70, "mnist": 0.98}
LOGGED: dict[str, dict[str, Logged]] = {
    "cifar10": {
        "cnn": Logged(1.161, 0.5819, 27_000),
        "dropout": Logged(1.121, 0.6025, 30_000),
        "alpha": Logged(1.112, 0.5644, None),
        "beta": Logged(1.127, 0.6006, 33_000),
        "beta-scaled": Logged(1.091, 0.6150, 27_000),
    },
    "mnist": {
        "cnn": Logged(0.032, 0.9806, 18_000),
        "dropout": Logged(0.044, 0.9844, 13_000),
        "alpha": Logged(0.032, 0.9819, 20_000),
        "beta": Logged(0.031, 0.9675, 47_000),
        "beta-scaled": Logged(0.033, 0.9831, 13_000),
    },
}
