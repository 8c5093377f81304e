"""PyTorch with the ReLU after the pool, which gives the same numbers: what is left of the ratio when both pool first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..works import Work
from . import torch


def build(work: Work, given: list[Any], images: Any, labels: Any, dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass."""
    return torch.build(work, given, images, labels, dropout, pool_first=True)
