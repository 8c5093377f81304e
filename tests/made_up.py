"""Made-up experiments: folders as `minidrop reproduce` writes them, with histories invented by a test."""

from __future__ import annotations

import json
import pathlib

import minidrop as md
from minidrop.paper.history import COLUMNS, rows_as_csv
from minidrop.paper.reproduce.grid import Grid, config_settings, history_path, result_path
from minidrop.paper.reproduce.provenance import provenance

RESULTS = pathlib.Path(md.__file__).parent.parent / "lessons" / "results"
DIGESTS = {}
for path in RESULTS.glob("gate-*/config.json"):
    stored = json.loads(path.read_text())
    DIGESTS[stored["settings"]["dataset"]] = stored["dataset"]["train_sha256"]


def experiment(folder, rows_of, recorded=None, **settings):
    """Write a folder whose runs have the rows that rows_of(run) gives (columns that it leaves out are 0); returns the grid.

    recorded(run): what the recorder of steps stores, if anything.
    """
    grid = Grid.of(**settings)
    values = config_settings(grid)
    digest = DIGESTS.get(grid.run.dataset, "0" * 64)  # the same as in the stored runs of these data
    dataset = {"label": "Made up", "train_sha256": digest, "test_sha256": "1" * 64, "test_images": 10_000}
    (folder / "history").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"settings": values, "dataset": dataset, "provenance": [provenance()]}))
    for run in grid.runs():
        rows = [{**dict.fromkeys(COLUMNS, 0), "loss": 1.0, **row} for row in rows_of(run)]
        history_path(folder, run).write_text(rows_as_csv(COLUMNS, rows))
        result = {
            "run": run.to_dict(),
            "iteration": run.iterations,
            "stopped": None,
            "divergence": {},
            "test_accuracy": rows[-1]["accuracy"],
            "evaluation_images": 1_600,
            "provenance": provenance(),
        }
        if recorded is not None:
            result["recorded"] = recorded(run)
        result_path(folder, run).write_text(json.dumps(result))
    return grid


def every_thousand(iterations, accuracy, **columns):
    """Rows every 1,000 iterations with accuracy(iteration) and further columns, each a function of the iteration."""
    return [
        {"iteration": i, "accuracy": accuracy(i), **{name: column(i) for name, column in columns.items()}}
        for i in range(1_000, iterations + 1, 1_000)
    ]
