"""Optimisers and schedules of their learning rate. Optimisers update the parameters' arrays in place, outside the graph."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .clip import clip_gradient_norm
from .lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LRScheduler",
    "LinearLR",
    "Optimizer",
    "SequentialLR",
    "StepLR",
    "clip_gradient_norm",
    "lr_scheduler",
]
