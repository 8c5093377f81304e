"""The paper's comparisons of two networks: which scores higher, which converges faster. Five claims are primary (rules.py)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from .evidence import Evidence, Stored, seeds_text
from .intervals import of_mean
from .ledger import Claim
from .rules import (
    COMMON,
    CUTS,
    MARGIN,
    PRIMARY,
    THRESHOLDS,
    Sides,
    arrivals,
    equal,
    higher,
    holm_sides,
    is_healthy,
    judge,
    lead,
    window_mean,
    window_start,
)
from .runs import command
from .tables import experiment

SCALED = "beta-scaled"


class Pair(NamedTuple):
    """Two networks on a dataset: the runs of the seeds for which both reach their cut.

    cuts: the last iterations compared. lost: the seeds with a run that lost a class in its window; `healthy` leaves them out.
    """

    dataset: str
    one: str
    other: str
    cuts: tuple[int, int]
    runs: dict[int, tuple[Finished, Finished]]
    lost: frozenset[int]
    stored: tuple[Stored, ...]

    def differences(self, seeds: Iterable[int]) -> list[float]:
        """The primary statistic, each side in the window before its cut: one - other, by seed."""
        return [
            _mean_of(one, self.cuts[0]) - _mean_of(other, self.cuts[1]) for one, other in (self.runs[seed] for seed in seeds)
        ]

    @property
    def healthy(self) -> list[int]:
        """The seeds by which accuracies are judged."""
        return [seed for seed in self.runs if seed not in self.lost]

    @property
    def common(self) -> int:
        """The iteration until which both were trained."""
        return COMMON[self.dataset]


def _mean_of(run: Finished, cut: int) -> float:
    mean = window_mean(run.rows, cut)
    assert mean is not None  # `pair` leaves out runs without one
    return mean


def pair(evidence: Evidence, dataset: str, one: str, other: str, kind: str = "higher") -> Pair:
    """The runs of two rows of the paper's tables, paired by seed: up to each row's own cut, or for other kinds up to COMMON."""
    cuts = (CUTS[dataset][one], CUTS[dataset][other]) if kind == "higher" else (COMMON[dataset], COMMON[dataset])
    sides = [evidence.of_paper(dataset, name) for name in (one, other)]
    both = {
        seed: (sides[0][seed], sides[1][seed])
        for seed in sorted(sides[0].keys() & sides[1].keys())
        if all(window_mean(side[seed][0].rows, cut) is not None for side, cut in zip(sides, cuts, strict=True))
    }
    lost = frozenset(
        seed
        for seed, found in both.items()
        if not all(is_healthy(run.rows, window_start(cut), cut) for (run, _), cut in zip(found, cuts, strict=True))
    )
    stored = dict.fromkeys(stored for found in both.values() for _, stored in found)
    return Pair(dataset, one, other, cuts, {seed: (a[0], b[0]) for seed, (a, b) in both.items()}, lost, tuple(stored))


def leads(found: Pair) -> list[float]:
    """By seed: the lead of the first network over the second (`rules.lead`)."""
    levels = THRESHOLDS[found.dataset]
    return [
        lead(arrivals(one.rows, levels, found.common), arrivals(other.rows, levels, found.common))
        for one, other in found.runs.values()
    ]


class Ordering(NamedTuple):
    """A claim on two networks: `kind` is higher, equal or faster; `first` is claimed to be that, against `second`."""

    key: str
    section: str
    sentence: str
    dataset: str
    first: str
    second: str
    kind: str


# The five primary claims, on each dataset for which the paper makes them: PRIMARY in rules.py, in our words.
ORDERINGS = (
    Ordering(
        "accuracy-dropout-cifar10",
        "abstract",
        "On CIFAR-10 dropout scores slightly higher than scaled beta",
        "cifar10",
        "dropout",
        SCALED,
        "higher",
    ),
    Ordering(
        "accuracy-cnn-cifar10", "III.B", "On CIFAR-10 scaled beta scores as high as the CNN", "cifar10", SCALED, "cnn", "equal"
    ),
    Ordering(
        "speed-dropout-cifar10",
        "abstract, III.B, V",
        "On CIFAR-10 scaled beta converges faster than dropout",
        "cifar10",
        SCALED,
        "dropout",
        "faster",
    ),
    Ordering(
        "speed-cnn-cifar10",
        "III.B",
        "On CIFAR-10 scaled beta converges much sooner than the CNN",
        "cifar10",
        SCALED,
        "cnn",
        "faster",
    ),
    Ordering("scaling-cifar10", "III.B", "On CIFAR-10 beta scores higher if it is scaled", "cifar10", SCALED, "beta", "higher"),
    Ordering(
        "accuracy-dropout-mnist", "III.B, abstract", "On MNIST scaled beta matches dropout", "mnist", SCALED, "dropout", "equal"
    ),
    Ordering(
        "accuracy-cnn-mnist", "III.B", "On MNIST scaled beta scores higher than the CNN", "mnist", SCALED, "cnn", "higher"
    ),
    Ordering(
        "speed-dropout-mnist",
        "abstract, III.B",
        "On MNIST scaled beta converges faster than dropout",
        "mnist",
        SCALED,
        "dropout",
        "faster",
    ),
    Ordering("scaling-mnist", "III.B", "On MNIST beta scores higher if it is scaled", "mnist", SCALED, "beta", "higher"),
)

SECONDARY = (
    Ordering(
        "cnn-over-alpha", "III.B", "On CIFAR-10 the plain CNN scores higher than alpha", "cifar10", "cnn", "alpha", "higher"
    ),
    Ordering("cnn-over-beta", "III.B", "On CIFAR-10 the plain CNN scores higher than beta", "cifar10", "cnn", "beta", "higher"),
    Ordering("alpha-sooner", "III.B", "On CIFAR-10 alpha converges sooner than the CNN", "cifar10", "alpha", "cnn", "faster"),
    Ordering("beta-sooner", "III.B", "On CIFAR-10 beta converges sooner than the CNN", "cifar10", "beta", "cnn", "faster"),
)


def ordering_claims(evidence: Evidence) -> list[Claim]:
    """Every claim of section III.B that compares two networks; Holm's procedure over the nine tests of the primary ones."""
    pairs = {
        order.key: pair(evidence, order.dataset, order.first, order.second, order.kind) for order in (*ORDERINGS, *SECONDARY)
    }
    family = holm_sides({order.key: sides(order, pairs[order.key]) for order in ORDERINGS})
    primary = [ordering(order, pairs[order.key], family[order.key], "primary, p by Holm over all nine") for order in ORDERINGS]
    return primary + [ordering(order, pairs[order.key], sides(order, pairs[order.key]), "secondary") for order in SECONDARY]


def sides(order: Ordering, found: Pair) -> Sides:
    """The two one-sided p-values of an ordering."""
    if order.kind == "faster":
        return higher(leads(found), 1 / len(THRESHOLDS[order.dataset]))
    differences = found.differences(found.healthy)
    return equal(differences, MARGIN[order.dataset]) if order.kind == "equal" else higher(differences)


def ordering(order: Ordering, found: Pair, p: Sides, rank: str) -> Claim:
    """The claim, its number and its verdict."""
    if not found.runs:
        return waiting(order, rank, [experiment(order.dataset, name) for name in (order.first, order.second)])
    fast = order.kind == "faster"
    seeds = list(found.runs) if fast else found.healthy
    numbers = leads(found) if fast else found.differences(seeds)
    interval = of_mean(numbers).within(-1, 1) if numbers else None
    what = {
        "faster": f"lead over {len(THRESHOLDS[order.dataset])} accuracies, until iteration {found.common:,}",
        "equal": f"difference until iteration {found.common:,}, margin {MARGIN[order.dataset]}",
        "higher": "difference, each in its window",
    }[order.kind]
    return Claim(
        order.key,
        order.section,
        order.sentence,
        f"{what}: {interval.text(2 if fast else 4, signed=True)}" if interval else f"{what}: every pair has a lost class",
        judge(p),
        found.stored,
        seeds_text(seeds),
        details=(
            f"{rank}; p for the claim {p.claim:.4f}, for its contrary {p.contrary:.4f}",
            *([] if fast or not found.lost else [_with_lost(found)]),
        ),
        table=tuple(threshold_rows(found)) if fast else (),
        numbers={"difference": interval, "by_seed": numbers, "sides": p},
    )


def _with_lost(found: Pair) -> str:
    """A line on the seeds that were left out because a class was lost: that costs ten points by itself."""
    left_out = ", ".join(map(str, sorted(found.lost)))
    everyone = of_mean(found.differences(found.runs)).within(-1, 1)
    return f"left out, for a class was lost in the window: seed {left_out}; with them {everyone.text(signed=True)}"


def reached(order: Ordering) -> int:
    """The iteration that the runs of an ordering must reach."""
    return (
        max(CUTS[order.dataset][name] for name in (order.first, order.second))
        if order.kind == "higher"
        else COMMON[order.dataset]
    )


def waiting(order: Ordering, rank: str, names: list[str]) -> Claim:
    """The claim of an ordering whose runs do not exist yet."""
    return Claim(
        order.key,
        order.section,
        order.sentence,
        f"not yet run to iteration {reached(order):,}",
        "undecided",
        details=(rank,),
        on="`published` network, `paper` protocol",
        commands=tuple(command(name) for name in dict.fromkeys(names)),
    )


def threshold_rows(found: Pair) -> list[tuple[str, ...]]:
    """For each accuracy, the iteration at which each run first has it, by seed; never counts as last."""
    levels = THRESHOLDS[found.dataset]
    reached = {seed: [arrivals(run.rows, levels, found.common) for run in runs] for seed, runs in found.runs.items()}
    rows: list[tuple[str, ...]] = [
        ("accuracy", f"{NAMES[found.one]}, by seed", f"{NAMES[found.other]}, by seed", "first, in seeds")
    ]
    for place, level in enumerate(levels):
        sides_ = [[reached[seed][side][place] for seed in reached] for side in (0, 1)]
        first = sum(a < b for a, b in zip(*sides_, strict=True))
        texts = [", ".join("never" if math.isinf(value) else f"{value:,.0f}" for value in side) for side in sides_]
        rows.append((f"{level:.4f}".rstrip("0").ljust(4, "0"), *texts, f"{first} of {len(reached)}"))
    return rows


assert {order.key for order in ORDERINGS} == {f"{name}-{dataset}" for name, where in PRIMARY.items() for dataset in where}
