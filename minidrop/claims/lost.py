"""Lost classes: how often a digit disappears behind the ReLU on the logits, and what the runs without that say."""

from __future__ import annotations

import math
from typing import Any

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from .evidence import Evidence, Stored
from .gate import lost_ever
from .intervals import of_mean, of_share
from .ledger import Claim
from .logs import FIRST
from .tables import TITLE


def lost_at_the_end(run: Finished) -> bool:
    """Whether a class is lost at the last evaluation."""
    return bool(run.rows[-1]["lost_classes"])


def of_setting(runs: list[Finished]) -> dict[str, Any]:
    """Runs of one setting -> how many, how many lost a class, the rate at the end, the last accuracy of all and of healthy."""
    ends, ever = [lost_at_the_end(run) for run in runs], sum(map(lost_ever, runs))
    accuracy = [run.rows[-1]["accuracy"] for run in runs]
    healthy = [value for value, lost in zip(accuracy, ends, strict=True) if not lost]
    return {
        "runs": len(runs),
        "ever": ever,
        "rate": of_share(sum(ends), len(runs)),
        "back": ever - sum(lost and lost_ever(run) for lost, run in zip(ends, runs, strict=True)),
        "all": of_mean(accuracy).within(0, 1),
        "healthy": of_mean(healthy).within(0, 1) if healthy else None,
    }


def lost_claims(evidence: Evidence) -> list[Claim]:
    """One per dataset with runs of the published network."""
    return [claim for dataset in ("mnist", "cifar10") if (claim := _lost(evidence, dataset))]


def _lost(evidence: Evidence, dataset: str) -> Claim | None:
    found: dict[str, dict[str, Any]] = {}
    used: dict[Stored, None] = {}
    names = [name for stored in evidence.experiments.values() for name in stored.settings["variants"]]
    for variant in dict.fromkeys(names):
        runs = evidence.of_paper(dataset, variant)
        if runs and "linear" not in variant:
            found[variant] = of_setting([run for run, _ in runs.values()])
            used |= dict.fromkeys(stored for _, stored in runs.values())
    if not found:
        return None
    header = (
        "",
        "runs",
        "lost a class",
        "of these all back at the end",
        "rate at the end",
        "last accuracy, all runs",
        "healthy runs",
    )
    rows: list[tuple[str, ...]] = [header]
    for variant, one in found.items():
        healthy = "none" if one["healthy"] is None else _mean_text(one["healthy"])
        counts = (str(one["runs"]), str(one["ever"]), str(one["back"]), one["rate"].text(2))
        rows.append((NAMES.get(variant, f"`{variant}`"), *counts, _mean_text(one["all"]), healthy))
    runs_ = sum(one["runs"] for one in found.values())
    ever, ends = (
        sum(round(number) for number in numbers)
        for numbers in ([one["ever"] for one in found.values()], [one["rate"].value * one["runs"] for one in found.values()])
    )
    share = of_share(ends, runs_)
    return Claim(
        f"lost-classes-{dataset}",
        "ours",
        f"How often is a class lost behind the ReLU on the logits? {TITLE[dataset]}",
        f"{ends} of {runs_} runs have one at the end, {share.text(2)}; {ever} had one at some evaluation from {FIRST:,} on",
        "it happens" if ever else "not seen",
        tuple(used),
        table=tuple(rows),
        details=(
            "lost: none of the class's images has a logit other than 0 for it; by class, from the columns of the history",
            "rates over settings are not one rate: the interval is that of a run drawn from this set",
        ),
        numbers=found,
    )


def _mean_text(interval: Any) -> str:
    """A mean and its interval; of one run only the number."""
    return interval.text() if math.isfinite(interval.low) and interval[1:] != (0, 1) else f"{interval.value:.4f}"
