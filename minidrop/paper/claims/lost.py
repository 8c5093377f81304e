"""Lost classes: how often a class is lost behind the ReLU on the logits, and the accuracy of the healthy runs."""

from __future__ import annotations

import math
from typing import Any

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from .evidence import Evidence
from .intervals import of_mean, of_share
from .ledger import Claim
from .logs import FIRST
from .rules import is_healthy
from .tables import TITLE


def of_setting(runs: list[Finished]) -> dict[str, Any]:
    """Runs of one setting -> how many, how many lost a class, and the same at the last evaluation that all of them have.

    A run with a loss that is not finite did not keep its classes: it counts as dead, and for nothing else.
    """
    alive = [run for run in runs if all(math.isfinite(row["loss"]) for row in run.rows)]
    end = min((int(run.rows[-1]["iteration"]) for run in alive), default=0)
    ends = [max((row for row in run.rows if row["iteration"] <= end), key=lambda row: row["iteration"]) for run in alive]
    lost = [bool(row["lost_classes"]) for row in ends]
    ever = [not is_healthy(run.rows, FIRST, end) for run in alive]
    healthy = [row["accuracy"] for row, bad in zip(ends, lost, strict=True) if not bad]
    return {
        "runs": len(alive),
        "dead": len(runs) - len(alive),
        "end": end,
        "ever": sum(ever),
        "back": sum(once and not now for once, now in zip(ever, lost, strict=True)),
        "rate": of_share(sum(lost), len(alive)) if alive else None,
        "all": of_mean([row["accuracy"] for row in ends]).within(0, 1) if alive else None,
        "healthy": of_mean(healthy).within(0, 1) if healthy else None,
    }


def without_copies(found: dict[str, list[Finished]]) -> dict[str, list[Finished]]:
    """Runs by setting, without those whose history equals an earlier one's: a clip that never acts gives the same run."""
    seen: set[str] = set()
    kept: dict[str, list[Finished]] = {}
    for variant, runs in found.items():
        for run in runs:
            history = repr([[value for name, value in row.items() if name != "seconds"] for row in run.rows])
            if history not in seen:
                seen.add(history)
                kept.setdefault(variant, []).append(run)
    return kept


def lost_claims(evidence: Evidence) -> list[Claim]:
    """One per dataset with runs of the published network."""
    return [claim for dataset in ("mnist", "cifar10") if (claim := _lost(evidence, dataset))]


def _lost(evidence: Evidence, dataset: str) -> Claim | None:
    names = dict.fromkeys(name for stored in evidence.experiments.values() for name in stored.settings["variants"])
    by_setting = {name: evidence.of_paper(dataset, name) for name in names if "linear" not in name}
    used = dict.fromkeys(stored for runs in by_setting.values() for _, stored in runs.values())
    runs_of = {name: [run for run, _ in runs.values()] for name, runs in by_setting.items() if runs}
    kept = without_copies(runs_of)
    if not kept:
        return None
    found = {variant: of_setting(runs) for variant, runs in kept.items()}
    rows: list[tuple[str, ...]] = [
        ("", "runs", "until", "lost a class", "and had it back", "rate at the end", "accuracy then, all", "healthy runs")
    ]
    for variant, one in found.items():
        if one["runs"]:
            counts = (str(one["runs"]), f"{one['end']:,}", str(one["ever"]), str(one["back"]), one["rate"].text(2))
            accuracy = tuple("none" if one[which] is None else _mean_text(one[which]) for which in ("all", "healthy"))
            rows.append((NAMES.get(variant, f"`{variant}`"), *counts, *accuracy))
    runs, ever = (sum(one[what] for one in found.values()) for what in ("runs", "ever"))
    copies = sum(len(runs) for runs in runs_of.values()) - sum(len(runs) for runs in kept.values())
    never = [NAMES.get(name, name) for name, one in found.items() if one["runs"] and not one["ever"]]
    return Claim(
        f"lost-classes-{dataset}",
        "ours",
        f"How often is a class lost behind the ReLU on the logits? {TITLE[dataset]}",
        f"{ever} of {runs} runs had lost one at some evaluation from {FIRST:,} on",
        f"it happens; never seen: {', '.join(never) or 'no setting'}" if ever else "not seen",
        tuple(used),
        table=tuple(rows),
        details=(
            "by class, from the columns of the history: a class is lost if its own logit is 0 on all of its images",
            *(
                [f"{copies} runs are the same as another one to the bit, for their clip never bites; they count once"]
                if copies
                else []
            ),
            "seeds share their first weights over the settings, so that one bad start shows in several rows",
        ),
        numbers=found,
    )


def _mean_text(interval: Any) -> str:
    """A mean and its interval; for one run only the number."""
    return interval.text() if math.isfinite(interval.low) and interval[1:] != (0, 1) else f"{interval.value:.4f}"
