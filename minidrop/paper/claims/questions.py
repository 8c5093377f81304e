"""What the paper leaves open (its section V), answered as far as the stored runs can."""

from __future__ import annotations

import math

from ..history import summarise
from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from ..reproduce.table import standard_error
from ..variants import VARIANTS
from .evidence import Evidence, Stored, late, whole_test
from .intervals import Interval, of_mean
from .ledger import Claim
from .rules import pooled_spread
from .runs import PLANNED, command
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


def not_yet_run(key: str, section: str, sentence: str, name: str) -> Claim:
    """A question whose experiment does not exist yet."""
    return Claim(key, section, sentence, "not yet run", "not yet run", on=f"{PLANNED[name].purpose}", commands=(command(name),))


def in_words(found: Interval, better: str = "higher", worse: str = "lower") -> str:
    """In words, what an interval of a difference shows."""
    return better if found.low > 0 else worse if found.high < 0 else "cannot be told"


def late_by_expectation(run: Finished) -> float:
    """The mean of the last 20 evaluations of the same weights, with z k(z) at inference."""
    return summarise([{**row, "accuracy": row["accuracy_expectation"]} for row in run.rows])["mean_last"]


def parts(stored: Stored, base: str, ending: str) -> tuple[Interval, Interval, Interval]:
    """scaled - unscaled = (expectation - identity at inference) + (scaled - expectation): all, mismatch, training."""
    plain, scaled = stored.of(base + ending), stored.of(f"{base}-scaled{ending}")
    seeds = sorted(plain.keys() & scaled.keys())
    whole = [late(scaled[seed]) - late(plain[seed]) for seed in seeds]
    mismatch = [late_by_expectation(plain[seed]) - late(plain[seed]) for seed in seeds]
    training = [one - other for one, other in zip(whole, mismatch, strict=True)]
    return of_mean(whole), of_mean(mismatch), of_mean(training)


WHY = {"digits": "expectation", "MNIST": "why-mnist-lite", "CIFAR-10": "why-cifar10-lite"}


def _why_scaling(evidence: Evidence) -> Claim:
    rows: list[tuple[str, ...]] = [
        ("", "scaled - unscaled", "of it: inference by expectation", "of it: training with the scale")
    ]
    numbers: dict[str, Interval] = {}
    verdicts, found_text, waiting = [], [], []
    used = []
    for name, folder in WHY.items():
        stored = evidence.find(folder)
        if stored is None or not all(stored.of(name) for name in ("beta-linear", "beta-scaled-linear")):
            verdicts.append(f"{name}: not yet run")
            waiting.append(command(folder))
            continue
        used.append(stored)
        for ending, logits in (("-linear", "linear logits"), ("", "ReLU on the logits")):
            for base in ("alpha", "beta"):
                if not stored.of(base + ending) or not stored.of(f"{base}-scaled{ending}"):
                    continue
                whole, mismatch, training = parts(stored, base, ending)
                numbers |= {f"{name}, {base}{ending}": mismatch, f"{name}, {base}{ending}, training": training}
                rows.append((f"{name}, {base}, {logits}", *(part.text(signed=True) for part in (whole, mismatch, training))))
        mismatch, training = (numbers[f"{name}, beta-linear{part}"] for part in ("", ", training"))
        verdicts.append(f"{name}, linear logits: {_reason(mismatch, training)}")
        found_text.append(
            f"{name}, linear logits: inference {mismatch.text(3, signed=True)}, training {training.text(3, signed=True)}"
        )
    return Claim(
        "why-scaling",
        "V, ours",
        "Why did scaling help: a better expectation at inference, or something else?",
        "; ".join(found_text) or "not yet run",
        "; ".join(verdicts),
        tuple(used),
        used[0].seeds("beta-linear", "beta-scaled-linear") if used else "",
        on="" if used else "`lite` network",
        table=tuple(rows) if used else (),
        details=(
            (
                "beta; mean of the last 20 evaluations; identity and expectation share their weights, so their pairs differ by"
                " nothing else"
            ),
            *(f"not yet run: `{line}`" for line in waiting),
        ),
        numbers=dict(numbers),
    )


def _reason(inference: Interval, training: Interval) -> str:
    """In words, where a gain came from: the parts whose intervals lie above 0."""
    sure = [name for name, part in (("inference", inference), ("training", training)) if part.low > 0]
    largest = max((inference.value, "inference"), (training.value, "training"))[1]
    return f"{' and '.join(sure) or 'cannot be told'}{f', mostly {largest}' if len(sure) == 2 else ''}"


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
    same = [value for value, found in differences.items() if found == (0, 0, 0)]  # for every seed; the paper's own is one
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


def _batch_norm(evidence: Evidence) -> Claim:
    key, section, sentence = "batchnorm", "V", "What does batch norm before DropAlan do?"
    stored = evidence.find("batchnorm")
    if stored is None or not all(stored.pairs(f"{name}-batchnorm", name, late) for name in VARIANTS):
        return not_yet_run(key, section, sentence, "batchnorm")
    rows: list[tuple[str, ...]] = [("", "without", "with batch norm", "difference, paired", "")]
    effect = {}
    for variant in VARIANTS:
        sides = [stored.each(name, late) for name in (variant, f"{variant}-batchnorm")]
        effect[variant] = stored.difference(f"{variant}-batchnorm", variant, late)
        means = [f"{math.fsum(side.values()) / len(side):.4f}" for side in sides]
        rows.append((NAMES[variant], *means, effect[variant].text(signed=True), in_words(effect[variant])))
    against = stored.difference("beta-scaled-batchnorm", "cnn-batchnorm", late)
    return Claim(
        key,
        section,
        sentence,
        f"scaled beta: {effect['beta-scaled'].text(signed=True)}; CNN, as a control: {effect['cnn'].text(signed=True)}",
        f"{in_words(effect['beta-scaled'])} for scaled beta",
        (stored,),
        stored.seeds(*stored.variants()),
        details=(f"with batch norm in both, scaled beta minus CNN: {against.text(signed=True)}",),
        table=tuple(rows),
        numbers={**effect, "against": against},
    )


def _granularity(evidence: Evidence) -> Claim:
    """Evaluations every 100 iterations: how far the accuracy swings between two that are 1,000 apart."""
    key, section = "granularity", "V"
    sentence = "What do evaluations every 100 iterations show that one in 1,000 hides?"
    stored = evidence.find("fine")
    if stored is None:
        return not_yet_run(key, section, sentence, "fine")
    rows: list[tuple[str, ...]] = [("", "standard deviation within 1,000 iterations", "of it: which images are drawn")]
    excess = []
    for variant in stored.variants():
        for seed, run in stored.of(variant).items():
            late_rows = [row["accuracy"] for row in run.rows if row["iteration"] > run.rows[-1]["iteration"] / 2]
            groups = [late_rows[start : start + 10] for start in range(0, len(late_rows) - 9, 10)]
            swing = pooled_spread(groups)[0]
            # two draws share most of their images: 1,600 of the first 1,699
            sample = standard_error(math.fsum(late_rows) / len(late_rows), 1_600) * math.sqrt(1 - 1_600 / 1_699)
            excess.append(swing - sample)
            rows.append((f"{NAMES[variant]}, seed {seed}", f"{swing:.4f}", f"{sample:.4f}"))
    found = of_mean(excess)
    return Claim(
        key,
        section,
        sentence,
        f"a swing beyond what the choice of images gives: {found.text(signed=True)}",
        in_words(found, "swings that one in 1,000 hides", "less than the images alone"),
        (stored,),
        stored.seeds(*stored.variants()),
        table=tuple(rows),
        numbers={"excess": found},
        details=(
            "by construction: the maximum of ten times as many evaluations is never lower",
            "the second half of each run",
        ),
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
