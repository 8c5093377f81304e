"""Pooling: padding, averages, and what is refused. The ops themselves: op_layers.py."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, ShapeError

F = md.functional


def pool_both(name, values, *arguments, **options):
    """Output and gradient, of minidrop and of PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = md.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = (
        getattr(F, name)(ours, *arguments, **options),
        getattr(torch.nn.functional, name)(theirs, *arguments, **options),
    )
    upstream = np.random.default_rng(1).normal(size=y.shape).astype(values.dtype)
    y.backward(upstream)
    expected.backward(torch.tensor(upstream))
    return (y.data, ours.grad), (expected.detach().numpy(), theirs.grad.numpy())


@pytest.mark.parametrize("padding", [1, (0, 1), (1, 0)])
@pytest.mark.parametrize("stride", [None, 1, (2, 3)])
def test_max_pooling_never_takes_the_padding(padding, stride):
    """All numbers are negative: zeros around the image would win."""
    values = -1 - np.random.default_rng(0).random((2, 3, 5, 6))
    ours, theirs = pool_both("max_pool2d", values, 3, stride, padding)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other)
    assert np.isfinite(ours[0]).all()


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64", "bool"])
def test_max_pooling_of_integers_with_padding(kind):
    values = np.random.default_rng(0).integers(0, 2 if kind == "bool" else 100, size=(1, 1, 4, 4)).astype(kind)
    if kind.startswith("int"):
        values -= 100
    y = F.max_pool2d(values, 3, 2, padding=1)
    assert y.dtype == kind
    expected = [[values[0, 0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].max() for j in (0, 2)] for i in (0, 2)]
    np.testing.assert_array_equal(y.data[0, 0], expected)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pooling_in_float32_and_float16(count_include_pad):
    values = np.random.default_rng(0).normal(size=(2, 3, 7, 6)).astype("float32")
    settings = {"stride": 2, "padding": 1, "count_include_pad": count_include_pad}
    ours, theirs = pool_both("avg_pool2d", values, 3, **settings)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    half = F.avg_pool2d(np.full((1, 1, 60, 60), 60_000, "float16"), 50)  # a sum that no float16 holds
    assert half.dtype == np.float16 and half.item() == 60_000


def test_the_average_of_whole_images(library):
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    x = md.Tensor(library.array(values), requires_grad=True)
    y = F.global_avg_pool2d(x)
    np.testing.assert_allclose(y.numpy(), values.mean(axis=(2, 3)))
    upstream = np.random.default_rng(1).normal(size=(2, 3))
    y.backward(library.array(upstream))
    np.testing.assert_allclose(library.numpy(x.grad), np.broadcast_to(upstream[:, :, None, None] / 20, values.shape))
    np.testing.assert_allclose(F.avg_pool2d(x, (4, 5)).flatten(1).numpy(), y.numpy())
    with pytest.raises(ShapeError, match="global_avg_pool2d: x has the wrong rank"):
        F.global_avg_pool2d(x[0])


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_bad_input(name):
    function, x = getattr(F, name), np.zeros((1, 1, 4, 4), "float32")
    for call, kind, text in (
        (lambda: function(x, 2, padding=2), ArgumentError, "too much padding(.|\n)*half of the kernel"),
        (lambda: function(x, (4, 2), padding=(2, 2)), ArgumentError, "too much padding"),
        (lambda: function(x, 2, padding=-1), ArgumentError, "bad padding"),
        (lambda: function(x, 2, padding="same"), ArgumentError, "bad padding"),
        (lambda: function(x, 0), ArgumentError, "bad kernel_size"),
        (lambda: function(x, 2, 0), ArgumentError, "bad stride"),
        (lambda: function(x, 7, padding=1), ShapeError, "does not fit"),
        (lambda: function(x[0], 2), ShapeError, "wrong rank"),
        (lambda: function(x[:0], 2), ShapeError, "empty batch"),
    ):
        with pytest.raises(kind, match=f"{name}: .*{text}"):
            call()


def test_averages_of_integers_are_refused():
    """uint8 sums wrap around: 200 + 200 is 144."""
    with pytest.raises(DTypeError, match=r"avg_pool2d: not floating-point(.|\n)*astype"):
        F.avg_pool2d(np.full((1, 1, 2, 2), 200, "uint8"), 2)
