"""The crash of the scaled network: does it happen, why, and what prevents it. How often z is 0: `zeros.py`."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..reproduce.grid import Finished
from ..reproduce.table import mean
from .evidence import Evidence, Stored, seeds_text, steps
from .intervals import LEVEL, of_share
from .ledger import Claim, decide
from .rules import Sides, judge

HIGHER = 0.1  # how much higher the drop rate must be to count as "too many units"
LN_10 = 2.3025851249694824  # in float32, as the published log has it

COMPOSED_PLAIN = "beta-scaled-composed"  # as published
COMPOSED, EXPLICIT = "beta-scaled-composed-fused", "beta-scaled-fused"
OPTIONS = {
    "": "as published",
    "-linear": "linear logits",
    "-detach": "no gradient through k(z)",
    "-p_max=.95": "p_max .95",
    "-p_max=.8": "p_max .8",
    "-clip_norm=1": "gradient clipped to length 1",
    "-learning_rate=.001": "a tenth of the step",
}


def died(run: Finished) -> int | None:
    """The step at which the gradient first was not finite, or None."""
    step = run.result["recorded"]["first_non_finite_gradient"]
    return None if step is None else int(step)


def totals(runs: list[Finished]) -> dict[str, float]:
    """Zeros met, zeros expected and values of z, summed over runs, each until it died."""
    return {
        name: math.fsum(run.result["recorded"]["totals"][name] for run in runs)
        for name in ("zeros", "expected_zeros", "values")
    }


def crash_claims(evidence: Evidence) -> list[Claim]:
    """The crash, Figure 3, its two suspected causes, and the interventions."""
    cifar, digits = evidence.crashes, evidence["crash-zero"]
    return [
        _happens(cifar),
        _division(digits, cifar),
        _drop_rate(cifar),
        _marks(cifar, evidence["crash-swallow"]),
        _interventions(digits),
    ]


def _runs(stored: Stored, variant: str) -> list[Finished]:
    return [run for _, run in sorted(stored.of(variant).items())]


def _happens(stored: Stored) -> Claim:
    runs = _runs(stored, COMPOSED_PLAIN)
    dead = [step for run in runs if (step := died(run)) is not None]
    share = of_share(len(dead), len(runs))
    when = f", at steps {', '.join(f'{step:,}' for step in sorted(dead))}" if dead else ""
    return Claim(
        "crash",
        "III.B, Figure 3",
        f"Scaled beta, composed as published, crashes ({where(stored)})",
        f"{len(dead)} of {len(runs)} seeds died, {share.text(2)}{when}",
        judge_happening(len(dead), totals(runs)["expected_zeros"]),
        (stored,),
        stored.seeds(COMPOSED_PLAIN),
        details=(
            f"zeros expected in these runs, each until it died: {totals(runs)['expected_zeros']:.2f}",
            (
                f"DropAlan composed of elementary ops, as in the published code; the `{stored.settings['network']}` network,"
                " whose rate of zeros is its own"
            ),
            "the paper's two runs died near 50,000; when is not tested here",
            "figure: `results/crash.png`",
        ),
        numbers={"died": sorted(dead), "runs": len(runs), "share": share},
    )


def judge_happening(deaths: int, expected: float) -> str:
    """Deaths, and how many were expected -> the verdict on whether it happens (`rules.RULES`)."""
    return decide(deaths > 0, not deaths and math.exp(-expected) <= 1 - LEVEL)


def _division(digits: Stored, cifar: Stored) -> Claim:
    from scipy.stats import binomtest

    composed, explicit = _runs(digits, COMPOSED), _runs(digits, EXPLICIT)
    dead = [sum(died(run) is not None for run in runs) for runs in (composed, explicit)]
    fates = [{run.run.seed: died(run) is not None for run in runs} for runs in (composed, explicit)]
    seeds = sorted(fates[0].keys() & fates[1].keys())
    apart = [fates[0][seed] for seed in seeds if fates[0][seed] != fates[1][seed]]  # McNemar's exact test, paired by seed
    p = float(binomtest(sum(apart), len(apart)).pvalue) if apart else 1.0
    through = [*composed, *_runs(cifar, COMPOSED_PLAIN)]
    lethal = all((run.result["recorded"]["totals"]["zeros"] > 0) == (died(run) is not None) for run in through)
    met = int(totals(explicit)["zeros"])
    return Claim(
        "crash-division",
        "III.B",
        f"Perhaps the crash was a division by zero ({where(digits)})",
        f"composed ops: {dead[0]} of {len(composed)} died; one op without the division: {dead[1]} of {len(explicit)} (p ="
        f" {p:.4f})",
        decide(lethal and p < 0.05 and dead[0] > dead[1], not lethal and p >= 0.05),
        (digits, cifar),
        digits.seeds(COMPOSED, EXPLICIT),
        details=(
            (
                "decided on digits, with the bias inside the sum, where zeros are frequent; p: McNemar's exact test, paired by"
                " seed"
            ),
            (
                "not of the forward pass, which the clip saves, but of its derivative: -.2 / z^2 at z = 0 times the clip's 0"
                " is NaN"
            ),
            (
                f"in all {len(through)} runs with composed ops the first z that was exactly 0 was the end, and none died"
                f" without one: {'so it was' if lethal else 'not so'}; the op without the division met {met} zeros and"
                " trained on"
            ),
            (
                "that this is what happened in 2018 is the best explanation, not proven: the published runs can no longer be"
                " looked into"
            ),
        ),
        numbers={
            "composed": (dead[0], len(composed)),
            "explicit": (dead[1], len(explicit)),
            "p": p,
            "lethal": lethal,
            "met": met,
        },
    )


def _drop_rate(stored: Stored) -> Claim:
    """The drop probability at the last evaluation before death, against the runs that lived, at the same iterations."""
    runs = _runs(stored, COMPOSED_PLAIN)
    dead = [run for run in runs if (died(run) or 0) > run.rows[0]["iteration"]]  # an evaluation before its death
    alive = [run for run in runs if died(run) is None]
    last = [[row for row in run.rows if row["iteration"] < (died(run) or 0)][-1] for run in dead]
    before = [1 - row["keep_probability"] for row in last]
    # of each run that lived, its mean over the same iterations
    beside = [mean([1 - _at(run, row["iteration"])["keep_probability"] for row in last]) for run in alive] if dead else []
    windows = [[step["smallest_z"] for step in steps(stored, run) if step["iteration"] < (died(run) or 0)] for run in dead]
    worst = 1 + 0.2 / min(min((min(window) for window in windows if window), default=-1.0), -1.0)
    number = (
        f"mean drop probability before death {min(before):.2f} to {max(before):.2f}; of those who lived on, at the same"
        f" iterations, {min(beside):.2f} to {max(beside):.2f}"
        if before and beside
        else "no run died after its first evaluation beside one that lived"
    )
    return Claim(
        "crash-drop-rate",
        "III.B",
        f"Perhaps the drop rate neared 1 for too many units ({where(stored)})",
        number,
        judge_drop_rate(before, beside),
        (stored,),
        seeds_text([run.run.seed for run in dead]),
        details=(f"the highest drop probability of any unit in the last 200 steps of any run that died: {worst:.2f}",),
        numbers={"before": before, "beside": beside, "worst": worst},
    )


def judge_drop_rate(before: list[float], beside: list[float]) -> str:
    """Drop probabilities before a death, and of the runs that lived -> the verdict: were they too high? (Welch's test)"""
    from scipy.stats import ttest_ind

    if min(len(before), len(beside)) < 2:
        return "undecided"
    lowered = [one - HIGHER for one in before]
    claim, contrary = (
        float(ttest_ind(lowered, beside, equal_var=False, alternative=side).pvalue) for side in ("greater", "less")
    )
    return judge(Sides(claim, contrary))


def where(stored: Stored) -> str:
    """The network and data on which a claim on the crash was judged."""
    return f"`{stored.settings['network']}` network, {stored.config['dataset']['label']}"


def _at(run: Finished, iteration: float) -> dict[str, float]:
    return next(row for row in run.rows if row["iteration"] == iteration)


def _marks(stored: Stored, swallowing: Stored) -> Claim:
    """The state of a dead run: NaN weights and, with ReLUs that turn NaN into 0, a loss of ln 10 at every evaluation."""
    dead = [run for run in _runs(stored, COMPOSED_PLAIN) if died(run) is not None]
    nan = [run for run in dead if any(share > 0 for share in run.result["recorded"]["dead_layers"].values())]
    accuracy = sorted({round(float(run.result["test_accuracy"]), 4) for run in dead})
    blind = [run for run in swallowing.runs if died(run) is not None and "non-finite loss" not in run.divergence.moments]
    # the first evaluation after the death averages over losses from before it
    losses = sorted({row["loss"] for run in blind for row in [r for r in run.rows if r["iteration"] > (died(run) or 0)][1:]})
    exact = losses == [LN_10]
    return Claim(
        "figure-3",
        "III.B, Figure 3",
        f"After the crash the loss is 2.30 and the accuracy .10: no inference at all ({where(stored)})",
        f"accuracy {', '.join(f'{a:.2f}' for a in accuracy)} in all {len(dead)} dead runs, loss"
        f" {', '.join(map(repr, losses))} in {len(blind)} whose ReLUs turn NaN into 0",
        decide(accuracy == [0.1] and exact, bool(dead) and bool(blind) and (accuracy != [0.1] or not exact)),
        (stored, swallowing),
        f"{seeds_text([run.run.seed for run in dead])}; {seeds_text([run.run.seed for run in blind])}",
        details=(
            (
                f"NaN weights one step after the zero in {len(nan)} of {len(dead)}; finite weights with dead logits, the other"
                f" way to die, in {len(dead) - len(nan)}"
            ),
            (
                "our ReLU hands NaN on, so that the loss is NaN; one that turns NaN into 0, as GPU kernels then may have,"
                " gives ten equal logits, and a loss of ln 10: 2.3025851249694824 in"
                " float32, to the last digit what the published log says"
            ),
            "the loss is that of `crash-swallow`, on digits",
        ),
        numbers={"dead": len(dead), "nan": len(nan), "accuracy": accuracy, "losses": losses, "exact": exact},
    )


class Fates(NamedTuple):
    """How many runs died, of how many: with DropAlan composed of elementary ops, and as one op."""

    composed: int
    composed_runs: int
    explicit: int
    explicit_runs: int


def _interventions(stored: Stored) -> Claim:
    rows: list[tuple[str, ...]] = [("", "composed: died", "at steps", "explicit op: died", "zeros met: composed", "explicit")]
    dead: dict[str, Fates] = {}
    tries = 0
    for option, name in OPTIONS.items():
        sides = [_runs(stored, variant + option) for variant in (COMPOSED, EXPLICIT)]
        found = [sorted(step for run in runs if (step := died(run)) is not None) for runs in sides]
        zeros = [f"{totals(runs)['zeros']:.0f}" if runs else "" for runs in sides]
        dead[option] = Fates(len(found[0]), len(sides[0]), len(found[1]), len(sides[1]))
        tries += len(sides[1])
        counts = [f"{len(steps)} of {len(runs)}" if runs else "not run" for steps, runs in zip(found, sides, strict=True)]
        rows.append((name, counts[0], ", ".join(f"{step:,}" for step in found[0]), counts[1], *zeros))
    explicit = sum(fates.explicit for fates in dead.values())
    helps = [OPTIONS[option] for option, fates in dead.items() if not fates.composed and dead[""].composed]
    helps += [] if explicit or not dead[""].composed else ["the explicit op"]
    every = [run for run in stored.runs if died(run) is not None]
    marked = [
        run
        for run in every
        if run.result["recorded"]["totals"]["zeros"] and any(run.result["recorded"]["dead_layers"].values())
    ]
    blind = [run for run in stored.runs if "equal logits" in run.divergence.moments and died(run) is None]
    return Claim(
        "crash-interventions",
        "ours",
        "What prevents the crash, each remedy alone, same seeds?",
        f"no gradient through k(z): {dead['-detach'].composed} of {dead['-detach'].composed_runs} died; the explicit op:"
        f" {explicit} of {tries}",
        f"no deaths with: {', '.join(helps) or 'none of them'}; deaths with every other"
        if dead[""].composed
        else "no run died",
        (stored,),
        stored.seeds(COMPOSED),
        table=tuple(rows),
        details=(
            (
                f"{len(marked)} of {len(every)} deaths came with an exact zero, and NaN weights one step later; {len(blind)}"
                " runs had finite weights and equal logits"
            ),
            "p_max .999 is the row `as published`",
        ),
        numbers={"died": dead, "deaths": len(every), "marked": len(marked)},
    )
