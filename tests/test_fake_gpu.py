"""The fake GPU (fake_gpu/): that it refuses and delays as CUDA does, and what minidrop asks of it, counted on the real CuPy.

python -m tests.fake_gpu --gpus 2 -m pytest -m gpu
"""

from __future__ import annotations

import collections
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import small_data
from fake_gpu.log import driver, recorded

import minidrop as md
from minidrop import backend
from minidrop.gpu import kernels
from minidrop.ops import fourier
from minidrop.paper.networks import Network
from minidrop.paper.training import READ_EVERY, Run, Trainer
from minidrop.selfcheck.programs import PROGRAMS, On

F = md.functional

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(driver() is None, reason="needs the fake GPU: python -m tests.fake_gpu -m pytest -m gpu"),
]


@pytest.fixture
def cupy():
    import cupy

    return cupy


def test_every_library_is_the_fake_one(cupy):
    """A real cuBLAS on this machine would be found by CuPy just as well."""
    cupy.ones((2, 2)) @ cupy.ones((2, 2))
    with open("/proc/self/maps") as file:
        loaded = {line.split()[-1] for line in file if "libcu" in line or "libnvrtc" in line}
    assert {path.split("/")[-2] for path in loaded if ".so." in path} == {"lib"} and len(loaded) >= 3
    assert "Fake" in backend.device_name("cuda")


class TestItIsLate:
    """Work is done when somebody waits for it: what forgot to wait finds old numbers."""

    def test_another_stream_that_does_not_wait_sees_the_old_numbers(self, cupy):
        x, seen = cupy.zeros(4), cupy.zeros(4)
        cupy.cuda.Stream.null.synchronize()
        first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
        with first:
            x += 1
        with second:
            seen[...] = x
        np.testing.assert_array_equal(seen.get(stream=second), 0)
        second.wait_event(first.record())
        with second:
            seen[...] = x
        np.testing.assert_array_equal(seen.get(stream=second), 1)

    def test_streams_that_block_and_the_default_stream_wait_for_each_other(self, cupy):
        x, stream = cupy.zeros(4), cupy.cuda.Stream()
        with stream:
            x += 1
        x *= 3
        np.testing.assert_array_equal(x.get(), 3)

    def test_pinned_memory_is_read_later_pageable_memory_at_once(self, cupy):
        pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(32), dtype="float64", count=4)
        pageable, results = np.ones(4), []
        for host in (pinned, pageable):
            host[...] = 1
            there, stream = cupy.zeros(4), cupy.cuda.Stream(non_blocking=True)
            cupy.cuda.Stream.null.synchronize()
            there.data.copy_from_host_async(host.ctypes.data, 32, stream)
            host[...] = 2
            results.append(there.get(stream=stream)[0])
        assert results == [2, 1]

    def test_matrices_that_a_stream_has_made_are_there_for_the_others(self, cupy):
        """The transforms of a convolution are kept; the stream that made them may never be waited for."""
        fourier.matrices.cache_clear()
        x, weight = cupy.ones((4, 3, 32, 32), dtype="float32"), cupy.ones((8, 3, 7, 7), dtype="float32")
        cupy.cuda.Device().synchronize()
        with cupy.cuda.Stream(non_blocking=True):
            F.conv2d(md.Tensor(x), md.Tensor(weight), algorithm="fourier")
        assert np.isfinite(F.conv2d(md.Tensor(x), md.Tensor(weight), algorithm="fourier").numpy()).all()

    def test_new_memory_holds_no_zeros(self, cupy):
        with cupy.cuda.using_allocator(cupy.cuda.MemoryPool().malloc):
            assert np.isnan(cupy.empty(1000, dtype="float32").get()).all()


class TestCapture:
    @pytest.fixture
    def stream(self, cupy):
        stream = cupy.cuda.Stream(non_blocking=True)
        yield stream
        if stream.is_capturing():
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()

    @pytest.mark.parametrize("what", ["another stream", "a read", "an event from outside", "new memory", "the device"])
    def test_refuses(self, cupy, stream, what):
        x, other = cupy.zeros(4), cupy.cuda.Stream(non_blocking=True)
        x += 1  # compiled before
        with stream:
            stream.begin_capture(0)
            with pytest.raises(Exception, match=r"cudaErrorStreamCapture|CUDA_ERROR|[Cc]aptur"):
                if what == "another stream":
                    with other:
                        x += 1
                elif what == "a read":
                    cupy.cuda.runtime.memcpy(np.zeros(4).ctypes.data, x.data.ptr, 32, 2)
                elif what == "an event from outside":
                    stream.wait_event(other.record())
                elif what == "new memory":
                    cupy.cuda.runtime.malloc(100)
                else:
                    cupy.cuda.runtime.deviceSynchronize()
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="Invalidated"):
                stream.end_capture()

    def test_what_is_captured_is_not_done_and_is_replayed(self, cupy, stream):
        x = cupy.zeros(4)
        x += 1
        with stream:
            stream.begin_capture()
            x += 1
            graph = stream.end_capture()
        stream.synchronize()
        assert x.get()[0] == 1
        for _ in range(3):
            graph.launch(stream)
        stream.synchronize()
        assert x.get()[0] == 4

    def test_the_last_capture_test_would_not_pass_on_work_that_escapes(self, cupy):
        """minidrop's own capture, with an op on another stream planted into the step: it is refused, and the step runs op by op."""
        elsewhere, other = cupy.cuda.Stream(non_blocking=True), cupy.zeros(3, dtype="float32")

        def step(x):
            with elsewhere:
                other.fill(1)
            return md.Tensor(x) * 2

        captured = md.capture(step, warm_up=1)
        captured(cupy.ones(3, dtype="float32"))
        with pytest.warns(RuntimeWarning, match="capture: "):
            captured(cupy.ones(3, dtype="float32"))
        assert captured.graph is None and captured.reason is not None


class TestKernels:
    def test_barriers_and_shuffles(self, cupy):
        """Reductions, scans and masks: threads that wait for each other."""
        random = np.random.default_rng(0)
        x = random.normal(size=(33, 70))
        there = cupy.asarray(x)
        np.testing.assert_allclose(there.sum(axis=0).get(), x.sum(axis=0))
        np.testing.assert_array_equal(there[cupy.asarray(x > 0)].get(), x[x > 0])
        np.testing.assert_allclose(cupy.cumprod(1 + there[0] / 100).get(), np.cumprod(1 + x[0] / 100))
        np.testing.assert_array_equal(there.argmax(axis=1).get(), x.argmax(axis=1))

    def test_float16_rounds_as_numpy_does(self, cupy):
        values = np.random.default_rng(0).normal(size=1000).astype("float16")
        there = cupy.asarray(values)
        np.testing.assert_array_equal((there * there + 1).get(), values * values + 1)
        np.testing.assert_array_equal(there.astype("float32").get(), values.astype("float32"))

    def test_the_smallest_numbers_of_float32_count_as_0(self, cupy):
        """CuPy asks its compiler for that (-ftz=true): NumPy does not do it, nor does a GPU with float64."""
        small = cupy.full(3, 1e-40, dtype="float32")
        assert small.get().min() > 0 and (small * 2).get().max() == 0 and cupy.log(small).get().max() == -np.inf
        assert (cupy.full(3, 1e-310) * 2).get().min() > 0
        assert (np.full(3, 1e-40, "float32") * 2).min() > 0  # the processor is as it was

    @pytest.mark.skipif(" fma " not in pathlib.Path("/proc/cpuinfo").read_text(), reason="this processor cannot fuse")
    def test_a_product_and_a_sum_are_rounded_once(self, cupy):
        a, b, c = np.random.default_rng(0).normal(size=(3, 1000)).astype("float32")
        kernel = cupy.ElementwiseKernel("float32 a, float32 b, float32 c", "float32 y", "y = a * b + c", "fused")
        result = kernel(*map(cupy.asarray, (a, b, c))).get()
        np.testing.assert_array_equal(result, (a.astype("float64") * b + c).astype("float32"))
        assert (result != a * b + c).any()

    def test_arguments_of_more_than_4_kb_do_not_compile(self, cupy):
        names = [f"x{index}" for index in range(130)]
        wide = cupy.ElementwiseKernel(", ".join(f"raw float64 {name}" for name in names), "float64 y", "y = x0[i]", "wide")
        with pytest.raises(cupy.cuda.compiler.CompileException, match="4 KB"):
            wide(*[cupy.zeros((1, 3, 1))] * 130, cupy.zeros(3))

    def test_an_error_in_a_kernel_is_the_compilers(self, cupy):
        bad = cupy.ElementwiseKernel("float32 x", "float32 y", "y = nowhere + x", "bad")
        with pytest.raises(cupy.cuda.compiler.CompileException, match="nowhere"):
            bad(cupy.zeros(3, dtype="float32"))

    def test_a_fault_planted_in_a_kernel_changes_its_numbers(self, cupy, monkeypatch):
        inputs, outputs, body = kernels.KERNELS["relu"]
        monkeypatch.setitem(kernels.KERNELS, "relu", (inputs, outputs, body.replace("x > 0", "x > 1")))
        kernels.kernel.cache_clear()
        try:
            x = md.Tensor(np.array([-1, 0.5, 2], "float32"), requires_grad=True)
            assert x.to("cuda").relu().numpy().tolist() == [0, 0, 2]
        finally:
            kernels.kernel.cache_clear()


class TestTwoGpus:
    @pytest.fixture(autouse=True)
    def two(self, two_gpus):
        """All of these need them."""

    def test_a_kernel_cannot_read_the_others_memory(self, cupy):
        with cupy.cuda.Device(1):
            there = cupy.ones(3)
        with pytest.raises(ValueError, match="different from the current device"):
            there + 1
        np.testing.assert_array_equal(cupy.asarray(there).get(), 1)  # a copy is allowed

    def test_one_layer_on_each(self):
        x = md.Tensor(np.ones((2, 3), "float32"))
        first, second = md.nn.Dense(3, 4).to("cuda"), md.nn.Dense(4, 2).to("cuda:1")
        for _ in range(2):  # the second time gradients are added
            second(first(x.to("cuda")).to("cuda:1")).sum().backward()
        assert backend.device_of(first.weight.grad) == "cuda" and backend.device_of(second.weight.grad) == "cuda:1"

    def test_two_gradients_of_one_tensor_are_added_where_it_lies(self):
        random = np.random.default_rng(0)
        upstream = md.Tensor(random.normal(size=(2, 3))).to("cuda")
        x = md.Tensor(random.normal(size=(2, 3)), requires_grad=True)
        y = x.to("cuda:1").exp()  # an op whose output is used twice, and its loss on the other GPU
        ((y * y + y * 3).to("cuda") * upstream).sum().backward()
        np.testing.assert_allclose(x.grad, upstream.numpy() * (2 * np.exp(2 * x.data) + 3 * np.exp(x.data)))


def training_step(variant, size):
    """A step of the paper's network on CIFAR-10 shapes, and a batch."""
    import cupy

    seeds = md.Generator(0)
    network = Network(size, variant, (3, 32, 32), 10, seeds.spawn(), seeds.spawn()).to("cuda")
    optimizer = md.optim.SGD(network.parameters(), lr=0.05)

    def step(images, labels):
        loss = F.softmax_cross_entropy(network(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(0)
    return step, (cupy.asarray(random.random((16, 3, 32, 32)).astype("float32")), cupy.asarray(random.integers(0, 10, 16)))


@pytest.mark.parametrize(("size", "products", "nodes"), [("published", 23, 65), ("described", 48, 93)])
@pytest.mark.parametrize("variant", ["cnn", "dropout", "beta-scaled"])
def test_how_many_nodes_the_graph_of_a_step_has(cupy, variant, size, products, nodes):
    """NOTES.md has these numbers. A replay is one launch, between copies of the batch, and waits for nothing."""
    step, batch = training_step(variant, size)
    captured = md.capture(step, warm_up=1)
    captured(*batch)
    with recorded() as log:
        captured(*batch)
    assert len(log.containing("captured: cuBLAS gemm")) == products
    nodes += {"cnn": 0, "dropout": 4, "beta-scaled": 2}[variant]
    if cupy.__version__.startswith("13."):  # its `where` copies the mask of each ReLU
        nodes += {"published": 3, "described": 4}[size] - (variant == "beta-scaled")
    assert len(log.containing("captured: ")) == nodes
    with recorded() as log:
        captured(*batch)
    kinds = collections.Counter(line.partition(": ")[2].split()[0] for line in log.lines)
    assert kinds == {"copy": 2, "graph": 1, "event": 2, "wait": 2}


@pytest.mark.parametrize(("size", "launches", "in_13"), [("published", 90, 87), ("described", 149, 137)])
def test_a_step_op_by_op_never_waits_for_the_gpu(cupy, size, launches, in_13):
    step, batch = training_step("cnn", size)
    step(*batch)
    with recorded() as log:
        step(*batch)
    assert log.containing("synchronise") == [] and log.containing("to host") == []
    assert len(log.containing("stream ")) == (in_13 if cupy.__version__.startswith("13.") else launches)


WAITS = {
    "x[mask]": "how large the result is has to be known",
    "to": "it copies to the host",
    "dropout, given mask": "that it holds only 0 and 1 is checked, but not in a capture",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_op_waits_for_the_gpu(name):
    """Forward and backward of every op; what does wait has a reason."""
    program, random = PROGRAMS[name], np.random.default_rng(0)

    def there(values):
        return backend.to_device(np.asarray(values).astype("float32"), "cuda")

    for _ in range(2):  # the first time matrices are made, and waited for
        inputs = [md.Tensor(there(draw(random)), requires_grad=True) for draw in program.inputs]
        shape = program.run(On("cuda"), *inputs).shape
        upstream = there(random.normal(size=shape))
        with recorded() as log:
            output = program.run(On("cuda"), *inputs)
            output.backward(upstream if output.dtype == "float32" else upstream.astype(output.dtype))
    assert bool(log.containing("synchronise")) == (name in WAITS)


@pytest.mark.parametrize("graphs", [False, True])
def test_a_training_run_waits_once_in_many_steps(graphs):
    run = Run(
        dataset="digits",
        variant="beta-scaled",
        network="lite",
        iterations=1000,
        device="cuda",
        cuda_graphs=graphs,
        on_divergence="continue",
    )
    trainer = Trainer(run, small_data.pair())
    for _ in range(READ_EVERY):
        trainer.step()
    with recorded() as log:
        for _ in range(READ_EVERY - 1):
            trainer.step()
    assert log.containing("synchronise") == []
    with recorded() as log:
        trainer.step()
    assert log.containing("synchronise") != [] and len(log.containing("to host")) == 1


def test_tf32_reaches_cublas(cupy):
    random = np.random.default_rng(0)
    for shape in ((64, 64), (3, 64, 64)):
        a = random.normal(size=shape).astype("float32")
        there, exact = md.Tensor(cupy.asarray(a)), a.astype("float64") @ a
        errors = []
        for on in (True, False):
            backend.use_tf32(on)
            try:
                with recorded() as log:
                    errors.append(abs((there @ there).numpy() - exact).max())
            finally:
                backend.use_tf32(False)
            if len(shape) == 2:  # the others go through pointers, and are not logged one by one
                assert bool(log.containing("cuBLAS: gemm", "TF32")) == on
        assert errors[0] > 1e-3 > 1e-4 > errors[1]


def test_the_log_that_lesson_13_shows_comes_out_again(cupy, tmp_path):
    """In a process of its own, where streams count from the start."""
    if cupy.__version__.startswith("13."):
        pytest.skip("the log is of CuPy 14, whose kernels have other names")
    command = [sys.executable, "-m", "tests.fake_gpu.lesson_log", str(tmp_path / "step.json")]
    subprocess.run(command, cwd=pathlib.Path(__file__).parents[1], check=True, timeout=300)
    stored = pathlib.Path(__file__).parents[1] / "lessons/results/driver/step.json"
    ours, theirs = (json.loads(path.read_text()) for path in (tmp_path / "step.json", stored))
    assert ours | {"provenance": None} == theirs | {"provenance": None}


def test_reproduce_with_cuda_graphs_gives_the_cpus_numbers(tmp_path):
    """`minidrop reproduce`, from end to end: rows of the history within float32's rounding."""
    rows = []
    for options in (["--device", "cpu"], ["--device", "cuda"], ["--device", "cuda", "--cuda-graphs"]):
        out = tmp_path / "-".join(options).replace("--", "")
        command = [
            sys.executable,
            "-m",
            "minidrop",
            "reproduce",
            "--dataset",
            "digits",
            "--network",
            "lite",
            "--variants",
            "beta-scaled",
        ]
        command += ["--iterations", "40", "--seeds", "1", "--out", str(out), *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        (history,) = out.rglob("*seed*.csv")
        rows.append(np.genfromtxt(history, delimiter=",", names=True))
    for name in ("loss", "gradient_norm", "keep_probability", "accuracy"):
        np.testing.assert_allclose(rows[1][name], rows[0][name], rtol=2e-3)
        np.testing.assert_allclose(rows[2][name], rows[0][name], rtol=2e-3)
