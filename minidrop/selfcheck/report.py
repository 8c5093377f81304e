"""Which checks there are, what is shown of each, and the verdict."""

from __future__ import annotations

import os
import platform
import textwrap
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..backend import array_module, empty_on, normalise_device, require_device
from ..errors import ArgumentError
from ..paper.reproduce.provenance import commit, provenance
from ..paper.reproduce.terminal import wrapped
from . import ops, steps
from .ops import Found, Wrong, error_text, shortened

SECONDS = 170  # of all checks; the ops stop at a half and at two thirds of them, and the speed table takes its share
ENVIRONMENT = ("CUPY_TF32", "NVIDIA_TF32_OVERRIDE", "CUPY_ACCELERATORS")  # what changes what is computed

NAME_WIDTH, VERDICT_WIDTH = 14, 8


class Line(NamedTuple):
    """What came of one check."""

    name: str
    ok: bool
    detail: str
    seconds: float
    numbers: dict[str, Any]


Check = Callable[[], Found]


def checks(device: str, quick: bool) -> dict[str, Check]:
    """The checks, by name, in order; quick: without the speed table."""
    start = time.monotonic()

    def after(share: float) -> Callable[[], bool]:
        return lambda: time.monotonic() - start > share * SECONDS

    found: dict[str, Check] = {
        "GPU": lambda: ops.gpu(device),
        "versions": lambda: versions(device),
        "minidrop": this_minidrop,
        "ops, float32": lambda: ops.of_type(device, "float32", after(0.5)),
        "ops, float64": lambda: ops.of_type(device, "float64", after(0.65)),
        "masks": lambda: ops.masks(device),
        "optimisers": lambda: ops.optimisers(device),
        "training": lambda: steps.training_steps(device),
        "capture": lambda: steps.captured_step(device),
        "together": lambda: steps.replicas(device),
        "use_tf32": lambda: ops.tf32(device),
    }
    if not quick:
        found["speed"] = lambda: steps.speed(device, min(30.0, max(10.0, start + SECONDS - time.monotonic())))
    return found


def versions(device: str) -> Found:
    """CUDA, CuPy, NumPy, Python."""
    xp = array_module(empty_on(device))
    runtime = xp.cuda.runtime
    found = {
        "CUDA runtime": cuda_version(runtime.runtimeGetVersion()),
        "driver": cuda_version(runtime.driverGetVersion()),
        "CuPy": xp.__version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
    }
    text = [f"{name} {version}" for name, version in found.items()]
    set_here = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return Found(", ".join([*text, *(f"{name}={value}" for name, value in set_here.items())]), {**found, **set_here})


def cuda_version(number: int) -> str:
    """13020 -> "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def this_minidrop() -> Found:
    """Version and commit."""
    revision = commit()
    text = f"{__version__}, {f'commit {revision}' if revision else 'commit not known'}"
    return Found(text, {"version": __version__, "commit": revision})


def carried_out(name: str, check: Check) -> Line:
    """Run one check; whatever it raises becomes its line."""
    start = time.monotonic()
    ok, numbers = False, dict[str, Any]()
    try:
        detail, numbers = check()
        ok = True
    except Wrong as wrong:
        detail, numbers = str(wrong), wrong.numbers
    except Exception as error:
        detail, numbers = shortened(error_text(error)), {"raised": error_text(error), "at": place_of(error)}
    return Line(name, ok, detail, round(time.monotonic() - start, 2), numbers)


def place_of(error: BaseException) -> str:
    """The last line of minidrop that the error came through; a path inside the package, none of the machine's."""
    package = Path(__file__).resolve().parents[1]
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename).resolve()
        if path.is_relative_to(package):
            found = f"{path.relative_to(package.parent).as_posix()}:{frame.lineno}"
    return found


def selfcheck(device: str = "cuda", quick: bool = False) -> Iterator[Line]:
    """device -> a `Line` per check, as they finish. Raises DeviceError without CuPy or without that GPU, before the first."""
    if normalise_device(device) == "cpu":
        raise ArgumentError("a CPU is what GPUs are checked against", expected='"cuda" or "cuda:<index>"', got=repr(device))
    require_device(device)
    return (carried_out(name, check) for name, check in checks(normalise_device(device), quick).items())


def shown(line: Line, width: int) -> list[str]:
    """A check as lines of at most `width` columns: name, verdict, detail, and the rows of a table."""
    first = f"{line.name:<{NAME_WIDTH}}{'ok' if line.ok else 'FAILED':<{VERDICT_WIDTH}}"
    head, *rows = line.detail.split("\n")
    parts = textwrap.wrap(head, max(width - len(first), 30)) or [""]
    shown = [f"{first if number == 0 else ' ' * len(first)}{part}".rstrip() for number, part in enumerate(parts)]
    for row in rows:  # of a table: at the margin, so that it fits
        shown += textwrap.wrap(f"  {row}", max(width, 40), subsequent_indent=" " * 31)
    return shown


def verdict(lines: list[Line], width: int) -> list[str]:
    """All in a sentence; if something failed, what to do with it."""
    failed = [line.name for line in lines if not line.ok]
    if not failed:
        return [f"all {len(lines)} checks ok, in {sum(line.seconds for line in lines):.0f} s"]
    return [
        *wrapped(f"{len(failed)} of {len(lines)} checks FAILED: {'; '.join(failed)}", width),
        *wrapped(
            "Report it to those you have minidrop from: send all of this output, the lines with the versions too, and the file "
            "that --json FILE writes, which has every number.",
            width,
        ),
    ]


def as_json(device: str, lines: list[Line]) -> dict[str, Any]:
    """All that is known: provenance, every line with its numbers."""
    return {
        "ok": all(line.ok for line in lines),
        "device": device,
        "provenance": provenance(device),
        "checks": [line._asdict() for line in lines],
    }
