"""PyTorch with images cropped to what the network's outputs depend on, as minidrop's networks do (networks.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..works import Work
from . import torch


def build(work: Work, given: list[Any], images: Any, labels: Any, dropout: bool) -> Callable[[], Any]:
    """A training step, or a forward pass."""
    rows, columns = (seen(work, length) for length in images.shape[2:])
    return torch.build(work, given, images[:, :, :rows, :columns].copy(), labels, dropout)


def seen(work: Work, length: int) -> int:
    """How many rows (or columns) of the image the outputs depend on: a pool leaves out the last one of an odd number."""
    if work.size.same:
        return length
    for kernel in work.size.kernels:
        length = (length - kernel + 1) // 2
    for kernel in reversed(work.size.kernels):
        length = 2 * length + kernel - 1
    return length
