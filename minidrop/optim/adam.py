"""Adam, and AdamW, which keeps weight decay out of Adam's averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..backend import Array, array_module, capturing
from ..errors import CaptureError
from ..tensor import Tensor
from .groups import Setting
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, algorithm 1): p -= lr * m^ / (sqrt(v^) + eps).

    m = beta1 m + (1 - beta1) g estimates the mean of g (its first moment), v = beta2 v + (1 - beta2) g^2 that of g^2 (the
    second). Both start at 0 and so are too small at first, which m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t) correct; t
    counts the steps that this parameter has taken. weight_decay adds weight_decay * p to g.
    """

    slots = ("first_moment", "second_moment")
    settings = ("betas", "eps")
    counters = ("counts",)
    betas = Setting()
    eps = Setting()
    counts: list[int]  # t of each parameter

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, betas=betas, eps=eps)

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """One step for one parameter."""
        if capturing():
            name = type(self).__name__
            raise CaptureError(f"{name} counts its steps in Python, so that each replay would repeat the same step")
        xp = array_module(gradient)
        group = self.group_of[index]
        beta1, beta2 = group["betas"]
        m, v = self.kept("first_moment", index), self.kept("second_moment", index)
        self.counts[index] += 1
        t = self.counts[index]
        m *= beta1
        m += (1 - beta1) * gradient
        v *= beta2
        v += (1 - beta2) * gradient * gradient
        step_size = group["lr"] / (1 - beta1**t)
        data = parameter.data
        data -= step_size * m / (xp.sqrt(v / (1 - beta2**t)) + group["eps"])


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter, 2019, algorithm 2): p -= lr * weight_decay * p, then p -= lr * m^ / (sqrt(v^) + eps).

    m^ and v^ are Adam's averages of the gradient alone: the decay is not divided by sqrt(v^), so that all weights shrink alike.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _step_one(self, index: int, parameter: Tensor, gradient: Array) -> None:
        group = self.group_of[index]
        data = parameter.data
        data -= group["lr"] * group["weight_decay"] * data
        self.update(index, parameter, gradient)
