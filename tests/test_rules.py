"""The rules of the ledger, on made-up runs: each must be able to say reproduced, not reproduced, and undecided."""

from __future__ import annotations

import math
import pathlib
import subprocess
import types

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import DataError
from minidrop.paper.claims import rules
from minidrop.paper.claims.rules import Sides

ROOT = pathlib.Path(md.__file__).parent.parent


def made_up(level, iterations=106_000, every=1_000, climb=5_000, wobble=0.0, seed=0):
    """A history whose accuracy climbs to `level` within some `climb` iterations."""
    random = np.random.default_rng(seed)
    return [
        {
            "iteration": i,
            "accuracy": level * (1 - math.exp(-i / climb)) + wobble * random.normal(),
            "loss": 2.3 * math.exp(-i / climb) + 0.01,
        }
        for i in range(every, iterations + 1, every)
    ]


# Statistics of a run --------------------------------------------------------------------------------------------------


def test_the_window_has_twenty_evaluations_and_ends_at_the_cut():
    rows = [{"iteration": 1_000 * i, "accuracy": float(i)} for i in range(1, 61)]
    assert rules.window_mean(rows, 54_000) == np.mean(range(35, 55))
    assert rules.window_mean(rows, 60_000) == np.mean(range(41, 61))
    assert rules.window_mean(rows, 61_000) is None and rules.window_mean(rows, 19_000) is None
    assert rules.peak_until(rows, 54_000) == 54
    assert rules.mean_until(rows, 3_000) == 2
    finer = rows + [{"iteration": 1_000 * i + 500, "accuracy": 1e6} for i in range(1, 60)]
    assert rules.window_mean(finer, 54_000) == np.mean(range(35, 55)) and rules.peak_until(finer, 54_000) == 54


def test_losses_are_means_over_the_same_iterations():
    losses = np.random.default_rng(0).random(4_300)

    def rows(every):
        return [{"iteration": i, "loss": losses[max(0, i - every) : i].mean()} for i in range(every, 4_300, every)]

    expected = {end: losses[end - 1_000 : end].mean() for end in (1_000, 2_000, 3_000, 4_000)}
    for every in (1_000, 500, 100, 250):
        assert rules.losses_per_window(rows(every)) == pytest.approx(expected)


# Rows -----------------------------------------------------------------------------------------------------------------


def test_a_prediction_interval_holds_one_more_run_95_times_in_100():
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(2_000):
        table = random.normal(0.7, 0.01, (5, 3))
        spread, degrees = rules.pooled_spread(table)
        assert degrees == 10
        prediction = rules.predict(table[0], spread, degrees)
        inside += abs(random.normal(0.7, 0.01) - prediction.mean) <= prediction.half
    assert 0.935 < inside / 2_000 < 0.965


def test_the_p_of_a_row_and_its_interval_agree():
    values, spread = [0.70, 0.71, 0.72], 0.01
    prediction = rules.predict(values, spread, 10)
    edge = prediction.mean + prediction.half
    assert rules.p_of_row(edge, values, spread, 10) == pytest.approx(0.05)
    assert rules.p_of_row(2 * prediction.mean - edge, values, spread, 10) == pytest.approx(0.05)
    assert rules.p_of_row(0.71, values, spread, 10) == pytest.approx(1)


def verdict_of(published, values, spread, degrees=10, others=0.5):
    """The verdict of a row in a table whose other four rows have p-values of `others`."""
    p = rules.p_of_row(published, values, spread, degrees)
    adjusted = rules.holm({"row": p, **{str(i): others for i in range(4)}})["row"]
    return rules.judge_row(rules.predict(values, spread, degrees), p, adjusted, rules.HALF_WIDTH["cifar10"])


@pytest.mark.parametrize(
    ("published", "spread", "verdict"),
    [(0.712, 0.004, "reproduced"), (0.60, 0.004, "not reproduced"), (0.712, 0.02, "undecided"), (0.60, 0.2, "undecided")],
)
def test_a_row_can_come_out_three_ways(published, spread, verdict):
    assert verdict_of(published, [0.70, 0.71, 0.72], spread) == verdict


def test_outside_the_interval_is_never_reproduced():
    """Holm demands more for 'not reproduced'; in between is undecided."""
    values, spread = [0.70, 0.71, 0.72], 0.004
    prediction = rules.predict(values, spread, 10)
    outside = prediction.mean + 1.1 * prediction.half
    assert 0.02 < rules.p_of_row(outside, values, spread, 10) < 0.05
    assert verdict_of(outside, values, spread) == "undecided"
    assert verdict_of(prediction.mean + 0.99 * prediction.half, values, spread) == "reproduced"


def test_one_run_of_each_row_decides_nothing():
    spread, degrees = rules.pooled_spread([[0.7], [0.6]])
    assert degrees == 0 and math.isnan(spread)
    prediction = rules.predict([0.7], spread, degrees)
    assert prediction.half == math.inf and prediction.interval == (0.7, 0, 1)
    assert rules.judge_row(prediction, *[rules.p_of_row(0.1, [0.7], spread, degrees)] * 2, 0.02) == "undecided"


def test_many_seeds_do_not_make_every_row_fail():
    """The earlier rule asked whether one published run lies in the interval of our mean, which shrinks to nothing."""
    random = np.random.default_rng(1)
    values = random.normal(0.7, 0.005, 400)
    spread, degrees = rules.pooled_spread([values])
    published = 0.7 + 0.006  # an ordinary run
    assert abs(published - values.mean()) > 2 * spread / 20  # outside the interval of the mean
    p = rules.p_of_row(published, values, spread, degrees)
    assert rules.judge_row(rules.predict(values, spread, degrees), p, p, 0.02) == "reproduced"


def test_an_interval_of_an_accuracy_stays_within_0_and_1():
    assert rules.predict([0.99, 0.98], 0.05, 3).interval[1:] == (
        pytest.approx(0.985 - rules.predict([0.99, 0.98], 0.05, 3).half),
        1,
    )


def test_holm():
    assert rules.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert rules.holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0} and rules.holm({}) == {}
    random = np.random.default_rng(0)
    wrong = sum(min(rules.holm(dict(enumerate(random.random(9)))).values()) < 0.05 for _ in range(2_000))
    assert wrong / 2_000 < 0.06  # that one of nine true hypotheses is rejected


# Comparisons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.02, 0.021, 0.019], "reproduced"),
        ([-0.02, -0.021, -0.019], "not reproduced"),
        ([0.02, -0.01, 0.0], "undecided"),
        ([0.02], "undecided"),
    ],
)
def test_an_ordering_can_come_out_three_ways(differences, verdict):
    assert rules.judge(rules.higher(differences)) == verdict


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.001, -0.001, 0.0005, 0.0], "reproduced"),
        ([0.03, 0.031, 0.029, 0.03], "not reproduced"),
        ([-0.03, -0.031, -0.029, -0.03], "not reproduced"),
        ([0.012, 0.0105, 0.0115, 0.010], "undecided"),
        ([0.02, -0.02, 0.01, -0.01], "undecided"),  # a mean of 0 is not yet equal
        ([0.0], "undecided"),
    ],
)
def test_equality_can_come_out_three_ways(differences, verdict):
    assert rules.judge(rules.equal(differences, rules.MARGIN["cifar10"])) == verdict


def test_equality_is_the_interval_within_the_margin():
    """Two one-sided tests at 2.5 % say what the 95 % interval says."""
    from minidrop.paper.claims.intervals import of_mean

    random = np.random.default_rng(0)
    for _ in range(300):
        differences = list(random.normal(random.normal(0, 0.01), 0.004, 5))
        found = of_mean(differences)
        assert (rules.judge(rules.equal(differences, 0.011)) == "reproduced") == (found.low > -0.011 and found.high < 0.011)
        assert (rules.judge(rules.higher(differences)) == "reproduced") == (found.low > 0)


def test_a_family_of_nine_asks_more_of_each():
    alone = Sides(0.01, 0.99)
    family = rules.holm_sides({"this": alone, **{str(i): Sides(0.5, 0.5) for i in range(8)}})
    assert rules.judge(alone) == "reproduced" and rules.judge(family["this"]) == "undecided"
    strong = rules.holm_sides({"this": Sides(0.001, 0.999), "that": Sides(0.999, 0.001)})
    assert [rules.judge(sides) for sides in strong.values()] == ["reproduced", "not reproduced"]
    assert sum(map(len, rules.PRIMARY.values())) == 9


# Speed ----------------------------------------------------------------------------------------------------------------


def leads(ours, theirs, thresholds=rules.THRESHOLDS["cifar10"]):
    return [rules.lead(*(rules.arrivals(rows, thresholds, 54_000) for rows in pair)) for pair in zip(ours, theirs, strict=True)]


def test_speed_can_come_out_three_ways():
    runs = lambda climb, level=0.73: [made_up(level, climb=climb + 500 * seed, wobble=0.003, seed=seed) for seed in range(4)]  # noqa: E731
    floor = 1 / len(rules.THRESHOLDS["cifar10"])
    verdict = lambda a, b: rules.judge(rules.higher(leads(a, b), floor))  # noqa: E731
    fast, slow = runs(4_000), runs(12_000)
    assert verdict(fast, slow) == "reproduced" and verdict(slow, fast) == "not reproduced"
    assert verdict(fast, [*fast[2:], *fast[:2]]) == "undecided"
    assert verdict(fast[:1], slow[:1]) == "undecided"  # one seed


def test_a_run_that_never_arrives_is_last_and_not_missing():
    thresholds = (0.5, 0.6, 0.7)
    good, bad = made_up(0.75), made_up(0.1)
    assert rules.arrivals(bad, thresholds, 54_000) == [math.inf] * 3
    assert leads([good], [bad], thresholds) == [1.0] and leads([bad], [good], thresholds) == [-1.0]
    assert leads([bad], [bad], thresholds) == [0.0] == leads([good], [good], thresholds)
    part = made_up(0.65, climb=1_000)  # quick, and never at .7
    assert leads([part], [good], thresholds) == [pytest.approx((2 - 1) / 3)]


def test_leads_that_are_all_the_same_have_a_spread_all_the_same():
    assert rules.p_above([1.0, 1.0, 1.0], 0) == 0.0
    assert 0 < rules.p_above([1.0, 1.0, 1.0], 0, 1 / 17) < 0.001
    assert rules.judge(rules.higher([1 / 17, 1 / 17, 1 / 17], 1 / 17)) == "undecided"  # one threshold of 17


def test_health_is_that_of_a_window():
    rows = [{"iteration": 1_000 * i, "loss": 1.0, "lost_classes": int(i == 5)} for i in range(1, 11)]
    assert rules.is_healthy(rows, 6_000, 10_000) and rules.is_healthy(rows, 1_000, 4_000)
    assert not rules.is_healthy(rows, 5_000, 5_000) and not rules.is_healthy(rows, 1_000, 10_000)
    rows[7]["loss"] = math.nan  # ten equal or missing logits are no sign of health
    assert not rules.is_healthy(rows, 6_000, 10_000)


def test_losses_that_do_not_fit_into_windows():
    for every in (2_000, 750, 300):
        rows = [{"iteration": i, "loss": 1.0} for i in range(every, 12_001, every)]
        with pytest.raises(DataError, match="distance divides 1,000"):
            rules.losses_per_window(rows)


def test_the_cuts_fit_each_other():
    for dataset, cuts in rules.CUTS.items():
        assert min(cuts.values()) >= rules.COMMON[dataset] >= rules.WINDOW * rules.EVERY
    for name, accuracy in (("cifar10", 0.72), ("mnist", 0.99)):
        assert math.isclose(rules.MARGIN[name], math.sqrt(accuracy * (1 - accuracy) / 1_600), rel_tol=0.03)


# Fixed ----------------------------------------------------------------------------------------------------------------


def rules_at(commit):
    """The module of rules as it was at a commit, or None where there is no such commit here."""
    git = ["git", "-C", str(ROOT), "show", f"{commit}:minidrop/claims/rules.py"]
    try:
        source = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    then = types.ModuleType("minidrop.paper.claims.rules_then")
    then.__package__ = "minidrop.paper.claims"
    source = source.replace("from ..errors", "from ...errors")  # the folder lies deeper now
    exec(compile(source, "rules.py", "exec"), vars(then))
    return then


NUMBERS = ("EVERY", "WINDOW", "SIDE", "CUTS", "COMMON", "HALF_WIDTH", "MARGIN", "THRESHOLDS", "FIGURE_4", "PRIMARY")


def test_the_rules_are_those_of_the_commit_that_fixed_them():
    """No word and no number of them has changed since, so that no long run was seen before its rule."""
    date, commit = rules.FIXED
    then = rules_at(commit)
    if then is None:
        pytest.skip(f"no commit {commit} here: not a checkout, or one without its history")
    moved = then.RULES.replace("minidrop/claims/", "minidrop/paper/claims/")  # the location of the code is not a rule
    assert moved.split() == rules.RULES.split() and date == "2026-11-25"
    for name in NUMBERS:
        assert getattr(then, name) == getattr(rules, name), name


def test_a_rule_that_changed_is_noticed(monkeypatch):
    monkeypatch.setattr(rules, "RULES", rules.RULES.replace("undecided", "reproduced", 1))
    with pytest.raises((AssertionError, pytest.skip.Exception)):
        test_the_rules_are_those_of_the_commit_that_fixed_them()
