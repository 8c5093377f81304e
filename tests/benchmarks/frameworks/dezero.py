"""The works in DeZero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

np.int = int  # DeZero 0.0.13 asks for this name, which NumPy has dropped since

import dezero
import dezero.functions as F

from ..works import RATE, Work


def build(work: Work, given: list[Any], images: Any, labels: Any, _dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass; always without dropout."""
    weights = [dezero.Parameter(value.copy()) for value in given]

    def forward() -> Any:
        x = dezero.Variable(images)
        for index, kernel in enumerate(work.size.kernels):
            x = F.pooling(F.relu(F.conv2d(x, weights[2 * index], weights[2 * index + 1], pad=work.size.padding(kernel))), 2, 2)
        x = F.reshape(x, (work.batch, -1))
        dense = weights[2 * len(work.size.kernels) :]
        for index in range(0, len(dense), 2):
            x = F.linear(x, dense[index], dense[index + 1])
            x = F.relu(x) if index + 2 < len(dense) else x
        return x

    def step() -> Any:
        loss = F.softmax_cross_entropy(forward(), labels)
        for weight in weights:
            weight.cleargrad()
        loss.backward()
        for weight in weights:
            weight.data -= np.float32(RATE) * weight.grad.data
        return float(loss.data)

    def infer() -> Any:
        with dezero.no_grad():
            return forward().data

    return step if work.trains else infer
