"""The ledger: its intervals, its verdicts, that it is what the stored runs say, and that it notices what they do not."""

from __future__ import annotations

import csv
import json
import math
import pathlib
import re
import shlex
import shutil

import made_up
import numpy as np
import pytest
import small_data
from click.testing import CliRunner

import minidrop as md
from minidrop import datasets
from minidrop.command import main as minidrop
from minidrop.command.reproduce import _plan, reproduce_command
from minidrop.errors import DataError
from minidrop.paper.claims import logs, rules, write
from minidrop.paper.claims.course import dead_units
from minidrop.paper.claims.crash import judge_drop_rate, judge_happening
from minidrop.paper.claims.evidence import Evidence, command_of, peak, seeds_text
from minidrop.paper.claims.gate import WHY_FAR, gate_claims, judge_gate
from minidrop.paper.claims.intervals import Interval, of_count, of_mean, of_share, smallest_p
from minidrop.paper.claims.ledger import VERDICTS, decide
from minidrop.paper.claims.lost import lost_claims
from minidrop.paper.claims.runs import GATE, LONG, command
from minidrop.paper.claims.tables import experiment
from minidrop.paper.claims.write import SECTIONS, claims_text, in_short
from minidrop.paper.claims.zeros import judge_life
from minidrop.paper.history import rows_as_csv
from minidrop.paper.reproduce.grid import Grid, read_grid
from minidrop.paper.reproduce.published import LOGS, TABLES, read_logs
from minidrop.paper.reproduce.table import title
from minidrop.paper.variants import VARIANTS

ROOT = pathlib.Path(md.__file__).parent.parent
RESULTS = ROOT / "lessons" / "results"

if not RESULTS.exists():
    pytest.skip("minidrop is installed without its checkout", allow_module_level=True)

EVIDENCE = Evidence(RESULTS)


# Intervals ------------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_tables():
    low, high = of_mean([1.0, 2.0, 3.0])[1:]
    assert math.isclose(high - 2, 4.3027 / math.sqrt(3), rel_tol=1e-4) and math.isclose(2 - low, high - 2)
    assert of_mean([5.0]) == (5, -math.inf, math.inf)
    assert [round(x, 4) for x in of_share(0, 8)] == [0, 0, 0.3694] and [round(x, 4) for x in of_share(3, 8)] == [
        0.375,
        0.0852,
        0.7551,
    ]
    assert [round(x, 2) for x in of_count(0)] == [0, 0, 3.69] and [round(x, 2) for x in of_count(10)] == [10, 4.80, 18.39]
    assert smallest_p(5) == 0.0625
    assert 2 in Interval(1, 0, 3) and 4 not in Interval(1, 0, 3) and "x" not in Interval(1, 0, 3)
    assert (
        Interval(0.98, 0.9, 1.2).within(0, 1).text(2) == "0.98 (0.90 to 1.00)"
        and Interval(1, -1, 2).text(0, signed=True) == "+1 (-1 to +2)"
    )


def test_a_95_percent_interval_holds_the_truth_95_times_in_100():
    samples = np.random.default_rng(0).normal(3, 2, (2000, 5))
    inside = sum(3 in of_mean(list(sample)) for sample in samples)
    assert 0.935 < inside / 2000 < 0.965


# Verdicts, on made-up runs --------------------------------------------------------------------------------------------


def test_a_verdict_is_one_of_three_and_never_two():
    assert [decide(True, False), decide(False, True), decide(False, False)] == list(VERDICTS)
    with pytest.raises(AssertionError):
        decide(True, True)


def every_claim(evidence):
    return {claim.key: claim for _, claims in SECTIONS for claim in claims(evidence)}


@pytest.fixture
def results(tmp_path):
    """A copy of the stored runs but for those at full length, to add made-up ones to."""
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns(*LONG))
    return tmp_path / "results"


def tables(results, level, spread=0.001, climb=5_000, seeds=3):
    """Made-up runs at full length, both tables: each network climbs to level[dataset][variant], seeds `spread` apart."""
    for name in ("mnist-table", "cifar10-table", "cifar10-table-plain"):
        dataset = name.split("-")[0]
        asked = grid_of(command(name))
        variants = asked.variants

        def rows(run, dataset=dataset, iterations=asked.run.iterations):
            goal = level[dataset][run.variant] + spread * (run.seed - 1)
            speed = climb[run.variant] if isinstance(climb, dict) else climb
            return made_up.every_thousand(iterations, lambda i: goal * (1 - math.exp(-i / speed)))

        made_up.experiment(
            results / name,
            rows,
            dataset=dataset,
            network="published",
            variants=variants,
            iterations=asked.run.iterations,
            seeds=seeds,
        )
    return Evidence(results)


def published(dataset):
    return {variant: EVIDENCE.logs["rows"][dataset][variant]["window_mean"] for variant in VARIANTS}


def as_published(**changes):
    """The levels of the published runs, with some changed: as_published(cifar10={"cnn": 0.6})."""
    return {dataset: published(dataset) | changes.get(dataset, {}) for dataset in ("cifar10", "mnist")}


def test_the_rows_of_the_tables_come_out_three_ways(results):
    evidence = tables(results, as_published(cifar10={"cnn": 0.60}, mnist={"beta": 0.9}))
    claims = every_claim(evidence)
    verdicts = {key: claim.verdict for key, claim in claims.items() if key.startswith("table-")}
    wrong = {"table-i-cnn", "table-ii-beta"}
    repeated = {"table-i-beta"}  # its published repeats are farther apart than the half-width that is asked for
    assert {key for key, verdict in verdicts.items() if verdict == "not reproduced"} == wrong
    assert {key for key, verdict in verdicts.items() if verdict == "undecided"} == repeated
    assert all(claims[key].seeds == "0 to 2" for key in verdicts)
    assert claims["table-i-cnn"].number.startswith("published 0.7171; one more run of ours 0.60")


def test_one_lost_class_does_not_decide_a_table(results):
    """A run without a digit lies ten points low: judged by the others, it is named, and all runs stand beside."""
    tables(results, as_published(), seeds=4)
    path = results / "mnist-table" / "history" / "cnn_seed1.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    for row in rows:
        row |= {"accuracy": float(row["accuracy"]) - 0.1, "lost_classes": 1}
    path.write_text(rows_as_csv(rows[0], rows))
    claims = every_claim(Evidence(results))
    for key in ("table-ii-cnn", "table-ii-beta", "table-ii-dropout"):
        assert claims[key].verdict == "reproduced", key
    assert claims["table-ii-cnn"].seeds == "0, 2, 3"
    assert any(
        "left out, for a class was lost in the window: seed 1; with them 0.96" in line
        for line in claims["table-ii-cnn"].details
    )
    ordering = claims["accuracy-cnn-mnist"]
    assert ordering.seeds == "0, 2, 3" and len(ordering.numbers["by_seed"]) == 3 and "seed 1; with them" in ordering.details[1]
    for seed in (0, 2, 3):
        (results / "mnist-table" / "history" / f"cnn_seed{seed}.csv").write_text(path.read_text())
    claim = every_claim(Evidence(results))["table-ii-cnn"]
    assert claim.verdict == "undecided" and claim.number == "every run lost a class in the window"


def test_a_row_is_judged_beside_those_that_are_missing(results):
    """Holm's procedure goes over all five rows: else a verdict would hang on which of them were run first."""
    off = published("cifar10")["dropout"] + 0.005
    tables(results, as_published(cifar10={"dropout": off}), spread=0.001)
    shutil.rmtree(results / "cifar10-table")
    for seed in range(3):
        for ending in ("csv", "json"):
            (results / "cifar10-table-plain" / "history" / f"cnn_seed{seed}.{ending}").unlink()
    claim = every_claim(Evidence(results))["table-i-dropout"]
    assert 0.01 < claim.numbers["p"] < 0.05  # by itself it would be outside
    assert claim.numbers["adjusted"] == pytest.approx(5 * claim.numbers["p"]) and claim.verdict == "undecided"


def test_the_published_logs_as_our_runs_contradict_nothing(results):
    """A perfect repeat may leave a claim undecided; it may not refute it. Their arrivals too are those of the logs."""
    for name, spread in (("mnist-table", 2e-4), ("cifar10-table", 2e-3), ("cifar10-table-plain", 2e-3)):
        asked = grid_of(command(name))
        figures = EVIDENCE.logs["rows"][asked.run.dataset]
        early = {"cnn": 0.7034, "dropout": 0.6950} if asked.run.dataset == "cifar10" else {}  # their logs' means before 54,000

        def rows(run, figures=figures, asked=asked, spread=spread, early=early):
            log, shift = figures[run.variant], spread * (run.seed - 2)
            reached = list(zip(rules.THRESHOLDS[asked.run.dataset], log["arrivals"], strict=True))

            def accuracy(i):
                if i >= log["first"] or (run.variant != "beta-scaled" and i > rules.COMMON[asked.run.dataset] - 20_000):
                    return (
                        early.get(run.variant, log["window_mean"]) + shift if i < log["first"] else log["window_mean"] + shift
                    )
                return max([level for level, at in reached if at is not None and at <= i], default=0.1)

            return made_up.every_thousand(asked.run.iterations, accuracy)

        made_up.experiment(results / name, rows, dataset=asked.run.dataset, network="published", variants=asked.variants,
                           iterations=asked.run.iterations, seeds=5)  # fmt: skip
    claims = every_claim(Evidence(results))
    keys = [key for key in claims if key.startswith(("table-", "accuracy-", "speed-", "scaling-"))]
    assert len(keys) == 19
    assert [key for key in keys if claims[key].verdict == "not reproduced"] == []
    assert sum(claims[key].verdict == "reproduced" for key in keys) >= 12


def test_rows_whose_seeds_are_far_apart_are_undecided(results):
    claims = every_claim(tables(results, as_published(), spread=0.03))
    assert {claims[key].verdict for key in claims if key.startswith("table-")} == {"undecided"}
    for key in ("table-ii-cnn", "table-i-dropout"):
        low, high = claims[key].numbers["prediction"].interval[1:]
        assert 0 <= low < high <= 1  # no interval of an accuracy leaves 0 to 1


def test_one_seed_decides_no_row_and_no_ordering(results):
    claims = every_claim(tables(results, as_published(cifar10={"cnn": 0.2}), seeds=1))
    keys = [key for key in claims if key.startswith(("table-", "accuracy-", "speed-", "scaling-"))]
    assert {claims[key].verdict for key in keys} == {"undecided"}


def test_a_run_that_ends_before_the_cut_does_not_count(results):
    before = every_claim(Evidence(results))["table-ii-cnn"]
    assert before.number.startswith("not yet run to iteration 106,000") and before.verdict == "undecided"
    assert "minidrop reproduce --dataset mnist --network published --iterations 106000" in before.commands[0]


def test_the_primary_orderings_of_accuracy_come_out_both_ways(results, tmp_path):
    """As the paper has them, and the other way."""
    told = {
        "cifar10": {"cnn": 0.711, "dropout": 0.74, "alpha": 0.7, "beta": 0.68, "beta-scaled": 0.71},
        "mnist": {"cnn": 0.98, "dropout": 0.9885, "alpha": 0.98, "beta": 0.975, "beta-scaled": 0.9884},
    }
    turned = {
        "cifar10": {"cnn": 0.75, "dropout": 0.68, "alpha": 0.7, "beta": 0.73, "beta-scaled": 0.71},
        "mnist": {"cnn": 0.99, "dropout": 0.95, "alpha": 0.98, "beta": 0.99, "beta-scaled": 0.98},
    }
    shutil.copytree(results, tmp_path / "turned")
    accuracy = [f"{what}-{dataset}" for what in ("accuracy-dropout", "accuracy-cnn", "scaling") for dataset in told]
    for level, where, verdict in ((told, results, "reproduced"), (turned, tmp_path / "turned", "not reproduced")):
        claims = every_claim(tables(where, level, 1e-4))
        assert {key: claims[key].verdict for key in accuracy} == dict.fromkeys(accuracy, verdict)
        assert all("primary, p by Holm over all nine" in claims[key].details[0] for key in accuracy)
        assert "secondary" in claims["cnn-over-alpha"].details[0]


def test_speed_figure_4_and_their_contraries(results, tmp_path):
    fast = {"cnn": 9_000, "dropout": 9_000, "alpha": 4_000, "beta": 4_000, "beta-scaled": 4_000}
    slow = {"cnn": 4_000, "dropout": 4_000, "alpha": 9_000, "beta": 9_000, "beta-scaled": 9_000}
    level = {dataset: dict.fromkeys(VARIANTS, value) for dataset, value in (("cifar10", 0.73), ("mnist", 0.993))}
    shutil.copytree(results, tmp_path / "slow")
    quick = every_claim(tables(results, level, 1e-4, fast))
    slower = every_claim(tables(tmp_path / "slow", level, 1e-4, slow))
    for key in ("speed-dropout-cifar10", "speed-cnn-cifar10", "speed-dropout-mnist", "alpha-sooner", "figure-4"):
        assert (quick[key].verdict, slower[key].verdict) == ("reproduced", "not reproduced"), key
    whole_curve = quick["speed-dropout-cifar10"].table
    assert len(whole_curve) == 1 + len(rules.THRESHOLDS["cifar10"]) and whole_curve[1][0] == "0.40"


def test_figure_4_is_undecided_where_one_window_is(results):
    """Sooner up, and then level with dropout."""

    def rows(run):
        ahead = 0.05 if run.variant == "beta-scaled" else 0.0
        noise = 0.02 * (run.seed - 1) * (run.variant == "beta-scaled")
        return made_up.every_thousand(60_000, lambda i: 0.6 + (ahead if i <= 10_000 else -ahead / 5 + noise))

    made_up.experiment(results / "cifar10-table", rows, dataset="cifar10", network="published",
                       variants=("dropout", "beta-scaled"), iterations=60_000, seeds=3)  # fmt: skip
    claim = every_claim(Evidence(results))["figure-4"]
    assert claim.verdict == "undecided" and claim.numbers["differences"][10_000].low > 0


@pytest.mark.parametrize(
    ("silent", "back", "verdict"),
    [
        ((300, 100), (0, 30), "reproduced"),
        ((300, 0), (0, 0), "reproduced"),  # nothing of beta's is below 0, and so nothing can come back
        ((100, 300), (0, 30), "not reproduced"),
        ((300, 100), (90, 1), "undecided"),
        ((100, 100), (0, 30), "undecided"),
    ],
)
def test_dead_units_come_out_three_ways(results, silent, back, verdict):
    def rows(run):
        place = int(run.variant == "beta")
        count = silent[place] + run.seed * (1 - 2 * place) if silent[place] else 0
        return made_up.every_thousand(
            30_000, lambda i: 0.7, below_zero=lambda i: count, came_back=lambda i: back[place] + run.seed % 2 if count else 0
        )

    without(results, "published", "cifar10")
    made_up.experiment(results / "made-up", rows, dataset="cifar10", network="published", variants=("cnn", "beta"),
                       iterations=30_000, seeds=4)  # fmt: skip
    claim = dead_units(Evidence(results), "cifar10")
    assert claim.verdict == verdict and f"CNN {silent[0] + 1.5:.1f}, beta" in claim.number


def without(results, network, dataset):
    """Take the stored runs of a network on a dataset out of a copy, so that made-up ones stand alone."""
    for stored in Evidence(results).experiments.values():
        if (stored.settings["network"], stored.settings["dataset"]) == (network, dataset):
            shutil.rmtree(results / stored.name)


def test_lost_classes_are_counted_by_run_and_the_healthy_stand_beside(results):
    def rows(run):
        if run.seed == 4:
            return made_up.every_thousand(20_000, lambda i: 0.1, loss=lambda i: math.nan)  # dead, and so neither
        lost = {0: 0, 1: 2, 2: 1, 3: 0}[run.seed]
        return made_up.every_thousand(
            20_000 + 5_000 * (run.seed == 3),
            lambda i: 0.98 - 0.1 * lost + 1e-4 * run.seed,
            lost_classes=lambda i: lost if run.seed != 2 or i < 10_000 else 0,
        )

    without(results, "published", "mnist")
    made_up.experiment(results / "made-up", rows, dataset="mnist", network="published", variants=("cnn", "cnn-clip_norm=9"),
                       iterations=20_000, seeds=5)  # fmt: skip
    (claim,) = [claim for claim in lost_claims(Evidence(results)) if claim.key == "lost-classes-mnist"]
    found = claim.numbers["cnn"]
    assert (found["runs"], found["dead"], found["ever"], found["back"], found["end"]) == (4, 1, 2, 1, 20_000)
    assert found["rate"] == of_share(1, 4) and 0 <= found["rate"].low < found["rate"].high <= 1
    assert found["healthy"].value == pytest.approx((0.98 + 0.8802 + 0.9803) / 3)  # with the one that came back
    assert found["all"].value == pytest.approx((0.98 + 0.7801 + 0.8802 + 0.9803) / 4)
    assert "cnn-clip_norm=9" not in claim.numbers  # the same histories: the same runs, and no second try
    assert any(line.startswith("5 runs are the same as another one") for line in claim.details)


# The gate -------------------------------------------------------------------------------------------------------------


def gate_of(results, tmp_path, ours, theirs, contrast=None):
    """The claim of a made-up gate on MNIST. ours, theirs, contrast: how many per cent a loss curve lies above another."""

    def rows(shift):
        def of(run):
            noise = np.random.default_rng([run.seed, len(run.variant)])
            return made_up.every_thousand(
                20_000,
                lambda i: 0.9,
                loss=lambda i: math.exp(-i / 9_000) * (1 + shift.get(run.variant, 1.0)) * (1 + 0.01 * noise.standard_normal()),
            )

        return of

    for network in ("published", "described"):
        for dataset in ("mnist", "cifar10"):
            without(results, network, dataset)
    gate = {"dataset": "mnist", "iterations": 20_000, "seeds": 2, "evaluate_every": 1_000}
    made_up.experiment(results / "gate-mnist", rows(ours), network="published", variants=VARIANTS, **gate)
    if contrast is not None:
        made_up.experiment(
            results / "gate-mnist-described", rows(contrast), network="described", variants=("dropout", "beta"), **gate
        )
    lines = ["log,run,iteration,loss,accuracy"]
    for dataset in ("mnist", "cifar10"):
        for key, (log, number) in logs.compared(dataset).items():
            for i in range(1_000, 126_000, 1_000):
                lines.append(f"{log},{number},{i},{math.exp(-i / 9_000) * (1 + theirs.get(key, 1.0))},0.9")
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(lines) + "\n")
    evidence = Evidence(results)
    evidence.logs = logs.derive(path, evidence)
    (claim,) = [claim for claim in gate_claims(evidence) if claim.key == "gate-mnist"]
    return claim


EACH = {"cnn": 0.0, "dropout": 0.3, "alpha": 0.6, "beta": 0.9, "beta-scaled": 1.2}


@pytest.mark.parametrize(
    ("shift", "contrast", "verdict"),
    [
        (0.0, {"dropout": 0.5, "beta": 2.0}, "reproduced"),
        (0.0, {"dropout": 0.3, "beta": 2.0}, "undecided"),  # dropout is on its log there too
        (0.0, None, "undecided"),
        (0.5, {"dropout": 0.3, "beta": 0.9}, "not reproduced"),
        (0.2, {"dropout": 0.9, "beta": 2.0}, "undecided"),  # nearer, but not near
    ],
)
def test_the_gate_tells_networks_apart(results, tmp_path, shift, contrast, verdict):
    ours = {name: level + shift for name, level in EACH.items()}
    claim = gate_of(results, tmp_path, ours, EACH, contrast)
    assert claim.verdict == verdict
    if not shift:
        found = claim.numbers["found"]
        assert all(found[log].nearest == log and found[log].possible == [log] for log in VARIANTS)
    assert len(claim.numbers["close"]) == (0 if shift else 5)


def test_the_gate_can_come_out_three_ways():
    """(published, described, spread) of each row."""
    near, level, far = (0.02, 0.15, 0.03), (0.02, 0.04, 0.03), (0.15, 0.02, 0.03)
    assert [judge_gate(pairs) for pairs in ([near, near], [far, level], [near, level])] == list(VERDICTS)
    assert judge_gate([near, far]) == "undecided"  # one log for each network
    assert judge_gate([]) == "undecided" == judge_gate([(0.1, 0.5, 0.03)])


def test_what_the_gate_says_of_the_log_of_dropout():
    """The figures in its sentences are those of the stored runs."""
    text = WHY_FAR["cifar10 dropout"]
    plain, described = EVIDENCE["cifar10-table-plain"], EVIDENCE["cifar10-described"]
    for stored, variant, iteration, digits in (
        (plain, "cnn", 50_000, 3), (plain, "dropout", 50_000, 3), (described, "dropout", 50_000, 3),
        (plain, "cnn", 110_000, 4), (plain, "dropout", 110_000, 3),
    ):  # fmt: skip
        loss = stored.each_curve(variant)[0][iteration]
        assert f"{loss:.{digits}f}".removeprefix("0") in text, (stored.name, variant, iteration)


def test_logs_json_that_is_older_than_the_runs(results):
    derived = json.loads((results / "logs.json").read_text())
    for change in (lambda gate: gate["mnist"].pop("published"), lambda gate: gate["mnist"]["published"]["cnn"]["cnn"].pop("0")):
        changed = json.loads(json.dumps(derived))
        change(changed["gate"])
        (results / "logs.json").write_text(json.dumps(changed))
        with pytest.raises(DataError, match="minidrop claims --published"):
            claims_text(Evidence(results))


def test_settings_that_cannot_be_told_apart_stay_possible(results, tmp_path):
    same = {**EACH, "beta": EACH["alpha"]}
    claim = gate_of(results, tmp_path, same, same)
    assert set(claim.numbers["found"]["alpha"].possible) == {"alpha", "beta"}


def test_a_curve_and_its_distance():
    one = {1_000: 2.0, 2_000: 1.0, 3_000: 1.0, 4_000: 0.5}
    other = {2_000: 2.0, 3_000: 0.5, 5_000: 9.0}
    assert logs.distance(one, other) == pytest.approx(math.log(2))
    assert logs.distance(one, {**one, 1_000: 9.0}) == 0  # before 2,000 iterations nothing counts
    with pytest.raises(DataError, match="without a common part"):
        logs.distance(one, {9_000: 1.0})


def test_curves_that_are_none(tmp_path):
    path = tmp_path / "curves.csv"
    for text, problem in (
        ("a,b\n1,2\n", "not published curves"),
        ("log,run,iteration,loss,accuracy\nconv_mnist,0,1000,1,.5\n", "logs are missing"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=problem):
            logs.derive(path, EVIDENCE)


CURVES = ROOT.parent / "shared" / "paper" / "curves.csv"


@pytest.mark.skipif(not CURVES.exists(), reason="the author's logs are not part of this project")
def test_what_is_stored_of_the_logs_is_what_they_say():
    assert (RESULTS / "logs.json").read_bytes() == logs.as_bytes(logs.derive(CURVES, EVIDENCE)), (
        "run: minidrop claims --published"
    )
    for dataset, rows in EVIDENCE.logs["rows"].items():
        for variant, row in rows.items():
            paper = TABLES[dataset][variant]
            if paper.iteration + 1_000 <= row["cut"]:  # the paper's iterations are 1,000 too small
                assert (row["peak"], row["peak_iteration"]) == (
                    pytest.approx(paper.accuracy, abs=9e-4),
                    paper.iteration + 1_000,
                )


@pytest.mark.skipif(not CURVES.exists(), reason="the author's logs are not part of this project")
def test_the_figures_that_explain_a_row_are_those_of_the_logs():
    found = read_logs(CURVES)
    at = {name: {int(row["iteration"]): row for row in found[LOGS["cifar10"][name]]} for name in ("cnn", "dropout")}
    assert [round(at[name][i]["loss"], 3) for i in (50_000,) for name in ("dropout", "cnn")] == [0.210, 0.234]
    assert [round(at[name][110_000]["loss"], 4) for name in ("dropout", "cnn")] == [0.0035, 0.0142]
    assert [round(at[name][2_000]["loss"], 2) for name in ("cnn", "dropout")] == [1.87, 1.70]
    mnist = {int(row["iteration"]): row["accuracy"] for row in found[LOGS["mnist"]["cnn"]]}
    assert [round(mnist[i] - 1e-9, 3) for i in (1_000, 2_000, 3_000)] == [0.556, 0.736, 0.854]


# The crash ------------------------------------------------------------------------------------------------------------


def test_the_claims_on_the_crash_can_come_out_three_ways():
    """On numbers: deaths against zeros to expect; drop rates before a death against those of the living; lives without a zero."""
    assert [judge_happening(*given) for given in ((2, 0.1), (0, 5.0), (0, 0.4))] == list(VERDICTS)
    alive = [0.40, 0.41, 0.39, 0.40]
    dead = [[0.70, 0.71, 0.72, 0.69], [0.41, 0.38, 0.40, 0.42], [0.5, 0.7, 0.2, 0.45]]
    assert [judge_drop_rate(given, alive) for given in dead] == list(VERDICTS)
    assert judge_drop_rate([0.9], alive) == judge_drop_rate([0.9, 0.9], alive[:1]) == "undecided"  # one run is no spread
    expected = [[0.01, 0.03], [5.0, 9.0], [0.5, 0.1], []]
    assert [judge_life(given) for given in expected] == [*VERDICTS, "undecided"]


def test_the_drop_rate_before_a_death_is_read_off_the_runs(results):
    """Seeds 0 to 3 die after 10,500 iterations, with a drop rate that was high just before; 4 to 7 live on."""

    def rows(run):
        return made_up.every_thousand(20_000 if run.seed > 3 else 11_000, lambda i: 0.6,
                                      keep_probability=lambda i: 0.1 + 0.001 * run.seed if i == 10_000 and run.seed <= 3 else 0.6 + 0.01 * run.seed)  # fmt: skip

    def recorded(run):
        dead = 10_500 if run.seed <= 3 else None
        totals = {"zeros": int(run.seed <= 3), "expected_zeros": 0.5, "values": 10}
        return {"first_non_finite_gradient": dead, "totals": totals, "dead_layers": {"dense.bias": 0.1} if dead else {}}

    shutil.rmtree(results / "crash")
    made_up.experiment(results / "crash", rows, recorded, dataset="cifar10", variants=("beta-scaled-composed",),
                       iterations=20_000, seeds=8, record_steps=200, on_divergence="stop")  # fmt: skip
    for path in (results / "crash" / "history").glob("*_seed[0-3].json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "stopped": "diverged", "iteration": 10_500}))
    claims = every_claim(Evidence(results))
    assert claims["crash"].verdict == "reproduced" and claims["crash"].numbers["died"] == [10_500] * 4
    assert claims["crash-drop-rate"].verdict == "reproduced"
    assert claims["crash-drop-rate"].numbers["before"] == pytest.approx([0.9, 0.899, 0.898, 0.897])


def test_mnists_life_is_judged_from_runs_at_full_length_only(results):
    assert every_claim(Evidence(results))["crash-not-mnist"].number == "not yet run at full length"
    verdicts = []
    for per_iteration in (1e-8, 1e-4, 2e-6):
        shutil.rmtree(results / "mnist-table", ignore_errors=True)
        made_up.experiment(
            results / "mnist-table",
            lambda run, rate=per_iteration: made_up.every_thousand(106_000, lambda i: 0.98, lattice_zeros=lambda i: rate * i),
            dataset="mnist", network="published", variants=("beta-scaled",), iterations=106_000, seeds=2,
        )  # fmt: skip
        claim = every_claim(Evidence(results))["crash-not-mnist"]
        verdicts.append(claim.verdict)
        assert claim.numbers["expected"] == pytest.approx([150_000 * per_iteration] * 2)
    assert verdicts == list(VERDICTS)


def edited(folder, changes):
    """All stored runs in a new folder, with other numbers in what some recorded. changes: by the run's name."""
    shutil.copytree(RESULTS, folder)
    for name, recorded in changes.items():
        path = folder / "crash-zero" / "history" / f"{name}.json"
        record = json.loads(path.read_text())
        record["recorded"] |= recorded
        path.write_text(json.dumps(record))
    return Evidence(folder)


def test_one_death_more_takes_a_remedy_off_the_list(tmp_path):
    before = every_claim(EVIDENCE)["crash-interventions"].verdict
    name = "beta-scaled-composed-fused-detach_seed3"
    after = every_claim(edited(tmp_path / "results", {name: {"first_non_finite_gradient": 700}}))["crash-interventions"].verdict
    assert "no gradient through k(z)" in before and "no gradient through k(z)" not in after and "the explicit op" in after


def test_a_death_without_a_zero_speaks_against_the_division(tmp_path):
    eight = [run.run.name for run in EVIDENCE["crash-zero"].of("beta-scaled-composed-fused").values()]

    def dead(zeros):
        return {
            "first_non_finite_gradient": 700,
            "totals": {"zeros": zeros, "expected_zeros": 0.1, "values": 7479296},
        }

    all_by_a_zero = dict.fromkeys(eight, dead(1))
    assert every_claim(edited(tmp_path / "all", all_by_a_zero))["crash-division"].verdict == "reproduced"
    but_one = edited(tmp_path / "but one", all_by_a_zero | {eight[3]: dead(0)})
    assert every_claim(but_one)["crash-division"].verdict == "undecided"


def test_what_the_ledger_has_to_hold():
    claims = every_claim(EVIDENCE)
    rows = {f"table-{number}-{name}" for number in ("i", "ii") for name in VARIANTS}
    primary = {f"{name}-{dataset}" for name, where in rules.PRIMARY.items() for dataset in where}
    assert claims.keys() >= rows | primary | {
        "gate-mnist", "gate-cifar10", "figure-1", "figure-2", "figure-3", "figure-4", "crash", "crash-division", "crash-drop-rate",
        "crash-not-mnist", "zero-rate", "zero-rate-published", "expectation-linear", "compositions", "alike-relu", "why-scaling", "sweep-c",
        "sweep-p_max", "relu", "batchnorm", "granularity", "expectation-dropout", "maximum", "differences-careful",
        "dead-units-cifar10", "dead-units-mnist", "lost-classes-mnist", "lost-classes-cifar10",
    }  # fmt: skip
    for claim in claims.values():
        assert claim.sentence and claim.number and (claim.stored or claim.on) and not re.search(r"\bnan\b", claim.number), (
            claim.key
        )
        waits = "not yet run" in claim.number
        assert not waits or claim.verdict in ("undecided", "not yet run"), claim.key
        assert claim.verdict in VERDICTS or claim.section == "V" or "ours" in claim.section, claim.key


def test_what_waits_for_runs_that_can_carry_it():
    """Taken back: batch norm from two seeds, why scaling helped on MNIST and CIFAR-10, odds of dying in 2018."""
    text = claims_text(EVIDENCE)
    claims = every_claim(EVIDENCE)
    assert "(-inf to +inf)" in claims["batchnorm"].number and "cannot be told" in claims["batchnorm"].verdict  # one seed so far
    assert "MNIST, linear logits: cannot be told" in claims["why-scaling"].verdict
    assert claims["crash-not-mnist"].number.startswith("zeros to expect in 150,000 iterations:")  # by the runs, one so far
    for said in ("that is all of it", "with probability 0.6"):
        assert said not in text


# The stored ledger ----------------------------------------------------------------------------------------------------


def test_the_stored_ledger_is_what_the_stored_runs_say():
    assert (ROOT / "lessons" / "CLAIMS.md").read_text() == claims_text(EVIDENCE), "run: minidrop claims"


def test_a_ledger_that_says_something_else_is_noticed(results):
    path = next((results / "gate-mnist" / "history").glob("dropout_seed0.csv"))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    rows[-1]["accuracy"] = float(rows[-1]["accuracy"]) + 0.001
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert claims_text(Evidence(results)) != claims_text(EVIDENCE)
    derived = json.loads((results / "logs.json").read_text())
    derived["rows"]["mnist"]["cnn"]["window_mean"] += 0.001
    (results / "logs.json").write_text(json.dumps(derived))
    assert in_short(Evidence(results)) != in_short(EVIDENCE)


def test_an_experiment_that_has_only_begun_is_not_evidence(results):
    before = Evidence(results)
    for name, like in (("crash-published", "crash"), ("cifar10-table", "gate-cifar10"), ("mnist-table", "gate-mnist")):
        shutil.copytree(results / like, results / name)
        shutil.rmtree(results / name / "history")
        (results / name / "history").mkdir()
    after = Evidence(results)
    assert claims_text(after) == claims_text(before) and in_short(after) == in_short(before)


def test_a_ledger_without_what_is_stored_of_the_logs(results):
    (results / "logs.json").unlink()
    with pytest.raises(DataError, match=r"nothing is stored of the published logs(.|\n)*--published"):
        claims_text(Evidence(results))


def test_the_command_writes_it_all_or_nothing(tmp_path):
    lessons = tmp_path / "lessons"
    shutil.copytree(RESULTS, lessons / "results")

    def run():
        return CliRunner().invoke(minidrop, ["claims", "--results", str(lessons / "results"), "--out", str(lessons)])

    assert run().exit_code == 0
    assert (lessons / "CLAIMS.md").read_text() == claims_text(EVIDENCE)
    assert (lessons / "results" / "crash.png").read_bytes().startswith(b"\x89PNG")
    (lessons / "CLAIMS.md").unlink()
    shutil.rmtree(lessons / "results" / "crash")
    refused = run()
    assert refused.exit_code == 1 and "no stored experiment 'crash'" in refused.output and not (lessons / "CLAIMS.md").exists()


# Commands -------------------------------------------------------------------------------------------------------------


def grid_of(text):
    """The Grid that a command line asks for, as `minidrop reproduce` reads it."""
    words = shlex.split(text)
    assert words[:2] == ["minidrop", "reproduce"]
    with reproduce_command.make_context("reproduce", words[2:]) as context:
        given = {
            name: value
            for name, value in context.params.items()
            if name not in ("jobs", "scheduler", "out", "resume", "published")
        }
        return _plan(context, given, None, False)


@pytest.mark.parametrize("name", EVIDENCE.experiments)
def test_the_command_of_a_stored_experiment_asks_for_it_again(name):
    stored, asked = read_grid(RESULTS / name), grid_of(EVIDENCE[name].command)
    how = {"checkpoint_every": 0, "cuda_graphs": False}  # on which no number depends
    assert {**asked.settings, **how} == {**stored.settings, **how}


def test_a_command_that_leaves_something_out_is_noticed():
    settings = json.loads((RESULTS / "crash" / "config.json").read_text())["settings"]
    assert grid_of(command_of({**settings, "record_steps": 0})) != grid_of(command_of(settings))
    assert grid_of(command_of({**settings, "network": "published"})).run.network == "published"


@pytest.mark.parametrize("name", GATE)
def test_the_gate_was_run_as_planned(name):
    """Seeds may have been added."""
    planned, stored = grid_of(command(name)), read_grid(RESULTS / name)
    how = {"checkpoint_every": 0, "seeds": 0}
    assert {**planned.settings, **how} == {**stored.settings, **how} and stored.seeds >= planned.seeds


def test_the_long_runs_reach_their_cuts():
    for dataset, cuts in rules.CUTS.items():
        for variant, cut in cuts.items():
            asked = grid_of(command(experiment(dataset, variant)))
            assert asked.run.dataset == dataset and asked.run.network == "published" and variant in asked.variants
            assert asked.run.iterations >= cut
            assert asked.run.protocol.evaluate_every == rules.EVERY and asked.run.protocol.name == "paper"


@pytest.mark.parametrize("name", LONG)
def test_the_commands_that_were_not_yet_run_run_at_small_scale(name, results, monkeypatch):
    """As they stand, but for length, seeds, and data; and the ledger takes up what they leave."""
    asked = grid_of(command(name))
    shape = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}[asked.run.dataset]
    parts = {split: small_data.make(40, shape, split=split) for split in ("train", "test")}
    monkeypatch.setattr(datasets, "load", lambda _name, split, download=False: parts[split])
    words = shlex.split(command(name))[1:]
    replaced = {"--iterations": "2", "--seeds": "1", "--out": str(results / name), "--evaluate-every": "1"}
    words = [replaced.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    done = CliRunner().invoke(minidrop, [*words, "--evaluation-images", "20"])
    assert done.exit_code == 0, done.output
    evidence = Evidence(results)
    assert f"results/{name} " not in write.not_yet_run(evidence) and name in evidence.experiments
    if name not in ("fine", "fine-all"):  # these two are read together
        claims_text(evidence)


# Reading --------------------------------------------------------------------------------------------------------------


def test_reading_stored_runs():
    stored = EVIDENCE["expectation"]
    assert stored.seeds("cnn-linear", "beta") == "0 to 4" and seeds_text([0, 2, 3]) == "0, 2, 3" and seeds_text([]) == "none"
    pairs = stored.pairs("beta-scaled", "beta", peak)
    assert len(pairs) == 5 and math.isclose(pairs[2], peak(stored.of("beta-scaled")[2]) - peak(stored.of("beta")[2]))
    with pytest.raises(DataError, match="nothing to pair"):
        stored.difference("beta", "elu", peak)
    with pytest.raises(DataError, match="no stored experiment 'expectatio'"):
        EVIDENCE["expectatio"]
    assert EVIDENCE.find("nothing", "expectation") is stored and EVIDENCE.find("nothing") is None
    assert Grid.of().run.iterations == 4000


def test_a_learning_rate_or_clipping_of_its_own_is_not_the_papers(results):
    rows = lambda run: made_up.every_thousand(3_000, lambda i: 0.1)  # noqa: E731
    for own in ({}, {"learning_rate": 0.05}, {"clip_norm": 1.0}):
        made_up.experiment(results / "made-up", rows, dataset="mnist", network="published", iterations=3_000,
                           variants=("cnn",), **own)  # fmt: skip
        stored = Evidence(results)["made-up"]
        assert stored.as_the_paper == (not own)
        assert all(f"{name.replace('_', ' ')} {value:g}" in title(stored.config) for name, value in own.items())
        assert all(f"--{name.replace('_', '-')} {value}" in stored.command for name, value in own.items())
        shutil.rmtree(results / "made-up")


def test_runs_that_are_not_as_the_papers_stand_beside_nothing(results):
    """Other images, another protocol, other data: they would quietly take the place of those that are."""

    def longer(run):
        return made_up.every_thousand(30_000, lambda i: 0.5)

    without(results, "published", "mnist")
    common = {"dataset": "mnist", "network": "published", "variants": ("cnn",), "iterations": 30_000, "seeds": 1}
    for name, change in {
        "all": {"evaluation_images": 10_000},
        "careful": {"protocol": "careful"},
        "small": {"network": "lite"},
    }.items():
        made_up.experiment(results / name, longer, **{**common, **change})
        assert not Evidence(results).of_paper("mnist", "cnn")
    made_up.experiment(results / "as-published", longer, **common)
    assert Evidence(results).of_paper("mnist", "cnn")[0][1].name == "as-published"
    made_up.experiment(results / "second", longer, **{**common, "seeds": 2})
    config = json.loads((results / "second" / "config.json").read_text())
    config["dataset"]["train_sha256"] = "2" * 64
    (results / "second" / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="are of different data"):
        Evidence(results).of_paper("mnist", "cnn")


def test_of_several_runs_of_a_seed_the_longest_counts(results):
    short, long = (lambda run, end=end: made_up.every_thousand(end, lambda i: 0.5) for end in (20_000, 30_000))
    common = {"dataset": "mnist", "network": "published", "variants": ("dropout",), "seeds": 1}
    made_up.experiment(results / "a-long-one", long, iterations=30_000, **common)
    made_up.experiment(results / "z-short-one", short, iterations=10_000, **common)
    made_up.experiment(results / "other", long, iterations=30_000, **{**common, "network": "lite"})
    run, stored = Evidence(results).of_paper("mnist", "dropout")[0]
    assert stored.name == "a-long-one" and run.rows[-1]["iteration"] == 30_000


def test_the_crash_is_judged_on_the_published_network_once_it_has_its_seeds(results):
    assert EVIDENCE.crashes.name == ("crash-published" if len(EVIDENCE["crash-published"].runs) >= 3 else "crash")
    shutil.rmtree(results / "crash-published", ignore_errors=True)
    assert Evidence(results).crashes.name == "crash"
    rows = lambda run: made_up.every_thousand(3_000, lambda i: 0.1)  # noqa: E731
    for seeds, name in ((2, "crash"), (3, "crash-published")):
        made_up.experiment(results / "crash-published", rows, dataset="cifar10", network="published", iterations=3_000,
                           variants=("beta-scaled-composed",), seeds=seeds)  # fmt: skip
        assert Evidence(results).crashes.name == name
        shutil.rmtree(results / "crash-published")
