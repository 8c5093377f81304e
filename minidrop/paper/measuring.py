"""Measurements of a network in training: the columns of its history (`history.COLUMNS` says what each means)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import nn
from ..backend import Array, run_on, to_device, to_numpy
from ..core import no_grad
from ..datasets import Dataset
from ..random import Generator
from ..tensor import Tensor
from .history import CLASSES, LAYERS, QUANTILES
from .networks import Network
from .protocol import Protocol, drawn, normalise

BATCH = 40  # images at a time: the columns of the published second convolution then take some 30 MB


class Evaluator:
    """Measures a network while it trains: on newly drawn images each time, if the protocol says so.

    seed: of these draws. `below_zero` holds which units were below 0 for every image at the last regular measurement, so that
    the next one can count how many came back.
    """

    def __init__(self, network: Network, measured: Dataset, protocol: Protocol, mean: float, seed: int, device: str) -> None:
        self.network = network
        self.measured = measured
        self.protocol = protocol
        self.mean = mean
        self.seed = seed
        self.device = device
        self.below_zero: Any = np.zeros(network.dense.out_features, dtype=bool)

    @property
    def images(self) -> int:
        """How many images one measurement uses."""
        return min(len(self.measured), self.protocol.evaluation_images or len(self.measured))

    def __call__(self, iteration: int, regular: bool) -> dict[str, float]:
        """Measure after `iteration` steps. The images depend on seed and iteration alone, not on what was measured before.

        regular: False for the extra measurement at the end of a run, which is dropped if the run is extended.
        """
        data = drawn(self.protocol, self.measured, Generator((self.seed + iteration) % 2**64))
        row, below_zero = measure(self.network, data, self.mean, self.device)
        row["came_back"] = int((self.below_zero & ~below_zero).sum())
        if regular:
            self.below_zero = below_zero
        return row | weight_norms(self.network)

    def state_dict(self) -> dict[str, Any]:
        """The state, JSON-serialisable."""
        return {"below_zero": np.flatnonzero(self.below_zero).tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, as `state_dict` returned it."""
        self.below_zero = np.zeros_like(self.below_zero)
        self.below_zero[state["below_zero"]] = True


def measure(network: Network, data: Dataset, mean: float, device: str) -> tuple[dict[str, float], Any]:
    """Accuracy and the state of the hidden stage over `data`, at inference; the network is set back to training.

    -> the history columns of one measurement, and (units) which units have z < 0 for every image.
    """
    network.eval()
    seen = []
    with no_grad():
        for start in range(0, len(data), BATCH):
            part = data.part(slice(start, start + BATCH))
            images = to_device(normalise(part.images, mean, part.maximum), device)
            z, hidden, logits = network.stages(Tensor(images))
            expected = network.by_expectation(z)
            arrays = [tensor.data for tensor in (z, hidden, logits, logits if expected is None else expected)]
            seen.append(run_on(images, _look_at, network, *arrays))
    network.train()
    return _columns(**{name: np.concatenate([batch[name] for batch in seen]) for name in seen[0]}, labels=data.labels)


def _columns(z: Any, alive: Any, keep: Any, logits: Any, expected: Any, labels: Any) -> tuple[dict[str, float], Any]:
    """The results of `_look_at`, concatenated over batches, and the labels (N,) -> what `measure` returns."""
    right, images = logits.argmax(axis=1) == labels, np.bincount(labels, minlength=CLASSES)
    own = np.bincount(labels, weights=logits[np.arange(len(labels)), labels] != 0, minlength=CLASSES)
    by_class = np.bincount(labels, weights=right, minlength=CLASSES).astype(int)
    below_zero = (z < 0).all(axis=0)
    with np.errstate(invalid="ignore"):  # between two infinities
        quantiles = np.quantile(z, list(QUANTILES.values())).tolist()
    row = {
        "accuracy": right.mean().item(),
        "accuracy_expectation": (expected == labels).mean().item(),
        "dead_dense": 1 - alive.any(axis=0).mean().item(),
        "dead_logits": 1 - (logits != 0).any(axis=0).mean().item(),
        "lost_classes": int(((images > 0) & (own == 0)).sum()),
        **{f"right_{label}": count for label, count in enumerate(by_class.tolist())},
        **{f"images_{label}": count for label, count in enumerate(images.tolist())},
        "keep_probability": keep.sum().item() / z.size,
        "largest_z": abs(z).max().item(),
        **dict(zip(QUANTILES, quantiles, strict=True)),
        "below_zero": int(below_zero.sum()),
    }
    return row, below_zero


def _look_at(network: Network, z: Array, hidden: Array, logits: Array, expected: Array) -> dict[str, Any]:
    """z, hidden (N, units), logits and expected logits (N, classes) -> what `measure` needs of a batch, as NumPy arrays."""
    return {
        "z": to_numpy(z),
        "alive": to_numpy((hidden != 0).any(axis=0, keepdims=True)),
        "keep": to_numpy(network.keep_probability(z).sum(axis=1, dtype="float64")),
        "logits": to_numpy(logits),
        "expected": to_numpy(expected.argmax(axis=1)),
    }


def accuracy(network: Network, data: Dataset, mean: float, device: str) -> float:
    """The share of `data` that the network classifies correctly, at inference."""
    return measure(network, data, mean, device)[0]["accuracy"]


def weight_norms(network: Network) -> dict[str, float]:
    """{"norm_conv1", ...}: the length of each layer's weights; 0 for a layer that the network does not have."""
    weights = [layer.weight for layer in network.features.layers if isinstance(layer, nn.Conv2d)]
    named = {f"conv{number}": weight for number, weight in enumerate(weights, 1)}
    named |= {"dense": network.dense.weight, "logits": network.logits.weight}
    return {f"norm_{layer}": _length([named[layer].data] if layer in named else []) for layer in LAYERS}


def gradient_norm(parameters: list[Tensor]) -> float:
    """Parameters after backward -> the length of the gradient of all of them together."""
    return _length([parameter.grad for parameter in parameters if parameter.grad is not None])


def _length(arrays: list[Array]) -> float:
    return math.sqrt(sum(run_on(array, _sum_of_squares, array) for array in arrays))


def _sum_of_squares(array: Array) -> float:
    total: float = (array.astype("float64") ** 2).sum().item()
    return total


def all_equal(logits: Array) -> Array:
    """(N, classes) -> (): True if the logits of each image are all equal."""
    return (logits == logits[:, :1]).all()
