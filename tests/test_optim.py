"""Optimisers, step for step against PyTorch's."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, MinidropError, ShapeError, StateError

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3}),
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
        lambda: md.optim.Adam([P], betas=0.9),
        lambda: md.optim.SGD([P], "0.1"),
        lambda: md.optim.SGD([P], float("inf")),
        lambda: md.optim.SGD([P], np.array([0.1])),
        lambda: md.optim.SGD(None, 0.1),
        lambda: md.optim.SGD(3, 0.1),
        lambda: md.optim.SGD([{"params": [P], "learning_rate": 0.1}], 0.1),
        lambda: md.optim.SGD([{"lr": 0.1}], 0.1),
        lambda: md.optim.SGD([{"params": [P]}, P], 0.1),
        lambda: md.optim.SGD([{"params": [P], "lr": -1}], 0.1),
        lambda: md.optim.SGD([{"params": []}], 0.1),
        lambda: md.optim.SGD([{"params": [P]}, {"params": [P]}], 0.1),
        lambda: md.optim.SGD([{"params": [P], "nesterov": True}], 0.1),
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


# What is refused before anything changes ------------------------------------------------------------------------------


def two(optimizer="SGD", **settings):
    tensors = [md.Tensor(np.ones(shape, "float32"), requires_grad=True) for shape in ((2, 3), (3,))]
    return tensors, getattr(md.optim, optimizer)(tensors, **{"lr": 0.1, **settings})


@pytest.mark.parametrize(
    ("gradient", "error"),
    [
        (np.ones(1, "float32"), ShapeError),
        (np.float32(1), ShapeError),
        (np.ones((2, 3), "float32"), ShapeError),
        (np.ones(3, "int64"), DTypeError),
        (np.ones(3, complex), DTypeError),
        ([1.0, 2.0, 3.0], DTypeError),
        (md.Tensor(np.ones((1, 3))), ShapeError),
    ],
    ids=["stretched", "scalar", "larger", "int", "complex", "list", "tensor"],
)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_gradient_that_does_not_fit_stops_the_step_before_it_begins(gradient, error, optimizer):
    tensors, steps = two(optimizer)
    tensors[0].grad, tensors[1].grad = np.full((2, 3), 2, "float32"), gradient
    with pytest.raises(error, match=f"{optimizer}: the gradient of parameter 1"):
        steps.step()
    with pytest.raises(error, match="clip_gradient_norm: the gradient of parameter 1"):
        md.optim.clip_gradient_norm(tensors, 0.1)
    assert all((tensor.data == 1).all() for tensor in tensors) and (tensors[0].grad == 2).all()
    assert steps.steps == 0 and all(kept == [None, None] for kept in steps.state.values())


def test_a_gradient_on_another_device(cupy):
    tensors, steps = two()
    tensors[1].grad = cupy.ones(3, dtype="float32")
    for change in (steps.step, lambda: md.optim.clip_gradient_norm(tensors, 0.1)):
        with pytest.raises(MinidropError, match="different devices"):
            change()


def test_gradients_that_fit_in_another_form():
    tensors, steps = two()
    tensors[0].grad, tensors[1].grad = md.Tensor(np.ones((2, 3))), np.ones(3, "float64")
    steps.step()
    for tensor in tensors:
        np.testing.assert_allclose(tensor.data, 0.9, rtol=1e-6)
    single = md.Tensor(np.float32(1), requires_grad=True)
    single.grad = np.float32(1)
    md.optim.SGD(single, lr=0.5).step()
    assert single.item() == 0.5


def test_clipping_one_tensor_a_generator_and_what_is_none():
    for give in (lambda x: x, lambda x: [x], lambda x: (one for one in [x]), lambda x: {"x": x}.values()):
        x = md.Tensor(np.zeros((2, 2)), requires_grad=True)
        x.grad = np.full((2, 2), 3.0)
        assert md.optim.clip_gradient_norm(give(x), 1.0) == 6
        np.testing.assert_allclose(x.grad, 0.5)
    for bad in (None, 3, "weights", [x.data], [x, x], md.nn.Dense(2, 2)):
        with pytest.raises(ArgumentError, match=r"clip_gradient_norm: (bad parameters|the same parameter twice)"):
            md.optim.clip_gradient_norm(bad, 1.0)
    for bad in (0, -1, float("nan"), "1", None, True):
        with pytest.raises(ArgumentError, match="bad limit"):
            md.optim.clip_gradient_norm(x, bad)
    np.testing.assert_allclose(x.grad, 0.5)


def test_a_limit_of_infinity_measures_and_changes_nothing():
    x = md.Tensor(np.zeros(2), requires_grad=True)
    x.grad = np.array([3.0, 4.0])
    assert md.optim.clip_gradient_norm(x, float("inf")) == 5
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_the_length_of_a_float16_gradient_does_not_overflow():
    x = md.Tensor(np.zeros(400, "float16"), requires_grad=True)
    x.grad = np.full(400, 100, "float16")
    assert md.optim.clip_gradient_norm(x, 200.0) == pytest.approx(2000, rel=1e-3)
    np.testing.assert_allclose(x.grad, 10, rtol=1e-2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": [1]}, r"bad counts: \[1\]"),
        ({"counts": [1, -1]}, "bad counts"),
        ({"counts": [1, 2.5]}, "bad counts"),
        ({"counts": 3}, "bad counts: 3"),
        ({"steps": -1}, "bad steps: -1"),
        ({"steps": None}, "bad steps"),
        ({"lr": "0.1"}, "bad lr: '0.1'"),
        ({"lr": float("nan")}, "bad lr: nan"),
        ({"betas": [0.9]}, "bad betas"),
        ({"eps": None}, "bad eps"),
        ({"weight_decay": -1}, "bad weight_decay"),
        ({"first_moment.0": np.zeros((2, 3), complex)}, "no numbers first_moment.0"),
        ({"first_moment.0": np.zeros((2, 3), object)}, "no numbers first_moment.0"),
        ({"param_groups": 3}, "it is the state of 0 parameter groups, not 1"),
        ({"param_groups": [{}, {}]}, "2 parameter groups, not 1"),
        ({"param_groups": [{"params": [0]}]}, "other members"),
    ],
)
def test_a_bad_value_in_a_state_changes_nothing(change, words):
    tensors, steps = two("Adam")
    for tensor in tensors:
        tensor.grad = np.ones(tensor.shape, "float32")
    steps.step()
    before = steps.state_dict()
    with pytest.raises(StateError, match=words):
        steps.load_state_dict({**before, "lr": 0.7, "steps": 9, **change})
    for name, value in steps.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for bad in (None, 3, "adam.safetensors"):
        with pytest.raises(StateError, match="not a state"):
            steps.load_state_dict(bad)


def test_a_bad_setting_is_refused_when_it_is_set():
    _, steps = two(momentum=0.5)
    for bad in (-1, float("nan"), float("inf"), "0.1", None, np.ones(1), True):
        with pytest.raises(ArgumentError, match="SGD: bad lr"):
            steps.lr = bad
        with pytest.raises(ArgumentError, match="SGD: bad lr"):
            steps.param_groups[0]["lr"] = bad
    with pytest.raises(ArgumentError, match="SGD: bad momentum"):
        steps.param_groups[0].update(momentum=1.0)
    with pytest.raises(ArgumentError, match=r"no setting 'learning_rate'(.|\n)*lr, weight_decay, momentum, nesterov"):
        steps.param_groups[0]["learning_rate"] = 0.1
    with pytest.raises(ArgumentError, match="add_param_group"):
        steps.param_groups[0]["params"] = []
    assert steps.lr == 0.1 and steps.momentum == 0.5
    steps.lr = 0
    assert steps.lr == 0


def test_numpys_numbers_as_settings_keep_float32():
    """A float64 scalar times a float32 array would be rounded elsewhere than a Python number."""
    results = []
    for kind in (float, np.float64):
        (weight, _), steps = two(momentum=kind(0.9), weight_decay=kind(0.1))
        steps.lr = kind(0.3)
        for _ in range(3):
            weight.grad = np.full((2, 3), 0.7, "float32")
            steps.step()
        results.append(weight.data)
        assert type(steps.lr) is float and steps.state["velocity"][0].dtype == np.float32
    np.testing.assert_array_equal(*results)


# Files from before parameter groups -----------------------------------------------------------------------------------


def test_a_plain_optimiser_saves_what_it_always_saved():
    tensors, sgd = two(momentum=0.9)
    adam = md.optim.Adam(tensors)
    for tensor in tensors:
        tensor.grad = np.ones(tensor.shape, "float32")
    sgd.step()
    adam.step()
    assert {name: value for name, value in sgd.state_dict().items() if not name.startswith("velocity")} == {
        "type": "SGD", "parameters": 2, "steps": 1, "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "nesterov": False
    }  # fmt: skip
    assert (
        list(adam.state_dict())
        == (
            "type parameters steps lr weight_decay betas eps counts "
            "first_moment.0 first_moment.1 second_moment.0 second_moment.1"
        ).split()
    )


def test_a_state_that_was_saved_before_is_loaded():
    tensors, steps = two("Adam")
    moments = {f"{slot}.{i}": np.full(tensors[i].shape, 0.5) for slot in ("first_moment", "second_moment") for i in (0, 1)}
    old = {"type": "Adam", "parameters": 2, "steps": 7, "lr": 0.02, "weight_decay": 0.1, "betas": [0.8, 0.95], "eps": 1e-4}
    steps.load_state_dict({**old, "counts": [7, 3], **moments})
    assert (steps.steps, steps.lr, steps.betas, steps.counts) == (7, 0.02, (0.8, 0.95), [7, 3])
    assert steps.state["second_moment"][1].dtype == np.float32


# Parameter groups -----------------------------------------------------------------------------------------------------

GROUPS = [
    ("SGD", {"lr": 0.1}, {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, {"lr": 0.03}),
    ("Adam", {"lr": 0.1}, {"betas": (0.5, 0.6), "lr": 0.01}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.2}, {"eps": 1e-3, "weight_decay": 0.0}),
]


@pytest.mark.parametrize(("name", "settings", "own"), GROUPS)
def test_groups_agree_with_pytorch_and_go_on_from_a_file(name, settings, own, library, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    start = [np.random.default_rng(1).normal(size=shape) for shape in ((3, 4), (4,))]
    fresh = lambda: [md.Tensor(library.array(value.copy()), requires_grad=True) for value in start]  # noqa: E731
    ours, theirs = fresh(), [torch.tensor(value, requires_grad=True) for value in start]
    groups = lambda tensors: [{"params": tensors[:1]}, {"params": iter(tensors[1:]), **own}]  # noqa: E731
    mine, reference = getattr(md.optim, name)(groups(ours), **settings), getattr(torch.optim, name)(groups(theirs), **settings)
    for number, step in enumerate(gradients(12)):
        if number == 5:
            md.save(tmp_path / "file", md.nn.Sequential(), mine)
            again, data = fresh(), [tensor.data.copy() for tensor in ours]
            for tensor, array in zip(again, data, strict=True):
                tensor.data = array
            ours, mine = again, getattr(md.optim, name)(groups(again), lr=9.0)
            md.load(tmp_path / "file", optimizer=mine)
        if number == 8:
            for optimizer in (mine, reference):
                optimizer.param_groups[1]["lr"] *= 0.5
        for tensor, other, gradient in zip(ours, theirs, step, strict=True):
            tensor.grad, other.grad = library.array(gradient), torch.tensor(gradient)
        mine.step()
        reference.step()
    for tensor, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(library.numpy(tensor.data), other.detach().numpy(), rtol=1e-10)


def test_one_rate_for_all_groups():
    (a, b), c = two()[0], md.Tensor([1.0], requires_grad=True)
    steps = md.optim.SGD([{"params": a}, {"params": [b], "lr": 0.5}], lr=0.1)
    with pytest.raises(ArgumentError, match=r'SGD\.lr: the groups have different values(.|\n)*0\.1, 0\.5(.|\n)*\["lr"\]'):
        _ = steps.lr
    assert steps.momentum == 0 and steps.parameters[0] is a and steps.parameters[1] is b
    steps.add_param_group({"params": [c]})
    assert [group["lr"] for group in steps.param_groups] == [0.1, 0.5, 0.1]
    steps.lr = 0.2
    assert steps.lr == 0.2 and [group["lr"] for group in steps.param_groups] == [0.2] * 3
    with pytest.raises(ArgumentError, match="the same parameter twice"):
        steps.add_param_group({"params": [b]})
    assert len(steps.param_groups) == 3 and len(steps.parameters) == 3
    c.grad = np.ones(1, "float32")
    steps.step()
    assert c.item() == pytest.approx(0.8)


def test_the_state_of_other_groups_is_refused():
    (a, b), plain = two()
    grouped = md.optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    for optimizer, other in ((plain, grouped), (grouped, plain)):
        with pytest.raises(StateError, match="parameter groups, not"):
            optimizer.load_state_dict(other.state_dict())


def test_a_copy_goes_on_by_itself():
    tensors, steps = two(momentum=0.9)
    for make in (copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        other_tensors, other = make((tensors, steps))
        assert other.param_groups[0]["params"][1] is other.parameters[1] is other_tensors[1] is not tensors[1]
        assert other.group_of[0] is other.param_groups[0] is not steps.param_groups[0]
        other.lr = 0.7
        other_tensors[0].grad = np.ones((2, 3), "float32")
        other.step()
        assert other_tensors[0].data[0, 0] == pytest.approx(0.3) and steps.lr == 0.1 and tensors[0].data[0, 0] == 1


class Lion(md.optim.Optimizer):
    """A user's optimiser, with a setting and an array of its own."""

    slots = ("memory",)
    settings = ("beta",)
    beta = md.optim.groups.Setting()

    def __init__(self, parameters, lr, beta=0.9):
        super().__init__(parameters, lr, 0.0, beta=beta)

    def update(self, index, parameter, gradient):
        group, memory = self.group_of[index], self.kept("memory", index)
        memory += (1 - group["beta"]) * (gradient - memory)
        parameter.data -= group["lr"] * np.sign(memory)


def test_an_optimiser_of_ones_own():
    (a, b), _ = two()
    steps = Lion([{"params": a}, {"params": b, "beta": 0.5}], lr=0.25)
    a.grad = b.grad = None
    a.grad = np.ones((2, 3), "float32")
    steps.step()
    assert (a.data == 0.75).all() and (b.data == 1).all()
    again = Lion([{"params": a}, {"params": b}], lr=9.0)
    again.load_state_dict(steps.state_dict())
    assert [group["beta"] for group in again.param_groups] == [0.9, 0.5] and again.lr == 0.25
    np.testing.assert_allclose(again.state["memory"][0], 0.1, rtol=1e-6)

    class Forgets(Lion):
        def __init__(self, parameters):
            md.optim.Optimizer.__init__(self, parameters, 0.1, 0.0)

    with pytest.raises(ArgumentError, match=r"Forgets: other settings(.|\n)*expected: beta\n  got: none"):
        Forgets([P])


@pytest.mark.parametrize("make", [lambda p: md.optim.Adam(p), lambda p: md.optim.SGD(p, 0.1, momentum=0.9)])
def test_a_parameter_of_another_shape_than_its_state_is_found_before_any_step(make):
    first, second = (md.Tensor(np.ones(2, "float32"), requires_grad=True) for _ in range(2))
    optimizer = make([first, second])
    for tensor in (first, second):
        tensor.grad = np.ones(2, "float32")
    optimizer.step()
    second.data, second.grad = np.zeros(3, "float32"), np.ones(3, "float32")
    before, state = first.data.copy(), optimizer.state_dict()
    with pytest.raises(StateError, match=r"parameter 1 has another shape(.|\n)*help: make a new optimiser"):
        optimizer.step()
    np.testing.assert_array_equal(first.data, before)
    assert optimizer.steps == state["steps"] == 1


def test_nesterov_needs_its_momentum_also_later():
    optimizer = md.optim.SGD([md.Tensor([1.0], requires_grad=True)], 0.1, momentum=0.9, nesterov=True)
    group = optimizer.param_groups[0]
    for change in (
        lambda: setattr(optimizer, "momentum", 0.0),
        lambda: group.update(lr=0.5, momentum=0.0),
        lambda: group.__ior__({"lr": -1.0}),
        lambda: group.__delitem__("lr"),
    ):
        with pytest.raises(ArgumentError):
            change()
    assert optimizer.lr == 0.1 and optimizer.momentum == 0.9
    group.update(nesterov=False, momentum=0.0)
    assert optimizer.momentum == 0.0


@pytest.mark.parametrize("lr", [0, -0.1, "0.1", None])
def test_one_rule_for_the_rate_at_the_start(lr):
    with pytest.raises(ArgumentError, match=r"bad lr\n  expected: a number above 0"):
        md.optim.SGD([md.Tensor([1.0], requires_grad=True)], lr)


def test_a_state_of_two_groups_with_one_bad_setting_changes_neither():
    """Each value is right alone: Nesterov's rule needs a momentum."""
    tensors = [md.Tensor([1.0], requires_grad=True) for _ in range(2)]
    optimizer = md.optim.SGD([{"params": [tensor]} for tensor in tensors], 0.1, momentum=0.9, nesterov=True)
    state = optimizer.state_dict()
    state["param_groups"] = [{**group, "lr": 0.5} for group in state["param_groups"]]
    state["param_groups"][1]["momentum"] = 0.0
    with pytest.raises(StateError, match="bad nesterov"):
        optimizer.load_state_dict(state)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


@pytest.mark.parametrize("lr", [10**400, np.complex128(1)])
def test_a_rate_that_is_no_float(lr):
    with pytest.raises(ArgumentError, match="bad lr"):
        md.optim.SGD([md.Tensor([1.0], requires_grad=True)], lr)
