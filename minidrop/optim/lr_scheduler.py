"""Schedules: how the learning rate changes from step to step, or from epoch to epoch.

    schedule = md.optim.CosineAnnealingLR(optimizer, T_max=1000)
    for images, labels in batches:
        ...
        optimizer.step()
        schedule.step()

Each is a formula, `rate(t, base)`: the rate after t calls of `step`, where base is the rate that the optimiser (or the group)
had when its first schedule was made. The names are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..backend import capturing
from ..errors import ArgumentError, CaptureError, MinidropError, StateError
from .groups import RULES, checked
from .optimizer import Optimizer


class LRScheduler:
    """Base of all schedules: sets `lr` of each parameter group to rate(t, base); t = `last_epoch` counts calls of `step`.

    A subclass writes `rate`, and names in `settings` what it depends on.
    """

    settings: tuple[str, ...] = ()

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: bad optimizer", expected="one of md.optim", got=repr(optimizer))
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self._set(0)

    def rate(self, t: int, base: float) -> float:
        """t, the rate at the start -> the rate after t steps."""
        raise TypeError(f"{type(self).__name__} has no rate()")

    def step(self) -> None:
        """Go on to the next rate; after optimizer.step().

        Raises StateError if another hand has set the rate meanwhile, CaptureError in a step that is captured as a CUDA graph.
        """
        if capturing():
            raise CaptureError("a schedule counts in Python, so that replays would not go on: call its step() outside")
        now = [group["lr"] for group in self.optimizer.param_groups][: len(self._last_lr)]
        if now != self._last_lr:
            raise StateError(
                f"{type(self).__name__}.step: the learning rate was changed by other hands",
                expected=f"{self._last_lr}, as this schedule set it",
                got=str(now),
                help="a second schedule? SequentialLR chains them. After a resume? load the schedule's state too",
            )
        self._set(self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """The rate of each group, as last set."""
        return list(self._last_lr)

    def _set(self, t: int) -> None:
        """Go to step t: all rates are computed and checked before any is set."""
        who, groups = type(self).__name__, self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise StateError(
                f"{who}: a parameter group was added after the schedule was made",
                expected=f"{len(self.base_lrs)} groups",
                got=str(len(groups)),
                help="make the schedule after the last add_param_group",
            )
        rates = [checked(who, "lr", self.rate(t, base)) for base in self.base_lrs]
        self.last_epoch, self._last_lr = t, rates
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """{"type", "last_epoch", "base_lrs", and the settings}: JSON-serialisable."""
        own = {name: getattr(self, name) for name in self.settings}
        return {"type": type(self).__name__, "last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, as `state_dict` returned it, and set the rate.

        Raises StateError if it is the state of another schedule, or of one with other settings; then nothing is changed.
        """
        who, own = type(self).__name__, self.state_dict()
        given = dict(state) if isinstance(state, Mapping) else {}
        problems = [
            f"{name}: {given.get(name, 'missing')!r}" for name in ("type", *self.settings) if given.get(name) != own[name]
        ]
        bases, last = given.get("base_lrs"), given.get("last_epoch")
        is_rate = RULES["lr"][0]
        if not isinstance(bases, (list, tuple)) or len(bases) != len(self.base_lrs) or not all(map(is_rate, bases)):
            problems.append(f"base_lrs: {bases!r}")
        if type(last) is not int or not 0 <= last < 2**53:
            problems.append(f"last_epoch: {last!r}")
        if problems:
            raise StateError(
                f"{who}.load_state_dict: the state does not fit",
                expected=", ".join(f"{name}: {own[name]!r}" for name in ("type", *self.settings)),
                got="; ".join(problems),
                help="make the schedule with the settings that it was saved with",
            )
        before, self.base_lrs = self.base_lrs, list(given["base_lrs"])
        try:
            self._set(int(given["last_epoch"]))
        except (MinidropError, OverflowError):
            self.base_lrs = before
            raise
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            dict.__setitem__(group, "initial_lr", base)

    def _require(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ArgumentError(f"{type(self).__name__}: bad {name}", expected=expected, got=repr(getattr(self, name)))

    def _require_count(self, name: str) -> None:
        value = getattr(self, name)
        self._require(name, isinstance(value, int) and not isinstance(value, bool) and value >= 1, "an integer from 1")

    def _require_factor(self, name: str) -> None:
        value = getattr(self, name)
        self._require(name, RULES["lr"][0](value) and value <= 1, "a number from 0 to 1")
        setattr(self, name, float(value))


class StepLR(LRScheduler):
    """rate(t) = base * gamma^floor(t / step_size): times gamma after every `step_size` steps."""

    settings = ("step_size", "gamma")

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        self._require_count("step_size")
        self._require("gamma", RULES["lr"][0](gamma), "a number, 0 or more")
        self.gamma = float(gamma)
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The formula."""
        return base * self.gamma ** (t // self.step_size)


class CosineAnnealingLR(LRScheduler):
    """rate(t) = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2: half a wave down, from base to eta_min at t = T_max.

    Source: Loshchilov and Hutter, 2017, equation 5. After T_max it rises again, along the same wave.
    """

    settings = ("T_max", "eta_min")

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        self._require_count("T_max")
        self._require("eta_min", RULES["lr"][0](eta_min), "a number, 0 or more")
        self.eta_min = float(eta_min)
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The formula."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(LRScheduler):
    """rate(t) = base (start_factor + (end_factor - start_factor) min(t, total_iters) / total_iters): a warm-up."""

    settings = ("start_factor", "end_factor", "total_iters")

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        self._require_factor("start_factor")
        self._require_factor("end_factor")
        self._require_count("total_iters")
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The formula."""
        part = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


def _listed(given: Any) -> list[Any]:
    """A list of what is given: one thing is a list of one."""
    return list(given) if isinstance(given, Iterable) else [given]


class SequentialLR(LRScheduler):
    """One schedule after the other: the next one begins, at its own t = 0, at each milestone.

    SequentialLR(optimizer, [LinearLR(optimizer, total_iters=5), CosineAnnealingLR(optimizer, T_max=95)], milestones=[5]) is a
    warm-up and a cosine. Only this schedule's `step` is called.
    """

    settings = ("milestones", "chained")

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        self.schedulers, self.milestones = _listed(schedulers), _listed(milestones)
        same = all(isinstance(one, LRScheduler) and one.optimizer is optimizer for one in self.schedulers)
        self._require("schedulers", bool(self.schedulers) and same, "schedules of the same optimizer")
        fitting = len(self.milestones) == len(self.schedulers) - 1 and all(type(one) is int for one in self.milestones)
        rising = fitting and all(a < b for a, b in zip([0, *self.milestones], self.milestones, strict=False))
        self._require("milestones", rising, f"{len(self.schedulers) - 1} rising integers, from 1")
        super().__init__(optimizer)

    @property
    def chained(self) -> list[dict[str, Any]]:
        """Type and settings of the schedules, to be compared when a state is loaded."""
        kinds = [{"type": type(one).__name__} for one in self.schedulers]
        return [
            {**kind, **{name: getattr(one, name) for name in one.settings}}
            for kind, one in zip(kinds, self.schedulers, strict=True)
        ]

    def rate(self, t: int, base: float) -> float:
        """The rate of the schedule whose turn it is."""
        turn = sum(t >= milestone for milestone in self.milestones)
        start: int = self.milestones[turn - 1] if turn else 0
        return self.schedulers[turn].rate(t - start, base)  # type: ignore[no-any-return]
