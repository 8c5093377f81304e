"""`minidrop compare`: two experiments side by side, also where the variants of one are those of the other with an option more."""

from __future__ import annotations

import math
import pathlib

import numpy as np
import pytest
from made_up import every_thousand, experiment
from test_reproduce import minidrop

import minidrop as md
from minidrop.errors import ArgumentError
from minidrop.paper.reproduce.compare import compare, pairs

RESULTS = pathlib.Path(md.__file__).parent.parent / "lessons" / "results"


def made_up(folder, level=0.5, iterations=40_000, **settings):
    """An experiment whose accuracies depend on level, variant, seed and iteration."""

    def rows_of(run):
        rng = np.random.default_rng([run.seed, len(run.variant), int(level * 100)])
        return every_thousand(iterations, lambda _iteration: level + 0.1 * rng.random())

    experiment(folder, rows_of, iterations=iterations, **settings)
    return folder


def tail(folder, variant, seed):
    lines = (folder / "history" / f"{variant}_seed{seed}.csv").read_text().splitlines()
    place = lines[0].split(",").index("accuracy")
    return np.mean([float(line.split(",")[place]) for line in lines[-20:]])


def row(printed, name):
    return next(line for line in printed.splitlines() if line.startswith(f"{name}  "))[len(name) :].split()


def test_a_pair_of_experiments(tmp_path):
    left = made_up(tmp_path / "left", 0.5, variants=("cnn", "dropout", "beta"), seeds=3)
    right = made_up(tmp_path / "right", 0.6, variants=("dropout", "cnn"), seeds=2, protocol="careful")
    printed = minidrop("compare", left, right)
    assert "* protocol: paper | careful\n" in printed and "* protocol, shuffle_buffer: 100 | None\n" in printed
    assert "* variants: cnn, dropout, beta | dropout, cnn\n" in printed and "beside" not in printed
    apart = [tail(right, "dropout", seed) - tail(left, "dropout", seed) for seed in (0, 1)]
    cells = row(printed, "CNN with dropout")
    assert cells[2] == f"{np.mean([tail(left, 'dropout', seed) for seed in (0, 1)]):.4f}"
    assert cells[4:] == [f"{np.mean(apart):+.4f}", f"{np.std(apart, ddof=1) / math.sqrt(2):.4f}", "2"]
    assert "the same settings and data" in minidrop("compare", left, left)


def test_one_seed_has_the_standard_error_of_the_evaluation(tmp_path):
    folder = made_up(tmp_path / "one", variants=("cnn",))
    printed, accuracy = minidrop("compare", folder, folder), tail(folder, "cnn", 0)
    assert row(printed, "CNN")[4:] == ["+0.0000", f"{math.sqrt(2 * accuracy * (1 - accuracy) / 1600):.4f}", "1"]
    assert "* with fewer than two seeds in both, the standard error is of the evaluation\n  alone\n" in printed


def test_few_evaluations_have_no_mean_of_the_last_twenty(tmp_path):
    for iterations, shown in ((39_000, False), (40_000, True)):
        folder = made_up(tmp_path / str(iterations), iterations=iterations, variants=("cnn",))
        assert ("+0.0000" in minidrop("compare", folder, folder)) == shown


def test_digits_and_digits_linear():
    """The pair that the pages lay side by side: no name is in both, and each has its like."""
    printed = minidrop("compare", RESULTS / "digits", RESULTS / "digits-linear")
    assert "cnn beside cnn-linear, alpha beside alpha-linear, beta beside beta-linear" in " ".join(printed.split())
    for base in ("cnn", "alpha", "beta"):
        ends = [
            np.mean([tail(RESULTS / folder, variant, seed) for seed in range(3)])
            for folder, variant in (("digits", base), ("digits-linear", f"{base}-linear"))
        ]
        assert row(printed, f"{base}, {base}-linear")[2:5] == [f"{ends[0]:.4f}", f"{ends[1]:.4f}", f"{ends[1] - ends[0]:+.4f}"]


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        (["cnn", "beta"], ["beta", "cnn"], [("cnn", "cnn"), ("beta", "beta")]),
        (["beta", "beta-scaled"], ["beta-linear"], [("beta", "beta-linear")]),  # one option apart, the other two
        (["beta-scaled"], ["beta", "beta-scaled-detach", "alpha"], [("beta-scaled", "beta")]),
        (["beta-scaled"], ["beta-linear", "beta-scaled-detach"], [("beta-scaled", "beta-scaled-detach")]),
        (["cnn", "cnn-batchnorm"], ["cnn"], [("cnn", "cnn")]),
        (["beta-p_max=.9", "beta"], ["beta-linear", "beta-p_max=.9-linear"], [("beta-p_max=.9", "beta-p_max=.9-linear"), ("beta", "beta-linear")]),
        (["cnn"], ["dropout"], []),
    ],
)  # fmt: skip
def test_pairs(left, right, found):
    assert pairs(left, right) == found


def test_nothing_in_common(tmp_path):
    left, right = made_up(tmp_path / "left", variants=("cnn",)), made_up(tmp_path / "right", variants=("alpha-expectation",))
    printed = minidrop("compare", left, right, status=1)
    assert "nothing to compare" in printed and "got: cnn against alpha-expectation" in printed


@pytest.mark.parametrize(("name", "start"), [("x.png", b"\x89PNG"), ("x.PDF", b"%PDF-"), ("x.svg", b"<?xml")])
def test_a_figure_is_of_the_kind_that_its_name_says(name, start, tmp_path):
    folder = made_up(tmp_path / "one", variants=("cnn",))
    other = made_up(tmp_path / "two", 0.7, variants=("cnn-linear",))
    for again in range(2):
        compare(folder, other, tmp_path / f"{again}{name}")
    assert (tmp_path / f"0{name}").read_bytes().startswith(start)
    assert (tmp_path / f"0{name}").read_bytes() == (tmp_path / f"1{name}").read_bytes()  # no date in it


@pytest.mark.parametrize(("name", "problem"), [("x.gif", "no such kind"), ("x", "no such kind"), ("no/x.png", "in no folder")])
def test_another_kind_is_refused_before_any_work(name, problem, tmp_path):
    with pytest.raises(ArgumentError, match=problem):  # the folders are not even read
        compare(tmp_path / "missing", tmp_path / "missing", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_a_and_b_are(tmp_path):
    """Their folders' names, or paths where those are equal; and an unset number is what the protocol says."""
    left = made_up(tmp_path / "plain", variants=("cnn",))
    right = made_up(tmp_path / "lr100", variants=("cnn",), learning_rate=100.0, clip_norm=2.0, evaluation_images=50)
    printed = minidrop("compare", left, right)
    assert printed.startswith("A, plain: Made up: ") and "\nB, lr100: Made up: " in printed
    assert "* learning_rate: as the protocol: 0.01 | 100.0\n" in printed and "* clip_norm: none | 2.0\n" in printed
    assert "* evaluation_images: as the protocol: 1600 | 50\n" in printed
    header = printed[printed.index("\nnetwork") :]
    assert "B-A" in header and header.replace("\n", " ").count("20,") == 3  # the last 20 of A, of B, and B - A
    (tmp_path / "more").mkdir()
    other = made_up(tmp_path / "more" / "plain", variants=("cnn",))
    assert f"A, {left}: Made up" in compare(left, other, width=1_000)
