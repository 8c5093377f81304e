"""How the ledger judges: windows, margins, tests. Fixed before the long runs were made; `RULES` states them in words.

Everything here is plain arithmetic on lists of numbers, so that each rule can be tested on made-up runs (tests/test_rules.py).
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...errors import DataError
from .intervals import LEVEL, Interval

Rows = Sequence[Mapping[str, float]]

EVERY = 1_000  # iterations between two evaluations of the paper, and of ours that are compared with it
WINDOW = 20  # evaluations
SIDE = (1 - LEVEL) / 2  # the level of a one-sided test: with both sides, 5 %

# Up to which iteration a row is compared with its log: the shortest log of Table II; before the published crash.
CUTS: dict[str, dict[str, int]] = {
    "cifar10": {"cnn": 125_000, "dropout": 125_000, "alpha": 60_000, "beta": 60_000, "beta-scaled": 54_000},
    "mnist": dict.fromkeys(("cnn", "dropout", "alpha", "beta", "beta-scaled"), 106_000),
}
COMMON = {"cifar10": 54_000, "mnist": 106_000}  # until when all five were trained: for speed and equality
HALF_WIDTH = {"cifar10": 0.02, "mnist": 0.004}  # a row with a wider prediction interval cannot be reproduced
MARGIN = {"cifar10": 0.011, "mnist": 0.0025}  # the standard error of one evaluation on 1,600 images, at .72 and .99
THRESHOLDS = {
    "cifar10": tuple(round(0.40 + 0.02 * step, 4) for step in range(17)),  # .40 to .72
    "mnist": tuple(round(0.95 + 0.0025 * step, 4) for step in range(17)),  # .95 to .99
}
FIGURE_4 = (10_000, 20_000, 42_000, 54_000)  # windows of time, each from the start

# The paper's claims on order, and on which datasets it makes them: these nine tests share one error rate.
PRIMARY = {
    "accuracy-dropout": ("cifar10", "mnist"),
    "accuracy-cnn": ("cifar10", "mnist"),
    "speed-dropout": ("cifar10", "mnist"),
    "speed-cnn": ("cifar10",),
    "scaling": ("cifar10", "mnist"),
}

FIXED = ("2026-11-25", "7a11dd2")  # the day, and the commit whose file has these words

_WORDS = f"""\
How the verdicts are given, by rule and by code (`minidrop/paper/claims/`), never by hand. A claim is **reproduced**, **not
reproduced** or **undecided**; what was not run is undecided, and says so.

* **A row of Table I or II.** Primary statistic: the mean accuracy of the {WINDOW} evaluations before a cut, one every
  {EVERY:,} iterations, in the same window of our runs and of the published log. Secondary: the peak up to the cut. The
  table below has windows and cuts. Ours are runs of the `published` network under the `paper` protocol, with the
  numbers of the paper's text (alpha's slope .8, beta's p_max .999).
* **Verdict of a row.** Where would one more run of ours fall? Prediction interval: mean ± t s √(1 + 1/n), s pooled over
  the rows of the table; for a row whose published run was repeated s is never below what the published repeats show
  among themselves (and t then has their degrees of freedom). The published run lies outside, by Holm's procedure over
  the five rows of the table: not reproduced. It lies inside the interval, and the half-width of the interval is at most
  {HALF_WIDTH["cifar10"]} (CIFAR-10) or {HALF_WIDTH["mnist"]} (MNIST): reproduced. Else undecided.
* **Lost classes.** A class is lost at an evaluation if its own logit is 0 on all of its images: behind a ReLU it then
  gets no gradient from them. Rows and orderings of accuracy are judged by the healthy runs, which have lost no class at
  any evaluation of the window. Beside them stand all runs, and how many were left out. Rates are given by setting, with
  Clopper and Pearson's intervals. No interval of a share leaves 0 to 1.
* **Orderings** are the paper's real claims. Five are primary: scaled beta against dropout and against the CNN, each in
  accuracy and in speed, and that scaling helps beta; on each dataset for which the paper claims it (not the speed
  against the CNN on MNIST, where its table has the CNN first). These nine tests are paired by seed, and Holm's procedure
  goes over all nine, those that are not run yet included. "Higher" is judged on the primary statistic, each row in its
  own window. "As high" is judged in the window before iteration {COMMON["cifar10"]:,} (CIFAR-10) or {COMMON["mnist"]:,}
  (MNIST), until which both were trained. By these rules the published logs, taken as our runs, contradict none of the
  nine. With three seeds only a mean of 7.7 times the spread of the pairs can pass all nine, with five one of 2.4 times.
  Every other comparison is secondary, says so, and stands by itself.
* **Equal** is what surely differs by less than a margin, by two one-sided tests: {MARGIN["cifar10"]} on CIFAR-10,
  {MARGIN["mnist"]} on MNIST. That is the standard error of one evaluation on 1,600 images, at .72 and at .99: a smaller
  difference no single evaluation of the paper could show. What surely differs by more is not equal; anything else is
  undecided.
* **Faster.** For each of {len(THRESHOLDS["cifar10"])} accuracies ({THRESHOLDS["cifar10"][0]:.2f} to
  {THRESHOLDS["cifar10"][-1]:.2f} on CIFAR-10, {THRESHOLDS["mnist"][0]:.2f} to {THRESHOLDS["mnist"][-1]:.2f} on MNIST),
  the first evaluation that has it; the whole curve is shown. A run that never arrives counts as last, not as missing,
  and runs with lost classes count. What is tested is the lead: in how many of the accuracies that either reached one
  network arrives first, minus in how many the other does, as a share, paired by seed. Leads are coarse, so that their
  spread over seeds counts as at least one accuracy of {len(THRESHOLDS["cifar10"])}.
* **Figure 4** is judged by windows of time: mean accuracy until iteration {", ".join(f"{end:,}" for end in FIGURE_4)},
  not over the whole run. It is reproduced if scaled beta lies above dropout in all of them, and not reproduced if it
  lies below in one.
* **Dead units** are those with z < 0 on every image measured. That DropAlan's escape is reproduced if fewer of beta's
  units than of the CNN's are so at the last evaluation that both have, and no smaller a share of them comes back by the
  next evaluation; not reproduced if more of beta's are.
* **The crash.** That it happens is reproduced if it happened, and not if it was looked for, in runs that were to show it
  with a probability of {LEVEL:.0%} or more, and did not happen. The drop rate was to blame if it was surely higher by .1
  or more before a death than in the runs that lived on, not if surely by less. That MNIST's run lived is reproduced if a
  life without an exact zero had a probability of {LEVEL:.0%} or more, by the mean over runs at full length, and not if of
  {1 - LEVEL:.0%} or less: a run that had to live or to die says something, one that could do either does not.
* **The gate.** A published log is of the network whose loss curve lies nearer to it by more than two of our seeds lie
  from each other, and within .04 of it (mean |log(loss ratio)| over the same means of {EVERY:,} iterations, from 2,000
  on; healthy seeds). The logs of a dataset are of the published network if that holds for every row for which both
  networks were trained; they are not if it holds for none, and the other network lies nearer to one; else undecided.
* **Losses** are compared as means over the same iterations as the log's, {EVERY:,} at a time. A mean of the last
  {WINDOW} evaluations is not shown where there are fewer than {2 * WINDOW}.
* Tests are Student's, two-sided, at 5 %. An interval beside a verdict is the plain 95 % interval, which may leave out 0
  where Holm's procedure over several tests still says undecided. Unless something else is said intervals are over
  seeds, and differences paired by seed: same first weights, same images in the same order. `lite`, a smaller network,
  stands in for no row and no ordering; where a claim on the crash is judged on it, the claim says so. CIFAR-10 is a JPEG
  copy wherever it says so."""

# The same text, its lines refilled after the numbers were inserted.
RULES = "\n".join(
    textwrap.fill(" ".join(part.split()), 120, subsequent_indent="  " * part.startswith("*"), break_on_hyphens=False)
    for part in re.split(r"\n(?=\* |\n)", _WORDS)
)


class Prediction(NamedTuple):
    """Where one more run would fall, with 95 % confidence: mean ± half; from n runs."""

    mean: float
    half: float
    n: int

    @property
    def interval(self) -> Interval:
        """As an interval of an accuracy, which lies within 0 to 1."""
        return Interval(self.mean, self.mean - self.half, self.mean + self.half).within(0, 1)


def window_mean(rows: Rows, cut: int) -> float | None:
    """The primary statistic: mean accuracy of the WINDOW evaluations up to `cut`, one every EVERY iterations; or None."""
    wanted = range(window_start(cut), cut + 1, EVERY)
    accuracy = {row["iteration"]: row["accuracy"] for row in rows}
    if not all(iteration in accuracy for iteration in wanted):
        return None
    return math.fsum(accuracy[iteration] for iteration in wanted) / WINDOW


def peak_until(rows: Rows, cut: int) -> float:
    """The secondary statistic: the highest accuracy of an evaluation up to `cut`, of those every EVERY iterations."""
    return max(row["accuracy"] for row in rows if row["iteration"] <= cut and row["iteration"] % EVERY == 0)


def mean_until(rows: Rows, end: int) -> float:
    """Mean accuracy of all evaluations up to `end`, of those every EVERY iterations."""
    values = [row["accuracy"] for row in rows if row["iteration"] <= end and row["iteration"] % EVERY == 0]
    return math.fsum(values) / len(values)


def losses_per_window(rows: Rows) -> dict[int, float]:
    """{iteration: mean training loss of the EVERY iterations before it}, also of runs that were evaluated more often.

    Raises DataError if the time between two evaluations crosses the end of a window.
    """
    found: dict[int, float] = {}
    total, before = 0.0, 0
    for row in rows:
        end = (before // EVERY + 1) * EVERY
        if row["iteration"] > end:
            raise DataError(
                f"losses cannot be laid beside those of each {EVERY:,} iterations",
                expected=f"evaluations whose distance divides {EVERY:,}",
                got=f"one at {before:,} and the next at {row['iteration']:,.0f}",
            )
        total += row["loss"] * (row["iteration"] - before)
        before = int(row["iteration"])
        if before == end:
            found[end] = total / EVERY
            total = 0.0
    return found


def is_healthy(rows: Rows, first: int, last: int) -> bool:
    """Whether a run has lost no class, and had only finite losses, at all evaluations from `first` to `last`."""
    within = [row for row in rows if first <= row["iteration"] <= last]
    return not any(row["lost_classes"] or not math.isfinite(row["loss"]) for row in within)


def window_start(cut: int) -> int:
    """The first evaluation of the window before `cut`."""
    return cut - (WINDOW - 1) * EVERY


# Rows of a table ------------------------------------------------------------------------------------------------------


def pooled_spread(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Runs by row -> standard deviation within rows, pooled, and its degrees of freedom; (nan, 0) if no row has two runs."""
    squares, degrees = 0.0, 0
    for values in groups:
        if len(values) > 1:
            middle = math.fsum(values) / len(values)
            squares += math.fsum((value - middle) ** 2 for value in values)
            degrees += len(values) - 1
    return (math.sqrt(squares / degrees) if degrees else math.nan), degrees


def predict(values: Sequence[float], spread: float, degrees: int) -> Prediction:
    """Runs of one row -> the interval of one more: mean ± t s √(1 + 1/n). Without degrees of freedom it is infinitely wide."""
    from scipy.stats import t

    middle = math.fsum(values) / len(values)
    if not degrees:
        return Prediction(middle, math.inf, len(values))
    half = float(t.ppf(1 - SIDE, degrees)) * spread * math.sqrt(1 + 1 / len(values))
    return Prediction(middle, half, len(values))


def p_of_row(published: float, values: Sequence[float], spread: float, degrees: int) -> float:
    """The probability that one more run of ours lies at least as far from our mean as the published one; two-sided."""
    from scipy.stats import t

    if not degrees:
        return 1.0
    away = abs(published - math.fsum(values) / len(values))
    reach = spread * math.sqrt(1 + 1 / len(values))
    return float(2 * t.sf(away / reach, degrees)) if reach else float(away == 0)


def judge_row(prediction: Prediction, p: float, adjusted: float, half_width: float) -> str:
    """Verdict of a row. p: of the published run as one more of ours; adjusted: Holm's."""
    if adjusted < 1 - LEVEL:
        return "not reproduced"
    return "reproduced" if p >= 1 - LEVEL and prediction.half <= half_width else "undecided"


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """p-values by name -> Holm's adjusted ones: the smallest times n, the next times n - 1, ..., never decreasing."""
    adjusted, highest = {}, 0.0
    for place, (name, p) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(values) - place)))
        adjusted[name] = highest
    return adjusted


# Two networks, paired by seed -----------------------------------------------------------------------------------------


class Sides(NamedTuple):
    """One-sided p-values. A small `claim` supports the claim; a small `contrary` its contrary."""

    claim: float
    contrary: float


def p_above(differences: Sequence[float], value: float, smallest_spread: float = 0.0) -> float:
    """The one-sided p of Student's test that the mean of `differences` lies above `value`; 1 for fewer than two of them.

    smallest_spread: the least value of their standard deviation, for numbers so coarse that they may all be the same.
    """
    from scipy.stats import t

    count = len(differences)
    if count < 2:
        return 1.0
    middle = math.fsum(differences) / count
    spread = math.sqrt(math.fsum((one - middle) ** 2 for one in differences) / (count - 1))
    error = max(spread, smallest_spread) / math.sqrt(count)
    if not error:
        return 1.0 if middle <= value else 0.0
    return float(t.sf((middle - value) / error, count - 1))


def higher(differences: Sequence[float], smallest_spread: float = 0.0) -> Sides:
    """Differences, paired by seed -> for the claim that they lie above 0."""
    reverse = [-one for one in differences]
    return Sides(p_above(differences, 0, smallest_spread), p_above(reverse, 0, smallest_spread))


def equal(differences: Sequence[float], margin: float) -> Sides:
    """Differences, paired by seed -> for the claim that they lie within ± margin: two one-sided tests."""
    reverse = [-one for one in differences]
    return Sides(
        max(p_above(differences, -margin), p_above(reverse, -margin)),
        min(p_above(differences, margin), p_above(reverse, margin)),
    )


def judge(sides: Sides) -> str:
    """Verdict of a comparison; where it is one of several, its p-values are Holm's."""
    if sides.claim < SIDE:
        return "reproduced"
    return "not reproduced" if sides.contrary < SIDE else "undecided"


def holm_sides(family: Mapping[str, Sides]) -> dict[str, Sides]:
    """Holm's procedure over a family of comparisons, separately for each side."""
    claims, contraries = (holm({name: sides[index] for name, sides in family.items()}) for index in (0, 1))
    return {name: Sides(claims[name], contraries[name]) for name in family}


# Speed ----------------------------------------------------------------------------------------------------------------


def arrivals(rows: Rows, thresholds: Sequence[float], cut: int) -> list[float]:
    """The iteration of the first evaluation with each accuracy, of those every EVERY iterations up to `cut`; inf: never."""
    seen = [row for row in rows if row["iteration"] <= cut and row["iteration"] % EVERY == 0]
    return [next((row["iteration"] for row in seen if row["accuracy"] >= level), math.inf) for level in thresholds]


def lead(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Arrivals of two runs -> the share of the thresholds reached by either at which ours is first, minus theirs; -1 to 1."""
    signs = [(a < b) - (a > b) for a, b in zip(ours, theirs, strict=True) if math.isfinite(min(a, b))]
    return math.fsum(signs) / len(signs) if signs else 0.0
