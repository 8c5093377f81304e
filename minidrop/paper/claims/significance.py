"""Significance: how far a maximum over evaluations is too high, and which differences between networks are real."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..reproduce.grid import Finished
from ..reproduce.published import NAMES
from ..variants import VARIANTS
from .evidence import Evidence, Stored, peak, whole_test
from .intervals import Interval, of_mean, smallest_p
from .ledger import Claim
from .questions import in_words, not_yet_run


def significance_claims(evidence: Evidence) -> list[Claim]:
    """How far a maximum is too high, which differences are real, and the same under the careful protocol."""
    return [
        _maximum(evidence),
        _differences(evidence["cifar10-lite"], "differences-cifar10", peak, "peaks"),
        _differences(evidence["mnist-lite"], "differences-mnist", peak, "peaks"),
        _differences(
            evidence["mnist-lite-careful"], "differences-careful", whole_test, "shares of the whole test set, last weights"
        ),
    ]


def _maximum(evidence: Evidence) -> Claim:
    """The maximum of many evaluations on the first 1,600 images, and the same weights on all 10,000."""
    some, every = evidence.find("fine"), evidence.find("fine-all")
    if some is None or every is None:
        sentence = "How far does the maximum of many evaluations on 1,600 test images lie above the accuracy on all 10,000?"
        return not_yet_run("maximum", "ours", sentence, "fine-all")
    rows: list[tuple[str, ...]] = [
        ("", "peak on 1,600", "same weights, all 10,000", "above by", "1,600 minus all, on average", "by selection")
    ]
    above, selection, count = [], [], 0
    for variant in every.variants():
        for seed in sorted(every.of(variant).keys() & some.of(variant).keys()):
            whole = {row["iteration"]: row["accuracy"] for row in every.of(variant)[seed].rows}
            first = {row["iteration"]: row["accuracy"] for row in some.of(variant)[seed].rows if row["iteration"] in whole}
            count = len(first)
            best = max(first, key=lambda iteration: first[iteration])
            easier = math.fsum(first[i] - whole[i] for i in first) / len(first)
            above.append(first[best] - whole[best])
            selection.append(above[-1] - easier)
            rows.append(
                (
                    f"{NAMES[variant]}, seed {seed}",
                    f"{first[best]:.4f}",
                    f"{whole[best]:.4f}",
                    f"{above[-1]:+.4f}",
                    f"{easier:+.4f}",
                    f"{selection[-1]:+.4f}",
                )
            )
    found, chosen = of_mean(above), of_mean(selection)
    return Claim(
        "maximum",
        "ours",
        f"How far does the maximum of {count} evaluations on 1,600 test images lie above the accuracy on all 10,000?",
        f"{found.text(signed=True)}; by selection alone {chosen.text(signed=True)}",
        in_words(chosen, "too high", "not too high"),
        (some, every),
        every.seeds(*every.variants()),
        table=tuple(rows),
        details=(
            "the 1,600 images may be easier or harder than all: that part is not selection, and is taken off",
            "by construction: what is chosen for being the highest is, on average, too high; the question is by how much",
        ),
        numbers={"above": found, "selection": chosen},
    )


def _differences(stored: Stored, key: str, number: Callable[[Finished], float], what: str) -> Claim:
    """Every pair of the paper's networks, paired by seed."""
    rows: list[tuple[str, ...]] = [("", "difference", "")]
    told: dict[str, Interval] = {}
    names = [variant for variant in VARIANTS if stored.of(variant)]
    for index, one in enumerate(names):
        for other in names[:index]:
            found = stored.difference(one, other, number)
            told[f"{one} - {other}"] = found
            rows.append((f"{NAMES[one]} - {NAMES[other]}", found.text(signed=True), in_words(found)))
    real = sum(0 not in found for found in told.values())
    pairs = len(stored.pairs(names[0], names[1], number))
    return Claim(
        key,
        "ours",
        f"Which differences are real? {stored.config['dataset']['label']}, {stored.settings['protocol']} protocol, {what}",
        f"{real} of {len(told)} intervals exclude 0",
        f"{real} of {len(told)}",
        (stored,),
        stored.seeds(*names),
        table=tuple(rows),
        details=(
            (
                f"{len(told)} comparisons, each at 95 %: some {0.05 * len(told):.1f} would exclude 0 by chance; without normal"
                f" errors {pairs} seeds cannot give a two-sided p below {smallest_p(pairs):.4f}"
            ),
        ),
        numbers=dict(told),
    )
