"""Module: parameters and buffers around functions, with names, and Sequential, which chains modules.

A module's parameters, buffers and parts are its attributes: each Parameter, Buffer, Module, and list or tuple of them is found,
and so is a plain tensor with requires_grad=True. A module's own tensors come first, then those of its parts, each in the order
of assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from .. import backend
from ..backend import Array
from ..core import no_grad
from ..errors import MinidropError, StateError
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that training changes: it requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None) -> None:
        super().__init__(data, requires_grad=True, dtype=dtype)


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not trained, such as a running mean."""

    __slots__ = ()


Hook = Callable[["Module", tuple[Any, ...], Any], object]  # what it returns is ignored


def _no_forward(self: Module, *_inputs: Any, **_options: Any) -> Any:
    """The `forward` of a module that does not define one."""
    raise TypeError(f"{type(self).__name__} has no forward(): a module says there what it computes")


class Module:
    """Base of all layers: a subclass sets attributes in `__init__` and writes `forward`."""

    training: bool = True
    output_shape: tuple[int, ...] | None = None  # of the last call; shown in the table
    hooks: tuple[Hook, ...] = ()

    forward: Callable[..., Any] = _no_forward  # inputs -> output; written by the subclass, def forward(self, x)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Inputs -> output of `forward`; errors name the layers that they passed through."""
        try:
            output: Tensor = self.forward(*inputs, **options)
        except MinidropError as error:
            if not isinstance(self, Sequential):
                error.inside(self.describe())
            raise
        self.output_shape = getattr(output, "shape", None)  # a user-defined module may return several tensors
        for hook in self.hooks:
            hook(self, inputs, output)
        return output

    def register_forward_hook(self, hook: Hook) -> Callable[[], None]:
        """From now on every call of this module ends with hook(module, inputs, output); returns a function that removes it.

        For observers: what the hook returns is ignored, and an observed module computes the same.
        """
        self.hooks = (*self.hooks, hook)

        def remove() -> None:
            self.hooks = tuple(other for other in self.hooks if other is not hook)

        return remove

    # Parts -----------------------------------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each direct part: a module that is an attribute, or an item of a list that is one."""
        for name, value in vars(self).items():
            if name == "hooks":  # an observer is not a part, even if it is a module
                continue
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                prefix = "" if isinstance(self, Sequential) else f"{name}."
                yield from ((f"{prefix}{i}", part) for i, part in enumerate(value) if isinstance(part, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module ("") and all below it, parents first."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor) of every parameter and buffer; a tensor used in two places is listed once."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                listed = isinstance(value, (list, tuple))
                for key, tensor in ((f"{name}.{i}", one) for i, one in enumerate(value)) if listed else ((name, value),):
                    if _belongs_to_the_state(tensor) and id(tensor) not in seen:
                        seen.add(id(tensor))
                        yield (f"{prefix}.{key}" if prefix else key), tensor

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, parameter), own ones first, then part by part: "0.weight", "0.bias", ..."""
        return ((name, tensor) for name, tensor in self.named_tensors() if not isinstance(tensor, Buffer))

    def parameters(self) -> list[Tensor]:
        """All parameters, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    # State -----------------------------------------------------------------------------------------------------------

    def train(self, training: bool = True) -> Self:
        """Switch this module and all its parts to training (dropout draws, batch norm measures) and return it."""
        for _, module in self.named_modules():
            module.training = training
        return self

    def eval(self) -> Self:
        """Switch to inference; the opposite of `train`."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str) -> Self:
        """Move all parameters, their gradients and all buffers to `device` ("cpu", "cuda", "cuda:1"); return this module."""
        backend.require_device(device)  # also if there is nothing to move
        moved = [(tensor, backend.to_device(tensor.data, device)) for _, tensor in self.named_tensors()]
        for tensor, array in moved:
            tensor.data = array
            if tensor.grad is not None:
                tensor.grad = backend.to_device(tensor.grad, device)
        return self

    def state_dict(self) -> dict[str, Array]:
        """{dotted name: a copy of the array} of every parameter and buffer."""
        return {name: tensor.data.copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Load arrays by name, in the number type and on the device of this module.

        Raises a StateError that lists every missing name, extra name and wrong shape; then nothing is changed.
        """
        own = dict(self.named_tensors())
        arrays = {name: value.data if isinstance(value, Tensor) else value for name, value in state.items()}
        problems = [f"missing {name} {own[name].shape}" for name in own if name not in arrays]
        problems += [f"extra {name}" for name in arrays if name not in own]
        problems += [
            f"wrong shape {name}: {tuple(np.shape(arrays[name]))} instead of {tensor.shape}"
            for name, tensor in own.items()
            if name in arrays and tuple(np.shape(arrays[name])) != tensor.shape
        ]
        if problems:
            raise StateError(
                f"{type(self).__name__}.load_state_dict: the state does not fit this module",
                expected=f"the names and shapes of its {len(own)} tensors",
                got="; ".join(problems),
                help="was it saved from a network with other layers?",
            )
        for name, tensor in own.items():
            array = arrays[name] if backend.is_array(arrays[name]) else np.asarray(arrays[name])
            tensor.data = backend.run_on(
                tensor.data, backend.arranged_like, backend.to_device(array, tensor.device), tensor.data
            )
        return self

    # Printing --------------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """One line: the class and the arguments that matter, such as "Dense(1024, 1000)"."""
        return f"{type(self).__name__}()"

    def summary(self, input_shape: tuple[int, ...]) -> str:
        """The table that print(module) shows, with the output shapes that an input of `input_shape` (with batch) gives."""
        flags = [(module, module.training) for _, module in self.named_modules()]
        reference = next(iter(self.parameters()), None)
        zeros = Tensor(np.zeros(input_shape, dtype="float32" if reference is None else reference.dtype))
        try:
            with no_grad():
                self.eval()(zeros if reference is None else zeros.to(reference.device))
        finally:
            for module, training in flags:
                module.training = training
        return str(self)

    def __str__(self) -> str:
        rows = [("layer", "output shape", "parameters")]
        leaves = [(name, module) for name, module in self.named_modules() if not any(True for _ in module.children())]
        for name, module in leaves:
            count = _count(module)
            shape = "?" if module.output_shape is None else str(module.output_shape)
            rows.append((f"{name}: {module.describe()}" if name else module.describe(), shape, f"{count:,}"))
        rows.append(("total", "", f"{_count(self):,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows]
        rule = "-" * len(lines[0])
        lines[1:1] = [rule]
        lines[-1:-1] = [rule]
        if any(module.output_shape is None for _, module in leaves):
            lines.append("? is not known before the first call; summary(input_shape) fills it in")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self) if any(True for _ in self.children()) else self.describe()


def _belongs_to_the_state(value: object) -> bool:
    """A Parameter (frozen or not), a Buffer, or a plain tensor that a user made for training."""
    if isinstance(value, (Parameter, Buffer)):
        return True
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def _count(module: Module) -> int:
    return sum(parameter.size for parameter in module.parameters())


class Sequential(Module):
    """Sequential(layer, layer, ...): each layer's output is the next one's input. Layers are named "0", "1", ..."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """input of the first layer -> output of the last."""
        for position, layer in enumerate(self.layers):
            try:
                x = layer(x)
            except MinidropError as error:
                error.inside(f"layer {position} of Sequential")
                raise
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, position: int) -> Module:
        return self.layers[position]

    def describe(self) -> str:
        """One line."""
        return f"Sequential({', '.join(layer.describe() for layer in self.layers)})"
