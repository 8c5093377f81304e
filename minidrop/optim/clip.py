"""Clipping: a gradient that is too long is shortened."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..backend import Array, array_module, device_of, run_on
from ..errors import ArgumentError
from ..guard.operands import require_same_device
from ..tensor import Tensor
from .gradients import as_list, with_gradient


def clip_gradient_norm(parameters: Iterable[Tensor] | Tensor, limit: float) -> Array | None:
    """Gradients g of all parameters together -> g * min(1, limit / |g|), in place; returns |g| (), None without gradients.

    One norm for the whole gradient, so that its direction stays. A NaN in it makes all of it NaN. limit = inf only measures.
    Does not wait for a GPU. Raises ArgumentError for what is not a tensor and for a limit that is not above 0, and ShapeError,
    DTypeError or DeviceError for a gradient that does not fit its parameter; then nothing is changed.
    Source: Pascanu et al., 2013.
    """
    name = "clip_gradient_norm"
    if isinstance(limit, bool) or not isinstance(limit, (int, float, np.number)) or not limit > 0:
        raise ArgumentError(f"{name}: bad limit", expected="a number above 0", got=repr(limit))
    listed: list[Any] = as_list(name, parameters)
    if not all(isinstance(parameter, Tensor) for parameter in listed):
        got = ", ".join(sorted({type(parameter).__name__ for parameter in listed}))
        raise ArgumentError(f"{name}: bad parameters", expected="tensors", got=got, help="for example module.parameters()")
    gradients = [listed[index].grad for index in with_gradient(name, listed)]
    if not gradients:
        return None
    for gradient in gradients:
        require_same_device(name, device_of(gradients[0]), device_of(gradient))
    return run_on(gradients[0], _shorten, gradients, float(limit))


def _shorten(gradients: list[Array], limit: float) -> Array:
    xp = array_module(gradients[0])
    norm = xp.sqrt(sum(_squared_length(gradient) for gradient in gradients))
    if limit < math.inf:
        factor = limit / xp.maximum(norm, limit)
        for gradient in gradients:
            gradient *= factor
    return norm


def _squared_length(gradient: Array) -> Array:
    if gradient.dtype.itemsize < 4:
        gradient = gradient.astype("float32")  # a sum of squares soon passes 65504, the largest float16
    return (gradient * gradient).sum()
