"""float16: what adds up many numbers, or divides by a large count, is as good as float64 rounded to float16 at the end."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.ops import half

F = md.functional
MANY = 5000  # 2048 + 1 is 2048 in float16
rng = np.random.default_rng(0)


def large(*shape):
    """Numbers around 200: their squares exceed the largest float16, 65504."""
    return rng.normal(200, 50, size=shape)


# name: (function, inputs). Upstream gradients are random.
SUMS = {
    "sum": (lambda x: x.sum(axis=0), [rng.uniform(0.5, 1.5, size=(MANY, 3))]),
    "mean of all": (lambda x: x.mean(), [large(300, 300)]),  # divided by 90,000, more than the largest float16
    "mean": (lambda x: x.mean(axis=0), [large(MANY, 3)]),
    "var": (lambda x: x.var(axis=0), [large(MANY, 3)]),
    "std": (lambda x: x.std(axis=0), [large(MANY, 3)]),
    "prod": (lambda x: x.prod(axis=0), [rng.permuted(np.repeat([[0.25], [4]], 50, axis=0).repeat(2, axis=1), axis=0)]),
    "softmax": (lambda x: F.softmax(x, axis=0), [rng.normal(size=(MANY, 2))]),
    "max": (lambda x: x.max(axis=0), [np.ones((MANY, 2))]),  # all equal: each gets 1 / 5,000
    "min": (lambda x: x.min(), [np.ones((300, 300))]),
    "log_softmax": (lambda x: F.log_softmax(x, axis=0), [rng.normal(size=(MANY, 2))]),
    "softmax_cross_entropy": (lambda x: F.softmax_cross_entropy(x, np.arange(len(x)) % 3), [rng.normal(size=(MANY, 3))]),
    "many classes": (lambda x: F.softmax_cross_entropy(x, [7, 4000]), [rng.normal(size=(2, MANY))]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b),
        [large(MANY, 3), rng.normal(size=3), rng.normal(size=3)],
    ),
    "batch_norm, constants": (
        lambda x, w, b: F.batch_norm(
            x, np.array([200, 190, 210], x.dtype), np.array([2500, 3600, 60000], x.dtype), w, b, training=False
        ),
        [large(MANY, 3), rng.normal(size=3), rng.normal(size=3)],
    ),
    "a bias": (lambda x, b: x + b, [rng.normal(size=(MANY, 3)), rng.normal(size=3)]),
    "a number for all": (lambda x, b: x * b, [rng.normal(size=(MANY, 3)), rng.normal(size=())]),
    "expand": (lambda x: x.expand(MANY, 3), [rng.normal(size=3)]),
    "indexing": (lambda x: x[np.zeros(MANY, int)], [rng.normal(size=(4, 3))]),
    "matmul over a batch": (lambda x, w: x @ w, [rng.normal(size=(MANY, 1, 2)), rng.normal(size=(2, 3))]),
    "convolution": (
        lambda x, w, b: F.conv2d(x, w, b, 1, 1),
        [rng.uniform(0.5, 1.5, size=(64, 2, 9, 9)), rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)],
    ),
    "convolution in loops": (
        lambda x, w, b: F.conv2d(x, w, b, algorithm="loops"),
        [rng.uniform(1, 2, size=(2, 100, 6, 6)), rng.uniform(0.1, 0.2, size=(1, 100, 5, 5)), rng.normal(size=1)],
    ),
    "max-pooling that overlaps": (lambda x: F.max_pool2d(x, 40, 1), [rng.permutation(3600).reshape(1, 1, 60, 60) / 60]),
}


def run(function, arrays, upstream):
    tensors = [md.Tensor(array, requires_grad=True) for array in arrays]
    output = function(*tensors)
    output.backward(np.asarray(upstream(output.shape), output.dtype))
    return [output.data, *(tensor.grad for tensor in tensors)]


@pytest.mark.parametrize("name", SUMS)
def test_is_float64_rounded(name):
    """Within 2 units in the last place of the largest element. The inputs, the upstream gradient too, are the same numbers."""
    function, arrays = SUMS[name]
    arrays = [array.astype("float16") for array in arrays]

    def upstream(shape):
        return np.random.default_rng(1).uniform(0.5, 1.5, size=shape).astype("float16")

    got = run(function, arrays, upstream)
    expected = run(function, [array.astype("float64") for array in arrays], upstream)
    for ours, exact in zip(got, expected, strict=True):
        assert ours.dtype == np.float16 and ours.shape == exact.shape
        scale = np.abs(exact).max()
        np.testing.assert_allclose(ours.astype("float64"), exact, rtol=0, atol=2 * 2.0**-11 * scale + 6e-8)


def test_the_cases_of_the_issue():
    assert md.Tensor(np.ones((4000, 2), "float16")).mean(axis=0).data.tolist() == [1, 1]  # .512 before
    x = np.full((MANY, 2), 100, "float16")
    x[::2] = 102
    assert md.Tensor(x).var(axis=0).data.tolist() == [1, 1]  # infinite before
    normalised = md.nn.BatchNorm1d(2, dtype="float16")(md.Tensor(x))
    np.testing.assert_allclose(normalised.data[:2], [[1, 1], [-1, -1]], atol=1e-3)  # all 0 before


def test_small_probabilities_keep_their_digits():
    x = np.array([0.0, -3.3, -7.7, -8.2], "float16")
    exact = np.exp(x.astype("float64")) / np.exp(x.astype("float64")).sum()
    np.testing.assert_allclose(F.softmax(x).data, exact, rtol=2.0**-11, atol=2.0**-25)


def test_running_statistics():
    layer = md.nn.BatchNorm1d(2, momentum=0.5, dtype="float16")
    x = large(MANY, 2).astype("float16")
    layer(md.Tensor(x))
    np.testing.assert_allclose(layer.running_mean.data, 0.5 * x.mean(axis=0, dtype="float64"), rtol=1e-3)
    np.testing.assert_allclose(layer.running_var.data, 0.5 + 0.5 * x.var(axis=0, dtype="float64", ddof=1), rtol=1e-3)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "log_softmax", "softmax_cross_entropy", "batch_norm", "convolution"])
def test_on_the_other_library(name, library):
    function, arrays = SUMS[name]
    first, *others = [array.astype("float16") for array in arrays]
    small = [first[:50], *others]

    def upstream(shape):
        return np.random.default_rng(1).uniform(0.5, 1.5, size=shape).astype("float16")

    def on(library_array):
        tensors = [md.Tensor(library_array(array), requires_grad=True) for array in small]
        output = function(*tensors)
        output.backward(library_array(np.asarray(upstream(output.shape))))
        return [output.numpy(), *(library.numpy(tensor.grad) for tensor in tensors)]

    for ours, theirs in zip(on(library.array), on(np.asarray), strict=True):
        assert ours.dtype == np.float16
        if library.name == "cupy" and name == "convolution":  # cuBLAS adds in an order of its own before the one rounding
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "bool"])
def test_other_types_are_left_alone(kind):
    """The same arrays, the same calls: not a bit of another type changes."""
    x = rng.integers(0, 2, size=(7, 5)).astype(kind)
    assert half.wide(x) is x and half.narrow(x, x) is x
    np.testing.assert_array_equal(half.total(x, 0), x.sum(axis=0))
    assert half.total(x, 0).dtype == x.sum(axis=0).dtype
    if kind == "float32":
        y = rng.normal(size=(999, 3)).astype(kind)
        assert half.total(y, (0,)).tobytes() == y.sum(axis=(0,)).tobytes()
        assert md.Tensor(y).mean(axis=0).data.tobytes() == (y.sum(axis=(0,)) / 999).tobytes()
