"""New tensors from a shape."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DeviceError, DTypeError, MinidropError


def test_zeros_ones_full(library):
    for make, value in ((md.zeros, 0), (md.ones, 1), (lambda *shape, **options: md.full(shape, 2.5, **options), 2.5)):
        x = make(2, 3, device=library.device)
        assert x.shape == (2, 3) and x.dtype == np.float32 and x.device == library.device and not x.requires_grad
        np.testing.assert_array_equal(x.numpy(), np.full((2, 3), value))
        assert make(2, 3, dtype="float64", device=library.device, requires_grad=True).requires_grad
    assert md.zeros((2, 3)).shape == md.zeros([2, 3]).shape == (2, 3)
    assert md.zeros().shape == md.ones(()).shape == () and md.zeros(0).shape == (0,) and md.full(2, 1).shape == (2,)
    assert md.ones(2, dtype="int64").data.tolist() == [1, 1] and md.ones(2, dtype=bool).data.tolist() == [True, True]


def test_like(library):
    image = md.Tensor(library.array(np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")).transpose(2, 0, 1))
    for make, value in ((md.zeros_like, 0), (md.ones_like, 1)):
        x = make(image)
        assert (x.shape, x.dtype, x.device) == (image.shape, image.dtype, library.device)
        np.testing.assert_array_equal(x.numpy(), np.full(image.shape, value))
        assert make(image, dtype="int32").dtype == np.int32 and make(image, requires_grad=True).requires_grad
    assert md.zeros_like(image).data.strides == image.data.strides


def test_random_numbers_come_from_one_generator(library):
    md.manual_seed(3)
    first = md.randn(100, 50, device=library.device)
    md.manual_seed(3)
    np.testing.assert_array_equal(md.randn((100, 50)).numpy(), first.numpy())  # on every device the same
    assert first.dtype == np.float32 and abs(first.numpy().mean()) < 0.05 and abs(first.numpy().std() - 1) < 0.05
    np.testing.assert_array_equal(
        md.randn(5, generator=md.Generator(1), dtype="float64").numpy(), md.Generator(1).normal(5, "float64")
    )
    x = md.rand(4, 500, device=library.device, requires_grad=True, generator=md.Generator(2))
    np.testing.assert_array_equal(x.numpy(), md.Generator(2).uniform((4, 500)))
    assert x.requires_grad and x.device == library.device and 0 <= x.numpy().min() < x.numpy().max() < 1
    before = md.default_generator().counter
    with pytest.raises(MinidropError):
        md.randn(3, device="gpu")
    assert md.default_generator().counter == before  # nothing is drawn before an error


@pytest.mark.parametrize(
    "arguments",
    [
        (5,),
        (0,),
        (2, 7),
        (7, 2),
        (7, 2, -2),
        (1, 10, 4),
        (-3, 3),
        (np.int32(4),),
        (2.5,),
        (0, 1, 0.25),
        (1, 0, -0.3),
        (0.5, 3.5),
    ],
)
def test_arange_as_in_numpy(library, arguments):
    x = md.arange(*arguments, device=library.device)
    expected = np.arange(*arguments)
    assert x.dtype == ("int64" if expected.dtype.kind == "i" else "float32") and x.device == library.device
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
    assert md.arange(*arguments, dtype="float64").numpy().dtype == np.float64


def test_arange_gives_indices():
    x = md.Tensor(np.arange(12.0).reshape(3, 4))
    assert x[md.arange(3), md.arange(3)].data.tolist() == [0, 5, 10]
    assert md.arange(3, dtype="float32", requires_grad=True).requires_grad


def test_bad_input():
    for call, kind, text in (
        (lambda: md.zeros(-1), ArgumentError, r"zeros: bad shape(.|\n)*zeros\(2, 3\)"),
        (lambda: md.ones(2.0), ArgumentError, "ones: bad shape"),
        (lambda: md.randn("2"), ArgumentError, "randn: bad shape"),
        (lambda: md.zeros(2, dtype="complex64"), DTypeError, "zeros: bad dtype"),
        (lambda: md.zeros(2, dtype="real"), DTypeError, "zeros: bad dtype"),
        (lambda: md.randn(2, dtype="int64"), DTypeError, "randn: bad dtype"),
        (lambda: md.rand(2, dtype="float16"), ArgumentError, "float32 or float64"),
        (lambda: md.zeros(2, dtype="int64", requires_grad=True), DTypeError, "only floating-point tensors can have gradients"),
        (lambda: md.zeros(2, device="gpu"), ArgumentError, "unknown device"),
        (lambda: md.arange(0, 5, 0), ArgumentError, "arange: bad range"),
        (lambda: md.arange(0, float("inf")), ArgumentError, "arange: bad range"),
        (lambda: md.arange("5"), ArgumentError, "arange: bad bound or step"),
        (lambda: md.full(2, md.ones(2)), ArgumentError, "full: bad value"),
    ):
        with pytest.raises(kind, match=text):
            call()


def test_a_gpu_that_is_not_there(cupy):
    for make in (md.zeros, md.randn, md.rand, md.arange):
        with pytest.raises(DeviceError, match="that GPU is missing"):
            make(3, device="cuda:7")


@pytest.mark.parametrize(("value", "dtype"), [(300, "uint8"), (-1, "uint8"), (1e20, "int8"), (0.5, "int64"), (2**64, "int64")])
def test_full_refuses_what_the_type_cannot_hold(value, dtype):
    with pytest.raises(ArgumentError, match=r"full: bad value(.|\n)*an integer from"):
        md.full(2, value, dtype=dtype)


def test_full_keeps_every_digit():
    assert md.full(1, 2**53 + 1, dtype="int64").data[0] == 2**53 + 1


@pytest.mark.parametrize("dtype", [None, "foo", "int64", object()])
def test_layers_are_of_floating_point_numbers(dtype):
    for make in (
        lambda: md.nn.Dense(2, 3, dtype=dtype),
        lambda: md.nn.Conv2d(2, 3, 1, dtype=dtype),
        lambda: md.nn.LayerNorm(3, dtype=dtype),
        lambda: md.nn.BatchNorm1d(3, dtype=dtype),
        lambda: md.nn.Embedding(3, 2, dtype=dtype),
        lambda: md.rand(2, dtype=dtype),
    ):
        with pytest.raises(DTypeError, match=r"bad dtype(.|\n)*float32"):
            make()


@pytest.mark.parametrize("generator", [5, np.random.default_rng(0)])
def test_the_generator_is_minidrops(generator):
    for make in (md.rand, md.randn):
        with pytest.raises(ArgumentError, match=r"bad generator(.|\n)*md\.Generator"):
            make(2, generator=generator)
