"""What is measured of a network in training: the columns of its history (`history.COLUMNS` says what each means)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .backend import Array, run_on, to_device, to_numpy
from .datasets import Dataset
from .networks import Network
from .protocol import normalise
from .tape import no_grad
from .tensor import Tensor

BATCH = 40  # images at a time: the columns of the paper's second convolution then take some 100 MB


def measure(network: Network, data: Dataset, mean: float, device: str) -> dict[str, float]:
    """Accuracy and the state of the hidden stage over `data`, at inference; the network goes back to training.

    -> {"accuracy", "dead_dense", "dead_logits", "keep_probability", "largest_z"}
    """
    network.eval()
    right, keep, largest_z = 0, 0.0, 0.0
    alive_dense = alive_logits = np.False_
    with no_grad():
        for start in range(0, len(data), BATCH):
            part = data.part(slice(start, start + BATCH))
            images = to_device(normalise(part.images, mean, part.maximum), device)
            z, hidden, logits = network.stages(Tensor(images))
            seen = run_on(images, _look_at, network, z.data, hidden.data, logits.data)
            right += int((seen["classes"] == part.labels).sum())
            keep += seen["keep"]
            largest_z = float(np.maximum(largest_z, seen["largest_z"]))  # NaN stays NaN
            alive_dense, alive_logits = alive_dense | seen["alive_dense"], alive_logits | seen["alive_logits"]
    network.train()
    return {
        "accuracy": right / len(data),
        "dead_dense": 1 - float(np.mean(alive_dense)),
        "dead_logits": 1 - float(np.mean(alive_logits)),
        "keep_probability": keep / (len(data) * alive_dense.size),
        "largest_z": largest_z,
    }


def _look_at(network: Network, z: Array, hidden: Array, logits: Array) -> dict[str, Any]:
    """z, hidden (N, units), logits (N, classes) -> what `measure` adds up over batches, as NumPy arrays and Python numbers."""
    return {
        "classes": to_numpy(logits.argmax(axis=1)),
        "keep": network.keep_probability(z).sum(dtype="float64").item(),
        "largest_z": abs(z).max().item(),
        "alive_dense": to_numpy((hidden != 0).any(axis=0)),
        "alive_logits": to_numpy((logits != 0).any(axis=0)),
    }


def gradient_norm(parameters: list[Tensor]) -> float:
    """Parameters after backward -> the length of the gradient of all of them together."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return math.sqrt(sum(run_on(gradient, _sum_of_squares, gradient) for gradient in gradients))


def _sum_of_squares(array: Array) -> float:
    total: float = (array.astype("float64") ** 2).sum().item()
    return total


def all_equal(logits: Array) -> bool:
    """(N, classes) -> True if each image's logits are all the same number; waits for the GPU, if there is one."""
    same: bool = run_on(logits, lambda: (logits == logits[:, :1]).all().item())
    return same
