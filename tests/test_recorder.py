"""The recorder of the last steps: what it records, when it ends, and that an interruption does not change it."""

from __future__ import annotations

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
import small_data

import minidrop as md
from minidrop import Generator
from minidrop.errors import ArgumentError, StateError
from minidrop.paper.networks import Network
from minidrop.paper.protocol import PAPER
from minidrop.paper.recorder import AFTER, STEP_COLUMNS, StepRecorder, ZeroCounter, _look_at
from minidrop.paper.reproduce import grid
from minidrop.paper.reproduce.execute import carry_out
from minidrop.paper.training import Run, Trainer


def a_run(variant="beta-scaled-composed", iterations=40, **options):
    protocol = dataclasses.replace(PAPER, evaluate_every=20)
    return Run("small", "lite", variant, 0, iterations, protocol, record_steps=10, **options)


def plant_a_zero(trainer, unit=3):
    """From now on this unit's z is exactly 0 for every image."""
    trainer.network.dense.weight.data[:, unit] = 0
    trainer.network.dense.bias.data[unit] = 0


def test_it_sees_the_step_at_which_the_gradient_dies_and_what_dies_with_it():
    trainer = Trainer(a_run(), small_data.pair())
    for _ in range(30):
        trainer.step()
    assert trainer.recorder.first_non_finite_gradient is None and not trainer.recorder.rows[-1]["zeros"]
    plant_a_zero(trainer)
    for _ in range(AFTER + 15):
        trainer.step()
    recorder = trainer.recorder
    assert recorder.first_non_finite_gradient == 31 and recorder.totals["zeros"] == 16
    assert [row["iteration"] for row in recorder.rows] == list(range(51 - 10 - AFTER, 51))  # the last 10 + AFTER
    row = {row["iteration"]: row for row in recorder.rows}
    assert np.isfinite(row[31]["loss"]) and np.isnan(row[31]["gradient_norm"]) and np.isnan(row[32]["loss"])
    assert row[30]["non_finite"] == 0 < row[31]["non_finite"]
    assert recorder.dead_layers["logits.weight"] == 0  # one step after: the unit and all below it
    assert recorder.dead_layers["dense.bias"] == pytest.approx(1 / 512)
    assert recorder.dead_layers["features.0.weight"] == 1


def test_the_explicit_op_survives_the_same_zero():
    trainer = Trainer(a_run("beta-scaled"), small_data.pair())
    plant_a_zero(trainer)
    for _ in range(20):
        trainer.step()
    assert trainer.recorder.first_non_finite_gradient is None and trainer.recorder.totals["zeros"] >= 16
    assert not trainer.divergence


@pytest.mark.parametrize("variant", ["cnn", "cnn-fused"])
def test_expected_zeros_are_found(variant):
    """Zeros counted against zeros expected, where both are many: large biases, and as large a part of the sum against them."""
    net = Network("lite", variant, (1, 8, 8), 10, Generator(0), Generator(1))
    rng = np.random.default_rng(0)
    net.dense.bias.data[...] = rng.uniform(200, 2000, size=512)
    net.dense.weight.data[-1] = -net.dense.bias.data  # times a feature that is always 1
    net.features, net.image_shape = md.nn.Sequential(), (32,)  # it is given features
    recorder, counter = StepRecorder(10), ZeroCounter(net, "cpu")
    recorder.watch(net)
    totals = {"zeros": 0, "expected_zeros": 0.0}
    for _ in range(20):
        features = rng.normal(size=(400, 32)).astype("float32")
        features[:, -1] = 1
        net(md.Tensor(features))
        row = _look_at(**recorder.seen)
        for name in totals:
            totals[name] += row[name]
    assert totals["expected_zeros"] > 25
    assert abs(totals["zeros"] - totals["expected_zeros"]) < 4 * math.sqrt(totals["expected_zeros"])  # Poisson
    columns = counter.columns()
    assert columns["zeros"] == totals["zeros"]
    assert (
        abs(columns["lattice_zeros"] - totals["expected_zeros"]) < 0.1 * totals["expected_zeros"]
    )  # without waiting for zeros


def test_what_lies_on_the_lattice():
    """By hand: a spacing of 2^-23 at a bias of 1, and so 2,000 of them reach to 2,000 * 2^-23."""
    net = Network("lite", "beta", (1, 8, 8), 10, Generator(0), Generator(1))
    net.dense.bias.data[...] = 1
    counter = ZeroCounter(net, "cpu")
    edge = np.float32(2_000 * 2.0**-23)
    z = np.full((2, 512), 5, dtype="float32")
    z[0, :6] = 0, -0.0, edge, -edge, np.nextafter(edge, np.float32(1)), np.nan
    net.hidden(md.Tensor(z))
    assert counter.columns() == {"zeros": 2, "lattice_zeros": 4 / 4001}
    net.eval()
    net.hidden(md.Tensor(z))  # measuring is not training
    assert counter.columns()["zeros"] == 2
    other = ZeroCounter(net, "cpu")
    other.load_state_dict(json.loads(json.dumps(counter.state_dict())))
    assert other.columns() == counter.columns()


def test_what_is_added_last():
    make = lambda variant: Network("lite", variant, (1, 8, 8), 10, Generator(0), Generator(1))  # noqa: E731
    plain, fused, normed = make("beta"), make("beta-fused"), make("beta-batchnorm")
    assert plain.added_last is plain.dense.bias.data and normed.added_last is normed.norm.bias.data
    fused(md.Tensor(np.ones((2, 1, 8, 8), dtype="float32")))
    assert fused.added_last.shape == (2, 512)


@pytest.mark.parametrize("planted", [False, True])
def test_a_break_changes_nothing(tmp_path, planted):
    def steps(trainer, count):
        for _ in range(count):
            trainer.step()

    whole, broken = (Trainer(a_run(checkpoint_every=5), small_data.pair(), None, tmp_path / name) for name in "ab")
    for trainer in (whole, broken):
        if planted:
            plant_a_zero(trainer)
    steps(whole, 30)
    steps(broken, 15)
    broken.save()
    again = Trainer(a_run(checkpoint_every=5), small_data.pair(), None, tmp_path / "b")
    steps(again, 15)
    assert json.dumps(again.recorder.state_dict()) == json.dumps(whole.recorder.state_dict())


def test_it_is_written_beside_the_history(tmp_path):
    folder = tmp_path / "experiment"
    (folder / "history").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    run = a_run(iterations=25)
    record = carry_out(run, folder, small_data.pair())
    assert record["recorded"]["totals"]["values"] == 25 * 16 * 512
    with grid.steps_path(folder, run).open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(STEP_COLUMNS) and rows[-1]["iteration"] == "25"


def test_bad_numbers_of_steps():
    for value in (-1, 1.5):
        with pytest.raises(ArgumentError, match="bad record_steps"):
            dataclasses.replace(a_run(), record_steps=value)


@pytest.mark.parametrize("variant", ["beta-scaled", "beta-scaled-composed-fused-swallow-clip_norm=.5"])
def test_the_same_record_on_both_libraries(cupy, variant):
    """The stand-in refuses what CuPy does not have, np.spacing among it."""
    rows = {}
    for device in ("cpu", "cuda"):
        trainer = Trainer(a_run(variant, device=device), small_data.pair())
        for _ in range(3):
            trainer.step()
        rows[device] = list(trainer.recorder.rows)
    for ours, theirs in zip(rows["cpu"], rows["cuda"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-12)


def test_a_checkpoint_from_before_there_was_a_recorder(tmp_path, monkeypatch):
    """It can be resumed as a run that records nothing, but not as one that does."""
    path = tmp_path / "old"
    run = dataclasses.replace(a_run("cnn"), record_steps=0)
    old = Trainer(run, small_data.pair(), None, path)
    old.step()
    identity = {name: value for name, value in old._identity().items() if name != "record_steps"}
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_identity", lambda self: identity)
        old.save()
    assert Trainer(run, small_data.pair(), None, path).iteration == 1
    with pytest.raises(StateError, match="record_steps=10"):
        Trainer(a_run("cnn"), small_data.pair(), None, path)
