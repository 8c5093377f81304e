"""Schedules of the learning rate: trajectories against PyTorch's, states, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, CaptureError, StateError


def step_lr(optim, optimizer):
    return optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)


def cosine(optim, optimizer):
    return optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12, eta_min=0.01)


def warm_up(optim, optimizer):
    return optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=4)


def warm_up_and_cosine(optim, optimizer):
    parts = [warm_up(optim, optimizer), cosine(optim, optimizer)]
    return optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[4])


def three(optim, optimizer):
    parts = [warm_up(optim, optimizer), step_lr(optim, optimizer), cosine(optim, optimizer)]
    return optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[4, 11])


SCHEDULES = [step_lr, cosine, warm_up, warm_up_and_cosine, three]


def parameters():
    return [md.Tensor(np.arange(1.0, 4.0), requires_grad=True), md.Tensor(np.ones(2), requires_grad=True)]


def sgd(tensors=None):
    a, b = tensors or parameters()
    return md.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.03}], lr=0.2, momentum=0.9)


@pytest.mark.parametrize("make", SCHEDULES)
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_rates_and_weights_agree_with_pytorch(make, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = parameters()
    theirs = [torch.tensor(tensor.data.copy(), requires_grad=True) for tensor in ours]
    groups = lambda tensors: [{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.03}]  # noqa: E731
    mine, reference = (getattr(optim, name)(groups(t), lr=0.2) for optim, t in ((md.optim, ours), (torch.optim, theirs)))
    schedules = make(md.optim, mine), make(torch.optim, reference)
    rng = np.random.default_rng(0)
    for _ in range(15):
        for tensor, other in zip(ours, theirs, strict=True):
            gradient = rng.normal(size=tensor.shape)
            tensor.grad, other.grad = gradient, torch.tensor(gradient)
        mine.step()
        reference.step()
        for schedule in schedules:
            schedule.step()
        np.testing.assert_allclose(schedules[0].get_last_lr(), schedules[1].get_last_lr(), rtol=1e-9)
        np.testing.assert_allclose([group["lr"] for group in mine.param_groups], schedules[1].get_last_lr(), rtol=1e-9)
    for tensor, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(tensor.data, other.detach().numpy(), rtol=1e-9)


def test_formulas_by_hand():
    for make, t, expected in [
        (step_lr, 6, 0.2 * 0.25),
        (cosine, 0, 0.2),
        (cosine, 6, 0.01 + 0.19 / 2),
        (cosine, 12, 0.01),
        (warm_up, 0, 0.02),
        (warm_up, 2, 0.2 * 0.55),
        (warm_up, 99, 0.2),
        (warm_up_and_cosine, 3, 0.2 * 0.775),
        (warm_up_and_cosine, 4, 0.2),
        (warm_up_and_cosine, 16, 0.01),
    ]:
        assert make(md.optim, sgd()).rate(t, 0.2) == pytest.approx(expected), (make, t)


@pytest.mark.parametrize("make", SCHEDULES)
def test_a_resumed_schedule_goes_on_at_its_place(make):
    whole = make(md.optim, sgd())
    expected = []
    for _ in range(14):
        whole.step()
        expected.append(whole.get_last_lr())
    first = make(md.optim, sgd())
    for _ in range(5):
        first.step()
    states = json.loads(json.dumps(first.state_dict())), first.optimizer.state_dict()
    for order in ((0, 1), (1, 0)):
        optimizer = sgd()
        optimizer.lr = 0.7
        second = make(md.optim, optimizer)
        for which in order:
            (second, optimizer)[which].load_state_dict(states[which])
        got = []
        for _ in range(9):
            second.step()
            got.append([group["lr"] for group in optimizer.param_groups])
        assert got == expected[5:]


def test_a_rate_that_another_hand_has_set_is_noticed():
    optimizer = sgd()
    schedule = step_lr(md.optim, optimizer)
    optimizer.lr = 0.5
    with pytest.raises(StateError, match=r"changed by other hands(.|\n)*SequentialLR"):
        schedule.step()
    assert optimizer.lr == 0.5 and schedule.last_epoch == 0
    optimizer = sgd()
    first, second = step_lr(md.optim, optimizer), cosine(md.optim, optimizer)
    with pytest.raises(StateError, match="changed by other hands"):
        for _ in range(4):
            first.step()
            second.step()


def test_a_state_of_another_schedule_is_refused():
    schedule = step_lr(md.optim, sgd())
    schedule.step()
    before = schedule.state_dict()
    for change in (
        {"type": "LinearLR"},
        {"gamma": 0.25},
        {"step_size": None},
        {"base_lrs": [0.1]},
        {"base_lrs": [0.1, "x"]},
        {"last_epoch": -1},
        {"last_epoch": 2.0},
    ):
        with pytest.raises(StateError, match="does not fit"):
            schedule.load_state_dict({**before, "last_epoch": 5, **change})
    for bad in (None, {}, cosine(md.optim, sgd()).state_dict()):
        with pytest.raises(StateError, match="does not fit"):
            schedule.load_state_dict(bad)
    assert schedule.state_dict() == before
    other = three(md.optim, sgd())
    with pytest.raises(StateError, match="milestones"):
        other.load_state_dict(warm_up_and_cosine(md.optim, sgd()).state_dict())


def sequential(parts, milestones):
    optimizer = sgd()
    return md.optim.SequentialLR(optimizer, [part(md.optim, optimizer) for part in parts], milestones)


@pytest.mark.parametrize(
    "make",
    [
        lambda: md.optim.StepLR(None, 3),
        lambda: md.optim.StepLR(sgd(), 0),
        lambda: md.optim.StepLR(sgd(), 2.5),
        lambda: md.optim.StepLR(sgd(), 2, gamma=-1),
        lambda: md.optim.CosineAnnealingLR(sgd(), 0),
        lambda: md.optim.CosineAnnealingLR(sgd(), 5, eta_min=-0.1),
        lambda: md.optim.LinearLR(sgd(), start_factor=2.0),
        lambda: md.optim.LinearLR(sgd(), total_iters=0),
        lambda: sequential([], []),
        lambda: sequential([warm_up, cosine], []),
        lambda: sequential([warm_up, cosine], [0]),
        lambda: sequential([warm_up, cosine, cosine], [5, 5]),
        lambda: md.optim.SequentialLR(sgd(), [warm_up(md.optim, sgd())], []),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ArgumentError, match=r"bad (.|\n)*expected: (.|\n)*got: "):
        make()


def test_a_schedule_without_a_formula():
    with pytest.raises(TypeError, match=r"LRScheduler has no rate\(\)"):
        md.optim.LRScheduler(sgd())


# Steps that are replayed as CUDA graphs -------------------------------------------------------------------------------


def train(xp, run_by, schedule_outside=True):
    weights = [md.Tensor(xp.asarray(np.ones(3, "float32")), requires_grad=True) for _ in range(2)]
    optimizer = md.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}], lr=0.1, momentum=0.5)
    schedule = md.optim.StepLR(optimizer, step_size=4, gamma=0.5)

    def step(x):
        loss = (weights[0] * md.Tensor(x)).sum() + (weights[1] * md.Tensor(x)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not schedule_outside:
            schedule.step()
        return loss

    run = run_by(step)
    for _ in range(14):
        run(xp.ones(3, dtype="float32"))
        if schedule_outside:
            schedule.step()
    return run, [weight.numpy() for weight in weights]


def test_a_captured_step_follows_the_schedule(capturing_cupy):
    _, expected = train(capturing_cupy, lambda step: step)
    captured, got = train(capturing_cupy, md.capture)
    assert captured.graph is not None and captured.reason is None
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_schedule_inside_a_captured_step_is_not_forgotten(capturing_cupy):
    _, expected = train(capturing_cupy, lambda step: step, schedule_outside=False)
    with pytest.warns(RuntimeWarning, match=f"{CaptureError.__name__}: a schedule counts in Python"):
        captured, got = train(capturing_cupy, md.capture, schedule_outside=False)
    assert captured.graph is None
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_rate_that_is_set_between_replays(capturing_cupy):
    xp, results = capturing_cupy, []
    for run_by in (lambda step: step, md.capture):
        weight = md.Tensor(xp.asarray(np.zeros(3, "float32")), requires_grad=True)
        optimizer = md.optim.SGD([weight], lr=0.5)

        def step(x, weight=weight, optimizer=optimizer):
            optimizer.zero_grad()
            (weight * md.Tensor(x)).sum().backward()
            optimizer.step()

        run = run_by(step)
        for rate in [0.5] * 6 + [0.125] * 2 + [0.5] * 2:
            optimizer.lr = rate
            run(xp.ones(3, dtype="float32"))
        results.append(weight.numpy().tolist())
    assert results[0] == results[1] == [-4.25] * 3


def change_momentum(optimizer, step):
    if step == 5:
        optimizer.momentum = 0.9


def change_a_group(optimizer, step):
    if step == 5:
        optimizer.param_groups[1]["momentum"] = 0.9


def load_another_state(optimizer, step):
    if step == 0:
        optimizer.momentum = 0.5
    if step == 7:
        state = optimizer.state_dict()
        optimizer.load_state_dict({name: value * 0 if "velocity" in name else value for name, value in state.items()})


@pytest.mark.parametrize("change", [change_momentum, change_a_group, load_another_state])
def test_a_captured_step_notices_what_changes_in_the_optimiser(capturing_cupy, change):
    """A velocity made inside the graph would start anew at each replay; one that is replaced would go on."""
    xp, results = capturing_cupy, []
    for run_by in (lambda step: step, md.capture):
        weights = [md.Tensor(xp.asarray(np.zeros(3, "float32")), requires_grad=True) for _ in range(2)]
        optimizer = md.optim.SGD([{"params": [weight]} for weight in weights], lr=0.125)

        def step(x, weights=weights, optimizer=optimizer):
            optimizer.zero_grad()
            (weights[0] * md.Tensor(x) + weights[1] * md.Tensor(x)).sum().backward()
            optimizer.step()

        run = run_by(step)
        for number in range(14):
            change(optimizer, number)
            run(xp.ones(3, dtype="float32"))
        results.append([weight.numpy().tolist() for weight in weights])
    assert run.graph is not None and run.reason is None
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_an_optimiser_makes_no_state_inside_a_graph(capturing_cupy):
    """A parameter whose first gradient comes in the captured step: it has no velocity yet."""
    xp = capturing_cupy
    weights = [md.Tensor(xp.asarray(np.zeros(3, "float32")), requires_grad=True) for _ in range(2)]
    optimizer, calls = md.optim.SGD(weights, lr=0.125, momentum=0.5), []

    def step(x):
        calls.append(1)
        optimizer.zero_grad()
        loss = (weights[0] * md.Tensor(x)).sum()
        (loss if len(calls) <= 3 else loss + weights[1].sum()).backward()
        optimizer.step()

    run = md.capture(step)
    x = xp.ones(3, dtype="float32")
    with pytest.warns(RuntimeWarning, match="it makes a velocity"):
        _ = [run(x) for _ in range(6)]
    assert run.graph is None


# What goes wrong as a whole, or not at all ----------------------------------------------------------------------------


def test_a_group_that_comes_after_the_schedule_is_told():
    optimizer = sgd()
    schedule = md.optim.StepLR(optimizer, 2)
    state = schedule.state_dict()
    optimizer.add_param_group({"params": [md.Tensor([1.0], requires_grad=True)]})
    for act in (schedule.step, lambda: schedule.load_state_dict({**state, "last_epoch": 3})):
        with pytest.raises(StateError, match=r"StepLR(.|\n)*group(.|\n)*expected: (.|\n)*got: "):
            act()
    assert schedule.last_epoch == 0


def test_a_formula_that_fails_changes_no_rate():
    class Bad(md.optim.LRScheduler):
        def rate(self, t, base):
            return base if t == 0 or base > 0.2 else -1.0

    optimizer = md.optim.SGD(
        [{"params": [md.Tensor([1.0], requires_grad=True)], "lr": lr} for lr in (0.5, 0.1)],
        lr=0.1,
    )
    schedule = Bad(optimizer)
    with pytest.raises(ArgumentError, match="Bad: bad lr"):
        schedule.step()
    assert schedule.last_epoch == 0 and [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]


def test_numbers_of_numpy_can_be_stored():
    import json

    optimizer = sgd()
    schedules = [
        md.optim.StepLR(optimizer, 2, np.float32(0.5)),
        md.optim.CosineAnnealingLR(sgd(), 5, np.float32(0.01)),
        md.optim.LinearLR(sgd(), np.float32(0.5), np.float64(1)),
    ]
    for schedule in schedules:
        assert json.loads(json.dumps(schedule.state_dict()))["type"] == type(schedule).__name__


def test_a_rate_may_grow():
    optimizer = sgd()
    optimizer.lr = 0.5
    md.optim.StepLR(optimizer, 1, gamma=1.5).step()
    assert optimizer.lr == 0.75
