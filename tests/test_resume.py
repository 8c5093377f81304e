"""A run that is killed at any moment and resumed ends with the same bits as an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_data
from threadpoolctl import threadpool_limits

import minidrop as md
from minidrop.errors import StateError
from minidrop.paper.history import read_history
from minidrop.paper.protocol import CAREFUL, PAPER
from minidrop.paper.training import Run, Trainer, train

HERE = pathlib.Path(__file__).parent


def a_run(variant="beta-scaled", iterations=60, protocol=PAPER, **options):
    options = {"checkpoint_every": 7, **options}
    return Run("small", "lite", variant, 3, iterations, dataclasses.replace(protocol, evaluate_every=10), **options)


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same_end(folder, other):
    """Weights, optimiser, random numbers, data position, history, bit for bit; all except the time taken."""
    checkpoints = [md.load(path / "run.safetensors") for path in (folder, other)]
    assert checkpoints[0].keys() == checkpoints[1].keys() and checkpoints[0].module.keys() == checkpoints[1].module.keys()
    for name, array in checkpoints[0].module.items():
        assert array.tobytes() == checkpoints[1].module[name].tobytes(), name
    plain = [{k: v for k, v in c.items() if k not in ("module", "seconds", "rows")} for c in checkpoints]
    assert plain[0] == plain[1]
    histories = [without_seconds(read_history(path / "run.csv")) for path in (folder, other)]
    assert histories[0] == histories[1] and len(histories[0]) >= 2


@pytest.fixture(autouse=True)
def one_thread():
    """As `minidrop reproduce` computes: the bits of a matrix product may depend on the number of threads."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def whole(tmp_path):
    """Execute a run without interruption; returns its folder."""

    def carry_out(run):
        folder = tmp_path / "whole"
        folder.mkdir()
        train(run, small_data.pair(), folder / "run.csv", folder / "run.safetensors")
        return folder

    return carry_out


@pytest.mark.parametrize("variant", ["cnn", "dropout", "alpha", "beta-scaled", "beta-scaled-batchnorm"])
@pytest.mark.parametrize("protocol", [PAPER, CAREFUL], ids=lambda protocol: protocol.name)
def test_stopped_at_every_ninth_step(variant, protocol, whole, tmp_path):
    """Stopped cleanly, again and again: between evaluations, between checkpoints, across passes."""
    run = a_run(variant, protocol=protocol)
    reference = whole(run)
    steps = 0
    result = None
    while result is None or result.stopped == "interrupted":
        before = 0 if result is None else result.iteration
        trainer = Trainer(run, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
        assert trainer.iteration == before  # it continued where it was, not from an older checkpoint
        result = trainer.run_to_the_end(should_stop=lambda: trainer.iteration >= before + 9)  # noqa: B023
        steps += 1
    assert steps == 7
    assert_same_end(tmp_path, reference)


@pytest.mark.slow
def test_killed_at_random_moments(whole, tmp_path):
    """Twenty-two real SIGKILLs of a real process, some of them while it writes; then the same bits."""
    run = a_run("beta-scaled-batchnorm", iterations=1300, checkpoint_every=3)
    reference = whole(run)
    rng = random.Random(0)
    kills, reached = 0, []
    while kills < 22:
        command = [sys.executable, str(HERE / "child_run.py"), str(tmp_path), json.dumps(run.to_dict())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parent, env=with_path()) as child:
            assert child.stdout.readline() == b"started\n"
            time.sleep(rng.uniform(0.0, 0.2))
            child.kill()
            assert child.wait() == -signal.SIGKILL, "it was done before it was killed: give it more iterations"
        kills += 1
        if (tmp_path / "run.safetensors").exists():
            reached.append(md.load(tmp_path / "run.safetensors")["iteration"])
    assert reached == sorted(reached) and len(set(reached)) > 8 and 0 < reached[-1] < run.iterations
    subprocess.run(command, check=True, cwd=HERE.parent, env=with_path(), stdout=subprocess.DEVNULL)
    assert_same_end(tmp_path, reference)


def with_path():
    return {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}


@pytest.mark.parametrize("forgotten", ["masks", "batches", "loss_sum", "rows"])
def test_the_comparison_notices_what_a_checkpoint_forgets(forgotten, whole, tmp_path, monkeypatch):
    """The test above can fail: leave one thing out of what is restored, and the end differs."""
    run = a_run("beta-scaled", iterations=40)
    reference = whole(run)
    train(
        run,
        small_data.pair(),
        tmp_path / "run.csv",
        tmp_path / "run.safetensors",
        should_stop=lambda: False,
        on_step=stop_at(25),
    )
    load = md.serialization.load

    def forgetful(path):
        checkpoint = load(path)
        fresh = Trainer(run, small_data.pair())
        nothing = {"masks": fresh.masks.state_dict(), "batches": fresh.batches.state_dict(), "loss_sum": 0.0, "rows": []}
        checkpoint[forgotten] = nothing[forgotten]
        return checkpoint

    monkeypatch.setattr(md.serialization, "load", forgetful)
    train(run, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
    monkeypatch.undo()
    with pytest.raises(AssertionError):
        assert_same_end(tmp_path, reference)


class Killed(Exception):
    pass


def stop_at(iteration):
    def on_step(trainer):
        if trainer.iteration == iteration:
            raise Killed

    return on_step


@pytest.fixture(autouse=True)
def killed_is_what_it_looks_like(request, monkeypatch):
    """`stop_at` ends a run by an exception; `train` does not catch it, and this does."""
    original = train

    def survive(*arguments, **options):
        try:
            return original(*arguments, **options)
        except Killed:
            return None

    monkeypatch.setitem(globals(), "train", survive)


def test_a_history_that_broke_off_in_the_middle_of_a_line_is_mended(whole, tmp_path):
    run = a_run(iterations=50)
    reference = whole(run)
    train(run, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors", on_step=stop_at(33))
    with (tmp_path / "run.csv").open("a") as file:
        file.write("40,0.5,0.")  # half a line, of an evaluation after the last checkpoint
    assert [row["iteration"] for row in read_history(tmp_path / "run.csv")] == [10, 20, 30]
    train(run, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
    assert_same_end(tmp_path, reference)


def test_more_iterations_go_on_from_the_end(whole, tmp_path):
    reference = whole(a_run(iterations=60))
    for iterations in (20, 60):
        train(a_run(iterations=iterations), small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
    assert_same_end(tmp_path, reference)


@pytest.mark.parametrize("other", [{"variant": "beta"}, {"protocol": CAREFUL}])
def test_a_checkpoint_of_another_run_is_refused(other, tmp_path):
    train(a_run(iterations=7), small_data.pair(), None, tmp_path / "run.safetensors")
    before = (tmp_path / "run.safetensors").read_bytes()
    with pytest.raises(StateError, match=next(iter(other))):
        train(a_run(**other), small_data.pair(), None, tmp_path / "run.safetensors")
    assert (tmp_path / "run.safetensors").read_bytes() == before


def test_a_run_cannot_be_made_shorter(tmp_path):
    train(a_run(iterations=14), small_data.pair(), None, tmp_path / "run.safetensors")
    with pytest.raises(StateError, match=r"further on(.|\n)*at most 10(.|\n)*14"):
        train(a_run(iterations=10), small_data.pair(), None, tmp_path / "run.safetensors")


def test_a_checkpoint_made_on_other_data_is_refused(tmp_path):
    train(a_run(iterations=7), small_data.pair(), None, tmp_path / "run.safetensors")
    other = (small_data.make(200, seed=5), small_data.make(60, seed=1, split="test"))
    with pytest.raises(StateError, match="data="):
        train(a_run(), other, None, tmp_path / "run.safetensors")


@pytest.mark.parametrize("first", [23, 31])
def test_an_end_between_two_evaluations_leaves_no_trace(first, whole, tmp_path):
    """Evaluated every ten: a run that ended at 23 and was then extended has the history of one that never ended."""
    reference = whole(a_run(iterations=60))
    for iterations in (first, 60):
        train(a_run(iterations=iterations), small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
    assert_same_end(tmp_path, reference)


def test_another_seed_ends_elsewhere(tmp_path):
    """The bits that agree above are not simply always the same."""
    ends = []
    for seed in (0, 1):
        run = dataclasses.replace(a_run(iterations=20), seed=seed)
        ends.append(train(run, small_data.pair()).network.state_dict()["logits.weight"])
    assert not np.array_equal(*ends)
