"""A setting is defined once: as a field of a dataclass, with its default, its limits and its help on the command line."""

from __future__ import annotations

import dataclasses
import math
from numbers import Real
from typing import Any

from ..errors import ArgumentError


def setting(
    default: Any,
    help: str,
    *,
    least: int | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
    optional: bool = False,
    shown: str = "",
) -> Any:
    """A field of a dataclass whose `__post_init__` calls `require_limits`, and an option of `minidrop reproduce`.

    least: an integer of at least this; above: a number above this; choices: one of these; optional: None is allowed. shown: the
    default as the command line shows it, where it depends on other settings.
    """
    limits = {"help": help, "least": least, "above": above, "choices": choices, "optional": optional, "shown": shown}
    return dataclasses.field(default=default, metadata=limits)


def settings_of(kind: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a dataclass that `setting` made."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def require_limits(values: Any) -> None:
    """Raise ArgumentError for the first setting of a dataclass instance that is outside its limits."""
    for field in settings_of(values):
        value = getattr(values, field.name)
        least, above, choices = (field.metadata[name] for name in ("least", "above", "choices"))
        if value is None and field.metadata["optional"]:
            continue
        name = f"{type(values).__name__}: bad {field.name}"
        if choices and value not in choices:
            raise ArgumentError(name, expected=" or ".join(f'"{choice}"' for choice in choices), got=repr(value))
        if least is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ArgumentError(name, expected=f"an integer from {least}", got=repr(value))
        if above is not None and (isinstance(value, bool) or not isinstance(value, Real) or not above < value < math.inf):
            raise ArgumentError(name, expected=f"a number above {above:g}", got=repr(value))
