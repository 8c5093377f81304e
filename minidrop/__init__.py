"""minidrop: a deep-learning framework to be read.

    import minidrop as md

    x = md.Tensor([[1.0, -2.0]], requires_grad=True)
    loss = (x.relu() * 3).sum()
    loss.backward()
    x.grad  # [[3., 0.]]

Where to look: `README.md` beside this file. The heart is `core.py`, the formulas are in `ops/`, the layers in `nn/`; `paper/`
holds the experiment.
"""

from . import datasets, functional, gpu, nn, optim
from .capture import capture, together
from .core import Op
from .creation import arange, full, ones, ones_like, rand, randn, zeros, zeros_like
from .functional import concatenate, maximum, minimum, stack, where
from .guard.anomaly import detect_anomaly
from .guard.recording import no_grad
from .ops.dropalan import Alpha, Beta
from .random import Generator, default_generator, manual_seed
from .serialization import load, save
from .tensor import Tensor, apply
from .threads import get_threads, set_threads
from .tools.draw import draw_graph
from .tools.gradcheck import gradcheck

__version__ = "0.4.1"

__all__ = [
    "Alpha",
    "Beta",
    "Generator",
    "Op",
    "Tensor",
    "apply",
    "arange",
    "capture",
    "concatenate",
    "datasets",
    "default_generator",
    "detect_anomaly",
    "draw_graph",
    "full",
    "functional",
    "get_threads",
    "gpu",
    "gradcheck",
    "load",
    "manual_seed",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "randn",
    "save",
    "set_threads",
    "stack",
    "together",
    "where",
    "zeros",
    "zeros_like",
]
