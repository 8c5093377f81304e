"""`optim.SGD` on a GPU: one kernel for many parameters, where array calls would launch several for each.

Run on the real CuPy over a driver of host memory (tests/fake_gpu); on hardware: not yet.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from ..backend import Array, arranged_like, array_module, current_capture, has_kernels, memory_order, run_on
from ..optim import SGD
from ..optim.groups import ParameterGroup

# One step for several parameters at once, concatenated along i; tensor number # ends before end#.
STEP = """
    if (i >= start && i < end#) {
        long long j = i - start;
        T& p = p#[j];
        T g = weight_decay != 0 ? g#[j] + weight_decay * p : g#[j];
        UPDATE
    }
    start = end#;
"""
PLAIN_UPDATE = "p -= lr * g;"
MOMENTUM_UPDATE = "T& v = v#[j]; v = momentum * v + g; p -= lr * (nesterov ? g + momentum * v : v);"
MOST_TENSORS = 16  # in one kernel: its arguments have to fit into 4 KB


def sgd_text(count: int, momentum: bool) -> tuple[str, str, str]:
    """The inputs, the outputs and the body, for `count` parameters."""

    def each(text: str) -> list[str]:
        return [text.replace("#", str(number)) for number in range(count)]

    inputs = [*each("raw T g#"), *each("int64 end#"), "T lr", "T momentum", "bool nesterov", "T weight_decay"]
    outputs = each("raw T p#") + (each("raw T v#") if momentum else [])
    body = STEP.replace("UPDATE", MOMENTUM_UPDATE if momentum else PLAIN_UPDATE)
    return ", ".join(inputs), ", ".join(outputs), "long long start = 0;" + "".join(each(body))


@functools.cache
def sgd_kernel(count: int, momentum: bool, module: Any) -> Any:
    """The compiled kernel for that many parameters."""
    return module.ElementwiseKernel(*sgd_text(count, momentum), f"minidrop_sgd_{count}")


def step(optimizer: SGD, indices: list[int]) -> list[int]:
    """Update those of these parameters that are on a GPU, several per kernel; returns the others."""
    alike: dict[tuple[str, str, int], list[int]] = {}  # of one GPU, one type, one parameter group
    others = []
    for index in indices:
        parameter = optimizer.parameters[index]
        if has_kernels(parameter.data) and is_dense(parameter.data):
            key = parameter.device, str(parameter.dtype), id(optimizer.group_of[index])
            alike.setdefault(key, []).append(index)
        else:
            others.append(index)
    for group in alike.values():
        for first in range(0, len(group), MOST_TENSORS):
            some = group[first : first + MOST_TENSORS]
            run_on(optimizer.parameters[some[0]].data, step_some, optimizer, some)
    return others


def step_some(optimizer: SGD, indices: list[int]) -> None:
    """One kernel for these parameters, which are of one type and one group, and on one GPU."""
    settings = optimizer.group_of[indices[0]]
    parameters, gradients, velocities = [], [], []
    for index in indices:
        data: Array = optimizer.parameters[index].data
        gradient: Array = optimizer.parameters[index].grad
        order = memory_order(data)
        parameters.append(line(data, order))
        gradients.append(line(gradient.astype(data.dtype, copy=False), order))
        if settings["momentum"]:
            velocities.append(line(velocity_like(optimizer, index, data), order))
    if (capture := current_capture()) is not None:
        capture.kept += velocities
    launch(parameters, gradients, velocities, settings)


def launch(parameters: Sequence[Array], gradients: Sequence[Array], velocities: Sequence[Array], group: ParameterGroup) -> None:
    """One step for all these 1-d arrays, of one type, in place; no velocities without momentum."""
    ends = list(itertools.accumulate(parameter.size for parameter in parameters))
    kernel = sgd_kernel(len(parameters), bool(group["momentum"]), array_module(parameters[0]))
    settings = [group[name] for name in ("lr", "momentum", "nesterov", "weight_decay")]
    kernel(*gradients, *ends, *settings, *parameters, *velocities, size=ends[-1])


def velocity_like(optimizer: SGD, index: int, data: Array) -> Array:
    """The velocity, in the memory order of the parameter; a loaded one is rearranged if needed."""
    velocity = optimizer.kept("velocity", index)
    if any(
        own != other
        for length, own, other in zip(data.shape, velocity.strides, data.strides, strict=True)
        if length > 1  # the stride of an axis of length 1 means nothing
    ):
        optimizer.state["velocity"][index] = velocity = arranged_like(velocity, data)
    return velocity


def is_dense(array: Array) -> bool:
    """True if there are no gaps between the numbers, whatever the memory order of the axes."""
    step = array.dtype.itemsize
    for axis in reversed(memory_order(array)):
        if array.shape[axis] > 1 and array.strides[axis] != step:
            return bool(array.size == 0)
        step *= array.shape[axis]
    return True


def line(array: Array, axes: Sequence[int]) -> Array:
    """(any shape) -> (size,): the numbers, the last of `axes` fastest; no copy if that is the memory order."""
    return array_module(array).ascontiguousarray(array.transpose(axes)).reshape(-1)
