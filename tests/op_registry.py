"""One entry per op: how to draw a case for it, how minidrop runs it, how PyTorch does. An op without an entry fails the suite.

The inputs of a case stay away from the kinks of the op, so that difference quotients are meaningful there. Ties and other
edge cases are tested separately (test_ops_edges.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minidrop as md
from minidrop.ops import (
    activation,
    arithmetic,
    conv,
    dropalan,
    dropout,
    elementwise,
    fourier,
    im2col,
    loss,
    matmul,
    mixed,
    norm,
    pool,
    reduction,
    shape,
)

F = md.functional


@dataclass
class Case:
    """inputs: float64 arrays. run(library, *tensors): minidrop. torch(torch, *tensors): the same in PyTorch."""

    inputs: list[np.ndarray]
    run: Callable[..., md.Tensor]
    torch: Callable[..., Any]
    note: dict[str, Any] = field(default_factory=dict)

    def __repr__(self):
        return f"Case(shapes={[value.shape for value in self.inputs]}, {self.note})"


@dataclass
class Entry:
    op: type[md.Op]
    cases: st.SearchStrategy[Case]
    elementwise: bool = False  # if so, the memory order of the input is kept


OPS: dict[str, Entry] = {}


def register(op, elementwise=False, name=None):
    def decorate(function):
        OPS[name or op.__name__] = Entry(op, st.composite(function)(), elementwise)
        return function

    return decorate


# Drawing values ------------------------------------------------------------------------------------------------------


def shapes(min_dims=0, max_dims=4, min_side=0, max_side=4):
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def rng(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def normal(draw, shape):
    return rng(draw).normal(size=shape)


def positive(draw, shape):
    return rng(draw).uniform(0.3, 3, size=shape)


def away_from_zero(draw, shape):
    generator = rng(draw)
    return generator.uniform(0.05, 3, size=shape) * generator.choice([-1.0, 1.0], size=shape)


def distinct(draw, shape):
    """No two within .01 of each other."""
    count = int(np.prod(shape))
    return (rng(draw).permutation(count) * 0.1 - count * 0.05).reshape(shape)


def broadcastable(draw, shape):
    """A shape that broadcasts to `shape`: some axes of length 1, some leading axes missing."""
    result = tuple(1 if draw(st.booleans()) else length for length in shape)
    return result[draw(st.integers(0, len(shape))) :]


def pair_of_shapes(draw):
    full = draw(shapes())
    a, b = full, broadcastable(draw, full)
    return (a, b) if draw(st.booleans()) else (b, a)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def binary(op, function, values=normal, second=None):
    name = op.__name__

    @register(op, elementwise=True, name=name)
    def case(draw):
        shape_a, shape_b = pair_of_shapes(draw)
        return Case(
            [values(draw, shape_a), (second or values)(draw, shape_b)],
            lambda library, a, b: function(a, b),
            lambda torch, a, b: function(a, b),
        )

    @register(op, elementwise=True, name=name + " number")
    def with_number(draw):
        number = draw(st.sampled_from([-2.5, -1, 0.5, 2, 3]))
        left = op.__name__ != "Pow" and draw(st.booleans())
        call = (lambda x: function(number, x)) if left else (lambda x: function(x, number))
        return Case(
            [(second or values)(draw, draw(shapes())) if op.__name__ != "Pow" else values(draw, draw(shapes()))],
            lambda library, x: call(x),
            lambda torch, x: call(x),
            {"number": number, "left": left},
        )


binary(arithmetic.Add, operator.add)
binary(arithmetic.Sub, operator.sub)
binary(arithmetic.Mul, operator.mul)
binary(arithmetic.Div, operator.truediv, normal, away_from_zero)
binary(arithmetic.Pow, operator.pow, positive, normal)


@register(arithmetic.Pow, elementwise=True, name="Pow of a number")
def power_of_number(draw):
    number = draw(st.sampled_from([0.5, 2, 3.5]))
    return Case([normal(draw, draw(shapes()))], lambda library, x: number**x, lambda torch, x: number**x, {"number": number})


def unary(op, run, torch, values=normal):
    @register(op, elementwise=True)
    def case(draw):
        return Case([values(draw, draw(shapes()))], lambda library, x: run(x), lambda torch_, x: torch(torch_, x))


unary(arithmetic.Neg, lambda x: -x, lambda torch, x: -x)
unary(elementwise.Exp, lambda x: x.exp(), lambda torch, x: x.exp())
unary(elementwise.Log, lambda x: x.log(), lambda torch, x: x.log(), positive)
unary(elementwise.Sqrt, lambda x: x.sqrt(), lambda torch, x: x.sqrt(), positive)
unary(elementwise.Abs, abs, lambda torch, x: x.abs(), away_from_zero)
unary(activation.Relu, lambda x: x.relu(), lambda torch, x: x.relu(), away_from_zero)
unary(activation.Sigmoid, lambda x: x.sigmoid(), lambda torch, x: x.sigmoid())
unary(activation.Tanh, lambda x: x.tanh(), lambda torch, x: x.tanh())
unary(elementwise.AsType, lambda x: x.astype("float64"), lambda torch, x: x.double())


@register(activation.Elu, elementwise=True)
def elu(draw):
    alpha = draw(st.sampled_from([0.5, 1.0, 1.7]))
    return Case(
        [away_from_zero(draw, draw(shapes()))],
        lambda library, x: x.elu(alpha),
        lambda torch, x: torch.nn.functional.elu(x, alpha),
        {"alpha": alpha},
    )


@register(elementwise.Clip, elementwise=True)
def clip(draw):
    low, high = draw(st.sampled_from([(-0.525, 0.725), (None, 0.125), (-0.325, None)]))
    return Case(
        [distinct(draw, draw(shapes()))],
        lambda library, x: x.clip(low, high),
        lambda torch, x: x.clamp(low, high),
        {"low": low, "high": high},
    )


def pick(op, name):
    @register(op, elementwise=True)
    def case(draw):
        shape_a, shape_b = pair_of_shapes(draw)
        return Case(
            [distinct(draw, shape_a), distinct(draw, shape_b) + 0.025],
            lambda library, a, b: getattr(md, name)(a, b),
            lambda torch, a, b: getattr(torch, name)(a, b),
        )


pick(elementwise.Maximum, "maximum")
pick(elementwise.Minimum, "minimum")


@register(elementwise.Where, elementwise=True)
def where(draw):
    shape_a, shape_b = pair_of_shapes(draw)
    condition = rng(draw).random(np.broadcast_shapes(shape_a, shape_b)) < 0.5
    return Case(
        [normal(draw, shape_a), normal(draw, shape_b)],
        lambda library, a, b: md.where(library.array(condition), a, b),
        lambda torch, a, b: torch.where(torch.tensor(condition), a, b),
    )


# Reductions ----------------------------------------------------------------------------------------------------------


def reduce(op, name, values=normal, least=0, torch_name=None):
    @register(op)
    def case(draw):
        shape_ = draw(shapes(max_dims=4))
        axes = draw(st.lists(st.sampled_from(range(len(shape_))), unique=True)) if shape_ else []
        axis = (
            draw(st.sampled_from([None, tuple(axes) or None]))
            if len(axes) != 1
            else draw(st.sampled_from([axes[0], tuple(axes)]))
        )
        reduced = range(len(shape_)) if axis is None else axes
        if any(shape_[i] < least for i in reduced):
            shape_ = tuple(max(length, least) if i in reduced else length for i, length in enumerate(shape_))
        if axis is not None and not isinstance(axis, tuple) and draw(st.booleans()):
            axis -= len(shape_)
        keepdims = draw(st.booleans())
        torch_axis = tuple(range(len(shape_))) if axis is None else axis
        extra = {"correction": 0} if name == "var" else {}

        def torch_run(torch, x):
            return getattr(torch, torch_name or name)(x, dim=torch_axis, keepdim=keepdims, **extra)

        return Case(
            [values(draw, shape_)],
            lambda library, x: getattr(x, name)(axis=axis, keepdims=keepdims),
            torch_run,
            {"axis": axis, "keepdims": keepdims},
        )


reduce(reduction.Sum, "sum")
reduce(reduction.Mean, "mean", least=1)
reduce(reduction.Max, "max", distinct, least=1, torch_name="amax")
reduce(reduction.Min, "min", distinct, least=1, torch_name="amin")
reduce(reduction.Var, "var", least=1)


# Shapes --------------------------------------------------------------------------------------------------------------


@register(shape.Reshape)
def reshape(draw):
    source = draw(shapes())
    kind = draw(st.sampled_from(["flatten", "reverse", "split", "flatten(1)"]))
    if kind == "flatten(1)" and len(source) < 2:
        kind = "flatten"
    target = {"flatten": (-1,) if np.prod(source) else (0,), "reverse": source[::-1], "split": (1, *source, 1)}.get(kind)
    if kind == "flatten(1)":
        return Case([normal(draw, source)], lambda library, x: x.flatten(1), lambda torch, x: x.flatten(1), {"kind": kind})
    return Case(
        [normal(draw, source)], lambda library, x: x.reshape(target), lambda torch, x: x.reshape(target), {"target": target}
    )


@register(shape.Transpose)
def transpose(draw):
    source = draw(shapes())
    axes = draw(st.permutations(range(len(source))))
    return Case(
        [normal(draw, source)], lambda library, x: x.transpose(*axes), lambda torch, x: x.permute(tuple(axes)), {"axes": axes}
    )


@register(shape.Expand)
def expand(draw):
    target = draw(shapes())
    source = broadcastable(draw, target)
    return Case([normal(draw, source)], lambda library, x: x.expand(*target), lambda torch, x: x.expand(target), {"to": target})


@register(shape.Pad)
def pad(draw):
    source = draw(shapes(min_dims=1, max_dims=3))
    widths = tuple(draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in source)
    value = draw(st.sampled_from([0.0, -1.5]))
    flat = [width for pair in reversed(widths) for width in pair]
    return Case(
        [normal(draw, source)],
        lambda library, x: x.pad(widths, value),
        lambda torch, x: torch.nn.functional.pad(x, flat, value=value),
        {"widths": widths},
    )


@register(shape.GetItem)
def getitem(draw):
    source = draw(shapes(min_dims=2, max_dims=3, min_side=1))
    rows, cols = source[:2]
    one = st.integers(-rows, rows - 1)
    many = np.array(draw(st.lists(one, max_size=6)), dtype=np.int64)
    other = np.array(draw(st.lists(st.integers(0, cols - 1), min_size=len(many), max_size=len(many))), dtype=np.int64)
    boolean = rng(draw).random(rows) < 0.5
    index = draw(
        st.sampled_from(
            [0, -1, slice(None), slice(1, None), slice(None, None, 2), (slice(None), 0), (..., None), (None, 0), many]
            + [(many, other), (many, slice(0, 1)), (slice(None), other), boolean]
        )
    )
    if isinstance(index, tuple):

        def at(library):
            return tuple(library.array(part) if isinstance(part, np.ndarray) else part for part in index)

    else:

        def at(library):
            return library.array(index) if isinstance(index, np.ndarray) else index

    def torch_index(torch):
        parts = index if isinstance(index, tuple) else (index,)
        return tuple(torch.tensor(part) if isinstance(part, np.ndarray) else part for part in parts)

    return Case(
        [normal(draw, source)], lambda library, x: x[at(library)], lambda torch, x: x[torch_index(torch)], {"index": index}
    )


def join(op, name):
    @register(op)
    def case(draw):
        base = draw(shapes(min_dims=1, max_dims=3))
        count = draw(st.integers(1, 3))
        axis = draw(st.integers(-len(base), len(base) - 1))
        sides = [base] * count
        if op is shape.Concatenate:
            i = axis % len(base)
            sides = [(*base[:i], draw(st.integers(0, 3)), *base[i + 1 :]) for _ in range(count)]
        return Case(
            [normal(draw, side) for side in sides],
            lambda library, *xs: getattr(md, name)(xs, axis=axis),
            lambda torch, *xs: getattr(torch, name)(xs, dim=axis),
            {"axis": axis},
        )


join(shape.Concatenate, "concatenate")
join(shape.Stack, "stack")


@register(shape.ToDevice)
def to_device(draw):
    return Case(
        [normal(draw, draw(shapes()))],
        lambda library, x: (x * 2).to("cpu").to(library.device),
        lambda torch, x: x * 2,
    )


# Layers --------------------------------------------------------------------------------------------------------------


@register(matmul.MatMul)
def matrix_product(draw):
    m, k, n = (draw(st.integers(0, 4)) for _ in range(3))
    batch = draw(shapes(max_dims=2))
    a, b = (*batch, m, k), (*broadcastable(draw, batch), k, n)
    if draw(st.booleans()):
        a, b = (*b[:-2], m, k), (*batch, k, n)
    kind = draw(st.sampled_from(["matrices", "vector left", "vector right", "vectors"]))
    if kind in ("vector left", "vectors"):
        a = (k,)
    if kind in ("vector right", "vectors"):
        b = (k,)
    return Case([normal(draw, a), normal(draw, b)], lambda library, a, b: a @ b, lambda torch, a, b: a @ b, {"kind": kind})


def convolution(draw, algorithm, most=3, room=4):
    side = st.integers(1, most)
    images, channels, filters = draw(side), draw(side), draw(side)
    kernel = draw(side), draw(side)
    stride = draw(st.sampled_from([1, 2, (1, 2), (3, 1)]))
    padding = draw(st.sampled_from([0, 1, (1, 0), (0, 2), "same"]))
    height, width = (kernel[i] + draw(st.integers(0, room)) for i in range(2))
    with_bias = draw(st.booleans())

    def torch_run(torch, x, weight, bias=None):
        pads = padding
        if padding == "same":  # Keras' rule, which for stride 1 is PyTorch's too
            steps = (stride, stride) if isinstance(stride, int) else stride
            total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip((height, width), steps, kernel, strict=True)]
            around = [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2]
            x, pads = torch.nn.functional.pad(x, around), 0
        return torch.nn.functional.conv2d(x, weight, bias, stride=stride, padding=pads)

    inputs = [normal(draw, (images, channels, height, width)), normal(draw, (filters, channels, *kernel))]
    return Case(
        inputs + ([normal(draw, (filters,))] if with_bias else []),
        lambda library, x, weight, bias=None: F.conv2d(x, weight, bias, stride=stride, padding=padding, algorithm=algorithm),
        torch_run,
        {"stride": stride, "padding": padding},
    )


@register(conv.Conv2d)
def convolution_by_the_fastest_way(draw):
    return convolution(draw, "auto")


@register(im2col.Conv2dLoops)
def convolution_in_loops(draw):
    return convolution(draw, "loops", most=2, room=1)  # slow, so small


@register(im2col.Conv2dIm2col)
def convolution_of_columns(draw):
    return convolution(draw, "im2col")


@register(fourier.Conv2dFourier)
def convolution_in_the_frequency_domain(draw):
    return convolution(draw, "fourier")


@register(mixed.Conv2dMixed)
def convolution_in_the_frequency_domain_of_one_axis(draw):
    return convolution(draw, "mixed")


@register(pool.MaxPool2d)
def max_pool(draw):
    kernel = draw(st.sampled_from([2, 1, 3, (1, 2), (3, 2)]))
    stride = draw(st.sampled_from([None, 1, 2, (2, 1), 4]))
    height, width = (draw(st.integers(3, 7)) for _ in range(2))
    return Case(
        [distinct(draw, (draw(st.integers(1, 3)), draw(st.integers(1, 2)), height, width))],
        lambda library, x: F.max_pool2d(x, kernel, stride),
        lambda torch, x: torch.nn.functional.max_pool2d(x, kernel, stride),
        {"kernel": kernel, "stride": stride},
    )


@register(loss.LogSoftmax)
def log_softmax(draw):
    source = draw(shapes(min_dims=1, max_dims=3, min_side=1))
    axis = draw(st.integers(-len(source), len(source) - 1))
    return Case(
        [3 * normal(draw, source)],
        lambda library, x: F.log_softmax(x, axis=axis),
        lambda torch, x: torch.log_softmax(x, dim=axis),
        {"axis": axis},
    )


@register(loss.SoftmaxCrossEntropy)
def cross_entropy(draw):
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    labels = rng(draw).integers(0, classes, size=batch).astype(draw(st.sampled_from(["uint8", "int32", "int64"])))
    return Case(
        [3 * normal(draw, (batch, classes))],
        lambda library, x: F.softmax_cross_entropy(x, library.array(labels)),
        lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(labels.astype("int64"))),
    )


@register(norm.BatchNorm)
def batch_norm(draw):
    rank = draw(st.sampled_from([2, 3, 4]))
    source = tuple(draw(st.integers(2, 4)) for _ in range(rank))
    channels, training = source[1], draw(st.booleans())
    mean, var = normal(draw, (channels,)), positive(draw, (channels,))

    def run(library, x, weight=None, bias=None):
        running = (library.array(mean.copy()), library.array(var.copy()))
        return F.batch_norm(x, *running, weight, bias, training=training)

    def torch_run(torch, x, weight=None, bias=None):
        running = (torch.tensor(mean), torch.tensor(var))
        return torch.nn.functional.batch_norm(x, *running, weight, bias, training=training)

    affine = [normal(draw, (channels,)), normal(draw, (channels,))] if draw(st.booleans()) else []
    return Case([normal(draw, source), *affine], run, torch_run, {"training": training})


@register(dropout.Dropout, elementwise=True)
def drop(draw):
    source = draw(shapes())
    rate = draw(st.sampled_from([0.0, 0.25, 0.5, 0.9]))
    mask = (rng(draw).random(source) >= rate).astype(float)
    return Case(
        [normal(draw, source)],
        lambda library, x: F.dropout(x, rate, mask=library.array(mask)),
        lambda torch, x: x * torch.tensor(mask) / (1 - rate),
        {"rate": rate},
    )


DISTRIBUTIONS = [md.Alpha(), md.Beta(), md.Beta(p_max=0.95), md.Alpha(0.3, 0.6), md.Beta(0.5, 0.8), md.Beta(0.2, 1.0)]


def z_values(draw, shape_):
    """On both sides of 0, -1 and the clips, none within .002 of a kink of one of the DISTRIBUTIONS."""
    z = rng(draw).choice([-300.0, -30.0, -6.0, -2.6, -1.4, -0.7, -0.4, 0.3, 2.0], size=shape_)
    return z * rng(draw).uniform(0.99, 1.01, size=shape_)


def torch_keep(torch, distribution, z):
    """k(z), composed from PyTorch's own elementary operations."""
    if isinstance(distribution, md.Alpha):
        return 1 - torch.clamp(-distribution.slope * z, 0, distribution.limit)
    inner = torch.clamp(1 + distribution.c / z, max=distribution.p_max)
    plateau = torch.full_like(z, min(1 - distribution.c, distribution.p_max))
    return 1 - torch.where(z >= 0, torch.zeros_like(z), torch.where(z >= -1, plateau, inner))


@register(dropalan.DropAlan, elementwise=True)
def drop_alan(draw):
    source = draw(shapes())
    distribution = draw(st.sampled_from(DISTRIBUTIONS))
    scaled, gradient = draw(st.booleans()), draw(st.sampled_from(["through", "detach"]))
    mask = (rng(draw).random(source) < 0.7).astype(float)

    def torch_run(torch, z):
        if not scaled:
            return z * torch.tensor(mask)
        keep = torch_keep(torch, distribution, z)
        return z * torch.tensor(mask) / (keep if gradient == "through" else keep.detach())

    return Case(
        [z_values(draw, source)],
        lambda library, z: F.dropalan(z, distribution, scaled, gradient, mask=library.array(mask)),
        torch_run,
        {"distribution": distribution, "scaled": scaled, "gradient": gradient},
    )


@register(dropalan.DropAlanExpectation, elementwise=True)
def drop_alan_expectation(draw):
    distribution = draw(st.sampled_from(DISTRIBUTIONS))
    return Case(
        [z_values(draw, draw(shapes()))],
        lambda library, z: F.dropalan(z, distribution, inference="expectation", training=False),
        lambda torch, z: z * torch_keep(torch, distribution, z),
        {"distribution": distribution},
    )


def without_detach(case: Case) -> bool:
    """Whether backward is the derivative of forward: not if k(z) is held constant on purpose."""
    return not (case.note.get("scaled") and case.note.get("gradient") == "detach")
