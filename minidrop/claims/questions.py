"""What the paper leaves open (its section V), answered as far as the stored runs can."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from ..variants import VARIANTS
from .evidence import Evidence, Stored, late, whole_test
from .intervals import Interval, of_mean
from .ledger import Claim
from .theory import Draws

SIGNED = {"signed": True}


def question_claims(evidence: Evidence) -> list[Claim]:
    """Why scaling helped, and the paper's future work."""
    return [
        _why_scaling(evidence),
        _sweep(evidence, "c", "What does beta's c do?"),
        _sweep(evidence, "p_max", "What does beta's p_max do, scaled?"),
        _relu(evidence),
        _batch_norm(evidence),
        _granularity(evidence),
        _expectations(evidence),
    ]


def in_words(found: Interval, better: str = "higher", worse: str = "lower") -> str:
    """In words, what an interval of a difference shows."""
    return better if found.low > 0 else worse if found.high < 0 else "cannot be told"


def _why_scaling(evidence: Evidence) -> Claim:
    """scaled - unscaled = (expectation - identity at inference) + (scaled - expectation): mismatch, and training."""
    rows: list[tuple[str, ...]] = [
        ("", "scaled - unscaled", "of it: inference by expectation", "of it: training with the scale")
    ]
    numbers: dict[str, Interval] = {}
    digits, mnist, cifar = evidence["expectation"], evidence["mnist-lite"], evidence["cifar10-lite"]
    used = [digits, mnist, *([cifar] if cifar.of("beta-expectation") else [])]
    for stored, base, ending in (
        (digits, "alpha", "-linear"),
        (digits, "beta", "-linear"),
        (digits, "alpha", ""),
        (digits, "beta", ""),
        (mnist, "alpha", ""),
        (mnist, "beta", ""),
        (cifar, "beta", ""),
    ):
        identity, mean, scaled = (base + way + ending for way in ("", "-expectation", "-scaled"))
        if not stored.of(mean):
            continue
        mismatch = stored.difference(mean, identity, late)
        cells = [mismatch.text(signed=True)]
        numbers[f"{stored.name}, {base}{ending}"] = mismatch
        if stored.of(scaled):
            training = stored.difference(scaled, mean, late)
            cells = [stored.difference(scaled, identity, late).text(signed=True), *cells, training.text(signed=True)]
            numbers[f"{stored.name}, {base}{ending}, training"] = training
        else:
            cells = ["not run", *cells, ""]
        logits = "linear logits" if ending else "ReLU on the logits"
        rows.append((f"{stored.config['dataset']['label']}, {base}, {logits}", *cells))
    reasons = {
        "digits, linear logits": _reason(numbers["expectation, beta-linear"], numbers["expectation, beta-linear, training"]),
        "MNIST": _reason(numbers["mnist-lite, beta"], numbers["mnist-lite, beta, training"]),
    }
    if "cifar10-lite, beta" in numbers:
        reasons["CIFAR-10"] = _reason(numbers["cifar10-lite, beta"], numbers["cifar10-lite, beta, training"])
    return Claim(
        "why-scaling",
        "V, ours",
        "Why did scaling help: a better expectation at inference, or something else?",
        "; ".join(
            f"{name}: inference {inference.text(3, signed=True)}, training {training.text(3, signed=True)}"
            for name, (_, inference, training) in reasons.items()
        ),
        "; ".join(f"{name}: {reason}" for name, (reason, _, _) in reasons.items()),
        tuple(used),
        digits.seeds("beta-linear", "beta-expectation-linear", "beta-scaled-linear"),
        table=tuple(rows),
        details=(
            (
                "beta; mean of the last 20 evaluations; identity and expectation share their weights, so their pairs differ by"
                " nothing else"
            ),
        ),
        numbers=dict(numbers),
    )


def _reason(inference: Interval, training: Interval) -> tuple[str, Interval, Interval]:
    """What a gain came from, by what the intervals of its two parts leave out: (in words, and the two)."""
    sure = [name for name, part in (("inference", inference), ("training", training)) if part.low > 0]
    largest = max((inference.value, "inference"), (training.value, "training"))[1]
    return f"{' and '.join(sure) or 'cannot be told'}{f', mostly {largest}' if len(sure) == 2 else ''}", inference, training


def _sweep(evidence: Evidence, key: str, sentence: str) -> Claim:
    stored = evidence["beta-sweep"]
    common = "-learning_rate=.05"
    own = {"c": f"beta-c=.2{common}", "p_max": f"beta-scaled-p_max=.999{common}"}[key]  # the paper's value
    names = [
        v for v in stored.variants() if f"-{key}=" in v and v.startswith("beta-scaled" if key == "p_max" else f"beta-{key}=")
    ]
    rows: list[tuple[str, ...]] = [(key, "whole test set", "against the paper's, paired")]
    differences = {}
    for name in names:
        value = name.partition(f"{key}=")[2].partition("-")[0]
        differences[value] = stored.difference(name, own, whole_test)
        rows.append((value, of_mean(list(stored.each(name, whole_test).values())).text(), differences[value].text(signed=True)))
    told = [value for value, found in differences.items() if 0 not in found]
    same = [value for value, found in differences.items() if found == (0, 0, 0)]  # every seed the same: the paper's is one
    return Claim(
        f"sweep-{key}",
        "V",
        sentence,
        f"{len(differences)} values; apart from the paper's with 95 % confidence: {', '.join(told) or 'none'}",
        (f"{', '.join(told)} differ" if told else "no difference can be told on digits")
        + (f"; {', '.join(same)} are the same" if len(same) > 1 else ""),
        (stored,),
        stored.seeds(own, *names),
        table=tuple(rows),
        details=(
            (
                f"careful protocol, step .05; 360 test images, so that one image is .0028; some {0.05 * len(differences):.1f}"
                f" of {len(differences)} would be apart by chance"
            ),
        ),
        numbers=dict(differences),
    )


def _relu(evidence: Evidence) -> Claim:
    """DropAlan followed by ReLU: the same rows as the CNN, to the bit?"""
    stored = evidence["relu"]
    variants = [variant for variant in stored.variants() if variant != "cnn"]
    columns = ("iteration", "loss", "accuracy", "gradient_norm", "dead_logits")
    rows = {
        variant: {seed: [tuple(row[name] for name in columns) for row in run.rows] for seed, run in stored.of(variant).items()}
        for variant in stored.variants()
    }
    same = [variant for variant in variants if rows[variant] == rows["cnn"]]
    count = sum(len(run.rows) for run in stored.of("cnn").values())
    return Claim(
        "relu",
        "V",
        "What does a ReLU after DropAlan do?",
        f"{len(same)} of {len(variants)} variants give the CNN's loss, accuracy and gradient, bit for bit, in all {count}"
        " evaluations",
        "it is the plain CNN" if len(same) == len(variants) else "it differs",
        (stored,),
        stored.seeds(*stored.variants()),
        details=(
            (
                "what is not negative is never dropped, and the ReLU zeroes the rest; `tests/test_networks.py` proves it for"
                " one step"
            ),
        ),
        numbers={"same": same, "variants": variants},
    )


def _late_common(first: Stored, second: Stored) -> Callable[[Finished], float]:
    """-> run -> its mean accuracy over the evaluations that both experiments have, in the second half of the shorter."""
    iterations = [{row["iteration"] for run in side.runs[:1] for row in run.rows} for side in (first, second)]
    end = min(max(side) for side in iterations)
    common = {iteration for iteration in set.intersection(*iterations) if iteration >= end / 2}

    def mean(run: Finished) -> float:
        values = [row["accuracy"] for row in run.rows if row["iteration"] in common]
        return math.fsum(values) / len(values)

    return mean


def _batch_norm(evidence: Evidence) -> Claim:
    with_norm, without = evidence["batchnorm"], evidence["cifar10-lite"]
    number = _late_common(with_norm, without)
    rows: list[tuple[str, ...]] = [("", "without", "with batch norm", "difference, paired", "")]
    effect = {}
    for variant in VARIANTS:
        plain, normed = without.each(variant, number), with_norm.each(f"{variant}-batchnorm", number)
        seeds = sorted(plain.keys() & normed.keys())
        effect[variant] = of_mean([normed[seed] - plain[seed] for seed in seeds])
        means = [f"{math.fsum(side[seed] for seed in seeds) / len(seeds):.4f}" for side in (plain, normed)]
        rows.append((NAMES[variant], *means, effect[variant].text(signed=True), in_words(effect[variant])))
    against = with_norm.difference("beta-scaled-batchnorm", "cnn-batchnorm", number)
    return Claim(
        "batchnorm",
        "V",
        "What does batch norm before DropAlan do?",
        f"scaled beta: {effect['beta-scaled'].text(signed=True)}; CNN, as a control: {effect['cnn'].text(signed=True)}",
        f"{in_words(effect['beta-scaled'])} for scaled beta",
        (with_norm, without),
        with_norm.seeds(*with_norm.variants()),
        details=(
            f"with batch norm in both, scaled beta minus CNN: {against.text(signed=True)}",
            "mean accuracy over the evaluations that both experiments have, in the second half of the shorter",
        ),
        table=tuple(rows),
        numbers={**effect, "against": against},
    )


def _granularity(evidence: Evidence) -> Claim:
    """Evaluations every 100 iterations: what a look every 1,000 does not see."""
    stored = evidence["fine"]
    rows: list[tuple[str, ...]] = [
        ("", "peak, every 1,000", "at", "peak, every 100", "at", "swing within 1,000 iterations around it")
    ]
    gains = []
    for variant in stored.variants():
        for seed, run in stored.of(variant).items():
            coarse = [row for row in run.rows if row["iteration"] % 1_000 == 0]
            best, all_best = (max(side, key=lambda row: row["accuracy"]) for side in (coarse, run.rows))
            near = [row["accuracy"] for row in run.rows if abs(row["iteration"] - all_best["iteration"]) <= 500]
            gains.append(all_best["accuracy"] - best["accuracy"])
            rows.append(
                (
                    f"{NAMES[variant]}, seed {seed}",
                    f"{best['accuracy']:.4f}",
                    f"{best['iteration']:,}",
                    f"{all_best['accuracy']:.4f}",
                    f"{all_best['iteration']:,}",
                    f"{min(near):.4f} to {max(near):.4f}",
                )
            )
    found = of_mean(gains)
    return Claim(
        "granularity",
        "V",
        "What do evaluations every 100 iterations show that one in 1,000 hides?",
        f"the peak rises by {found.text(signed=True)}",
        f"a higher maximum in {sum(gain > 0 for gain in gains)} of {len(gains)} runs",
        (stored,),
        stored.seeds(*stored.variants()),
        table=tuple(rows),
        numbers={"gain": found},
        details=("ten times as many evaluations are ten times as many chances for the maximum; the weights are the same",),
    )


def _expectations(evidence: Evidence) -> Claim:
    draws = Draws(evidence.results / "draws")
    usual = {row["z"]: row for row in draws.of("dropout, ReLU")}
    rows: list[tuple[str, ...]] = [("", "largest distance from the mean of ReLU + dropout", "spread at z = -2", "at z = 1")]
    distances = {}

    def near(kind: str, z: float) -> float:
        return float(min(draws.of(kind), key=lambda row: abs(row["z"] - z))["deviation"])

    for kind in ("alpha", "beta", "alpha-scaled", "beta-scaled", "dropout, ReLU"):
        distances[kind] = max(abs(row["mean"] - usual[row["z"]]["mean"]) for row in draws.of(kind))
        rows.append((kind, f"{distances[kind]:.2f}", f"{near(kind, -2):.2f}", f"{near(kind, 1):.2f}"))
    elsewhere = near("beta", 1) == 0 < near("beta", -2) and near("dropout, ReLU", -2) == 0 < near("dropout, ReLU", 1)
    return Claim(
        "expectation-dropout",
        "V",
        "How does DropAlan's expectation compare with that of ReLU and dropout?",
        f"largest distance for z from -5 to 2: beta {distances['beta']:.2f}, alpha {distances['alpha']:.2f}, scaled"
        f" {distances['beta-scaled']:.2f}",
        "beta's is near it, with its noise elsewhere" if distances["beta"] < 0.25 and elsewhere else "not near",
        on=draws.made_with,
        commands=("minidrop draws lessons/results/draws",),
        seeds="0",
        table=tuple(rows),
        numbers=dict(distances),
        details=("DropAlan is noisy where z < 0 and silent where z > 0; dropout behind a ReLU the other way round",),
    )
