"""Runs that went wrong and stayed so: the loss is not finite at the end, or all logits are equal."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..history import counted
from .grid import Finished

NON_FINITE, EQUAL = "non-finite loss", "equal logits"  # as `training.py` notes them
NAMED = 4  # so many networks are named in a sentence; more are named below the table only

WHOLE = {1: "the run", 2: "both runs"}


class Wrong(NamedTuple):
    """A run that went wrong, what it ended in, and the first iteration of that."""

    run: Finished
    kind: str
    first: int


def ended_in(run: Finished) -> Wrong | None:
    """How a run went wrong; None if it did not, or came back: a single step of equal logits is no end."""
    moments = run.divergence.moments
    if not math.isfinite(run.rows[-1]["loss"]):
        first = next(row["iteration"] for row in run.rows if not math.isfinite(row["loss"]))
        return Wrong(run, NON_FINITE, int(moments.get(NON_FINITE, {}).get("first", first)))
    for kind, moment in moments.items():
        if moment["last"] >= run.result["iteration"]:
            return Wrong(run, kind, moment["first"])
    return None


def gone_wrong(runs: list[Finished]) -> list[Wrong]:
    """Those of the runs that went wrong."""
    return [found for run in runs if (found := ended_in(run)) is not None]


def measurable(run: Finished) -> bool:
    """Whether what was measured at the end says something: not of a network that computes NaN."""
    found = ended_in(run)
    return found is None or found.kind != NON_FINITE


def in_words(wrong: list[Wrong], runs: int) -> str:
    """Of so many runs: "all 5 runs went wrong (non-finite loss from iteration 6 on)", or "2 of 5 runs ...", and which."""
    kinds = {kind: [one.first for one in wrong if one.kind == kind] for kind in dict.fromkeys(one.kind for one in wrong)}
    how = " and ".join(
        f"{kind} from iteration {min(firsts):,} on{'' if len(set(firsts)) == 1 else ' at the earliest'}"
        for kind, firsts in kinds.items()
    )
    if len(wrong) == runs:
        return f"{WHOLE.get(runs, f'all {runs} runs')} went wrong ({how})"
    seeds = by_name(wrong)
    names = "; ".join(
        f"{name}, seed{'' if len(mine) == 1 else 's'} {', '.join(map(str, mine))}" for name, mine in seeds.items()
    )
    return f"{len(wrong)} of {counted(runs, 'run')} went wrong ({how}): {names if len(seeds) <= NAMED else 'see below'}"


def by_name(wrong: list[Wrong]) -> dict[str, list[int]]:
    """{variant: seeds}."""
    names = dict.fromkeys(one.run.run.variant for one in wrong)
    return {name: [one.run.run.seed for one in wrong if one.run.run.variant == name] for name in names}
