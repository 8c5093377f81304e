"""Sequential, which chains modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

from ..errors import ArgumentError, MinidropError
from .module import Module


class Sequential(Module):
    """Sequential(layer, layer, ...), or a list of them: each one's output is the next one's input. Named "0", "1", ...

    A slice is a Sequential of the same layers, which share their weights. Raises ArgumentError for what is not a module.
    """

    chain = "layers"

    def __init__(self, *layers: Module | list[Module] | tuple[Module, ...]) -> None:
        self.layers: list[Module] = []
        self.extend(layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """input of the first layer -> output of the last."""
        for position, layer in enumerate(self.layers):
            try:
                x = layer(x)
            except MinidropError as error:
                error.inside(f"layer {position} of Sequential")
                raise
        return x

    def append(self, layer: Module) -> Self:
        """Add a layer at the end."""
        return self.insert(len(self.layers), layer)

    def extend(self, layers: Iterable[Module]) -> Self:
        """Add layers at the end: all, or, if one is not a module, none."""
        if not isinstance(layers, Iterable):
            got = type(layers).__name__
            raise ArgumentError("Sequential.extend: no list", expected="several modules", got=got, help="append adds one")
        self.layers += [self._checked(layer) for layer in layers]
        return self

    def insert(self, position: int, layer: Module) -> Self:
        """Add a layer before the one at `position`, as `list.insert` does. The names of those behind it change."""
        self.layers.insert(position, self._checked(layer))
        return self

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, position: int) -> Module: ...

    @overload
    def __getitem__(self, position: slice) -> Sequential: ...

    def __getitem__(self, position: int | slice) -> Module | Sequential:
        return Sequential(*self.layers[position]) if isinstance(position, slice) else self.layers[position]

    def __setitem__(self, position: int, layer: Module) -> None:
        self.layers[position] = self._checked(layer)

    def describe(self) -> str:
        """One line."""
        return f"Sequential({', '.join(layer.describe() for layer in self.layers)})"

    def _checked(self, layer: Any) -> Module:
        """`layer`, if it can be one: a module, and no other kind of thing that can be called."""
        if isinstance(layer, Module) and not any(part is self for _, part in layer.named_modules()):
            return layer
        help = "a function becomes a layer inside a Module's forward(); ReLU, Tanh, Flatten ... are layers in md.nn"
        if isinstance(layer, type):
            help = f"write {layer.__name__}(...), which makes a layer"
        elif isinstance(layer, (list, tuple)):
            help = "write Sequential(*layers), or a Sequential inside this one"
        elif isinstance(layer, Module):
            help = "a module that contains itself would never come to an end"
        elif type(layer).__module__.startswith("torch."):
            help = "that is a layer of PyTorch; md.nn has its own"
        got = layer.__name__ if hasattr(layer, "__name__") else f"{type(layer).__module__}.{type(layer).__qualname__}"
        raise ArgumentError("Sequential: not a layer of it", expected="modules, such as md.nn.Dense(2, 3)", got=got, help=help)
