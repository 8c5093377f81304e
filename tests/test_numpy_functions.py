"""NumPy's functions called with tensors: no gradient is lost in silence."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import DTypeError, GraphError, ShapeError
from minidrop.guard import numpy_calls

F = md.functional

CALLS = {
    "where": (lambda x: np.where(x.data > 0, x, 0.0), "md.functional.where"),
    "concatenate": (lambda x: np.concatenate([x, np.ones(2)]), "md.functional.concatenate"),
    "stack": (lambda x: np.stack([np.ones(3), x]), "md.functional.stack"),
    "dot": (lambda x: np.dot(x, np.ones(3)), "a @ b"),
    "pad": (lambda x: np.pad(x, 1), "md.functional.pad"),
    "clip": (lambda x: np.clip(x, 0, 1), "md.functional.clip"),
    "einsum": (lambda x: np.einsum("i,i->", x, np.ones(3)), "a @ b"),
    "r_": (lambda x: np.r_[x, 1.0], "md.functional"),
    "c_": (lambda x: np.c_[x, x], "md.functional"),
    "sum": (np.sum, "md.functional.sum"),
    "mean": (np.mean, "md.functional.mean"),
    "max": (np.max, "md.functional.max"),
    "norm": (np.linalg.norm, r"\(x \* x\)\.sum\(\)\.sqrt\(\)"),
    "cumsum": (np.cumsum, "no such function"),
    "asarray": (np.asarray, r"x\.numpy\(\)"),
    "array of tensors": (lambda x: np.array([x, x]), r"x\.numpy\(\)"),
    "keyword": (lambda x: np.sum(a=x), "md.functional.sum"),
}


def refused(function, x, help):
    with pytest.raises(GraphError, match=rf"expected: (.|\n)*got: a tensor of shape \(3,\)(.|\n)*help: .*{help}"):
        function(x)


@pytest.mark.parametrize("name", CALLS)
def test_what_would_lose_a_gradient_is_refused_and_the_way_out_named(name):
    x = md.Tensor([1.0, -2.0, 3.0], requires_grad=True)
    refused(CALLS[name][0], x, CALLS[name][1])
    refused(CALLS[name][0], x * 1, CALLS[name][1])


def test_neither_does_assignment_to_an_array():
    x, buffer = md.Tensor([1.0, -2.0, 3.0], requires_grad=True), np.zeros(3)

    def assign(x):
        buffer[:] = x

    refused(assign, x, "md.functional")
    assert not buffer.any()


def test_the_way_out_gives_the_right_gradient():
    x = md.Tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * x
    F.where(x.data > 0, y, 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 6])


@pytest.mark.parametrize("name", [name for name in CALLS if name != "array of tensors"])
def test_a_tensor_without_gradient_is_its_array(name):
    x = np.array([1.0, -2.0, 3.0])
    result = CALLS[name][0](md.Tensor(x))
    np.testing.assert_array_equal(result, CALLS[name][0](md.Tensor(x).numpy()) if name != "where" else [1, 0, 3])
    assert not isinstance(result, md.Tensor)


def test_inside_no_grad_nothing_is_recorded_and_nothing_lost():
    x = md.Tensor([1.0, -2.0, 3.0], requires_grad=True)
    with md.no_grad():
        assert np.sum(x) == 2 and np.asarray(x).tolist() == [1, -2, 3]


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (np.shape, (3,)),
        (np.ndim, 1),
        (np.size, 3),
        (np.argmax, 2),
        (lambda x: np.allclose(x, [1, -2, 3]), True),
        (lambda x: np.zeros_like(x).tolist(), [0, 0, 0]),
    ],
)
def test_what_has_no_gradient_to_lose_is_answered(call, result):
    assert call(md.Tensor([1.0, -2.0, 3.0], requires_grad=True)) == result


def test_every_advice_names_a_function_that_there_is():
    for other in numpy_calls.INSTEAD.values():
        assert not other.isidentifier() or callable(getattr(F, other)), other


def test_every_name_is_one_of_numpy():
    for name in {*numpy_calls.INSTEAD, *numpy_calls.WITHOUT_GRADIENT}:
        assert hasattr(np, name) or hasattr(np.linalg, name), name


class TestOneNumber:
    """A loss is a number for people: print it, compare it, average it, plot it."""

    def loss(self):
        x = md.Tensor([1.0, 2.5], requires_grad=True)
        return x.sum()

    def test_as_a_python_number(self):
        loss = self.loss()
        assert float(loss) == 3.5 and isinstance(float(loss), float)
        assert int(loss) == 3 and round(loss) == 4 and round(loss / 3, 2) == 1.17
        assert math.log(loss) == math.log(3.5) and f"{loss:.1f}" == "3.5"
        assert f"{loss}" == str(loss) and f"{md.Tensor([[2.0]]):>6.2f}" == "  2.00"
        assert ["zero", "one"][md.Tensor(np.array(1))] == "one"

    def test_of_many(self):
        losses = [self.loss(), self.loss() * 3]
        assert np.mean(losses) == 7 and np.array(losses).tolist() == [3.5, 10.5]
        assert max(losses) is losses[1] and sorted(losses)[0] is losses[0] and sum(losses).item() == 14

    def test_a_plot_takes_a_list_of_losses(self):
        from matplotlib.figure import Figure

        (line,) = Figure().add_subplot().plot([self.loss(), self.loss() * 2])
        assert list(line.get_ydata()) == [3.5, 7]

    @pytest.mark.parametrize("convert", [float, int, round, lambda x: f"{x:.2f}", math.log, bool])
    def test_several_numbers_are_not_one(self, convert):
        with pytest.raises(ShapeError, match=r"one element(.|\n)*shape \(2,\)"):
            convert(md.Tensor([1.0, 2.0]))

    def test_a_fraction_is_no_index(self):
        with pytest.raises(TypeError):
            [1, 2][md.Tensor(1.0)]


@pytest.mark.parametrize("data", [[[md.Tensor(1.0)], [2.0]], [1.0, md.Tensor(2.0)], ([md.Tensor([1.0])],)])
def test_lists_with_a_tensor_at_any_depth_are_sent_to_stack(data):
    with pytest.raises(DTypeError, match=r"md\.stack"):
        md.Tensor(data)
    with pytest.raises(DTypeError, match=r"md\.stack"):
        md.Tensor([1.0]) * data
