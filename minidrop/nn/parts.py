"""Where a module looks for its parts: in its attributes, and in lists, tuples and dicts, however nested."""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that training changes: it requires a gradient."""

    __slots__ = ()
    changes_in_place = True

    def __init__(self, data: Any, dtype: Any = None) -> None:
        super().__init__(data, requires_grad=True, dtype=dtype)


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not trained, such as a running mean."""

    __slots__ = ()
    changes_in_place = True


class Part:
    """Base of Module: what can be a part of a module."""


OTHER_CONTAINERS = (set, frozenset, deque, KeysView, ValuesView, ItemsView)  # without order, or without lasting names


KINDS: dict[str, tuple[type, ...]] = {
    "part": (Part,),
    "tensor": (Tensor,),
    "list": (list, tuple),
    "dict": (Mapping,),
    "other": (*OTHER_CONTAINERS, np.ndarray),
}
_kind_of_class: dict[type, str] = {}  # found once for each class: to ask an abstract class takes time


def kind_of(value: object) -> str:
    """What a value is to a search: a "part" or a "tensor", a "list", a "dict", an "other" container, or "", nothing to it."""
    cls = type(value)
    if cls not in _kind_of_class:
        _kind_of_class[cls] = next((kind for kind, classes in KINDS.items() if issubclass(cls, classes)), "")
    return _kind_of_class[cls]


def belongs_to_the_state(value: object) -> bool:
    """True for a Parameter (frozen or not), a Buffer, and a plain tensor that a user made for training."""
    if isinstance(value, (Parameter, Buffer)):
        return True
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def find(name: str, value: Any, found: list[tuple[str, Any]], opened: tuple[int, ...] = ()) -> None:
    """An attribute -> appends (dotted name, part or tensor) to `found`: itself, or what lies in a (nested) list, tuple or dict.

    The names are those of the places, in their order: "blocks.0.1", "heads.left". Raises ArgumentError for other containers.
    """
    kind = kind_of(value)
    if kind in ("part", "tensor"):
        found.append((name, value))
    elif kind in ("list", "dict"):
        if id(value) not in opened:  # a list may hold itself
            for key, item in value.items() if kind == "dict" else enumerate(value):
                if kind_of(item):
                    find(f"{name}.{key}" if name else str(key), item, found, (*opened, id(value)))
    elif kind == "other":
        refuse_other_containers(name, value)


def refuse_other_containers(name: str, value: Any) -> None:
    """Raise ArgumentError for a set, deque, view or array of objects that holds modules or parameters: none would be found."""
    if _is_other_container(value) and any(map(_holds_parts, _inside(value))):
        raise ArgumentError(
            f"{name}: a module does not look for its parts in a {type(value).__name__}",
            expected="modules and parameters as attributes, or in lists, tuples and dicts",
            got=f"{len(value)} in a {type(value).__name__}",
            help=f"self.{name.partition('.')[0]} = [...] keeps them in order, which gives them lasting names",
        )


def _is_other_container(value: Any) -> bool:
    return kind_of(value) == "other" and (not isinstance(value, np.ndarray) or value.dtype == object)


def _holds_parts(value: Any) -> bool:
    if kind_of(value) in ("list", "dict") or _is_other_container(value):
        return any(map(_holds_parts, _inside(value)))
    return isinstance(value, Part) or belongs_to_the_state(value)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, np.ndarray):
        return value.flat
    return value.values() if isinstance(value, Mapping) else value
