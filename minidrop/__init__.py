"""minidrop: a deep-learning framework to be read.

    import minidrop as md

    x = md.Tensor([[1.0, -2.0]], requires_grad=True)
    loss = (x.relu() * 3).sum()
    loss.backward()
    x.grad  # [[3., 0.]]

Where to look: `tensor.py` (what a tensor is), `tape.py` (how backward works), `ops/` (every formula, a family per file),
`functional.py` (the ops as functions), `nn.py` (layers), `optim.py`, `backend.py` (the switch between NumPy and CuPy),
`datasets/` (real data), `training.py` (the loop), `reproduce/` (the paper's experiments).
"""

from . import datasets, functional, nn, optim
from .capture import capture, together
from .functional import concatenate, maximum, minimum, stack, where
from .guard.anomaly import detect_anomaly
from .ops.dropalan import Alpha, Beta
from .random import Generator, default_generator, manual_seed
from .serialization import load, save
from .tape import Op, no_grad
from .tensor import Tensor, apply
from .threads import get_threads, set_threads
from .tools.draw import draw_graph
from .tools.gradcheck import gradcheck

__version__ = "0.1.0"

__all__ = [
    "Alpha",
    "Beta",
    "Generator",
    "Op",
    "Tensor",
    "apply",
    "capture",
    "concatenate",
    "datasets",
    "default_generator",
    "detect_anomaly",
    "draw_graph",
    "functional",
    "get_threads",
    "gradcheck",
    "load",
    "manual_seed",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "optim",
    "save",
    "set_threads",
    "stack",
    "together",
    "where",
]
