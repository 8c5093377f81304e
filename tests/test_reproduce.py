"""`minidrop reproduce`: the folder it leaves, the table's numbers, resuming, reporting again, comparing."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import minidrop as md
from minidrop.command import main
from minidrop.errors import ArgumentError, DataError
from minidrop.paper.history import COLUMNS, read_history
from minidrop.paper.protocol import PROTOCOLS, Protocol
from minidrop.paper.reproduce import execute, grid, published
from minidrop.paper.reproduce.grid import Grid, read_grid, read_runs
from minidrop.paper.reproduce.table import deviation, markdown, standard_error
from minidrop.paper.run import Run
from minidrop.paper.settings import settings_of
from minidrop.paper.variants import VARIANTS

ROOT = pathlib.Path(md.__file__).parent.parent
CURVES = ROOT.parent / "shared" / "paper" / "curves.csv"


pytestmark = pytest.mark.xdist_group("reproduce")  # one process: the fixture `small` takes its time


def minidrop(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small experiment: digits, five variants, two seeds, eighty iterations; (folder, what was printed)."""
    folder = tmp_path_factory.mktemp("experiment") / "out"
    return folder, minidrop("reproduce", "--iterations", 80, "--evaluate-every", 2, "--seeds", 2, "--out", folder)


def test_the_folder_holds_what_it_should(small):
    folder, printed = small
    names = {f"{variant}_seed{seed}" for variant in VARIANTS for seed in (0, 1)}
    assert {path.stem for path in folder.glob("history/*.csv")} == names
    kept = {
        name + ending for name in names for ending in ("", "_peak", "_end")
    }  # to resume from, and the weights at two moments
    assert {path.stem for path in folder.glob("checkpoints/*.safetensors")} == kept
    for name in names:
        rows = list(csv.reader((folder / "history" / f"{name}.csv").read_text().splitlines()))
        assert rows[0] == list(COLUMNS) and [int(row[0]) for row in rows[1:]] == list(range(2, 81, 2))
    assert "(table.md)" in printed and str(folder) in printed
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["variants"] == list(VARIANTS) and config["settings"]["protocol_values"]["shuffle_buffer"] == 100
    record = config["provenance"][0]
    assert record["minidrop"] == md.__version__ and record["packages"]["numpy"] == np.__version__ and record["date"]
    assert re.fullmatch("[0-9a-f]{64}", config["dataset"]["train_sha256"])
    assert not re.search(r"/home|/root|/tmp|/work", (folder / "config.json").read_text())  # no paths of the machine


def cells(folder, row):
    line = next(line for line in (folder / "table.md").read_text().splitlines() if line.startswith(f"| {row} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_is_true(small):
    """Each number of a row, from the files alone."""
    folder, _ = small
    name, paper, at, peak, peak_at, tail, error, spread, test, lost, seeds, wrong = cells(folder, "CNN with dropout")
    histories = [read_history(folder / "history" / f"dropout_seed{seed}.csv") for seed in (0, 1)]
    peaks = [max(row["accuracy"] for row in rows) for rows in histories]
    first = [
        next(row["iteration"] for row in rows if row["accuracy"] == best) for rows, best in zip(histories, peaks, strict=True)
    ]
    assert (name, paper, at) == ("CNN with dropout", "0.9906", "115,000")  # MNIST's: the paper did not use digits
    assert peak == f"{np.mean(peaks):.4f}" and peak_at == f"{round(np.mean(first)):,}"
    assert tail == f"{np.mean([row['accuracy'] for rows in histories for row in rows[-20:]]):.4f}"
    assert error == f"{math.sqrt(np.mean(peaks) * (1 - np.mean(peaks)) / 360):.4f}" and spread == f"{np.std(peaks, ddof=1):.4f}"
    results = [json.loads((folder / "history" / f"dropout_seed{seed}.json").read_text()) for seed in (0, 1)]
    assert test == f"{np.mean([result['test_accuracy'] for result in results]):.4f}"
    assert lost == f"{np.mean([rows[-1]['lost_classes'] for rows in histories]):.2f}" and (seeds, wrong) == ("2", "")


def test_figures_and_page(small):
    folder, _ = small
    for name in ("figure1.png", "figure2.png", "figure3.png", "figure4.png", "diagnostics.png"):
        content = (folder / name).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 10_000
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "CNN with dropout" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page) and "http" not in page  # self-contained
    assert "Under way" not in page


def test_a_report_is_drawn_again_from_the_files_alone(small, tmp_path):
    """In another place, without the checkpoints and all files that can be made again: the same bytes."""
    folder, _ = small
    (tmp_path / "history").mkdir()
    for path in [folder / "config.json", *folder.glob("history/*")]:
        (tmp_path / path.relative_to(folder)).write_bytes(path.read_bytes())
    minidrop("report", tmp_path)
    for name in ("table.md", "figure1.png", "figure3.png", "figure4.png", "diagnostics.png", "report.html"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_report_of_an_experiment_under_way_says_so(small, tmp_path):
    folder, _ = small
    (tmp_path / "history").mkdir()
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    rows = (folder / "history" / "cnn_seed0.csv").read_text().splitlines(keepends=True)
    (tmp_path / "history" / "cnn_seed0.csv").write_text("".join(rows[:11]))
    minidrop("report", tmp_path)
    assert "not done, evaluated up to iteration 20" in cells(tmp_path, "CNN")[-1]
    assert "10 of 10 runs are not finished" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "figure3.png").exists()  # no scaled run: no figure of it


def test_an_experiment_is_never_overwritten(small):
    folder, _ = small
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "--resume" in minidrop("reproduce", "--iterations", 80, "--out", folder, status=1)
    assert "iterations: 80 -> 40" in minidrop("reproduce", "--iterations", 40, "--out", folder, "--resume", status=1)
    assert "protocol" in minidrop("reproduce", "--protocol", "careful", "--out", folder, "--resume", status=1)
    assert "network" in minidrop("reproduce", "--network", "published", "--out", folder, "--resume", status=1)
    assert "without variant alpha" in minidrop(
        "reproduce", "--variants", "cnn,dropout,beta,beta-scaled", "--out", folder, "--resume", status=1
    )
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "thesis.txt").write_text("mine")
    assert "is not empty" in minidrop("reproduce", "--out", folder.parent / "other", status=1)
    assert [path.name for path in (folder.parent / "other").iterdir()] == ["thesis.txt"]


def test_resume_adds_iterations_variants_and_seeds(tmp_path):
    """In three calls, or in one: the same table, bit for bit."""
    pieces, whole = tmp_path / "pieces", tmp_path / "whole"
    minidrop("reproduce", "--variants", "cnn", "--iterations", 23, "--evaluate-every", 10, "--out", pieces)
    assert [row["iteration"] for row in read_history(pieces / "history" / "cnn_seed0.csv")] == [
        10,
        20,
        23,
    ]  # 23: the end, for now
    minidrop("reproduce", "--variants", "cnn dropout", "--iterations", 40, "--out", pieces, "--resume")
    minidrop("reproduce", "--seeds", 2, "--out", pieces, "--resume")
    minidrop("reproduce", "--variants", "cnn,dropout", "--iterations", 40, "--evaluate-every", 10, "--seeds", 2, "--out", whole)
    assert table_rows(pieces) == table_rows(whole)
    assert len(json.loads((pieces / "config.json").read_text())["provenance"]) == 3
    times = {path: path.stat().st_mtime_ns for path in pieces.glob("history/*.csv")}
    minidrop("reproduce", "--out", pieces, "--resume")  # nothing left to do
    assert times == {path: path.stat().st_mtime_ns for path in pieces.glob("history/*.csv")}


def test_an_experiment_from_before_a_setting_existed_can_be_resumed(tmp_path):
    arguments = ["--variants", "cnn", "--out", tmp_path / "old"]
    minidrop("reproduce", "--iterations", 5, *arguments)
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    del config["settings"]["cuda_graphs"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    minidrop("reproduce", "--iterations", 8, *arguments, "--resume")
    assert read_grid(tmp_path / "old").run.iterations == 8


def test_on_a_gpu_with_replayed_steps(capturing_cupy, tmp_path, recwarn):
    arguments = ["--variants", "cnn beta-scaled", "--iterations", 30, "--device", "cuda"]
    minidrop("reproduce", *arguments, "--cuda-graphs", "--out", tmp_path / "replayed")
    minidrop("reproduce", *arguments, "--out", tmp_path / "run")
    minidrop("reproduce", "--iterations", 40, "--resume", "--out", tmp_path / "replayed")
    assert not [warning for warning in recwarn if "capture" in str(warning.message)]
    histories = [read_history(tmp_path / name / "history" / "beta-scaled_seed0.csv")[:30] for name in ("replayed", "run")]
    for one, other in zip(*histories, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert read_grid(tmp_path / "replayed").run.cuda_graphs


def table_rows(folder):
    return [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_ctrl_c_stops_with_a_checkpoint_and_resume_gives_the_same(tmp_path):
    """A real process, a real SIGINT: exit status 130, how to resume, and then the same table as without."""
    options = ["--variants", "beta-scaled", "--iterations", "900", "--evaluate-every", "100", "--checkpoint-every", "900"]
    command = [sys.executable, "-m", "minidrop", "reproduce", *options, "--out", str(tmp_path / "broken")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=with_path()
    ) as child:
        history = tmp_path / "broken" / "history" / "beta-scaled_seed0.csv"
        wait_until(lambda: history.exists() and history.read_text().count("\n") > 2)
        child.send_signal(signal.SIGINT)
        _output, error = child.communicate(timeout=60)
    assert child.returncode == 130, error
    assert "minidrop reproduce --resume" in error and "Traceback" not in error
    assert 200 <= md.load(tmp_path / "broken" / "checkpoints" / "beta-scaled_seed0.safetensors")["iteration"] < 900
    assert not (tmp_path / "broken" / "history" / "beta-scaled_seed0.json").exists()
    minidrop("reproduce", "--resume", "--out", tmp_path / "broken")
    minidrop("reproduce", *options, "--out", tmp_path / "whole")
    assert table_rows(tmp_path / "broken") == table_rows(tmp_path / "whole")


def wait_until(condition, seconds=60):
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it never came"
        time.sleep(0.02)


def with_path():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def explosive(monkeypatch):
    """The protocols with a step so large that training blows up within a few iterations."""
    for name in ("paper", "careful"):
        monkeypatch.setitem(PROTOCOLS, name, dataclasses.replace(PROTOCOLS[name], learning_rate=1e4))


@pytest.mark.parametrize("protocol", ["paper", "careful"])
@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_run_that_blows_up(protocol, policy, explosive, tmp_path):
    """From the command to table, page and figures: the moment is reported, and non-finite numbers do no harm."""
    options = [
        "--protocol",
        protocol,
        "--on-divergence",
        policy,
        "--variants",
        "beta-scaled",
        "--iterations",
        30,
        "--evaluate-every",
        10,
    ]
    printed = minidrop("reproduce", *options, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "history" / "beta-scaled_seed0.json").read_text())
    rows = read_history(tmp_path / "out" / "history" / "beta-scaled_seed0.csv")
    (kind, moment), *_ = record["divergence"].items()
    assert (
        f"{kind} from iteration {moment['first']}" in cells(tmp_path / "out", "DropAlan beta, scaled")[-1] and kind in printed
    )
    assert (record["iteration"], record["stopped"]) == ((30, None) if policy == "continue" else (moment["first"], "diverged"))
    assert rows[-1]["iteration"] == record["iteration"] and "Under way" not in (tmp_path / "out" / "report.html").read_text()
    assert "* A, DropAlan beta, scaled, seed 0: " in minidrop("compare", tmp_path / "out", tmp_path / "out")
    again = minidrop("reproduce", "--resume", "--out", tmp_path / "out")  # it is done: nothing is trained, nothing changes
    assert read_history(tmp_path / "out" / "history" / "beta-scaled_seed0.csv")[-1]["iteration"] == rows[-1]["iteration"]
    assert kind in again and len(json.loads((tmp_path / "out" / "config.json").read_text())["provenance"]) == 1


def test_stopped_by_divergence_then_continued_is_the_same_as_continued(explosive, tmp_path):
    options = ["--variants", "cnn", "--iterations", 30, "--evaluate-every", 10]
    minidrop("reproduce", *options, "--on-divergence", "stop", "--out", tmp_path / "pieces")
    minidrop("reproduce", "--on-divergence", "continue", "--resume", "--out", tmp_path / "pieces")
    minidrop("reproduce", *options, "--on-divergence", "continue", "--out", tmp_path / "whole")
    assert table_rows(tmp_path / "pieces") == table_rows(tmp_path / "whole")


def test_a_divergence_is_on_record_while_the_run_is_under_way(explosive, tmp_path):
    """A long run that crashed early: a report made now says so, and does not call the run done."""
    run = Grid.of(variants=("cnn",), iterations=40, evaluate_every=10).runs()[0]
    data = md.datasets.digits("train"), md.datasets.digits("test")
    grid.prepare(tmp_path, Grid.of(variants=("cnn",), iterations=40, evaluate_every=10), data)
    stop_after = iter(range(25))
    execute.carry_out(run, tmp_path, data, should_stop=lambda: next(stop_after, None) is None)
    minidrop("report", tmp_path)
    wrong = cells(tmp_path, "CNN")[-1]
    assert "from iteration" in wrong and "not done, evaluated up to iteration 20" in wrong
    assert "1 of 1 run is not finished" in (tmp_path / "report.html").read_text()


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--variants", "resnet"], "unknown variant"),
        (["--variants", ""], "at least one"),
        (["--variants", "cnn cnn"], "each once"),
        (["--device", "tpu"], "unknown device"),
        (["--cuda-graphs"], "cuda_graphs without a GPU"),
        (["--network", "published"], "`published` network needs larger images"),
        (["--variants", "beta-p_max=2"], "Beta: bad p_max"),
        (["--variants", "beta-p_max=.95 beta-p_max=0.95"], "each once"),
        (["--variants", "beta beta-p_max=.999"], "each once"),
        (["--scheduler", "tcp://127.0.0.1:9"], "the cluster does not answer"),
    ],
)
def test_bad_options_are_refused(arguments, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minidrop.paper.reproduce.cluster.CONNECT_TIMEOUT", 1)
    assert problem in minidrop("reproduce", "--iterations", 5, *arguments, status=1)


@pytest.mark.parametrize(
    "arguments",
    [["--iterations", "0"], ["--dataset", "imagenet"], ["--jobs", "0"], ["--protocol", "sloppy"]],
)
def test_options_that_click_refuses(arguments):
    assert "Invalid value" in minidrop("reproduce", *arguments, status=2)


def test_a_missing_dataset_names_the_way_to_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDROP_DATASETS", str(tmp_path))
    monkeypatch.setattr("minidrop.datasets.store.roots", lambda: [tmp_path])
    monkeypatch.setitem(md.datasets.entry("fashion_mnist"), "mirrors", ["http://127.0.0.1:9/"])
    output = minidrop("reproduce", "--dataset", "fashion_mnist", "--out", tmp_path / "out", status=1)
    assert "no mirror had it" in output and not (tmp_path / "out").exists()


def test_damaged_folders(small, tmp_path):
    folder, _ = small
    assert "config.json cannot be read" in minidrop("report", tmp_path, status=1)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert "no rows yet" in minidrop("report", tmp_path, status=1)
    (tmp_path / "history").mkdir()
    for content, problem in ((b"\xff\xfe", "not a history"), (b"a,b\n", "from a to b"), (b"", "got: nothing")):
        (tmp_path / "history" / "cnn_seed0.csv").write_bytes(content)
        printed = minidrop("report", tmp_path, status=1)
        assert problem in printed and max(map(len, printed.splitlines()[1:])) < 90
    (tmp_path / "history" / "cnn_seed0.csv").write_bytes((folder / "history" / "cnn_seed0.csv").read_bytes())
    (tmp_path / "history" / "cnn_seed0.json").write_text('{"run": ')
    assert "cnn_seed0.json cannot be read" in minidrop("report", tmp_path, status=1)
    for content, problem in (
        ('{"settings": ', "JSONDecodeError"),
        ("[]", "cannot be read"),
        ('{"settings": {}, "dataset": {}, "provenance": []}', "damaged"),
    ):
        (tmp_path / "config.json").write_text(content)
        assert problem in minidrop("report", tmp_path, status=1)


def test_results_survive_what_stops_a_resumed_experiment(tmp_path):
    """More iterations, and the checkpoint is damaged or missing: an error, and everything is still there."""
    minidrop("reproduce", "--variants", "cnn", "--iterations", 8, "--evaluate-every", 3, "--out", tmp_path)
    checkpoint = tmp_path / "checkpoints" / "cnn_seed0.safetensors"
    before = {path: path.read_bytes() for path in tmp_path.glob("history/*")}
    for damage, problem in (
        (lambda: checkpoint.write_bytes(b"x"), "cannot be read"),
        (checkpoint.unlink, "its checkpoint is gone"),
    ):
        damage()
        assert problem in minidrop("reproduce", "--iterations", 12, "--resume", "--out", tmp_path, status=1)
        assert {path: path.read_bytes() for path in tmp_path.glob("history/*")} == before
    minidrop("report", tmp_path)
    assert "not done, evaluated up to iteration 8" in cells(tmp_path, "CNN")[-1]  # of the twelve requested now
    assert "1 of 1 run is not finished" in (tmp_path / "report.html").read_text()


def test_results_measured_on_other_test_images_say_so(tmp_path):
    """Only the test files are not the canonical ones, and they are what the accuracy is measured on."""
    train, test = md.datasets.digits("train"), md.datasets.digits("test")
    test.label = "Digits (not the canonical files: ...)"
    grid.prepare(tmp_path, Grid.of(iterations=4), (train, test))
    assert grid.read_config(tmp_path)["dataset"]["label"] == f"{train.label}, measured on {test.label}"


def test_leftovers_of_a_kill_are_cleared(tmp_path):
    minidrop("reproduce", "--variants", "cnn", "--iterations", 4, "--out", tmp_path)
    for folder in ("checkpoints", "history"):
        (tmp_path / folder / ".cnn_seed0.safetensors.abc.tmp").write_bytes(b"half")
    minidrop("reproduce", "--iterations", 8, "--resume", "--out", tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_can_be_refused_is_refused_before_training(small, tmp_path):
    """Invalid published curves, a folder that cannot be written, an existing experiment: no data is even loaded."""
    (tmp_path / "curves.csv").write_bytes(b"\x89PNG\xff")
    options = ["reproduce", "--iterations", 4, "--dataset", "mnist", "--out"]
    assert "not published curves" in minidrop(*options, tmp_path / "a", "--published", tmp_path / "curves.csv", status=1)
    (tmp_path / "curves.csv").write_text("log,run,iteration,loss,accuracy\nconv_mnist,0,x,1,1\n")
    assert "not published curves" in minidrop(*options, tmp_path / "a", "--published", tmp_path / "curves.csv", status=1)
    assert "nothing to lay beside" in minidrop(
        "reproduce", "--published", tmp_path / "curves.csv", "--out", tmp_path / "a", status=1
    )
    assert "holds an experiment already" in minidrop(*options, small[0], status=1)
    assert "Error: " in minidrop("reproduce", "--iterations", 4, "--out", tmp_path / "curves.csv" / "out", status=1)
    assert not (tmp_path / "a").exists()


def test_each_setting_is_an_option_with_the_limits_of_its_field():
    """Defined once: the command takes a setting's limits from its dataclass."""
    options = {option.name: option for option in main.commands["reproduce"].params}
    fields = [field for kind in (Run, Grid, Protocol) for field in settings_of(kind)]
    assert {field.name for field in fields} >= {"iterations", "record_steps", "seeds", "variants", "evaluate_every"}
    for field in fields:
        option, limits = options[field.name], field.metadata
        assert option.help.startswith(limits["help"]) and limits["shown"] in option.help
        assert getattr(option.type, "min", None) == (limits["least"] if limits["above"] is None else limits["above"])
        if limits["choices"]:
            assert tuple(option.type.choices) == limits["choices"]
    assert set(Grid().settings) == {field.name for field in fields} | {"protocol"}


@pytest.mark.parametrize(
    ("kind", "name", "bad"),
    [
        (Run, "iterations", 0),
        (Run, "iterations", True),
        (Run, "record_steps", -1),
        (Run, "on_divergence", "pray"),
        (Protocol, "evaluate_every", None),
        (Protocol, "evaluation_images", 0),
    ],
)
def test_a_setting_outside_its_limits(kind, name, bad):
    with pytest.raises(ArgumentError, match=f"{kind.__name__}: bad {name}"):
        kind(**{name: bad}, **({"name": "made up"} if kind is Protocol else {}))


def test_a_folder_that_names_the_protocols_own_number_of_images_resumes(tmp_path):
    """config.json may say 1600 where the protocol says so too: the same experiment."""
    options = ["reproduce", "--variants", "cnn", "--evaluate-every", 4, "--out", tmp_path]
    minidrop(*options, "--iterations", 8, "--evaluation-images", 1600)
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"]["evaluation_images"] = 1600
    (tmp_path / "config.json").write_text(json.dumps(config))
    minidrop("reproduce", "--out", tmp_path, "--resume", "--iterations", 12)
    assert read_grid(tmp_path).run.iterations == 12


def test_grid_settings():
    assert Grid.of(iterations=80).run.protocol.evaluate_every == 2 and Grid.of(iterations=10).run.protocol.evaluate_every == 1
    assert (
        Grid.of(iterations=120_000).run.protocol.evaluate_every == 1000
        and Grid.of(iterations=80, evaluate_every=7).run.protocol.evaluate_every == 7
    )
    names = [run.name for run in Grid.of(variants=("cnn", "beta"), seeds=2).runs()]
    assert names == ["cnn_seed0", "beta_seed0", "cnn_seed1", "beta_seed1"]
    assert (
        Grid.of().run.protocol.evaluation_images == 1600 and Grid.of(protocol="careful").run.protocol.evaluation_images is None
    )
    assert Grid.of(evaluation_images=10_000).run.protocol.evaluation_images == 10_000
    with pytest.raises(ArgumentError, match="seeds"):
        Grid.of(seeds=0)
    with pytest.raises(ArgumentError, match="evaluation_images"):
        Grid.of(evaluation_images=-1)


def test_the_number_of_images_measured_changes_nothing_but_what_is_measured(tmp_path):
    options = ["reproduce", "--variants", "dropout", "--iterations", 40, "--evaluate-every", 20]
    minidrop(*options, "--out", tmp_path / "all")
    minidrop(*options, "--evaluation-images", 50, "--out", tmp_path / "few")
    (all_of_them,), (few,) = read_runs(tmp_path / "all"), read_runs(tmp_path / "few")
    assert (all_of_them.result["evaluation_images"], few.result["evaluation_images"]) == (360, 50)
    assert [row["loss"] for row in few.rows] == [row["loss"] for row in all_of_them.rows]
    assert few.result["test_accuracy"] == all_of_them.result["test_accuracy"]
    assert all(math.isclose(row["accuracy"] * 50, round(row["accuracy"] * 50)) for row in few.rows)
    assert "another experiment" in minidrop(
        *options, "--evaluation-images", 60, "--resume", "--out", tmp_path / "few", status=1
    )


# Beside the paper -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CURVES.exists(), reason="the published logs are not part of the project; they are not here")
@pytest.mark.parametrize("dataset", ["cifar10", "mnist"])
def test_the_papers_tables_agree_with_its_logs(dataset):
    """Each row: the highest accuracy in the log, at an iteration that is 1,000 too small in the paper."""
    curves = published.read_curves(CURVES, dataset)
    for variant, row in published.TABLES[dataset].items():
        best = max(curves[variant], key=lambda point: point["accuracy"])
        assert abs(best["accuracy"] - row.accuracy) < 1.1e-3 and best["iteration"] == row.iteration + 1000, variant


def test_published_curves_are_laid_beside(small, tmp_path):
    folder, _ = small
    path = tmp_path / "curves.csv"
    path.write_text("log,run,iteration,loss,accuracy\nconv_mnist,0,30,2.25,0.5\nconv_mnist,1,30,9,0.9\nconv_mnist,0,77,1,0.6\n")
    curves = published.read_curves(path, "mnist")
    assert curves["cnn"] == [{"iteration": 30, "loss": 2.25, "accuracy": 0.5}, {"iteration": 77, "loss": 1.0, "accuracy": 0.6}]
    from minidrop.paper.reproduce.table import at_equal_iteration

    ours = next(run for run in read_runs(folder) if run.run.name == "cnn_seed0")
    row = next(row for row in ours.rows if row["iteration"] == 30)
    header, line = at_equal_iteration([ours], curves)
    assert line == ("CNN", "30", "2.250", f"{row['loss']:.3f}", "0.5000", f"{row['accuracy']:.4f}") and len(header) == 6
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="not published curves"):
        published.read_curves(path, "mnist")


def test_few_evaluations_have_no_mean_of_the_last_twenty(tmp_path):
    """With fewer than 40 it would be the mean of most of them."""
    for iterations, shown in ((39, False), (40, True)):
        folder = tmp_path / str(iterations)
        minidrop("reproduce", "--variants", "cnn", "--evaluate-every", 1, "--iterations", iterations, "--out", folder)
        assert bool(cells(folder, "CNN")[5]) == shown


def test_small_formulas():
    assert standard_error(0.72, 1600) == pytest.approx(0.0112, abs=1e-4)  # "about 1.1 points at 72 %"
    assert deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert markdown([("a", "bb"), ("ccc", "d")]) == "| a   | bb |\n|-----|----|\n| ccc | d  |"


@pytest.mark.parametrize(
    ("package", "arguments", "extra"), [("jinja2", [], "reproduce"), ("distributed", ["--jobs", 2], "cluster")]
)
def test_a_missing_package_is_named_before_any_work(package, arguments, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    printed = minidrop("reproduce", "--iterations", 4, *arguments, "--out", tmp_path / "out", status=1)
    assert (
        package in printed
        and f'python -m pip install ".[{extra}]" in the checkout' in printed
        and not (tmp_path / "out").exists()
    )
