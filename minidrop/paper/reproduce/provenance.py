"""What a result was made with: versions, commit, machine, date. No names and no paths of the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import minidrop

from ...backend import device_name

PACKAGES = ("numpy", "safetensors", "scikit-learn", "matplotlib", "distributed", "cupy-cuda12x", "cupy-cuda13x")


def provenance(device: str = "cpu") -> dict[str, Any]:
    """{"minidrop", "commit", "python", "packages", "blas", "machine", "gpu", "date"}, JSON-serialisable."""
    return {
        "minidrop": minidrop.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "blas": _blas(),
        "machine": {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()},
        "gpu": None if device == "cpu" else device_name(device),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def describe(origin: dict[str, Any]) -> str:
    """One line, to go below a table."""
    packages = ", ".join(f"{name} {version}" for name, version in origin["packages"].items())
    machine = f"{origin['machine']['processor']}, {origin['machine']['cores']} cores"
    where = f"{machine}, {origin['gpu']}" if origin["gpu"] else machine
    made_by = f", commit {origin['commit']}" if origin["commit"] else ""  # not known of every installed package
    return f"minidrop {origin['minidrop']}{made_by}, Python {origin['python']}, {packages}; {where}; {origin['date']}"


def commit() -> str | None:
    """The commit that minidrop is from, with "+changes" if files of a checkout differ from it; None if it is not known.

    It is known in a checkout, and where pip installed from a repository's address (PEP 610 has it noted then).
    """
    root = Path(minidrop.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return _installed_from()
    try:
        revision = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "minidrop")
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+changes" if changed else "")


def _installed_from() -> str | None:
    try:
        noted = importlib.metadata.distribution("minidrop").read_text("direct_url.json")
        return str(json.loads(noted or "{}")["vcs_info"]["commit_id"])[:7]
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> list[str]:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return sorted({f"{info['internal_api']} {info['version']} ({info.get('architecture')})" for info in threadpool_info()})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
