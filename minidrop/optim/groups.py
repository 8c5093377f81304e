"""Parameter groups: parameters that share their settings, such as a learning rate. What the settings may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from ..errors import ArgumentError
from ..tensor import Tensor


def is_number(value: Any) -> bool:
    """True for a finite number, Python's or NumPy's."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # 10**400
        return False


def _is_pair_of_betas(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(is_number(beta) and 0 <= beta < 1 for beta in value)


# setting: (what is right, in words)
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda value: is_number(value) and value >= 0, "a number, 0 or more"),
    "weight_decay": (lambda value: is_number(value) and value >= 0, "a number, 0 or more"),
    "momentum": (lambda value: is_number(value) and 0 <= value < 1, "a number from 0 to below 1"),
    "nesterov": (lambda value: isinstance(value, (bool, np.bool_)), "True or False"),
    "betas": (_is_pair_of_betas, "two numbers from 0 to below 1"),
    "eps": (lambda value: is_number(value) and value >= 0, "a number, 0 or more"),
}


def checked(optimizer: str, name: str, value: Any) -> Any:
    """The value of a setting, as Python numbers. Raises ArgumentError if it is none that the setting may have."""
    is_right, expected = RULES.get(name, (lambda value: True, ""))  # an optimiser of a user's may have settings of its own
    if not is_right(value):
        raise ArgumentError(f"{optimizer}: bad {name}", expected=expected, got=repr(value))
    if name == "betas":
        return tuple(float(beta) for beta in value)
    return value.item() if isinstance(value, np.generic) else value  # NumPy's numbers would impose their type on arrays


class ParameterGroup(dict[str, Any]):
    """{"params": a tuple of tensors, "lr": ..., "weight_decay": ..., and the optimiser's own settings}.

    Settings may be changed between steps; a bad value, or a name that is no setting, is an ArgumentError.
    """

    def __init__(self, optimizer: str, params: tuple[Tensor, ...], settings: dict[str, Any]) -> None:
        self.optimizer = optimizer
        super().__init__(params=params, **{name: checked(optimizer, name, value) for name, value in settings.items()})
        self.require_momentum(self)

    def require_momentum(self, settings: Mapping[str, Any]) -> None:
        """Raise ArgumentError for Nesterov's rule without a momentum."""
        if settings.get("nesterov") and not settings["momentum"]:
            got = "True, without momentum"
            raise ArgumentError(f"{self.optimizer}: bad nesterov", expected="False, or momentum > 0", got=got)

    def __reduce__(self) -> Any:
        return _group, (self.optimizer, dict(self))  # copies and pickles are made of a plain dict

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, *others: Any, **settings: Any) -> None:
        """As that of a dict; all is checked before anything is set."""
        new = dict(*others, **settings)
        for name, value in new.items():
            if name not in self or name == "params":
                raise ArgumentError(
                    f"{self.optimizer}: no setting {name!r} of a parameter group",
                    expected="one of " + ", ".join(setting for setting in self if setting != "params"),
                    got=repr(name),
                    help="optimizer.add_param_group({'params': [...]}) adds parameters" if name == "params" else "",
                )
            new[name] = checked(self.optimizer, name, value)
        self.require_momentum({**self, **new})
        super().update(new)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(f"{self.optimizer}: a setting cannot be deleted", expected="group[name] = value", got=repr(name))


def _group(optimizer: str, values: dict[str, Any]) -> ParameterGroup:
    """The copy of a group."""
    settings = dict(values)
    return ParameterGroup(optimizer, settings.pop("params"), settings)


class Setting:
    """optimizer.lr, and its like: the value that all groups share; assigned, the value of all groups."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self
        first, *others = [group[self.name] for group in optimizer.param_groups]
        if any(other != first for other in others):
            raise ArgumentError(
                f"{owner.__name__}.{self.name}: the groups have different values",
                expected="one value for all",
                got=", ".join(repr(value) for value in (first, *others)),
                help=f'optimizer.param_groups[0]["{self.name}"] is that of the first group',
            )
        return first

    def __set__(self, optimizer: Any, value: Any) -> None:
        value = checked(type(optimizer).__name__, self.name, value)
        for group in optimizer.param_groups:
            group.require_momentum({**group, self.name: value})
        for group in optimizer.param_groups:
            group[self.name] = value
