"""Tensor: what it accepts, what it prints, operators, methods."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, GraphError, ShapeError

F = md.functional
rng = np.random.default_rng(0)


class TestMaking:
    @pytest.mark.parametrize("data", [1, 1.5, True, [1, 2], [[1.0], [2.0]], (1, 2), []])
    def test_python_numbers_and_lists_become_float32(self, data):
        tensor = md.Tensor(data)
        assert tensor.dtype == np.float32 and tensor.shape == np.shape(data)

    @pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
    def test_arrays_keep_type_and_memory(self, dtype):
        array = np.zeros((2, 3), dtype=dtype)
        tensor = md.Tensor(array)
        assert tensor.dtype == dtype and np.shares_memory(tensor.data, array)

    def test_dtype_converts(self):
        assert md.Tensor([1, 2], dtype="float64").dtype == np.float64
        assert md.Tensor(np.zeros(2), dtype=np.float32).dtype == np.float32
        assert md.Tensor([1, 2], dtype="int64").dtype == np.int64

    def test_numpy_scalars_keep_their_type(self):
        assert md.Tensor(np.float64(2)).dtype == np.float64 and md.Tensor(np.float64(2)).shape == ()

    def test_of_a_tensor_shares_the_array_without_history(self):
        x = md.Tensor([1.0], requires_grad=True)
        y = md.Tensor(x * 2)
        assert not y.requires_grad and y.data[0] == 2

    @pytest.mark.parametrize("data", ["text", None, {}, [[1], [1, 2]], ["a"], object(), np.array(["a"]), np.zeros(2, complex)])
    def test_what_is_no_array_of_numbers(self, data):
        with pytest.raises((DTypeError, ShapeError), match=r"expected: (.|\n)*got: "):
            md.Tensor(data)

    def test_a_list_of_tensors_is_sent_to_stack(self):
        with pytest.raises(DTypeError, match=r"md\.stack"):
            md.Tensor([md.Tensor([1.0]), md.Tensor([2.0])])

    @pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
    def test_only_floats_have_gradients(self, dtype):
        with pytest.raises(DTypeError, match="only floating-point"):
            md.Tensor(np.zeros(2, dtype), requires_grad=True)
        tensor = md.Tensor(np.zeros(2, dtype))
        with pytest.raises(DTypeError):
            tensor.requires_grad = True


class TestCopies:
    @pytest.mark.parametrize("make", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_of_a_leaf_is_another_leaf_of_its_kind(self, make):
        array = rng.normal(size=(2, 3, 4)).transpose(2, 0, 1)
        for leaf in (md.nn.Parameter(array), md.nn.Buffer(array), md.Tensor(array)):
            leaf.grad = rng.normal(size=(4, 2, 3))
            other = make(leaf)
            assert type(other) is type(leaf) and other.requires_grad == leaf.requires_grad
            np.testing.assert_array_equal(other.data, array)
            np.testing.assert_array_equal(other.grad, leaf.grad)
            assert not np.shares_memory(other.data, array) and not np.shares_memory(other.grad, leaf.grad)

    @pytest.mark.parametrize("make", [copy.deepcopy, pickle.dumps])
    def test_of_an_op_s_output_is_refused(self, make):
        """It would be a copy of the whole graph, and the gradient would go to a hidden copy of the leaf."""
        x = md.Tensor([1.0], requires_grad=True)
        y = x
        for _ in range(2000):
            y = y * 1.0
        for wrong in (y, [y], {"a": y}):
            with pytest.raises(GraphError, match=r"expected: (.|\n)*got: the output of Mul(.|\n)*help: x\.detach"):
                make(wrong)
        make(y.detach())
        model = md.nn.ReLU()
        model.last = y
        with pytest.raises(GraphError, match="deepcopy"):
            make(model)

    def test_a_shallow_copy_is_another_name_of_the_same(self):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (copy.copy(x * 3) * [1.0, 10.0]).sum().backward()
        np.testing.assert_array_equal(x.grad, [3, 30])

        class Named(md.Tensor):
            pass

        class Slotted(md.Tensor):
            __slots__ = ("title",)

        slotted = Slotted([1.0])
        slotted.title = "two"
        assert copy.copy(slotted).title == copy.deepcopy(slotted).title == "two"
        named = Named([1.0])
        named.title = "one"
        assert copy.copy(named).title == copy.deepcopy(named).title == "one" and copy.copy(named).data is named.data


class TestInPlace:
    """w -= lr * w.grad: a leaf that requires a gradient must stay the leaf that it is, whatever names lead to it."""

    @pytest.mark.parametrize("change", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow])
    def test_inside_no_grad_the_leaf_changes_its_numbers(self, change):
        before, other = rng.uniform(1, 2, size=(2, 3)), rng.uniform(1, 2, size=3)
        w = other_name = md.Tensor(before.copy(), requires_grad=True)
        array = w.data
        with md.no_grad():
            w = change(w, other)
        assert w is other_name and w.data is array and w.requires_grad and w.is_leaf
        np.testing.assert_array_equal(w.data, change(before.copy(), other))
        (w * 3.0).sum().backward()
        np.testing.assert_array_equal(other_name.grad, np.full((2, 3), 3.0))

    @pytest.mark.parametrize("change", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow])
    def test_while_recording_it_is_refused(self, change):
        w = md.Tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(GraphError, match=r"expected: a change inside(.|\n)*got: a leaf(.|\n)*help: .*y = x \+ b"):
            change(w, 2.0)
        assert w.data.tolist() == [1, 2]
        with pytest.raises(GraphError):
            operator.imatmul(md.Tensor(np.ones((2, 2)), requires_grad=True), np.ones((2, 2)))

    @pytest.mark.parametrize(("other", "error"), [(np.ones((4, 2), "float32"), ShapeError), (np.ones(2), DTypeError)])
    def test_what_does_not_fit_changes_nothing(self, other, error):
        w = md.Tensor([1.0, 2.0], requires_grad=True)
        with md.no_grad(), pytest.raises(error, match=r"expected: (.|\n)*got: "):
            w += other
        assert w.data.tolist() == [1, 2]

    def test_other_tensors_are_made_anew(self):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        first, total = y, md.Tensor([0.0, 0.0])
        y += 1
        total += y
        assert first.data.tolist() == [2, 4] and y is not first
        total.backward([1.0, 10.0])
        np.testing.assert_array_equal(x.grad, [2, 20])

    def test_backward_notices(self):
        w, x = md.Tensor([1.0, 2.0], requires_grad=True), md.Tensor([1.0, 2.0], requires_grad=True)
        y = w * x
        with md.no_grad():
            w += 1
        with pytest.raises(md.errors.ModifiedError):
            y.backward([1.0, 1.0])


class TestAttributes:
    def test_of_a_matrix(self):
        x = md.Tensor(np.zeros((2, 3)), requires_grad=True)
        assert (x.shape, x.ndim, x.size, x.dtype, x.device) == ((2, 3), 2, 6, np.float64, "cpu")
        assert x.requires_grad and x.grad is None and len(x) == 2
        assert [row.shape for row in x] == [(3,), (3,)]
        assert isinstance(x.numpy(), np.ndarray) and (x * 1).numpy().shape == (2, 3)

    def test_item(self):
        assert md.Tensor([[2.5]]).item() == 2.5 and isinstance(md.Tensor([2.5]).item(), float)
        assert bool(md.Tensor(1.0)) and not bool(md.Tensor(0.0))
        for bad in ([1.0, 2.0], []):
            with pytest.raises(ShapeError, match="one element"):
                md.Tensor(bad).item()

    def test_a_0d_tensor_has_no_length(self):
        with pytest.raises(TypeError, match="no length"):
            len(md.Tensor(1.0))

    def test_repr_says_values_type_and_history(self):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        assert repr(x) == "Tensor([1., 2.], float32, requires_grad)"
        assert repr(x * 2) == "Tensor([2., 4.], float32, made by Mul)"

    def test_requires_grad_is_fixed_for_results(self):
        x = md.Tensor([1.0], requires_grad=True)
        with pytest.raises(GraphError, match="only on leaves"):
            (x * 2).requires_grad = False

    def test_assigning_data_checks_it(self):
        x = md.Tensor([1.0])
        x.data = x.data[0] * 2  # NumPy gives a scalar here
        assert isinstance(x.data, np.ndarray) and x.shape == ()
        with pytest.raises(DTypeError):
            x.data = "text"

    def test_hashable_by_identity(self):
        x, y = md.Tensor([1.0]), md.Tensor([1.0])
        assert len({x, y, x}) == 2


class TestOperators:
    def test_numbers_take_the_type_of_the_tensor(self):
        for x in (md.Tensor([1.0, 2.0]), md.Tensor(np.array([1.0, 2.0]))):
            for number in (2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(3), np.sqrt(2)):
                for y in (x + number, number + x, x - number, number - x, x * number, number * x, x / number, number / x):
                    assert y.dtype == x.dtype and isinstance(y, md.Tensor)
                assert (x**number).dtype == x.dtype and (number**x).dtype == x.dtype
                assert md.maximum(x, number).dtype == md.where([True, False], x, number).dtype == x.dtype

    def test_lists_take_the_type_of_the_tensor_and_arrays_their_own(self):
        x = md.Tensor(np.array([1.0, 2.0]))
        np.testing.assert_array_equal(([3, 4] - x).data, [2, 2])
        np.testing.assert_array_equal((np.array([3.0, 4.0]) - x).data, [2, 2])
        assert isinstance(np.array([3.0, 4.0]) * x, md.Tensor)
        assert isinstance(np.ones((2, 2)) @ x, md.Tensor)
        with pytest.raises(DTypeError, match="number types"):
            np.ones(2, dtype="float32") + x

    def test_values(self):
        a, b = rng.normal(size=(3, 4)), rng.uniform(1, 2, size=4)
        x, y = md.Tensor(a), md.Tensor(b)
        for got, expected in [
            (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (y**x, b**a), (-x, -a), (abs(x), abs(a)),
            (2 - x, 2 - a), (2 / y, 2 / b), (2**x, 2**a), (x @ y, a @ b), (y @ x.T, b @ a.T), (x.T, a.T),
        ]:  # fmt: skip
            np.testing.assert_allclose(got.data, expected, rtol=1e-14)

    def test_comparisons_give_bools_without_gradient(self):
        x = md.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        for got, expected in [
            (x < 2, [1, 0, 0]), (x <= 2, [1, 1, 0]), (x > 2, [0, 0, 1]), (x >= 2, [0, 1, 1]), (x == 2, [0, 1, 0]),
            (x != 2, [1, 0, 1]), (x > 2, [0, 0, 1]), (x == [1, 2, 4], [1, 1, 0]), (x > md.Tensor([0.0, 5.0, 0.0]), [1, 0, 1]),
            (x == np.array([1, 2, 3]), [1, 1, 1]),
        ]:  # fmt: skip
            assert got.dtype == bool and not got.requires_grad
            np.testing.assert_array_equal(got.data, np.array(expected, bool))
        assert (md.Tensor(np.array([0.1])) == [0.1]).item()  # a list takes the type of the tensor here too
        assert (x == None) is False and (x != "text") is True  # noqa: E711

    def test_a_bool_tensor_is_a_mask_of_0_and_1(self):
        x = md.Tensor([-1.0, 2.0, 3.0], requires_grad=True)
        positive = x > 0
        for function, expected in [
            (lambda m: x * m, [0, 1, 1]), (lambda m: m * x, [0, 1, 1]), (lambda m: m - x, [-1, -1, -1]), (lambda m: x + m, [1, 1, 1]),
            (lambda m: x**m, [0, 1, 1]), (lambda m: md.concatenate([m, x]), [1, 1, 1]), (lambda m: md.where(m, x, 0.0), [0, 1, 1]),
        ]:  # fmt: skip
            x.grad = None
            y = function(positive)
            assert y.dtype == np.float32
            y.sum().backward()
            assert x.grad.dtype == np.float32
            np.testing.assert_array_equal(x.grad, expected)

    def test_tensors_are_not_changed_in_place(self):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(GraphError, match="not changed in place"):
            x[0] = 3.0
        y = x.detach()
        y += 1
        np.testing.assert_array_equal(x.data, [1, 2])

    @pytest.mark.parametrize("other", ["text", object(), None])
    def test_what_is_no_operand(self, other):
        with pytest.raises((DTypeError, ShapeError, TypeError)):
            md.Tensor([1.0]) + other


class TestMethods:
    x = md.Tensor(rng.uniform(0.5, 2, size=(3, 4)))

    @pytest.mark.parametrize(
        "name", ["exp", "log", "sqrt", "tanh", "sigmoid", "relu", "elu", "abs", "sum", "mean", "max", "min", "var"]
    )
    def test_each_is_a_function_too(self, name):
        np.testing.assert_array_equal(getattr(F, name)(self.x.data).data, getattr(self.x, name)().data)

    @pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (), [1]])
    @pytest.mark.parametrize("keepdims", [False, True])
    @pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
    def test_reductions_as_in_numpy(self, name, axis, keepdims):
        numpy_axis = tuple(axis) if isinstance(axis, list) else axis
        expected = getattr(np, name)(self.x.data, axis=numpy_axis, keepdims=keepdims)
        got = getattr(self.x, name)(axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(got.data, expected, rtol=1e-14, atol=1e-15)
        assert isinstance(got.data, np.ndarray)

    def test_var_ddof(self):
        np.testing.assert_allclose(self.x.var(axis=1, ddof=1).data, self.x.data.var(axis=1, ddof=1))
        assert md.gradcheck(lambda x: x.var(axis=1, ddof=1), self.x)

    @pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, 5), 1.5, "rows"])
    def test_bad_axes(self, axis):
        with pytest.raises((ShapeError, ArgumentError), match=r"sum: "):
            self.x.sum(axis=axis)

    @pytest.mark.parametrize("name", ["mean", "max", "min", "var"])
    def test_nothing_to_reduce(self, name):
        with pytest.raises(ShapeError, match=f"{name}: too few elements"):
            getattr(md.Tensor(np.zeros((0, 3))), name)(axis=0)
        assert getattr(md.Tensor(np.zeros((0, 3))), name)(axis=1).shape == (0,)
        with pytest.raises(ShapeError, match="var"):
            md.Tensor([1.0]).var(ddof=1)

    def test_shapes(self):
        x = self.x
        assert x.reshape(2, 6).shape == x.reshape((2, -1)).shape == (2, 6)
        assert x.flatten().shape == (12,) and md.Tensor(np.zeros((2, 3, 4))).flatten(1).shape == (2, 12)
        assert md.Tensor(1.0).flatten().shape == (1,)
        assert x.transpose().shape == x.transpose(1, 0).shape == x.transpose((-1, 0)).shape == (4, 3)
        assert x.expand(2, 3, 4).shape == x.expand(2, -1, -1).shape == (2, 3, 4)
        assert x.pad(1).shape == (5, 6) and x.pad((1, 2)).shape == (6, 7) and x.pad(((0, 1), (2, 0))).shape == (4, 6)
        assert md.Tensor(np.zeros((0, 3))).reshape(-1, 3).shape == (0, 3)

    @pytest.mark.parametrize(
        "make",
        [
            lambda x: x.reshape(5, 2), lambda x: x.reshape(-1, 5), lambda x: x.reshape(-1, -1), lambda x: x.transpose(0, 0),
            lambda x: x.transpose(0), lambda x: x.expand(3, 5), lambda x: x.expand(4), lambda x: x.expand(-1, 3, 4),
            lambda x: x.pad(-1), lambda x: x.pad(((1, 1),) * 3), lambda x: x.pad(1.5), lambda x: x.flatten(2),
        ],
    )  # fmt: skip
    def test_bad_shapes(self, make):
        with pytest.raises(ShapeError, match=r"expected: (.|\n)*got: "):
            make(self.x)

    @pytest.mark.parametrize("bounds", [(None, None), (2, 1), (np.nan, 1)])
    def test_bad_bounds(self, bounds):
        with pytest.raises(ArgumentError, match="clip: bad bounds"):
            self.x.clip(*bounds)

    def test_indexing(self):
        a = self.x.data
        for index in [
            0,
            -1,
            slice(1, None),
            (0, 1),
            (slice(None), 2),
            ...,
            (None, 0),
            [0, 2],
            (np.array([0, 1]), [1, 2]),
            a[:, 0] > 1,
        ]:
            np.testing.assert_array_equal(self.x[index].data, a[index])
        np.testing.assert_array_equal(self.x[md.Tensor(np.array([2, 0]))].data, a[[2, 0]])
        for bad in (0.5, np.array([0.5]), "a"):
            with pytest.raises(DTypeError, match="index"):
                self.x[bad]
        with pytest.raises(IndexError):
            self.x[7]

    def test_joining(self):
        x = self.x
        assert md.concatenate([x, x], axis=-1).shape == (3, 8) and md.stack([x, x], axis=-1).shape == (3, 4, 2)
        for bad in ([], [x, x.reshape(12)], [x, x.reshape(4, 3)]):
            with pytest.raises(ShapeError):
                md.concatenate(bad)
            with pytest.raises(ShapeError):
                md.stack(bad)
        with pytest.raises(ShapeError):
            md.stack([x], axis=3)

    def test_matrix_products(self):
        cases = [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 6)), ((2, 0), (0, 3))]
        for a, b in cases:
            left, right = rng.normal(size=a), rng.normal(size=b)
            got = md.Tensor(left) @ md.Tensor(right)
            np.testing.assert_allclose(got.data, left @ right, rtol=1e-12, atol=1e-13)
            assert got.shape == np.shape(left @ right)
        for a, b in [((3,), (4,)), ((2, 3), (2, 3)), ((), (3,)), ((2, 2, 3), (3, 3, 4)), ((2, 3), ())]:
            with pytest.raises(ShapeError, match="matmul"):
                md.Tensor(np.zeros(a)) @ md.Tensor(np.zeros(b))

    def test_astype(self):
        x = md.Tensor([1.5, 2.5], requires_grad=True)
        y = x.astype("float64") * np.array([2.0, 3.0])
        assert y.dtype == np.float64
        y.backward(np.array([1.0, 10.0]))
        assert x.grad.dtype == np.float32
        np.testing.assert_array_equal(x.grad, [2, 30])


class TestBackwardArguments:
    def test_a_scalar_needs_no_gradient_and_others_do(self):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (x[:1] * 3).backward()
        np.testing.assert_array_equal(x.grad, [3, 0])
        with pytest.raises(ShapeError, match=r"not a single number(.|\n)*shape \(2,\)"):
            (x * 3).backward()

    @pytest.mark.parametrize("grad", [[1.0, 2.0], np.array([1.0, 2.0]), md.Tensor([1.0, 2.0]), np.array([1, 2])])
    def test_gradients_of_many_kinds_take_the_type_of_the_tensor(self, grad):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        (x * 3).backward(grad)
        np.testing.assert_array_equal(x.grad, [3, 6])
        assert x.grad.dtype == np.float32

    @pytest.mark.parametrize("grad", [1.0, [1.0], [[1.0, 2.0]], np.ones(3)])
    def test_a_gradient_of_another_shape(self, grad):
        x = md.Tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(ShapeError, match="wrong shape"):
            (x * 3).backward(grad)
        assert x.grad is None

    def test_without_history(self):
        with pytest.raises(GraphError, match="no history"):
            md.Tensor([1.0]).backward()

    def test_of_a_leaf(self):
        x = md.Tensor([1.0], requires_grad=True)
        x.backward()
        x.backward([2.0])
        np.testing.assert_array_equal(x.grad, [3])
