"""The table that print(module) shows: each layer, its output shape and how many parameters it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor


def table(module: Any) -> str:
    """A Module -> the table. Layers are the modules without parts; each is listed once, and counted with its own parameters."""
    modules = list(module.named_modules())
    dotted = [name for name, _ in modules if name]
    inner = {name[:place] for name in dotted for place, letter in enumerate(name) if letter == "."} | (
        {""} if dotted else set()
    )
    layers = [(name, part) for name, part in modules if name not in inner]
    rows = [("layer", "output shape", "parameters")]
    for name, part in layers:
        shape = "?" if part.output_shape is None else str(part.output_shape)
        own = _count(tensor for _, tensor in part.own_tensors() if part.is_trained(tensor))
        rows.append((f"{name}: {part.describe()}" if name else part.describe(), shape, f"{own:,}"))
    rows.append(("total", "", f"{_count(module.parameters()):,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows]
    rule = "-" * len(lines[0])
    lines[1:1] = [rule]
    lines[-1:-1] = [rule]
    if any(part.output_shape is None for _, part in layers):
        lines.append("? is not known before the first call; summary(input_shape) fills it in")
    return "\n".join(lines)


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.size for tensor in {id(tensor): tensor for tensor in tensors}.values())
