"""The layers: parameters and buffers around the functions of `functional`.

`generator` is the source of a layer's random numbers: its initial weights, its masks. It defaults to the default generator
(`manual_seed`). `init` names an initialiser (`initialise.py`); biases start at 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional
from ..errors import ShapeError
from ..guard import arguments
from ..ops.dropalan import Distribution
from ..ops.window import padding_pair, pair
from ..random import Generator, default_generator
from ..tensor import Operand, Tensor, as_tensor
from .initialise import initialise
from .module import Module
from .parts import Parameter


class Dense(Module):
    """(..., in_features) -> (..., out_features): x @ weight + bias; weight (in, out), bias (out).

    Raises ShapeError for another number of features, or an empty batch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: str = "glorot_uniform",
        generator: Generator | None = None,
        dtype: Any = "float32",
    ) -> None:
        self.in_features, self.out_features = pair("Dense", "features", (in_features, out_features), 1)
        dtype = arguments.float_type("Dense", dtype)
        shape = (self.in_features, self.out_features)
        self.weight = Parameter(initialise(init, shape, *shape, generator or default_generator(), dtype))
        self.bias = Parameter(np.zeros(self.out_features, dtype)) if bias else None

    def forward(self, x: Operand) -> Tensor:
        """(..., in) -> (..., out)."""
        x = as_tensor(x)
        if 0 in x.shape[:-1]:
            raise ShapeError("Dense: empty batch", expected="at least one example", got=f"shape {x.shape}")
        if x.ndim > 2 and x.shape[-1] != self.in_features:
            raise ShapeError(
                "Dense: the number of features differs",
                expected=f"{self.in_features} features in the last axis of the input",
                got=f"shape {x.shape}",
                help="md.nn.Flatten() before it makes one row of each image",
            )
        arguments.require_features("Dense", x.shape, max(x.ndim - 1, 0), self.in_features, "features")
        arguments.require_type_of_layer("Dense", x, self.weight)
        rows = x if x.ndim == 2 else x.reshape(-1, self.in_features)  # one large batch: the weight's gradient is one product
        y = rows @ self.weight
        y = y if self.bias is None else y + self.bias
        return y if rows is x else y.reshape(*x.shape[:-1], self.out_features)

    def describe(self) -> str:
        """One line."""
        return f"Dense({self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'})"


class Conv2d(Module):
    """(N, in_channels, H, W) -> (N, out_channels, H', W'): `functional.conv2d`; weight (F, C, R, S), bias (F).

    kernel_size, stride: an int or (rows, columns); padding: the same, or "same". algorithm: as in `functional.conv2d`; after a
    call that recorded gradients the layer prints the one that was chosen.
    """

    chosen: str = ""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        bias: bool = True,
        init: str = "glorot_uniform",
        generator: Generator | None = None,
        dtype: Any = "float32",
        algorithm: str = "auto",
    ) -> None:
        self.in_channels, self.out_channels = pair("Conv2d", "channels", (in_channels, out_channels), 1)
        dtype = arguments.float_type("Conv2d", dtype)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        padding_pair("Conv2d", padding)
        arguments.require_choice("Conv2d", "algorithm", algorithm, functional.CONVOLUTIONS)
        self.padding = padding
        self.algorithm = algorithm
        area = self.kernel_size[0] * self.kernel_size[1]
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        fans = (self.in_channels * area, self.out_channels * area)
        weight = initialise(init, shape, *fans, generator or default_generator(), dtype)
        # (R, S, C, F) in memory, like its gradient, so that an optimiser reads both in the same order.
        self.weight = Parameter(np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1))
        self.bias = Parameter(np.zeros(self.out_channels, dtype)) if bias else None

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, F, H', W')."""
        y = functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.algorithm)
        self.chosen = self.chosen if y._op is None else f" by {y._op.name}"
        return y

    def describe(self) -> str:
        """One line."""
        rows, columns = self.kernel_size
        return (
            f"Conv2d({self.in_channels}, {self.out_channels}, {rows}x{columns}"
            + ("" if self.stride == (1, 1) else f", stride={self.stride}")
            + ("" if self.padding == 0 else f", padding={self.padding!r}")
            + ("" if self.algorithm == "auto" else f", algorithm={self.algorithm!r}")
            + f"){self.chosen}"
        )


class Embedding(Module):
    """(...) of integers -> (..., features): row i of the table `weight` (count, features) for each i.

    The table starts with numbers of the standard normal distribution. Raises what `functional.embedding` raises: DTypeError for
    what is not integers, ArgumentError for integers outside 0 ... count - 1.
    """

    def __init__(self, count: int, features: int, generator: Generator | None = None, dtype: Any = "float32") -> None:
        self.count, self.features = pair("Embedding", "count and features", (count, features), 1)
        dtype = arguments.float_type("Embedding", dtype)
        self.weight = Parameter((generator or default_generator()).normal((self.count, self.features), dtype))

    def forward(self, indices: Any) -> Tensor:
        """(...) -> (..., features)."""
        return functional.embedding(indices, self.weight)

    def describe(self) -> str:
        """One line."""
        return f"Embedding({self.count}, {self.features})"


class Flatten(Module):
    """(N, d1, d2, ...) -> (N, d1 d2 ...)."""

    def forward(self, x: Operand) -> Tensor:
        """(N, d1, d2, ...) -> (N, d1 d2 ...)."""
        x = as_tensor(x)
        return x.reshape(x.shape[0], -1) if x.size and x.ndim else x.flatten(1)


class Dropout(Module):
    """(any shape) -> same: `functional.dropout` while training, the identity after eval(). rate: probability to drop."""

    def __init__(self, rate: float, generator: Generator | None = None) -> None:
        self.rate = arguments.probability("Dropout", "rate", rate)
        self.generator = generator

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.dropout(x, self.rate, self.training, generator=self.generator)  # type: ignore[no-any-return]

    def describe(self) -> str:
        """One line."""
        return f"Dropout({self.rate})"


class DropAlan(Module):
    """(any shape) -> same: `functional.dropalan`; its arguments and their meaning are those of the function.

    The paper's layer is `Sequential(Dense(...), DropAlan(...))`, without an activation function between or after.
    """

    def __init__(
        self,
        distribution: str | Distribution = "beta",
        scaled: bool = False,
        scale_gradient: str = "through",
        inference: str = "identity",
        generator: Generator | None = None,
    ) -> None:
        arguments.require_choice("DropAlan", "scale_gradient", scale_gradient, ("through", "detach"))
        arguments.require_choice("DropAlan", "inference", inference, ("identity", "expectation"))
        self.distribution = functional.as_distribution(distribution)
        self.scaled = scaled
        self.scale_gradient = scale_gradient
        self.inference = inference
        self.generator = generator

    def forward(self, z: Operand) -> Tensor:
        """(any shape) -> same."""
        return functional.dropalan(  # type: ignore[no-any-return]
            z,
            self.distribution,
            self.scaled,
            self.scale_gradient,
            self.inference,
            self.training,
            generator=self.generator,
        )

    def describe(self) -> str:
        """One line."""
        scaled = f", scaled, {self.scale_gradient}" if self.scaled else ""
        return f"DropAlan({self.distribution!r}{scaled}, inference={self.inference!r})"
