"""The training loop: what it measures, what it writes, when it stops, on NumPy and on the stand-in for CuPy."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings

import numpy as np
import pytest
import small_data

import minidrop as md
from minidrop import Tensor
from minidrop.errors import ArgumentError, DataError, DeviceError
from minidrop.paper.history import COLUMNS, QUANTILES, Divergence, History, read_history, summarise
from minidrop.paper.measuring import accuracy, all_equal, measure
from minidrop.paper.protocol import CAREFUL, PAPER, normalise
from minidrop.paper.reproduce.grid import Grid
from minidrop.paper.training import Run, Trainer, train


def protocol(base=PAPER, **changes):
    return dataclasses.replace(base, **{"evaluate_every": 20, **changes})


def a_run(variant="cnn", iterations=40, **options):
    return Run("small", "lite", variant, options.pop("seed", 0), iterations, options.pop("protocol", protocol()), **options)


# What it does ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["cnn", "dropout", "beta-scaled"])
def test_it_learns(variant):
    result = train(a_run(variant, 400, protocol=protocol(CAREFUL, learning_rate=0.1)), small_data.pair())
    assert result.stopped is None and result.iteration == 400 and not result.divergence
    assert result.test_accuracy > 0.95
    losses = [row["loss"] for row in result.history.rows]
    assert losses[-1] < 0.5 < 2 < losses[0]


def test_a_step_is_plain_gradient_descent():
    trainer = Trainer(a_run(), small_data.pair())
    reference = Trainer(a_run(), small_data.pair())
    x, labels = next(reference.batches)
    loss = md.functional.softmax_cross_entropy(reference.network(Tensor(x)), labels)
    loss.backward()
    assert trainer.step() == pytest.approx(float(loss.data))
    for p, q in zip(trainer.network.parameters(), reference.network.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data - np.float32(0.01) * q.grad)


def test_loss_is_the_mean_since_the_last_row_and_rows_come_on_time():
    losses = []
    trainer = Trainer(a_run(iterations=50), small_data.pair())
    result = trainer.run_to_the_end(on_step=lambda trainer: losses.append(trainer.last_loss))
    rows = result.history.rows
    assert [row["iteration"] for row in rows] == [20, 40, 50]  # and at the end
    assert [row["loss"] for row in rows] == pytest.approx([np.mean(losses[:20]), np.mean(losses[20:40]), np.mean(losses[40:])])
    assert all(a["seconds"] < b["seconds"] for a, b in itertools.pairwise(rows))


@pytest.mark.parametrize("variant", ["cnn", "dropout", "alpha", "beta-scaled"])
def test_what_a_row_says_is_true(variant):
    """Every measured column against the plain formula, over all evaluation images at once."""
    trainer = Trainer(a_run(variant, protocol=protocol(evaluation_images=50, evaluation_buffer=None)), small_data.pair())
    for _ in range(20):
        trainer.step()
    trainer.evaluate(0.0)
    (row,) = trainer.history.rows
    test = small_data.pair()[1].part(slice(50))
    network = trainer.network.eval()
    z, hidden, logits = (t.data for t in network.stages(Tensor(normalise(test.images, trainer.mean, 255))))
    assert row["accuracy"] == np.mean(logits.argmax(axis=1) == test.labels)
    assert row["dead_dense"] == pytest.approx(np.mean((hidden == 0).all(axis=0)))
    assert row["dead_logits"] == pytest.approx(np.mean((logits == 0).all(axis=0)))
    assert row["largest_z"] == pytest.approx(np.abs(z).max(), rel=1e-6)
    keep = {"cnn": 1, "dropout": 0.5, "alpha": np.where(z < 0, 1 + 0.8 * z, 1), "beta-scaled": np.where(z < 0, 0.2, 1)}[variant]
    assert np.abs(z).max() < 1  # otherwise the formulas of this line would differ
    assert row["keep_probability"] == pytest.approx(np.mean(np.broadcast_to(keep, z.shape)), rel=1e-5)
    mean = network.answer(Tensor(z * keep)) if variant == "alpha" else Tensor(logits)
    assert row["accuracy_expectation"] == pytest.approx(np.mean(mean.data.argmax(axis=1) == test.labels), abs=0.021)
    for label in range(10):
        of_class = test.labels == label
        assert row[f"images_{label}"] == of_class.sum()
        assert row[f"right_{label}"] == (logits.argmax(axis=1) == test.labels)[of_class].sum()
    lost = [label for label in range(10) if label in test.labels and not logits[test.labels == label, label].any()]
    assert row["lost_classes"] == len(lost)
    assert [row[name] for name in QUANTILES] == pytest.approx(np.quantile(z, [0.01, 0.1, 0.5, 0.9, 0.99]).tolist(), rel=1e-5)
    assert row["below_zero"] == (z < 0).all(axis=0).sum() and row["came_back"] == 0
    assert row["norm_conv2"] == pytest.approx(np.linalg.norm(network.features.layers[3].weight.data), rel=1e-6)
    assert row["norm_dense"] == pytest.approx(np.linalg.norm(network.dense.weight.data), rel=1e-6)
    assert row["norm_logits"] == pytest.approx(np.linalg.norm(network.logits.weight.data), rel=1e-6) and row["norm_conv3"] == 0
    gradients = np.concatenate([p.grad.ravel() for p in network.parameters()]).astype("float64")
    assert row["gradient_norm"] == pytest.approx(np.linalg.norm(gradients), rel=1e-6)
    assert (
        tuple(row) == tuple(COLUMNS)
        and list(COLUMNS)[:3] == ["iteration", "loss", "accuracy"]
        and list(COLUMNS)[-1] == "seconds"
    )


def test_dead_units_are_counted():
    trainer = Trainer(a_run(), small_data.pair())
    trainer.network.dense.bias.data[:128] = -1000  # a quarter of 512
    trainer.network.logits.bias.data[:3] = -1000
    measured, below_zero = measure(trainer.network, small_data.pair()[1], trainer.mean, "cpu")
    assert measured["lost_classes"] >= 3 and measured["right_1"] == measured["right_2"] == 0
    assert measured["below_zero"] == below_zero.sum() >= 128 and below_zero[:128].all()
    assert 0.25 <= measured["dead_dense"] < 0.6 and 0.3 <= measured["dead_logits"] < 0.9
    assert measured["largest_z"] > 900


def test_a_lost_class_is_one_whose_own_images_have_nothing_of_it():
    """Ten equal zeros count as class 0, so right answers do not show it; other classes' images may have its logit."""
    trainer = Trainer(a_run(), small_data.pair())
    network, test = trainer.network, small_data.pair()[1]
    network.logits.weight.data[:] = 0
    network.logits.bias.data[:] = -1  # now all are lost
    row = measure(network, test, trainer.mean, "cpu")[0]
    assert row["lost_classes"] == 10 and row["right_0"] == row["images_0"] > 0 == row["right_3"]
    network.logits.bias.data[4] = 1
    row = measure(network, test, trainer.mean, "cpu")[0]
    assert row["lost_classes"] == 9 and row["right_4"] == row["images_4"] and row["right_0"] == 0
    network.relu_logits = False
    assert measure(network, test, trainer.mean, "cpu")[0]["lost_classes"] == 0  # -1 is not 0: without a ReLU none is lost


def test_units_that_come_back_are_counted():
    trainer = Trainer(a_run(), small_data.pair())
    bias = trainer.network.dense.bias.data
    before = trainer.evaluator(20, regular=True)
    bias[:100] -= 1000
    down = trainer.evaluator(40, regular=True)
    assert before["came_back"] == 0 and down["came_back"] <= before["below_zero"] <= down["below_zero"] - 40
    bias[:30] += 2000
    extra = trainer.evaluator(50, regular=False)
    assert extra["came_back"] == 30
    assert trainer.evaluator(60, regular=True)["came_back"] == 30  # an extra measurement changes no state
    assert trainer.evaluator(80, regular=True)["came_back"] == 0


def test_the_evaluation_images_depend_on_seed_and_iteration_alone():
    def make(variant, seed=0):
        return Trainer(a_run(variant, seed=seed, protocol=protocol(evaluation_images=20)), small_data.pair())

    counts = lambda row: [row[f"images_{label}"] for label in range(10)]  # noqa: E731
    one, other = make("cnn"), make("beta-scaled")
    first = counts(one.evaluator(20, True))
    for _ in range(3):
        other.step()
    assert counts(other.evaluator(20, True)) == first == counts(other.evaluator(20, True))
    assert counts(one.evaluator(40, True)) != first != counts(make("cnn", seed=1).evaluator(20, True))
    assert sum(first) == 20 == one.evaluator.images


def test_the_weights_of_the_peak_and_of_the_end_are_kept(tmp_path):
    data = small_data.pair()
    run = a_run("beta-scaled", 110, protocol=protocol(learning_rate=0.1))
    result = train(run, data, tmp_path / "run.csv", tmp_path / "run.safetensors")
    best = max(result.history.rows[:-1], key=lambda row: row["accuracy"])  # the last row, at 110, is an extra one
    peak, end = (md.load(tmp_path / f"run_{which}.safetensors") for which in ("peak", "end"))
    assert (peak["iteration"], end["iteration"]) == (best["iteration"], 110)
    trainer = Trainer(run, data)
    trainer.network.load_state_dict(peak.module)
    assert trainer.evaluator(best["iteration"], True)["accuracy"] == best["accuracy"]
    for name, weights in result.network.state_dict().items():
        np.testing.assert_array_equal(end.module[name], weights)


def test_measuring_changes_nothing():
    trainer = Trainer(a_run("beta-scaled-batchnorm"), small_data.pair())
    trainer.step()
    before, counter = trainer.network.state_dict(), trainer.masks.counter
    measure(trainer.network, small_data.pair()[1], trainer.mean, "cpu")
    assert trainer.masks.counter == counter and trainer.network.training
    assert all(np.array_equal(array, before[name]) for name, array in trainer.network.state_dict().items())


def test_careful_measures_held_out_images_and_the_whole_test_set_at_the_end():
    result = train(a_run(protocol=protocol(CAREFUL)), small_data.pair())
    assert result.evaluation_images == 20
    whole = Trainer(a_run(protocol=protocol(CAREFUL)), small_data.pair())
    whole.network.load_state_dict(result.network.state_dict())
    assert result.test_accuracy == accuracy(whole.network, small_data.pair()[1], whole.mean, "cpu")


@pytest.mark.parametrize("index", ["", ":1"])
def test_every_device_gives_nearly_the_same(library, index):
    if index and library.name == "cupy" and library.xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs a second GPU; there is one")
    device = library.device if library.name == "numpy" else library.device + index
    runs = [a_run("beta-scaled", 20, device=device) for device in (device, "cpu")]
    rows = [train(run, small_data.pair()).history.rows[-1] for run in runs]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)
    assert rows[0]["keep_probability"] == pytest.approx(rows[1]["keep_probability"], rel=1e-4)
    assert rows[0]["gradient_norm"] == pytest.approx(rows[1]["gradient_norm"], rel=1e-3)


@pytest.mark.parametrize("variant", ["cnn", "beta-scaled-batchnorm"])
def test_a_replayed_step_trains_as_one_that_is_run(capturing_cupy, variant, tmp_path):
    """The rows, the generators and the weights; also when it was interrupted and resumed."""
    plain = train(a_run(variant, 40, device="cuda"), small_data.pair())
    run = a_run(variant, 40, device="cuda", cuda_graphs=True, checkpoint_every=20)
    trainers = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that cannot be captured warns
        replayed = train(run, small_data.pair(), on_step=trainers.append)
        half = dataclasses.replace(run, iterations=20)
        train(half, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
        resumed = train(run, small_data.pair(), tmp_path / "run.csv", tmp_path / "run.safetensors")
    assert trainers[-1].descend.graph is not None and trainers[-1].descend.reason is None
    for other in (replayed, resumed):
        for one, row in zip(plain.history.rows, other.history.rows, strict=True):
            assert {**row, "seconds": 0} == pytest.approx({**one, "seconds": 0}, rel=1e-3)
        for name, weights in plain.network.state_dict().items():
            np.testing.assert_allclose(weights.get(), other.network.state_dict()[name].get(), rtol=1e-3, atol=1e-5)


def test_cuda_graphs_without_a_gpu_are_refused():
    with pytest.raises(ArgumentError, match="cuda_graphs without a GPU"):
        a_run(cuda_graphs=True)


# When it goes wrong ---------------------------------------------------------------------------------------------------


def broken_after(steps, how):
    """A trainer that breaks its own weights after this many steps."""

    def on_step(trainer):
        if trainer.iteration == steps:
            how(trainer.network)

    return on_step


def make_nan(network):
    network.dense.weight.data[:] = np.nan


def make_equal(network):
    network.logits.weight.data[:] = -1
    network.logits.bias.data[:] = -1


@pytest.mark.parametrize(("how", "kind"), [(make_nan, "non-finite loss"), (make_equal, "equal logits")])
@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_the_moment_of_divergence_is_recorded(how, kind, policy):
    run = a_run(iterations=60, on_divergence=policy)
    result = train(run, small_data.pair(), on_step=broken_after(25, how))
    moment = result.divergence.moments[kind]
    assert moment["first"] == 26 and kind in str(result.divergence)
    if policy == "stop":
        assert (result.stopped, result.iteration, result.history.rows[-1]["iteration"]) == ("diverged", 26, 26)
        assert moment["steps"] == 1
    else:
        assert (result.stopped, result.iteration, moment["last"], moment["steps"]) == (None, 60, 60, 35)
        last = result.history.rows[-1]["loss"]
        assert math.isnan(last) if kind == "non-finite loss" else last == pytest.approx(math.log(10), abs=1e-6)


def test_all_equal():
    assert all_equal(np.zeros((2, 10)))
    assert all_equal(np.array([[1.0, 1.0], [2.0, 2.0]]))
    assert not all_equal(np.array([[1.0, 1.0], [2.0, 3.0]]))
    assert not all_equal(np.full((2, 10), np.nan))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"iterations": 0}, "iterations"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"on_divergence": "pray"}, "on_divergence"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_bad_settings(options, problem):
    with pytest.raises(ArgumentError, match=problem):
        a_run(**options)


def test_a_gpu_that_is_not_there_is_an_error_before_any_work(tmp_path):
    with pytest.raises(DeviceError):
        train(a_run(device="cuda:7"), small_data.pair(), tmp_path / "run.csv")
    assert not list(tmp_path.iterdir())


# What it writes -------------------------------------------------------------------------------------------------------


def test_history_on_disk_is_what_is_in_memory_at_every_moment(tmp_path):
    seen = []

    def on_step(trainer):
        seen.append(len(read_history(tmp_path / "run.csv")) == len(trainer.history.rows))

    result = train(a_run(), small_data.pair(), tmp_path / "run.csv", on_step=on_step)
    assert all(seen) and read_history(tmp_path / "run.csv") == result.history.rows
    assert (tmp_path / "run.csv").read_text() == result.history.text()


def test_histories_that_are_none(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other\.csv: not a history"):
        read_history(path)
    path.write_text(History().text() + "1,2,x" + ",4" * (len(COLUMNS) - 3) + "\n")
    with pytest.raises(DataError, match="damaged"):
        read_history(path)
    path.write_text("")
    with pytest.raises(DataError, match="not a history"):
        read_history(path)


def test_summary():
    rows = [{"iteration": 10 * i, "accuracy": a} for i, a in enumerate([0.1, 0.9, 0.5, 0.9, 0.3], 1)]
    assert summarise(rows, last=2) == {"peak": 0.9, "peak_iteration": 20, "mean_last": 0.6, "evaluations": 5}


def test_divergence_as_text():
    divergence = Divergence()
    assert not divergence and str(divergence) == "none"
    for iteration in (1500, 1501, 1800):
        divergence.note("equal logits", iteration)
    assert str(divergence) == "equal logits from iteration 1,500 (3 steps, the last at 1,800)"
    assert Divergence(divergence.moments).moments == divergence.moments


def test_a_run_can_be_written_down():
    run = a_run("beta-scaled-detach", protocol=protocol(CAREFUL))
    assert Run.from_dict(run.to_dict()) == run
    assert run.name == "beta-scaled-detach_seed0"


def test_a_learning_rate_is_a_field_of_the_run_that_a_variants_name_can_ask_for():
    fast = dataclasses.replace(PAPER, learning_rate=0.5)
    assert Run().number("learning_rate") == PAPER.learning_rate and Run(protocol=fast).number("learning_rate") == 0.5
    asked = Run(variant="cnn-learning_rate=.05-clip_norm=2", protocol=fast)
    assert (asked.number("learning_rate"), asked.number("clip_norm")) == (0.05, 2.0)
    assert Run(learning_rate=0.1).number("learning_rate") == 0.1 and Run().number("clip_norm") is None
    assert Run.from_dict({k: v for k, v in asked.to_dict().items() if k not in ("learning_rate", "clip_norm")}) == asked
    other = dataclasses.replace(asked, variant="beta-clip_norm=1")  # nothing of the first variant is left
    assert (other.number("learning_rate"), other.number("clip_norm")) == (0.5, 1.0)
    runs = Grid.of(variants=("cnn", "cnn-learning_rate=.05")).runs()
    assert [run.number("learning_rate") for run in runs] == [PAPER.learning_rate, 0.05]
    assert Grid.of(learning_rate=0.5, clip_norm=2.0).runs()[0].number("learning_rate") == 0.5


def test_two_values_for_one_setting_are_refused():
    assert Run(variant="cnn-learning_rate=.05", learning_rate=0.05).number("learning_rate") == 0.05
    with pytest.raises(ArgumentError, match="two values of learning_rate"):
        Run(variant="cnn-learning_rate=.05", learning_rate=0.1)
    with pytest.raises(ArgumentError, match="two values of clip_norm"):
        Grid.of(variants=("cnn", "cnn-clip_norm=1"), clip_norm=2.0)
    for bad in (-1.0, 0, float("nan"), float("inf"), True, "fast"):
        with pytest.raises(ArgumentError, match="Run: bad learning_rate"):
            Run(learning_rate=bad)
    with pytest.raises(ArgumentError, match="Run: bad protocol"):
        Run(protocol="paper")


@pytest.mark.parametrize("variant", ["cnn", "beta-scaled"])
def test_the_learning_rate_that_is_asked_for_is_the_one_that_trains(variant):
    rate = train(a_run(variant, 30, learning_rate=0.3), small_data.pair())
    name = train(a_run(f"{variant}-learning_rate=.3", 30), small_data.pair())
    plain = train(a_run(variant, 30), small_data.pair())
    losses = [[row["loss"] for row in result.history.rows] for result in (rate, name, plain)]
    assert losses[0] == losses[1] != losses[2]
