"""Stored runs can be reproduced bit for bit, and differences are noticed."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil

import pytest
import small_data
from click.testing import CliRunner

import minidrop as md
from minidrop.command import main
from minidrop.errors import DataError
from minidrop.paper.reproduce.again import again, other_machine
from minidrop.paper.reproduce.grid import read_config, read_runs

RESULTS = pathlib.Path(md.__file__).parent.parent / "lessons" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/config.json"))
# the others need data that a bare machine does not have
WITHOUT_DOWNLOAD = [folder for folder in FOLDERS if read_config(folder)["settings"]["dataset"] == "digits"]

pytestmark = pytest.mark.skipif(not FOLDERS, reason="minidrop is installed without its checkout")


@pytest.mark.parametrize("folder", WITHOUT_DOWNLOAD, ids=lambda folder: folder.name)
def test_a_stored_run_comes_out_again(folder):
    elsewhere = other_machine(read_config(folder)["provenance"][-1])
    if elsewhere:
        pytest.skip(f"the last bits may differ here: {elsewhere}")
    runs = read_runs(folder)
    first = runs[len(runs) // 2].run  # one from the middle: neither always the CNN nor always seed 0
    assert again(folder, first.protocol.evaluate_every, (first.name,)) == {first.name: []}


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A small experiment made here, and its data."""
    data = small_data.pair()
    monkeypatch.setattr(md.datasets, "load", lambda _name, split, download=False: data[split == "test"])
    options = ["--variants", "cnn beta-scaled", "--iterations", "20", "--evaluate-every", "10", "--seeds", "2"]
    done = CliRunner().invoke(main, ["reproduce", *options, "--out", str(tmp_path / "one")])
    assert done.exit_code == 0, done.output
    return tmp_path / "one", data


def test_a_whole_experiment_comes_out_again(fresh):
    folder, data = fresh
    seen = []
    found = again(folder, data=data, report=lambda name, differences: seen.append((name, differences)))
    assert list(found) == ["cnn_seed0", "beta-scaled_seed0", "cnn_seed1", "beta-scaled_seed1"]
    assert all(differences == [] for differences in found.values()) and dict(seen) == found
    shown = CliRunner().invoke(main, ["again", str(folder), "--iterations", "15", "--run", "cnn_seed1"])
    assert shown.exit_code == 0 and "cnn_seed1: the same, bit for bit\n1 of 1 run is the same" in shown.output


def test_one_changed_digit_is_noticed(fresh):
    folder, data = fresh
    path = folder / "history" / "cnn_seed1.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[2][1] = repr(float(rows[2][1]) * (1 + 2e-16))  # the last bit of the second loss
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    found = again(folder, data=data)
    assert [name for name, differences in found.items() if differences] == ["cnn_seed1"]
    assert "iteration 20, loss" in found["cnn_seed1"][0]
    assert again(folder, 10, data=data)["cnn_seed1"] == []  # the first row is right
    shown = CliRunner().invoke(main, ["again", str(folder)])
    assert shown.exit_code == 1 and "3 of 4 runs are the same" in shown.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--run", "cnn_seed1", "beta-scaled_seed0"],
        ["--run", "cnn_seed1 beta-scaled_seed0"],
        ["--run", "cnn_seed1", "--run", "beta-scaled_seed0"],
    ],
)
def test_several_runs_are_named(fresh, arguments):
    folder, _ = fresh
    shown = CliRunner().invoke(main, ["again", str(folder), "--iterations", "15", *arguments])
    assert shown.exit_code == 0 and "cnn_seed1: " in shown.output and "2 of 2 runs are the same" in shown.output
    shown = CliRunner().invoke(main, ["again", str(folder), *arguments, "beta-scaled_sed1"])
    assert shown.exit_code == 1 and "did you mean 'beta-scaled_seed1'?" in shown.output


def test_another_end_and_another_length_are_noticed(fresh):
    folder, data = fresh
    path = folder / "history" / "cnn_seed0.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "test_accuracy": 0.5, "stopped": "diverged"}))
    (differences,) = [d for name, d in again(folder, data=data).items() if name == "cnn_seed0"]
    assert [text.split(":")[0] for text in differences] == ["stopped", "test_accuracy"]
    for name in ("cnn_seed0", "beta-scaled_seed0", "beta-scaled_seed1"):
        shutil.copy(folder / "history" / "cnn_seed1.csv", folder / "history" / f"{name}.csv")
    assert sum(bool(differences) for differences in again(folder, 10, data=data).values()) == 3  # other runs' rows


def test_what_the_recorder_counted_is_compared(tmp_path, monkeypatch):
    data = small_data.pair()
    monkeypatch.setattr(md.datasets, "load", lambda _name, split, download=False: data[split == "test"])
    options = ["--variants", "beta-scaled", "--iterations", "10", "--evaluate-every", "10", "--record-steps", "5"]
    assert CliRunner().invoke(main, ["reproduce", *options, "--out", str(tmp_path / "r")]).exit_code == 0
    assert again(tmp_path / "r", data=data) == {"beta-scaled_seed0": []}
    path = tmp_path / "r" / "history" / "beta-scaled_seed0.json"
    record = json.loads(path.read_text())
    record["recorded"]["first_non_finite_gradient"] = 7
    path.write_text(json.dumps(record))
    (difference,) = again(tmp_path / "r", data=data)["beta-scaled_seed0"]
    assert difference.startswith("recorded")


def test_what_cannot_be_compared(fresh, tmp_path):
    folder, data = fresh
    with pytest.raises(DataError, match="made with other data"):
        again(folder, data=(small_data.make(seed=5), data[1]))
    with pytest.raises(DataError, match=r"no such run(.|\n)*got: cnn_sed0\n  help: did you mean 'cnn_seed0'\?"):
        again(folder, names=("cnn_sed0",), data=data)
    with pytest.raises(DataError, match="nothing to compare"):
        again(folder, 5, data=data)
    assert CliRunner().invoke(main, ["again", str(tmp_path)]).exit_code == 1


def test_another_machine_is_named(fresh):
    folder, _ = fresh
    config = json.loads((folder / "config.json").read_text())
    assert other_machine(config["provenance"][-1]) == []
    config["provenance"][-1] |= {"packages": {"numpy": "1.0"}, "gpu": "H200", "blas": ["openblas 0.3.31.188.0 (Prescott)"]}
    numpy, kernels, gpu = other_machine(config["provenance"][-1])
    assert "NumPy 1.0 there" in numpy and "Prescott there" in kernels and "H200" in gpu
    (folder / "config.json").write_text(json.dumps(config))
    shown = CliRunner().invoke(main, ["again", str(folder), "--run", "cnn_seed0"])
    assert shown.exit_code == 0 and "note: made elsewhere" in shown.output
