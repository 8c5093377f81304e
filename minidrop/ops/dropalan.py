"""DropAlan: dropout whose drop probability depends on the unit's own input z (Casallas, 2018, sections II and III.A).

    p(z)  the probability to drop,   k(z) = 1 - p(z)  the probability to keep,   theta ~ Bernoulli(k(z))

    training          y = z theta              E[y] = z k(z)
    training, scaled  y = z theta / k(z)       E[y] = z
    inference         y = z                    as published: for z < 0 not the expectation of what was trained, unless scaled

No activation function follows: the dropping itself is the nonlinearity.
"""

from __future__ import annotations

from numbers import Real
from typing import Protocol

from ..backend import Array, array_module
from ..core import Op
from ..errors import ArgumentError
from ..random import Generator
from .dropout import times_kept, zero_where_dropped


class Distribution(Protocol):
    """A drop probability as a function of z. A user-defined class needs only this one method.

    For a gradient through k(z) (`scale_gradient="through"`, or inference by expectation) it also needs `derivative(z)`.
    """

    def drop_probability(self, z: Array) -> Array:
        """(any shape) -> same: p(z), from 0 to 1."""
        ...


class Alpha:
    """p(z) = 0 for z >= 0; -slope z, at most `limit`, for z < 0.  (any shape) -> same.

    The paper's alpha: slope .8, limit .8, so that p = -.8 z down to z = -1 and .8 below (section II).
    """

    def __init__(self, slope: float = 0.8, limit: float = 0.8) -> None:
        self.slope = _number("Alpha", "slope", slope, 0, 1e6)
        self.limit = _number("Alpha", "limit", limit, 0, 1)

    def __repr__(self) -> str:
        return f"Alpha(slope={self.slope}, limit={self.limit})"

    def drop_probability(self, z: Array) -> Array:
        """(any shape) -> same: clip(-slope z, 0, limit); NaN for NaN."""
        return array_module(z).minimum(self._rise(z), self.limit)

    def derivative(self, z: Array) -> Array:
        """(any shape) -> same: dp/dz = -slope where 0 < -slope z <= limit, else 0."""
        rise = self._rise(z)
        return -self.slope * ((rise > 0) & (rise <= self.limit)).astype(z.dtype)

    def _rise(self, z: Array) -> Array:
        """-slope z for z < 0, else 0; finite, so that a slope of 0 gives 0 at z = -inf too."""
        return self.slope * array_module(z).clip(-z, 0, 1e30)


class Beta:
    """p(z) = 0 for z >= 0; 1 - c for -1 <= z < 0; 1 + c / z for z < -1; never above p_max.  (any shape) -> same.

    The paper's beta: c = .2 (section II) and p_max = .999 (the listing in section III.A; .95 in the last published code).
    Then k(z) = .2 / |z| for z < -1, so that E[z theta] = -.2 is flat, like a ReLU's output.
    """

    def __init__(self, c: float = 0.2, p_max: float = 0.999) -> None:
        self.c = _number("Beta", "c", c, 0, 1)
        self.p_max = _number("Beta", "p_max", p_max, 0, 1)

    def __repr__(self) -> str:
        return f"Beta(c={self.c}, p_max={self.p_max})"

    def drop_probability(self, z: Array) -> Array:
        """(any shape) -> same: min(1 + c / min(z, -1), p_max) for z < 0, else 0; NaN for NaN.

        min(z, -1) gives the plateau, 1 + c / -1 = 1 - c on -1 <= z < 0, and avoids division by 0 at z = 0.
        """
        xp = array_module(z)
        return xp.minimum(1 + self.c / xp.minimum(z, -1), self.p_max) * (z < 0)

    def derivative(self, z: Array) -> Array:
        """(any shape) -> same: dp/dz = -c / z^2 for z < -1 where p is below p_max, else 0: finite everywhere."""
        xp = array_module(z)
        clamped = xp.minimum(z, -1)
        free = (z < -1) & (1 + self.c / clamped < self.p_max)
        return -(self.c / clamped) / clamped * free


class DropAlan(Op):
    """(any shape) -> same: y = z theta, or scaled y = z theta / k(z).  theta is constant for the gradient.

    dy/dz = theta                                   unscaled
    dy/dz = theta / k                               scaled, k held constant (`scale_gradient="detach"`)
    dy/dz = theta (1 / k + z p'(z) / k^2)           scaled, through k(z) (as the published code; k' = -p')

    Scaled beta, z < -1, kept: y = z / k = -5 z^2 and dy/dz = -10 z, up to the clip at p_max.

    theta jumps between 0 and 1 and so has no derivative in z. Like the published code, this op holds the drawn mask fixed,
    which ignores how z changes the keep probability. So the gradient is biased: on average dy/dz is k (unscaled; d E[y]/dz is
    k - z p'), 1 + z p' / k (scaled, through k: 2 for beta below -1, where d E[y]/dz is 1), or 1 (scaled, detached: unbiased).

    Edge cases: a dropped unit is exactly 0, also where z is infinite or NaN, and so is its gradient. Drawn masks never drop
    NaN, so that it stays visible. Scaled, k = 0 means never kept: output and gradient are 0, whatever the mask. At z = 0,
    p = 0 and, if kept, dy/dz = 1.

    After forward `mask` holds theta: 1 for kept, 0 for dropped, in the number type of z.
    """

    def __init__(
        self, distribution: Distribution, scaled: bool, through: bool, mask: Array | None, generator: Generator
    ) -> None:
        self.distribution = distribution
        self.scaled = scaled
        self.through = through
        self.mask = mask
        self.generator = generator

    def forward(self, z: Array) -> Array:
        keep = keep_probability(z, self.distribution)
        if self.mask is None:
            self.mask = self.generator.bernoulli(keep)
        self.saved = (self.mask, z if self.scaled and self.through else None)
        self.factor = self.mask
        if self.scaled:
            never = keep == 0
            self.keep = keep + never  # 1 instead of 0, to avoid division by 0
            # Exactly 0 for units that are dropped or can never be kept; 0 / NaN would be NaN.
            self.factor = zero_where_dropped(self.mask / self.keep, self.mask * ~never)
        return times_kept(z, self.factor)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        dy_dz = self.factor
        if self.scaled and self.through:
            _, z = self.saved
            dy_dz = times_kept(1 + z_times_derivative(z, self.distribution) / self.keep, dy_dz)
        return (times_kept(grad, dy_dz),)


class DropAlanExpectation(Op):
    """(any shape) -> same: y = z k(z), the expectation of the unscaled training output.  dy/dz = k - z p'(z).

    Where k = 0 the output is 0, also at z = -inf.
    """

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution

    def forward(self, z: Array) -> Array:
        self.keep = keep_probability(z, self.distribution)
        self.saved = (z,)
        return zero_where_dropped(z * self.keep, self.keep)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (z,) = self.saved
        return (grad * (self.keep - z_times_derivative(z, self.distribution)),)


def z_times_derivative(z: Array, distribution: Distribution) -> Array:
    """(any shape) -> same: z p'(z), and 0 wherever p' is 0, also at z = +-inf."""
    derivative: Array = distribution.derivative(z).astype(z.dtype)  # type: ignore[attr-defined]
    return zero_where_dropped(z * derivative, derivative)


def keep_probability(z: Array, distribution: Distribution) -> Array:
    """(any shape) -> same: k(z) = 1 - p(z), in the number type of z, whichever type the distribution computes in."""
    return (1 - distribution.drop_probability(z)).astype(z.dtype)


def _number(name: str, argument: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise ArgumentError(
            f"{name}: bad {argument}",
            expected=f"a number from {low:g} to {high:g}",
            got=repr(value),
            help="the paper's distributions are md.Alpha(slope=.8, limit=.8) and md.Beta(c=.2, p_max=.999)",
        )
    return float(value)  # a NumPy float64 would turn float32 arrays into float64
