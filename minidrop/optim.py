"""Optimisers: SGD and Adam. Both update the parameters' arrays in place, outside the graph."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from .backend import FUSED, Array, array_module, capturing, is_array, run_on, to_device
from .errors import ArgumentError, CaptureError, StateError
from .tensor import Tensor


class Optimizer:
    """Base of SGD and Adam: the list of parameters, `zero_grad`, and a state that can be stored.

    `slots` names the arrays kept per parameter (a velocity, a moment), `settings` the numbers. `step` skips parameters
    without a gradient.
    """

    slots: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = 0
        self.state: dict[str, list[Array | None]] = {slot: [None] * len(self.parameters) for slot in self.slots}
        name = type(self).__name__
        _require(name, "lr", lr, lr > 0)
        _require(name, "weight_decay", weight_decay, weight_decay >= 0)
        if not self.parameters or not all(isinstance(p, Tensor) and p.requires_grad and p.is_leaf for p in self.parameters):
            raise ArgumentError(
                f"{name}: bad parameters",
                expected="at least one tensor, each with requires_grad=True and made by the user, not by an op",
                got=f"{len(self.parameters)} of types {sorted({type(p).__name__ for p in self.parameters})}",
                help="for example module.parameters()",
            )
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ArgumentError(f"{name}: the same parameter twice", expected="each once", got="a list with repeats")

    def zero_grad(self) -> None:
        """Set all gradients to None: the next backward starts from zero."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self.steps += 1
        indices = [index for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        if together := FUSED.get(type(self)):  # on a GPU, many parameters in one kernel; returns the others
            indices = together(self, indices)
        for index in indices:
            parameter = self.parameters[index]
            run_on(parameter.data, self._step_one, index, parameter, parameter.grad)

    def _step_one(self, index: int, parameter: Tensor, gradient: Array) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * parameter.data
        self.update(index, parameter, gradient)

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """Change parameter number `index`, given its gradient (weight decay included); written by the subclass."""
        raise TypeError(f"{type(self).__name__} has no update()")

    def kept(self, slot: str, index: int) -> Array:
        """The array kept in `slot` for parameter `index`; zeros at first."""
        arrays = self.state[slot]
        if arrays[index] is None:
            data = self.parameters[index].data
            arrays[index] = array_module(data).zeros_like(data)
        return arrays[index]

    def state_dict(self) -> dict[str, Any]:
        """{"type", "parameters" (how many), "steps", settings, and "slot.index": a copy of each array kept}."""
        numbers = {name: copy.copy(getattr(self, name)) for name in ("lr", "weight_decay", *self.settings)}
        arrays = {
            f"{slot}.{index}": array.copy()
            for slot, kept in self.state.items()
            for index, array in enumerate(kept)
            if array is not None
        }
        return {"type": type(self).__name__, "parameters": len(self.parameters), "steps": self.steps, **numbers, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state` that `state_dict` returned.

        Raises a StateError that lists what is missing, extra or of the wrong shape; then nothing is changed.
        """
        numbers = ("steps", "lr", "weight_decay", *self.settings)
        problems = [f"missing {name}" for name in ("type", "parameters", *numbers) if name not in state]
        if state.get("parameters", len(self.parameters)) != len(self.parameters):
            problems.append(f"it is the state of {state['parameters']} parameters")
        if state.get("type", type(self).__name__) != type(self).__name__:
            problems.append(f"it is the state of {state['type']}")
        new: dict[str, list[Array | None]] = {slot: [None] * len(self.parameters) for slot in self.slots}
        for name, value in state.items():
            slot, _, index = name.partition(".")
            if name in ("type", "parameters", *numbers):
                continue
            if slot not in self.slots or not index.isdecimal() or int(index) >= len(self.parameters) or not is_array(value):
                problems.append(f"extra {name}")
                continue
            parameter = self.parameters[int(index)]
            if value.shape != parameter.shape:
                problems.append(f"wrong shape {name}: {value.shape} instead of {parameter.shape}")
                continue
            new[slot][int(index)] = to_device(value.astype(parameter.dtype), parameter.device)  # astype copies
        if problems:
            raise StateError(
                f"{type(self).__name__}.load_state_dict: the state does not fit",
                expected=f"the state of {type(self).__name__} with {len(self.parameters)} parameters",
                got="; ".join(problems),
            )
        for name in numbers:
            setattr(self, name, copy.copy(state[name]))
        self.state = new


def clip_gradient_norm(parameters: Iterable[Tensor], limit: float) -> Array | None:
    """Gradients g of all parameters together -> g * min(1, limit / |g|), in place; returns |g| (), None without gradients.

    One norm for the whole gradient, so that its direction stays. A NaN in it makes all of it NaN. Does not wait for a GPU.
    Source: Pascanu et al., 2013.
    """
    _require("clip_gradient_norm", "limit", limit, limit > 0)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return None
    return run_on(gradients[0], _shorten, gradients, limit)


def _shorten(gradients: list[Array], limit: float) -> Array:
    xp = array_module(gradients[0])
    norm = xp.sqrt(sum((gradient * gradient).sum() for gradient in gradients))
    factor = limit / xp.maximum(norm, limit)
    for gradient in gradients:
        gradient *= factor
    return norm


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g;  with momentum v = momentum * v + g, p -= lr * v.

    nesterov: p -= lr * (g + momentum * v), the gradient as if taken where the velocity leads. weight_decay adds
    weight_decay * p to g. The paper trains with lr .01 and nothing else (section III).
    """

    slots = ("velocity",)
    settings = ("momentum", "nesterov")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        _require("SGD", "momentum", momentum, 0 <= momentum < 1)
        _require("SGD", "nesterov", nesterov, not nesterov or momentum > 0)
        self.momentum = momentum
        self.nesterov = nesterov

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """One step for one parameter."""
        if self.momentum:
            velocity = self.kept("velocity", index)
            velocity *= self.momentum
            velocity += gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        parameter.data -= self.lr * gradient


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, algorithm 1): p -= lr * m^ / (sqrt(v^) + eps).

    m = beta1 m + (1 - beta1) g estimates the mean of g (its first moment), v = beta2 v + (1 - beta2) g^2 that of g^2 (the
    second). Both start at 0 and so are too small at first, which m^ = m / (1 - beta1^t) and v^ = v / (1 - beta2^t) correct; t
    counts the steps that this parameter has taken. weight_decay adds weight_decay * p to g.
    """

    slots = ("first_moment", "second_moment")
    settings = ("betas", "eps", "counts")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        _require("Adam", "betas", betas, len(betas) == 2 and all(0 <= beta < 1 for beta in betas))
        _require("Adam", "eps", eps, eps >= 0)
        self.betas = (betas[0], betas[1])
        self.eps = eps
        self.counts = [0] * len(self.parameters)

    def update(self, index: int, parameter: Tensor, gradient: Array) -> None:
        """One step for one parameter."""
        if capturing():
            raise CaptureError("Adam counts its steps in Python, so that each replay would repeat the same step")
        xp = array_module(gradient)
        beta1, beta2 = self.betas
        m, v = self.kept("first_moment", index), self.kept("second_moment", index)
        self.counts[index] += 1
        t = self.counts[index]
        m *= beta1
        m += (1 - beta1) * gradient
        v *= beta2
        v += (1 - beta2) * gradient * gradient
        step_size = self.lr / (1 - beta1**t)
        parameter.data -= step_size * m / (xp.sqrt(v / (1 - beta2**t)) + self.eps)


def _require(name: str, argument: str, value: object, good: bool) -> None:
    if not good:
        limits = {"lr": "above 0", "momentum": "from 0 to below 1", "nesterov": "False, or momentum > 0", "betas": "in [0, 1)"}
        raise ArgumentError(f"{name}: bad {argument}", expected=limits.get(argument, "0 or more"), got=repr(value))
