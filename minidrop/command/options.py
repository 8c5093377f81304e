"""The options of `minidrop reproduce`, made from the fields of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .. import datasets
from ..paper.networks import SIZES, find_size
from ..paper.settings import settings_of
from ..paper.variants import VARIANTS


def _variants(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.replace(",", " ").split())


def _network(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    find_size(value)
    return value


# What click cannot derive from a dataclass field.
BY_HAND: dict[str, dict[str, Any]] = {
    "dataset": {"type": click.Choice(datasets.NAMES)},
    "network": {"callback": _network, "metavar": f"[{'|'.join(SIZES)}]"},
    "variants": {"callback": _variants, "default": " ".join(VARIANTS)},
    "cuda_graphs": {"param_decls": ["--cuda-graphs/--no-cuda-graphs"]},
}


def options_of(*kinds: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for each setting of these dataclasses, with its default, limits and help."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed([field for kind in kinds for field in settings_of(kind)]):
            limits, by_hand = field.metadata, dict(BY_HAND.get(field.name, {}))
            names = by_hand.pop("param_decls", ["--" + field.name.replace("_", "-")])
            options: dict[str, Any] = {"default": None if limits["shown"] else field.default, "help": limits["help"]}
            if limits["shown"]:
                options["help"] += f"  [default: {limits['shown']}]"
            if limits["least"] is not None:
                options["type"] = click.IntRange(limits["least"])
            if limits["above"] is not None:
                options["type"] = click.FloatRange(limits["above"], min_open=True)
            if limits["choices"]:
                options["type"] = click.Choice(limits["choices"])
            command = click.option(*names, **{**options, **by_hand})(command)
        return command

    return add
