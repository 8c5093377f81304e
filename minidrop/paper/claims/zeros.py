"""How often an input z of the hidden stage is exactly 0: by formula, by the lattice, counted; and what follows for MNIST."""

from __future__ import annotations

import math
from typing import Any

from ..reproduce.grid import Finished
from .crash import totals
from .evidence import Evidence, Stored, seeds_text
from .intervals import LEVEL, Interval, of_count, of_mean
from .ledger import Claim, decide
from .runs import command
from .tables import TITLE

LIVED = 150_000  # iterations of the published scaled run on MNIST, which did not crash


def zero_claims(evidence: Evidence) -> list[Claim]:
    """The formula for zeros, their rate in the published network, and why MNIST's run may have survived."""
    return [
        _rate([evidence.crashes, evidence["crash-zero"]]),
        _published_rates(evidence),
        _not_on_mnist(evidence),
    ]


def _rate(experiments: list[Stored]) -> Claim:
    rows: list[tuple[str, ...]] = [
        ("", "runs", "values of z", "zeros expected", "zeros met", "95 % interval of the mean count")
    ]
    numbers: dict[str, Any] = {}
    for stored in experiments:
        sums = totals(stored.runs)
        interval = of_count(int(sums["zeros"]))
        numbers[stored.name] = (sums["expected_zeros"], interval)
        rows.append(
            (
                stored.name,
                str(len(stored.runs)),
                f"{sums['values']:,.0f}",
                f"{sums['expected_zeros']:.1f}",
                f"{sums['zeros']:.0f}",
                f"{interval.low:.1f} to {interval.high:.1f}",
            )
        )
    expected = math.fsum(value for value, _ in numbers.values())
    met = of_count(int(math.fsum(interval.value for _, interval in numbers.values())))
    by_seed: dict[int, float] = {}
    for run in (run for stored in experiments for run in stored.runs):
        sums = run.result["recorded"]["totals"]
        by_seed[run.run.seed] = by_seed.get(run.run.seed, 0.0) + sums["zeros"] - sums["expected_zeros"]
    mean = of_mean(list(by_seed.values()))
    off = Interval(*(len(by_seed) * number for number in mean))
    return Claim(
        "zero-rate",
        "ours",
        "How often is z exactly 0? Density of z at 0, times the spacing of floats at what is added last",
        f"expected {expected:.1f}, met {met.value:.0f}; met minus expected {off.text(1, signed=True)}",
        "as predicted" if 0 in off else "not as predicted",
        tuple(experiments),
        seeds_text(sorted(by_seed)),
        details=(
            "the interval is over seeds: runs of one seed share much of their course, so that their zeros are not independent",
        ),
        table=tuple(rows),
        numbers={**numbers, "all": (expected, met), "off": off},
    )


def _scaled(evidence: Evidence, dataset: str) -> dict[int, tuple[Finished, Stored]]:
    return evidence.of_paper(dataset, "beta-scaled")


def rate(run: Finished) -> float:
    """Zeros to expect per iteration, by the lattice, over the second half of a run: the rate settles after the start."""
    half = run.rows[-1]["iteration"] / 2
    early = max((row for row in run.rows if row["iteration"] <= half), key=lambda row: row["iteration"], default=None)
    last = run.rows[-1]
    if early is None:
        return last["lattice_zeros"] / last["iteration"]
    return (last["lattice_zeros"] - early["lattice_zeros"]) / (last["iteration"] - early["iteration"])


def _published_rates(evidence: Evidence) -> Claim:
    """The rate in the published network, as far as it was trained, for every variant with a stored run."""
    rows: list[tuple[str, ...]] = [
        (
            "",
            "network",
            "runs",
            "iterations, all together",
            "zeros expected, by the lattice",
            "zeros met",
            "one zero expected in",
        )
    ]
    numbers: dict[str, tuple[float, int]] = {}
    used: dict[Stored, None] = {}
    for dataset in ("cifar10", "mnist"):
        for variant in ("cnn", "dropout", "alpha", "beta", "beta-scaled"):
            runs = evidence.of_paper(dataset, variant)
            if not runs:
                continue
            used |= dict.fromkeys(stored for _, stored in runs.values())
            ends = [run.rows[-1] for run, _ in runs.values()]
            expected, met = math.fsum(row["lattice_zeros"] for row in ends), sum(int(row["zeros"]) for row in ends)
            late = math.fsum(rate(run) for run, _ in runs.values()) / len(runs)
            numbers[f"{dataset}, {variant}"] = expected, met
            length = sum(int(row["iteration"]) for row in ends)
            every = f"{1 / late:,.0f} iterations" if late else ""
            rows.append((TITLE[dataset], f"`{variant}`", str(len(runs)), f"{length:,}", f"{expected:.3f}", str(met), every))
    all_expected, all_met = math.fsum(one for one, _ in numbers.values()), sum(one for _, one in numbers.values())
    interval = of_count(all_met)
    return Claim(
        "zero-rate-published",
        "ours",
        "How often is z exactly 0 in the published network?",
        f"expected, by the lattice, {all_expected:.2f}, met {all_met} ({interval.low:.1f} to {interval.high:.1f})",
        "as predicted" if all_expected in interval else "not as predicted",
        tuple(used),
        table=tuple(rows),
        on="" if used else "`published` network, `paper` protocol",
        details=(
            "the lattice: how many |z| are at most 2,000 spacings of floats at the bias, divided by 4,001",
            "last column: at the rate of the second half of the runs; runs at full length have to say how it goes on",
            "only the composed gradient of the scaled variant dies of a zero",
        ),
        numbers=numbers,
    )


def judge_life(expected: list[float]) -> str:
    """Zeros to expect in a full run, by run -> the verdict on whether survival was to be expected, by their mean."""
    if not expected:
        return "undecided"
    lives = math.exp(-math.fsum(expected) / len(expected))
    return decide(lives >= LEVEL, lives <= 1 - LEVEL)


def _not_on_mnist(evidence: Evidence) -> Claim:
    """From the lattice, over runs at full length: how probable was it to survive 150,000 iterations on MNIST?"""
    common: dict[str, Any] = {
        "key": "crash-not-mnist",
        "section": "III.B",
        "sentence": f"On MNIST scaled beta did not crash ({LIVED:,} iterations in the log)",
    }
    runs = {seed: found for seed, found in _scaled(evidence, "mnist").items() if found[0].rows[-1]["iteration"] >= 100_000}
    if not runs:
        return Claim(
            **common,
            number="not yet run at full length",
            verdict="undecided",
            on="`published` network, `paper` protocol",
            commands=(command("mnist-table"),),
            details=("one run can be judged only if it had to live, or had to die",),
        )
    expected = [
        run.rows[-1]["lattice_zeros"] + rate(run) * max(0.0, LIVED - run.rows[-1]["iteration"]) for run, _ in runs.values()
    ]
    return Claim(
        **common,
        number=f"zeros to expect in {LIVED:,} iterations: {', '.join(f'{zeros:.2f}' for zeros in expected)}, by seed",
        verdict=judge_life(expected),
        stored=tuple(dict.fromkeys(stored for _, stored in runs.values())),
        seeds=seeds_text(sorted(runs)),
        details=("one run can be judged only if it had to live, or had to die",),
        numbers={"expected": expected},
    )
