"""The base of all optimisers: parameters in groups, the step over all of them, and a state that can be stored."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ..backend import FUSED, Array, array_module, capturing, current_capture, is_array, run_on, to_device
from ..errors import ArgumentError, CaptureError, MinidropError, StateError
from ..guard.operands import KINDS
from ..tensor import Tensor
from .gradients import as_list, with_gradient
from .groups import ParameterGroup, Setting, checked, is_number


class Optimizer:
    """Base of SGD, Adam and AdamW: the list of parameters, `zero_grad`, and a state that can be stored.

    parameters: tensors, or groups of them with settings of their own: [{"params": [...], "lr": 0.01}, {"params": [...]}].
    `optimizer.lr` is the rate of all groups, `optimizer.param_groups[1]["lr"]` that of one; both may be set between steps.

    `slots` names the arrays kept per parameter (a velocity, a moment), `settings` the values per group beside these two,
    `counters` the numbers per parameter. `step` skips parameters without a gradient.
    """

    slots: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    lr = Setting()
    weight_decay = Setting()

    def __init__(
        self, parameters: Iterable[Tensor] | Iterable[Mapping[str, Any]], lr: float, weight_decay: float, **settings: Any
    ) -> None:
        name = type(self).__name__
        if set(settings) != set(self.settings):
            help = f"{name}.__init__ hands them on: super().__init__(parameters, lr, weight_decay, momentum=momentum)"
            expected, got = (", ".join(sorted(names)) or "none" for names in (self.settings, settings))
            raise ArgumentError(f"{name}: other settings than the class names", expected=expected, got=got, help=help)
        self.defaults = {"lr": lr, "weight_decay": weight_decay, **settings}
        self.steps = 0
        self.parameters: list[Tensor] = []
        self.group_of: list[ParameterGroup] = []  # of each parameter
        self.param_groups: tuple[ParameterGroup, ...] = ()
        self.state: dict[str, list[Array | None]] = {slot: [] for slot in self.slots}
        if not is_number(lr) or lr <= 0:
            raise ArgumentError(f"{name}: bad lr", expected="a number above 0", got=repr(lr))
        given = as_list(name, parameters)
        for group in given if given and isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """{"params": tensors, and settings that are not to be the defaults}: train these too. Raises ArgumentError."""
        name = type(self).__name__
        if not isinstance(group, Mapping) or not {"params"} <= set(group) <= {"params", *self.defaults}:
            raise ArgumentError(
                f"{name}: bad parameter group",
                expected='{"params": [...]} and any of ' + ", ".join(self.defaults),
                got=f"the keys {', '.join(map(str, group))}" if isinstance(group, Mapping) else type(group).__name__,
            )
        new = as_list(name, group["params"])
        if not new or not all(isinstance(p, Tensor) and p.requires_grad and p.is_leaf for p in new):
            raise ArgumentError(
                f"{name}: bad parameters",
                expected="at least one tensor, each with requires_grad=True and made by the user, not by an op",
                got=f"{len(new)} of types {sorted({type(p).__name__ for p in new})}",
                help="for example module.parameters()",
            )
        as_list(name, [*self.parameters, *new])  # none twice
        settings = {setting: group.get(setting, default) for setting, default in self.defaults.items()}
        made = ParameterGroup(name, tuple(new), settings)
        self.param_groups += (made,)
        self.parameters += new
        self.group_of += [made] * len(new)
        for kept in self.state.values():
            kept += [None] * len(new)
        for counter in self.counters:
            setattr(self, counter, [*getattr(self, counter, ()), *[0] * len(new)])

    def zero_grad(self) -> None:
        """Set all gradients to None: the next backward starts from zero."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient. Raises, before any is changed, for a gradient that does not fit."""
        indices = with_gradient(type(self).__name__, self.parameters)
        for slot, arrays in self.state.items():
            for index in indices:
                if (kept := arrays[index]) is not None and kept.shape != self.parameters[index].shape:
                    raise self._outgrown(slot, index)
        if capturing():  # the graph will hold the numbers of this moment; others mean another graph
            current_capture().optimizers[self] = self.held()
        self.steps += 1
        if together := FUSED.get(type(self)):  # on a GPU, many parameters in one kernel; returns the others
            indices = together(self, indices)
        for index in indices:
            parameter = self.parameters[index]
            run_on(parameter.data, self._step_one, index, parameter, parameter.grad)

    def _outgrown(self, slot: str, index: int) -> StateError:
        return StateError(
            f"{type(self).__name__}.step: parameter {index} has another shape than its {slot}",
            expected=str(getattr(self.state[slot][index], "shape", "")),
            got=str(self.parameters[index].shape),
            help="make a new optimiser for a parameter that has been given an array of another shape",
        )

    def _step_one(self, index: int, parameter: Tensor, gradient: Array) -> None:
        if weight_decay := self.group_of[index]["weight_decay"]:
            gradient = gradient + weight_decay * parameter.data
        self.update(index, parameter, gradient)

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """Change parameter number `index`, given its gradient (weight decay included); written by the subclass.

        `self.group_of[index]` holds its settings.
        """
        raise TypeError(f"{type(self).__name__} has no update()")

    def kept(self, slot: str, index: int) -> Array:
        """The array kept in `slot` for parameter `index`; zeros at first."""
        arrays = self.state[slot]
        if arrays[index] is None:
            if capturing():
                raise CaptureError(f"it makes a {slot}, which would start anew at each replay")
            data = self.parameters[index].data
            arrays[index] = array_module(data).zeros_like(data)
        return arrays[index]

    def held(self) -> tuple[Any, list[Array | None]]:
        """What a captured step holds of this optimiser: its settings and its arrays."""
        return self.numbers(), [array for arrays in self.state.values() for array in arrays]

    def differs_from(self, before: tuple[Any, list[Array | None]]) -> bool:
        """True if a captured step, which holds what `held` returned then, would no longer do what `step` does."""
        numbers, arrays = self.held()
        changed = len(arrays) != len(before[1]) or any(a is not b for a, b in zip(arrays, before[1], strict=True))
        return changed or numbers != before[0]

    def numbers(self) -> list[dict[str, Any]]:
        """The settings of each group."""
        return [{name: copy.copy(group[name]) for name in self.defaults} for group in self.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """{"type", "parameters" (how many), "steps", settings, counters, and "slot.index": a copy of each array kept}.

        With several groups "param_groups" holds the settings of each, and in "params" the numbers of its parameters.
        """
        settings: dict[str, Any] = self.numbers()[0]
        if len(self.param_groups) > 1:
            groups = zip(self._places(), self.numbers(), strict=True)
            settings = {"param_groups": [{"params": places, **numbers} for places, numbers in groups]}
        counters = {name: copy.copy(getattr(self, name)) for name in self.counters}
        arrays = {
            f"{slot}.{index}": array.copy()
            for slot, kept in self.state.items()
            for index, array in enumerate(kept)
            if array is not None
        }
        count = len(self.parameters)
        return {"type": type(self).__name__, "parameters": count, "steps": self.steps, **settings, **counters, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state` that `state_dict` returned.

        Raises a StateError that lists what is missing, extra, of the wrong shape or has a bad value; then nothing is changed.
        """
        who, count = type(self).__name__, len(self.parameters)
        if not isinstance(state, Mapping):
            raise StateError(
                f"{who}.load_state_dict: not a state", expected="what state_dict returned", got=type(state).__name__
            )
        problems: list[str] = []
        rest = dict(state)
        groups = self._groups_in(rest, problems)
        problems += [f"missing {name}" for name in ("type", "parameters", "steps", *self.counters) if name not in state]
        if rest.pop("parameters", count) != count:
            problems.append(f"it is the state of {state['parameters']} parameters")
        if rest.pop("type", who) != who:
            problems.append(f"it is the state of {state['type']}")
        steps = rest.pop("steps", 0)
        counters = {name: rest.pop(name, [0] * count) for name in self.counters}
        for name, value in {"steps": [steps], **counters}.items():
            good = isinstance(value, (list, tuple)) and all(type(number) is int and number >= 0 for number in value)
            if not good or len(value) != (1 if name == "steps" else count):
                problems.append(f"bad {name}: {state[name]!r}")
        kept: dict[str, list[Array | None]] = {slot: [None] * count for slot in self.slots}
        for name, value in rest.items():
            slot, _, index = str(name).partition(".")
            if slot not in self.slots or not index.isdecimal() or int(index) >= count or not is_array(value):
                problems.append(f"extra {name}")
                continue
            parameter = self.parameters[int(index)]
            if value.shape != parameter.shape:
                problems.append(f"wrong shape {name}: {value.shape} instead of {parameter.shape}")
            elif value.dtype.kind not in KINDS:
                problems.append(f"no numbers {name}: an array of {value.dtype}")
            else:
                kept[slot][int(index)] = to_device(value.astype(parameter.dtype), parameter.device)  # astype copies
        if problems:
            raise StateError(
                f"{who}.load_state_dict: the state does not fit",
                expected=f"the state of {who} with {count} parameters",
                got="; ".join(problems),
            )
        for group, numbers in zip(self.param_groups, groups, strict=True):
            group.update(numbers)
        for name, value in counters.items():
            setattr(self, name, list(value))
        self.steps, self.state = steps, kept

    def _groups_in(self, rest: dict[str, Any], problems: list[str]) -> list[dict[str, Any]]:
        """Take the settings of each group out of a state; add to `problems` what is wrong with them."""
        if "param_groups" in rest:
            given = rest.pop("param_groups")
            given = given if isinstance(given, (list, tuple)) else []
        else:
            given = [{"params": self._places()[0], **{name: rest.pop(name) for name in self.defaults if name in rest}}]
        places = [group.get("params") if isinstance(group, Mapping) else None for group in given]
        if len(places) != len(self.param_groups):
            problems.append(f"it is the state of {len(places)} parameter groups, not {len(self.param_groups)}")
            return []
        if places != self._places():
            problems.append("its parameter groups have other members")
            return []
        for own, group in zip(self.param_groups, given, strict=True):
            for name in self.defaults:
                try:
                    checked(type(self).__name__, name, group[name])
                except KeyError:
                    problems.append(f"missing {name}")
                except MinidropError as error:
                    problems.append(f"bad {name}: {error.got}")
            try:
                own.require_momentum({**own, **group})
            except MinidropError as error:
                problems.append(f"bad nesterov: {error.got}")
        return [{name: group.get(name) for name in self.defaults} for group in given]

    def _places(self) -> list[list[int]]:
        """The numbers of the parameters of each group."""
        places, first = [], 0
        for group in self.param_groups:
            places.append(list(range(first, first + len(group["params"]))))
            first += len(group["params"])
        return places
