"""The works in tinygrad, with its JIT, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DEV", "CPU")

from tinygrad import Tensor, TinyJit, nn

from ..works import RATE, Work


def build(work: Work, given: list[Any], images: Any, labels: Any, _dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass; always without dropout."""
    weights = [Tensor(value.copy()) for value in given]
    x, target = Tensor(images).realize(), Tensor(labels.astype("int32")).realize()
    optimizer = nn.optim.SGD(weights, lr=RATE)

    def forward() -> Any:
        y = x
        for index, kernel in enumerate(work.size.kernels):
            y = (
                y.conv2d(weights[2 * index], weights[2 * index + 1], padding=work.size.padding(kernel))
                .relu()
                .max_pool2d((2, 2))
            )
        y = y.flatten(1)
        dense = weights[2 * len(work.size.kernels) :]
        for index in range(0, len(dense), 2):
            y = y @ dense[index] + dense[index + 1]
            y = y.relu() if index + 2 < len(dense) else y
        return y

    @TinyJit
    def update() -> Any:
        optimizer.zero_grad()
        loss = forward().sparse_categorical_crossentropy(target).backward()
        optimizer.step()
        return loss.realize()

    def step() -> Any:
        with Tensor.train():
            return float(update().item())

    infer = TinyJit(lambda: forward().realize())
    return step if work.trains else lambda: infer().numpy()
