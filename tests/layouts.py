"""Memory layouts of the same numbers: no op may depend on them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


class Layout:
    """pack: values -> a C-contiguous array to store; unpack: the stored array -> a view with the original values."""

    def __init__(self, name, pack, unpack):
        self.name = name
        self.pack = pack
        self.unpack = unpack

    def __repr__(self):
        return self.name


def reversed_axes(values):
    return values.transpose()


def image_order(values):
    """(N, C, H, W) in shape, (H, W, N, C) in memory."""
    return values.transpose(2, 3, 0, 1) if values.ndim == 4 else values


def image_shape(stored):
    return stored.transpose(2, 3, 0, 1) if stored.ndim == 4 else stored


def every_second(values):
    """Stored with a gap after every element of the last axis."""
    if values.ndim == 0:
        return values
    stored = np.full((*values.shape[:-1], 2 * values.shape[-1]), 777, dtype=values.dtype)
    stored[..., ::2] = values
    return stored


def backwards(values):
    return values[::-1] if values.ndim else values


CONTIGUOUS = Layout("contiguous", lambda values: values, lambda stored: stored)
IMAGE = Layout("image order", image_order, image_shape)
LAYOUTS = [
    CONTIGUOUS,
    Layout("transposed", reversed_axes, reversed_axes),
    IMAGE,
    Layout("every second", every_second, lambda stored: stored[..., ::2] if stored.ndim else stored),
    Layout("backwards", backwards, backwards),
]

layouts = st.sampled_from(LAYOUTS)
