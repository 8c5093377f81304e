"""The switch between NumPy and CuPy, and the stand-in that checks it: it must refuse what CuPy refuses."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest

import minidrop as md
from minidrop import backend
from minidrop.errors import ArgumentError, DeviceError

PAGE_FAULTS = """
import resource
import numpy as np
{imports}
for step in range(12):
    if step == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(2 * 2**20, dtype="float32") for _ in range(4)]
    del arrays
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 8)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep freed memory by other rules")
def test_freed_memory_is_kept_for_the_next_step():
    """Four arrays of 8 MB per step: NumPy alone gets new, cleared pages each time, minidrop does not."""

    def faults(imports):
        code = PAGE_FAULTS.format(imports=imports)
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert faults("import minidrop; minidrop.backend.keep_freed_memory()") < 10 < faults("import minidrop")


class TestSwitch:
    def test_an_array_knows_its_library_and_device(self, library):
        array = library.array(np.zeros(3))
        assert backend.is_array(array) and not backend.is_array([1.0])
        assert backend.array_module(array) is library.xp
        assert backend.device_of(array) == md.Tensor(array).device == library.device

    def test_there_and_back(self, library):
        x = md.Tensor(np.arange(6.0).reshape(2, 3))
        there = x.to(library.device)
        assert there.device == library.device and there.to(library.device) is there
        np.testing.assert_array_equal(there.numpy(), x.data)
        np.testing.assert_array_equal(there.to("cpu").data, x.data)

    def test_gradients_travel_back(self, library):
        x = md.Tensor(np.array([1.0, 2.0]), requires_grad=True)
        (x.to(library.device) * 3).backward(library.array(np.array([1.0, 10.0])))
        assert isinstance(x.grad, np.ndarray)
        np.testing.assert_array_equal(x.grad, [3, 30])

    @pytest.mark.parametrize(("name", "one_name"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:1", "cuda:1")])
    def test_device_names(self, name, one_name):
        assert backend.normalise_device(name) == one_name

    @pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "", "CPU", None, 0])
    def test_other_names(self, name):
        if name == "cuda:":
            with pytest.raises(ArgumentError):
                backend.normalise_device(name)
            return
        with pytest.raises(ArgumentError, match="unknown device"):
            backend.normalise_device(name)

    def test_a_second_gpu(self, two_gpus):
        """Every op chooses the device of its input; the stand-in and CuPy refuse arrays of another one."""
        model = md.nn.Sequential(md.nn.Dense(3, 4), md.nn.DropAlan(scaled=True), md.nn.BatchNorm1d(4)).to("cuda:1")
        x = md.Tensor(np.random.default_rng(0).normal(size=(4, 3)).astype("float32")).to("cuda:1")
        loss = md.functional.softmax_cross_entropy(model(x), [0, 1, 2, 3])
        assert loss.device == "cuda:1" and model[0].weight.device == "cuda:1"
        loss.backward()
        assert backend.device_of(model[0].weight.grad) == "cuda:1"
        before = model[0].weight.numpy()
        md.optim.Adam(model.parameters()).step()
        assert not np.array_equal(model[0].weight.numpy(), before) and model[0].weight.device == "cuda:1"
        with two_gpus.cuda.Device(1):
            mask, labels = two_gpus.asarray(np.ones((4, 3), "float32")), two_gpus.asarray(np.array([0, 1, 2, 0]))
        md.functional.softmax_cross_entropy(md.functional.dropout(x, 0.5, mask=mask), labels).item()


class TestImports:
    def test_minidrop_needs_neither_cupy_nor_safetensors_nor_torch_to_be_imported(self):
        code = "import sys, minidrop; print([m for m in ('cupy', 'safetensors', 'torch', 'scipy') if m in sys.modules])"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == "[]"

    def test_without_cupy_everything_runs_on_numpy(self):
        code = "import sys; sys.modules['cupy'] = None; import minidrop as md; print((md.Tensor([1.0]) * 2).item())"
        result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == "2.0"


class TestTheStandIn:
    """Every refusal of the stand-in: a stray np. in an op would cause one of these."""

    @pytest.fixture
    def x(self, stand_in):
        return stand_in.asarray(np.array([1.0, 2.0]))

    @pytest.mark.parametrize(
        "misuse",
        [
            lambda xp, x: x + np.ones(2),
            lambda xp, x: np.ones(2) + x,
            lambda xp, x: x @ np.ones(2),
            lambda xp, x: x + [1.0, 2.0],
            lambda xp, x: xp.maximum(x, np.ones(2)),
            lambda xp, x: xp.where(np.array([True, False]), x, x),
            lambda xp, x: xp.concatenate([x, np.ones(2)]),
            lambda xp, x: xp.add.at(x, np.array([0]), x),
            lambda xp, x: x[np.array([0])],
            lambda xp, x: x[[0]],
            lambda xp, x: x.__setitem__(0, np.ones(1)),
            lambda xp, x: x.__iadd__(np.ones(2)),
            lambda xp, x: np.asarray(x),
            lambda xp, x: np.exp(x),
            lambda xp, x: np.add(x, 1),
            lambda xp, x: np.sum(x) * np.ones(2),
            lambda xp, x: float(x[0]),
            lambda xp, x: int(x[0]),
            lambda xp, x: bool(x[0] > 0),
            lambda xp, x: [1, 2, 3][x[0]],
            lambda xp, x: list(x),
            lambda xp, x: 1.0 in x,
        ],
    )
    def test_refuses(self, misuse, stand_in, x):
        with pytest.raises((TypeError, ValueError)):
            misuse(stand_in, x)

    def test_has_only_what_minidrop_may_use(self, stand_in):
        for name in ("errstate", "random", "testing", "seterr", "isclose", "einsum"):
            assert not hasattr(stand_in, name)

    def test_computes_what_numpy_computes(self, stand_in, x):
        np.testing.assert_array_equal(stand_in.asnumpy(x + 1 * x), [2, 4])
        assert isinstance(x.sum(), stand_in.ndarray) and x.sum().shape == () and x[0].shape == ()
        assert x.sum().item() == 3 and isinstance(stand_in.exp(x), stand_in.ndarray)
        x[0] = 5
        np.testing.assert_array_equal(x.get(), [5, 2])

    def test_keeps_devices_apart(self, stand_in, x):
        with stand_in.cuda.Device(1):
            other = stand_in.asarray(np.ones(2))
            with pytest.raises(ValueError, match="array on device 0"):
                x + 1
        with pytest.raises(ValueError, match="array on device 1"):
            other + 1

    def test_a_stray_numpy_call_in_an_op_is_caught(self, stand_in, x):
        class Stray(md.Op):
            def forward(self, x):
                return np.maximum(x, 0)

            def backward(self, grad):
                return (grad,)

        with pytest.raises(TypeError):
            md.apply(Stray(), md.Tensor(x))
        assert md.apply(Stray(), md.Tensor([1.0])).item() == 1


def test_device_name_says_what_a_result_was_made_on(stand_in):
    assert backend.device_name("cpu") == "cpu"
    assert backend.device_name("cuda:1") == "stand-in 1, CUDA 13000"
    with pytest.raises(DeviceError):
        backend.device_name("cuda:7")


def test_a_cpu_has_no_tf32():
    with pytest.raises(ArgumentError, match="use_tf32: a CPU has no such numbers"):
        backend.use_tf32(True, "cpu")


def test_what_lies_in_another_order_of_axes_keeps_it_on_the_gpu(cupy):
    """CuPy itself would change the layout; the weight of a convolution must have its gradient's layout there too."""
    values = np.arange(120, dtype="float32").reshape(5, 4, 3, 2).transpose(3, 2, 0, 1)
    moved = backend.to_device(values, "cuda")
    assert moved.strides == values.strides and cupy.asarray(values).strides != values.strides
    np.testing.assert_array_equal(moved.get(), values)
    returned = backend.to_device(moved, "cpu")
    assert returned.strides == values.strides and moved.get().strides != values.strides  # and CuPy itself on the way back
    np.testing.assert_array_equal(returned, values)
