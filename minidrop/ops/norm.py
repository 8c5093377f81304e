"""Batch normalisation: each channel to mean 0 and variance 1, then its own weight and bias (Ioffe and Szegedy, 2015).

weight and bias are gamma and beta in their paper. float16 numbers are normalised in float32.
"""

from __future__ import annotations

from ..backend import Array
from ..core import Op
from .half import narrow, wide


class BatchNorm(Op):
    """(N, C, ...) , (C), (C) -> (N, C, ...): y = weight * (x - mean) / sqrt(var + eps) + bias, per channel.

    Means and sums are over every axis except the channels. With x^ = (x - mean) / sqrt(var + eps) and g = weight * grad:
    dL/dbias = sum of grad,   dL/dweight = sum of grad * x^,   and

    `statistics` None: mean and variance (divided by n, not n - 1) are those of this batch; `forward` stores them in `mean` and
    `variance`. They depend on every x of the channel, so   dL/dx = (g - mean of g - x^ * mean of (g x^)) / sqrt(var + eps).
    `statistics` (mean, variance), each (C): they are constants, and dL/dx = g / sqrt(var + eps).
    """

    def __init__(self, eps: float, statistics: tuple[Array, Array] | None) -> None:
        self.eps = eps
        self.statistics = statistics

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        self.axes, given, x = (0, *range(2, x.ndim)), x, wide(x)
        if self.statistics is None:
            self.mean, self.variance = x.mean(axis=self.axes), x.var(axis=self.axes)
        else:
            self.mean, self.variance = map(wide, self.statistics)
        self.inverse_std = 1 / (self.variance + self.eps) ** 0.5
        self.normalised = (x - self.per_channel(self.mean)) * self.per_channel(self.inverse_std)
        self.saved = (weight,)
        y = self.normalised
        if weight is not None:
            y = y * self.per_channel(weight)
        if bias is not None:
            y = y + self.per_channel(bias)
        return narrow(y, given)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (weight,) = self.saved
        given, grad = grad, wide(grad)
        grad_bias = grad.sum(axis=self.axes)
        grad_weight = (grad * self.normalised).sum(axis=self.axes)
        grad_normalised = grad if weight is None else grad * self.per_channel(weight)
        if self.statistics is None:
            mean_g = self.per_channel(grad_normalised.mean(axis=self.axes))
            mean_g_normalised = self.per_channel((grad_normalised * self.normalised).mean(axis=self.axes))
            grad_normalised = grad_normalised - mean_g - self.normalised * mean_g_normalised
        grad_x = grad_normalised * self.per_channel(self.inverse_std)
        return narrow(grad_x, given), narrow(grad_weight, given), narrow(grad_bias, given)

    def per_channel(self, array: Array) -> Array:
        """(C) -> (C, 1, 1, ...): one number per channel, ready to broadcast against x."""
        return array.reshape(-1, *[1] * (len(self.axes) - 1))
