"""The works in minidrop: its own networks, by name; the 3x3 one of layers, pooling before the ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidrop as md
from minidrop import nn
from minidrop.paper.networks import SIZES, Network

from ..works import CLASSES, RATE, Work


def network(work: Work, given: list[Any], dropout: bool) -> nn.Module:
    """The network, with the given weights."""
    if work.network in SIZES:
        variant = "dropout" if dropout else "cnn"
        made: nn.Module = Network(work.network, variant, work.image, CLASSES, md.Generator(0), md.Generator(1))
    else:
        layers: list[Any] = []
        channels, dense = work.image[0], [weight for weight in given if weight.ndim == 2]
        for filters, kernel in zip(work.size.filters, work.size.kernels, strict=True):
            layers += [nn.Conv2d(channels, filters, kernel, padding="same"), nn.MaxPool2d(2), nn.ReLU()]
            channels = filters
        made = nn.Sequential(*layers, nn.Flatten(), nn.Dense(*dense[0].shape))
    for parameter, value in zip(made.parameters(), given, strict=True):
        assert parameter.shape == value.shape
        parameter.data[...] = value  # in the memory order that the layer chose
    return made


def build(work: Work, given: list[Any], images: Any, labels: Any, dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass."""
    md.backend.keep_freed_memory()  # as the trainer does
    model = network(work, given, dropout)
    model.train(work.trains)
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
