"""The paper's claims on training besides its orderings: Figure 4, and units that die or escape."""

from __future__ import annotations

import math

from ..reproduce.table import mean
from .evidence import Evidence, seeds_text
from .intervals import of_mean
from .ledger import Claim
from .orderings import SCALED, Ordering, Pair, pair, waiting
from .rules import FIGURE_4, SIDE, higher, mean_until
from .tables import TITLE, experiment


def training_claims(evidence: Evidence) -> list[Claim]:
    """Figure 4, and dead units on both datasets."""
    return [figure_4(evidence), *(dead_units(evidence, dataset) for dataset in ("cifar10", "mnist"))]


def figure_4(evidence: Evidence) -> Claim:
    """Mean accuracy until iteration N, scaled beta minus dropout, for several N."""
    key, section = "figure-4", "III.B, Figure 4"
    sentence = "Until it crashes, the accuracy of scaled beta runs above that of dropout"
    found = pair(evidence, "cifar10", SCALED, "dropout", "faster")  # until the common cut
    if not found.runs:
        order = Ordering(key, section, sentence, "cifar10", SCALED, "dropout", "faster")
        return waiting(order, "secondary; by windows of time", [experiment("cifar10", name) for name in (SCALED, "dropout")])
    return figure_4_of(key, section, sentence, found)


def figure_4_of(key: str, section: str, sentence: str, found: Pair) -> Claim:
    """The claim on Figure 4, from runs."""
    rows: list[tuple[str, ...]] = [("until iteration", "mean accuracy: scaled beta minus dropout")]
    differences = {
        end: of_mean([mean_until(one.rows, end) - mean_until(other.rows, end) for one, other in found.runs.values()])
        for end in FIGURE_4
    }
    rows += [(f"{end:,}", difference.text(signed=True)) for end, difference in differences.items()]
    above = [end for end, difference in differences.items() if difference.low > 0]
    below = [end for end, difference in differences.items() if difference.high < 0]
    verdict = "not reproduced" if below else "reproduced" if len(above) == len(differences) else "undecided"
    return Claim(
        key,
        section,
        sentence,
        f"above in {len(above)} of {len(differences)} windows of time, below in {len(below)}",
        verdict,
        found.stored,
        seeds_text(list(found.runs)),
        details=("secondary",),
        table=tuple(rows),
        numbers={"differences": differences},
    )


def dead_units(evidence: Evidence, dataset: str) -> Claim:
    """Units with z < 0 for every image measured, at the last evaluation; and how many of those at the one before came back."""
    key, section = f"dead-units-{dataset}", "abstract, II"
    sentence = f"ReLU units die, DropAlan's escape ({TITLE[dataset]})"
    runs = {name: evidence.of_paper(dataset, name) for name in ("cnn", "beta")}
    seeds = sorted(runs["cnn"].keys() & runs["beta"].keys())
    if not seeds:
        order = Ordering(key, section, sentence, dataset, "cnn", "beta", "faster")
        return waiting(order, "secondary", [experiment(dataset, name) for name in ("cnn", "beta")])
    both = [(runs["cnn"][seed][0].rows, runs["beta"][seed][0].rows) for seed in seeds]
    ends = [min(rows[-1]["iteration"] for rows in pair_) for pair_ in both]  # as far as both runs of a seed were trained
    silent = [[at_cut(pair_[side], end) for pair_, end in zip(both, ends, strict=True)] for side in (0, 1)]
    back = [[share_back(pair_[side], end) for pair_, end in zip(both, ends, strict=True)] for side in (0, 1)]
    fewer = [cnn - beta for cnn, beta in zip(*silent, strict=True)]
    more_back = [beta - cnn for cnn, beta in zip(*back, strict=True) if cnn is not None and beta is not None]
    shares = [[share for share in side if share is not None] for side in back]
    texts = [f"{mean(side):.1%}" if side else "none to come back" for side in shares]
    return Claim(
        key,
        section,
        sentence,
        f"units with z < 0 on every image at the end: CNN {mean(silent[0]):.1f}, beta {mean(silent[1]):.1f}; come back by the"
        f" next evaluation: CNN {texts[0]}, beta {texts[1]}",
        judge_dead(fewer, more_back),
        tuple(dict.fromkeys(runs[name][seed][1] for name in runs for seed in seeds)),
        seeds_text(seeds),
        details=(
            "secondary",
            f"CNN minus beta: {of_mean(fewer).text(1, signed=True)} units"
            + (f"; beta minus CNN, share that comes back: {of_mean(more_back).text(3, signed=True)}" if more_back else ""),
            "a unit may also come back because other images are measured: 1,600 are drawn anew each time",
        ),
        numbers={"silent": silent, "back": back},
    )


def judge_dead(fewer: list[float], more_back: list[float]) -> str:
    """CNN minus beta, units below 0; beta minus CNN, share that comes back, where both have any -> the verdict."""
    fewer_sides, back_sides = higher(fewer), higher(more_back)
    if fewer_sides.contrary < SIDE:
        return "not reproduced"
    return "reproduced" if fewer_sides.claim < SIDE and not back_sides.contrary < SIDE else "undecided"


def at_cut(rows: list[dict[str, float]], cut: float) -> float:
    """Units below 0 on every image at the last evaluation up to `cut`."""
    return next(row["below_zero"] for row in reversed(rows) if row["iteration"] <= cut)


def share_back(rows: list[dict[str, float]], cut: float) -> float | None:
    """Of the units below 0 on every image at one evaluation, the share that was not at the next; None if there were none."""
    seen = [row for row in rows if row["iteration"] <= cut]
    silent = math.fsum(row["below_zero"] for row in seen[:-1])
    return math.fsum(row["came_back"] for row in seen[1:]) / silent if silent else None
