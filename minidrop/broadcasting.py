"""Broadcasting backward: what forward stretched, backward sums."""

from __future__ import annotations

from .backend import Array, array_module


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """(broadcast shape) -> `shape`: sum the gradient over every axis along which broadcasting repeated the input.

    An element that was used k times receives the sum of the k gradients. Axes that broadcasting put in front are summed away,
    axes of length 1 that it stretched are summed to length 1. `grad` itself is returned where nothing was stretched.
    """
    if grad.shape == shape:
        return grad
    new_axes = grad.ndim - len(shape)
    stretched = tuple(
        axis for axis in range(grad.ndim) if axis < new_axes or (shape[axis - new_axes] == 1 and grad.shape[axis] != 1)
    )
    return grad.sum(axis=stretched, keepdims=True).reshape(shape)


def expand_reduced(array: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """(shape without `axes`, or with them at length 1) -> `shape`: repeat a reduced array along the axes it lost.

    The inverse of a reduction's bookkeeping: a read-only view, nothing is copied.
    """
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return array_module(array).broadcast_to(array.reshape(kept), shape)
