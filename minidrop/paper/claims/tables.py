"""Tables I and II: each row, judged by where one more run of ours would fall, and a short version of them."""

from __future__ import annotations

import math
from typing import Any

from ..reproduce.published import LOGS, NAMES, TABLES
from ..reproduce.table import markdown
from ..variants import VARIANTS
from .evidence import Evidence, Stored, seeds_text
from .intervals import of_mean
from .ledger import Claim
from .logs import label
from .rules import (
    CUTS,
    HALF_WIDTH,
    holm,
    is_healthy,
    judge_row,
    p_of_row,
    peak_until,
    pooled_spread,
    predict,
    window_mean,
    window_start,
)
from .runs import command

NUMBER = {"cifar10": "I", "mnist": "II"}
TITLE = {"cifar10": "CIFAR-10", "mnist": "MNIST"}


def experiment(dataset: str, variant: str) -> str:
    """The long experiment that a row waits for."""
    if dataset == "mnist":
        return "mnist-table"
    return "cifar10-table-plain" if variant in ("cnn", "dropout") else "cifar10-table"


class Table:
    """One of the paper's tables: for each row our runs that reach its cut, and what the rules make of them.

    values: by row and seed the primary statistic of the healthy runs, by which rows are judged; lost: of the others.
    """

    def __init__(self, evidence: Evidence, dataset: str) -> None:
        self.dataset = dataset
        self.log = evidence.logs["rows"][dataset]
        self.runs = {name: evidence.of_paper(dataset, name) for name in VARIANTS}
        self.values: dict[str, dict[int, float]] = {name: {} for name in VARIANTS}
        self.lost: dict[str, dict[int, float]] = {name: {} for name in VARIANTS}
        for name, runs in self.runs.items():
            cut = CUTS[dataset][name]
            for seed, (run, _) in runs.items():
                if (mean := window_mean(run.rows, cut)) is not None:
                    side = self.values if is_healthy(run.rows, window_start(cut), cut) else self.lost
                    side[name][seed] = mean
        pooled = pooled_spread(list(values.values()) for values in self.values.values())
        self.spread = {name: self._spread(name, pooled, evidence.logs["repeats"][dataset]) for name in VARIANTS}
        self.p = {name: p_of_row(self.published(name), *self.given(name)) if self.values[name] else 1.0 for name in VARIANTS}
        self.adjusted = holm(self.p)  # over all five rows, so that a verdict does not hang on which were run first

    def _spread(self, name: str, pooled: tuple[float, int], repeats: dict[str, list[float]]) -> tuple[float, int]:
        """The spread that counts for a row, and its degrees of freedom: ours, or that of the published repeats."""
        published = pooled_spread([repeats.get(name, [])])
        return published if pooled[1] and published[1] and published[0] > pooled[0] else pooled

    def published(self, name: str) -> float:
        """The published run's mean in the window of a row."""
        return float(self.log[name]["window_mean"])

    def given(self, name: str) -> tuple[list[float], float, int]:
        """Of a row: our healthy runs' means in its window, the spread that counts, its degrees of freedom."""
        return list(self.values[name].values()), *self.spread[name]

    def stored(self, name: str) -> tuple[Stored, ...]:
        """The experiments that a row's numbers are from."""
        seeds = self.values[name].keys() | self.lost[name].keys()
        return tuple(dict.fromkeys(stored for seed, (_, stored) in self.runs[name].items() if seed in seeds))

    def peaks(self, name: str) -> list[float]:
        """The secondary statistic of our healthy runs."""
        return [peak_until(self.runs[name][seed][0].rows, CUTS[self.dataset][name]) for seed in self.values[name]]


def table_claims(evidence: Evidence) -> list[Claim]:
    """A claim per row of the two tables."""
    tables = [Table(evidence, dataset) for dataset in ("cifar10", "mnist")]
    return [_row(table, variant) for table in tables for variant in VARIANTS]


def _row(table: Table, variant: str) -> Claim:
    dataset, cut = table.dataset, CUTS[table.dataset][variant]
    paper, log = TABLES[dataset][variant], table.log[variant]
    common: dict[str, Any] = {
        "key": f"table-{NUMBER[dataset].lower()}-{variant}",
        "section": f"III.B, Table {NUMBER[dataset]}",
        "sentence": f"{NAMES[variant]} reaches {paper.accuracy} on {TITLE[dataset]} (at iteration {paper.iteration:,})",
    }
    window = f"{log['first']:,} to {cut:,}"
    details = [f"published log, iterations {window}: mean {log['window_mean']:.4f}, peak up to there {log['peak']:.4f}"]
    if table.lost[variant]:
        everyone = list((table.values[variant] | table.lost[variant]).values())
        lost = ", ".join(map(str, sorted(table.lost[variant])))
        details.append(
            f"left out, for a class was lost in the window: seed {lost}; with them {of_mean(everyone).within(0, 1).text()}"
        )
    if not table.values[variant] and not table.lost[variant]:
        longest = max((run.rows[-1]["iteration"] for run, _ in table.runs[variant].values()), default=0)
        so_far = f"; the longest run so far has {longest:,} iterations" if longest else ""
        return Claim(
            **common,
            number=f"not yet run to iteration {cut:,}{so_far}",
            verdict="undecided",
            details=tuple(details),
            on="`published` network, `paper` protocol",
            commands=(command(experiment(dataset, variant)),),
        )
    if not table.values[variant]:
        return Claim(
            **common,
            number="every run lost a class in the window",
            verdict="undecided",
            stored=table.stored(variant),
            details=tuple(details),
        )
    values, spread, degrees = table.given(variant)
    prediction = predict(values, spread, degrees)
    p, adjusted = table.p[variant], table.adjusted[variant]
    peaks = of_mean(table.peaks(variant)).within(0, 1)
    return Claim(
        **common,
        number=f"published {log['window_mean']:.4f}; one more run of ours {prediction.interval.text()}",
        verdict=judge_row(prediction, p, adjusted, HALF_WIDTH[dataset]),
        stored=table.stored(variant),
        seeds=seeds_text(sorted(table.values[variant])),
        details=(
            *details,
            f"half-width {prediction.half:.4f}, at most {HALF_WIDTH[dataset]} asked for; p {p:.3f}, by Holm {adjusted:.3f}",
            f"secondary: peak up to iteration {cut:,}, ours {peaks.text()}, published {log['peak']:.4f}",
        ),
        numbers={"prediction": prediction, "p": p, "adjusted": adjusted, "peaks": peaks},
    )


def windows(evidence: Evidence) -> str:
    """The table of windows and cuts, with what the published logs have in them."""
    rows: list[tuple[str, ...]] = [
        ("", "network", "log", "window: iterations", "published: mean in it", "published: peak up to its end", "at iteration")
    ]
    for dataset in ("cifar10", "mnist"):
        for variant in VARIANTS:
            log = evidence.logs["rows"][dataset][variant]
            rows.append(
                (
                    TITLE[dataset],
                    NAMES[variant],
                    f"`{label(LOGS[dataset][variant])}`",
                    f"{log['first']:,} to {log['cut']:,}",
                    f"{log['window_mean']:.4f}",
                    f"{log['peak']:.4f}",
                    f"{log['peak_iteration']:,.0f}",
                )
            )
    repeats = evidence.logs["repeats"]["cifar10"].get("beta", [])
    spread, degrees = pooled_spread([repeats])
    if not degrees:
        return markdown(rows)
    least = predict([0.0] * 1_000, spread, degrees).half  # with very many runs
    can = "can be reproduced, too" if least <= HALF_WIDTH["cifar10"] else "can only be undecided or not reproduced"
    text = (
        f"Beta on CIFAR-10 was published {len(repeats)} times: {', '.join(f'{mean:.4f}' for mean in repeats)} in its window, a"
        f" spread of {spread:.4f}. With that spread its row {can}."
    )
    return "\n".join([markdown(rows), "", text])


# In short -------------------------------------------------------------------------------------------------------------


def short_row_table(evidence: Evidence, dataset: str) -> str:
    """Table I or II, paper beside ours, as Markdown."""
    table = Table(evidence, dataset)
    claims = {variant: _row(table, variant) for variant in VARIANTS}
    header = ("network", "paper: peak", "log: mean in its window", "ours: one more run", "seeds", "verdict")
    rows: list[tuple[str, ...]] = [header]
    for variant in VARIANTS:
        values, claim = table.values[variant], claims[variant]
        ours = "lost a class" if table.lost[variant] else "not yet run"
        if values:
            prediction = claim.numbers["prediction"]
            ours = prediction.interval.text() if math.isfinite(prediction.half) else f"{prediction.mean:.4f}"
        published = f"{table.published(variant):.4f}"
        rows.append((NAMES[variant], f"{TABLES[dataset][variant].accuracy}", published, ours, str(len(values)), claim.verdict))
    label = "CIFAR-10 (JPEG copy)" if dataset == "cifar10" else "MNIST"
    return "\n".join([f"**Table {NUMBER[dataset]}, {label}**, `published` network:", "", markdown(rows)])
