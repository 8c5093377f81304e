"""Writing the ledger: CLAIMS.md, the tables in the README, the figure of the crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..reproduce.figures import COLOURS, draw
from ..serialization import write_atomically
from .crash import COMPOSED, EXPLICIT, crash_claims, died, totals
from .evidence import Evidence, Stored, steps
from .ledger import Section, ledger
from .questions import question_claims
from .significance import significance_claims
from .tables import PLACES, readme_table, table_claims
from .theory import theory_claims
from .training import training_claims

SECTIONS: tuple[Section, ...] = (
    ("Tables I and II", table_claims),
    ("Training: accuracy, convergence, Figure 4", training_claims),
    ("The crash, Figure 3", crash_claims),
    ("Expectations, Figures 1 and 2", theory_claims),
    ("What the paper asks", question_claims),
    ("What is significant", significance_claims),
)

# One command per table, at full length: what a GPU is needed for. Tested at small scale (tests/test_claims.py).
FULL_LENGTH = {
    "mnist-full": (
        "minidrop reproduce --dataset mnist --network paper --iterations 120000 --seeds 5 --device cuda --cuda-graphs"
    ),
    "cifar10-full": (
        "minidrop reproduce --dataset cifar10 --network paper --iterations 250000 --seeds 5 --device cuda --cuda-graphs"
    ),
    "crash-full": (
        "minidrop reproduce --dataset cifar10 --network paper --variants beta-scaled-composed --iterations 250000 --seeds 8"
        " --on-divergence stop --record-steps 200 --device cuda"
    ),
    "crash-full-explicit": (
        "minidrop reproduce --dataset cifar10 --network paper --variants beta-scaled --iterations 250000 --seeds 8"
        " --on-divergence stop --record-steps 200 --device cuda"
    ),
}

BEGIN, END = "<!-- made by minidrop claims -->", "<!-- end of what minidrop claims made -->"


def not_yet_run(evidence: Evidence) -> str:
    """What is left to do, a command each."""
    left = {name: command for name, command in FULL_LENGTH.items() if name not in evidence.experiments}
    if not left:
        return ""
    lines = [
        "# Not yet run",
        "",
        "At full length the paper's network needs a GPU. **Not yet run on a GPU**; `minidrop claims` takes the",
    ]
    lines += ["folders up when they lie in `results/`:", "", "```sh"]
    lines += [f"{command} --out lessons/results/{name}" for name, command in left.items()]
    return "\n".join([*lines, "```", ""])


def claims_text(evidence: Evidence) -> str:
    """CLAIMS.md."""
    return ledger(evidence, SECTIONS, not_yet_run(evidence))


def readme_block(evidence: Evidence) -> str:
    """What stands in the README between BEGIN and END: Tables I and II, paper beside ours."""
    return "\n\n".join(readme_table(evidence, dataset) for dataset in PLACES)


def with_block(readme: str, block: str) -> str:
    """The README with a new block. Raises DataError if its two marks are not there, once and in order."""
    before, begun, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise DataError("README.md has no place for the tables", expected=f"{BEGIN} and, later, {END}", got="not both")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def write_ledger(results: Path, out: Path) -> list[Path]:
    """Write CLAIMS.md to `out` and crash.png to `results`; in the checkout's lessons, the README's tables too.

    All is computed before the first file is written. Returns what was written.
    """
    evidence = Evidence(results)
    files = {out / "CLAIMS.md": claims_text(evidence).encode(), results / "crash.png": draw(crash_figure, evidence)}
    readme = out.parent / "README.md"
    if readme.exists() and (out / "lesson.py").exists():
        files[readme] = with_block(readme.read_text(encoding="utf-8"), readme_block(evidence)).encode()
    for path, content in files.items():
        write_atomically(path, content)
    return list(files)


def crash_figure(figure: Any, evidence: Evidence) -> None:
    """The paper's Figure 3 again, the steps around each death, and how many live: composed, as one op, and as predicted."""
    figure.set_size_inches(13, 3.9)
    left, middle, right = figure.subplots(1, 3)
    _as_published(left, evidence["crash-swallow"])
    _steps_before(middle, evidence["crash"])
    _alive(right, evidence["crash-zero"])


def _as_published(axes: Any, stored: Stored) -> None:
    """Loss and accuracy of a run that dies behind ReLUs that swallow NaN: Figure 3."""
    run = max(
        (run for run in stored.runs if died(run) is not None), key=lambda run: died(run) or 0
    )  # the one that lived longest
    end = died(run) or 0
    x = [row["iteration"] for row in run.rows]
    axes.plot(x, [row["loss"] for row in run.rows], color=COLOURS[1], label="training loss (nats)")
    axes.plot(x, [row["accuracy"] for row in run.rows], color=COLOURS[4], linestyle="--", label="accuracy")
    axes.axvline(end, color="black", linewidth=0.9, linestyle=(0, (1, 1.5)))
    axes.text(end, 1.25, f"step {end:,}: one z is 0, \nthen ln 10 and .10 ", fontsize=8, ha="right")
    axes.set(xlabel="iteration", ylim=(0, 3.2))
    axes.set_title("Figure 3 again, on digits:\na ReLU turns NaN into 0", fontsize=10)
    axes.legend(fontsize=8, loc="upper left", ncols=2)


def _steps_before(axes: Any, stored: Stored) -> None:
    """The batch losses of the last 200 steps of every run that died."""
    dead = [run for run in stored.runs if died(run) is not None]
    for index, run in enumerate(dead):
        end = died(run) or 0
        rows = [row for row in steps(stored, run) if row["iteration"] <= end]
        x = [row["iteration"] - end for row in rows]
        colour = COLOURS[1 + index % (len(COLOURS) - 1)]
        axes.plot(x, [row["loss"] for row in rows], color=colour, linewidth=0.8, label=f"seed {run.run.seed}, step {end:,}")
        axes.plot(x[-1], rows[-1]["loss"], "X", color=colour, markersize=9, markeredgecolor="black")
    losses = [row["loss"] for run in dead for row in steps(stored, run) if row["iteration"] <= (died(run) or 0)]
    top = max(losses, default=1.0)
    axes.set(xlabel="steps before the first NaN gradient", ylabel="loss of the batch (nats)", ylim=(0, 1.35 * top))
    axes.set_title("CIFAR-10 (JPEG copy): no sign before\nthe step at X, where one z is exactly 0", fontsize=10)
    if dead:
        axes.legend(fontsize=8, loc="upper left", ncols=2)


def _alive(axes: Any, stored: Stored) -> None:
    """How many seeds are alive at each step."""
    grid = np.arange(0, stored.settings["iterations"] + 1, 50)
    for variant, name, colour, style in (
        (COMPOSED, "composed, as published", COLOURS[4], "-"),
        (EXPLICIT, "one op, written out", COLOURS[1], "--"),
    ):
        runs = list(stored.of(variant).values())
        ends = [died(run) or np.inf for run in runs]
        alive = [np.mean([end > step for end in ends]) for step in grid]
        label = f"{name}: {sum(np.isinf(ends))} of {len(runs)} live"
        axes.step(grid, alive, where="post", color=colour, linestyle=style, label=label)
        if variant == COMPOSED:
            rate = totals(runs)["expected_zeros"] / sum(run.result["iteration"] for run in runs)
            axes.plot(grid, np.exp(-rate * grid), color="black", linestyle=":", label="predicted from the rate of zeros")
    axes.set(xlabel="iteration", ylabel="share of seeds alive", ylim=(-0.03, 1.4))
    axes.set_title("Digits, same seeds: it dies or lives\nby how its gradient is written", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")
