"""The heart: short, alone, and the same with and without its guards."""

from __future__ import annotations

import ast
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import threading

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


@pytest.mark.parametrize("shape", [(4,), (3, 1), (1, 4), (1, 1), (1,), ()])
def test_what_was_stretched_is_summed_into_an_array_of_its_own(shape):
    """A view would be copied later, so that no two tensors share memory: a launch more on a GPU, for each bias."""
    grad = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    folded = core.unbroadcast(grad, shape)
    assert type(folded) is np.ndarray and folded.shape == shape
    into = np.broadcast_shapes(shape, (1, 1, 1))
    axes = tuple(axis for axis in range(3) if into[axis] == 1)
    np.testing.assert_array_equal(folded, grad.sum(axis=axes).reshape(shape))
    assert shape != (4,) or folded.base is None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("add(gradients[parent], gradient)", "gradient"),  # forgets a consumer
        ("if stretched else grad", "if False else grad"),  # does not sum what was stretched
        ("op.grad_shape = parents, next(numbers)", "op.grad_shape = parents, -next(numbers)"),
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
    monkeypatch.setattr(core, "add", lambda one, other: (entered.append("add"), one + other)[1])
    for one, other in zip(guarded, gradients(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {"forward", "backward", "fold", "add"} == set(entered)


class TestThePathOfAGradient:
    """From a matrix product to the gradient of a weight: what a reader has to open."""

    def test_the_heart_and_the_ops_are_short(self):
        heart, guards = path.split(path.path_of_a_gradient())
        assert {"core.py", "tensor.py", "operators.py", "ops/matmul.py", "ops/reduction.py"} <= set(heart)
        assert len(heart) <= 7 and sum(heart.values()) <= 160
        assert set(guards) <= {"backend.py", "guard/doors.py", "guard/operands.py", "guard/shapes.py", "guard/fingerprint.py"}

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


class Named(md.Op):
    """An op whose fields have names that the heart might want for itself."""

    name = "a name of its own"

    def __init__(self):
        self.number, self.line, self.watched, self.order = 3, "a", "b", "c"

    def forward(self, x):
        self.saved = (x,)
        return x * self.number

    def backward(self, grad):
        assert (self.number, self.line, self.watched, self.order) == (3, "a", "b", "c")
        return (grad * self.number,)


class TestWhatAnotherReaderFound:
    """Differences that a comparison with the code before found, program by program."""

    @pytest.mark.parametrize("anomaly", [False, True])
    def test_an_op_may_use_common_names(self, anomaly):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        with md.detect_anomaly() if anomaly else contextlib.nullcontext():
            y = md.apply(Named(), x)
            assert "made by a name of its own" in repr(y)
            y.sum().backward()
        np.testing.assert_array_equal(x.grad, [3, 3])

    def test_no_grad_objects_nest_and_serve_again(self):
        quiet, x = core.no_grad(), md.Tensor([1.0], requires_grad=True)
        for _ in range(2):
            with quiet, quiet, md.no_grad(), md.no_grad():
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad

    def test_a_decorated_function_in_two_threads(self):
        x, inside, go_on = md.Tensor([1.0], requires_grad=True), threading.Event(), threading.Event()

        @md.no_grad()
        def quietly():
            inside.set()
            go_on.wait(10)
            return (x * 2).requires_grad

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(quietly)
            inside.wait(10)
            assert (x * 2).requires_grad  # of this thread
            go_on.set()
            assert other.result() is False
            assert pool.submit(lambda: (x * 2).requires_grad).result() is True
        assert quietly() is False and (x * 2).requires_grad

    @pytest.mark.parametrize("options", [{}, {"eq": True, "slots": True}, {"order": True}])
    def test_an_op_may_be_a_dataclass(self, options):
        """A dataclass compares by its fields, and has no hash; two calls of an op are two ops all the same."""

        @dataclasses.dataclass(**options)
        class Times(md.Op):
            factor: float

            def forward(self, x):
                return x * self.factor

            def backward(self, grad):
                return (grad * self.factor,)

        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (md.apply(Times(2.0), x) + md.apply(Times(2.0), x * 3)).backward([1.0, 10.0])
        np.testing.assert_array_equal(x.grad, [8, 80])

    def test_an_op_with_an_equality_of_its_own(self):
        class Equal(md.Op):
            def forward(self, x):
                return x * 2

            def backward(self, grad):
                return (grad * 2,)

            def __eq__(self, other):
                return isinstance(other, Equal)

            def __hash__(self):
                return 1

        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (md.apply(Equal(), x) + md.apply(Equal(), x)).backward([1.0, 10.0])
        np.testing.assert_array_equal(x.grad, [4, 40])

    def test_released_scalars_used_twice_say_so(self):
        """Two released ops once had the same number, and the heap compared the ops."""
        a = md.Tensor(1.0, requires_grad=True)
        p, q = a * 2, a * 3
        (p + q).backward()
        with pytest.raises(md.errors.GraphError, match="released"):
            (p * q).backward()

    def test_a_gradient_that_a_user_has_set(self):
        for given in (md.Tensor([1.0, 2.0]), np.array([1.0, 2.0], dtype="float32")):
            x = md.Tensor([1.0, 1.0], requires_grad=True)
            x.grad = given
            (x * 2).sum().backward()
            assert type(x.grad) is np.ndarray
            np.testing.assert_array_equal(x.grad, [3, 4])

    def test_anomaly_mode_and_a_backward_that_returns_a_python_number(self):
        class Wrong(md.Op):
            def forward(self, x):
                return x + 0

            def backward(self, grad):
                return (1.0,)

        with md.detect_anomaly(), pytest.raises(AttributeError, match="float"):
            md.apply(Wrong(), md.Tensor([1.0], requires_grad=True)).backward(np.ones(1))


class TestOperands:
    def test_a_matrix_is_an_array_like_any_other(self):
        x = md.Tensor(np.arange(4.0).reshape(2, 2), requires_grad=True)
        matrix = np.arange(1.0, 5.0).reshape(2, 2).view(np.matrix)
        y = x * matrix
        assert type(y.data) is np.ndarray
        np.testing.assert_array_equal(y.data, x.data * np.asarray(matrix))
        y.backward(np.full((2, 2), 2.0))
        np.testing.assert_array_equal(x.grad, 2 * np.asarray(matrix))
        masked = np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2))
        assert type((x + masked).data) is np.ndarray

    @pytest.mark.parametrize(
        "bad", [np.array([1j, 2]), np.array([1, None]), np.array(["a", "b"]), np.complex64(1j), np.str_("a")]
    )
    def test_what_is_no_real_number_is_refused(self, bad):
        for call in (lambda: md.Tensor([1.0, 2.0]) * bad, lambda: md.maximum(bad, 1.0), lambda: md.maximum(bad, bad)):
            with pytest.raises(md.errors.DTypeError, match=r"not real numbers|not numbers"):
                call()

    def test_a_list_beside_a_mask_alone(self):
        mask = md.Tensor(np.array([True, False]))
        np.testing.assert_array_equal((mask * [3.0, 4.0]).data, np.float32([3, 0]))
        np.testing.assert_array_equal(md.where([True, False], mask, [2.0, 3.0]).data, np.float32([1, 3]))

    def test_integers_do_not_swallow_the_fractions_of_a_list(self):
        for whole in (np.array([1, 2]), md.Tensor(np.array([1, 2]))):
            with pytest.raises(md.errors.DTypeError, match="different number types"):
                md.maximum(whole, [0.5, 2.7])
            np.testing.assert_array_equal(md.maximum(whole, [0, 7]).data, [1, 7])

    def test_a_long_double_is_a_number(self):
        assert (md.Tensor([1.0]) * np.longdouble(2)).dtype == "float32"
