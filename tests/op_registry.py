"""One entry per op: how to draw a case for it, how minidrop runs it, how PyTorch does. An op without an entry fails the suite.

The inputs of a case stay away from the kinks of the op, so that difference quotients are meaningful there. Ties and other
edge cases are tested separately (test_ops_edges.py). The ops that layers are made of: op_layers.py.
"""

from __future__ import annotations

import operator

import numpy as np
from hypothesis import strategies as st
from op_cases import (
    OPS as OPS,
    Case,
    away_from_zero,
    broadcastable,
    distinct,
    normal,
    pair_of_shapes,
    positive,
    register,
    rng,
    shapes,
    with_zeros,
)
from op_layers import without_detach as without_detach

import minidrop as md
from minidrop.ops import activation, arithmetic, elementwise, reduction, shape

F = md.functional


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
unary(activation.Softplus, lambda x: x.softplus(), lambda torch, x: torch.nn.functional.softplus(x, threshold=100))
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
        extra = {"correction": 0} if name in ("var", "std") else {}

        def torch_run(torch, x):
            if name == "prod":  # one axis at a time
                for one in sorted({i % len(shape_) for i in reduced}, reverse=True):
                    x = x.prod(dim=one, keepdim=keepdims)
                return x
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
reduce(reduction.Std, "std", least=1)
reduce(reduction.Prod, "prod", with_zeros)


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
