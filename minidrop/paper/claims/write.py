"""Writing the ledger: CLAIMS.md and the figure of the crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...serialization import write_atomically
from ..reproduce.figures import COLOURS, draw
from ..reproduce.lock import writable
from ..reproduce.table import markdown
from .course import training_claims
from .crash import COMPOSED, EXPLICIT, crash_claims, died, totals
from .evidence import LOGS_FILE, Evidence, Stored, steps
from .gate import gate_claims, short_table
from .ledger import Section, ledger
from .logs import GATES, as_bytes, derive
from .lost import lost_claims
from .orderings import ordering_claims
from .questions import question_claims
from .rules import FIXED, RULES
from .runs import PLANNED, command
from .significance import significance_claims
from .tables import short_row_table, table_claims, windows
from .theory import theory_claims
from .zeros import zero_claims

SECTIONS: tuple[Section, ...] = (
    ("Which network, which settings: the gate", gate_claims),
    ("Tables I and II", table_claims),
    ("Which network is better, which is faster", ordering_claims),
    ("Training: Figure 4, dead units, lost classes", lambda evidence: training_claims(evidence) + lost_claims(evidence)),
    ("The crash, Figure 3", lambda evidence: crash_claims(evidence) + zero_claims(evidence)),
    ("Expectations, Figures 1 and 2", theory_claims),
    ("What the paper asks", question_claims),
    ("What is significant", significance_claims),
)


def rules_text(evidence: Evidence) -> str:
    """The rules, when they were fixed, and the table of windows and cuts."""
    date, commit = FIXED
    fixed = f"Fixed on {date}, in commit {commit}, before the first run at full length."
    return "\n".join(["## The rules", "", fixed, "", RULES, "", "Windows and cuts:", "", windows(evidence)])


def not_yet_run(evidence: Evidence) -> str:
    """What is left to do, a command each."""
    left = [name for name in PLANNED if name not in evidence.experiments]
    if not left:
        return ""
    lines = [
        "# Not yet run",
        "",
        "`minidrop claims` takes these up when they lie in `results/`. Each command goes on where it was broken off.",
        "On a GPU, with `--device cuda --cuda-graphs`, nothing was run yet.",
        "",
        "```sh",
        *(f"{command(name)}  # {PLANNED[name].purpose}" for name in left),
        "```",
        "",
    ]
    return "\n".join(lines)


def claims_text(evidence: Evidence) -> str:
    """CLAIMS.md."""
    return ledger(evidence, SECTIONS, f"{in_short(evidence)}\n\n{rules_text(evidence)}", not_yet_run(evidence))


def in_short(evidence: Evidence) -> str:
    """What a reader wants first: Tables I and II beside ours, and what the gate says of networks and logs."""
    gates = [
        f"**{evidence[GATES[dataset]['published']].config['dataset']['label']}**, our first "
        f"{evidence[GATES[dataset]['published']].settings['iterations']:,} iterations:\n\n"
        + markdown(short_table(evidence, dataset))
        for dataset in ("mnist", "cifar10")
        if evidence.find(GATES[dataset]["published"])
    ]
    about = (
        "The gate says which network and which settings made which published log, by how far our training loss lies from it\n"
        "(mean |log(ratio)| over the means of 1,000 iterations), and how far two of our seeds lie from each other:"
    )
    tables = [short_row_table(evidence, dataset) for dataset in ("cifar10", "mnist")]
    return "\n\n".join(["## In short", *tables, *([about, *gates] if gates else [])])


def write_ledger(results: Path, out: Path, published: Path | None = None) -> list[Path]:
    """Write CLAIMS.md to `out` and crash.png to `results`.

    published: a CSV of the author's logs; what the ledger needs of it is derived first, and written to logs.json.
    All is computed before the first file is written. Returns what was written.
    """
    with writable(out):
        evidence = Evidence(results)
        files: dict[Path, bytes] = {}
        if published is not None:
            evidence.logs = derive(published, evidence)
            files[results / LOGS_FILE] = as_bytes(evidence.logs)
        files |= {out / "CLAIMS.md": claims_text(evidence).encode(), results / "crash.png": draw(crash_figure, evidence)}
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
