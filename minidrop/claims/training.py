"""What the paper says of training beside its orderings: Figure 4, and units that die or escape."""

from __future__ import annotations

import math

from .evidence import Evidence, seeds_text
from .intervals import of_mean
from .ledger import Claim
from .orderings import SCALED, Ordering, Pair, pair, waiting
from .rules import FIGURE_4, SETTINGS, Sides, higher, judge, mean_until
from .tables import TITLE, experiment


def training_claims(evidence: Evidence) -> list[Claim]:
    """Figure 4, and dead units on both datasets."""
    return [figure_4(evidence), *(dead_units(evidence, dataset) for dataset in ("cifar10", "mnist"))]


def figure_4(evidence: Evidence) -> Claim:
    """Mean accuracy until iteration N, scaled beta minus dropout, for several N."""
    key, section = "figure-4", "III.B, Figure 4"
    sentence = "Until it crashes, the accuracy of scaled beta runs above that of dropout"
    found = pair(evidence, "cifar10", SCALED, "dropout")
    if not found.runs:
        order = Ordering(key, section, sentence, "cifar10", SCALED, "dropout", "higher")
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
    """Units with z < 0 for every image measured, at the last evaluation; and how many of those of the row before came back."""
    key, section = f"dead-units-{dataset}", "abstract, II"
    sentence = f"ReLU units die, DropAlan's escape ({TITLE[dataset]})"
    runs = {name: evidence.of_paper(dataset, SETTINGS[dataset].get(name, name)) for name in ("cnn", "beta")}
    seeds = sorted(runs["cnn"].keys() & runs["beta"].keys())
    if not seeds:
        order = Ordering(key, section, sentence, dataset, "cnn", "beta", "higher")
        return waiting(order, "secondary", [experiment(dataset, name) for name in ("cnn", "beta")])
    cut = min(runs[name][seed][0].rows[-1]["iteration"] for name in runs for seed in seeds)
    last = {name: [at_cut(runs[name][seed][0].rows, cut) for seed in seeds] for name in runs}
    back = {name: [share_back(runs[name][seed][0].rows, cut) for seed in seeds] for name in runs}
    difference = [cnn - beta for cnn, beta in zip(last["cnn"], last["beta"], strict=True)]
    returns = [beta - cnn for cnn, beta in zip(back["cnn"], back["beta"], strict=True)]
    counts = {name: of_mean(values) for name, values in last.items()}
    shares = {name: of_mean(values).within(0, 1) for name, values in back.items()}
    return Claim(
        key,
        section,
        sentence,
        f"units with z < 0 on every image, at iteration {cut:,.0f}: CNN {_mean(last['cnn']):.0f}, beta"
        f" {_mean(last['beta']):.0f}; come back by the next: CNN {_mean(back['cnn']):.1%}, beta {_mean(back['beta']):.1%}",
        judge(Sides(*(max(pair_) for pair_ in zip(higher(difference), higher(returns), strict=True)))),
        tuple(dict.fromkeys(runs[name][seed][1] for name in runs for seed in seeds)),
        seeds_text(seeds),
        details=(
            "secondary; reproduced if fewer of beta's units are below 0 and more come back, not if it is the other way",
            f"CNN minus beta: {of_mean(difference).text(0, signed=True)} units; beta minus CNN, share that comes back: "
            f"{of_mean(returns).text(3, signed=True)}",
            "a unit may also come back because other images are measured: 1,600 are drawn anew each time",
        ),
        numbers={"counts": counts, "shares": shares},
    )


def at_cut(rows: list[dict[str, float]], cut: float) -> float:
    """Units below 0 on every image at the last evaluation up to `cut`."""
    return next(row["below_zero"] for row in reversed(rows) if row["iteration"] <= cut)


def share_back(rows: list[dict[str, float]], cut: float) -> float:
    """Of the units below 0 on every image at one evaluation, the share that was not at the next; over all until `cut`."""
    seen = [row for row in rows if row["iteration"] <= cut]
    silent = math.fsum(row["below_zero"] for row in seen[:-1])
    return math.fsum(row["came_back"] for row in seen[1:]) / silent if silent else 0.0


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
