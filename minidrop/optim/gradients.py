"""Which parameters have a gradient, and whether it fits: before an optimiser or `clip_gradient_norm` changes anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from ..backend import device_of, is_array
from ..core import Variable
from ..errors import ArgumentError, DTypeError, ShapeError
from ..guard.operands import require_same_device
from ..tensor import Tensor


def as_list(name: str, parameters: Any) -> list[Any]:
    """A tensor, or what can be iterated over -> a list. Raises ArgumentError for anything else, and for repeats."""
    if isinstance(parameters, Variable):
        return [parameters]
    if not isinstance(parameters, Iterable):
        got = type(parameters).__name__
        raise ArgumentError(f"{name}: bad parameters", expected="tensors", got=got, help="for example module.parameters()")
    listed = list(parameters)
    if len({id(parameter) for parameter in listed}) < len(listed):
        raise ArgumentError(f"{name}: the same parameter twice", expected="each once", got="a list with repeats")
    return listed


def with_gradient(name: str, parameters: list[Tensor]) -> list[int]:
    """-> the numbers of the parameters that have a gradient.

    Raises ShapeError, DTypeError or DeviceError for one that is wrong; another floating-point type is right.
    """
    indices = []
    for index, parameter in enumerate(parameters):
        gradient = parameter.grad
        if gradient is not None:
            data = parameter._data
            if type(gradient) is not ndarray or gradient.shape != data.shape or gradient.dtype is not data.dtype:
                _require_fitting(f"{name}: the gradient of parameter {index}", parameter)
            indices.append(index)
    return indices


def _require_fitting(what: str, parameter: Tensor) -> None:
    gradient = parameter.grad
    if isinstance(gradient, (Variable, np.generic)):  # set by a user: the array is meant
        gradient = parameter.grad = gradient._data if isinstance(gradient, Variable) else np.asarray(gradient)
    if not is_array(gradient) or gradient.dtype.kind != "f":
        got = f"an array of {gradient.dtype}" if is_array(gradient) else type(gradient).__name__
        raise DTypeError(f"{what} is no array of floats", expected=f"an array of {parameter.dtype}", got=got)
    if gradient.shape != parameter.shape:
        help = "nothing is broadcast here; was .grad, or the parameter's .data, set by hand?"
        raise ShapeError(f"{what} has the wrong shape", expected=str(parameter.shape), got=str(gradient.shape), help=help)
    require_same_device(what, parameter.device, device_of(gradient))
