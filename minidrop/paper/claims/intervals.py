"""95 % intervals: of a mean over seeds, of a share, of a count. The distributions are SciPy's."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import DataError

LEVEL = 0.95


class Interval(NamedTuple):
    """A number, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int | float) and self.low <= number <= self.high

    def within(self, low: float, high: float) -> Interval:
        """The same, with its ends limited to the range of an accuracy or share."""
        return Interval(self.value, max(self.low, low), min(self.high, high))

    def text(self, digits: int = 4, signed: bool = False) -> str:
        """For example .0123 (.0100 to .0146)."""
        sign = "+" if signed else ""
        value, low, high = (f"{number:{sign}.{digits}f}" for number in self)
        return f"{value} ({low} to {high})"


def of_mean(values: list[float]) -> Interval:
    """n numbers -> their mean, by Student's t with n - 1 degrees of freedom; of one number the interval is infinite.

    Exact for normal numbers; for paired differences over seeds, give it the differences.
    """
    from scipy.stats import t

    count = len(values)
    if not count:
        raise DataError("no mean of no numbers", expected="at least one seed", got="none")
    middle = math.fsum(values) / count
    if count < 2:
        return Interval(middle, -math.inf, math.inf)
    deviation = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (count - 1))
    reach = float(t.ppf(0.5 + LEVEL / 2, count - 1)) * deviation / math.sqrt(count)
    return Interval(middle, middle - reach, middle + reach)


def of_share(hits: int, count: int) -> Interval:
    """hits of count independent tries -> their share, by Clopper and Pearson: at least 95 %, however small the count."""
    from scipy.stats import binomtest

    found = binomtest(hits, count).proportion_ci(LEVEL, method="exact")
    return Interval(hits / count, float(found.low), float(found.high))


def of_count(events: int) -> Interval:
    """How many events of a Poisson process were counted -> the interval of the mean count, exact (by chi-squared)."""
    from scipy.stats import chi2

    tail = (1 - LEVEL) / 2
    low = float(chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return Interval(float(events), low, float(chi2.ppf(1 - tail, 2 * events + 2)) / 2)


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that an exact sign-flip test of so many pairs can give: 2 / 2^n."""
    return 2 / float(2**pairs)
