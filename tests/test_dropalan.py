"""DropAlan, exactly: the distributions, the training output, its gradient, inference, and every edge."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import AnomalyError, ArgumentError, ShapeError

F = md.functional
NAN, INF = np.nan, np.inf


def z_of(library, *values, dtype="float32"):
    return md.Tensor(library.array(np.array(values, dtype=dtype)), requires_grad=True)


def published(z, p_max=0.999):
    """The drop probability as the paper lists it (section III.A), in NumPy: for z != 0."""
    return np.clip(1.0 + 0.2 / z, 0.8, p_max) * np.sign(np.maximum(-1 * z, 0))


class TestDistributions:
    GRID = np.array([-1e30, -400.0, -20.0, -2.0, -1.0, -0.999, -0.5, -1e-30, 1e-30, 0.5, 1.0, 1e30])

    def test_alpha_by_the_formula(self, library):
        p = F.drop_probability(library.array(np.array([-7.0, -1.0, -0.5, -0.25, 0.0, 0.3])), "alpha")
        np.testing.assert_allclose(library.numpy(p), [0.8, 0.8, 0.4, 0.2, 0, 0], rtol=1e-15)

    def test_beta_by_the_formula(self, library):
        p = F.drop_probability(library.array(np.array([-500.0, -20.0, -2.0, -1.0, -0.5, -1e-9, 0.0, 3.0])), "beta")
        np.testing.assert_allclose(library.numpy(p), [0.999, 0.99, 0.9, 0.8, 0.8, 0.8, 0, 0], rtol=1e-15)

    @pytest.mark.parametrize("p_max", [0.95, 0.999])
    def test_beta_is_the_published_listing(self, p_max):
        np.testing.assert_allclose(F.drop_probability(self.GRID, md.Beta(p_max=p_max)), published(self.GRID, p_max), rtol=1e-15)

    def test_alpha_is_the_published_listing(self):
        np.testing.assert_allclose(F.drop_probability(self.GRID, md.Alpha()), np.clip(self.GRID * -0.8, 0, 0.8), rtol=1e-15)

    @pytest.mark.parametrize("distribution", [md.Alpha(), md.Beta(), md.Beta(p_max=1.0), md.Beta(0.5, 0.3), md.Alpha(0.0, 1.0)])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_edges(self, distribution, dtype, library):
        values = library.array(np.array([0.0, -0.0, -1.0, INF, -INF, NAN, -1e38, 1e38], dtype=dtype))
        p = library.numpy(F.drop_probability(values, distribution))
        assert p.dtype == dtype
        assert p[0] == p[1] == 0 and p[3] == 0 and p[7] == 0 and np.isnan(p[5])
        lowest = distribution.limit if isinstance(distribution, md.Alpha) else distribution.p_max
        if distribution.__dict__.get("slope") != 0:
            np.testing.assert_allclose(p[[4, 6]], lowest, rtol=1e-6)
        slope = library.numpy(distribution.derivative(values))
        assert np.isfinite(slope[[0, 1, 2, 3, 4, 6, 7]]).all()

    @pytest.mark.parametrize("distribution", [md.Alpha(), md.Beta(), md.Alpha(0.5, 0.3), md.Beta(0.4, 0.9)])
    def test_derivative_is_the_slope_of_the_probability(self, distribution):
        z = np.array([-300.0, -30.0, -3.3, -1.3, -0.8, -0.31, 0.4])
        h = 1e-6
        quotient = (distribution.drop_probability(z + h) - distribution.drop_probability(z - h)) / (2 * h)
        np.testing.assert_allclose(distribution.derivative(z), quotient, atol=1e-8)

    def test_probabilities_lie_between_0_and_1_and_rise_as_z_falls(self):
        z = np.linspace(-50, 5, 5001)
        for distribution in (md.Alpha(), md.Beta(), md.Beta(0.9, 1.0), md.Alpha(3.0, 1.0)):
            p = F.drop_probability(z, distribution)
            assert (p >= 0).all() and (p <= 1).all() and (np.diff(p) <= 1e-15).all()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: md.Alpha(slope=-1),
            lambda: md.Alpha(slope=INF),
            lambda: md.Alpha(limit=1.1),
            lambda: md.Beta(c=2),
            lambda: md.Beta(p_max=NAN),
        ],
    )
    def test_bad_parameters(self, make):
        with pytest.raises(ArgumentError, match="bad"):
            make()

    def test_lists_integers_and_tensors_are_taken_too(self):
        np.testing.assert_allclose(F.drop_probability([-2, 1], "beta"), [0.9, 0], rtol=1e-6)
        np.testing.assert_allclose(F.drop_probability(md.Tensor([-2.0]), "alpha"), [0.8], rtol=1e-6)


class TestTraining:
    Z = (-30.0, -2.0, -0.5, 0.5, 3.0)
    MASK = (1, 1, 1, 1, 0)

    def test_unscaled(self, library):
        z = z_of(library, *self.Z, dtype="float64")
        y = F.dropalan(z, "beta", mask=library.array(np.array(self.MASK)))
        np.testing.assert_array_equal(library.numpy(y.data), [-30, -2, -0.5, 0.5, 0])
        y.backward(library.array(np.arange(1.0, 6)))
        np.testing.assert_array_equal(library.numpy(z.grad), [1, 2, 3, 4, 0])

    def test_scaled_beta_is_minus_5_z_squared_with_slope_minus_10_z(self, library):
        z = z_of(library, *self.Z, dtype="float64")
        y = F.dropalan(z, "beta", scaled=True, mask=library.array(np.array(self.MASK)))
        np.testing.assert_allclose(library.numpy(y.data), [-5 * 900, -20, -2.5, 0.5, 0], rtol=1e-12)
        y.backward(library.array(np.array([1.0, 2, 3, 4, 5])))
        np.testing.assert_allclose(library.numpy(z.grad), [300, 2 * 20, 3 * 5, 4, 0], rtol=1e-12)

    def test_scaled_detached_holds_k_constant(self, library):
        z = z_of(library, *self.Z, dtype="float64")
        y = F.dropalan(z, "beta", scaled=True, scale_gradient="detach", mask=library.array(np.array(self.MASK)))
        y.backward(library.array(np.ones(5) * 2))
        np.testing.assert_allclose(library.numpy(z.grad), [2 * 150, 2 * 10, 2 * 5, 2, 0], rtol=1e-12)

    def test_beyond_the_clip_the_slope_is_constant(self):
        z = md.Tensor(np.array([-400.0, -1e6]), requires_grad=True)
        F.dropalan(z, "beta", scaled=True, mask=np.ones(2)).sum().backward()
        np.testing.assert_allclose(z.grad, [1000, 1000], rtol=1e-9)

    @pytest.mark.parametrize("distribution", ["alpha", "beta"])
    def test_expectations(self, distribution):
        """E[z theta] = z k(z), E[z theta / k(z)] = z: within 5 standard errors of 20,000 draws, at several z."""
        draws = 20_000
        for z in (-3.0, -1.0, -0.6, 0.7):
            k = 1 - float(F.drop_probability(np.array([z]), distribution)[0])
            column = md.Tensor(np.full(draws, z))
            for scaled, mean, deviation in (
                (False, z * k, abs(z) * np.sqrt(k * (1 - k))),
                (True, z, abs(z) * np.sqrt((1 - k) / k)),
            ):
                y = F.dropalan(column, distribution, scaled=scaled, generator=md.Generator(1)).data
                assert abs(y.mean() - mean) <= 5 * deviation / np.sqrt(draws) + 1e-12

    def test_the_mask_is_drawn_with_probability_k(self):
        z = np.random.default_rng(0).normal(size=50_000) * 2
        _, mask = F.dropalan(md.Tensor(z), "beta", generator=md.Generator(0), return_mask=True)
        keep = 1 - F.drop_probability(z, "beta")
        assert set(np.unique(mask)) <= {0, 1}
        assert (mask[z >= 0] == 1).all()
        error = np.sqrt((keep * (1 - keep)).sum())
        assert abs(mask.sum() - keep.sum()) < 4 * error

    def test_a_returned_mask_passed_in_again_gives_the_same(self, library):
        z = z_of(library, *np.random.default_rng(0).normal(size=1000))
        y, mask = F.dropalan(z, "alpha", scaled=True, generator=md.Generator(5), return_mask=True)
        again = F.dropalan(z, "alpha", scaled=True, mask=mask)
        np.testing.assert_array_equal(library.numpy(y.data), library.numpy(again.data))

    def test_same_seed_same_mask_on_every_library(self, library):
        z = np.random.default_rng(0).normal(size=(37, 11)).astype("float32")
        _, mask = F.dropalan(md.Tensor(library.array(z)), generator=md.Generator(9), return_mask=True)
        _, on_numpy = F.dropalan(md.Tensor(z), generator=md.Generator(9), return_mask=True)
        np.testing.assert_array_equal(library.numpy(mask), on_numpy)


class TestInference:
    def test_identity_is_the_published_behaviour(self):
        z = md.Tensor([-3.0, -0.5, 2.0])
        for scaled in (False, True):
            assert F.dropalan(z, scaled=scaled, training=False) is z

    def test_expectation(self, library):
        z = z_of(library, -3.0, -0.5, 2.0, dtype="float64")
        y = F.dropalan(z, "beta", inference="expectation", training=False)
        np.testing.assert_allclose(library.numpy(y.data), [-0.2, -0.1, 2.0])
        y.backward(library.array(np.array([1.0, 2.0, 3.0])))
        np.testing.assert_allclose(library.numpy(z.grad), [0, 0.4, 3], atol=1e-15)
        assert F.dropalan(z, "beta", scaled=True, inference="expectation", training=False) is z

    def test_mask_at_inference_is_all_ones(self):
        _, mask = F.dropalan(md.Tensor([-3.0, 2.0]), training=False, return_mask=True)
        np.testing.assert_array_equal(mask, [1, 1])

    def test_expectation_is_ignored_in_training(self):
        z = md.Tensor([-3.0])
        assert F.dropalan(z, inference="expectation", mask=[1.0]).item() == -3


class TestEdges:
    """z = 0, -1, +-inf, NaN; p_max = 1; k = 0. No warning (they are errors in this suite), no NaN out of a finite number."""

    EDGES = (0.0, -0.0, -1.0, INF, -INF, NAN, -1e38, 1e38, -1e-38)

    @pytest.mark.parametrize(
        "distribution", [md.Alpha(), md.Beta(), md.Beta(p_max=1.0), md.Beta(c=0.0, p_max=1.0), md.Alpha(1, 1)]
    )
    @pytest.mark.parametrize("scaled", [False, True])
    @pytest.mark.parametrize("gradient", ["through", "detach"])
    @pytest.mark.parametrize("mask", [None, 0, 1])
    def test_everything_is_defined(self, distribution, scaled, gradient, mask, library):
        z = z_of(library, *self.EDGES)
        given = None if mask is None else library.array(np.full(len(self.EDGES), mask))
        y, theta = F.dropalan(z, distribution, scaled, gradient, mask=given, generator=md.Generator(0), return_mask=True)
        y.backward(library.array(np.linspace(1, 2, len(self.EDGES)).astype("float32")))
        z, y, grad, theta = (library.numpy(a) for a in (z.data, y.data, z.grad, theta))
        finite = np.isfinite(z)
        assert not np.isnan(y[finite]).any() and not np.isnan(grad[finite]).any()
        assert np.isfinite(grad[:3]).all()
        assert not np.isnan(y[3]) and not np.isnan(y[4])  # at +-inf: 0 or an infinity
        assert (y[theta == 0] == 0).all()
        if mask != 0:
            assert y[3] == INF and np.isnan(y[5]) and (mask == 1 or theta[5] == 1)

    def test_z_exactly_0_has_gradient_1_when_kept(self, library):
        for scaled in (False, True):
            z = z_of(library, 0.0, -0.0)
            F.dropalan(z, "beta", scaled=scaled).backward(library.array(np.array([3.0, -2.0], dtype="float32")))
            np.testing.assert_array_equal(library.numpy(z.grad), [3, -2])

    def test_k_of_0_gives_0_whatever_the_mask(self):
        z = md.Tensor([-1e30, -INF], requires_grad=True)
        y = F.dropalan(z, md.Beta(p_max=1.0), scaled=True, mask=[1.0, 1.0])
        y.backward([1.0, 1.0])
        np.testing.assert_array_equal(y.data, [0, 0])
        np.testing.assert_array_equal(z.grad, [0, 0])

    def test_expectation_at_infinity(self):
        y = F.dropalan(md.Tensor([-INF, INF]), md.Beta(p_max=1.0), inference="expectation", training=False)
        np.testing.assert_array_equal(y.data, [0, INF])

    def test_zero_size(self, library):
        z = md.Tensor(library.array(np.zeros((0, 3))), requires_grad=True)
        F.dropalan(z, scaled=True).backward(library.array(np.zeros((0, 3))))
        assert z.grad.shape == (0, 3)


def composed(z, theta, p_max=0.999):
    """The scaled layer from elementary ops, as published."""
    rate = (1.0 + 0.2 / z).clip(0.8, p_max) * md.Tensor(np.sign(np.maximum(-z.data, 0)))
    return z * theta / (1 - rate)


class TestAsPublished:
    """The same layer composed from elementary operations dies at an exact 0; the explicit op does not."""

    def test_they_agree_away_from_0(self):
        values = np.array([-30.0, -2.0, -0.5, 0.7])
        ours, theirs = md.Tensor(values, requires_grad=True), md.Tensor(values, requires_grad=True)
        upstream = np.array([0.3, -1.0, 2.0, 1.5])
        y = F.dropalan(ours, "beta", scaled=True, mask=np.ones(4))
        expected = composed(theirs, np.ones(4))
        np.testing.assert_allclose(y.data, expected.data, rtol=1e-12)
        y.backward(upstream)
        expected.backward(upstream)
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-10)

    def test_the_composed_layer_survives_forward_and_gives_nan_backward(self):
        z = md.Tensor(np.array([-2.0, 0.0, 0.5]), requires_grad=True)
        y = composed(z, np.ones(3))
        assert np.isfinite(y.data).all()
        y.backward(np.ones(3))
        assert np.isnan(z.grad[1]) and np.isfinite(z.grad[[0, 2]]).all()

    def test_detect_anomaly_names_the_division(self):
        z = md.Tensor(np.array([-2.0, 0.0, 0.5]), requires_grad=True)
        with md.detect_anomaly(), pytest.raises(AnomalyError, match=r"Div: the output is not finite(.|\n)*0\.2 / z"):
            composed(z, np.ones(3))
        y = composed(z, np.ones(3))
        with md.detect_anomaly(), pytest.raises(AnomalyError, match="Div: the gradient is not finite"):
            y.backward(np.ones(3))
        with md.detect_anomaly():
            F.dropalan(z, "beta", scaled=True).backward(np.ones(3))
        assert np.isfinite(z.grad).all()


class TestOwnDistribution:
    class Step:
        """Drop half of all negative z."""

        def drop_probability(self, z):
            return 0.5 * (z < 0).astype(z.dtype)

    class Line(Step):
        def drop_probability(self, z):
            return np.clip(-z / 10, 0, 0.9)

        def derivative(self, z):
            return -0.1 * ((z < 0) & (z > -9))

    def test_one_small_class_is_enough(self, library):
        z = z_of(library, -2.0, -1.0, 3.0)
        y = F.dropalan(z, self.Step(), scaled=True, scale_gradient="detach", mask=library.array(np.array([1, 0, 1])))
        np.testing.assert_array_equal(library.numpy(y.data), [-4, 0, 3])
        y.backward(library.array(np.ones(3, dtype="float32")))
        np.testing.assert_array_equal(library.numpy(z.grad), [2, 0, 1])
        assert md.nn.DropAlan(self.Step())(z).shape == (3,)

    def test_it_may_compute_in_float64(self):
        """numpy.where(z < 0, .5, 0) is float64, whatever z is."""

        class Plain:
            def drop_probability(self, z):
                return np.where(z < 0, 0.5, 0.0)

            def derivative(self, z):
                return np.zeros(z.shape)

        z = md.Tensor([-2.0, 3.0], requires_grad=True)
        y = F.dropalan(z, Plain(), scaled=True, mask=[1, 1])
        y.backward([1.0, 1.0])
        assert y.dtype == z.grad.dtype == np.float32
        np.testing.assert_array_equal(y.data, [-4, 3])
        scalar = F.dropalan(md.Tensor(-1.0), Plain(), inference="expectation", training=False)
        assert scalar.item() == -0.5 and isinstance(F.drop_probability(np.array(-1.0), Plain()), np.ndarray)

    def test_parameters_may_be_numpy_numbers(self):
        for distribution in (md.Beta(np.float64(0.2), np.float32(0.95)), md.Alpha(np.float64(0.5), np.float32(0.5))):
            assert F.dropalan(md.Tensor([-3.0]), distribution, scaled=True).dtype == np.float32

    def test_its_derivative_is_used_through_k(self):
        mask = np.array([1, 1, 0, 1])
        assert md.gradcheck(lambda z: F.dropalan(z, self.Line(), scaled=True, mask=mask), np.array([-3.0, -12, -5, 2]))
        function = lambda z: F.dropalan(z, self.Line(), inference="expectation", training=False)  # noqa: E731
        assert md.gradcheck(function, np.array([-3.0, -12, -5, 2]))

    def test_a_missing_derivative_is_an_error_before_any_work(self):
        z = md.Tensor([-1.0], requires_grad=True)
        with pytest.raises(ArgumentError, match="Step has no derivative"):
            F.dropalan(z, self.Step(), scaled=True)
        with md.no_grad():
            F.dropalan(md.Tensor([-1.0]), self.Step(), scaled=True)

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (lambda z: 2 * (z < 0).astype(z.dtype), "not a probability"),
            (lambda z: 0.5, "wrong result"),
            (lambda z: z[:1] * 0, "wrong result"),
            (lambda z: z < 0, "wrong result"),
        ],
    )
    def test_a_wrong_probability_is_an_error(self, result, message):
        class Wrong:
            def drop_probability(self, z):
                return result(z)

        with pytest.raises((ArgumentError, ShapeError), match=message):
            F.dropalan(md.Tensor([-1.0, 2.0]), Wrong())

    @pytest.mark.parametrize("bad", ["gamma", None, 3, md.Beta, object()])
    def test_what_is_no_distribution(self, bad):
        with pytest.raises(ArgumentError, match="bad distribution"):
            F.dropalan(md.Tensor([1.0]), bad)
        with pytest.raises(ArgumentError, match="bad distribution"):
            md.nn.DropAlan(bad)


class TestDropout:
    @pytest.mark.parametrize("rate", [0, 0.0, 0.3, 0.5, 1, 1.0])
    def test_masks_and_scale(self, rate, library):
        x = z_of(library, *np.linspace(-2, 2, 4000), dtype="float64")
        y, mask = F.dropout(x, rate, generator=md.Generator(0), return_mask=True)
        u = np.random.default_rng(0).normal(size=4000)
        y.backward(library.array(u))
        y, mask, grad, x = (library.numpy(a) for a in (y.data, mask, x.grad, x.data))
        assert set(np.unique(mask)) <= {0, 1}
        assert abs(mask.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 4000) + 1e-12
        scale = 1 / (1 - rate) if rate < 1 else 0
        np.testing.assert_allclose(y, x * mask * scale)
        np.testing.assert_allclose(grad, u * mask * scale)

    def test_rate_1_drops_even_what_the_mask_keeps(self):
        np.testing.assert_array_equal(F.dropout(md.Tensor([1.0, INF]), 1, mask=[1, 1]).data, [0, 0])

    def test_a_dropped_infinity_is_0(self):
        np.testing.assert_array_equal(F.dropout(md.Tensor([INF, NAN, 1.0]), 0.5, mask=[0, 0, 1]).data, [0, 0, 2])

    def test_identity_when_not_training(self):
        x = md.Tensor([1.0])
        assert F.dropout(x, 0.5, training=False) is x

    @pytest.mark.parametrize("rate", [-0.1, 1.1, NAN, "half", None, True])
    def test_bad_rates(self, rate):
        with pytest.raises(ArgumentError, match="bad rate"):
            F.dropout(md.Tensor([1.0]), rate)
        with pytest.raises(ArgumentError, match="bad rate"):
            md.nn.Dropout(rate)

    @pytest.mark.parametrize("function", [lambda x, **kw: F.dropout(x, 0.5, **kw), F.dropalan])
    def test_bad_masks(self, function):
        x = md.Tensor([1.0, 2.0])
        with pytest.raises(ShapeError, match="the mask does not fit"):
            function(x, mask=[1.0])
        with pytest.raises(ArgumentError, match="1 for kept, 0 for dropped"):
            function(x, mask=[1.0, 0.5])

    def test_bool_and_integer_masks(self):
        x = md.Tensor([1.0, 2.0])
        for mask in ([True, False], np.array([1, 0]), md.Tensor([1.0, 0.0])):
            np.testing.assert_array_equal(F.dropout(x, 0.5, mask=mask).data, [2, 0])

    def test_same_seed_same_mask_on_every_library(self, library):
        ones = np.ones((33, 7), dtype="float32")
        _, mask = F.dropout(md.Tensor(library.array(ones)), 0.4, generator=md.Generator(3), return_mask=True)
        _, on_numpy = F.dropout(md.Tensor(ones), 0.4, generator=md.Generator(3), return_mask=True)
        np.testing.assert_array_equal(library.numpy(mask), on_numpy)

    def test_the_mask_does_not_depend_on_memory_order_or_number_type(self):
        values = np.ones((4, 5, 6, 7))
        reordered = np.ones((6, 7, 4, 5)).transpose(2, 3, 0, 1)
        masks = [
            F.dropout(md.Tensor(array), 0.5, generator=md.Generator(0), return_mask=True)[1]
            for array in (values, reordered, values.astype("float32"))
        ]
        np.testing.assert_array_equal(masks[0], masks[1])
        np.testing.assert_array_equal(masks[0], masks[2])
