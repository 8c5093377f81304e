"""detect_anomaly: the first op that is not finite, and the line that made it."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import AnomalyError

F = md.functional


def test_names_op_and_line_of_a_forward_that_is_not_finite(library):
    x = md.Tensor(library.array(np.array([1.0, 0.0, -1.0])), requires_grad=True)
    with md.detect_anomaly(), pytest.raises(AnomalyError) as error:
        y = x.exp()
        y = y.log()
        y = (y - 1).log()  # the first op that goes wrong
        y.sum()
    text = str(error.value)
    assert text.startswith("Log: the output is not finite")
    assert "all inputs were finite" in text and "3 of 3 elements (2 nan, 1 inf)" in text
    assert "test_anomaly.py" in text and "y = (y - 1).log()  # the first op" in text


def test_says_if_the_input_was_at_fault():
    with md.detect_anomaly(), pytest.raises(AnomalyError, match="an input was not finite already"):
        md.Tensor([np.nan]) * 2


def test_names_op_and_line_of_a_gradient_that_is_not_finite(library):
    x = md.Tensor(library.array(np.array([4.0, 0.0])), requires_grad=True)
    with md.detect_anomaly():
        y = x * 2
        root = y.sqrt()  # infinite slope at 0
        loss = (root * 3).sum()
        with pytest.raises(AnomalyError, match=r"Sqrt: the gradient is not finite(.|\n)*root = y.sqrt\(\)  # infinite slope"):
            loss.backward()
    assert x.grad is None


def test_without_a_recorded_line():
    x = md.Tensor([0.0], requires_grad=True)
    y = x.sqrt()
    with md.detect_anomaly(), pytest.raises(AnomalyError, match="run the forward pass under detect_anomaly too"):
        y.backward()


def test_inside_layers_it_is_the_users_line():
    model = md.nn.Sequential(md.nn.Dense(2, 2), md.nn.ReLU())
    model[0].weight.data[...] = np.inf
    with md.detect_anomaly(), pytest.raises(AnomalyError, match=r"MatMul: (.|\n)*output = model\("):
        output = model(np.ones((1, 2), "float32"))
        assert output


def test_a_given_gradient_that_is_not_finite():
    x = md.Tensor([1.0], requires_grad=True)
    with md.detect_anomaly(), pytest.raises(AnomalyError, match="upstream gradient given"):
        (x * 2).backward([np.nan])


def test_off_by_default_and_after_an_error_and_nests():
    x = md.Tensor([0.0], requires_grad=True)
    assert np.isinf((1 / x).item())
    with pytest.raises(AnomalyError), md.detect_anomaly():
        with md.detect_anomaly():
            pass
        1 / x
    assert np.isinf((1 / x).item())


def test_finite_numbers_and_integers_pass():
    with md.detect_anomaly():
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (x[np.array([0, 0, 1])] * 2).sum().backward()
        md.Tensor(np.arange(3)).sum()
    np.testing.assert_array_equal(x.grad, [4, 2])
