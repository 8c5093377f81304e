"""draw_graph: the graph behind a tensor, as Graphviz source."""

from __future__ import annotations

from ..core import Node, Op
from ..errors import GraphError
from ..tensor import Tensor


def draw_graph(tensor: Tensor) -> str:
    """(any shape) -> text in the DOT language: every op and leaf that `tensor` was made from, with its shape.

    Paste it into any Graphviz viewer, or `dot -Tsvg`; in a notebook `graphviz.Source(md.draw_graph(loss))`. Ops are boxes that
    show name and output shape; leaves (parameters, inputs) are ellipses. Call it before backward, which releases
    the graph. Raises GraphError for a tensor whose graph was released.
    """
    root: Node = tensor if tensor._op is None else tensor._op
    names: dict[Node, str] = {root: "n0"}
    lines = ["digraph minidrop {", "  rankdir=BT;"]
    unexplored = [root]
    while unexplored:
        node = unexplored.pop()
        lines.append(f"  {names[node]} [{_label(node)}];")
        for parent in node.parents if isinstance(node, Op) else ():
            if parent is None:
                continue
            if parent not in names:
                names[parent] = f"n{len(names)}"
                unexplored.append(parent)
            lines.append(f"  {names[parent]} -> {names[node]};")
    return "\n".join([*lines, "}"]) + "\n"


def _label(node: Node) -> str:
    if isinstance(node, Op):
        if node.released:
            raise GraphError(
                "draw_graph: the graph was released by backward()",
                help="draw it before backward, or backward(retain_graph=True)",
            )
        return f'shape=box, label="{node.name}\\n{node.grad_shape}"'
    assert isinstance(node, Tensor)
    kind = type(node).__name__.lower() if node.requires_grad else "constant"
    return f'shape=ellipse, label="{kind}\\n{node.shape}"'
