"""The ledger: its intervals, its verdicts, that it is what the stored runs say, and that it notices what they do not."""

from __future__ import annotations

import csv
import json
import math
import pathlib
import shlex
import shutil

import numpy as np
import pytest
import small_data
from click.testing import CliRunner

import minidrop as md
from minidrop import command, datasets
from minidrop.claims import write
from minidrop.claims.evidence import Evidence, command_of, peak, reaches, seeds_text
from minidrop.claims.intervals import Interval, of_count, of_mean, of_share, smallest_p
from minidrop.claims.ledger import VERDICTS, decide
from minidrop.claims.write import BEGIN, END, FULL_LENGTH, SECTIONS, claims_text, readme_block, with_block
from minidrop.errors import DataError
from minidrop.reproduce.grid import Grid, read_grid

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


# Verdicts -------------------------------------------------------------------------------------------------------------


def test_a_verdict_is_one_of_three_and_never_two():
    assert [decide(True, False), decide(False, True), decide(False, False)] == list(VERDICTS)
    with pytest.raises(AssertionError):
        decide(True, True)


def every_claim(evidence):
    return {claim.key: claim for _, claims in SECTIONS for claim in claims(evidence)}


def copy_with(tmp_path, folder, change):
    """All stored runs, with `change(rows)` applied to each history of `folder`."""
    copy = tmp_path / "results"
    shutil.copytree(RESULTS, copy)
    for path in (copy / folder / "history").glob("*[0-9].csv"):
        rows = list(csv.DictReader(path.read_text().splitlines()))
        change(path.stem, rows)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return copy


def test_a_verdict_turns_with_the_numbers(tmp_path):
    def better(name, rows):
        for row in rows:
            row["accuracy"] = float(row["accuracy"]) - (0.05 if name.startswith("beta-scaled_") else 0)

    before, after = every_claim(EVIDENCE), every_claim(Evidence(copy_with(tmp_path, "mnist-lite", better)))
    assert (
        before["scaled-as-dropout-mnist"].verdict
        == "reproduced"
        != after["scaled-as-dropout-mnist"].verdict
        == "not reproduced"
    )
    changed = {key for key in before if before[key] != after[key] and before[key].number != after[key].number}
    assert changed and all("mnist" in key or key == "why-scaling" for key in changed)


def edited(tmp_path, name, **recorded):
    """All stored runs, with other numbers in what one recorded."""
    copy = tmp_path / "results"
    shutil.copytree(RESULTS, copy)
    path = copy / "crash-zero" / "history" / f"{name}.json"
    record = json.loads(path.read_text())
    record["recorded"] |= recorded
    path.write_text(json.dumps(record))
    return Evidence(copy)


def test_one_death_more_takes_a_remedy_off_the_list(tmp_path):
    before = every_claim(EVIDENCE)["crash-interventions"].verdict
    name = "beta-scaled-composed-fused-detach_seed3"
    after = every_claim(edited(tmp_path, name, first_non_finite_gradient=700))["crash-interventions"].verdict
    assert "no gradient through k(z)" in before and "no gradient through k(z)" not in after and "the explicit op" in after


def test_a_death_without_a_zero_speaks_against_the_division(tmp_path):
    name = "beta-scaled-composed-fused_seed0"
    totals = {"zeros": 0, "expected_zeros": 0.1, "values": 7479296}
    assert every_claim(EVIDENCE)["crash-division"].verdict == "reproduced"
    assert every_claim(edited(tmp_path, name, totals=totals))["crash-division"].verdict == "undecided"


def test_an_experiment_that_has_only_begun_is_not_evidence(tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(RESULTS, copy)
    for name, like in (("crash-full", "crash"), ("cifar10-full", "cifar10-paper"), ("mnist-full", "mnist-paper")):
        shutil.copytree(copy / like, copy / name)
        shutil.rmtree(copy / name / "history")
        (copy / name / "history").mkdir()
    assert claims_text(Evidence(copy)) == claims_text(EVIDENCE) and readme_block(Evidence(copy)) == readme_block(EVIDENCE)


def test_a_run_that_never_gets_there_decides_nothing(tmp_path):
    def late(name, rows):
        for row in rows:
            if name == "dropout_seed0":
                row["accuracy"] = 0.5

    claim = every_claim(Evidence(copy_with(tmp_path, "cifar10-lite", late)))["faster-cifar10"]
    assert claim.verdict == "undecided" and claim.numbers["never"] == [0, 1]
    assert "where both have it" in claim.number


def test_what_the_issue_asks_for_is_there():
    claims = every_claim(EVIDENCE)
    names = ("cnn", "dropout", "alpha", "beta", "beta-scaled")
    rows = {f"table-{number}-{name}" for number in ("i", "ii") for name in names}
    assert claims.keys() >= rows | {
        "faster-cifar10", "faster-mnist", "figure-1", "figure-2", "figure-3", "figure-4", "crash", "crash-division", "expectation-linear",
        "compositions", "alike-relu", "scaled-as-dropout-mnist", "why-scaling", "sweep-c", "sweep-p_max", "relu", "batchnorm", "granularity",
        "expectation-dropout", "maximum", "differences-cifar10", "differences-mnist", "differences-careful",
    }  # fmt: skip
    for claim in claims.values():
        assert claim.sentence and claim.number and (claim.stored or claim.on) and "nan" not in claim.number, claim.key


# The stored ledger ----------------------------------------------------------------------------------------------------


def test_the_stored_ledger_is_what_the_stored_runs_say():
    assert (ROOT / "lessons" / "CLAIMS.md").read_text() == claims_text(EVIDENCE), "run: minidrop claims"
    readme = (ROOT / "README.md").read_text()
    assert readme == with_block(readme, readme_block(EVIDENCE)), "run: minidrop claims"


def test_a_ledger_that_says_something_else_is_noticed(tmp_path):
    def nudge(name, rows):
        rows[-1]["accuracy"] = float(rows[-1]["accuracy"]) + 0.001 * (name == "cnn_seed1")

    other = Evidence(copy_with(tmp_path, "cifar10-lite", nudge))
    assert claims_text(other) != claims_text(EVIDENCE) and readme_block(other) != readme_block(EVIDENCE)


def test_the_command_writes_it_all_or_nothing(tmp_path):
    lessons = tmp_path / "lessons"
    shutil.copytree(RESULTS, lessons / "results")

    def run():
        return CliRunner().invoke(command.main, ["claims", "--results", str(lessons / "results"), "--out", str(lessons)])

    assert run().exit_code == 0
    assert (lessons / "CLAIMS.md").read_text() == claims_text(EVIDENCE)
    assert (lessons / "results" / "crash.png").read_bytes().startswith(b"\x89PNG")
    (lessons / "CLAIMS.md").unlink()
    shutil.rmtree(lessons / "results" / "crash")
    refused = run()
    assert refused.exit_code == 1 and "no stored experiment 'crash'" in refused.output and not (lessons / "CLAIMS.md").exists()


def test_a_readme_without_its_marks():
    for text in ("nothing", BEGIN, f"{END} {BEGIN}"):
        with pytest.raises(DataError, match="no place for the tables"):
            with_block(text, "block")
    assert with_block(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\n\nnew\n\n{END} b"


# Commands -------------------------------------------------------------------------------------------------------------


def grid_of(text):
    """The Grid that a command line asks for, as `minidrop reproduce` reads it."""
    words = shlex.split(text)
    assert words[:2] == ["minidrop", "reproduce"]
    with command.reproduce.make_context("reproduce", words[2:]) as context:
        given = {
            name: value
            for name, value in context.params.items()
            if name not in ("jobs", "scheduler", "out", "resume", "published")
        }
        return command._plan(context, given, None, False)


@pytest.mark.parametrize("name", EVIDENCE.experiments)
def test_the_command_of_a_stored_experiment_asks_for_it_again(name):
    stored, asked = read_grid(RESULTS / name), grid_of(EVIDENCE[name].command)
    how = {"checkpoint_every": 0, "cuda_graphs": False}  # on which no number depends
    assert {**vars(asked), **how} == {**vars(stored), **how}


def test_a_command_that_leaves_something_out_is_noticed():
    settings = json.loads((RESULTS / "crash" / "config.json").read_text())["settings"]
    assert grid_of(command_of({**settings, "record_steps": 0})) != grid_of(command_of(settings))
    assert grid_of(command_of({**settings, "network": "paper"})).network == "paper"


@pytest.mark.parametrize("name", FULL_LENGTH)
def test_the_commands_that_were_not_yet_run_run_at_small_scale(name, tmp_path, monkeypatch):
    """As they stand, but for length, seeds, device and data; and the ledger takes up what they leave."""
    asked = grid_of(FULL_LENGTH[name])
    assert asked.network == "paper" and asked.device == "cuda" and asked.iterations >= 120_000
    shape = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}[asked.dataset]
    parts = {split: small_data.make(64, shape, split=split) for split in ("train", "test")}
    monkeypatch.setattr(datasets, "load", lambda _name, split, download=False: parts[split])
    results = tmp_path / "results"
    shutil.copytree(RESULTS, results)
    words = shlex.split(FULL_LENGTH[name])[1:]
    replaced = {"--iterations": "4", "--seeds": "2", "--device": "cpu"}
    words = [replaced.get(before, word) for before, word in zip(["", *words], words, strict=False) if word != "--cuda-graphs"]
    done = CliRunner().invoke(command.main, [*words, "--out", str(results / name)])
    assert done.exit_code == 0, done.output
    evidence = Evidence(results)
    assert f"results/{name}\n" not in write.not_yet_run(evidence) and f"`results/{name}`" in claims_text(evidence).replace(
        f"`{name}`", f"`results/{name}`"
    )
    if name in ("mnist-full", "cifar10-full"):
        for claim in every_claim(evidence).values():
            if claim.key.startswith("table-i") and evidence[name] in claim.stored:
                assert claim.verdict in ("reproduced", "not reproduced") and claim.seeds == "0 to 1"


# Reading --------------------------------------------------------------------------------------------------------------


def test_reading_stored_runs():
    stored = EVIDENCE["mnist-lite"]
    assert stored.seeds("cnn", "dropout") == "0 to 4" and seeds_text([0, 2, 3]) == "0, 2, 3" and seeds_text([]) == "none"
    run = stored.of("dropout")[0]
    first = reaches(0.97)(run)
    assert all(row["accuracy"] < 0.97 for row in run.rows if row["iteration"] < first) and reaches(1.1)(run) == math.inf
    pairs = stored.pairs("dropout", "cnn", peak)
    assert len(pairs) == 5 and math.isclose(pairs[2], peak(stored.of("dropout")[2]) - peak(stored.of("cnn")[2]))
    with pytest.raises(DataError, match="nothing to pair"):
        stored.difference("dropout", "elu", peak)
    with pytest.raises(DataError, match="no stored experiment 'mnist-lit'"):
        EVIDENCE["mnist-lit"]
    assert EVIDENCE.find("nothing", "mnist-lite") is stored and EVIDENCE.find("nothing") is None
    assert Grid().iterations == 4000
