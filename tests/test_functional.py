"""Functions composed of ops: layer_norm, embedding. Losses: test_losses.py, pooling: test_pooling.py."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DeviceError, DTypeError, ShapeError

F = md.functional


class TestLayerNorm:
    @pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 1)])
    @pytest.mark.parametrize("affine", [False, True])
    def test_as_in_pytorch(self, library, shape, affine):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        rng = np.random.default_rng(0)
        values = [rng.normal(3, 2, size=shape), *([rng.normal(size=shape[-1]), rng.normal(size=shape[-1])] if affine else [])]
        ours = [md.Tensor(library.array(value), requires_grad=True) for value in values]
        theirs = [torch.tensor(value, requires_grad=True) for value in values]
        y = F.layer_norm(*ours, eps=1e-3)
        expected = torch.nn.functional.layer_norm(theirs[0], shape[-1:], *theirs[1:], eps=1e-3)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        upstream = rng.normal(size=shape)
        y.backward(library.array(upstream))
        expected.backward(torch.tensor(upstream))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(library.numpy(one.grad), other.grad.numpy(), rtol=1e-9, atol=1e-11)

    def test_passes_gradcheck(self):
        rng = np.random.default_rng(0)
        assert md.gradcheck(F.layer_norm, [rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=5)])

    def test_float16(self):
        """The variance exceeds the largest float16; y would be 0."""
        x = np.random.default_rng(0).normal(0, 1000, size=(4, 64)).astype("float16")
        y = F.layer_norm(x, np.ones(64, "float16"), np.zeros(64, "float16"))
        exact = x.astype("float64")
        exact = (exact - exact.mean(axis=1, keepdims=True)) / exact.std(axis=1, keepdims=True)
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.data, exact, rtol=2e-3, atol=1e-3)

    def test_bad_input(self):
        x = np.zeros((2, 3), "float32")
        for call, kind, text in (
            (lambda: F.layer_norm(x, np.ones(2, "float32")), ShapeError, r"weight does not fit(.|\n)*\(3,\)"),
            (lambda: F.layer_norm(x, bias=np.ones((2, 3), "float32")), ShapeError, "bias does not fit"),
            (lambda: F.layer_norm(x, np.ones(3)), DTypeError, "another number type than the layer"),
            (lambda: F.layer_norm(np.zeros((2, 3), int)), DTypeError, "layer_norm: not floating-point"),
            (lambda: F.layer_norm(1.0), ShapeError, "layer_norm: a 0-d tensor has no axes"),
            (lambda: F.layer_norm(x[:, :0]), ShapeError, "layer_norm: too few"),
        ):
            with pytest.raises(kind, match=text):
                call()


class TestEmbedding:
    @pytest.mark.parametrize(
        "indices", [[1, 3, 1, 1], [[0, 2], [3, 0]], 2, np.array([3, 1], "uint8"), np.zeros((2, 0), int), []]
    )
    def test_as_in_pytorch(self, library, indices):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        rng = np.random.default_rng(0)
        table = rng.normal(size=(4, 3))
        ours, theirs = md.Tensor(library.array(table), requires_grad=True), torch.tensor(table, requires_grad=True)
        given = library.array(indices) if isinstance(indices, np.ndarray) else indices
        y = F.embedding(given, ours)
        expected = torch.nn.functional.embedding(torch.tensor(np.asarray(indices, "int64")), theirs)
        assert y.shape == tuple(expected.shape) and y.device == library.device
        np.testing.assert_array_equal(y.numpy(), expected.detach().numpy())
        upstream = rng.normal(size=y.shape)
        y.backward(library.array(upstream))
        expected.backward(torch.tensor(upstream))
        np.testing.assert_allclose(library.numpy(ours.grad), theirs.grad.numpy())

    def test_indices_in_a_tensor(self):
        table = md.Tensor(np.arange(6.0).reshape(3, 2))
        assert F.embedding(md.Tensor(np.array([2, 0])), table).data.tolist() == [[4, 5], [0, 1]]
        assert md.gradcheck(lambda table: F.embedding([2, 0, 2], table), table)

    def test_bad_input(self, cupy):
        table = np.zeros((4, 3), "float32")
        for call, kind, text in (
            (lambda: F.embedding([0, 4], table), ArgumentError, r"indices out of range(.|\n)*from 0 to 3(.|\n)*from 0 to 4"),
            (lambda: F.embedding([-1], table), ArgumentError, "out of range"),  # not the last row
            (lambda: F.embedding([0.0, 1.0], table), DTypeError, r"not integers(.|\n)*astype"),
            (lambda: F.embedding([True, False], table), DTypeError, "not integers"),
            (lambda: F.embedding(md.Tensor([1.0]), table), DTypeError, "not integers"),
            (lambda: F.embedding([0], table[0]), ShapeError, "weight has the wrong rank"),
            (lambda: F.embedding(cupy.asarray(np.array([0])), table), DeviceError, "different devices"),
        ):
            with pytest.raises(kind, match=text):
                call()

    def test_in_a_captured_step(self, capturing_cupy):
        xp = capturing_cupy
        table = md.Tensor(np.arange(12, dtype="float32").reshape(4, 3)).to("cuda")
        captured = md.capture(lambda indices: F.embedding(indices, table) * 2)
        for step in range(6):
            indices = np.array([step % 4, 3, 0])
            np.testing.assert_array_equal(captured(xp.asarray(indices)).numpy(), 2 * table.numpy()[indices])
        assert captured.graph is not None


@pytest.mark.parametrize("bad", [None, "a", -1.0, float("nan"), [1e-5, 1e-5], md.Tensor(1e-5, requires_grad=True)])
def test_eps_is_a_number_and_no_parameter(bad):
    """float(tensor) works, and its gradient would be lost."""
    x = np.ones((2, 3), "float32")
    for call in (
        lambda: F.layer_norm(x, eps=bad),
        lambda: F.batch_norm(x, eps=bad),
        lambda: md.nn.LayerNorm(3, eps=bad),
        lambda: md.nn.BatchNorm1d(3, eps=bad),
    ):
        with pytest.raises(ArgumentError, match=r"bad eps(.|\n)*expected: a number"):
            call()
    with pytest.raises(ArgumentError, match="bad momentum"):
        F.batch_norm(x, np.zeros(3, "float32"), np.ones(3, "float32"), momentum=md.Tensor(0.1, requires_grad=True))


@pytest.mark.parametrize("bad", ["a", None, -1, [1], True, md.Tensor(1.0)])
def test_ddof_is_a_count(bad):
    for call in (F.var, F.std):
        with pytest.raises(ArgumentError, match="bad ddof"):
            call(np.ones(4), ddof=bad)
