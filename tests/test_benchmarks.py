"""The benchmarks run and report what they say; the figures themselves depend on the machine and are not asserted here."""

from __future__ import annotations

import json
import pathlib

import pytest
from benchmarks import overhead


def test_overhead_reports_every_op(tmp_path, capsys):
    assert overhead.main(["--repeats", "3", "--length", "20", "--json", str(tmp_path / "rows.json")]) == 0
    printed = capsys.readouterr().out
    stored = json.loads((tmp_path / "rows.json").read_text())
    assert [row["op"] for row in stored["rows"]] == list(overhead.OPS)
    for row in stored["rows"]:
        assert f"`{row['op']}`" in printed and row["minidrop"] > row["overhead"] > -row["bare"]
    assert {"python", "numpy", "processor", "date"} <= set(stored["provenance"])


def test_the_bare_arithmetic_is_what_the_ops_compute():
    """Each op of the benchmark has a row; a chain of one gives the right gradient."""
    y, b = overhead.minidrop_pair()
    for operation, _ in overhead.OPS.values():
        y.grad = None
        operation(y, b).sum().backward()
        assert y.grad.shape == (4,)


def test_the_figures_in_the_readme_are_those_of_the_stored_run():
    root = pathlib.Path(overhead.__file__).parents[2]
    stored = json.loads((root / "tests" / "benchmarks" / "results" / "overhead.json").read_text())
    assert overhead.report(stored) in (root / "README.md").read_text()


def test_bad_arguments(capsys):
    with pytest.raises(SystemExit):
        overhead.main(["--repeats", "1"])
    assert "at least 2" in capsys.readouterr().err
