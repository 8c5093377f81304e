"""The works in minidrop: the layers of `minidrop.networks`, pooling before the ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidrop as md
from minidrop import nn

from ..works import RATE, Work


def network(work: Work, given: list[Any]) -> nn.Sequential:
    """The network, with the given weights."""
    layers: list[Any] = []
    channels = work.image[0]
    for filters, kernel in zip(work.filters, work.kernels, strict=True):
        layers += [nn.Conv2d(channels, filters, kernel, padding="same"), nn.MaxPool2d(2), nn.ReLU()]
        channels = filters
    layers.append(nn.Flatten())
    dense = [weight for weight in given if weight.ndim == 2]
    for weight in dense[:-1]:
        layers += [nn.Dense(*weight.shape), nn.ReLU()]
    layers.append(nn.Dense(*dense[-1].shape))
    made = nn.Sequential(*layers)
    for parameter, value in zip(made.parameters(), given, strict=True):
        assert parameter.shape == value.shape
        parameter.data[...] = value  # in the memory order that the layer chose
    return made


def build(work: Work, given: list[Any], images: Any, labels: Any) -> Callable[[], Any]:
    """A training step, or a forward pass."""
    model = network(work, given)
    optimizer = md.optim.SGD(model.parameters(), lr=RATE)

    def step() -> Any:
        loss = md.functional.softmax_cross_entropy(model(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> Any:
        with md.no_grad():
            return np.array(model(md.Tensor(images)).data)

    return step if work.trains else infer
