"""DropAlan as the published code computed it: composed of elementary ops, and the effect on its gradient.

`ops/dropalan.py` is one op, whose derivative is finite everywhere. Casallas's listing (section III.A) computes the same
numbers from a division, a clip and a product, and leaves the derivative to autograd:

    p = clip(1 + c / z, 1 - c, p_max) * sign(relu(-z))          y = z / k * theta,   k = 1 - p

The two agree in the forward pass, and in the backward pass except at z = 0. There c / z is infinite and the clip hides it
(p = 0), but the clip's gradient of 0 is multiplied by the division's slope -c / z^2 = -inf, and 0 * inf is NaN. A single exact
zero among the z of a batch is enough to lose the gradient of the unit and of every layer below it.

`networks.py` builds these with the options `composed`, `fused` and `swallow`.
"""

from __future__ import annotations

from ..errors import ArgumentError
from ..functional import where
from ..nn import Dense
from ..nn.module import Module
from ..ops.dropalan import Alpha, Beta, Distribution
from ..random import Generator, default_generator
from ..tensor import Operand, Tensor, as_tensor


def drop_probability(z: Tensor, distribution: Alpha | Beta) -> Tensor:
    """(any shape) -> same: p(z) of an `Alpha` or `Beta`, by the ops of the listing. Gradient: NaN at z = 0 for `Beta`."""
    if isinstance(distribution, Alpha):
        return (z * -distribution.slope).clip(0, distribution.limit)
    rise: Tensor = 1.0 + distribution.c / z
    lowest = min(1 - distribution.c, distribution.p_max)  # the plateau, and never above p_max
    below: Tensor = rise.clip(lowest, distribution.p_max) * (z.data < 0)  # sign(relu(-z)) has no gradient
    return below


class ComposedDropAlan(Module):
    """(any shape) -> same: z theta, or scaled z / k(z) theta, theta ~ Bernoulli(k(z)), a constant; at inference z.

    through: whether, if scaled, a gradient flows through k(z), as in the published code. Raises ArgumentError for a
    distribution that is not the paper's.
    """

    def __init__(
        self, distribution: Distribution, scaled: bool = False, through: bool = True, generator: Generator | None = None
    ) -> None:
        if not isinstance(distribution, (Alpha, Beta)):
            raise ArgumentError(
                "ComposedDropAlan: bad distribution",
                expected="one of the paper's, md.Alpha() or md.Beta()",
                got=repr(distribution),
                help="md.nn.DropAlan takes any",
            )
        self.distribution = distribution
        self.scaled = scaled
        self.through = through
        self.generator = generator

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        z = as_tensor(x)
        if not self.training:
            return z
        keep = 1.0 - drop_probability(z if self.through else Tensor(z.data), self.distribution)
        theta = (self.generator or default_generator()).bernoulli(keep.data)
        y: Tensor = z / keep * theta if self.scaled else z * theta
        return y

    def describe(self) -> str:
        """One line."""
        return f"ComposedDropAlan({self.distribution!r}, scaled={self.scaled}, through={self.through})"


class FusedDense(Dense):
    """(N, in) -> (N, out): (x_1 @ weight_1 + bias) + x_2 @ weight_2, the features in two halves.

    The same numbers as `Dense`, rounded as they may be in a kernel that includes the bias in its sum. The last summand decides
    how often a sum is exactly 0: two large halves, where floats are far apart, cancel exactly far more often than x @ weight
    and a small bias, where floats are close together (lesson 10).
    """

    def forward(self, x: Operand) -> Tensor:
        """(N, in) -> (N, out)."""
        x = as_tensor(x)
        half = self.in_features // 2
        assert self.bias is not None
        added_last = x[:, half:] @ self.weight[half:]
        self.added_last = added_last.data
        return (x[:, :half] @ self.weight[:half] + self.bias) + added_last


class SwallowingReLU(Module):
    """(any shape) -> same: x where x > 0, else 0, also for NaN, as fmax(x, 0); `nn.ReLU` passes NaN on."""

    def forward(self, x: Operand) -> Tensor:
        """(any shape) -> same."""
        x = as_tensor(x)
        return where(x.data > 0, x, 0.0)
