"""The heart: short, alone, and the same with and without its guards."""

from __future__ import annotations

import ast
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import path_of_a_gradient as path
import pytest

import minidrop as md
from minidrop import core

SOURCE = pathlib.Path(core.__file__)

TWO_LAYERS = """
import sys

import numpy as np

import core
from core import Op, Variable, apply


class MatMul(Op):
    def forward(self, a, b):
        self.saved = (a, b)
        return a @ b

    def backward(self, grad):
        a, b = self.saved
        return grad @ b.T, a.T @ grad


class Add(Op):
    broadcasts = True

    def forward(self, a, b):
        return a + b

    def backward(self, grad):
        return grad, grad


class Tanh(Op):
    def forward(self, x):
        self.saved = (np.tanh(x),)
        return self.saved[0]

    def backward(self, grad):
        (y,) = self.saved
        return (grad * (1 - y * y),)


class SquaredError(Op):
    def forward(self, y, target):
        self.saved = (y, target)
        return np.asarray(((y - target) ** 2).mean())

    def backward(self, grad):
        y, target = self.saved
        return grad * 2 * (y - target) / y.size, None


random = np.random.default_rng(0)
x = random.normal(size=(200, 2))
target = np.sign(x[:, :1] * x[:, 1:])  # no straight line separates these
parameters = [Variable(array, True) for array in (random.normal(size=(2, 16)), np.zeros(16), 0.1 * random.normal(size=(16, 1)))]
for step in range(2000):
    w, b, v = parameters
    loss = apply(SquaredError(), apply(MatMul(), apply(Tanh(), apply(Add(), apply(MatMul(), x, w), b)), v), target)
    loss.backward(np.asarray(1.0))
    parameters = [Variable(p._data - 0.1 * p.grad, True) for p in parameters]
with core.no_grad():
    assert not apply(Tanh(), parameters[0])._requires_grad
assert not any(name.startswith("minidrop") for name in sys.modules)
print(float(loss._data))
"""


def alone(tmp_path, source):
    (tmp_path / "core.py").write_text(source)
    (tmp_path / "train.py").write_text(TWO_LAYERS)
    return subprocess.run([sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_it_trains_two_layers_with_nothing_else_of_minidrop(tmp_path):
    ran = alone(tmp_path, SOURCE.read_text())
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.25  # of 1 at first, and for ever without a hidden layer


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("gradients[parent] + gradient", "gradient"),  # forgets a consumer
        ("if stretched else grad", "if False else grad"),  # does not sum what was stretched
        ("op.number, op.grad_shape = parents, next(numbers)", "op.number, op.grad_shape = parents, -next(numbers)"),
    ],
)
def test_a_heart_that_is_broken_does_not(tmp_path, right, wrong):
    """The gradients of a small graph, in which one value is used three times and another is stretched."""
    source = SOURCE.read_text()
    assert right in source
    check = (
        "h = Variable(np.array([[1.0, 2.0]]), True)\nb = Variable(np.array([1.0]), True)\n"
        "t = apply(Tanh(), apply(Add(), h, b))\ny = apply(Add(), apply(Add(), t, t), apply(Tanh(), t))\n"
        "y.backward(np.array([[1.0, -3.0]]))\nz = np.tanh(h._data + 1)\n"
        "slope = (2 + 1 - np.tanh(z) ** 2) * (1 - z * z) * np.array([[1.0, -3.0]])\n"
        "np.testing.assert_allclose(h.grad, slope)\nnp.testing.assert_allclose(b.grad, [slope.sum()])\n"
    )
    script = TWO_LAYERS[: TWO_LAYERS.index("random = np")] + check
    (tmp_path / "core.py").write_text(source)
    (tmp_path / "train.py").write_text(script)
    command = [sys.executable, "train.py"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    (tmp_path / "core.py").write_text(source.replace(right, wrong))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_it_is_short_and_imports_only_what_python_brings():
    source = SOURCE.read_text()
    assert len(source.splitlines()) <= 150
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported <= {"__future__", "itertools", "threading", "collections", "contextlib", "heapq", "typing"}


def test_with_plain_doors_the_gradients_are_the_same(monkeypatch):
    def gradients():
        rng = np.random.default_rng(0)
        x, w, b = (md.Tensor(rng.normal(size=shape), requires_grad=True) for shape in ((5, 3), (3, 4), (4,)))
        y = ((x @ w + b).tanh() * (x @ w)).sum(axis=0)
        y.backward(rng.normal(size=4))
        return [tensor.grad for tensor in (x, w, b)]

    guarded = gradients()
    entered = []
    monkeypatch.setattr(core, "forward", lambda op, arrays: (entered.append("forward"), op.forward(*arrays))[1])
    monkeypatch.setattr(core, "backward", lambda op, grad: (entered.append("backward"), op.backward(grad))[1])
    monkeypatch.setattr(
        core, "fold", lambda op, grad, parent: (entered.append("fold"), core.unbroadcast(grad, parent.grad_shape))[1]
    )
    for one, other in zip(guarded, gradients(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {"forward", "backward", "fold"} == set(entered)


class TestThePathOfAGradient:
    """From a matrix product to the gradient of a weight: what a reader has to open."""

    def test_the_heart_and_the_ops_are_short(self):
        heart, guards = path.split(path.path_of_a_gradient())
        assert {"core.py", "tensor.py", "operators.py", "ops/matmul.py", "ops/reduction.py"} <= set(heart)
        assert len(heart) <= 7 and sum(heart.values()) <= 160
        assert set(guards) <= {"backend.py", "guard/doors.py", "guard/operands.py", "guard/fingerprint.py"}

    def test_lines_of_code_are_counted_whether_or_not_they_run(self, tmp_path):
        file = tmp_path / "some.py"
        file.write_text(
            'def f(x):\n    """Doc.\n\n    More.\n    """\n    # why\n    if x:\n        return 1\n\n    return 2\n'
        )
        assert path.functions(str(file)) == {1: {1, 7, 8, 10}}
        file = tmp_path / "other.py"
        file.write_text("@property\ndef g(self):\n    return 1\n")
        assert path.functions(str(file)) == {1: {1, 2, 3}}

    def test_a_function_that_is_entered_is_seen(self):
        codes = path.entered(lambda: md.Tensor([1.0]).relu())
        assert {"relu", "apply", "forward"} <= {code.co_name for code in codes}
        assert "backpropagate" not in {code.co_name for code in codes}
