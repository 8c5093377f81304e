"""The paper's theory (section IV) tested with 10,000 mask draws: are one layer, and two, expectation-linear?

    minidrop draws FOLDER        writes draws.json, layers.csv and units.csv there; half a minute

A layer y = sigma(z theta s) with s = 1, or 1 / k where it is scaled, is expectation-linear if E[y] = sigma(z E[theta] s): its
mean output is its output for the mean mask. `layers.csv` has the distance between the two, as a share of E[y]:

    gap = |E[y] - sigma(z E[theta] s)| / |E[y]|

The square of that distance is estimated without bias (the squared length of a mean of noisy numbers would always come out
above 0): draws are split into BATCHES batches, and the inner products of *different* batches' means are averaged; the error is
the jackknife's over batches. `units.csv` has mean and spread of single units' outputs at a grid of z, for figures 1 and 2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...backend import Array
from ...errors import ArgumentError
from ...functional import drop_probability, dropalan, dropout
from ...random import Generator
from ...serialization import write_atomically
from ...tensor import Tensor
from ..history import rows_as_csv
from .lock import writable
from .provenance import provenance

DRAWS, BATCHES = 10_000, 100
UNITS = 64  # of each layer, and inputs of the first
INPUTS = 20  # over which "random inputs" are averaged
SPREAD = 1.5  # standard deviation of z: then a quarter of the units lie below -1
GRID = np.linspace(-5, 2, 36, dtype="float32") + np.float32(0.013)  # never on -1 or 0, where p has a jump or a kink

LAYER_COLUMNS = ("kind", "layers", "inputs", "gap", "low", "high", "squared", "error")
UNIT_COLUMNS = ("kind", "z", "mean", "error", "deviation", "formula")


@dataclass(frozen=True)
class Kind:
    """A hidden stage: z -> its output with a mask, and with the mean mask (`expected`: sigma(z E[theta] s))."""

    draw: Callable[[Array, Generator], Array]
    expected: Callable[[Array], Array]


def _dropalan(distribution: str, scaled: bool) -> Kind:
    def draw(z: Array, generator: Generator) -> Array:
        return dropalan(Tensor(z), distribution, scaled=scaled, generator=generator).data

    return Kind(draw, lambda z: z if scaled else z * (1 - drop_probability(z, distribution)))


def _dropout(sigma: Callable[[Tensor], Tensor]) -> Kind:
    """sigma(z theta / (1 - p)): the paper's form, the mask inside the activation function, with Keras's scale."""

    def draw(z: Array, generator: Generator) -> Array:
        return sigma(dropout(Tensor(z), 0.5, generator=generator)).data

    return Kind(draw, lambda z: sigma(Tensor(z)).data)


KINDS = {
    "alpha": _dropalan("alpha", scaled=False),
    "beta": _dropalan("beta", scaled=False),
    "alpha-scaled": _dropalan("alpha", scaled=True),
    "beta-scaled": _dropalan("beta", scaled=True),
    "dropout, linear": _dropout(lambda x: x),
    "dropout, ReLU": _dropout(Tensor.relu),
    "dropout, sigmoid": _dropout(Tensor.sigmoid),
}


def squared_distance(means: Array, reference: Array) -> tuple[float, float]:
    """(batches, units) independent means of E[y], (units) -> |E[y] - reference|^2 without bias, and its standard error.

    mean over pairs i != j of (m_i - r) . (m_j - r) = (|sum|^2 - sum of squares) / (n (n - 1)); the error by the jackknife,
    which is right far from 0, and near 0 too large by about sqrt(2): intervals around 0 are too wide, never too narrow.
    """
    apart = means.astype("float64") - reference
    count = len(apart)
    total, squares = apart.sum(axis=0), (apart**2).sum(axis=1)
    without = total - apart  # the sum, leaving out one batch at a time
    left_out = ((without**2).sum(axis=1) - (squares.sum() - squares)) / ((count - 1) * (count - 2))
    estimate = float((total @ total - squares.sum()) / (count * (count - 1)))
    error = math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
    return estimate, error


def two_layers(kind: Kind, first: Array, second: Array | None) -> tuple[Callable[[Array, Generator], Array], Any]:
    """One layer of a kind on x, or two: (x, generator) -> the output with masks, and x -> with mean masks."""
    if second is None:
        return lambda x, generator: kind.draw(x @ first, generator), lambda x: kind.expected(x @ first)
    deeper = second
    return (
        lambda x, generator: kind.draw(kind.draw(x @ first, generator) @ deeper, generator),
        lambda x: kind.expected(kind.expected(x @ first) @ deeper),
    )


def measure_draws(draws: int = DRAWS, seed: int = 0) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of layers.csv and of units.csv. Raises ArgumentError unless draws is a multiple of BATCHES, at least 3 BATCHES."""
    if draws < 3 * BATCHES or draws % BATCHES:
        raise ArgumentError("bad number of draws", expected=f"a multiple of {BATCHES}, at least {3 * BATCHES}", got=str(draws))
    numbers = Generator(seed)
    first, second = (numbers.normal((UNITS, UNITS)) * np.float32(SPREAD / math.sqrt(UNITS)) for _ in range(2))
    inputs = numbers.normal((INPUTS, UNITS))
    layers = []
    for name, kind in KINDS.items():
        for count, last in ((1, None), (2, second)):
            draw, expected = two_layers(kind, first, last)
            found = [_fixed(draw, expected, x, draws, numbers.spawn()) for x in inputs]
            layers.append(_row(name, count, "one, fixed", found[:1]))
            layers.append(_row(name, count, f"{INPUTS}, each fixed", found))
        layers.append(_row(name, 1, "drawn too", [_drawn_too(kind, inputs[0], first, draws, numbers.spawn())]))
    return layers, [row for name, kind in KINDS.items() for row in _units(name, kind, draws, numbers.spawn())]


Found = tuple[float, float, float]  # squared distance, its standard error, squared length of E[y]


def _fixed(draw: Any, expected: Any, x: Array, draws: int, generator: Generator) -> Found:
    """At one input: the draws' means, batch by batch, against the output for the mean mask."""
    repeated = np.broadcast_to(x, (draws, UNITS))
    means = draw(repeated, generator).reshape(BATCHES, -1, UNITS).mean(axis=1, dtype="float64")
    estimate, error = squared_distance(means, expected(x[None])[0].astype("float64"))
    return estimate, error, float((means.mean(axis=0) ** 2).sum())


def _drawn_too(kind: Kind, x: Array, weight: Array, draws: int, generator: Generator) -> Found:
    """The input is drawn too, around x: E[y] against the layer at E[z] with the mean mask E[theta], both also over inputs.

    E[theta] comes from the layer's own k(z), averaged over the same inputs; a scaled or ordinary layer has it in its scale.
    """
    z = (x + generator.normal((draws, UNITS))) @ weight
    outputs = kind.draw(z, generator).reshape(BATCHES, -1, UNITS).mean(axis=1, dtype="float64")
    middle = z.mean(axis=0, dtype="float64")
    # sigma(z E[theta] s) at E[z]: for the unscaled kinds E[theta] is the mean of expected(z) / z = k(z), else expected has it
    shares = kind.expected(z) / z if kind in (KINDS["alpha"], KINDS["beta"]) else None
    reference = kind.expected(middle.astype("float32")[None])[0] if shares is None else middle * shares.mean(axis=0)
    estimate, error = squared_distance(outputs, np.asarray(reference, dtype="float64"))
    return estimate, error, float((outputs.mean(axis=0) ** 2).sum())


def _row(name: str, layers: int, inputs: str, found: list[Found]) -> dict[str, Any]:
    """A row of layers.csv: the root of the summed squared distances over the summed squares of E[y]; 95 % interval."""
    square, length = (math.fsum(one[index] for one in found) for index in (0, 2))
    error = math.sqrt(math.fsum(one[1] ** 2 for one in found))
    low, middle, high = (math.sqrt(max(square + step * error, 0.0) / length) for step in (-1.96, 0, 1.96))
    values = {"gap": middle, "low": low, "high": high, "squared": square / length, "error": error / length}
    return {"kind": name, "layers": layers, "inputs": inputs, **values}


def _units(name: str, kind: Kind, draws: int, generator: Generator) -> list[dict[str, Any]]:
    """Rows of units.csv: a unit at each z of the grid."""
    outputs = kind.draw(np.broadcast_to(GRID, (draws, len(GRID))), generator).astype("float64")
    deviation = outputs.std(axis=0, ddof=1)
    columns = (GRID, outputs.mean(axis=0), deviation / math.sqrt(draws), deviation, kind.expected(GRID))
    return [
        {"kind": name, **{key: float(value) for key, value in zip(UNIT_COLUMNS[1:], values, strict=True)}}
        for values in zip(*columns, strict=True)
    ]


def write_draws(folder: Path, draws: int = DRAWS, seed: int = 0) -> None:
    """Measure, and write draws.json, layers.csv and units.csv."""
    with writable(folder):
        layers, units = measure_draws(draws, seed)
        settings = {"draws": draws, "seed": seed, "units": UNITS, "inputs": INPUTS, "spread": SPREAD}
        stored = {"settings": settings, "provenance": [provenance()]}
        write_atomically(folder / "layers.csv", rows_as_csv(LAYER_COLUMNS, layers).encode())
        write_atomically(folder / "units.csv", rows_as_csv(UNIT_COLUMNS, units).encode())
        write_atomically(folder / "draws.json", (json.dumps(stored, indent=2) + "\n").encode())
