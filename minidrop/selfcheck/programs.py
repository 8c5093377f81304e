"""The table of programs that the self-check runs on CPU and GPU: all ops, by the functions and operators that users call.

Inputs stay away from the kinks of the ops and hold no ties, so that the last bit of a number decides nothing. Some are wider
than a block of a GPU, some are views in another memory order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F, functions
from ..backend import Array, to_device
from ..core import Op
from ..gpu.fused import TWINS
from ..ops.dropalan import Alpha, Beta
from ..random import Generator
from ..tensor import Tensor

Draw = Callable[[Any], Any]  # a random generator of NumPy -> a float64 array


class Program(NamedTuple):
    """inputs: how each is drawn. run(on, *tensors) -> tensor; `on` says where, and brings constants there."""

    inputs: tuple[Draw, ...]
    run: Callable[..., Tensor]


class On(NamedTuple):
    """A device, for the constants of a program."""

    device: str

    def array(self, values: Any) -> Array:
        """Labels, a mask, indices: (shape) -> same, on this device."""
        return to_device(np.asarray(values), self.device)


def normal(*shape: int) -> Draw:
    """Numbers around 0."""
    return lambda random: random.normal(size=shape)


def positive(*shape: int) -> Draw:
    """From .3 to 3."""
    return lambda random: random.uniform(0.3, 3, size=shape)


def away(*shape: int) -> Draw:
    """Of both signs, at least .05 from 0."""
    return lambda random: random.uniform(0.05, 3, size=shape) * random.choice([-1.0, 1.0], size=shape)


def distinct(*shape: int) -> Draw:
    """No two within .01 of each other, none within .01 of a multiple of .1 (so of a bound of `clip`)."""
    count = math.prod(shape)
    return lambda random: (random.permutation(count) * 0.1 - (count // 2) * 0.1 + 0.05).reshape(shape)


def shifted(*shape: int) -> Draw:
    """As `distinct`, and none within .01 of one of those."""
    return lambda random: distinct(*shape)(random) + 0.025


WIDE = (33, 70)
IMAGES = (2, 3, 9, 11)
ROWS = np.array([3, 0, 3, -1])
LABELS = np.arange(33) * 7 % 10
KEPT = np.indices(WIDE).sum(axis=0) % 3 != 0
MASK = KEPT.astype("float64")


def of_one(run: Callable[[Tensor], Tensor], draw: Callable[..., Draw] = normal, shape: tuple[int, ...] = WIDE) -> Program:
    """A function of one tensor."""
    return Program((draw(*shape),), lambda on, x: run(x))


def of_two(run: Callable[[Tensor, Tensor], Tensor], a: Draw, b: Draw) -> Program:
    """A function of two."""
    return Program((a, b), lambda on, a, b: run(a, b))


def convolution(algorithm: str) -> Program:
    """conv2d with bias; by loops a small one, for each product is a call there."""
    images, weight = ((1, 2, 4, 4), (2, 2, 2, 3)) if algorithm == "loops" else (IMAGES, (5, 3, 4, 3))
    stride = 1 if algorithm == "loops" else (2, 1)
    return Program(
        (normal(*images), normal(*weight), normal(weight[0])),
        lambda on, x, weight, bias: F.conv2d(x, weight, bias, stride=stride, padding=1, algorithm=algorithm),
    )


def drop_alan(distribution: Any, scaled: bool) -> Program:
    """DropAlan with drawn masks."""
    return Program((away(*WIDE),), lambda on, z: F.dropalan(2 * z, distribution, scaled, generator=Generator(4)))


PROGRAMS: dict[str, Program] = {
    "a + b": of_two(lambda a, b: a + b, normal(*WIDE), normal(33, 1)),
    "a - b": of_two(lambda a, b: a - b, normal(70), normal(*WIDE)),
    "a * b": of_two(lambda a, b: a * b, normal(*WIDE), normal(1, 70)),
    "a / b": of_two(lambda a, b: a / b, normal(*WIDE), away(*WIDE)),
    "a ** b": of_two(lambda a, b: a**b, positive(*WIDE), normal(33, 1)),
    "a ** 3": of_one(lambda x: x**3),
    "numbers": of_one(lambda x: 1 - 2 / (x + 4) * 3, positive),
    "-x": of_one(lambda x: -x),
    "exp": of_one(F.exp),
    "log": of_one(F.log, positive),
    "sqrt": of_one(F.sqrt, positive),
    "abs": of_one(F.abs, away),
    "clip": of_one(lambda x: F.clip(x, -30.0, 20.0), distinct),
    "maximum": of_two(functions.maximum, distinct(*WIDE), shifted(33, 1)),
    "minimum": of_two(functions.minimum, distinct(*WIDE), shifted(*WIDE)),
    "where": Program((normal(*WIDE), normal(70)), lambda on, a, b: functions.where(on.array(KEPT), a, b)),
    "astype": of_one(lambda x: x.astype("float32").astype("float64") * 2.0),
    "relu": of_one(F.relu, away),
    "relu of a view": of_one(lambda x: F.relu(x.transpose(1, 0)[3:, ::2]), away),
    "elu": of_one(lambda x: F.elu(x, 1.5), away),
    "sigmoid": of_one(F.sigmoid),
    "softplus": of_one(F.softplus),
    "tanh": of_one(F.tanh),
    "sum": of_one(lambda x: x.sum(axis=(0, 2)), shape=(5, 40, 13)),
    "mean": of_one(lambda x: x.mean(axis=1, keepdims=True)),
    "max": of_one(lambda x: x.max(axis=1), distinct),
    "min": of_one(lambda x: x.min(), distinct),
    "var": of_one(lambda x: x.var(axis=0)),
    "std": of_one(lambda x: x.std(axis=(0, 1))),
    "prod": of_one(lambda x: x.prod(axis=1), away, (20, 5)),
    "reshape": of_one(lambda x: x.transpose(1, 0).reshape(7, -1)),
    "transpose": of_one(lambda x: x.transpose(2, 0, 1), shape=(5, 40, 13)),
    "expand": of_one(lambda x: x.expand(6, 33, 70), shape=(33, 1)),
    "pad": of_one(lambda x: F.pad(x, ((1, 0), (2, 3)), -1.5)),
    "x[slices]": of_one(lambda x: x[1:, None, ::3]),
    "x[indices]": Program((normal(*WIDE),), lambda on, x: x[on.array(ROWS)]),
    "x[mask]": Program((normal(*WIDE),), lambda on, x: x[on.array(KEPT)]),
    "concatenate": of_two(lambda a, b: functions.concatenate([a, b, a], axis=1), normal(*WIDE), normal(33, 4)),
    "stack": of_two(lambda a, b: functions.stack([a, b], axis=-1), normal(*WIDE), normal(*WIDE)),
    "to": Program((normal(*WIDE),), lambda on, x: (x * 2).to("cpu").to(on.device)),
    "a @ b": of_two(lambda a, b: a @ b, normal(33, 70), normal(70, 20)),
    "a @ b, batches": of_two(lambda a, b: a @ b.transpose(0, 2, 1), normal(4, 1, 6, 9), normal(3, 8, 9)),
    "a @ b, vectors": of_two(lambda a, b: (a @ b) @ b[0], normal(20, 33), normal(33, 33)),
    **{f"conv2d, {name}": convolution(name) for name in F.CONVOLUTIONS},
    "max_pool2d": of_one(lambda x: F.max_pool2d(x, 3, 2, 1), distinct, IMAGES),
    "avg_pool2d": of_one(lambda x: F.avg_pool2d(x, (3, 2), (2, 1), 1, count_include_pad=False), shape=IMAGES),
    "softmax": of_one(lambda x: F.softmax(3 * x, axis=0)),
    "log_softmax": of_one(lambda x: F.log_softmax(3 * x, axis=1)),
    "softmax_cross_entropy": Program((normal(33, 10),), lambda on, x: F.softmax_cross_entropy(x, on.array(LABELS))),
    "batch_norm": Program(
        (normal(*IMAGES), normal(3), normal(3)), lambda on, x, weight, bias: F.batch_norm(x, weight=weight, bias=bias)
    ),
    "layer_norm": Program((normal(*WIDE), normal(70)), lambda on, x, weight: F.layer_norm(x, weight)),
    "dropout": of_one(lambda x: F.dropout(x, 0.3, generator=Generator(3))),
    "dropout, given mask": Program((normal(*WIDE),), lambda on, x: F.dropout(x, 0.3, mask=on.array(MASK))),
    "dropalan, alpha": drop_alan(Alpha(), False),
    "dropalan, alpha, scaled": drop_alan(Alpha(0.3, 0.6), True),
    "dropalan, beta": drop_alan(Beta(), False),
    "dropalan, beta, scaled": drop_alan(Beta(0.5, 0.8), True),
    "dropalan, expectation": Program(
        (away(*WIDE),), lambda on, z: F.dropalan(z, "beta", inference="expectation", training=False)
    ),
}


def ops_behind(tensor: Tensor) -> Iterator[type[Op]]:
    """The classes of the ops that made `tensor`, and of what a convolution chose; before backward, which forgets them."""
    unexplored: list[Any] = [tensor._op]
    seen = set()
    while unexplored:
        op = unexplored.pop()
        if not isinstance(op, Op) or op in seen:
            continue
        seen.add(op)
        yield type(op)
        if isinstance(way := getattr(op, "way", None), Op):
            yield type(way)
        unexplored += op.parents


TWIN_OF = {twin: op for op, twin in TWINS.items()}


def plain(op: type[Op]) -> type[Op]:
    """The op that a twin stands for; any other op itself."""
    return TWIN_OF.get(op, op)
