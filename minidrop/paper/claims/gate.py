"""The gate: which network, and which settings of alpha and beta, made which published log? By fingerprints of the loss curves.

Two runs of one setting, with other random numbers, have loss curves that lie some hundredths apart (mean |log(ratio)| of the
means of 1,000 iterations). A curve of another network, or another setting, lies farther away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import DataError
from ..reproduce.published import NAMES
from ..reproduce.table import mean
from .evidence import Evidence, Stored, seeds_text
from .ledger import Claim, decide
from .logs import FIRST, GATES, distance
from .rules import is_healthy

EXPECTED = 0.04  # within which the right setting of a row is expected to lie


# Why a row lies farther from its log than was expected, where we know it.
WHY_FAR = {
    "mnist cnn": "its log had lost classes until iteration 3,000 (accuracy .556, .736, .854, then .963), our healthy seed none",
    "cifar10 cnn": (
        "its log climbs like one that has lost classes at first (loss 1.87 at 2,000, where the dropout log has 1.70);"
        " our seed 0, which had lost two until 4,000, lies nearer to it than the healthy one"
    ),
    "cifar10 dropout": (
        "its log is that of a network without dropout, as longer runs tell. At 50,000 iterations its loss is .210; ours are"
        " .238 without dropout, .576 with it (`cifar10-table-plain`, seed 0), and .317 in the text's network with it, which lay"
        " as near over these 10,000 iterations (`cifar10-described`). At 110,000 it is .0035; ours are .0049 without and .181"
        " with. An earlier run in the author's file, in the first commit of his repository (ffae61a) and taken out in the last,"
        " lies .011 from our CNN between 25,000 and 50,000. On MNIST the dropout log is that of our dropout"
    ),
}


class Match(NamedTuple):
    """What the gate says of one log.

    distances: by variant, the mean over healthy seeds. spread: between healthy seeds of the nearest variant, or if it has not
    two, the mean over the others'. possible: the variants that the log may be of, the nearest first: those that are farther
    from it than the nearest by at most half the spread. That is a rough rule: it excludes little, and chance something.
    """

    log: str
    distances: dict[str, float]
    spread: float
    possible: list[str]

    @property
    def nearest(self) -> str:
        """The variant whose curves lie nearest."""
        return self.possible[0]


def outdated(name: str, error: KeyError) -> DataError:
    """What is stored of the logs was derived before these runs were made."""
    return DataError(
        f"logs.json knows nothing of some runs of {name}",
        expected="distances of every stored run from the author's logs",
        got=f"none for {error}",
        help="derive it anew: minidrop claims --published curves.csv",
    )


def healthy(stored: Stored, variant: str) -> list[int]:
    """The seeds of a variant that lost no class at any evaluation from FIRST on."""
    end = stored.settings["iterations"]
    return [seed for seed, run in sorted(stored.of(variant).items()) if is_healthy(run.rows, FIRST, end)]


def matches(evidence: Evidence, dataset: str, network: str, part: str = "gate") -> dict[str, Match]:
    """By log: what the stored runs of one network say of it. part: "gate_late" for the second half of the runs."""
    stored = evidence[GATES[dataset][network]]
    spreads = {variant: between_seeds(stored, variant) for variant in stored.variants()}
    usual = mean([spread for spread in spreads.values() if not math.isnan(spread)] or [math.nan])
    found = {}
    try:
        stored_logs = evidence.logs[part][dataset][network]
    except KeyError as error:
        raise outdated(stored.name, error) from None
    for log, by_variant in stored_logs.items():
        try:
            means = {
                variant: mean([by_variant[variant][str(seed)] for seed in healthy(stored, variant) or stored.of(variant)])
                for variant in stored.variants()
            }
        except KeyError as error:
            raise outdated(stored.name, error) from None
        order = sorted(means, key=means.__getitem__)
        spread = usual if math.isnan(spreads[order[0]]) else spreads[order[0]]
        possible = [variant for variant in order if not means[variant] > means[order[0]] + spread / 2]  # nan: all
        found[log] = Match(log, means, spread, possible)
    return found


def between_seeds(stored: Stored, variant: str) -> float:
    """The mean distance between the loss curves of a variant's healthy seeds, pair by pair; nan if there are not two."""
    runs, seeds = stored.each_curve(variant), healthy(stored, variant)
    pairs = [(one, other) for place, one in enumerate(seeds) for other in seeds[:place]]
    return mean([distance(runs[one], runs[other]) for one, other in pairs] or [math.nan])


def gate_claims(evidence: Evidence) -> list[Claim]:
    """One per dataset whose gate is stored."""
    return [_gate(evidence, dataset) for dataset in ("mnist", "cifar10") if evidence.find(GATES[dataset]["published"])]


def named(log: str) -> str:
    """A log for a table: the paper's row, or the log's own name."""
    return NAMES.get(log, f"`{log}`")


def table(evidence: Evidence, dataset: str) -> list[tuple[str, ...]]:
    """A row per log, a column per variant; the nearest in bold."""
    found = matches(evidence, dataset, "published")
    variants = list(next(iter(found.values())).distances)
    contrast = matches(evidence, dataset, "described") if evidence.find(GATES[dataset]["described"]) else {}
    rows: list[tuple[str, ...]] = [
        (
            "log of",
            *(f"`{name}`" for name in variants),
            "two seeds are apart",
            *(["`described`"] if contrast else []),
            "cannot be told from",
        )
    ]
    for log, match in found.items():
        cells = [f"**{value:.3f}**" if name == match.nearest else f"{value:.3f}" for name, value in match.distances.items()]
        other = contrast.get(log)
        described = [f"`{other.nearest}` {other.distances[other.nearest]:.3f}" if other else ""] if contrast else []
        possible = ", ".join(f"`{name}`" for name in match.possible)
        rows.append((named(log), *cells, f"{match.spread:.3f}", *described, possible))
    return rows


def short_table(evidence: Evidence, dataset: str) -> list[tuple[str, ...]]:
    """In short: of each row of the paper how far its own settings lie, what seeds do, and the text's network."""
    found = matches(evidence, dataset, "published")
    late = matches(evidence, dataset, "published", "gate_late")
    contrast = matches(evidence, dataset, "described") if evidence.find(GATES[dataset]["described"]) else {}
    trained = evidence[GATES[dataset]["described"]].variants() if contrast else []
    rows: list[tuple[str, ...]] = [
        ("log", "`published`", "second half", "two seeds are apart", "`described`", "cannot be told from")
    ]
    for log in (name for name in NAMES if name in found):
        match = found[log]
        own, rest = (min(one.distances[name] for name in _settings_of(log, one)) for one in (match, late[log]))
        described = f"{contrast[log].distances[log]:.3f}" if log in trained else ""
        possible = ", ".join(f"`{name}`" for name in match.possible)
        rows.append((NAMES[log], f"{own:.3f}", f"{rest:.3f}", f"{match.spread:.3f}", described, possible))
    return rows


def _gate(evidence: Evidence, dataset: str) -> Claim:
    stored = evidence[GATES[dataset]["published"]]
    contrast = evidence.find(GATES[dataset]["described"])
    found = matches(evidence, dataset, "published")
    own = [log for log in NAMES if log in found]
    value = {log: min(found[log].distances[name] for name in _settings_of(log, found[log])) for log in own}
    close = [log for log in own if value[log] <= EXPECTED]
    late = matches(evidence, dataset, "published", "gate_late")
    rest = {log: min(late[log].distances[name] for name in _settings_of(log, late[log])) for log in own if log not in close}
    lost = {variant: sorted(stored.of(variant).keys() - set(healthy(stored, variant))) for variant in stored.variants()}
    lost = {variant: seeds for variant, seeds in lost.items() if seeds}
    details = [
        f"mean |log(our loss / published loss)| over the means of each 1,000 iterations from {FIRST:,} on; healthy seeds",
        "a log may be of every setting that is farther from it than the nearest by at most half of what two seeds are apart",
        "that rows which speak for different networks leave it undecided was written after these runs were seen: by the rule"
        " before, CIFAR-10 was not reproduced, for its dropout row",
        *(
            f"{NAMES[log]}: {value[log]:.3f}, over the second half of our runs {apart:.3f}: "
            + WHY_FAR.get(f"{dataset} {log}", "not explained")
            for log, apart in rest.items()
        ),
        *([f"lost classes in {_list(lost)}: such seeds are left out where there is another"] if lost else []),
    ]
    return Claim(
        f"gate-{dataset}",
        "the author's logs",
        f"The published {stored.config['dataset']['label'].partition(' (')[0]} logs are of the `published` network",
        f"{len(close)} of {len(own)} rows within {EXPECTED:g} of their log",
        _verdict(evidence, dataset, found),
        tuple(one for one in (stored, contrast) if one),
        seeds_text(sorted(stored.of("cnn"))),
        details=tuple(details),
        table=tuple(table(evidence, dataset)),
        numbers={"found": found, "value": value, "close": close},
    )


def _settings_of(log: str, match: Match) -> list[str]:
    """The variants that a row of the paper's tables can be of: its own, and those with other numbers in it."""
    return [
        name
        for name in match.distances
        if name == log or (name.startswith(f"{log}-") and "=" in name and ("scaled" in name) == ("scaled" in log))
    ]


def _list(seeds: dict[str, list[int]]) -> str:
    return ", ".join(f"`{name}` seed {' and '.join(map(str, found))}" for name, found in seeds.items())


def judge_gate(pairs: list[tuple[float, float, float]]) -> str:
    """(published, described, spread) of each row that both networks were trained for -> the verdict (`rules.RULES`)."""
    nearer = [described - published > spread and published <= EXPECTED for published, described, spread in pairs]
    farther = [published - described > spread for published, described, spread in pairs]
    return decide(bool(pairs) and all(nearer), any(farther) and not any(nearer))


def _verdict(evidence: Evidence, dataset: str, found: dict[str, Match]) -> str:
    """By the rows that were also trained as described."""
    folder = evidence.find(GATES[dataset]["described"])
    if folder is None:
        return "undecided"
    other = matches(evidence, dataset, "described")
    rows = [log for log in folder.variants() if log in found]
    return judge_gate([(found[log].distances[log], other[log].distances[log], found[log].spread) for log in rows])
