"""Where a measurement was made, and with how many threads."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINIDROP_THREADS")
ROOT = Path(__file__).parents[2]


def limit_threads(threads: int) -> None:
    """Let BLAS, OpenMP and minidrop use this many threads; best called before they are imported."""
    if "numpy" in sys.modules and os.environ.get("OPENBLAS_NUM_THREADS") != str(threads):
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if "minidrop" in sys.modules:
        import minidrop

        minidrop.set_threads(threads)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


def provenance(packages: tuple[str, ...] = ("numpy", "minidrop", "torch")) -> dict[str, str]:
    """Versions, commit, processor and date."""
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git, or no checkout: then no commit
        versions["commit"] = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    return {**versions, "processor": f"{model}, {os.cpu_count()} cores", "date": time.strftime("%Y-%m-%d")}


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result, to a temporary file first."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.rename(path)
