"""What the paper says of two networks: who scores higher, who converges faster. Five claims are primary (rules.py)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from .evidence import Evidence, Stored, seeds_text
from .intervals import of_mean
from .ledger import Claim
from .rules import (
    COMMON,
    MARGIN,
    PRIMARY,
    SETTINGS,
    THRESHOLDS,
    Sides,
    arrivals,
    equal,
    higher,
    holm_sides,
    judge,
    lead,
    window_mean,
)
from .runs import command
from .tables import experiment

SCALED = "beta-scaled"


class Pair(NamedTuple):
    """Two networks on a dataset, with the runs of those seeds that both have to the common cut."""

    dataset: str
    one: str
    other: str
    runs: dict[int, tuple[Finished, Finished]]
    stored: tuple[Stored, ...]

    def differences(self, number: Callable[[Finished], float]) -> list[float]:
        """number(one) - number(other), by seed."""
        return [number(one) - number(other) for one, other in self.runs.values()]

    @property
    def common(self) -> int:
        """The iteration up to which the two are compared."""
        return COMMON[self.dataset]


def pair(evidence: Evidence, dataset: str, one: str, other: str) -> Pair:
    """The runs of two rows of the paper's tables, as the gate has them, paired by seed."""
    sides = [evidence.of_paper(dataset, SETTINGS[dataset].get(name, name)) for name in (one, other)]
    both = {
        seed: tuple(side[seed] for side in sides)
        for seed in sorted(sides[0].keys() & sides[1].keys())
        if all(window_mean(side[seed][0].rows, COMMON[dataset]) is not None for side in sides)
    }
    stored = dict.fromkeys(stored for found in both.values() for _, stored in found)
    return Pair(dataset, one, other, {seed: (a[0], b[0]) for seed, (a, b) in both.items()}, tuple(stored))


def accuracy(found: Pair) -> Callable[[Finished], float]:
    """The primary statistic, up to the common cut."""

    def value(run: Finished) -> float:
        mean = window_mean(run.rows, found.common)
        assert mean is not None  # `pair` takes no others
        return mean

    return value


def leads(found: Pair) -> list[float]:
    """By seed: the lead of the first network over the second (`rules.lead`)."""
    levels = THRESHOLDS[found.dataset]
    return [
        lead(arrivals(one.rows, levels, found.common), arrivals(other.rows, levels, found.common))
        for one, other in found.runs.values()
    ]


class Ordering(NamedTuple):
    """A claim on two networks: `kind` is higher, equal or faster; `first` is claimed to be it, against `second`."""

    key: str
    section: str
    sentence: str
    dataset: str
    first: str
    second: str
    kind: str


# The five primary claims, on each dataset for which the paper makes them: PRIMARY in rules.py, in the paper's own words.
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
    pairs = {order.key: pair(evidence, order.dataset, order.first, order.second) for order in (*ORDERINGS, *SECONDARY)}
    family = holm_sides({order.key: sides(order, pairs[order.key]) for order in ORDERINGS})
    primary = [ordering(order, pairs[order.key], family[order.key], "primary, p by Holm over all nine") for order in ORDERINGS]
    return primary + [ordering(order, pairs[order.key], sides(order, pairs[order.key]), "secondary") for order in SECONDARY]


def sides(order: Ordering, found: Pair) -> Sides:
    """The two one-sided p-values of an ordering."""
    if order.kind == "equal":
        return equal(found.differences(accuracy(found)), MARGIN[order.dataset])
    if order.kind == "faster":
        return higher(leads(found), 1 / len(THRESHOLDS[order.dataset]))
    return higher(found.differences(accuracy(found)))


def ordering(order: Ordering, found: Pair, p: Sides, rank: str) -> Claim:
    """The claim, its number and its verdict."""
    if not found.runs:
        return waiting(order, rank, [experiment(order.dataset, name) for name in (order.first, order.second)])
    numbers = leads(found) if order.kind == "faster" else found.differences(accuracy(found))
    interval = of_mean(numbers)
    interval = interval.within(-1, 1)
    what = {
        "faster": f"lead over {len(THRESHOLDS[order.dataset])} accuracies, until iteration {found.common:,}",
        "equal": f"difference, margin {MARGIN[order.dataset]}",
        "higher": "difference",
    }[order.kind]
    return Claim(
        order.key,
        order.section,
        order.sentence,
        f"{what}: {interval.text(2 if order.kind == 'faster' else 4, signed=True)}",
        judge(p),
        found.stored,
        seeds_text(list(found.runs)),
        details=(f"{rank}; p for the claim {p.claim:.4f}, for its contrary {p.contrary:.4f}", *_without_lost(order, found)),
        table=tuple(threshold_rows(found)) if order.kind == "faster" else (),
        numbers={"difference": interval, "by_seed": numbers, "sides": p},
    )


def waiting(order: Ordering, rank: str, names: list[str]) -> Claim:
    """An ordering whose runs were not made yet."""
    return Claim(
        order.key,
        order.section,
        order.sentence,
        f"not yet run to iteration {COMMON[order.dataset]:,}",
        "undecided",
        details=(rank,),
        on="`published` network, `paper` protocol",
        commands=tuple(command(name) for name in dict.fromkeys(names)),
    )


def _without_lost(order: Ordering, found: Pair) -> list[str]:
    """A line on the seeds in which one of the two has lost a class at the end: that costs ten points by itself."""
    if order.kind == "faster":
        return []
    lost = {seed for seed, runs in found.runs.items() if any(run.rows[-1]["lost_classes"] for run in runs)}
    rest = [value for seed, value in zip(found.runs, found.differences(accuracy(found)), strict=True) if seed not in lost]
    if not lost or not rest:
        return []
    return [f"seed {', '.join(map(str, sorted(lost)))} has lost a class at the end; without: {of_mean(rest).text(signed=True)}"]


def threshold_rows(found: Pair) -> list[tuple[str, ...]]:
    """The whole curve: for each accuracy, when each run first has it, by seed; never: last."""
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
