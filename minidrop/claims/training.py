"""What the paper says of training: who scores higher, who converges faster, Figure 4."""

from __future__ import annotations

import math

from ..reproduce.grid import Finished
from ..reproduce.published import LOGGED, LOGGED_ACCURACY, TABLES
from .evidence import Evidence, Stored, peak, reaches
from .intervals import Interval, of_mean
from .ledger import Claim, decide

# Two accuracies count as equal if they surely differ by less than half of what scaling beta brings in the same published table.
MARGIN = {name: (rows["beta-scaled"].accuracy - rows["beta"].accuracy) / 2 for name, rows in TABLES.items()}
FIXED = {"cifar10": 0.60, "mnist": 0.97}  # accuracies that the lite networks reach in their time


def training_claims(evidence: Evidence) -> list[Claim]:
    """Every claim of section III.B that compares two networks."""
    cifar, mnist = evidence["cifar10-lite"], evidence["mnist-lite"]
    return [
        _higher("cnn-over-alpha", "III.B", "On CIFAR-10 the plain CNN scores higher than alpha", cifar, "cnn", "alpha"),
        _higher("cnn-over-beta", "III.B", "On CIFAR-10 the plain CNN scores higher than beta", cifar, "cnn", "beta"),
        _equal("scaled-as-cnn", "III.B", "On CIFAR-10 scaled beta scores as high as the CNN", cifar, "beta-scaled", "cnn"),
        _higher("scaled-over-beta", "III.B", "On CIFAR-10 beta scores higher if it is scaled", cifar, "beta-scaled", "beta"),
        _higher(
            "dropout-over-scaled",
            "abstract",
            "On CIFAR-10 dropout scores slightly higher than scaled beta",
            cifar,
            "dropout",
            "beta-scaled",
        ),
        _equal(
            "scaled-as-dropout-mnist",
            "III.B, abstract",
            "On MNIST scaled beta matches dropout",
            mnist,
            "beta-scaled",
            "dropout",
        ),
        _higher(
            "scaled-over-cnn-mnist", "III.B", "On MNIST scaled beta scores higher than the CNN", mnist, "beta-scaled", "cnn"
        ),
        _faster(
            "faster-cifar10", "abstract, III.B, V", "On CIFAR-10 scaled beta converges faster than dropout", cifar, "dropout"
        ),
        _faster("faster-cifar10-cnn", "III.B", "On CIFAR-10 scaled beta converges much sooner than the CNN", cifar, "cnn"),
        _faster("faster-mnist", "abstract, III.B", "On MNIST scaled beta converges faster than dropout", mnist, "dropout"),
        _figure_4(cifar),
        _dead_units(cifar, "CIFAR-10"),
        _dead_units(mnist, "MNIST"),
    ]


def _points(difference: Interval) -> str:
    return f"difference of the peaks {difference.text(signed=True)}"


def _higher(key: str, section: str, sentence: str, stored: Stored, high: str, low: str) -> Claim:
    """The peak of `high` lies above that of `low`, paired by seed."""
    found = stored.difference(high, low, peak)
    pairs = stored.pairs(high, low, peak)
    return Claim(
        key,
        section,
        sentence,
        _points(found),
        decide(found.low > 0, found.high < 0),
        (stored,),
        stored.seeds(high, low),
        details=(f"higher in {sum(pair > 0 for pair in pairs)} of {len(pairs)} seeds", *_without_lost(stored, high, low)),
        numbers={"difference": found, "pairs": pairs},
    )


def _without_lost(stored: Stored, high: str, low: str) -> list[str]:
    """A line on the seeds in which a logit of one of the two is dead at the end: a lost class costs ten points by itself."""
    runs = stored.of(high), stored.of(low)
    lost = [seed for seed in runs[0].keys() & runs[1].keys() if any(side[seed].rows[-1]["dead_logits"] for side in runs)]
    pairs = [peak(runs[0][s]) - peak(runs[1][s]) for s in sorted(runs[0].keys() & runs[1].keys()) if s not in lost]
    if not lost or not pairs:
        return []
    return [
        f"seed {', '.join(map(str, sorted(lost)))} has a dead logit at the end; without: {of_mean(pairs).text(signed=True)}"
    ]


def _equal(key: str, section: str, sentence: str, stored: Stored, one: str, other: str) -> Claim:
    """The peaks differ by less than MARGIN, with 95 % confidence."""
    found, margin = stored.difference(one, other, peak), MARGIN[stored.settings["dataset"]]
    inside, outside = -margin < found.low and found.high < margin, found.low > margin or found.high < -margin
    return Claim(
        key,
        section,
        sentence,
        _points(found),
        decide(inside, outside),
        (stored,),
        stored.seeds(one, other),
        details=(
            f"equal means: the whole interval within {margin:.4f}, half of what scaling beta brings in the paper's table",
        ),
        numbers={"difference": found, "margin": margin},
    )


def _faster(key: str, section: str, sentence: str, stored: Stored, than: str) -> Claim:
    """Iterations to a fixed accuracy, paired by seed. A seed whose network never has it makes the difference infinite."""
    dataset = stored.settings["dataset"]
    accuracy = FIXED[dataset]
    ours, theirs = (stored.each(variant, reaches(accuracy)) for variant in ("beta-scaled", than))
    seeds = sorted(ours.keys() & theirs.keys())
    pairs = [ours[seed] - theirs[seed] for seed in seeds if math.isfinite(ours[seed]) and math.isfinite(theirs[seed])]
    found = of_mean(pairs) if pairs else Interval(math.nan, -math.inf, math.inf)
    never = [sum(not math.isfinite(side[seed]) for seed in seeds) for side in (ours, theirs)]
    first, second = (LOGGED[dataset][variant].reached for variant in ("beta-scaled", than))
    whole = not any(never)
    return Claim(
        key,
        section,
        sentence,
        f"iterations to {accuracy:.2f}: {found.text(0, signed=True)}"
        + ("" if whole else f", where both have it: {len(pairs)} seeds"),
        decide(whole and found.high < 0, whole and found.low > 0),
        (stored,),
        stored.seeds("beta-scaled", than),
        details=(
            (
                f"never at {accuracy:.2f}: {never[0]} of scaled beta's runs, {never[1]} of {than}'s; measured every "
                f"{stored.settings['evaluate_every']:,} iterations"
            ),
            (
                f"the published logs, one run each, first have {LOGGED_ACCURACY[dataset]:.2f} at iteration {first:,} (scaled)"
                f" and {second:,} ({than}): the position of a maximum, as in the paper's table, is not used here, for it mostly"
                " says when noise was lucky"
            ),
        ),
        numbers={"difference": found, "never": never, "ours": ours, "theirs": theirs},
    )


def mean_accuracy(run: Finished) -> float:
    """The mean over all evaluations: the area under the curve."""
    return math.fsum(row["accuracy"] for row in run.rows) / len(run.rows)


def _figure_4(stored: Stored) -> Claim:
    found = stored.difference("beta-scaled", "dropout", mean_accuracy)
    return Claim(
        "figure-4",
        "III.B, Figure 4",
        "Until it crashes, the accuracy of scaled beta runs above that of dropout",
        f"mean over all evaluations: {found.text(signed=True)}",
        decide(found.low > 0, found.high < 0),
        (stored,),
        stored.seeds("beta-scaled", "dropout"),
        details=("figure: `results/cifar10-lite/figure4.png`",),
        numbers={"difference": found},
    )


def _dead_units(stored: Stored, data: str) -> Claim:
    """A unit is dead if its output is 0 for every evaluation image."""

    def dead(run: Finished) -> float:
        return run.rows[-1]["dead_dense"]

    shares = {variant: of_mean(list(stored.each(variant, dead).values())).within(0, 1) for variant in stored.variants()}
    found = stored.difference("cnn", "beta", dead)
    return Claim(
        f"dead-units-{stored.settings['dataset']}",
        "abstract, II",
        f"ReLU units die, DropAlan's do not ({data})",
        f"dead hidden units at the end: CNN {shares['cnn'].text(3)}, beta {shares['beta'].text(3)}",
        decide(found.low > 0, found.high < 0),
        (stored,),
        stored.seeds("cnn", "beta"),
        details=(
            (
                "at inference the published code hands z on as it is, so a unit can be 0 only where z is: that DropAlan's share"
                " is 0 holds by construction; that the CNN's is not is measured"
            ),
        ),
        numbers={"shares": shares},
    )
