"""Kinds of options, whose errors say what was expected and what came; those of reproduce are made from the settings' fields."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..datasets.store import expanded
from ..errors import ArgumentError, did_you_mean
from ..paper.networks import SIZES, find_size
from ..paper.protocol import PROTOCOLS
from ..paper.settings import settings_of
from ..paper.variants import VARIANTS, Variant


def width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def _refuse(value: Any, expected: str, help: str, param: click.Parameter | None, context: click.Context | None) -> Any:
    lines = [str(value), f"  expected: {expected}", f"  got: {value!r}", *([f"  help: {help}"] if help else [])]
    raise click.BadParameter("\n".join(lines), context, param)


class Whole(click.IntRange):
    """A whole number of at least `min`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            text, meant = str(value), ""
            if param is not None and param.name == "seeds" and re.fullmatch(r"\d+([,;-]\d*)+", text):
                return _refuse(value, "how many seeds there are to be", "2, for instance, means the seeds 0 and 1", param, ctx)
            thousands = re.fullmatch(r"\d{1,3}(,\d{3})+", text)
            with contextlib.suppress(ValueError, OverflowError):  # 1e4, 4,000
                number = float(text.replace(",", "") if thousands else text)
                if number == int(number) >= (self.min or 0):
                    meant = f"did you mean {int(number)}?"
            return _refuse(value, f"a whole number from {self.min}, in digits", meant, param, ctx)


class Number(click.FloatRange):
    """A number above `min`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        try:
            number = super().convert(value, param, ctx)
            if math.isfinite(number):
                return number
        except click.BadParameter:
            pass
        help = "a decimal point, not a comma" if "," in str(value) else ""
        return _refuse(value, f"a number above {self.min:g}, such as .01 or 1e-3", help, param, ctx)


class OneOf(click.Choice):  # type: ignore[type-arg]  # older versions of click have no type of its elements
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word."""
        if value in self.choices:
            return value
        return _refuse(value, "one of " + ", ".join(self.choices), did_you_mean(str(value), self.choices), param, ctx)


class Network(OneOf):
    """The name of a size of network; for an earlier name, those that took its place."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name."""
        try:
            find_size(value)
        except ArgumentError as error:
            _refuse(value, error.expected, error.help, param, ctx)
        return value


class Place(click.Path):
    """A file or folder; ~ and ~user stand for a home, wherever in the command they are written."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(path_type=Path, **limits)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        name = "path" if param is None else param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        path = expanded(str(value), name)
        if self.exists and not path.exists():
            near = [str(path.parent / other.name) for other in path.parent.iterdir()] if path.parent.is_dir() else []
            kind = "folder" if self.dir_okay else "file"
            _refuse(value, f"a {kind} that is there", did_you_mean(str(path), near), param, ctx)
        return super().convert(path, param, ctx)


class Named(click.Command):
    """A command whose settings are all options: words after --variants are its value, quoted or not; others are explained."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        rest = super().parse_args(ctx, joined(args, "--variants"))
        if rest and not ctx.resilient_parsing:
            raise click.UsageError(f"{rest[0]!r} belongs to no option\n  help: {_option_for(rest[0])}", ctx)
        return rest


def joined(arguments: list[str], option: str) -> list[str]:
    """The arguments, with those after `option`, up to the next option, as one."""
    result: list[str] = []
    words: list[str] | None = None  # of the option, while they come
    for argument in [*arguments, "-"]:
        if words is not None and not argument.startswith("-"):
            words.append(argument)
            continue
        if words is not None:
            result += [option, " ".join(words)] if words else [option]
            words = None
        if argument.partition("=")[0] == option:
            words = [argument.partition("=")[2]] if "=" in argument else []
        else:
            result.append(argument)
    return result[:-1]


def _option_for(word: str) -> str:
    for option, words in (("--dataset", datasets.NAMES), ("--network", SIZES), ("--protocol", PROTOCOLS)):
        if word in words:
            return f"did you mean {option} {word}?"
    with contextlib.suppress(ArgumentError):
        return f"did you mean --variants {Variant(word).name}?"
    return "every setting has a name, such as --iterations 4000"


def _variants(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.replace(",", " ").split())


# What click cannot derive from a dataclass field.
BY_HAND: dict[str, dict[str, Any]] = {
    "dataset": {"type": OneOf(datasets.NAMES)},
    "network": {"type": Network(list(SIZES))},
    "variants": {"callback": _variants, "default": " ".join(VARIANTS), "metavar": "NAMES"},
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
                options["type"] = Whole(limits["least"])
            if limits["above"] is not None:
                options["type"] = Number(limits["above"], min_open=True)
            if limits["choices"]:
                options["type"] = OneOf(limits["choices"])
            command = click.option(*names, **{**options, **by_hand})(command)
        return command

    return add
