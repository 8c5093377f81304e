"""Layers that normalise: over a batch, or over the features of each example."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional
from ..guard import arguments
from ..ops.window import pair
from ..tensor import Operand, Tensor, as_tensor
from .module import Module
from .parts import Buffer, Parameter


class BatchNorm(Module):
    """(N, features, ...) -> same: `functional.batch_norm`; weight, bias, running_mean, running_var (features).

    momentum: the weight of the newest batch in the running statistics, which eval() switches to.
    """

    layouts: tuple[str, ...] = ()

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1, dtype: Any = "float32") -> None:
        (self.features, _) = pair(type(self).__name__, "features", features, 1)
        dtype = arguments.float_type(type(self).__name__, dtype)
        self.eps = arguments.positive(type(self).__name__, "eps", eps)
        self.momentum = arguments.probability(type(self).__name__, "momentum", momentum)
        self.weight = Parameter(np.ones(self.features, dtype))
        self.bias = Parameter(np.zeros(self.features, dtype))
        self.running_mean = Buffer(np.zeros(self.features, dtype))
        self.running_var = Buffer(np.ones(self.features, dtype))

    def forward(self, x: Operand) -> Tensor:
        """(N, features, ...) -> same."""
        x = as_tensor(x)
        name = type(self).__name__
        fitting = [layout for layout in self.layouts if layout.count(",") + 1 == x.ndim]
        arguments.require_rank(name, "the input", x.shape, (fitting or self.layouts)[0])
        arguments.require_features(name, x.shape, 1, self.features, "features")
        running = (self.running_mean.data, self.running_var.data)
        return functional.batch_norm(x, *running, self.weight, self.bias, self.training, self.momentum, self.eps)

    def describe(self) -> str:
        """One line."""
        return f"{type(self).__name__}({self.features})"


class BatchNorm1d(BatchNorm):
    """(N, features) or (N, features, L) -> same: each feature to mean 0, variance 1 over the batch, then scaled and shifted."""

    layouts = ("(N, features)", "(N, features, L)")


class BatchNorm2d(BatchNorm):
    """(N, channels, H, W) -> same: each channel to mean 0, variance 1 over batch and places, then scaled and shifted."""

    layouts = ("(N, channels, H, W)",)


class LayerNorm(Module):
    """(..., features) -> same: each row to mean 0, variance 1, then scaled and shifted: `functional.layer_norm`."""

    def __init__(self, features: int, eps: float = 1e-5, dtype: Any = "float32") -> None:
        (self.features, _) = pair("LayerNorm", "features", features, 1)
        dtype = arguments.float_type(type(self).__name__, dtype)
        self.eps = arguments.positive(type(self).__name__, "eps", eps)
        self.weight = Parameter(np.ones(self.features, dtype))
        self.bias = Parameter(np.zeros(self.features, dtype))

    def forward(self, x: Operand) -> Tensor:
        """(..., features) -> same."""
        x = as_tensor(x)
        arguments.require_features("LayerNorm", x.shape, max(x.ndim - 1, 0), self.features, "features")
        return functional.layer_norm(x, self.weight, self.bias, self.eps)

    def describe(self) -> str:
        """One line."""
        return f"LayerNorm({self.features})"
