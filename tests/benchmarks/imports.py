"""How long `import minidrop` takes beside `import numpy`: `python -m tests.benchmarks.imports`.

Each import runs in a fresh interpreter, by turns; the time of an empty interpreter is taken off both. An editable installation
takes longer: measure an ordinary one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .machine import provenance, write_json

STATEMENTS = {"nothing": "pass", "numpy": "import numpy", "minidrop": "import minidrop"}


def seconds(statement: str) -> float:
    """The time of an interpreter that does this and ends, outside any checkout."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, cwd=Path(sys.executable).parent)
    return time.perf_counter() - start


def measure(repeats: int) -> dict[str, float]:
    """Milliseconds, medians, and the ratio."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(repeats):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    own, numpy = medians["minidrop"] - medians["nothing"], medians["numpy"] - medians["nothing"]
    return {"minidrop_ms": own, "numpy_ms": numpy, "ratio": own / numpy}


def report(result: dict[str, Any]) -> str:
    """One sentence."""
    where = ", ".join(f"{key} {value}" for key, value in result["provenance"].items())
    return (
        f"`import minidrop` takes {result['minidrop_ms']:.0f} ms, `import numpy` {result['numpy_ms']:.0f} ms: "
        f"{result['ratio']:.2f} times as long (medians of {result['repeats']}; {where})."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time the import of minidrop beside that of NumPy.")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    result = {"provenance": provenance(("numpy", "minidrop")), "repeats": options.repeats, **measure(options.repeats)}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
