"""Training steps and inference, minidrop against PyTorch: `python -m tests.benchmarks.step`.

    python -m tests.benchmarks.step [--works published-cifar,lite-mnist] [--turns 15] [--repeats 3] [--peers] [--json FILE]

Every framework runs in its own process, with the same number of threads for BLAS and OpenMP (what else a peer starts, such
as JAX's thread pool, is not limited); they take turns, and between two turns all sleep for a moment, so that no framework's
spinning threads disturb the next. A ratio is the median over the turns of (median of minidrop's repeats in the turn) /
(median of PyTorch's in the same turn). All start from the same weights, and the loss of the third step without dropout is
compared. --peers adds the other frameworks that are installed. Peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from .interleave import Worker, race
from .machine import provenance, write_json
from .works import WORKS

# work, threads, and the goal: at most this share of PyTorch's time; for the later ones the share before work on `published`
RUNS = [
    ("published-cifar", 1, 0.45),
    ("published-cifar", 2, 0.55),
    ("published-mnist", 1, 0.40),
    ("published-mnist", 2, 0.55),
    ("described-cifar", 1, 0.45),
    ("described-mnist", 1, 0.45),
    ("inference-16", 1, 0.61),
    ("inference-256", 1, 0.52),
    ("described-inference-16", 1, 0.48),
    ("described-inference-256", 1, 0.36),
    ("lite-cifar", 1, 0.90),
    ("lite-mnist", 1, 0.88),
    ("cnn-3x3", 1, 0.67),
]


def title(name: str) -> str:
    """The work in words."""
    work = WORKS[name]
    shapes = "CIFAR-10" if work.image[0] == 3 else "MNIST"
    return f"{'training step' if work.trains else 'inference'}, `{work.network}`, {shapes} shapes, batch {work.batch}"


# name of the framework's module here: the package it needs
PEERS = {
    "torch_pool_first": "torch",
    "torch_cropped": "torch",
    "jax": "jax",
    "dezero": "dezero",
    "mygrad": "mygrad",
    "tinygrad": "tinygrad",
}
SAME_LOSS = 1e-4


def measure(runs: list[tuple[str, int, float]], frameworks: list[str], turns: int, repeats: int) -> list[dict[str, Any]]:
    """One row per work and number of threads."""
    rows = []
    for work, threads, goal in runs:
        result = race(frameworks, work, threads, turns, repeats)
        expected = result["torch"]["checked"]
        for name, values in result.items():
            if abs(values["checked"] - expected) > SAME_LOSS * abs(expected):
                raise RuntimeError(f"{name} does not compute {work}: {values['checked']} instead of {expected}")
        rows.append({"work": work, "threads": threads, "goal": goal, "results": result})
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def runs_here(framework: str, work: str) -> bool:
    """True if the framework is installed and does the work; says so if it is installed and does not."""
    if importlib.util.find_spec(PEERS[framework]) is None:
        return False
    try:
        Worker(framework, work, 1).close()
    except RuntimeError as error:
        print(f"{framework} is left out: {error}", file=sys.stderr)
        return False
    return True


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    others = [name for name in rows[0]["results"] if name not in ("minidrop", "torch")]
    head = ["work", "threads", "minidrop, ms", "PyTorch, ms", "minidrop / PyTorch", "goal", "peak memory, MB"]
    lines = [
        "| " + " | ".join(head + [f"{name} / PyTorch" for name in others]) + " |",
        "|---" * (len(head) + len(others)) + "|",
    ]
    for row in rows:
        own, torch = row["results"]["minidrop"], row["results"]["torch"]
        cells = [
            title(row["work"]),
            str(row["threads"]),
            f"{own['ms']:.1f} ({own['lower']:.1f} to {own['upper']:.1f})",
            f"{torch['ms']:.1f} ({torch['lower']:.1f} to {torch['upper']:.1f})",
            f"**{own['ratio']:.2f}** ({own['ratio_lower']:.2f} to {own['ratio_upper']:.2f})",
            f"{row['goal']:.2f}",
            f"{own['peak_mb']:.0f}, PyTorch {torch['peak_mb']:.0f}",
            *(f"{row['results'][name]['ratio']:.2f}" for name in others),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    """A stored result as Markdown: the table, how it was measured, and where."""
    how = f"Medians of {result['turns']} turns of {result['repeats']} (quartiles in brackets), the frameworks by turns; "
    return (
        table(result["rows"]) + "\n\n" + how + ", ".join(f"{key} {value}" for key, value in result["provenance"].items()) + "."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time training steps and inference against PyTorch, and its peers.")
    parser.add_argument("--works", default=",".join(WORKS), help="which of " + ", ".join(WORKS))
    parser.add_argument("--turns", type=int, default=15, help="how often each framework has its turn (15)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats per turn (3)")
    parser.add_argument("--peers", action="store_true", help="also " + ", ".join(PEERS) + ", those that are installed")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args(arguments)
    chosen = options.works.split(",")
    if set(chosen) - set(WORKS):
        parser.error(f"--works: expected some of {', '.join(WORKS)}, got {options.works}")
    if options.turns < 2 or options.repeats < 1:
        parser.error("--turns must be at least 2 and --repeats at least 1")
    if importlib.util.find_spec("torch") is None:
        parser.error("PyTorch is not installed: pip install torch==2.13.0")
    peers = [name for name in PEERS if options.peers and all(runs_here(name, work) for work in chosen)]
    rows = measure([run for run in RUNS if run[0] in chosen], ["minidrop", "torch", *peers], options.turns, options.repeats)
    where = provenance(("numpy", "minidrop", "torch", *(PEERS[name] for name in peers if PEERS[name] != "torch")))
    result = {"provenance": where, "turns": options.turns, "repeats": options.repeats, "rows": rows}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
