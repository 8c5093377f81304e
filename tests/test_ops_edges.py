"""Where several answers are possible: ties, kinks, NaN, extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from layouts import layouts

import minidrop as md
from minidrop.errors import ArgumentError, GraphError

F = md.functional
NAN, INF = np.nan, np.inf


def gradient(function, *arrays, upstream=None):
    tensors = [md.Tensor(np.array(array, dtype="float64"), requires_grad=True) for array in arrays]
    output = function(*tensors)
    output.backward(upstream)
    return tensors[0].grad if len(tensors) == 1 else [tensor.grad for tensor in tensors]


class TestTies:
    def test_max_and_min_share_the_gradient_in_equal_parts(self):
        np.testing.assert_array_equal(gradient(lambda x: x.max(), [3, 1, 3, 3], upstream=6.0), [2, 0, 2, 2])
        np.testing.assert_array_equal(gradient(lambda x: x.min(axis=0), [[1, 2], [1, 5]], upstream=[4, 8]), [[2, 8], [2, 0]])

    @given(data=st.data())
    def test_max_with_ties_agrees_with_pytorch_amax(self, data):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values = np.array(data.draw(st.lists(st.integers(0, 2), min_size=12, max_size=12)), dtype="float64").reshape(3, 4)
        axis = data.draw(st.sampled_from([0, 1, (0, 1)]))
        theirs = torch.tensor(values, requires_grad=True)
        out = theirs.amax(axis)
        upstream = np.random.default_rng(0).normal(size=tuple(out.shape))
        out.backward(torch.tensor(upstream))
        np.testing.assert_allclose(gradient(lambda x: x.max(axis=axis), values, upstream=upstream), theirs.grad.numpy())

    def test_maximum_and_minimum_share_by_halves(self):
        for function in (md.maximum, md.minimum):
            a, b = gradient(function, [1, 5, 2], [1, 5, 3], upstream=[2, 4, 6])
            np.testing.assert_array_equal(a + b, [2, 4, 6])
            np.testing.assert_array_equal(a[:2], [1, 2])

    @given(data=st.data())
    def test_the_first_maximum_of_a_window_takes_all_as_in_pytorch(self, data):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values = np.array(data.draw(st.lists(st.integers(0, 2), min_size=60, max_size=60)), dtype="float64").reshape(1, 2, 6, 5)
        kernel, stride = data.draw(st.sampled_from([(2, 2), (3, 1), (2, 1), ((2, 3), (1, 2)), (3, 3)]))
        theirs = torch.tensor(values, requires_grad=True)
        out = torch.nn.functional.max_pool2d(theirs, kernel, stride)
        upstream = np.random.default_rng(0).normal(size=tuple(out.shape))
        out.backward(torch.tensor(upstream))
        layout = data.draw(layouts)
        ours = md.Tensor(layout.unpack(np.array(layout.pack(values), order="C")), requires_grad=True)
        F.max_pool2d(ours, kernel, stride).backward(upstream)
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), atol=1e-14)

    def test_the_first_maximum_row_by_row(self):
        grad = gradient(lambda x: F.max_pool2d(x, 2), np.array([[[[1, 7], [7, 7]]]]), upstream=np.array([[[[5.0]]]]))
        np.testing.assert_array_equal(grad, [[[[0, 5], [0, 0]]]])


class TestKinks:
    def test_at_0(self):
        np.testing.assert_array_equal(gradient(lambda x: x.relu().sum(), [-1, 0, 1]), [0, 0, 1])
        np.testing.assert_array_equal(gradient(lambda x: x.abs().sum(), [-1, 0, 1]), [-1, 0, 1])
        np.testing.assert_array_equal(gradient(lambda x: x.elu(0.5).sum(), [0]), [0.5])

    def test_clip_passes_the_gradient_at_its_bounds(self):
        np.testing.assert_array_equal(gradient(lambda x: x.clip(-1, 1).sum(), [-2, -1, 0, 1, 2]), [0, 1, 1, 1, 0])

    def test_powers_at_0(self):
        np.testing.assert_array_equal(gradient(lambda x: (x**2).sum(), [0, 3]), [0, 6])
        np.testing.assert_array_equal(gradient(lambda x: (x**0).sum(), [0, 3]), [0, 0])
        a, b = gradient(lambda x, y: (x**y).sum(), [0, 0, 2], [0, 2, 3])
        np.testing.assert_array_equal(a, [0, 0, 12])
        np.testing.assert_allclose(b, [0, 0, 8 * np.log(2)])

    def test_std_of_equal_numbers_has_the_gradient_0(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values, upstream = np.array([[2.0, 2, 2], [1, 2, 4]]), np.array([1.5, -2.5])
        theirs = torch.tensor(values, requires_grad=True)
        theirs.std(dim=1).backward(torch.tensor(upstream))
        got = gradient(lambda x: x.std(axis=1, ddof=1), values, upstream=upstream)
        np.testing.assert_allclose(got, theirs.grad.numpy(), rtol=1e-12)
        assert (got[0] == 0).all() and np.isnan(gradient(lambda x: x.std(), [1, NAN])).all()

    def test_products_with_zeros(self):
        for values in ([2, 3, 4], [2, 0, 4], [0, 3, 0]):
            others = [np.prod(values[:i] + values[i + 1 :]) for i in range(3)]
            np.testing.assert_array_equal(gradient(lambda x: x.prod(), values, upstream=1.5), 1.5 * np.array(others))
        np.testing.assert_array_equal(gradient(lambda x: x.prod(), [[1e-200, 1e-200]]), [[1e-200, 1e-200]])
        assert md.Tensor(np.zeros((0, 2))).prod(axis=0).data.tolist() == [1, 1]
        assert md.Tensor(np.array([3, 4])).prod().dtype == np.int64

    def test_ieee_infinities(self):
        assert gradient(lambda x: x.sqrt().sum(), [0])[0] == INF
        assert gradient(lambda x: x.log().sum(), [0])[0] == INF
        assert gradient(lambda x: (1 / x).sum(), [0])[0] == -INF


class TestNothingIsLostInSilence:
    @pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
    def test_no_gradient_through_a_cast_to_a_type_without_one(self, library, kind):
        x = md.Tensor(library.array(np.array([1.7, 0.2])), requires_grad=True)
        y = x.astype(kind)
        assert not y.requires_grad and y.is_leaf and y.device == library.device and y.dtype == kind
        np.testing.assert_array_equal(y.numpy(), np.array([1.7, 0.2]).astype(kind))
        (x * y.astype("float64")).backward(library.array(np.array([2.7, 3.1])))
        np.testing.assert_allclose(library.numpy(x.grad), [2.7, 0 if kind != "bool" else 3.1])  # y is a constant

    def test_a_cast_to_integers_of_nan_warns_no_more_than_on_a_gpu(self):
        md.Tensor([NAN, INF]).astype("int32")  # a warning would be an error here

    def test_a_mask_or_statistics_that_require_a_gradient_are_refused(self):
        x, mask = md.Tensor([1.0, 2.0]), md.Tensor([1.0, 0.0], requires_grad=True)
        for function in (F.dropout, F.dropalan):
            extra = (0.5,) if function is F.dropout else ()
            with pytest.raises(GraphError, match="mask has no gradient here"):
                function(x, *extra, mask=mask)
            with md.no_grad():
                function(x, *extra, mask=mask)
            assert function(x, *extra, mask=mask.detach()).data[1] == 0
        variance = md.Tensor([1.0, 1.0], requires_grad=True)
        with pytest.raises(GraphError, match="running_var has no gradient here"):
            F.batch_norm(md.Tensor([[1.0, 2.0]]), np.zeros(2, "float32"), variance, training=False)

    def test_a_tensor_where_a_number_is_meant_is_refused(self):
        x, number = md.Tensor([1.0, 2.0]), md.Tensor(1.5, requires_grad=True)
        for call in (lambda: x.clip(0, number), lambda: x.clip(number), lambda: x.elu(number), lambda: x.pad(1, number)):
            with pytest.raises(ArgumentError, match="expected: a number"):
                call()


class TestNaNAndExtremes:
    def test_nan_is_handed_on(self):
        x = md.Tensor([NAN, 1.0])
        for y in (
            x.relu(),
            x.elu(),
            x.abs(),
            x.clip(0, 1),
            x.sigmoid(),
            x.softplus(),
            x.max().reshape(1),
            md.maximum(x, 0.0),
            md.minimum(x, 0.0),
        ):
            assert np.isnan(y.data[0])
        assert np.isnan(F.max_pool2d(np.array([[[[NAN, 1.0], [2.0, 3.0]]]]), 2).item())
        assert np.isnan(gradient(lambda x: x.max(), [NAN, 1.0])).all()
        np.testing.assert_array_equal(gradient(lambda a, b: md.maximum(a, b).sum(), [NAN], [1.0]), [[1], [1]])

    def test_sigmoid_and_elu_and_softmax_do_not_overflow(self):
        x = md.Tensor(np.array([-1e4, -100.0, 0.0, 100.0, 1e4]))
        np.testing.assert_allclose(x.sigmoid().data, [0, np.exp(-100), 0.5, 1, 1], rtol=1e-12)
        np.testing.assert_allclose(x.softplus().data, [0, np.exp(-100), np.log(2), 100, 1e4], rtol=1e-12)
        np.testing.assert_allclose(x.softmax().data, [0, 0, 0, 0, 1])
        assert np.isfinite(x.elu().data).all() and np.isfinite(F.log_softmax(x).data).all()
        assert F.softmax_cross_entropy(np.array([[1e4, -1e4]]), [1]).item() == 2e4
        np.testing.assert_allclose(gradient(lambda x: x.sigmoid().sum(), [-100.0]), [np.exp(-100)], rtol=1e-12)

    def test_slopes_that_are_tiny_but_not_0(self):
        np.testing.assert_allclose(gradient(lambda x: x.elu().sum(), [-18.0, -40.0]), np.exp([-18.0, -40.0]), rtol=1e-12)

    def test_an_infinite_gradient_stays_where_it_belongs(self):
        """sqrt has an infinite slope at 0; what relu, clip, maximum, where and the pool cut off gets 0, not 0 * inf."""
        for function in (
            lambda x: x.relu(), lambda x: x.clip(0, 5), lambda x: md.maximum(x, 0.0), lambda x: -md.minimum(-x, 0.0),
            lambda x: md.where(x > 0, x, 0.0),
        ):  # fmt: skip
            np.testing.assert_array_equal(gradient(lambda x, f=function: f(x).sqrt().sum(), [-1.0, 4.0]), [0, 0.25])
        grad = gradient(lambda x: F.max_pool2d(x, 2).sqrt().sum(), [[[[-1.0, 0.0], [-2.0, -3.0]]]])
        np.testing.assert_array_equal(grad, [[[[0, INF], [0, 0]]]])


class TestLoss:
    @pytest.mark.parametrize("batch", [1, 2, 16, 100])
    def test_equal_logits_cost_ln_10(self, batch):
        for value in (0.0, 3.5, -2.0):
            loss = F.softmax_cross_entropy(np.full((batch, 10), value, dtype="float32"), np.arange(batch) % 10)
            np.testing.assert_allclose(loss.item(), np.log(10), rtol=3e-7)  # float32

    def test_the_loss_of_the_crashed_network_to_the_last_bit(self):
        loss = F.softmax_cross_entropy(np.zeros((16, 10), dtype="float32"), np.arange(16) % 10)
        assert loss.item() == float(np.float32(np.log(10))) == 2.3025851249694824

    def test_softmax_minus_one_hot(self):
        logits = md.Tensor(np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]), requires_grad=True)
        F.softmax_cross_entropy(logits, np.array([2, 0], dtype="uint8")).backward()
        softmax = np.exp(logits.data) / np.exp(logits.data).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(logits.grad, (softmax - [[0, 0, 1], [1, 0, 0]]) / 2)


class TestBatchNorm:
    def test_running_statistics_as_in_pytorch(self, library):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        generator = np.random.default_rng(0)
        ours, theirs = md.nn.BatchNorm2d(3, momentum=0.3, dtype="float64"), torch.nn.BatchNorm2d(3, momentum=0.3).double()
        ours.to(library.device)
        for _ in range(4):
            x = generator.normal(2, 3, size=(4, 3, 5, 5))
            y = ours(library.array(x))
            np.testing.assert_allclose(library.numpy(y.data), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(library.numpy(ours.running_mean.data), theirs.running_mean.numpy(), rtol=1e-12)
        np.testing.assert_allclose(library.numpy(ours.running_var.data), theirs.running_var.numpy(), rtol=1e-12)
        ours.eval(), theirs.eval()
        y = ours(library.array(x))
        np.testing.assert_allclose(library.numpy(y.data), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10, atol=1e-12)


def _quiet(function):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()
