"""Bad input: an error that names the layer, what was expected and what came, before any work."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DeviceError, DTypeError, MinidropError, ShapeError
from minidrop.ops import conv

F, nn = md.functional, md.nn


def f32(*shape):
    return np.zeros(shape, dtype="float32")


BAD = {
    "conv2d: rank of x": (lambda: F.conv2d(f32(3, 8, 8), f32(4, 3, 3, 3)), ShapeError, r"conv2d: x has the wrong rank(.|\n)*\(N, C, H, W\)(.|\n)*\(3, 8, 8\)"),
    "conv2d: rank of weight": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 27)), ShapeError, r"conv2d: weight(.|\n)*\(F, C, R, S\)"),
    "conv2d: channels": (lambda: F.conv2d(f32(1, 2, 8, 8), f32(4, 3, 3, 3)), ShapeError, r"conv2d: the number of channels(.|\n)*expected: 3 channels"),
    "conv2d: bias": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), f32(3)), ShapeError, r"bias does not fit(.|\n)*\(4,\)"),
    "conv2d: kernel": (lambda: F.conv2d(f32(1, 3, 4, 4), f32(4, 3, 7, 7), padding=1), ShapeError, "at most 6 x 6(.|\n)*kernel of 7 x 7"),
    "conv2d: empty batch": (lambda: F.conv2d(f32(0, 3, 8, 8), f32(4, 3, 3, 3)), ShapeError, "conv2d: empty batch"),
    "conv2d: stride": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), stride=0), ArgumentError, "bad stride"),
    "conv2d: padding": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), padding="valid"), ArgumentError, "bad padding"),
    "conv2d: padding pair": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), padding=(1, 2, 3)), ArgumentError, "bad padding"),
    "conv2d: mixed types": (lambda: F.conv2d(np.zeros((1, 3, 8, 8)), f32(4, 3, 3, 3)), DTypeError, "another number type than the layer"),
    "max_pool2d: rank": (lambda: F.max_pool2d(f32(8, 8), 2), ShapeError, "max_pool2d: x has the wrong rank"),
    "max_pool2d: window": (lambda: F.max_pool2d(f32(1, 1, 2, 2), 3), ShapeError, "max_pool2d: the kernel does not fit"),
    "max_pool2d: empty batch": (lambda: F.max_pool2d(f32(0, 1, 2, 2), 2), ShapeError, "max_pool2d: empty batch"),
    "cross-entropy: rank": (lambda: F.softmax_cross_entropy(f32(3), [0, 1, 2]), ShapeError, r"logits has the wrong rank(.|\n)*\(N, K\)"),
    "cross-entropy: float labels": (lambda: F.softmax_cross_entropy(f32(2, 3), [0.0, 1.0]), DTypeError, "labels are not integers"),
    "cross-entropy: bool labels": (lambda: F.softmax_cross_entropy(f32(2, 3), [True, False]), DTypeError, "labels are not integers"),
    "cross-entropy: one-hot labels": (lambda: F.softmax_cross_entropy(f32(2, 3), np.eye(3, dtype=int)[:2]), ShapeError, r"labels of shape \(2,\)"),
    "cross-entropy: labels too large": (lambda: F.softmax_cross_entropy(f32(2, 3), [0, 3]), ArgumentError, "from 0 to 2(.|\n)*from 0 to 3"),
    "cross-entropy: labels negative": (lambda: F.softmax_cross_entropy(f32(2, 3), [-1, 0]), ArgumentError, "labels out of range"),
    "cross-entropy: count": (lambda: F.softmax_cross_entropy(f32(2, 3), [0, 1, 2]), ShapeError, "one label per example"),
    "cross-entropy: empty batch": (lambda: F.softmax_cross_entropy(f32(0, 3), np.zeros(0, int)), ShapeError, "empty batch"),
    "conv2d: algorithm": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), algorithm="fft"), ArgumentError, "bad algorithm(.|\n)*'auto' or 'loops' or 'im2col' or 'fourier' or 'mixed'(.|\n)*'fft'"),
    "Conv2d: algorithm": (lambda: nn.Conv2d(3, 4, 3, algorithm="winograd"), ArgumentError, "bad algorithm(.|\n)*'winograd'"),
    "conv2d: no algorithm": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(4, 3, 3, 3), algorithm=np.ones(2)), ArgumentError, "bad algorithm"),
    "conv2d: integers in the frequency domain": (lambda: F.conv2d(np.ones((1, 3, 8, 8), int), np.ones((4, 3, 3, 3), int), algorithm="fourier"), DTypeError, "conv2d in the frequency domain: numbers of the wrong type(.|\n)*float32 or float64(.|\n)*int64"),
    "conv2d: no filters": (lambda: F.conv2d(f32(1, 3, 8, 8), f32(0, 3, 3, 3)), ShapeError, "conv2d: empty weight"),
    "log_softmax: no axis": (lambda: F.log_softmax(f32(2, 3), axis=None), ArgumentError, "log_softmax: bad axis"),
    "concatenate: no axis": (lambda: md.concatenate([f32(2, 3)], axis=None), ArgumentError, "concatenate: bad axis"),
    "batch_norm: running type": (lambda: F.batch_norm(f32(2, 3), np.zeros(3), np.ones(3)), DTypeError, "another number type than the layer"),
    "sum: axis of a 0-d tensor": (lambda: md.Tensor(1.0).sum(axis=0), ShapeError, "sum: a 0-d tensor has no axes"),
    "log_softmax: 0-d": (lambda: F.log_softmax(md.Tensor(1.0)), ShapeError, r"0-d tensor has no axes(.|\n)*x.reshape\(1\)"),
    "concatenate: 0-d": (lambda: md.concatenate([1.0, 2.0]), ShapeError, "concatenate: a 0-d tensor has no axes"),
    "log_softmax: axis": (lambda: F.log_softmax(f32(2, 3), axis=2), ShapeError, "log_softmax"),
    "dropout: integers": (lambda: F.dropout(np.arange(3), 0.5), DTypeError, "dropout: not floating-point"),
    "dropalan: integers": (lambda: F.dropalan(np.arange(3)), DTypeError, "dropalan: not floating-point"),
    "dropalan: scale_gradient": (lambda: F.dropalan(f32(3), scale_gradient="stop"), ArgumentError, "'through' or 'detach'"),
    "dropalan: inference": (lambda: F.dropalan(f32(3), inference="mean"), ArgumentError, "'identity' or 'expectation'"),
    "batch_norm: one value": (lambda: F.batch_norm(f32(1, 3)), ShapeError, "no variance"),
    "batch_norm: rank": (lambda: F.batch_norm(f32(3)), ShapeError, "wrong rank"),
    "batch_norm: weight": (lambda: F.batch_norm(f32(2, 3), weight=f32(2)), ShapeError, "weight does not fit"),
    "batch_norm: running": (lambda: F.batch_norm(f32(2, 3), f32(3), None), ArgumentError, "running statistics"),
    "batch_norm: inference without": (lambda: F.batch_norm(f32(2, 3), training=False), ArgumentError, "running statistics"),
    "batch_norm: empty batch": (lambda: F.batch_norm(f32(0, 3)), ShapeError, "empty batch"),
    "Dense: rank": (lambda: nn.Dense(3, 4)(f32(2, 3, 1)), ShapeError, r"in layer: Dense\(3, 4\)"),
    "Dense: features": (lambda: nn.Dense(3, 4)(f32(2, 5)), ShapeError, r"3 features(.|\n)*\(2, 5\)"),
    "Dense: empty batch": (lambda: nn.Dense(3, 4)(f32(0, 3)), ShapeError, "Dense: empty batch"),
    "Dense: number type": (lambda: nn.Dense(3, 4)(np.zeros((2, 3))), DTypeError, r"expected: float32, the layer's type(.|\n)*got: float64(.|\n)*astype"),
    "BatchNorm2d: rank": (lambda: nn.BatchNorm2d(3)(f32(2, 3)), ShapeError, r"BatchNorm2d: the input(.|\n)*\(N, channels, H, W\)"),
    "BatchNorm1d: features": (lambda: nn.BatchNorm1d(3)(f32(2, 4)), ShapeError, "BatchNorm1d: the number of features"),
    "Add: shapes": (lambda: md.Tensor(f32(2, 3)) + md.Tensor(f32(4)), ShapeError, r"Add: shapes that do not broadcast(.|\n)*\(2, 3\)(.|\n)*\(4,\)"),
    "maximum: shapes": (lambda: md.maximum(f32(2, 3), f32(4)), ShapeError, "Maximum: shapes that do not broadcast"),
    "where: shapes": (lambda: md.where([True, False], f32(3), f32(3)), ShapeError, "Where: shapes that do not broadcast"),
    "comparison: shapes": (lambda: md.Tensor(f32(2, 3)) < md.Tensor(f32(4)), ShapeError, "lt: shapes that do not broadcast"),
    "device: unknown": (lambda: md.Tensor(1.0).to("gpu"), ArgumentError, 'unknown device(.|\n)*"cuda"'),
    "device: not text": (lambda: md.Tensor(1.0).to(1), ArgumentError, "unknown device"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    make, kind, message = BAD[name]
    with pytest.raises(kind, match=message) as error:
        make()
    assert isinstance(error.value, MinidropError)
    text = str(error.value)
    assert "expected: " in text and "got: " in text


def test_the_layer_of_a_network_is_named():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.Flatten(), nn.Dense(99, 10)))
    with pytest.raises(ShapeError) as error:
        model(f32(2, 1, 8, 8))
    assert "in layer: Dense(99, 10), in layer 1 of Sequential, in layer 1 of Sequential" in str(error.value)


def test_no_work_is_done_before_the_check(monkeypatch):
    """An op with bad input never runs."""
    ran = []
    for op in conv.ALGORITHMS.values():
        monkeypatch.setattr(op, "forward", lambda *args, original=op.forward: ran.append(1) or original(*args))
    for make in (BAD["conv2d: bias"][0], BAD["conv2d: mixed types"][0], BAD["conv2d: kernel"][0]):
        with pytest.raises(MinidropError):
            make()
    assert not ran


def test_errors_are_the_builtin_kinds_too():
    assert issubclass(ShapeError, ValueError) and issubclass(DTypeError, TypeError) and issubclass(DeviceError, RuntimeError)


class TestDevices:
    def test_mixed_devices(self, two_gpus):
        here, there = md.Tensor(f32(2, 3)), md.Tensor(f32(2, 3)).to("cuda")
        for make in (
            lambda: here + there,
            lambda: there * here,
            lambda: here < there,
            lambda: here.T @ there,
            lambda: md.concatenate([here, there]),
            lambda: md.where(here > 0, there, there),
            lambda: nn.Dense(3, 2)(there),
            lambda: F.dropout(there, 0.5, mask=np.ones((2, 3))),
            lambda: (there * md.Tensor(two_gpus.asarray(f32(2, 3)), requires_grad=True)).backward(f32(2, 3)),
            lambda: there.to("cuda:1") + there,
        ):
            with pytest.raises(DeviceError, match=r"different devices(.|\n)*\.to\("):
                make()

    def test_numpy_labels_travel_to_the_gpu_and_gpu_labels_do_not_travel_back(self, cupy):
        logits = md.Tensor(f32(2, 3)).to("cuda")
        np.testing.assert_allclose(F.softmax_cross_entropy(logits, np.array([0, 1])).item(), np.log(3), rtol=1e-6)
        with pytest.raises(DeviceError):
            F.softmax_cross_entropy(f32(2, 3), cupy.asarray(np.array([0, 1])))

    def test_cuda_without_cupy(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "cupy", None)  # as if it were not installed
        for make in (
            lambda: md.Tensor([1.0]).to("cuda"),
            lambda: nn.Dense(2, 2).to("cuda:1"),
            lambda: md.Generator(0).uniform(3, device="cuda"),
        ):
            with pytest.raises(DeviceError, match=r"CuPy is missing(.|\n)*cupy-cuda12x(.|\n)*cupy-cuda13x"):
                make()

    def test_cuda_without_a_gpu(self, cupy, monkeypatch):
        def no_driver():
            raise cupy.cuda.runtime.CUDARuntimeError(100)

        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", no_driver)
        with pytest.raises(DeviceError, match=r"that GPU is missing(.|\n)*no CUDA-capable device(.|\n)*nvidia-smi"):
            md.Tensor([1.0]).to("cuda")

    def test_a_gpu_number_that_is_not_there(self, cupy):
        with pytest.raises(DeviceError, match=r"at least 8 CUDA GPU(.|\n)*[12] GPU\(s\) found"):
            md.Tensor([1.0]).to("cuda:7")


LAYERS = {
    "Dense": (lambda dtype: nn.Dense(4, 2, dtype=dtype), (3, 4)),
    "Conv2d": (lambda dtype: nn.Conv2d(2, 3, 3, dtype=dtype), (1, 2, 4, 4)),
    "BatchNorm2d": (lambda dtype: nn.BatchNorm2d(2, dtype=dtype), (2, 2, 4, 4)),
    "LayerNorm": (lambda dtype: nn.LayerNorm(4, dtype=dtype), (3, 4)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("given", ["float64", "float16", ">f4", "int64", "uint8"])
def test_an_input_of_another_type_is_told_the_layer_s_type(layer, training, given):
    """Never to convert the weights."""
    make, shape = LAYERS[layer]
    module, x = make("float32").train(training), np.ones(shape, given)
    with pytest.raises(DTypeError, match=r"(expected: float32(.|\n)*got: .*)(.|\n)*help: x\.astype\('float32'\)") as error:
        module(x)
    assert ("/ 255" in str(error.value) and "md.datasets.batches" in str(error.value)) == (given == "uint8")
    module(x.astype("float32"))
    with pytest.raises(DTypeError, match="float64") as error:
        make("float64").train(training)(np.ones(shape, "float32"))
    assert "astype('float64')" in str(error.value)
