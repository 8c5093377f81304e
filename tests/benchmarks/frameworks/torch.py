"""The works in PyTorch, eager, as its users write them: ReLU before pooling."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..works import DROPOUT_RATE, RATE, Work


def network(work: Work, given: list[Any], dropout: bool, pool_first: bool = False) -> Any:
    """The network, with the given weights; `pool_first`: the ReLU after the pool, as in minidrop's."""
    layers: list[Any] = []
    channels = work.image[0]
    for filters, kernel in zip(work.size.filters, work.size.kernels, strict=True):
        after = [nn.MaxPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(channels, filters, kernel, padding=work.size.padding(kernel)), *after]
        channels = filters
    layers.append(nn.Flatten())
    dense = [weight for weight in given if weight.ndim == 2]
    for weight in dense[:-1]:
        layers += [nn.Linear(*weight.shape), nn.ReLU()] + [nn.Dropout(DROPOUT_RATE)] * dropout
    layers.append(nn.Linear(*dense[-1].shape))
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), given, strict=True):
            parameter.copy_(torch.from_numpy(value.T.copy() if value.ndim == 2 else value))  # Linear keeps (out, in)
    return model


def build(work: Work, given: list[Any], images: Any, labels: Any, dropout: bool, pool_first: bool = False) -> Callable[[], Any]:
    """A training step, or a forward pass."""
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = network(work, given, dropout, pool_first)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    x, target = torch.from_numpy(images), torch.from_numpy(labels)

    def step() -> Any:
        loss = nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> Any:
        with torch.no_grad():
            return model(x).numpy()

    model.train(work.trains)
    return step if work.trains else infer
