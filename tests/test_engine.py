"""The tape: order, accumulation, release, memory, in-place changes."""

from __future__ import annotations

import functools
import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, GraphError, ModifiedError, ShapeError
from minidrop.ops.arithmetic import Add

F = md.functional
rng = np.random.default_rng(0)


def leaf(*shape, dtype="float64"):
    return md.Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)


class TestOrder:
    def test_a_chain_of_5000_ops(self):
        x = leaf(3)
        y = x
        for _ in range(5000):
            y = y * 1.001
        y.backward(np.array([1.0, 2.0, -3.0]))
        np.testing.assert_allclose(x.grad, np.array([1.0, 2.0, -3.0]) * 1.001**5000, rtol=1e-10)

    def test_a_chain_of_100000_ops_dies_without_recursion(self):
        x = leaf(1)
        y = x
        for _ in range(100_000):
            y = y + 1.0
        del y
        gc.collect()

    def test_thirty_doublings_visit_each_op_once(self, monkeypatch):
        visits = []
        original = Add.backward
        monkeypatch.setattr(Add, "backward", lambda op, grad: visits.append(op) or original(op, grad))
        x = leaf(2)
        y = x
        for _ in range(30):
            y = y + y
        y.backward(np.array([0.5, -2.0]))
        np.testing.assert_array_equal(x.grad, np.array([0.5, -2.0]) * 2**30)
        assert len(visits) == 30

    def test_a_graph_where_the_naive_order_is_wrong(self):
        """z is reached by a short and a long path: depth first would pass on half of its gradient too early."""
        x = leaf(4)
        z = x * 2
        long_way = ((z + 1) * z).exp() * 0.1
        u = rng.normal(size=4)
        (z * long_way + z).backward(u)
        t = 2 * x.data
        e = 0.1 * np.exp((t + 1) * t)
        np.testing.assert_allclose(x.grad, u * 2 * (1 + e + t * e * (2 * t + 1)), rtol=1e-12)

    def test_time_grows_linearly_with_the_graph(self):
        """Counted, not timed: every op's backward runs once, and the ordering looks at each edge once."""
        calls = []

        class Counted(md.Op):
            def forward(self, x):
                return x + 0

            def backward(self, grad):
                calls.append(1)
                return (grad,)

        for length in (50, 500):
            calls.clear()
            x = leaf(1)
            y, previous = x, x
            for _ in range(length):
                y, previous = md.apply(Counted(), y + previous), y
            y.sum().backward()
            assert len(calls) == length


class TestAccumulation:
    def test_a_parameter_used_twice(self):
        w, x = leaf(3), leaf(3)
        u = rng.normal(size=3)
        (w * x + w.exp()).backward(u)
        np.testing.assert_allclose(w.grad, u * (x.data + np.exp(w.data)), rtol=1e-12)

    def test_two_forwards_two_backwards_add_up(self):
        w = leaf(3)
        first, second = rng.normal(size=3), rng.normal(size=3)
        (w * 2).backward(first)
        kept = w.grad
        (w * w).backward(second)
        np.testing.assert_allclose(w.grad, 2 * first + 2 * w.data * second, rtol=1e-12)
        np.testing.assert_array_equal(kept, 2 * first)  # a gradient read out earlier is not changed

    def test_a_second_backward_through_the_same_graph_is_an_error(self):
        w = leaf(3)
        loss = (w * w).sum()
        loss.backward()
        before = w.grad.copy()
        with pytest.raises(GraphError, match="already used by an earlier backward"):
            loss.backward()
        np.testing.assert_array_equal(w.grad, before)

    def test_a_second_loss_on_a_released_part_is_an_error(self):
        w = leaf(3)
        shared = w * w
        other = shared.exp().sum()
        shared.sum().backward()
        before = w.grad.copy()
        with pytest.raises(GraphError, match=r"add the losses|retain_graph"):
            other.backward()
        np.testing.assert_array_equal(w.grad, before)

    def test_retain_graph_allows_a_second_backward(self):
        w = leaf(3)
        loss = (w * w).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        np.testing.assert_allclose(w.grad, 4 * w.data)

    def test_0d_tensors_used_twice_keep_arrays(self):
        x = md.Tensor(2.0, requires_grad=True)
        y = x * 3
        (y + y).backward()
        (x * x).backward()
        assert isinstance(x.grad, np.ndarray) and x.grad.dtype == np.float32 and x.grad == 6 + 4

    def test_gradients_are_not_shared(self):
        a, b = leaf(3), leaf(3)
        u = rng.normal(size=3)
        (a + b).backward(u)
        a.grad *= 100
        np.testing.assert_array_equal(b.grad, u)
        c = leaf(3)
        given = u.copy()
        c.backward(given)
        c.grad *= 100
        np.testing.assert_array_equal(given, u)

    def test_retain_grad_keeps_the_gradient_of_an_intermediate(self):
        x = leaf(3)
        y = (x * 2).retain_grad()
        z = y.exp()
        u = rng.normal(size=3)
        z.backward(u)
        np.testing.assert_allclose(y.grad, u * np.exp(y.data))
        assert z.grad is None
        np.testing.assert_allclose(x.grad, 2 * y.grad)

    def test_intermediates_keep_no_gradient_otherwise(self):
        x = leaf(3)
        y = x * 2
        y.sum().backward()
        assert y.grad is None and x.grad is not None


class TestNoGrad:
    def test_no_grad_in_the_middle_makes_a_constant(self):
        x = leaf(3)
        y = x * 3
        with md.no_grad():
            constant = y * y
        assert not constant.requires_grad
        u = rng.normal(size=3)
        (y * constant).backward(u)
        np.testing.assert_allclose(x.grad, u * 3 * constant.data)

    def test_nests_and_recovers_from_errors(self):
        x = leaf(3)
        with pytest.raises(ZeroDivisionError), md.no_grad():
            with md.no_grad():
                assert not (x * 2).requires_grad
            assert not (x * 2).requires_grad
            raise ZeroDivisionError
        assert (x * 2).requires_grad

    def test_decorates_a_function(self):
        @md.no_grad()
        def evaluate(x):
            return x * 2

        x = leaf(3)
        assert not evaluate(x).requires_grad and (x * 2).requires_grad

    @pytest.mark.parametrize("decorate", [md.no_grad, md.no_grad()])
    def test_both_spellings_of_the_decorator(self, decorate):
        x = leaf(3)

        class Model:
            @decorate
            def method(self, factor, *, more=0):
                """Its words."""
                return x * factor + more

        assert not Model().method(2, more=1).requires_grad and (x * 2).requires_grad
        assert Model.method.__name__ == "method" and Model.method.__doc__ == "Its words."
        with md.no_grad:
            assert not (x * 2).requires_grad

    @pytest.mark.parametrize("decorate", [md.no_grad, md.no_grad()])
    def test_a_generator_function_records_nothing_while_it_runs(self, decorate):
        x = leaf(3)
        seen = []

        @decorate
        def steps(count):
            try:
                for _ in range(count):
                    try:
                        seen.append((yield (x * 2).requires_grad))
                    except ValueError:
                        yield "caught"
            finally:
                seen.append((x * 2).requires_grad)
            return "end"

        for recorded in steps(3):
            assert not recorded and (x * 2).requires_grad
        running = steps(3)
        assert next(running) is False and running.send("sent") is False and seen[-1] == "sent"
        assert running.throw(ValueError()) == "caught" and (x * 2).requires_grad
        running.close()
        assert seen[-1] is False and (x * 2).requires_grad
        with pytest.raises(ZeroDivisionError):
            steps(3).throw(ZeroDivisionError())
        assert (x * 2).requires_grad

        def caller():
            return (yield from steps(1))

        running = caller()
        next(running)
        with pytest.raises(StopIteration) as end:
            next(running)
        assert end.value.value == "end"

    def test_generators_by_other_ways(self):
        x = leaf(3)

        class Steps:
            def __call__(self, factor):
                yield (x * factor).requires_grad

        assert list(md.no_grad(Steps())(2)) == [False] == list(md.no_grad(functools.partial(Steps().__call__, 2))())

    def test_what_cannot_be_decorated(self):
        async def later():
            return 1

        async def items():
            yield 1

        for wrong in (md.nn.Dense, 3, property(lambda self: 1), later, items):
            with pytest.raises(ArgumentError, match=r"expected: a function(.|\n)*got: (.|\n)*help: write `with md.no_grad"):
                md.no_grad(wrong)

    def test_holds_for_its_own_thread_only(self):
        seen = []
        x = leaf(3)
        with md.no_grad():
            thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
            thread.start()
            thread.join()
        assert seen == [True]

    def test_detach_is_a_constant(self):
        x = leaf(3)
        u = rng.normal(size=3)
        (x * x.detach()).backward(u)
        np.testing.assert_allclose(x.grad, u * x.data)


class TestMemory:
    def test_the_graph_is_freed_by_backward_without_the_garbage_collector(self):
        gc.collect()
        gc.disable()
        try:
            x = leaf(10)
            y = x.exp()
            loss = (y * y).sum()
            op, array, product = weakref.ref(y._op), weakref.ref(y.data), weakref.ref(loss._op)
            del y
            assert op() is not None and array() is not None
            loss.backward()
            assert op() is None and array() is None  # while the loss is still held
            del loss
            assert product() is None
        finally:
            gc.enable()

    def test_a_graph_without_backward_is_freed_with_its_output(self):
        gc.collect()
        gc.disable()
        try:
            x = leaf(10)
            y = x.exp().log() * x
            op = weakref.ref(y._op)
            del y
            assert op() is None
        finally:
            gc.enable()

    def test_intermediates_that_backward_does_not_need_are_not_kept(self):
        x = leaf(10)
        y = x + 1
        array = weakref.ref(y.data)
        z = y + 1
        del y
        assert array() is None and z.requires_grad

    def test_a_constant_operand_keeps_nothing_alive(self):
        x, constant = leaf(10), md.Tensor(rng.normal(size=10))
        y = x * constant
        assert y._op.saved[0] is None  # x itself is needed only for the gradient of the constant

    def test_peak_memory_does_not_grow_over_100_training_steps(self):
        generator = md.Generator(0)
        model = md.nn.Sequential(
            md.nn.Conv2d(1, 4, 3, padding="same", generator=generator),
            md.nn.ReLU(),
            md.nn.MaxPool2d(2),
            md.nn.Flatten(),
            md.nn.Dense(1024, 10, generator=generator),
            md.nn.DropAlan(scaled=True, generator=generator),
            md.nn.BatchNorm1d(10),
        )
        optimizer = md.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        images, labels = rng.normal(size=(16, 1, 32, 32)).astype("float32"), np.arange(16) % 10

        def peak_of(steps):
            tracemalloc.reset_peak()
            for _ in range(steps):
                optimizer.zero_grad()
                F.softmax_cross_entropy(model(images), labels).backward()
                optimizer.step()
            return tracemalloc.get_traced_memory()[1]

        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            peak_of(20)
            first = peak_of(5)
            last = peak_of(100)
        finally:
            tracemalloc.stop()
            gc.enable()
        assert first > 1_000_000  # so one array kept in each step would be clearly visible
        assert last <= first * 1.01 + 100_000  # CPython itself keeps some thousand freed tuples

    def test_the_peak_check_notices_a_graph_that_is_kept(self):
        """The same measurement, with a leak: it must show."""
        kept = []
        tracemalloc.start()
        try:
            x = leaf(1000)
            first = (x * 2).sum().item() and tracemalloc.get_traced_memory()[0]
            for _ in range(100):
                kept.append((x * 2).exp())
            assert tracemalloc.get_traced_memory()[0] > first + 100 * 1000 * 8
        finally:
            tracemalloc.stop()


class TestChangesInPlace:
    @pytest.mark.parametrize("size", [3, 31, 1000, 100_001])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(
        "change",
        [
            lambda a: a.__setitem__(0, 5.0),
            lambda a: a.__setitem__(-1, 5.0),
            lambda a: a.__setitem__(slice(None), a * 1.0000002 + 1e-6),
            lambda a: np.negative(a, out=a),
            lambda a: a.__setitem__(slice(None), a[::-1].copy()),
            lambda a: a.sort(),
            lambda a: a.fill(0),
        ],
        ids=["first element", "last element", "a little", "negated", "reversed", "sorted", "filled"],
    )
    def test_a_saved_array_that_changed_is_an_error(self, size, dtype, change):
        x = leaf(size, dtype=dtype)
        x.data[:3] = [0.5, -1.0, 0.25]  # neither sorted nor a palindrome
        y = (x * x).sum()
        change(x.data)
        with pytest.raises(ModifiedError, match="Mul: an array that backward needs was changed in place"):
            y.backward()
        assert x.grad is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: a.__setitem__(slice(2, 5), -a[2:5]),
            lambda a: a.__setitem__([2, 3], a[[3, 2]]),
            lambda a: a.__setitem__(slice(9, 13), 2 * a[9:13]),
            lambda a: a.__setitem__(3, a[3][::-1].copy()),
        ],
        ids=["rows negated", "rows exchanged", "rows doubled", "a row reversed"],
    )
    @pytest.mark.parametrize("shape", [(1000, 1000), (1024, 1024), (512, 784)])
    def test_changes_of_whole_rows(self, change, shape):
        for dtype in ("float32", "float64"):
            x = leaf(*shape, dtype=dtype)
            y = (x * x).sum()
            change(x.data)
            with pytest.raises(ModifiedError):
                y.backward()

    def test_any_single_element_of_a_large_array(self):
        for index in rng.integers(0, 50_000, size=20):
            x = leaf(50_000, dtype="float32")
            y = x.exp()
            y.data[index] = np.nextafter(y.data[index], np.float32(10))
            with pytest.raises(ModifiedError, match="Exp"):
                y.sum().backward()

    def test_through_a_view_and_through_the_array_it_was_made_from(self):
        values = rng.normal(size=(4, 6))
        x = md.Tensor(values, requires_grad=True)
        y = x.T.reshape(24).exp().log()
        values[2, 3] = 9
        y.sum().backward()  # exp saved its own output: nothing that backward needs has changed
        x = md.Tensor(values, requires_grad=True)
        y = (x[1:] * 2.0).abs().sum() + (x * x).sum()
        values[2, 3] = 10
        with pytest.raises(ModifiedError):
            y.backward()

    def test_in_any_memory_order(self):
        stored = rng.normal(size=(8, 8, 2, 3))
        x = md.Tensor(stored.transpose(2, 3, 0, 1), requires_grad=True)
        y = (x * x).sum()
        stored[7, 0, 1, 2] += 1
        with pytest.raises(ModifiedError):
            y.backward()

    def test_an_optimiser_step_between_forward_and_backward(self):
        layer = md.nn.Dense(5, 3)
        optimizer = md.optim.SGD(layer.parameters(), lr=0.1)
        x = md.Tensor(rng.normal(size=(2, 5)).astype("float32"), requires_grad=True)
        first, second = layer(x).sum(), layer(x).sum()
        first.backward()
        optimizer.step()
        with pytest.raises(ModifiedError, match="MatMul"):
            second.backward()

    def test_labels_and_masks_and_indices_are_watched_too(self):
        x = leaf(4, 4)
        labels, index, mask = np.arange(4), np.array([0, 1]), np.ones((4, 4))
        losses = [F.softmax_cross_entropy(x, labels), x[index].sum(), md.where(mask > 0, x, 0.0).sum()]
        labels[0], index[0] = 1, 2
        for loss in losses[:2]:
            with pytest.raises(ModifiedError):
                loss.backward()
        losses[2].backward()  # where made its own condition from mask > 0

    def test_what_backward_does_not_need_may_change(self):
        x, y = leaf(3), leaf(3)
        z = (x + y).sum()
        x.data[...] = 0
        z.backward()
        np.testing.assert_array_equal(y.grad, np.ones(3))

    def test_a_new_array_is_no_change(self):
        x = leaf(3)
        old = x.data
        y = (x * x).sum()
        x.data = x.data + 1
        y.backward()
        np.testing.assert_allclose(x.grad, 2 * old)

    def test_on_a_gpu_under_detect_anomaly(self, cupy):
        x = md.Tensor(cupy.asarray(np.array([1.0, 2.0])), requires_grad=True)
        with md.detect_anomaly():
            y = (x * x).sum()
            x.data[0] = 7.0
            with pytest.raises(ModifiedError):
                y.backward()


class TestOwnOps:
    class Square(md.Op):
        def forward(self, x):
            self.saved = (x,)
            return x * x

        def backward(self, grad):
            (x,) = self.saved
            return (2 * x * grad,)

    def test_the_op_of_the_docstring(self):
        assert md.gradcheck(lambda x: md.apply(self.Square(), x), rng.normal(size=(2, 3)))

    def test_an_op_may_use_other_ops_inside(self):
        class Composed(md.Op):
            def forward(self, x):
                with md.no_grad():
                    return (md.Tensor(x) * 2).exp().data

            def backward(self, grad):
                return (grad,)

        x = leaf(3)
        np.testing.assert_allclose(md.apply(Composed(), x).data, np.exp(2 * x.data))

    def test_an_op_may_call_its_attributes_as_it_likes(self):
        class Total(md.Op):
            def forward(self, x):
                self.shape, self.size, self.axes, self.dtype = x.shape, x.size, (0, 1), x.dtype
                return x.sum()

            def backward(self, grad):
                return (np.broadcast_to(grad, self.shape).astype(self.dtype),)

        assert md.gradcheck(lambda x: md.apply(Total(), x) * 2, rng.normal(size=(2, 3)))

    def test_an_op_object_serves_one_call(self):
        op, a, b = self.Square(), leaf(3), leaf(3)
        md.apply(op, a)
        with pytest.raises(GraphError, match="this op object was applied before"):
            md.apply(op, b)
        op = self.Square()
        md.apply(op, a).sum().backward()
        with pytest.raises(GraphError, match="applied before"):
            md.apply(op, b)

    def test_a_broadcasting_op_with_a_gradient_of_another_shape(self):
        class Wrong(self.Square):
            broadcasts = True

            def backward(self, grad):
                return (np.ones((5, 3)),)

        with pytest.raises(ShapeError, match=r"expected: \(1, 3\)"):
            md.apply(Wrong(), leaf(1, 3)).backward(np.ones((1, 3)))

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (lambda grad: grad, "must return one gradient per input"),
            (lambda grad: (grad, grad), "a tuple of 2"),
            (lambda grad: (grad[:1],), r"expected: \(3,\)"),
        ],
    )
    def test_a_backward_of_the_wrong_form(self, result, message):
        class Wrong(md.Op):
            def forward(self, x):
                return x * 1

            def backward(self, grad):
                return result(grad)

        with pytest.raises((GraphError, ShapeError), match=message):
            md.apply(Wrong(), leaf(3)).backward(np.ones(3))


def test_no_floating_point_warnings_and_no_changed_numpy_settings():
    before = np.geterr()
    with md.no_grad():
        x = md.Tensor([0.0, -1.0, 1e38])
        np.testing.assert_array_equal((1 / x).data[0], np.inf)
        assert np.isnan(x.log().data[1]) and np.isnan(x.sqrt().data[1])
        assert np.isinf((x * 1e38).data[2]) and np.isinf(x.exp().data[2])
    assert np.geterr() == before


def test_draw_graph():
    x, w = leaf(2, 3), md.nn.Parameter(rng.normal(size=(3, 4)))
    loss = ((x @ w).relu() * x.sum()).mean()
    source = md.draw_graph(loss)
    assert source.startswith("digraph") and source.rstrip().endswith("}")
    assert 'label="MatMul\\n(2, 4)"' in source
    assert 'label="parameter\\n(3, 4)"' in source
    assert source.count("shape=ellipse") == 2  # x is drawn once, though it is used twice
    assert source.count(" -> ") == 7
    loss.backward()
    with pytest.raises(GraphError, match="released"):
        md.draw_graph(loss)
    assert "constant" in md.draw_graph(md.Tensor([1.0]))
