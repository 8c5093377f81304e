"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..backend import Array
from ..tensor import Tensor
from .groups import Setting
from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g;  with momentum v = momentum * v + g, p -= lr * v.

    nesterov: p -= lr * (g + momentum * v), the gradient as if taken where the velocity leads. weight_decay adds
    weight_decay * p to g. The paper trains with lr .01 and nothing else (section III).
    """

    slots = ("velocity",)
    settings = ("momentum", "nesterov")
    momentum = Setting()
    nesterov = Setting()

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, momentum=momentum, nesterov=nesterov)

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """One step for one parameter."""
        group = self.group_of[index]
        if momentum := group["momentum"]:
            velocity = self.kept("velocity", index)
            velocity *= momentum
            velocity += gradient
            gradient = gradient + momentum * velocity if group["nesterov"] else velocity
        data = parameter.data
        data -= group["lr"] * gradient
