"""Layers beside PyTorch's: outputs and gradients of each, on every library."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, MinidropError, ShapeError

nn = md.nn
RNG = np.random.default_rng(0)


def gradients_agree(library, layer, theirs, x, pairs=()):
    """Output, gradient of the input, and gradients of (our parameter, theirs) are PyTorch's, for a random upstream gradient."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer.to(library.device)
    ours, other = md.Tensor(library.array(x), requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = layer(ours), theirs(other)
    np.testing.assert_allclose(library.numpy(y.data), expected.detach().numpy(), rtol=1e-6, atol=1e-9)
    upstream = RNG.normal(size=y.shape)
    y.backward(library.array(upstream))
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(library.numpy(ours.grad), other.grad.numpy(), rtol=1e-6, atol=1e-9)
    for mine, his in pairs:
        np.testing.assert_allclose(library.numpy(mine.grad), his.grad.numpy(), rtol=1e-6, atol=1e-9)


# Dense on any number of axes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (2, 1, 4, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_works_on_the_last_axis(library, shape, bias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = nn.Dense(3, 4, bias=bias, dtype="float64"), torch.nn.Linear(3, 4, bias=bias).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(layer.weight.data.T.copy()))
        if bias:
            layer.bias = RNG.normal(size=4)
            theirs.bias.copy_(torch.tensor(layer.bias.data))
    x = RNG.normal(size=shape)
    gradients_agree(library, layer, theirs, x, [(layer.bias, theirs.bias)] if bias else [])
    np.testing.assert_allclose(library.numpy(layer.weight.grad), theirs.weight.grad.numpy().T, rtol=1e-9)
    assert layer.output_shape == (*shape[:-1], 4)


@pytest.mark.parametrize("shape", [(), (2,), (2, 5), (2, 3, 5), (0, 3), (2, 0, 3)])
def test_what_dense_does_not_take(shape):
    with pytest.raises(ShapeError, match=r"Dense: (empty batch|the number of features differs)(.|\n)*in layer: Dense\(3, 4\)"):
        nn.Dense(3, 4)(np.zeros(shape, "float32"))


def test_a_forgotten_flatten_is_named():
    with pytest.raises(ShapeError, match=r"64 features in the last axis(.|\n)*\(2, 1, 8, 8\)(.|\n)*Flatten"):
        nn.Dense(64, 10)(np.zeros((2, 1, 8, 8), "float32"))


# Activations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "theirs"),
    [
        ("Tanh", (), {}),
        ("Sigmoid", (), {}),
        ("Softmax", (), {"dim": -1}),
        ("Softmax", (1,), {"dim": 1}),
        ("ELU", (0.7,), {"alpha": 0.7}),
    ],
)
def test_activations(library, name, arguments, theirs):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    gradients_agree(library, getattr(nn, name)(*arguments), getattr(torch.nn, name)(**theirs), RNG.normal(size=(2, 3, 4)))


def test_lines_of_activations():
    assert [repr(layer) for layer in (nn.Tanh(), nn.Sigmoid(), nn.Softmax(1))] == ["Tanh()", "Sigmoid()", "Softmax(axis=1)"]
    for bad in ("1", None, 1.0, True):
        with pytest.raises(ArgumentError, match="Softmax: bad axis"):
            nn.Softmax(bad)
    with pytest.raises(MinidropError, match="axis"):
        nn.Softmax(3)(np.zeros((2, 2)))


# Pooling --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["MaxPool2d", "AvgPool2d"])
@pytest.mark.parametrize("arguments", [(2,), (3, 2), (3, 1, 1), ((2, 3), (1, 2), (1, 0))])
def test_pooling(library, kind, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = RNG.normal(size=(2, 3, 6, 7))
    gradients_agree(library, getattr(nn, kind)(*arguments), getattr(torch.nn, kind)(*arguments), x)


def test_averages_over_the_padding_or_not_and_over_all_places(library):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = RNG.normal(size=(2, 3, 5, 5))
    for layers in (nn, torch.nn):
        assert layers.AvgPool2d(3, 2, 1).count_include_pad
    theirs = torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    gradients_agree(library, nn.AvgPool2d(3, 2, 1, count_include_pad=False), theirs, x)
    theirs = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    gradients_agree(library, nn.GlobalAvgPool2d(), theirs, x)


def test_lines_and_arguments_of_pooling():
    layers = nn.MaxPool2d(2), nn.AvgPool2d((3, 2), 1, (1, 0)), nn.GlobalAvgPool2d()
    assert [repr(layer) for layer in layers] == [
        "MaxPool2d(2x2)",
        "AvgPool2d(3x2, stride=(1, 1), padding=(1, 0))",
        "GlobalAvgPool2d()",
    ]
    for kind in (nn.MaxPool2d, nn.AvgPool2d):
        for bad in (2, -1, "same", (0, 2)):
            with pytest.raises(ArgumentError, match=f"{kind.__name__}: bad padding"):
                kind(3, padding=bad)


# Normalisation and tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_layer_norm(library, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = nn.LayerNorm(5, dtype="float64"), torch.nn.LayerNorm(5).double()
    layer.weight, layer.bias = RNG.normal(size=5), RNG.normal(size=5)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in layer.state_dict().items()})
    pairs = [(layer.weight, theirs.weight), (layer.bias, theirs.bias)]
    gradients_agree(library, layer, theirs, RNG.normal(size=shape), pairs)
    with pytest.raises(ShapeError, match=r"LayerNorm: the number of features differs(.|\n)*in layer: LayerNorm\(5\)"):
        layer(np.zeros((5, 4)))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_embedding(library, shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer = nn.Embedding(6, 3, generator=md.Generator(0), dtype="float64")
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(layer.weight.data.copy()), freeze=False)
    layer.to(library.device)
    indices = RNG.integers(0, 6, shape)
    y, expected = layer(library.array(indices)), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(library.numpy(y.data), expected.detach().numpy())
    upstream = RNG.normal(size=y.shape)
    y.backward(library.array(upstream))
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(library.numpy(layer.weight.grad), theirs.weight.grad.numpy(), rtol=1e-9)


def test_a_table_starts_with_normal_numbers_and_is_trained_by_a_loader_of_integers():
    weights = nn.Embedding(300, 40, generator=md.Generator(1)).weight
    assert weights.dtype == np.float32 and abs(weights.data.mean()) < 0.05 and abs(weights.data.std() - 1) < 0.02
    model = nn.Sequential(
        nn.Embedding(6, 4, generator=md.Generator(0)), nn.Flatten(), nn.Dense(8, 2, generator=md.Generator(1))
    )
    assert repr(model[0]) == "Embedding(6, 4)" and "(7, 2, 4)" in model.summary((7, 2), dtype="int64")
    words = np.random.default_rng(0).integers(0, 6, (60, 2))
    optimizer = md.optim.AdamW(model.parameters(), lr=0.05)
    for _ in range(20):
        for indices, labels in md.datasets.batches(words, (words[:, 0] > words[:, 1]).astype(int), 20):
            optimizer.zero_grad()
            loss = md.functional.softmax_cross_entropy(model(indices), labels)
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.2
    with pytest.raises(MinidropError, match=r"in layer: Embedding\(6, 4\)"):
        model[0]([6])
    with pytest.raises(ArgumentError):
        nn.Embedding(0, 3)
