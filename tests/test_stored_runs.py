"""The runs in lessons/results: their tables are those of their files, and the paper's page says what they say."""

from __future__ import annotations

import pathlib
import re

import pytest

import minidrop as md
from minidrop.paper.history import summarise
from minidrop.paper.reproduce.grid import read_config, read_runs
from minidrop.paper.reproduce.published import NAMES, TABLES
from minidrop.paper.reproduce.table import deviation, mean, table

ROOT = pathlib.Path(md.__file__).parent.parent
PAGE = ROOT / "minidrop" / "paper" / "README.md"
RESULTS = ROOT / "lessons" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/config.json"))

pytestmark = pytest.mark.skipif(not FOLDERS, reason="minidrop is installed without its checkout")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_stored_table_is_that_of_its_files(folder):
    assert (folder / "table.md").read_text() == table(read_config(folder), read_runs(folder))
    commits = [record["commit"] for record in read_config(folder)["provenance"]]
    assert all(re.fullmatch("[0-9a-f]{7,}", commit) for commit in commits), commits  # made from committed code


def summary(folder, variant):
    """(mean peak, mean of the means of the last 20, its spread over seeds or None, mean number of lost classes at the end)."""
    runs = [run for run in read_runs(RESULTS / folder) if run.run.variant == variant]
    tails = [summarise(run.rows)["mean_last"] for run in runs]
    spread = deviation(tails) if len(tails) > 1 else None
    return (
        mean([summarise(run.rows)["peak"] for run in runs]),
        mean(tails),
        spread,
        mean([run.rows[-1]["lost_classes"] for run in runs]),
    )


def test_the_page_says_what_the_stored_digits_run_says():
    readme = PAGE.read_text()
    for variant in NAMES:
        peak, tail, spread, dead = summary("digits", variant)
        row = f"| {NAMES[variant]} | {TABLES['mnist'][variant].accuracy:.4f} | {peak:.3f} | {tail:.3f} ± {spread:.3f} | {dead:.2f} |"
        assert row in readme, row


def test_the_page_says_what_the_careful_runs_say():
    (cnn, dropout) = (
        mean([run.result["test_accuracy"] for run in read_runs(RESULTS / "mnist-lite-careful") if run.run.variant == variant])
        for variant in ("cnn", "dropout")
    )
    assert f"{cnn:.4f} for the CNN and {dropout:.4f} with dropout" in PAGE.read_text()


def test_the_page_says_what_linear_logits_give():
    ends = [summary("digits-linear", f"{base}-linear") for base in ("cnn", "alpha", "beta")]
    first, second, third = (f"{tail:.3f} ± {spread:.3f}" for _, tail, spread, _ in ends)
    assert f"{first}, {second} and {third} (CNN, alpha, beta;" in PAGE.read_text()
