"""Tables I and II: each row, and where our runs stand beside the published curves at equal iteration."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..reproduce.published import LOGGED, LOGGED_AT, NAMES, TABLES
from ..reproduce.table import markdown, standard_error
from ..variants import VARIANTS
from .evidence import Evidence, at, late, peak
from .intervals import Interval, of_mean
from .ledger import Claim, decide

IMAGES = 1_600  # in one evaluation, the paper's and ours


class Place(NamedTuple):
    """Where a table's numbers lie: at full length, the paper's network for as long as it was run on a CPU, the stand-in."""

    number: str
    title: str
    full: str
    paper: str
    lite: str


PLACES = {
    "cifar10": Place("I", "CIFAR-10", "cifar10-full", "cifar10-paper", "cifar10-lite"),
    "mnist": Place("II", "MNIST", "mnist-full", "mnist-paper", "mnist-lite"),
}


def evaluation(accuracy: float) -> Interval:
    """One accuracy on 1,600 images, with the 95 % interval that comes from the images alone."""
    reach = 1.96 * standard_error(accuracy, IMAGES)
    return Interval(accuracy, accuracy - reach, accuracy + reach)


def named(seeds: str) -> str:
    """ "0" -> "seed 0", "0 to 4" -> "seeds 0 to 4"."""
    return f"seed {seeds}" if seeds.isdecimal() else f"seeds {seeds}"


def table_claims(evidence: Evidence) -> list[Claim]:
    """A claim per row, and one per table on the curves."""
    claims = []
    for dataset in PLACES:
        claims += [_row(evidence, dataset, variant) for variant in VARIANTS]
        claims += [_curves(evidence, dataset)] if PLACES[dataset].paper in evidence.experiments else []
    return claims


def _row(evidence: Evidence, dataset: str, variant: str) -> Claim:
    place, paper = PLACES[dataset], TABLES[dataset][variant]
    full, part, lite = (evidence.find(name) for name in (place.full, place.paper, place.lite))
    details, used = [], []
    number, verdict, seeds = "full length not yet run", "undecided", ""
    if full and full.of(variant):
        used.append(full)
        found = of_mean(list(full.each(variant, peak).values())).within(0, 1)
        seeds = full.seeds(variant)
        number = f"peak {found.text()}"
        verdict = decide(paper.accuracy in found, paper.accuracy not in found) if len(full.of(variant)) > 1 else "undecided"
    if part and part.of(variant):
        used.append(part)
        iteration = part.settings["iterations"]
        reached = of_mean(list(part.each(variant, peak).values())).value
        details.append(
            f"the paper's network, first {iteration:,} iterations ({named(part.seeds(variant))}): peak {reached:.4f}; an"
            f" evaluation there has an error of {evaluation(reached).high - reached:.4f} from its images alone"
        )
        if not full:
            number = f"full length not yet run; peak {reached:.4f} in the first {iteration:,} iterations"
            seeds = part.seeds(variant)
    if lite and lite.of(variant):
        used.append(lite)
        stand_in = of_mean(list(lite.each(variant, peak).values())).within(0, 1)
        details.append(
            f"the `lite` network as a stand-in, {lite.settings['iterations']:,} iterations ({named(lite.seeds(variant))}):"
            f" peak {stand_in.text()}"
        )
        if not full and not (part and part.of(variant)):
            number = f"full length not yet run; `lite` network: peak {stand_in.text()}"
            seeds = lite.seeds(variant)
    return Claim(
        key=f"table-{place.number.lower()}-{variant}",
        section=f"III.B, Table {place.number}",
        sentence=f"{NAMES[variant]} reaches {paper.accuracy} on {place.title} (at iteration {paper.iteration:,})",
        number=number,
        verdict=verdict,
        stored=tuple(used),
        seeds=seeds,
        details=tuple(details),
    )


def _curves(evidence: Evidence, dataset: str) -> Claim:
    """The paper's network against the published logs, at the last iteration of ours."""
    place = PLACES[dataset]
    stored, iteration = evidence[place.paper], LOGGED_AT[dataset]
    rows: list[tuple[str, ...]] = [
        ("network", "loss: published", "ours", "accuracy: published", "ours", "apart by", "95 % reach of that", "")
    ]
    apart = {}
    for variant in stored.variants():
        logged = LOGGED[dataset][variant]
        ours = of_mean(list(stored.each(variant, at(iteration, "accuracy")).values())).value
        loss = of_mean(list(stored.each(variant, at(iteration, "loss")).values())).value
        reach = 1.96 * math.hypot(standard_error(ours, IMAGES), standard_error(logged.accuracy, IMAGES))
        apart[variant] = (ours - logged.accuracy, reach)
        inside = abs(ours - logged.accuracy) <= reach
        rows.append(
            (
                NAMES[variant],
                f"{logged.loss:.3f}",
                f"{loss:.3f}",
                f"{logged.accuracy:.4f}",
                f"{ours:.4f}",
                f"{ours - logged.accuracy:+.4f}",
                f"{reach:.4f}",
                "same" if inside else "different",
            )
        )
    same = [variant for variant, (difference, reach) in apart.items() if abs(difference) <= reach]
    return Claim(
        key=f"curves-{dataset}",
        section="the author's logs",
        sentence=f"At iteration {iteration:,} the paper's networks are where the published {place.title} logs have them",
        number=f"{len(same)} of {len(apart)} networks within the error of two evaluations",
        verdict="undecided",  # by this table; seeds would have to say how far another run may be, and there is one
        stored=(stored,),
        seeds=stored.seeds(*stored.variants()),
        details=(
            "the error is that of 1,600 images, twice; what another seed would give comes on top, and one seed cannot say it",
        ),
        table=tuple(rows),
        numbers={"apart": apart, "same": same},
    )


# README ---------------------------------------------------------------------------------------------------------------


def readme_table(evidence: Evidence, dataset: str) -> str:
    """Table I or II, paper beside ours, as Markdown; intervals are 95 %."""
    place, iteration = PLACES[dataset], LOGGED_AT[dataset]
    full, lite = evidence.find(place.full), evidence[place.lite]
    big = full or evidence.find(place.paper)
    header = [
        "network",
        "paper: peak",
        "at iteration",
        f"its log at {iteration:,}",
        f"ours at {iteration:,}",
        "`lite`: peak",
        "last 20",
    ]
    rows: list[tuple[str, ...]] = [(*header, *(["ours: peak"] if full else []))]
    for variant in VARIANTS:
        paper, logged = TABLES[dataset][variant], LOGGED[dataset][variant]
        ours = _over_seeds(big.each(variant, at(iteration, "accuracy"))) if big and big.of(variant) else ""
        small = [_over_seeds(lite.each(variant, number)) for number in (peak, late)]
        peaks = [_over_seeds(full.each(variant, peak)) if full.of(variant) else ""] if full else []
        rows.append(
            (NAMES[variant], f"{paper.accuracy}", f"{paper.iteration:,}", f"{logged.accuracy:.4f}", ours, *small, *peaks)
        )  # fmt: skip
    seeds = named(big.seeds(*big.variants())) if big else "not run"
    label, length = lite.config["dataset"]["label"], lite.settings["iterations"]
    return "\n".join(
        [
            f"**Table {place.number}, {label}.** Ours: the paper's network, {seeds}; `lite`, a smaller one, {length:,}",
            f"iterations, seeds {lite.seeds(*VARIANTS)}. In brackets 95 % intervals: over seeds, or of one run that of an",
            f"evaluation on {IMAGES:,} images."
            + ("" if full else " The paper's network at full length: **not yet run** (it wants a GPU)."),
            "",
            markdown(rows),
        ]
    )


def _over_seeds(values: dict[int, float]) -> str:
    """Accuracies by seed -> their mean and its interval; of a single one, that of its evaluation."""
    numbers = list(values.values())
    return (of_mean(numbers).within(0, 1) if len(numbers) > 1 else evaluation(numbers[0])).text()
