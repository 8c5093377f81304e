"""The manifest (datasets/manifest.toml): every dataset's files, sizes, digests, mirrors, licence and citation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, did_you_mean

CHECKOUT = Path(__file__).resolve().parent.parent.parent / "datasets"
INSTALLED = Path(__file__).resolve().parent / "sheet"  # where a wheel contains the checkout's datasets/ (pyproject.toml)


@cache
def manifest() -> dict[str, Any]:
    """{dataset name: its table}."""
    import tomllib  # here, so that importing minidrop stays fast

    folder = CHECKOUT if is_checkout() else INSTALLED
    return tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))


def is_checkout() -> bool:
    """True if minidrop runs from a checkout, which has a datasets/ folder."""
    return (CHECKOUT / "manifest.toml").is_file()


def entry(name: str) -> dict[str, Any]:
    """The manifest's table of one dataset. Raises ArgumentError for a name that is not in it."""
    if name not in manifest():
        raise unknown(name)
    table: dict[str, Any] = manifest()[name]
    return table


def unknown(name: str) -> ArgumentError:
    """The error about a dataset that is none of these."""
    return ArgumentError(
        "unknown dataset", expected="one of " + ", ".join(manifest()), got=repr(name), help=did_you_mean(str(name), manifest())
    )
