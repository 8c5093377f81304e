"""The GPU's kernels, compiled for the CPU by the stand-in, or on a GPU: the same numbers as the equivalent array code."""

from __future__ import annotations

import sys

import cupy_stand_in
import numpy as np
import pytest
from cupy_kernel import COMPILER
from hypothesis import given, strategies as st

import minidrop as md
from minidrop import backend
from minidrop.gpu import fused, kernels, sgd
from minidrop.ops import fourier

F = md.functional

SPECIAL = [0.0, -0.0, 1.0, -1.0, -0.5, -1.0000001, -3.0, -1e30, 1e30, np.inf, -np.inf, np.nan]


@pytest.fixture(params=["stand_in", pytest.param("cupy", marks=pytest.mark.gpu)])
def cupy(request):
    if request.param == "cupy":
        yield pytest.importorskip("cupy")
    elif COMPILER is None:
        pytest.skip("no C++ compiler here to compile the kernels for the CPU")
    else:
        with cupy_stand_in.installed() as module:
            yield module


def numbers(shape, seed=0, dtype="float32"):
    """Normal numbers, the special ones among them; (N, C, H, W) in the memory order of convolutions' outputs."""
    values = 2 * np.random.default_rng(seed).normal(size=shape).astype(dtype)
    values.reshape(-1)[: len(SPECIAL)] = SPECIAL[: values.size]
    return np.ascontiguousarray(values.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1) if len(shape) == 4 else values


def on_both(function, values, upstream_seed=1):
    """[(what `function` returns, the gradient of its input)] on the CPU and on the stand-in's GPU."""
    outcomes = []
    for device in ("cpu", "cuda"):
        x = md.Tensor(values, requires_grad=True)
        y = function(x.to(device))
        upstream = np.random.default_rng(upstream_seed).normal(size=y.shape).astype(values.dtype)
        if upstream.size > 20:
            upstream.reshape(-1)[-8:] = [np.inf, -np.inf, np.nan, 0, np.inf, -np.inf, np.nan, 0]
        y.backward(md.Tensor(upstream).to(device).data)
        outcomes.append((y.numpy(), x.grad))
    return outcomes


def assert_same_bits(outcomes):
    """On a GPU, whose compiler fuses products and sums, all but the last bits."""
    on_cpu = "stand-in" in sys.modules["cupy"].__version__
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_allclose(other, one, rtol=0 if on_cpu else 1e-6)


class TestRandomNumbers:
    def test_words(self, cupy):
        expected, generator = md.Generator(2**40 + 7), md.Generator(2**40 + 7)
        for count in (1, 10, 4096):
            np.testing.assert_array_equal(generator.words(count, "cuda").get(), expected.words(count))
        assert generator.counter == expected.counter

    def test_a_word_of_another_stream_is_seen(self, cupy):
        assert (md.Generator(1).words(8, "cuda").get() != md.Generator(2).words(8)).any()


@pytest.mark.parametrize("shape", [(), (5,), (16, 30), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestMasks:
    @pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
    def test_dropout(self, cupy, shape, dtype, rate):
        assert_same_bits(on_both(lambda x: F.dropout(x, rate, generator=md.Generator(3)), numbers(shape, dtype=dtype)))

    @pytest.mark.parametrize("scaled", [False, True])
    @pytest.mark.parametrize("gradient", ["through", "detach"])
    @pytest.mark.parametrize(
        "distribution",
        [md.Alpha(), md.Alpha(0.3, 1), md.Beta(), md.Beta(0.4, 0.95), md.Beta(0.2, 0.5), md.Beta(0, 1), md.Beta(1, 1)],
        ids=repr,
    )
    def test_dropalan(self, cupy, shape, dtype, distribution, scaled, gradient):
        assert_same_bits(
            on_both(
                lambda z: F.dropalan(z, distribution, scaled, scale_gradient=gradient, generator=md.Generator(3)),
                numbers(shape, dtype=dtype),
            )
        )

    def test_the_mask_is_the_same_too(self, cupy, shape, dtype):
        masks = []
        for device in ("cpu", "cuda"):
            generator = md.Generator(4)
            x = md.Tensor(numbers(shape, dtype=dtype)).to(device)
            masks += [F.dropalan(x, "alpha", generator=generator, return_mask=True)[1]]
            masks += [F.dropout(x, 0.4, generator=generator, return_mask=True)[1]]
            assert generator.counter == 2 * -(-x.size // 4)
        for one, other in zip(masks[:2], masks[2:], strict=True):
            np.testing.assert_array_equal(one, other.get())


def test_a_number_equal_to_the_probability_to_keep_drops(cupy):
    """Place 3 of this block holds exactly a half, one number of 16 million: numbers in [0, keep) are kept."""
    masks = []
    for device in ("cpu", "cuda"):
        generator = md.Generator(0)
        generator.counter = 454764
        assert generator.uniform(4)[3] == 0.5
        generator.counter = 454764
        x = md.Tensor(np.ones(4, dtype="float32")).to(device)
        masks.append(F.dropout(x, 0.5, generator=generator, return_mask=True)[0].numpy())
    np.testing.assert_array_equal(*masks)
    assert masks[1][3] == 0


class TestDistributions:
    def test_one_of_ones_own_is_not_taken_for_the_one_it_inherits_from(self, cupy):
        class Harsher(md.Beta):
            def drop_probability(self, z):
                return 0 * z + 1

        z = md.Tensor(np.ones(20, dtype="float32")).to("cuda")
        assert (F.dropalan(z, Harsher()).numpy() == 0).all()


@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 4, 5)])
def test_relu(cupy, shape):
    assert_same_bits(on_both(lambda x: x.relu(), numbers(shape)))


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here to compile the kernels for the CPU")
@given(seed=st.integers(0, 10**6))
def test_pooling(seed):
    random = np.random.default_rng(seed)
    kernel, stride = (tuple(int(value) for value in random.integers(1, 4, 2)) for _ in range(2))
    values = random.integers(-2, 3, size=(2, 3, *(kernel[i] + random.integers(0, 6) for i in range(2)))).astype("float64")
    values[random.random(values.shape) < 0.05] = np.nan
    with cupy_stand_in.installed():
        assert_same_bits(on_both(lambda x: F.max_pool2d(x, kernel, stride), values))


class TestCrossEntropy:
    @pytest.mark.parametrize("label_type", ["int64", "uint8", "int32"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_agrees(self, cupy, dtype, label_type):
        random = np.random.default_rng(0)
        logits = (20 * random.normal(size=(9, 10))).astype(dtype)
        logits[3] = 1e4 * logits[3]
        logits[4] = 0
        labels = random.integers(0, 10, 9).astype(label_type)
        outcomes = on_both(lambda x: F.softmax_cross_entropy(x, md.Tensor(labels).to(x.device).data), logits)
        for one, other in zip(*outcomes, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_nan_stays_visible(self, cupy, bad):
        logits = np.zeros((2, 3), dtype="float32")
        logits[0, 1] = bad
        for loss, gradient in on_both(lambda x: F.softmax_cross_entropy(x, [0, 1]), logits):
            assert np.isnan(loss)
            assert np.isnan(gradient[0]).any() and np.isfinite(gradient[1]).all()

    def test_a_label_out_of_range_that_nobody_could_check_gives_nan(self, cupy, monkeypatch):
        logits, labels = md.Tensor(np.zeros((2, 3), dtype="float32")).to("cuda"), cupy.asarray(np.array([1, 3]))
        monkeypatch.setattr("minidrop.guard.labels.capturing", lambda: True)  # as in a captured step
        assert np.isnan(F.softmax_cross_entropy(logits, labels).item())


class TestConvolution:
    def test_quarters_and_products_by_the_conjugate(self, cupy):
        random = np.random.default_rng(0)
        parts, four = random.normal(size=(3, 5, 2, 4, 7)), random.normal(size=(3, 5, 8, 14))
        there = [backend.to_device(array, "cuda") for array in (parts, four)]
        op = fused.FusedConv2dFourier((1, 1), ((0, 0), (0, 0)))
        np.testing.assert_array_equal(op.in_quarters(there[0]).get(), fourier.in_quarters(parts))
        expected = fourier.times_conjugate(four, 4, 7)
        np.testing.assert_array_equal(op.times_conjugate(there[1], 4, 7).get(), expected)

    def test_a_wrong_sign_is_seen(self, cupy, monkeypatch):
        inputs, outputs, body = kernels.KERNELS["in_quarters"]
        monkeypatch.setitem(
            kernels.KERNELS, "in_quarters", (inputs, outputs, body.replace("right && !below", "below && !right"))
        )
        kernels.kernel.cache_clear()
        try:
            with pytest.raises(AssertionError):
                self.test_quarters_and_products_by_the_conjugate(cupy)
        finally:
            kernels.kernel.cache_clear()


SETTINGS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]


class TestSGD:
    def parameters(self, device):
        """Twenty, more than one kernel takes: two types, four memory orders, one with gaps."""
        random = np.random.default_rng(0)
        arrays = [random.normal(size=(3, 1 + index)).astype("float64" if index % 5 == 4 else "float32") for index in range(20)]
        arrays[1] = arrays[1].T
        arrays[2] = random.normal(size=(5, 4, 3, 2)).astype("float32").transpose(3, 2, 0, 1)
        arrays[3] = np.zeros((0, 3), dtype="float32")
        arrays[5] = np.float32(2.5).reshape(())
        tensors = [md.Tensor(backend.to_device(array, device), requires_grad=True) for array in arrays]
        tensors[6].data = backend.to_device(np.ones((4, 6), dtype="float32"), device)[:, ::2]
        return tensors

    def train(self, device, settings, steps=4, state=None):
        tensors = self.parameters(device)
        optimizer = md.optim.SGD(tensors, **settings)
        if state is not None:
            optimizer.load_state_dict(state)
        random = np.random.default_rng(1)
        for _ in range(steps):
            for tensor in tensors:
                tensor.grad = backend.to_device(random.normal(size=tensor.shape).astype(str(tensor.dtype)), device)
            tensors[7].grad = None
            optimizer.step()
        return tensors, optimizer

    @pytest.mark.parametrize("settings", SETTINGS)
    def test_changes_all_parameters_as_one_by_one(self, cupy, settings):
        expected, _ = self.train("cpu", settings)
        got, _ = self.train("cuda", settings)
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-7, err_msg=str(index))

    def test_two_kernels_of_one_type_and_one_of_the_other(self, cupy, monkeypatch):
        launched, launch = [], sgd.launch
        monkeypatch.setattr(
            sgd, "launch", lambda parameters, *rest: (launched.append(len(parameters)), launch(parameters, *rest))
        )
        self.train("cuda", SETTINGS[0], steps=1)
        assert launched == [14, 4]  # of 20: one without a gradient, one with gaps
        monkeypatch.setattr(sgd, "MOST_TENSORS", 8)
        launched.clear()
        self.train("cuda", SETTINGS[0], steps=1)
        assert launched == [8, 6, 4]

    def test_a_velocity_that_was_loaded_in_another_memory_order(self, cupy):
        settings = SETTINGS[2]
        state = self.train("cpu", settings)[1].state_dict()
        state = {name: np.array(value, order="C") if isinstance(value, np.ndarray) else value for name, value in state.items()}
        expected, _ = self.train("cpu", settings, state=state)
        got, optimizer = self.train("cuda", settings, state=state)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-7)
        assert optimizer.state["velocity"][2].strides == got[2].data.strides

    def test_a_gradient_of_another_type(self, cupy):
        weight = md.Tensor(cupy.asarray(np.ones(3, dtype="float32")), requires_grad=True)
        weight.grad = cupy.asarray(np.ones(3))
        md.optim.SGD([weight], lr=0.5).step()
        np.testing.assert_array_equal(weight.numpy(), np.full(3, 0.5, dtype="float32"))


def test_numbers_that_no_kernel_is_written_for_go_through_array_code(cupy):
    assert not backend.has_kernels(cupy.asarray(np.ones(2, dtype="int64")))
    assert not backend.has_kernels(cupy.asarray(np.ones(2, dtype="float16")))
    assert not backend.has_kernels(np.ones(2))
    half = md.Tensor(cupy.asarray(np.array([-1.0, 2.0], dtype="float16")), requires_grad=True)
    half.relu().sum().backward()
    np.testing.assert_array_equal(half.grad.get(), [0, 1])
