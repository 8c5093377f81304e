"""Optimisers, step for step against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, StateError

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
]


def gradients(steps=25):
    generator = np.random.default_rng(0)
    return [[generator.normal(size=shape) for shape in ((3, 4), (4,))] for _ in range(steps)]


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_agrees_with_pytorch(name, settings, library):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    start = [np.random.default_rng(1).normal(size=shape) for shape in ((3, 4), (4,))]
    ours = [md.Tensor(library.array(value.copy()), requires_grad=True) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    mine, reference = getattr(md.optim, name)(ours, **settings), getattr(torch.optim, name)(theirs, **settings)
    for step in gradients():
        for tensor, other, gradient in zip(ours, theirs, step, strict=True):
            tensor.grad, other.grad = library.array(gradient), torch.tensor(gradient)
        mine.step()
        reference.step()
    for tensor, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(library.numpy(tensor.data), other.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_state_goes_on_at_the_very_place(name, settings):
    def run(optimizer, tensors, steps):
        for step in steps:
            for tensor, gradient in zip(tensors, step, strict=True):
                tensor.grad = gradient
            optimizer.step()

    def fresh():
        tensors = [md.Tensor(np.ones((3, 4)), requires_grad=True), md.Tensor(np.ones(4), requires_grad=True)]
        return getattr(md.optim, name)(tensors, **settings), tensors

    steps = gradients()
    whole, expected = fresh()
    run(whole, expected, steps)
    first, tensors = fresh()
    run(first, tensors, steps[:10])
    second, resumed = fresh()
    second.load_state_dict(first.state_dict())
    for tensor, other in zip(resumed, tensors, strict=True):
        tensor.data = other.data.copy()
    run(second, resumed, steps[10:])
    for tensor, other in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(tensor.data, other.data)


def test_parameters_without_gradient_are_left_alone():
    a, b = (md.Tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = md.optim.Adam([a, b], lr=0.1)
    a.grad = np.array([1.0], dtype="float32")
    optimizer.step()
    assert a.item() != 1 and b.item() == 1
    optimizer.zero_grad()
    assert a.grad is None


def test_adam_counts_the_steps_of_each_parameter():
    """A first gradient after many steps moves by lr, as algorithm 1 says of a first step."""
    a, b = (md.Tensor(np.array([1.0]), requires_grad=True) for _ in range(2))
    optimizer = md.optim.Adam([a, b], lr=0.1)
    a.grad = np.array([0.5])
    for _ in range(50):
        optimizer.step()
    b.grad = np.array([0.5])
    optimizer.step()
    np.testing.assert_allclose(b.data, [0.9], rtol=1e-6)


def test_the_gradient_itself_is_not_changed():
    for name, settings in SETTINGS:
        p = md.Tensor(np.ones(3), requires_grad=True)
        p.grad = np.array([1.0, 2.0, 3.0])
        optimizer = getattr(md.optim, name)([p], **settings)
        for _ in range(3):
            optimizer.step()
        np.testing.assert_array_equal(p.grad, [1, 2, 3])


def test_the_learning_rate_may_change_between_steps():
    p = md.Tensor([1.0], requires_grad=True)
    optimizer = md.optim.SGD([p], lr=0.5)
    p.grad = np.array([1.0], dtype="float32")
    optimizer.step()
    optimizer.lr = 0.1
    optimizer.step()
    np.testing.assert_allclose(p.data, [0.4], rtol=1e-6)


P = md.Tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: md.optim.SGD([], 0.1),
        lambda: md.optim.SGD([P, P], 0.1),
        lambda: md.optim.SGD([md.Tensor([1.0])], 0.1),
        lambda: md.optim.SGD([np.ones(2)], 0.1),
        lambda: md.optim.SGD([P * 2], 0.1),
        lambda: md.optim.SGD([P], 0),
        lambda: md.optim.SGD([P], float("nan")),
        lambda: md.optim.SGD([P], 0.1, momentum=1.0),
        lambda: md.optim.SGD([P], 0.1, nesterov=True),
        lambda: md.optim.SGD([P], 0.1, weight_decay=-1),
        lambda: md.optim.Adam([P], betas=(0.9, 1.0)),
        lambda: md.optim.Adam([P], eps=-1),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ArgumentError):
        make()


def test_a_state_that_does_not_fit_is_listed_and_nothing_changed():
    optimizer = md.optim.SGD([P], lr=0.1, momentum=0.9)
    state = {**optimizer.state_dict(), "velocity.0": np.ones(3), "velocity.7": np.ones(1), "extra": 1}
    del state["lr"]
    with pytest.raises(StateError, match=r"missing lr; wrong shape velocity\.0: \(3,\).*extra velocity\.7; extra extra"):
        optimizer.load_state_dict(state)
    assert optimizer.state["velocity"] == [None]
    two = md.optim.SGD([P, md.Tensor([2.0], requires_grad=True)], lr=0.1, momentum=0.9)
    with pytest.raises(StateError, match="it is the state of 2 parameters"):
        optimizer.load_state_dict(two.state_dict())
    with pytest.raises(StateError, match="it is the state of Adam"):
        optimizer.load_state_dict(md.optim.Adam([P]).state_dict())


def test_clipping_the_gradients_length_as_pytorch_does():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for limit in (0.5, 3.0, 1e6):
        gradients = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,), (2, 3, 4))]
        ours = [md.Tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
        theirs = [torch.nn.Parameter(torch.zeros(g.shape)) for g in gradients]
        for mine, his, gradient in zip(ours, theirs, gradients, strict=True):
            mine.grad, his.grad = gradient.copy(), torch.tensor(gradient)
        norm = md.optim.clip_gradient_norm(ours, limit)
        assert norm.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, limit).item(), rel=1e-5)
        for mine, his in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine.grad, his.grad.numpy(), rtol=1e-5)


def test_clipping_does_not_cure_nan_and_needs_a_gradient():
    x = md.Tensor([1.0, 2.0], requires_grad=True)
    assert md.optim.clip_gradient_norm([x], 1.0) is None
    x.grad = np.array([np.nan, 3.0], dtype="float32")
    assert np.isnan(md.optim.clip_gradient_norm([x], 1.0)) and np.isnan(x.grad).all()
    with pytest.raises(ArgumentError, match="limit"):
        md.optim.clip_gradient_norm([x], 0)
