"""The works in MyGrad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from ..works import RATE, Work


def build(work: Work, given: list[Any], images: Any, labels: Any, _dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass; always without dropout."""
    weights = [mg.tensor(value.copy()) for value in given]

    def forward() -> Any:
        x: Any = images
        for index, kernel in enumerate(work.size.kernels):
            bias = weights[2 * index + 1].reshape(1, -1, 1, 1)
            x = max_pool(relu(conv_nd(x, weights[2 * index], stride=1, padding=work.size.padding(kernel)) + bias), (2, 2), 2)
        x = x.reshape(work.batch, -1)
        dense = weights[2 * len(work.size.kernels) :]
        for index in range(0, len(dense), 2):
            x = x @ dense[index] + dense[index + 1]
            x = relu(x) if index + 2 < len(dense) else x
        return x

    def step() -> Any:
        loss = softmax_crossentropy(forward(), labels)
        loss.backward()
        for weight in weights:
            weight.data -= np.float32(RATE) * weight.grad
        return float(loss)

    def infer() -> Any:
        with mg.no_autodiff:
            return np.asarray(forward())

    return step if work.trains else infer
