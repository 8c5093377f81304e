"""Tests of the gradient checker: a right gradient passes, every deliberately wrong one is caught."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.core import unbroadcast
from minidrop.errors import ArgumentError, GradientError
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
from minidrop.ops.reduction import expand_reduced

F = md.functional
rng = np.random.default_rng(0)
A, B = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
SQUARE, OTHER = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
POSITIVE, MORE = rng.uniform(0.5, 2, size=(3, 4)), rng.uniform(0.5, 2, size=(3, 4))
DISTINCT = rng.permutation(12).reshape(3, 4) / 4 - 1.4
IMAGES, KERNELS, BIAS = rng.normal(size=(2, 2, 5, 4)), rng.normal(size=(3, 2, 3, 2)), rng.normal(size=3)
PLACES = rng.permutation(80).reshape(2, 2, 5, 4) / 10.0
ZEROS = np.where(np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 0]]), A, 0)  # none, one, two
MASK = (rng.random((3, 4)) < 0.6).astype(float)
MASK[0, 0] = MASK[1, 1] = 1
Z = np.array([[-0.5, -1.5, -3.0, 0.7], [-2.0, -1.2, -0.3, -7.0], [0.4, 1.5, -1.9, -0.8]])
CHANNELS = rng.normal(size=(4, 3, 2)), rng.normal(size=3), rng.normal(size=3)
LABELS = np.array([2, 0, 3])

# op: (function, inputs) on which every term of its gradient matters.
RIGHT = {
    arithmetic.Add: (lambda a, b: a + b, [A, B[0]]),
    arithmetic.Sub: (lambda a, b: a - b, [A, B]),
    arithmetic.Mul: (lambda a, b: a * b, [A, B]),
    arithmetic.Div: (lambda a, b: a / b, [A, MORE]),
    arithmetic.Pow: (lambda a, b: a**b, [POSITIVE, B]),
    arithmetic.Neg: (lambda a: -a, [A]),
    elementwise.Exp: (lambda a: a.exp(), [A]),
    elementwise.Log: (lambda a: a.log(), [POSITIVE]),
    elementwise.Sqrt: (lambda a: a.sqrt(), [POSITIVE]),
    elementwise.Abs: (abs, [DISTINCT]),
    elementwise.Clip: (lambda a: a.clip(-0.77, 0.83), [DISTINCT]),
    elementwise.Maximum: (md.maximum, [A, B]),
    elementwise.Minimum: (md.minimum, [A, B]),
    elementwise.Where: (lambda a, b: md.where(MASK > 0, a, b), [A, B]),
    elementwise.AsType: (lambda a: a.astype("float64"), [A]),
    activation.Relu: (lambda a: a.relu(), [DISTINCT]),
    activation.Elu: (lambda a: a.elu(0.7), [DISTINCT]),
    activation.Sigmoid: (lambda a: a.sigmoid(), [A]),
    activation.Tanh: (lambda a: a.tanh(), [A]),
    activation.Softplus: (lambda a: a.softplus(), [A]),
    reduction.Sum: (lambda a: a.sum(axis=1), [A]),
    reduction.Mean: (lambda a: a.mean(axis=0, keepdims=True), [A]),
    reduction.Max: (lambda a: a.max(axis=1), [A]),
    reduction.Min: (lambda a: a.min(axis=1), [A]),
    reduction.Var: (lambda a: a.var(axis=1), [A]),
    reduction.Std: (lambda a: a.std(axis=1, ddof=1), [A]),
    reduction.Prod: (lambda a: a.prod(axis=1), [ZEROS]),
    shape.Reshape: (lambda a: a.reshape(2, 6), [A]),
    shape.Transpose: (lambda a: a.transpose(1, 0), [SQUARE]),
    shape.Expand: (lambda a: a.expand(3, 4), [A[:1]]),
    shape.Pad: (lambda a: a.pad(((1, 1), (2, 0))), [A]),
    shape.GetItem: (lambda a: a[np.array([0, 2, 0, 0])], [A]),
    shape.Concatenate: (lambda a, b: md.concatenate([a, b], axis=1), [A, B]),
    shape.Stack: (lambda a, b: md.stack([a, b]), [A, B]),
    shape.ToDevice: (lambda a: a.to("cuda"), [A]),
    matmul.MatMul: (lambda a, b: a @ b, [SQUARE, OTHER]),
    conv.Conv2d: (lambda x, w, b: F.conv2d(x, w, b, (2, 1), 1), [IMAGES, KERNELS, BIAS]),
    im2col.Conv2dLoops: (lambda x, w, b: F.conv2d(x, w, b, (2, 1), 1, "loops"), [IMAGES, KERNELS, BIAS]),
    im2col.Conv2dIm2col: (lambda x, w, b: F.conv2d(x, w, b, (2, 1), 1, "im2col"), [IMAGES, KERNELS, BIAS]),
    fourier.Conv2dFourier: (lambda x, w, b: F.conv2d(x, w, b, (2, 1), 1, "fourier"), [IMAGES, KERNELS, BIAS]),
    mixed.Conv2dMixed: (lambda x, w, b: F.conv2d(x, w, b, (2, 1), 1, "mixed"), [IMAGES, KERNELS, BIAS]),
    pool.MaxPool2d: (lambda x: F.max_pool2d(x, 3, 1), [PLACES]),
    pool.AvgPool2d: (lambda x: F.avg_pool2d(x, (3, 2), 1), [IMAGES]),
    loss.Softmax: (lambda a: a.softmax(), [A]),
    loss.LogSoftmax: (lambda a: F.log_softmax(a), [A]),
    loss.SoftmaxCrossEntropy: (lambda a: F.softmax_cross_entropy(a, LABELS), [A]),
    norm.BatchNorm: (lambda x, w, b: F.batch_norm(x, None, None, w, b), list(CHANNELS)),
    dropout.Dropout: (lambda a: F.dropout(a, 0.4, mask=MASK), [A]),
    dropalan.DropAlan: (lambda z: F.dropalan(z, md.Beta(), scaled=True, mask=MASK), [Z]),
    dropalan.DropAlanExpectation: (lambda z: F.dropalan(z, "alpha", inference="expectation", training=False), [Z]),
}


def times(factor):
    return lambda gradients, grad: tuple(None if one is None else factor * one for one in gradients)


def without_one_element(gradients, grad):
    first = gradients[0].copy()
    first[np.unravel_index(np.argmax(np.abs(first)), first.shape)] = 0
    return (first, *gradients[1:])


def swapped(gradients, grad):
    return (gradients[1], gradients[0], *gradients[2:])


def only_first(gradients, grad):
    return (gradients[0], *[None if one is None else 0 * one for one in gradients[1:]])


def only_last(gradients, grad):
    return (*[0 * one for one in gradients[:-1]], gradients[-1])


# Mutations of the right gradients of any op.
GENERAL = {
    "sign": times(-1.0),
    "factor 2": times(2.0),
    "factor 1.001": times(1.001),
    "zero": times(0.0),
    "one element missing": without_one_element,
}
OF_TWO_INPUTS = {"swapped arguments": swapped, "last inputs forgotten": only_first, "first inputs forgotten": only_last}


def saved(op):
    return op.saved[0]


DROPPED_TERMS = [
    (arithmetic.Add, "sum over stretched axes: mean instead", lambda op, g: (g, g.mean(axis=0))),
    (arithmetic.Sub, "minus", lambda op, g: (g, g)),
    (arithmetic.Mul, "other factor", lambda op, g: (g, g)),
    (arithmetic.Div, "1 / b^2 as 1 / b", lambda op, g: (g / op.saved[1], -g * op.saved[0] / op.saved[1])),
    (arithmetic.Pow, "exponent as a factor", lambda op, g: (g * op.saved[0] ** (op.saved[1] - 1), op.backward(g)[1])),
    (arithmetic.Pow, "logarithm", lambda op, g: (op.backward(g)[0], g * op.saved[0] ** op.saved[1])),
    (elementwise.Exp, "y", lambda op, g: (g,)),
    (elementwise.Log, "1 / x", lambda op, g: (g,)),
    (elementwise.Sqrt, "1 / 2", lambda op, g: (g / saved(op),)),
    (elementwise.Abs, "sign of x", lambda op, g: (g,)),
    (elementwise.Clip, "upper bound", lambda op, g: (g * (saved(op) >= op.low),)),
    (elementwise.Clip, "lower bound", lambda op, g: (g * (saved(op) <= op.high),)),
    (elementwise.Maximum, "choice", lambda op, g: (g, g)),
    (elementwise.Where, "choice", lambda op, g: (g, g)),
    (activation.Relu, "slope", lambda op, g: (g,)),
    (activation.Elu, "alpha", lambda op, g: (g * np.where(saved(op) > 0, 1, np.exp(saved(op))),)),
    (activation.Sigmoid, "1 - y", lambda op, g: (g * saved(op),)),
    (activation.Tanh, "square", lambda op, g: (g * (1 - saved(op)),)),
    (reduction.Mean, "1 / n", lambda op, g: (np.broadcast_to(g, (3, 4)),)),
    (reduction.Max, "choice", lambda op, g: (np.repeat(g[:, None], 4, axis=1),)),
    (reduction.Var, "mean", lambda op, g: (op.spread(g * 0.5, (3, 4)) * (op.centred + 0.1),)),
    (reduction.Std, "y", lambda op, g: (op.spread(g / op.divisor, (3, 4)) * op.centred,)),
    (reduction.Std, "n - ddof", lambda op, g: (op.backward(g)[0] * 3 / 4,)),
    (reduction.Prod, "a product of all divided by x", lambda op, g: (_quotients(op, g),)),
    (
        reduction.Prod,
        "only those before",
        lambda op, g: (np.cumprod(np.c_[np.ones(3), saved(op)], axis=1)[:, :4] * g[:, None],),
    ),
    (shape.Transpose, "transposition", lambda op, g: (g,)),
    (shape.Expand, "sum", lambda op, g: (g[:1],)),
    (shape.Pad, "offset", lambda op, g: (g[:3, :4],)),
    (shape.GetItem, "elements taken twice", lambda op, g: (_assigned(g, op.saved[0]),)),
    (matmul.MatMul, "transpose of b", lambda op, g: (g @ op.saved[1], op.saved[0].T @ g)),
    (matmul.MatMul, "transpose of a", lambda op, g: (g @ op.saved[1].T, op.saved[0] @ g)),
    *(
        (convolution, mistake, mutant)
        for convolution in (conv.Conv2d, im2col.Conv2dLoops, im2col.Conv2dIm2col, fourier.Conv2dFourier, mixed.Conv2dMixed)
        for mistake, mutant in (
            ("flipped kernel gradient", lambda op, g: _replace(op.backward(g), 1, lambda w: w[:, :, ::-1, ::-1])),
            ("bias: mean for sum", lambda op, g: _replace(op.backward(g), 2, lambda b: b / 2)),
            ("image moved by one", lambda op, g: _replace(op.backward(g), 0, lambda x: np.roll(x, 1, axis=3))),
        )
    ),
    (pool.MaxPool2d, "windows that overlap", lambda op, g: (np.minimum(op.backward(g)[0], 1.0),)),
    (pool.AvgPool2d, "windows that overlap", lambda op, g: (_last_window_only(op, g),)),
    (pool.AvgPool2d, "1 / (R S)", lambda op, g: (op.backward(g)[0] * 6,)),
    (activation.Softplus, "sigmoid", lambda op, g: (g * (saved(op) > 0),)),
    (loss.Softmax, "sum of grad y", lambda op, g: (saved(op) * g,)),
    (loss.Softmax, "sum of grad y: of grad", lambda op, g: (saved(op) * (g - g.sum(axis=1, keepdims=True)),)),
    (loss.LogSoftmax, "sum of the gradient", lambda op, g: (g,)),
    (loss.LogSoftmax, "softmax", lambda op, g: (g - g.sum(axis=1, keepdims=True),)),
    (loss.SoftmaxCrossEntropy, "one-hot", lambda op, g: (np.exp(op.log_probabilities) * g / 3,)),
    (loss.SoftmaxCrossEntropy, "1 / N", lambda op, g: (op.backward(g)[0] * 3,)),
    (norm.BatchNorm, "gradient through the mean", lambda op, g: _batch_norm(op, g, mean=False, scale=True)),
    (norm.BatchNorm, "gradient through the variance", lambda op, g: _batch_norm(op, g, mean=True, scale=False)),
    (norm.BatchNorm, "weight", lambda op, g: _replace(op.backward(g), 0, lambda x: x / op.per_channel(CHANNELS[1]))),
    (dropout.Dropout, "scale", lambda op, g: (g * op.mask,)),
    (dropout.Dropout, "mask", lambda op, g: (g / 0.6,)),
    (dropalan.DropAlan, "gradient through k(z)", lambda op, g: (g * op.factor,)),
    (dropalan.DropAlan, "1 / k", lambda op, g: (g * op.mask,)),
    (dropalan.DropAlan, "mask", lambda op, g: (g / op.keep,)),
    (dropalan.DropAlanExpectation, "z p'", lambda op, g: (g * op.keep,)),
    (dropalan.DropAlanExpectation, "k", lambda op, g: (g,)),
]


def _last_window_only(op, g):
    result = np.zeros(op.shape)
    for place in op.places:
        result[:, :, *place] = g / len(op.places)
    return result


def _quotients(op, g):
    (x,) = op.saved
    return np.where(x == 0, 0, g[:, None] * x.prod(axis=1, keepdims=True) / np.where(x == 0, 1, x))


def _assigned(g, index):
    result = np.zeros((3, 4))
    result[index] = g
    return result


def _replace(gradients, position, change):
    return tuple(change(one) if i == position else one for i, one in enumerate(gradients))


def _batch_norm(op, g, mean, scale):
    normalised = g * op.per_channel(CHANNELS[1])
    result = normalised.copy()
    if mean:
        result -= op.per_channel(normalised.mean(axis=op.axes))
    if scale:
        result -= op.normalised * op.per_channel((normalised * op.normalised).mean(axis=op.axes))
    return (result * op.per_channel(op.inverse_std), *op.backward(g)[1:])


def on_each_library(op, *values, id):
    """The case with the stand-in; and with CuPy, if it needs a GPU."""
    yield pytest.param(op, *values, "stand_in", id=id)
    if op is shape.ToDevice:
        yield pytest.param(op, *values, "cupy", id=f"{id} on CuPy", marks=pytest.mark.gpu)


@pytest.mark.parametrize(
    ("op", "cupy"), [case for op in RIGHT for case in on_each_library(op, id=op.__name__)], indirect=["cupy"]
)
def test_right_gradients_pass(op, cupy):
    function, inputs = RIGHT[op]
    assert md.gradcheck(function, inputs) is True


def mutants():
    for op, (_, inputs) in RIGHT.items():
        for name, change in GENERAL.items():
            yield from on_each_library(op, change, id=f"{op.__name__}: {name}")
        if len(inputs) > 1:
            for name, change in OF_TWO_INPUTS.items():
                # a + b and concatenate([a, b]): with equal shapes, wrong only if the gradients differ
                if name == "swapped arguments" and (inputs[0].shape != inputs[1].shape):
                    continue
                yield from on_each_library(op, change, id=f"{op.__name__}: {name}")


@pytest.mark.parametrize(("op", "change", "cupy"), list(mutants()), indirect=["cupy"])
def test_wrong_gradients_are_caught(op, change, monkeypatch, cupy):
    function, inputs = RIGHT[op]
    right = op.backward

    def wrong(self, grad):
        gradients = right(self, grad)
        if not isinstance(gradients[0], np.ndarray):
            gradients = tuple(cupy.asnumpy(one) for one in gradients)
            return tuple(cupy.asarray(one) for one in change(gradients, grad))
        return change(gradients, grad)

    monkeypatch.setattr(op, "backward", wrong)
    with pytest.raises(GradientError, match="gradcheck: the gradient of input"):
        md.gradcheck(function, inputs)


@pytest.mark.parametrize(
    ("op", "backward"), [pytest.param(op, backward, id=f"{op.__name__}: {name}") for op, name, backward in DROPPED_TERMS]
)
def test_dropped_terms_are_caught(op, backward, monkeypatch):
    function, inputs = RIGHT[op]
    right = op.backward

    class View:
        """The op as the mutant sees it, with the right backward still available."""

        def __init__(self, op):
            self._op = op

        def __getattr__(self, name):
            return getattr(self._op, name)

        def backward(self, grad):
            return right(self._op, grad)

    monkeypatch.setattr(op, "backward", lambda self, grad: backward(View(self), grad))
    with pytest.raises(GradientError, match="gradcheck: the gradient of input"):
        md.gradcheck(function, inputs)


def test_every_op_is_mutated():
    from op_registry import OPS

    assert set(RIGHT) == {entry.op for entry in OPS.values()}


def test_a_wrong_gradient_that_all_ones_would_not_catch():
    """The softmax has rows that sum to 1, so the gradient of their sum is 0: an upstream of ones accepts a backward of 0."""

    class ForgetfulSoftmax(md.Op):
        def forward(self, x):
            return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

        def backward(self, grad):
            return (0 * grad,)

    x = md.Tensor(A, requires_grad=True)
    md.apply(ForgetfulSoftmax(), x).backward(np.ones_like(A))
    np.testing.assert_allclose(x.grad, 0)  # right, for ones
    with pytest.raises(GradientError, match="0 everywhere"):
        md.gradcheck(lambda x: md.apply(ForgetfulSoftmax(), x), A)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_wrong_gradient_is_caught_at_every_scale(scale):
    class Forgetful(md.Op):
        def forward(self, x):
            return scale * x * x

        def backward(self, grad):
            return (0 * grad,)

    with pytest.raises(GradientError):
        md.gradcheck(lambda x: md.apply(Forgetful(), x), np.array([0.3, -1.0]))
    assert md.gradcheck(lambda x: scale * x * x, np.array([0.3, -1.0]))


class TestReports:
    def test_names_the_worst_element(self):
        class WrongAtOnePlace(md.Op):
            def forward(self, x):
                return 2 * x

            def backward(self, grad):
                result = 2 * grad
                result[1, 2] += 1
                return (result,)

        with pytest.raises(GradientError, match=r"1 of 12 elements(.|\n)*at index \(1, 2\)"):
            md.gradcheck(lambda x: md.apply(WrongAtOnePlace(), x), A)

    def test_says_the_factor(self):
        with pytest.raises(GradientError, match=r"everywhere 0\.5 times the right one"):
            md.gradcheck(lambda x: x * x.detach(), A)

    def test_catches_a_random_function(self):
        with pytest.raises(GradientError, match="not deterministic"):
            md.gradcheck(lambda x: F.dropout(x, 0.5), A)
        assert md.gradcheck(lambda x: F.dropout(x, 0.5, generator=md.Generator(3)), A)

    def test_catches_a_backward_that_writes_into_its_upstream_gradient(self):
        class Writer(md.Op):
            def forward(self, x):
                return x + 0

            def backward(self, grad):
                grad *= 1.5
                return (grad / 1.5,)

        with pytest.raises(GradientError, match="changed the upstream gradient"):
            md.gradcheck(lambda x: md.apply(Writer(), x), A)

    def test_catches_a_forward_that_writes_into_its_input(self):
        class Writer(md.Op):
            def forward(self, x):
                np.round(x, 1, out=x)
                return x + 0

            def backward(self, grad):
                return (grad,)

        with pytest.raises(GradientError, match="changed an input in place"):
            md.gradcheck(lambda x: md.apply(Writer(), x), A)

    def test_refuses_nothing_to_check(self):
        with pytest.raises(ArgumentError, match="nothing to check"):
            md.gradcheck(lambda x: x, np.arange(3))

    def test_refuses_an_output_without_a_gradient(self):
        """Its derivative is 0 almost everywhere, and so is the gradient that never comes: they would agree."""
        with pytest.raises(GradientError, match=r"requires no gradient(.|\n)*int64, a type without gradients"):
            md.gradcheck(lambda x: x.astype("int64"), A)
        with pytest.raises(GradientError, match=r"requires no gradient(.|\n)*float64 without history(.|\n)*cast to integers"):
            md.gradcheck(lambda x: x.astype("int64").astype("float64") * 2, A)
        assert md.gradcheck(lambda x: x * x.astype("int64").astype("float64"), A)

    def test_integer_inputs_are_passed_on(self):
        assert md.gradcheck(lambda x, index: x[index], [A, np.array([0, 0, 2])])

    def test_float32_inputs_are_checked_in_float64(self):
        assert md.gradcheck(lambda x: x.exp(), A.astype("float32"))

    def test_a_disconnected_input_is_wrong_only_if_it_matters(self):
        assert md.gradcheck(lambda x, y: x * 2 + 0 * y.detach(), [A, B])
        with pytest.raises(GradientError, match="input 1"):
            md.gradcheck(lambda x, y: x * 2 + y.detach(), [A, B])


def test_unbroadcast_and_expand_are_each_others_transpose():
    """<unbroadcast(g), x> = <g, broadcast x> for every x and g: what makes one the backward of the other."""
    g, x = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1))
    assert np.isclose((unbroadcast(g, x.shape) * x).sum(), (g * x).sum())
    y = rng.normal(size=(2, 4))
    assert np.isclose((expand_reduced(y, (2, 3, 4), (1,)) * g).sum(), (y * g.sum(axis=1)).sum())
