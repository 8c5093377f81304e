"""Module: parameters and buffers around functions, with names.

A module's parameters, buffers and parts are its attributes: each Parameter, Buffer, Module, and list, tuple or dict of them,
nested or not, is found (`parts.py`), and so is a plain tensor with requires_grad=True. A module's own tensors come first, then
those of its parts, each in the order of assignment. What is used twice, or leads back, is listed once, under its first name.

A parameter stays one when numbers are assigned to it: `layer.weight = array` changes the numbers of the same tensor, which an
optimiser may hold. Items of lists and dicts cannot be watched: there, write `module.weights[0].data = array`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Self, overload

import numpy as np

from .. import backend
from ..backend import Array
from ..core import no_grad
from ..errors import DTypeError, GraphError, MinidropError, ShapeError, StateError
from ..tensor import Tensor
from .parts import Buffer, Part, belongs_to_the_state, find, kind_of, refuse_other_containers
from .state import LeftOut, array_for, assigned, put, require_own
from .table import table

Hook = Callable[["Module", tuple[Any, ...], Any], object]  # what it returns is ignored


def _no_forward(self: Module, *_inputs: Any, **_options: Any) -> Any:
    """The `forward` of a module that does not define one."""
    raise TypeError(f"{type(self).__name__} has no forward(): a module says there what it computes")


class Module(Part):
    """Base of all layers: a subclass sets attributes in `__init__` and writes `forward`."""

    training: bool = True
    output_shape: tuple[int, ...] | None = None  # of the last call; shown in the table
    hooks: tuple[Hook, ...] = ()
    chain: str = ""  # the list whose items have no name but their number, and that names them in errors: of Sequential

    forward: Callable[..., Any] = _no_forward  # inputs -> output; written by the subclass, def forward(self, x)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Inputs -> output of `forward`; errors name the layers that they passed through."""
        try:
            output: Tensor = self.forward(*inputs, **options)
        except MinidropError as error:
            if not self.chain:
                error.inside(self.describe())
            raise
        if output is None:
            raise GraphError(
                f"{type(self).__name__}.forward returned nothing",
                expected="a tensor, or several",
                got="None",
                help="does it end with `return ...`?",
            )
        shape = getattr(output, "shape", None)  # a user-defined module may return several tensors
        object.__setattr__(self, "output_shape", shape)  # past the checks of __setattr__, which cost time in each call
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

    def __setattr__(self, name: str, value: Any) -> None:
        """module.name = value; of a Parameter or Buffer: another replaces it, None takes it away, numbers become its own.

        Numbers are an array, a list, or a tensor without history, of its shape; they are converted to its type and device.
        Raises ShapeError, DTypeError, or GraphError for the output of an op that is recorded; and ArgumentError if a plain
        tensor that requires a gradient would give way to what is not trained. Then nothing is changed.
        """
        held = self.__dict__.get(name)
        if isinstance(held, Tensor) and value is not None and belongs_to_the_state(held) and not belongs_to_the_state(value):
            what = f"{type(self).__name__}.{name}"
            require_own(what, held)
            put(held, assigned(what, value, held))
            return
        refuse_other_containers(name, value)
        object.__setattr__(self, name, value)

    def _items(self) -> list[tuple[str, Any]]:
        """(name, part or tensor) of each attribute that is one, and of those in lists, tuples and dicts."""
        found: list[tuple[str, Any]] = []
        for name, value in vars(self).items():
            if name != "hooks" and kind_of(value):  # an observer is not a part, even if it is a module
                find("" if name == self.chain else name, value, found)
        return found

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each direct part: a module that is an attribute, or lies in a list, tuple or dict that is one."""
        return ((name, value) for name, value in self._items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module ("") and all below it, parents first, each once."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self.children():
                yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def own_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of the parameters and buffers of this module itself, not of its parts."""
        return ((name, value) for name, value in self._items() if belongs_to_the_state(value))

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor) of every parameter and buffer, each once. Raises StateError for two of the same name."""
        seen: set[int] = set()
        names: set[str] = set()
        for prefix, module in self.named_modules():
            for own, tensor in module.own_tensors():
                if id(tensor) not in seen:
                    name = f"{prefix}.{own}" if prefix else own
                    if name in names:
                        raise StateError(
                            f"two tensors with the name {name}", help="the keys of a dict may not hold dots, or 0 and '0'"
                        )
                    seen.add(id(tensor))
                    names.add(name)
                    yield name, tensor

    @staticmethod
    def is_trained(tensor: Tensor) -> bool:
        """True for a parameter, False for a buffer."""
        return not isinstance(tensor, Buffer)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, parameter), own ones first, then part by part: "0.weight", "0.bias", ..."""
        return ((name, tensor) for name, tensor in self.named_tensors() if self.is_trained(tensor))

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

    @overload
    def load_state_dict(self, state: Mapping[str, Any], strict: Literal[True] = True) -> Self: ...

    @overload
    def load_state_dict(self, state: Mapping[str, Any], strict: bool) -> Self | LeftOut: ...

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Self | LeftOut:
        """Load arrays by name, in the number type and on the device of this module; return it, or what was left out.

        strict: all names must fit; else those that both have are loaded, and the others are returned: (missing_keys,
        unexpected_keys). Raises a StateError that lists every name that does not fit, and, strict or not, every wrong shape and
        every value that is not numbers; then nothing is changed.
        """
        who = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            help = "md.load(path, module) reads a file" if isinstance(state, str) else ""
            raise StateError(f"{who}: not a state", expected="{name: array}", got=type(state).__name__, help=help)
        own = dict(self.named_tensors())
        left_out = LeftOut([name for name in own if name not in state], [name for name in state if name not in own])
        problems = [f"missing {name} {own[name].shape}" for name in left_out.missing_keys] if strict else []
        problems += [f"extra {name}" for name in left_out.unexpected_keys] if strict else []
        arrays = {}
        for name, tensor in own.items():
            if name in state:
                try:
                    arrays[name] = array_for(name, state[name], tensor)
                except ShapeError as error:
                    problems.append(f"wrong shape {name}: {error.got} instead of {tensor.shape}")
                except DTypeError as error:
                    problems.append(f"no numbers {name}: {error.got}")
        if problems:
            whole_file = isinstance(state.get("module"), Mapping) and "module" not in own
            raise StateError(
                f"{who}: the state does not fit this module",
                expected=f"the names and shapes of its {len(own)} tensors",
                got="; ".join(problems),
                help="md.load(path).module is a module's state"
                if whole_file
                else "was it saved from a network with other layers?",
            )
        for name, array in arrays.items():
            put(own[name], array)
        return self if strict else left_out

    # Printing --------------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """One line: the class and the arguments that matter, such as "Dense(1024, 1000)"."""
        return f"{type(self).__name__}()"

    def summary(self, input_shape: tuple[int, ...], dtype: Any = None) -> str:
        """The table that print(module) shows, with the output shapes that an input of `input_shape` (with batch) gives.

        dtype: of the input, "int64" for one that an Embedding takes; by default that of the parameters.
        """
        flags = [(module, module.training) for _, module in self.named_modules()]
        reference = next(iter(self.parameters()), None)
        default = "float32" if reference is None else reference.dtype
        zeros = Tensor(np.zeros(input_shape, dtype=default if dtype is None else dtype))
        try:
            with no_grad():
                self.eval()(zeros if reference is None else zeros.to(reference.device))
        finally:
            for module, training in flags:
                module.training = training
        return str(self)

    def __str__(self) -> str:
        return table(self)

    def __repr__(self) -> str:
        return str(self) if any(True for _ in self.children()) else self.describe()
