"""The paper's claims on expectations (sections II and IV), against means of 10,000 draws (`minidrop draws`)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..reproduce.draws import INPUTS
from ..reproduce.provenance import describe
from .evidence import Evidence
from .intervals import Interval
from .ledger import Claim, decide

COMMAND = "minidrop draws lessons/results/draws"
SMALL = 0.01  # a gap that is surely below this counts as none: a hundredth of the output
EACH = f"{INPUTS}, each fixed"


class Draws:
    """The contents of layers.csv and units.csv."""

    def __init__(self, folder: Path) -> None:
        try:
            self.stored = json.loads((folder / "draws.json").read_text())
            self.layers, self.units = (_rows(folder / name) for name in ("layers.csv", "units.csv"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} cannot be read", expected=f"what `{COMMAND}` writes", got=str(error)) from error
        self.made_with = describe(self.stored["provenance"][0])

    def gap(self, kind: str, layers: int, inputs: str = EACH) -> Interval:
        """The gap of a kind, as a share of the output."""
        row = next(r for r in self.layers if (r["kind"], int(r["layers"]), r["inputs"]) == (kind, layers, inputs))
        return Interval(row["gap"], row["low"], row["high"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The rows of units.csv of one kind."""
        return [row for row in self.units if row["kind"] == kind]


def _rows(path: Path) -> list[dict[str, Any]]:
    texts = ("kind", "inputs")
    with path.open(encoding="utf-8") as file:
        return [{name: v if name in texts else float(v) for name, v in row.items()} for row in csv.DictReader(file)]


def theory_claims(evidence: Evidence) -> list[Claim]:
    """Sections II and IV."""
    draws = Draws(evidence.results / "draws")
    found = [
        _linear(draws, "expectation-linear", "IV", "A DropAlan layer is expectation-linear, for a fixed input", 1, EACH),
        _linear(
            draws, "compositions", "IV", "So are compositions of DropAlan layers, for there is no activation function", 2, EACH
        ),
        _usual(draws),
        _networks(draws),
        _random(draws),
        _alike(draws),
        *(_figure(draws, key, kind) for key, kind in (("figure-1", "alpha"), ("figure-2", "beta"))),
    ]
    seeds = str(draws.stored["settings"]["seed"])
    on = f"{draws.stored['settings']['draws']:,} masks per input and layer; {draws.made_with}"
    return [_with(claim, seeds, on) for claim in found]


def _with(claim: Claim, seeds: str, on: str) -> Claim:
    import dataclasses

    return dataclasses.replace(claim, seeds=seeds, on=on, commands=(COMMAND,))


def _linear(draws: Draws, key: str, section: str, sentence: str, layers: int, inputs: str) -> Claim:
    """The paper's two, alpha and beta, unscaled as in its formula; the scaled ones are shown beside them."""
    gaps = {kind: draws.gap(kind, layers, inputs) for kind in ("alpha", "beta", "alpha-scaled", "beta-scaled")}
    plain = [gaps["alpha"], gaps["beta"]]
    text = ", ".join(f"{kind} {gap.text()}" for kind, gap in gaps.items() if not kind.endswith("scaled"))
    scaled = ", ".join(f"{kind} {gap.text()}" for kind, gap in gaps.items() if kind.endswith("scaled"))
    return Claim(
        key,
        section,
        sentence,
        f"gap, as a share of the output: {text}",
        decide(all(gap.high < SMALL for gap in plain), all(gap.low > SMALL for gap in plain)),
        details=(f"scaled, where the mean mask gives z itself: {scaled}",),
        numbers={"gaps": gaps},
    )


def _usual(draws: Draws) -> Claim:
    relu, sigmoid = draws.gap("dropout, ReLU", 1), draws.gap("dropout, sigmoid", 1)
    deep = draws.gap("dropout, ReLU", 2)
    return Claim(
        "relu-not-linear",
        "IV",
        "A layer of ReLU and dropout is not expectation-linear, by the paper's formula",
        f"gap {relu.text()}",
        decide(relu.low > SMALL, relu.high < SMALL),
        details=("relu(z theta) = theta relu(z) for theta 0 or 1: the formula, which the paper adapts from its source, holds",),
        numbers={"relu": relu, "sigmoid": sigmoid, "deep": deep},
    )


def _networks(draws: Draws) -> Claim:
    sigmoid, deep = draws.gap("dropout, sigmoid", 1), draws.gap("dropout, ReLU", 2)
    return Claim(
        "networks-not-linear",
        "IV",
        "Networks with ReLU or sigmoid and dropout are not expectation-linear (the paper, of others)",
        f"gap: two ReLU layers {deep.text()}, a sigmoid layer {sigmoid.text()}",
        decide(deep.low > SMALL and sigmoid.low > SMALL, deep.high < SMALL or sigmoid.high < SMALL),
        numbers={"sigmoid": sigmoid, "deep": deep},
    )


def _random(draws: Draws) -> Claim:
    gaps = {kind: draws.gap(kind, 1, "drawn too") for kind in ("alpha", "beta", "beta-scaled")}
    return Claim(
        "random-input",
        "IV, V",
        "It is contingent on a fixed input (the paper's own caveat)",
        "input drawn too, gap: " + ", ".join(f"{kind} {gap.text(3)}" for kind, gap in gaps.items()),
        decide(
            gaps["alpha"].low > SMALL and gaps["beta"].low > SMALL, gaps["alpha"].high < SMALL and gaps["beta"].high < SMALL
        ),
        details=("for k depends on z, and so theta and z are correlated; scaled, E[z theta / k] = E[z] whatever z is",),
        numbers={"gaps": gaps},
    )


def from_relu(draws: Draws, kind: str) -> tuple[float, float]:
    """The largest |mean output - relu(z)| on the grid, -5 to 2, and the z where it is."""
    return max((abs(row["mean"] - max(row["z"], 0.0)), row["z"]) for row in draws.of(kind))


def _alike(draws: Draws) -> Claim:
    alpha, beta = (from_relu(draws, kind) for kind in ("alpha", "beta"))
    error = max(row["error"] for kind in ("alpha", "beta") for row in draws.of(kind))
    inner = max(abs(row["mean"] - max(row["z"], 0.0)) for row in draws.of("alpha") if row["z"] > -1)
    bound = 0.2 + 4 * error  # beta's expectation is -.2 from -1 down to where p_max clips it
    return Claim(
        "alike-relu",
        "II",
        "In expectation alpha is unlike a ReLU, and beta is like one",
        f"largest distance from ReLU for z from -5 to 2: alpha {alpha[0]:.2f}, beta {beta[0]:.2f} (±{1.96 * error:.2f})",
        decide(beta[0] < bound < alpha[0], beta[0] >= bound or alpha[0] <= bound),
        details=(
            (
                f"alpha's largest distance between -1 and 0, where the paper sees it, is {inner:.2f}; below -1.5 it is larger,"
                f" and grows with |z| ({alpha[0]:.2f} at z = {alpha[1]:.1f})"
            ),
        ),
        numbers={"alpha": alpha[0], "beta": beta[0], "inner": inner},
    )


def _figure(draws: Draws, key: str, kind: str) -> Claim:
    rows = draws.of(kind)
    inside = sum(abs(row["mean"] - row["formula"]) <= 1.96 * row["error"] + 1e-6 * abs(row["z"]) for row in rows)
    worst = max(abs(row["mean"] - row["formula"]) / row["error"] for row in rows if row["error"])
    return Claim(
        key,
        f"II, Figure {key[-1]}",
        f"The expectation of {kind} is z k(z), as drawn",
        f"mean of the draws within its 95 % interval of the formula at {inside} of {len(rows)} points",
        decide(worst < 4, worst >= 4),
        details=(
            (
                f"the farthest point is {worst:.1f} standard errors off; this tests the drawing, for the paper's figure is the"
                " formula"
            ),
        ),
        numbers={"inside": inside, "points": len(rows)},
    )
