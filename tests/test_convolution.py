"""Convolution in three ways: each against the definition, against each other, and against PyTorch in float64."""

from __future__ import annotations

import json
import pathlib
import warnings

import numpy as np
import pytest
from benchmarks import conv as conv_benchmark
from hypothesis import given, strategies as st
from layouts import layouts

import minidrop as md
from minidrop.ops import conv, conv_choice, fourier, im2col, mixed, waves
from minidrop.ops.window import output_size, same_padding

F = md.functional
FAST = ("im2col", "fourier", "mixed")
TOLERANCE = 1e-5  # of the largest number, in float32


def convolve(x, weight, bias, grad, algorithm, stride=1, padding=0, dtype="float64"):
    """y and the three gradients (of the sum of grad * y), as float64 arrays."""
    tensors = [md.Tensor(np.asarray(array, dtype=dtype), requires_grad=True) for array in (x, weight, bias)]
    y = F.conv2d(*tensors, stride=stride, padding=padding, algorithm=algorithm)
    y.backward(np.asarray(grad(y.shape) if callable(grad) else grad, dtype=dtype))
    return [array.astype("float64") for array in (y.data, *(tensor.grad for tensor in tensors))]


def in_torch(x, weight, bias, grad, stride, padding):
    """The same by PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensors = [torch.tensor(np.asarray(array, dtype="float64"), requires_grad=True) for array in (x, weight, bias)]
    y = torch.nn.functional.conv2d(*tensors, stride=stride, padding=padding)
    y.backward(torch.tensor(np.asarray(grad, dtype="float64")))
    return [y.detach().numpy(), *(tensor.grad.numpy() for tensor in tensors)]


def error(got, expected):
    """The largest difference, in units of the largest number."""
    return max(float(abs(one - other).max() / max(abs(other).max(), 1e-30)) for one, other in zip(got, expected, strict=True))


@st.composite
def problems(draw, most=3, images=3, size=6, kernel=4):
    """x, weight, bias, and stride and padding of a convolution that exists."""
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    lengths = draw(st.integers(1, kernel)), draw(st.integers(1, kernel))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel)), draw(st.integers(0, kernel))
    channels, filters = draw(st.integers(1, most)), draw(st.integers(1, most))
    image = [max(1, lengths[i] - 2 * padding[i]) + draw(st.integers(0, size)) for i in range(2)]
    x = generator.normal(size=(draw(st.integers(1, images)), channels, *image))
    weight = generator.normal(size=(filters, channels, *lengths))
    return x, weight, generator.normal(size=filters), stride, padding, generator


class TestTheDefinition:
    def test_the_loops_by_hand(self):
        x, weight = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
        y = F.conv2d(x, weight, np.array([10.0]), algorithm="loops")
        np.testing.assert_array_equal(y.data, [[[[6, 6], [6, 6]]]])

    @given(problem=problems(), layout=layouts)
    def test_all_three_agree_with_each_other(self, problem, layout):
        x, weight, bias, stride, padding, generator = problem
        x = layout.unpack(np.array(layout.pack(x), order="C"))
        drawn = []

        def grad(shape):
            drawn[:] = drawn or [generator.normal(size=shape)]
            return drawn[0]

        expected = convolve(x, weight, bias, grad, "loops", stride, padding)
        for algorithm in FAST:
            got = convolve(x, weight, bias, grad, algorithm, stride, padding)
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)

    @given(padding=st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * 2), seed=st.integers(0, 10**6))
    def test_padding_that_differs_before_and_behind(self, padding, seed):
        """As for an even kernel with "same"; conv2d offers no other uneven padding, the ops do."""
        generator = np.random.default_rng(seed)
        x, weight = generator.normal(size=(2, 2, 4, 5)), generator.normal(size=(3, 2, 3, 4))
        outcomes = []
        for op in conv.ALGORITHMS.values():
            tensors = [md.Tensor(x, requires_grad=True), md.Tensor(weight, requires_grad=True)]
            y = md.apply(op((2, 1), padding), *tensors, None)
            y.backward(np.random.default_rng(seed).normal(size=y.shape))
            outcomes.append([y.data, *(tensor.grad for tensor in tensors)])
        for got in outcomes[1:]:
            assert error(got, outcomes[0]) < 1e-12


class TestFloat32:
    @pytest.mark.parametrize("algorithm", FAST)
    @given(problem=problems(most=12, images=9, size=24, kernel=9))
    def test_within_one_in_a_hundred_thousand_of_float64(self, algorithm, problem):
        x, weight, bias, stride, padding, generator = problem
        x, weight, bias = (array.astype("float32") for array in (x, weight, bias))
        grad = None

        def draw(shape):
            nonlocal grad
            grad = generator.normal(size=shape).astype("float32")
            return grad

        got = convolve(x, weight, bias, draw, algorithm, stride, padding, "float32")
        assert error(got, in_torch(x, weight, bias, grad, stride, padding)) < TOLERANCE

    @pytest.mark.parametrize("algorithm", FAST)
    @pytest.mark.parametrize("shape", [(16, 3, 32, 64, 11), (16, 64, 16, 64, 7), (16, 64, 8, 64, 5)])
    def test_on_the_papers_shapes(self, algorithm, shape):
        images, channels, size, filters, kernel = shape
        generator = np.random.default_rng(0)
        x, grad = generator.normal(size=(images, channels, size, size)), generator.normal(size=(images, filters, size, size))
        weight, bias = generator.normal(size=(filters, channels, kernel, kernel)), generator.normal(size=filters)
        x, weight, bias, grad = (array.astype("float32") for array in (x, weight, bias, grad))
        got = convolve(x, weight, bias, grad, algorithm, 1, kernel // 2, "float32")
        assert error(got, in_torch(x, weight, bias, grad, 1, kernel // 2)) < 2e-6

    def test_the_check_above_can_fail(self):
        x, weight = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
        right = in_torch(x, weight, [0.0], np.ones((1, 1, 2, 2)), 1, 0)
        assert error([array * (1 + 2e-5) for array in right], right) > TOLERANCE


@pytest.fixture
def change_transforms(monkeypatch):
    """Replace functions in fourier.py; the cached transforms are rebuilt, and again afterwards."""

    def change(name, value):
        monkeypatch.setattr(fourier, name, value)
        fourier.matrices.cache_clear()

    yield change
    fourier.matrices.cache_clear()


class TestTheTheorem:
    """The statement in the first lines of `fourier.py`, number by number."""

    @pytest.mark.parametrize(("size", "padding"), [(5, (2, 2)), (6, (0, 3)), (7, (1, 0))])
    def test_the_matrices_are_the_discrete_fourier_transform(self, size, padding):
        length = waves.circle(size, padding)
        row = np.random.default_rng(0).normal(size=size)
        expected = np.fft.rfft(row, length)
        got = waves.from_real(waves.waves(length, np.arange(size), half=True).conj()) @ row
        np.testing.assert_allclose(got.reshape(-1, 2), np.stack([expected.real, expected.imag], axis=1), atol=1e-12)
        back = waves.to_real(waves.waves(length, np.arange(size), half=True), length) @ got
        np.testing.assert_allclose(back, row, atol=1e-12)

    @pytest.mark.parametrize("length", [1, 2, 5, 8])
    def test_the_complex_transform_and_its_inverse(self, length):
        row = np.random.default_rng(1).normal(size=(2, length))
        wave = waves.waves(length, np.arange(length))
        spectrum = waves.from_parts(wave.conj()) @ row.reshape(-1)
        expected = np.fft.fft(row[0] + 1j * row[1])
        np.testing.assert_allclose(spectrum.reshape(-1, 2), np.stack([expected.real, expected.imag], axis=1), atol=1e-12)
        np.testing.assert_allclose(waves.to_parts(wave) @ spectrum, row.reshape(-1), atol=1e-12)

    def test_complex_products_as_real_quarters(self):
        generator = np.random.default_rng(2)
        x, w, g = (generator.normal(size=shape) for shape in ((2, 3, 4), (2, 4, 5), (2, 3, 5)))
        complex_x, complex_w, complex_g = (array[0] + 1j * array[1] for array in (x, w, g))
        quarters = fourier.in_quarters(x[None, None])
        product = (quarters @ w.reshape(1, 1, 8, 5)).reshape(2, 3, 5)
        np.testing.assert_allclose(product[0] + 1j * product[1], complex_x @ complex_w)
        four = g.reshape(1, 1, 6, 5) @ w.reshape(1, 1, 8, 5).swapaxes(2, 3)
        product = fourier.times_conjugate(four, 3, 4)[0, 0]
        np.testing.assert_allclose(product[0] + 1j * product[1], complex_g @ complex_w.conj().T)
        product = (quarters.swapaxes(2, 3) @ g.reshape(1, 1, 6, 5)).reshape(2, 4, 5)
        np.testing.assert_allclose(product[0] - 1j * product[1], complex_x.T @ complex_g.conj())

    def test_no_shorter_circle_will_do(self, change_transforms):
        generator = np.random.default_rng(3)
        x, weight = generator.normal(size=(1, 2, 6, 6)), generator.normal(size=(2, 2, 5, 5))
        grad = generator.normal(size=(1, 2, 6, 6))
        expected = convolve(x, weight, np.zeros(2), grad, "loops", 1, 2)
        assert error(convolve(x, weight, np.zeros(2), grad, "fourier", 1, 2), expected) < 1e-12
        full = waves.circle
        change_transforms("circle", lambda size, padding: full(size, padding) - 1)
        assert error(convolve(x, weight, np.zeros(2), grad, "fourier", 1, 2), expected) > 1e-3

    @pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
    def test_no_number_of_a_spectrum_stands_there_twice(self, length):
        """L real numbers in, L real numbers out, and back again."""
        alone, kept = waves.real_frequencies(length)
        wave = waves.waves(length, np.arange(length), half=True)
        assert len(kept) == length and alone == (2 if length % 2 == 0 else 1)
        down, up = waves.from_real(wave.conj())[kept], waves.to_real(wave, length)[:, kept]
        np.testing.assert_allclose(up @ down, np.eye(length), atol=1e-12)
        conjugated = waves.to_real(wave, length, conjugate=True)[:, kept]
        signs = np.array([1] * alone + [1, -1] * ((length - alone) // 2))
        np.testing.assert_allclose(conjugated @ (signs[:, None] * down), np.eye(length), atol=1e-12)

    def test_bands_as_on_a_gpu_give_the_same(self, change_transforms):
        """There all rows are treated alike, those of real numbers too."""
        generator = np.random.default_rng(4)
        x, weight, bias = generator.normal(size=(2, 3, 8, 7)), generator.normal(size=(4, 3, 3, 3)), generator.normal(size=4)
        grad = generator.normal(size=(2, 4, 8, 7))
        in_two_bands = convolve(x, weight, bias, grad, "fourier", 1, 1)
        change_transforms("real_frequencies", lambda length: (0, list(range(2 * (length // 2 + 1)))))
        assert error(convolve(x, weight, bias, grad, "fourier", 1, 1), in_two_bands) < 1e-13

    @pytest.mark.parametrize(("algorithm", "rows", "columns"), [("im2col", 3, 3), ("mixed", 6, 3), ("fourier", 6, 6)])
    def test_how_far_an_inf_reaches(self, algorithm, rows, columns):
        """As functional.conv2d's docstring says."""
        x = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
        x[0, 1, 4, 3] = np.inf
        with np.errstate(invalid="ignore"):
            y = md.functional.conv2d(md.Tensor(x), md.Tensor(np.ones((3, 2, 3, 3))), algorithm=algorithm).data
        wrong = ~np.isfinite(y)
        assert not wrong[1].any()
        assert (wrong[0].any((0, 2)).sum(), wrong[0].any((0, 1)).sum()) == (rows, columns)
        assert wrong[0].sum() == 3 * rows * columns

    @pytest.mark.parametrize("module", [fourier, mixed])
    def test_in_slices_of_any_number_of_frequencies(self, module, monkeypatch):
        generator = np.random.default_rng(4)
        x, weight, bias = generator.normal(size=(2, 3, 9, 7)), generator.normal(size=(4, 3, 3, 3)), generator.normal(size=4)
        grad = generator.normal(size=(2, 4, 9, 7))
        algorithm = module.__name__.rpartition(".")[2]
        at_once = convolve(x, weight, bias, grad, algorithm, 1, 1)
        monkeypatch.setattr(module, "CACHE_BYTES", 1)
        assert error(convolve(x, weight, bias, grad, algorithm, 1, 1), at_once) < 1e-14

    def test_an_inf_reaches_its_own_image_and_no_other(self):
        x = np.ones((2, 1, 8, 8))
        x[0, 0, 0, 0] = np.inf
        y = F.conv2d(x, np.ones((1, 1, 3, 3)), algorithm="fourier").data
        assert np.isnan(y[0]).all()
        np.testing.assert_allclose(y[1], 9)


class TestArraysChangedAfterForward:
    def test_columns_that_are_kept_give_what_columns_made_again_give(self, monkeypatch):
        generator = np.random.default_rng(5)
        x, weight, bias = generator.normal(size=(2, 3, 6, 6)), generator.normal(size=(4, 3, 3, 3)), generator.normal(size=4)
        grad = generator.normal(size=(2, 4, 6, 6))
        kept = convolve(x, weight, bias, grad, "im2col", 1, 1)
        monkeypatch.setattr(im2col, "KEPT_BYTES", 0)
        for one, other in zip(convolve(x, weight, bias, grad, "im2col", 1, 1), kept, strict=True):
            np.testing.assert_array_equal(one, other)
        image = md.Tensor(x)
        y = F.conv2d(image, md.Tensor(weight, requires_grad=True), algorithm="im2col").sum()
        image.data[...] = 0
        with pytest.raises(md.errors.ModifiedError, match="Conv2dIm2col"):
            y.backward()

    def test_im2col_notices(self):
        x, weight = md.Tensor(np.ones((1, 1, 3, 3)), requires_grad=True), md.Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
        y = F.conv2d(x, weight, algorithm="im2col").sum()
        weight.data[...] = 2
        with pytest.raises(md.errors.ModifiedError, match="Conv2dIm2col"):
            y.backward()

    @pytest.mark.parametrize("algorithm", ["fourier", "mixed"])
    def test_spectra_need_neither_and_give_the_gradient_of_what_was(self, algorithm):
        x, weight = md.Tensor(np.ones((1, 1, 3, 3)), requires_grad=True), md.Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
        y = F.conv2d(x, weight, algorithm=algorithm).sum()
        weight.data[...], x.data[...] = 2, 3
        y.backward()
        np.testing.assert_allclose(x.grad[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
        np.testing.assert_allclose(weight.grad, np.full((1, 1, 2, 2), 4))


class TestSamePadding:
    @given(size=st.integers(1, 40), kernel=st.integers(1, 11), stride=st.integers(1, 4))
    def test_gives_ceil_of_size_over_stride(self, size, kernel, stride):
        before, after = same_padding(size, kernel, stride)
        assert after - before in (0, 1)
        assert output_size(size + before + after, kernel, stride) == -(-size // stride)

    @pytest.mark.parametrize("algorithm", FAST)
    @pytest.mark.parametrize(("kernel", "size"), [(11, 32), (7, 16), (5, 8), (4, 9), (2, 7)])
    def test_is_pytorchs_for_stride_1(self, kernel, size, algorithm):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        generator = np.random.default_rng(0)
        x, weight = generator.normal(size=(2, 3, size, size)), generator.normal(size=(4, 3, kernel, kernel))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns that even kernels with padding="same" copy the input
            expected = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), padding="same").numpy()
        np.testing.assert_allclose(
            F.conv2d(x, weight, padding="same", algorithm=algorithm).data, expected, rtol=1e-10, atol=1e-11
        )


@pytest.mark.parametrize("algorithm", FAST)
def test_outputs_and_gradients_lie_in_image_order(algorithm):
    """(N, C, H, W) in shape, (H, W, N, C) in memory: the fastest order for the next op."""
    x, weight = md.Tensor(np.ones((2, 3, 5, 6)), requires_grad=True), md.Tensor(np.ones((4, 3, 3, 3)), requires_grad=True)
    y = F.conv2d(x, weight, algorithm=algorithm)
    y.backward(np.ones(y.shape))
    assert y.data.transpose(2, 3, 0, 1).flags.c_contiguous
    assert x.grad.transpose(2, 3, 0, 1).flags.c_contiguous


class TestTheChoice:
    def test_auto_is_the_algorithm_that_the_model_finds_cheapest(self):
        wide, tall = (
            md.Tensor(np.ones((16, 64, 16, 64)).transpose(0, 1, 2, 3)[..., :16], requires_grad=True),
            md.Tensor(np.ones((64, 64, 7, 7))),
        )
        assert F.conv2d(wide, tall, padding="same")._op.name == "Conv2dFourier"
        point = md.Tensor(np.ones((64, 64, 1, 1)), requires_grad=True)
        assert F.conv2d(np.ones((16, 64, 16, 16)), point)._op.name == "Conv2dIm2col"

    def test_the_layer_passes_its_algorithm_on(self):
        layer = md.nn.Conv2d(1, 2, 3, algorithm="loops")
        assert layer(np.ones((1, 1, 4, 4), dtype="float32"))._op.name == "Conv2dLoops"
        assert "algorithm='loops'" in repr(layer) or "algorithm='loops'" in layer.describe()

    def test_never_more_than_1_3_times_the_best_of_the_stored_measurement(self):
        """100 cases, measured by `python -m tests.benchmarks.conv`, to which the prices of the cost model were fitted."""
        path = pathlib.Path(conv_benchmark.__file__).parent / "results" / "conv.json"
        rows = json.loads(path.read_text())["rows"]
        assert len({tuple(row["shape"]) for row in rows}) >= 20
        for row in rows:
            chosen = conv_choice.fastest(conv_benchmark.shape_of(row["shape"], row["backward"]))
            assert row[chosen] <= 1.3 * min(row[name] for name in FAST), row

    def test_either_choice_alone_would_fail_that(self):
        path = pathlib.Path(conv_benchmark.__file__).parent / "results" / "conv.json"
        rows = json.loads(path.read_text())["rows"]
        for algorithm in FAST:
            assert any(row[algorithm] > 1.5 * min(row[name] for name in FAST) for row in rows)


def test_the_parts_of_a_product_are_turned_into_columns_and_stay_the_same_numbers():
    matrices = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    turned = fourier.in_columns(matrices)
    np.testing.assert_array_equal(turned, matrices)
    assert turned.swapaxes(2, 3).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_numbers_that_cosines_would_be_rounded_to_are_convolved_by_im2col(dtype):
    """Shapes for which float32 numbers are convolved in the frequency domain."""
    random = np.random.default_rng(0)
    x, weight = (random.integers(-3, 4, shape).astype(dtype) for shape in ((4, 8, 12, 12), (8, 8, 7, 7)))
    assert (
        conv_choice.fastest(conv_choice.Shape(4, 8, 8, (12, 12), (7, 7), (1, 1), ((3, 3), (3, 3)), (False, False))) == "fourier"
    )
    expected = F.conv2d(x.astype("float64"), weight.astype("float64"), padding=3, algorithm="im2col").data
    np.testing.assert_array_equal(F.conv2d(x, weight, padding=3).data, expected)


@pytest.mark.parametrize("algorithm", FAST)
def test_an_image_without_rows_is_all_padding(algorithm):
    y = F.conv2d(np.zeros((2, 3, 0, 4)), np.ones((5, 3, 2, 2)), np.arange(5.0), padding=1, algorithm=algorithm)
    np.testing.assert_allclose(y.data, np.broadcast_to(np.arange(5.0).reshape(5, 1, 1), (2, 5, 1, 5)), atol=1e-12)


def test_tensors_layers_and_errors_name_the_way_that_was_chosen():
    layer = md.nn.Conv2d(3, 64, 7)
    assert "by" not in str(layer)
    y = layer(np.zeros((16, 3, 30, 30), dtype="float32"))
    assert "made by Conv2dMixed" in repr(y) and "Conv2d(3, 64, 7x7) by Conv2dMixed" in str(layer)
    x = md.Tensor(np.ones((2, 1, 5, 5), dtype="float32"))
    y = F.conv2d(x, md.Tensor(np.ones((1, 1, 2, 2), dtype="float32"), requires_grad=True), algorithm="loops")
    x.data[0] = 2
    with pytest.raises(md.errors.ModifiedError, match=r"^Conv2dLoops"):
        y.sum().backward()


def test_the_way_is_chosen_for_the_gradients_that_are_wanted(monkeypatch):
    asked = []
    monkeypatch.setattr(conv, "fastest", lambda shape, device: (asked.append(shape.needs), "im2col")[1])
    x, weight = (np.ones(shape, dtype="float32") for shape in ((2, 3, 8, 8), (4, 3, 3, 3)))
    for x_needs in (False, True):
        for weight_needs in (False, True):
            F.conv2d(md.Tensor(x, requires_grad=x_needs), md.Tensor(weight, requires_grad=weight_needs))
    with md.no_grad():
        F.conv2d(md.Tensor(x, requires_grad=True), md.Tensor(weight, requires_grad=True))
    assert asked == [(False, False), (False, True), (True, False), (True, True), (False, False)]


def test_a_layer_takes_any_padding_whatever_the_size_of_its_kernel():
    """It used to be checked against an image of the size of the kernel."""
    assert md.nn.Conv2d(1, 1, 2, padding="same")(np.ones((1, 1, 5, 5), dtype="float32")).shape == (1, 1, 5, 5)
    for bad in ("valid", -1, (1, 2, 3), 1.5):
        with pytest.raises(md.errors.ArgumentError, match="Conv2d: bad padding"):
            md.nn.Conv2d(1, 1, 3, padding=bad)
