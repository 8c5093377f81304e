"""The losses against PyTorch: values and gradients, reductions, ignored labels, label smoothing, extremes, captured steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, MinidropError, ShapeError

F = md.functional
REDUCTIONS = ["mean", "sum", "none"]
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)


def agree(ours, theirs, *inputs, tolerance=1e-10):
    """Two functions of the same inputs, in minidrop and in PyTorch: values, and gradients for a random upstream gradient."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    own = [md.Tensor(value, requires_grad=True) for value in inputs]
    others = [torch.tensor(value, requires_grad=True) for value in inputs]
    got, expected = ours(*own), theirs(torch.nn.functional, *others)
    assert got.shape == tuple(expected.shape) and got.dtype == inputs[0].dtype
    np.testing.assert_allclose(got.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    upstream = np.random.default_rng(1).normal(size=got.shape)
    got.backward(upstream)
    expected.backward(torch.tensor(np.asarray(upstream, dtype=inputs[0].dtype)))
    for one, other in zip(own, others, strict=True):
        np.testing.assert_allclose(one.grad, other.grad.numpy(), rtol=tolerance, atol=tolerance)


class TestCrossEntropy:
    @reductions
    @given(data=st.data())
    def test_as_in_pytorch(self, reduction, data):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        batch, classes = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
        smoothing, ignored = data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), data.draw(st.sampled_from([-100, -1, 0, 2, 99]))
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        labels = np.where(rng.random(batch) < 0.3, ignored, rng.integers(0, classes, size=batch))
        if reduction == "mean" and (labels == ignored).all():
            labels[0], ignored = 0, -100
            labels[labels == 99] = -100
        labels = np.where((labels != ignored) & ((labels < 0) | (labels >= classes)), 0, labels)
        settings = {"reduction": reduction, "ignore_index": ignored}
        agree(
            lambda x: F.cross_entropy(x, labels, label_smoothing=smoothing, **settings),
            lambda other, x: other.cross_entropy(x, torch.tensor(labels), label_smoothing=smoothing, **settings),
            3 * rng.normal(size=(batch, classes)),
        )
        agree(
            lambda x: F.nll_loss(x, labels, **settings),
            lambda other, x: other.nll_loss(x, torch.tensor(labels), **settings),
            np.log(rng.uniform(0.1, 0.9, size=(batch, classes))),
        )

    @pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
    def test_by_default_it_is_the_loss_of_the_paper_bit_for_bit(self, library, kind):
        rng = np.random.default_rng(0)
        logits, labels = library.array(rng.normal(size=(16, 10)).astype("float32")), rng.integers(0, 10, 16).astype(kind)
        a, b = md.Tensor(logits, requires_grad=True), md.Tensor(logits, requires_grad=True)
        first, second = F.cross_entropy(a, library.array(labels)), F.softmax_cross_entropy(b, library.array(labels))
        first.backward(), second.backward()
        if library.name == "numpy":
            assert first.item() == second.item()
            np.testing.assert_array_equal(library.numpy(a.grad), library.numpy(b.grad))
            assert F.cross_entropy(a, library.array(labels))._op.name == "SoftmaxCrossEntropy"
        else:  # it is not known there that no label is ignored
            assert first.item() == pytest.approx(second.item(), rel=1e-6)
            np.testing.assert_allclose(library.numpy(a.grad), library.numpy(b.grad), rtol=1e-5, atol=1e-8)

    def test_ignored_examples_have_no_gradient_even_at_infinity(self, library):
        values = np.array([[1.0, 2.0], [-np.inf, 5.0], [np.nan, 0.0], [0.5, 0.1]])
        for kind in ("sum", "mean", "none"):
            x = md.Tensor(library.array(values), requires_grad=True)
            y = F.cross_entropy(x, library.array(np.array([0, -7, -7, 1])), kind, ignore_index=-7)
            y.backward(library.array(np.full(y.shape, 1.5)))
            assert np.isfinite(y.numpy()).all()
            grad = library.numpy(x.grad)
            assert np.isfinite(grad[[0, 3]]).all() and grad[0, 0] < 0
            np.testing.assert_array_equal(grad[1], 0)

    def test_every_label_ignored(self, library):
        x, labels = md.Tensor(library.array(np.ones((2, 3))), requires_grad=True), library.array(np.array([-100, -100]))
        for function in (F.cross_entropy, F.nll_loss):
            if library.name != "numpy":  # labels on a GPU are not read
                assert np.isnan(function(x, labels).item())
            with (
                md.detect_anomaly(),
                pytest.raises(ArgumentError, match=r'every label is ignored(.|\n)*reduction="sum" gives 0'),
            ):
                function(x, labels)
            total = function(x, labels, reduction="sum")
            total.backward()
            assert total.item() == 0
            np.testing.assert_array_equal(library.numpy(x.grad), 0)
            np.testing.assert_array_equal(function(x, labels, reduction="none").numpy(), [0, 0])

    @pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
    @pytest.mark.parametrize("labels", [[0, 3], [-1, 1]])
    def test_a_label_out_of_range_is_never_taken_for_another(self, library, labels, kind):
        """CuPy wraps an index around. On a GPU labels are not read back, so the loss is NaN; on a CPU it is an error."""
        x, there = md.Tensor(library.array(np.ones((2, 3), kind))), library.array(np.array(labels))
        for function in (F.softmax_cross_entropy, F.cross_entropy, F.nll_loss):
            if library.name != "numpy":
                assert np.isnan(function(x, there).item())
            with md.detect_anomaly(), pytest.raises(ArgumentError, match="labels out of range"):
                function(x, there)

    def test_bad_input(self):
        x = np.zeros((2, 3), "float32")
        for call, kind, text in (
            (
                lambda: F.cross_entropy(x, [0, 3]),
                ArgumentError,
                "from 0 to 2(.|\n)*or -100, which is ignored(.|\n)*from 0 to 3",
            ),
            (lambda: F.cross_entropy(x, [0, -1]), ArgumentError, "labels out of range"),
            (lambda: F.cross_entropy(x, [-100, 3]), ArgumentError, "labels out of range"),
            (lambda: F.nll_loss(x, [0, 5]), ArgumentError, "nll_loss: labels out of range"),
            (lambda: F.cross_entropy(x, [0.0, 1.0]), DTypeError, "labels are not integers"),
            (lambda: F.cross_entropy(x, [0]), ShapeError, "one label per example"),
            (lambda: F.cross_entropy(x[0], [0]), ShapeError, "logits has the wrong rank"),
            (lambda: F.nll_loss(x[:0], []), ShapeError, "nll_loss: empty batch"),
            (lambda: F.cross_entropy(x, [0, 1], reduction="average"), ArgumentError, "'mean' or 'sum' or 'none'"),
            (lambda: F.cross_entropy(x, [0, 1], label_smoothing=1.5), ArgumentError, "label_smoothing"),
            (lambda: F.cross_entropy(x, [0, 1], ignore_index=None), ArgumentError, "ignore_index"),
        ):
            with pytest.raises(kind, match=text) as error:
                call()
            assert isinstance(error.value, MinidropError)

    def test_float16(self):
        """More examples than the largest float16, and a sum that exceeds it."""
        x, labels = np.zeros((70_000, 2), "float16"), np.zeros(70_000, int)
        x[:, 1] = 3
        labels[::2] = -100
        y = F.cross_entropy(md.Tensor(x), labels)
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.item(), np.log1p(np.exp(3)), rtol=1e-3)

    def test_in_a_captured_step(self, capturing_cupy):
        """Which labels are ignored may change from replay to replay, and nothing is read while the step is recorded."""
        xp = capturing_cupy
        rng = np.random.default_rng(0)

        def step(logits, labels):
            x = md.Tensor(logits, requires_grad=True)
            y = F.cross_entropy(x, labels, label_smoothing=0.1) + F.cross_entropy(x, labels)
            y.backward()
            return y, md.Tensor(x.grad)

        captured = md.capture(step)
        for ignored in (0, 1, 0, 2, 3, 0, 1):
            logits, labels = rng.normal(size=(5, 3)).astype("float32"), rng.integers(0, 3, size=5)
            labels[:ignored] = -100
            loss, grad = captured(xp.asarray(logits), xp.asarray(labels))
            expected, expected_grad = step(logits, labels)
            np.testing.assert_allclose(loss.numpy(), expected.numpy(), rtol=1e-5)
            np.testing.assert_allclose(grad.numpy(), expected_grad.numpy(), rtol=1e-4, atol=1e-6)
        assert captured.graph is not None and captured.reason is None


class TestOfNumbers:
    @reductions
    @pytest.mark.parametrize("shape", [(5,), (3, 4), ()])
    def test_mse_as_in_pytorch(self, reduction, shape):
        rng = np.random.default_rng(0)
        agree(
            lambda x, y: F.mse_loss(x, y, reduction),
            lambda other, x, y: other.mse_loss(x, y, reduction=reduction),
            rng.normal(size=shape), rng.normal(size=shape),
        )  # fmt: skip

    @reductions
    @given(data=st.data())
    def test_binary_cross_entropy_as_in_pytorch(self, reduction, data):
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        shape = data.draw(st.sampled_from([(5,), (3, 4), ()]))
        x = rng.normal(size=shape) * 4 * rng.integers(0, 2, size=shape)  # some are exactly 0
        agree(
            lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction),
            lambda other, x, y: other.binary_cross_entropy_with_logits(x, y, reduction=reduction),
            np.asarray(x), rng.uniform(size=shape),
        )  # fmt: skip

    def test_both_pass_gradcheck(self):
        rng = np.random.default_rng(0)
        for function in (F.mse_loss, F.binary_cross_entropy_with_logits):
            for reduction in REDUCTIONS:
                assert md.gradcheck(lambda x, y, f=function, r=reduction: f(x, y, r), [rng.normal(size=5), rng.uniform(size=5)])

    def test_binary_cross_entropy_at_0_and_far_away(self, library):
        x = md.Tensor(library.array(np.array([0.0, 0, 40, -40, 1e4, -1e4, 1e4])), requires_grad=True)
        targets = library.array(np.array([0.0, 1, 1, 0, 1, 0, 0]))
        y = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
        tiny = np.log1p(np.exp(-40))  # lost by PyTorch's formula for x = -40
        np.testing.assert_allclose(y.numpy(), [np.log(2), np.log(2), tiny, tiny, 0, 0, 1e4], rtol=1e-12)
        y.backward(library.array(np.array([3.0, 3, 1, 1, 1, 1, 1])))
        np.testing.assert_allclose(library.numpy(x.grad), [1.5, -1.5, -np.exp(-40), np.exp(-40), 0, 0, 1], rtol=1e-12)

    def test_targets_of_other_kinds(self, library):
        x = md.Tensor(library.array(np.array([0.5, -1.5], "float32")), requires_grad=True)
        expected = F.binary_cross_entropy_with_logits(x, library.array(np.array([1, 0], "float32"))).item()
        for targets in ([1, 0], [True, False], (1.0, 0.0), library.array(np.array([True, False]))):
            y = F.binary_cross_entropy_with_logits(x, targets)
            assert y.dtype == np.float32 and y.item() == expected
        with pytest.raises(DTypeError, match="number types"):
            F.binary_cross_entropy_with_logits(x, library.array(np.array([1, 0])))
        with pytest.raises(DTypeError, match="not floating-point"):
            F.binary_cross_entropy_with_logits(np.array([1, 0]), np.array([1, 0]))
        assert F.mse_loss(x, [0.5, 0.5]).item() == 2.0

    def test_nothing_is_broadcast(self):
        """(N, 1) against (N) would pair each prediction with each target."""
        for function in (F.mse_loss, F.binary_cross_entropy_with_logits):
            for a, b in (((4, 1), (4,)), ((4,), (4, 1)), ((4,), ())):
                with pytest.raises(ShapeError, match="differ in shape"):
                    function(np.zeros(a), np.zeros(b))
            with pytest.raises(ArgumentError, match="reduction"):
                function(np.zeros(3), np.zeros(3), reduction="batchmean")
            with pytest.raises(ShapeError, match="mean: too few"):
                function(np.zeros((0, 3)), np.zeros((0, 3)))


INTEGERS = {
    "softmax": lambda x: x.softmax(),
    "softplus": lambda x: x.softplus(),
    "sigmoid": lambda x: x.sigmoid(),
    "log_softmax": F.log_softmax,
    "softmax_cross_entropy": lambda x: F.softmax_cross_entropy(x, [1]),
    "cross_entropy": lambda x: F.cross_entropy(x, [1]),
    "nll_loss": lambda x: F.nll_loss(x, [1]),
    "mse_loss": lambda x: F.mse_loss(x, x),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x),
}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_refused(name, dtype):
    """uint8 numbers have no negatives: softmax was NaN, and a difference 40 instead of 20,008."""
    with pytest.raises(DTypeError, match=rf"{name}: not floating-point numbers(.|\n)*got: {dtype}(.|\n)*help: x\.astype"):
        INTEGERS[name](md.Tensor(np.array([[3, 100, 0]], dtype)))


@pytest.mark.parametrize(
    ("labels", "error", "help"),
    [
        (np.eye(3, dtype="int64"), ShapeError, r"labels\.argmax\(axis=1\)"),
        (np.eye(3, dtype="float32"), DTypeError, r"labels\.argmax\(axis=1\)"),
        (np.zeros((3, 1), "int64"), ShapeError, r"labels\.reshape\(-1\)"),
        (np.zeros(3, "float32"), DTypeError, r'labels\.astype\("int64"\)'),
        (np.zeros(3, bool), DTypeError, r'labels\.astype\("int64"\)'),
        ([[1], [1, 2]], ShapeError, "not one array"),
    ],
    ids=["one-hot", "one-hot floats", "a column", "floats", "bools", "ragged"],
)
@pytest.mark.parametrize("loss", [F.softmax_cross_entropy, F.cross_entropy, F.nll_loss])
def test_the_help_for_labels_is_the_step_that_mends_them(loss, labels, error, help):
    with pytest.raises(error, match=help):
        loss(np.zeros((3, 3), "float32"), labels)
    if not isinstance(labels, list):
        mended = labels.argmax(axis=1) if labels.shape == (3, 3) else labels.reshape(-1).astype("int64")
        loss(np.zeros((3, 3), "float32"), mended)
