"""What has no gradient: // % divmod, & | ^ ~, argmax and argmin; powers of integers; and squeeze, unsqueeze, split."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, GraphError, MinidropError, ShapeError

F = md.functional
rng = np.random.default_rng(0)
FLOATS = rng.normal(size=(3, 4)) * 5
WHOLE = rng.integers(-9, 9, size=(3, 4))
DIVISOR = rng.choice([-3, -2, 1, 2, 4], size=4)


class TestDivisionRoundedDown:
    @pytest.mark.parametrize("function", [operator.floordiv, operator.mod])
    @pytest.mark.parametrize(
        ("a", "b"), [(FLOATS, DIVISOR * 1.5), (WHOLE, DIVISOR), (FLOATS.astype("float32"), FLOATS[0].astype("float32"))]
    )
    def test_as_in_numpy_and_pytorch(self, library, function, a, b):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        ours = function(md.Tensor(library.array(a)), md.Tensor(library.array(b)))
        assert ours.device == library.device and not ours.requires_grad and ours.is_leaf
        np.testing.assert_array_equal(ours.numpy(), function(a, b))
        np.testing.assert_allclose(ours.numpy(), function(torch.tensor(a), torch.tensor(b)).numpy(), rtol=1e-5)
        assert ours.dtype == a.dtype

    @pytest.mark.parametrize("function", [operator.floordiv, operator.mod])
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_large_quotients_small_divisors_and_zeros(self, library, function, dtype):
        """CuPy's own operators start from the rounded quotient."""
        a = np.array([6e4, 1, -1, 0.3, -0.3, 7, -7, 1, 0, 5, -5, 3], dtype)
        b = np.array([0.1, 0.1, 0.1, 0.1, -0.1, -2, 2, 0, 3, np.inf, np.inf, np.nan], dtype)
        with np.errstate(all="ignore"):
            expected = function(a, b)
        np.testing.assert_array_equal(function(md.Tensor(library.array(a)), md.Tensor(library.array(b))).numpy(), expected)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(function(md.Tensor(library.array(a)), 0.1).numpy(), function(a, 0.1))
            np.testing.assert_array_equal(function(5.0, md.Tensor(library.array(b))).numpy(), function(5.0, b))

    def test_numbers_lists_and_both_sides(self, library):
        x = md.Tensor(library.array(WHOLE))
        np.testing.assert_array_equal((x // 4).numpy(), WHOLE // 4)
        np.testing.assert_array_equal((x % [2, 3, 4, 5]).numpy(), WHOLE % [2, 3, 4, 5])
        y = md.Tensor(library.array(DIVISOR))
        np.testing.assert_array_equal((7 // y).numpy(), 7 // DIVISOR)
        np.testing.assert_array_equal((7 % y).numpy(), 7 % DIVISOR)
        for ours, theirs in zip(divmod(x, y) + divmod(9, y), divmod(WHOLE, DIVISOR) + divmod(9, DIVISOR), strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs)
        assert (md.Tensor([7.5]) // 2).dtype == np.float32

    def test_a_gradient_is_refused_not_lost(self):
        x, y = md.Tensor([5.0, -5.0], requires_grad=True), md.Tensor([3.0, 3.0], requires_grad=True)
        calls = (lambda: x // 2, lambda: 2 // x, lambda: y.detach() // x, lambda: x % 2, lambda: 2 % x, lambda: divmod(x, 2))
        for call in calls:
            with pytest.raises(GraphError, match=r"requires a gradient(.|\n)*expected(.|\n)*got(.|\n)*help"):
                call()
            with md.no_grad():
                call()
        rest = x - y * (x.detach() // y.detach())  # what the message says
        np.testing.assert_array_equal(rest.data, [2, 1])
        rest.backward([1.5, 2.5])
        assert x.grad.tolist() == [1.5, 2.5] and y.grad.tolist() == [-1.5, 5]
        assert md.gradcheck(lambda x, y: x - y * (x.detach() // y.detach()), [np.array([5.0, -5.0]), np.array([3.0, 3.0])])

    def test_by_zero(self, library):
        x = md.Tensor(library.array(WHOLE))
        for call in (lambda: x // 0, lambda: x % 0, lambda: 1 // (x * 0), lambda: x // library.array(np.array([1, 0, 1, 1]))):
            with pytest.raises(ArgumentError, match="an integer divided by 0"):
                call()
        assert np.isinf((md.Tensor(library.array(FLOATS)) // 0).numpy()).all()  # IEEE, without a warning

    def test_operands_as_for_every_op(self, library):
        x = md.Tensor(library.array(WHOLE))
        with pytest.raises(ShapeError, match="//: shapes that do not broadcast"):
            x // library.array(np.ones(3, int))
        with pytest.raises(DTypeError, match="%: operands of different number types"):
            x % library.array(np.ones(4))


class TestBits:
    @pytest.mark.parametrize("function", [operator.and_, operator.or_, operator.xor])
    def test_of_bools_and_of_integers(self, library, function):
        for a, b in ((WHOLE > 0, DIVISOR > 1), (WHOLE, DIVISOR)):
            ours = function(md.Tensor(library.array(a)), md.Tensor(library.array(b)))
            np.testing.assert_array_equal(ours.numpy(), function(a, b))
            assert ours.dtype == a.dtype and ours.device == library.device
            np.testing.assert_array_equal(function(md.Tensor(library.array(a)), b.tolist()).numpy(), function(a, b))
            np.testing.assert_array_equal(function(library.array(a), md.Tensor(library.array(b))).numpy(), function(a, b))
        np.testing.assert_array_equal(function(True, md.Tensor(library.array(WHOLE > 0))).numpy(), function(True, WHOLE > 0))

    def test_not(self, library):
        np.testing.assert_array_equal((~md.Tensor(library.array(WHOLE > 0))).numpy(), WHOLE <= 0)
        np.testing.assert_array_equal((~md.Tensor(library.array(WHOLE))).numpy(), ~WHOLE)

    def test_a_range_as_in_numpy(self):
        x = md.Tensor(FLOATS, requires_grad=True)
        inside = (x > -1) & ~(x > 2)
        np.testing.assert_array_equal(inside.data, (FLOATS > -1) & (FLOATS <= 2))

    def test_floats_are_refused_with_the_usual_cause(self):
        x = md.Tensor(FLOATS)
        for call in (lambda: x > -1 & x < 2, lambda: x & True, lambda: (x > 0) | x, lambda: ~x, lambda: [0.5] ^ (x > 0)):
            with pytest.raises(DTypeError, match=r"not bools or integers(.|\n)*float(.|\n)*\(x > 0\) & \(x < 1\)"):
                call()


class TestPlaces:
    @pytest.mark.parametrize("name", ["argmax", "argmin"])
    @pytest.mark.parametrize("axis", [None, 0, 1, -1])
    @pytest.mark.parametrize("keepdims", [False, True])
    def test_as_in_pytorch(self, library, name, axis, keepdims):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values = rng.integers(0, 3, size=(4, 5)).astype("float32")  # with ties
        x = md.Tensor(library.array(values), requires_grad=True)
        ours = getattr(x, name)(axis=axis, keepdims=keepdims)
        theirs = getattr(np, name)(values, axis=axis, keepdims=keepdims)
        assert ours.shape == getattr(torch, name)(torch.tensor(values), dim=axis, keepdim=keepdims).shape
        assert ours.dtype == np.int64 and ours.device == library.device and not ours.requires_grad
        np.testing.assert_array_equal(ours.numpy(), theirs)
        np.testing.assert_array_equal(getattr(F, name)(x, axis, keepdims).numpy(), theirs)

    def test_edges(self):
        assert md.Tensor(3.0).argmax().item() == 0
        assert md.Tensor([1.0, np.nan, 2.0]).argmax().item() == md.Tensor([1.0, np.nan, 2.0]).argmin().item() == 1
        assert md.Tensor(np.zeros((0, 3))).argmax(axis=1).shape == (0,)
        for call in (lambda: md.Tensor(np.zeros((0, 3))).argmax(axis=0), lambda: md.Tensor(np.zeros((0, 3))).argmin()):
            with pytest.raises(ShapeError, match="too few elements"):
                call()
        with pytest.raises(ArgumentError, match="argmax: bad axis"):
            md.Tensor(FLOATS).argmax(axis=(0, 1))


class TestPowersOfIntegers:
    def test_negative_ones_are_refused(self, library):
        x = md.Tensor(library.array(np.array([1, 2, 3])))
        minus = library.array(np.array([1, -2, 0]))
        for call in (lambda: x**-2, lambda: x**minus, lambda: x ** [0, 1, -1], lambda: 2 ** md.Tensor(minus), lambda: True**-x):
            with pytest.raises(ArgumentError, match=r"Pow: an integer to a negative power(.|\n)*astype"):
                call()
        with pytest.raises(ArgumentError, match="negative power"):
            md.Tensor(library.array(np.array([True]))) ** -1

    def test_all_others_are_not(self, library):
        x = md.Tensor(library.array(np.array([1, 2, 4])))
        np.testing.assert_array_equal((x**2).numpy(), [1, 4, 16])
        np.testing.assert_array_equal((x**0).numpy(), [1, 1, 1])
        np.testing.assert_array_equal((x**-2.0).numpy(), [1, 0.25, 0.0625])
        np.testing.assert_array_equal((2**x).numpy(), [2, 4, 16])
        np.testing.assert_array_equal((2.0 ** (x * -1)).numpy(), [0.5, 0.25, 0.0625])
        np.testing.assert_array_equal((x.astype("float32") ** -2).numpy(), [1, 0.25, 0.0625])


class TestShapes:
    def test_squeeze_and_unsqueeze(self):
        x = md.Tensor(rng.normal(size=(1, 3, 1, 2)), requires_grad=True)
        assert [x.squeeze().shape, x.squeeze(0).shape, x.squeeze(-2).shape, x.squeeze((0, 2)).shape] == [
            (3, 2), (3, 1, 2), (1, 3, 2), (3, 2),
        ]  # fmt: skip
        assert [x.unsqueeze(i).shape for i in (0, 2, -1, -5)] == [
            (1, 1, 3, 1, 2),
            (1, 3, 1, 1, 2),
            (1, 3, 1, 2, 1),
            (1, 1, 3, 1, 2),
        ]
        assert F.squeeze(F.unsqueeze(md.Tensor(2.0), 0)).shape == ()
        assert md.gradcheck(lambda x: (x.squeeze(2).unsqueeze(1) * x).squeeze((0,)), x.data)
        for call, kind in (
            (lambda: x.squeeze(1), ShapeError),
            (lambda: x.squeeze(4), ShapeError),
            (lambda: x.unsqueeze(5), ShapeError),
            (lambda: x.unsqueeze(None), ArgumentError),
        ):
            with pytest.raises(kind, match=r"squeeze(.|\n)*expected(.|\n)*got"):
                call()

    @pytest.mark.parametrize(("sizes", "axis"), [(2, 0), (3, 1), (5, 0), ([1, 0, 4], 0), ((2, 1), -1), (100, 1)])
    def test_split_as_in_pytorch(self, library, sizes, axis):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values, factors = rng.normal(size=(5, 3)), rng.normal(size=10)
        x = md.Tensor(library.array(values), requires_grad=True)
        theirs = torch.tensor(values, requires_grad=True)
        ours, expected = x.split(sizes, axis=axis), theirs.split(sizes, dim=axis)
        assert isinstance(ours, tuple) and [one.shape for one in ours] == [tuple(one.shape) for one in expected]
        sum(factor * one.sum() for factor, one in zip(factors, ours, strict=False)).backward()
        sum(factor * one.sum() for factor, one in zip(factors, expected, strict=False)).backward()
        np.testing.assert_allclose(library.numpy(x.grad), theirs.grad.numpy())
        assert [one.shape for one in F.split(x, sizes, axis)] == [one.shape for one in ours]

    def test_split_edges(self):
        assert [one.shape for one in md.Tensor(np.zeros((0, 2))).split(3)] == [(0, 2)]
        for sizes in (0, -1, [1, 1], [6, -1], "2", None, 1.5, [], [2.0, 3.0]):
            with pytest.raises(ShapeError, match=r"split: bad sizes(.|\n)*add up to 5"):
                md.Tensor(np.zeros((5, 2))).split(sizes)
        with pytest.raises(MinidropError, match="split"):
            md.Tensor(1.0).split(1)
