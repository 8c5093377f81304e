"""`minidrop gpu`: its table covers all ops and kernels, and what is wrong with a GPU, a kernel or a capture is a FAILED line."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from cupy_gpu import FakeCublas
from cupy_kernel import COMPILER
from op_registry import OPS

from minidrop import backend
from minidrop.capture import Capture, CapturedStep
from minidrop.command import main
from minidrop.errors import DeviceError
from minidrop.gpu import cublas, kernels, sgd
from minidrop.gpu.fused import TWINS
from minidrop.selfcheck import ops, programs, report, steps

NAMES = [
    "GPU", "versions", "minidrop", "ops, float32", "ops, float64", "masks", "optimisers", "training", "capture", "together",
    "use_tf32", "speed",
]  # fmt: skip


@pytest.fixture
def gpu(stand_in, monkeypatch):
    """The stand-in, with a cuBLAS for captures."""
    if COMPILER is None:
        pytest.skip("no C++ compiler: the stand-in has no kernels")
    monkeypatch.setattr(cublas, "load_library", lambda xp: FakeCublas())
    return stand_in


@pytest.fixture
def anew():
    """Kernels are compiled again: a test changes one."""
    kernels.kernel.cache_clear()
    yield
    kernels.kernel.cache_clear()


def run(*arguments, status):
    """What `minidrop gpu` prints, in a terminal of 80 columns."""
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["gpu", *map(str, arguments)])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def verdicts(printed):
    """{check: "ok" or "FAILED"}, in the order printed."""
    return dict(re.findall(r"^(\S.{0,12}?) +(ok|FAILED) ", printed, flags=re.MULTILINE))


def only(monkeypatch, *names):
    """Run these checks alone; the others take their time."""
    every = report.checks
    monkeypatch.setattr(report, "checks", lambda *given: {name: every(*given)[name] for name in names})


def sentence(printed):
    return " ".join(printed.split())


class TestTheTable:
    @pytest.fixture
    def found(self, gpu):
        return ops.of_type("cuda", "float32", lambda: False).numbers

    def test_it_covers_every_op(self, found):
        assert set(found["ops"]) == {entry.op.__name__ for entry in OPS.values()}

    def test_every_twin_runs(self, found):
        assert found["fused"] == sorted(op.__name__ for op in TWINS)

    def test_every_kernel_runs(self, gpu, monkeypatch):
        ran = set()
        launch = kernels.run
        monkeypatch.setattr(kernels, "run", lambda name, *arguments: (ran.add(name), launch(name, *arguments))[1])
        ops.of_type("cuda", "float32", lambda: False)
        ops.masks("cuda")
        assert ran == set(kernels.KERNELS)

    @pytest.mark.parametrize("dtype", ops.TOLERANCES)
    def test_inputs_are_far_enough_from_kinks(self, dtype):
        """Inputs and outputs that move by a rounding move the results by little: no tie, no kink decides."""
        for name, program in programs.PROGRAMS.items():
            moved = program._replace(inputs=tuple(nudged(draw, 4 * np.finfo(dtype).eps) for draw in program.inputs))
            pairs = zip(ops.played(moved, "cpu", dtype)[0], ops.played(program, "cpu", dtype)[0], strict=True)
            assert max(ops.distance(one, other) for one, other in pairs) < 10 * ops.TOLERANCES[dtype], name

    def test_an_op_that_is_not_in_it_would_be_noticed(self, gpu, monkeypatch):
        monkeypatch.delitem(programs.PROGRAMS, "stack")
        assert "Stack" not in ops.of_type("cuda", "float32", lambda: False).numbers["ops"]


def nudged(draw, by):
    return lambda random: draw(random) * (1 + by)


class TestDistance:
    def test_it_is_relative_to_the_largest_but_at_least_one(self):
        a = np.array([0.5, -200.0])
        assert ops.distance(a + [0, 2], a) == pytest.approx(0.01) and ops.distance(a / 400, a / 400 + 0.01) == pytest.approx(
            0.01
        )

    def test_another_shape_type_or_nan_is_infinitely_far(self):
        a = np.ones(3)
        for other in (np.ones((3, 1)), a.astype("float32"), a * np.nan):
            assert ops.distance(other, a) == np.inf
        assert ops.distance(a[:0], a[:0]) == 0


def test_all_is_well_on_the_stand_in(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "TURN_SECONDS", 0.01)
    file = tmp_path / "gpu.json"
    printed = run("--json", file, status=0)
    assert verdicts(printed) == dict.fromkeys(NAMES, "ok"), printed
    assert re.search(r"^all 12 checks ok, in \d+ s\nwrote gpu.json\n\Z", printed, flags=re.MULTILINE)
    assert max(map(len, printed.splitlines())) <= 80
    assert "stand-in 0, compute capability 9.0, 8.0 GiB" in printed and "CUDA runtime 13.0, driver 13.2, CuPy 0.0" in printed
    assert all(
        re.search(rf"^  {way} +\d", printed, flags=re.MULTILINE)
        for way in (r"CPU, \d+ threads?", "GPU, op by op", "GPU, CUDA graph")
    )
    written = json.loads(file.read_text())
    assert written["ok"] is True and [check["name"] for check in written["checks"]] == NAMES
    assert {"minidrop", "commit", "gpu"} <= set(written["provenance"]) and list(tmp_path.iterdir()) == [file]
    assert written["checks"][3]["numbers"]["errors"]["a @ b"] < 1e-5


@pytest.mark.gpu
def test_all_is_well_on_a_gpu(tmp_path):
    file = tmp_path / "gpu.json"
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["gpu", "--json", str(file)])
    found = {check["name"]: check for check in json.loads(file.read_text())["checks"]}
    assert list(found) == NAMES
    failed = {name for name, check in found.items() if not check["ok"]}
    assert failed == set(), result.output


@pytest.mark.gpu
def test_faults_are_found_on_a_gpu(anew, monkeypatch):
    def baked(self, generator, xp, blocks):
        self.blocks[generator] = blocks
        generator.counter += blocks
        return xp.zeros(1, dtype="uint64") + (generator.counter - blocks)

    def breaks(device):
        raise ZeroDivisionError("of the check")

    only(monkeypatch, "masks", "capture", "GPU")
    assert verdicts(run(status=0)) == {"masks": "ok", "capture": "ok", "GPU": "ok"}
    text = kernels.KERNELS["bernoulli"]
    monkeypatch.setitem(kernels.KERNELS, "bernoulli", (*text[:2], text[2].replace(">= keep", "> keep + T(.001)")))
    kernels.kernel.cache_clear()
    monkeypatch.setattr(Capture, "draw", baked)
    monkeypatch.setattr(ops, "gpu", breaks)
    printed = run(status=1)
    assert verdicts(printed) == {"masks": "FAILED", "capture": "FAILED", "GPU": "FAILED"}
    assert "ZeroDivisionError: of the check" in printed and "another distribution, float32: " in sentence(printed)


class TestFaults:
    @pytest.mark.parametrize(
        ("kernel", "right", "wrong", "check", "named"),
        [
            ("relu", "x : 0", "x : T(1e-3)", "ops, float32", "relu: error"),
            ("max_pool_gradient", "y += grad[at]", "y = grad[at]", "ops, float64", "max_pool2d: error"),
            (
                "softmax_cross_entropy_gradient",
                "grad[0] / batch",
                "T(1) / batch",
                "ops, float32",
                "softmax_cross_entropy: error",
            ),
            ("times_conjugate", "four[below] -", "four[below] +", "ops, float32", "conv2d, fourier: error"),
            ("bernoulli", ">= keep", "> keep + T(.001)", "masks", "another distribution, float32: "),
            ("dropout", "(drawn >> 8)", "(drawn >> 9)", "masks", "dropout, float32: "),
            ("random_words", "i % 4", "(i + 1) % 4", "masks", "random words, float32: "),
        ],
    )
    def test_in_a_kernel(self, kernel, right, wrong, check, named, gpu, anew, monkeypatch):
        only(monkeypatch, check, "minidrop")
        assert verdicts(run(status=0)) == {check: "ok", "minidrop": "ok"}
        text = kernels.KERNELS[kernel]
        assert right in text[2]
        monkeypatch.setitem(kernels.KERNELS, kernel, (*text[:2], text[2].replace(right, wrong)))
        kernels.kernel.cache_clear()
        printed = run(status=1)
        assert verdicts(printed) == {check: "FAILED", "minidrop": "ok"} and named in sentence(printed)
        assert f"1 of 2 checks FAILED: {check}" in printed and "send all of this output" in sentence(printed)

    def test_a_kernel_that_is_not_taken(self, gpu, monkeypatch):
        only(monkeypatch, "ops, float64")
        monkeypatch.delitem(backend.FUSED, next(op for op in TWINS if op.__name__ == "Relu"))
        assert "these ops did not take their GPU kernels: Relu" in sentence(run(status=1))

    def test_a_counter_baked_into_the_graph(self, gpu, monkeypatch):
        def draw(self, generator, xp, blocks):
            baked = xp.zeros(1, dtype="uint64") + generator.counter
            generator.counter += blocks
            self.blocks[generator] = blocks
            return baked

        only(monkeypatch, "capture", "together", "training")
        monkeypatch.setattr(Capture, "draw", draw)
        printed = run(status=1)
        assert verdicts(printed) == {"capture": "FAILED", "together": "FAILED", "training": "ok"}
        assert "from op by op, limit 1e-05" in sentence(printed)

    def test_a_step_that_cannot_be_captured(self, gpu, monkeypatch):
        def refuse(self, a, b, out=None):
            if self_captures():
                raise RuntimeError("no product here")
            return a @ b if out is None else gpu.matmul(a, b, out=out)

        self_captures = backend.capturing
        only(monkeypatch, "capture", "together")
        monkeypatch.setattr(cublas.Cublas, "matmul", refuse)
        printed = run(status=1)
        assert verdicts(printed) == {"capture": "FAILED", "together": "FAILED"}
        assert "the step was not captured: RuntimeError: no product here" in sentence(printed) and "note:" not in printed

    def test_training_that_goes_another_way(self, gpu, monkeypatch):
        only(monkeypatch, "training", "optimisers")
        monkeypatch.setattr(sgd, "STEP", "start = end#;")  # parameters stay as they are
        sgd.sgd_kernel.cache_clear()
        printed = run(status=1)
        sgd.sgd_kernel.cache_clear()
        assert verdicts(printed) == {"training": "FAILED", "optimisers": "FAILED"}
        assert "SGD, float32: error" in sentence(printed) and "Adam, " not in printed

    def test_an_exception_in_a_check(self, gpu, monkeypatch, tmp_path):
        def breaks(device):
            raise ZeroDivisionError("of the\ncheck")

        only(monkeypatch, "GPU", "masks", "versions")
        monkeypatch.setattr(ops, "masks", breaks)
        printed = run("--json", tmp_path / "x.json", status=1)
        assert verdicts(printed) == {"GPU": "ok", "masks": "FAILED", "versions": "ok"}
        assert "ZeroDivisionError: of the check\n" in printed
        check = json.loads((tmp_path / "x.json").read_text())["checks"][1]
        assert check["ok"] is False and re.fullmatch(r"minidrop/selfcheck/report.py:\d+", check["numbers"]["at"])

    def test_an_exception_in_a_program_leaves_the_others(self, gpu, monkeypatch):
        def breaks(on, x):
            raise ValueError("y" * 50 + " " + "z" * 500)

        only(monkeypatch, "ops, float32")
        monkeypatch.setitem(programs.PROGRAMS, "exp", programs.PROGRAMS["exp"]._replace(run=breaks))
        printed = sentence(run(status=1))
        assert (
            f"1 of {len(programs.PROGRAMS)} programs" in printed and "exp: ValueError: yyy" in printed and "zzz" not in printed
        )


class TestTf32:
    def test_it_grows_and_shrinks_again(self, gpu):
        numbers = ops.tf32("cuda").numbers
        assert max(numbers["off"].values()) < 1e-6 and numbers["off again"] == numbers["off"]
        assert all(1e-4 < error < 1e-3 for error in numbers["on"].values())

    @pytest.mark.parametrize("axes", ["two axes", "three axes"])
    def test_a_setting_that_does_not_arrive(self, axes, gpu, monkeypatch):
        only(monkeypatch, "use_tf32")
        owner, name = (
            (sys.modules["cupy._core._routines_linalg"], "set_compute_type")
            if axes == "two axes"
            else (gpu.cuda.cublas, "setMathMode")
        )
        monkeypatch.setattr(owner, name, lambda *_: None)
        assert re.search(rf"on, it must lie between 5e-05 and 5e-03: .*{axes} \de-0[78]", sentence(run(status=1)))

    def test_older_gpus_have_none(self, gpu, monkeypatch):
        monkeypatch.setattr(ops, "capability", lambda device: (7, 5))
        with pytest.raises(ops.Wrong, match="has no TensorFloat-32, so it must stay"):
            ops.tf32("cuda")
        monkeypatch.setattr(ops, "use_tf32", lambda on, device: None)
        assert ops.tf32("cuda").detail.endswith("no TensorFloat-32 here, so it stays")


class TestTime:
    def test_programs_that_take_too_long_are_not_called_ok(self, gpu):
        with pytest.raises(ops.Wrong, match=f"time is up: {len(programs.PROGRAMS)} programs not run; run it again"):
            ops.of_type("cuda", "float32", lambda: True)

    def test_the_speed_table_stops(self, gpu):
        found = steps.speed("cuda", 0)
        assert found.detail.count("not measured: step 1 took") == 3

    def test_a_way_that_is_not_a_graph_is_wrong(self, gpu, monkeypatch):
        def refuse(self):
            self.give_up("of this test")

        monkeypatch.setattr(CapturedStep, "capture_graph", refuse)
        monkeypatch.setattr(steps, "TURN_SECONDS", 0.01)
        monkeypatch.setattr(steps, "TURNS", 1)
        with pytest.raises(ops.Wrong, match="not captured: of this test"):
            steps.speed("cuda", 60)


class TestTheCommand:
    def test_without_cupy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)
        printed = run(status=1)
        assert (
            printed.startswith("Error: a GPU was asked for, but CuPy is missing\n") and "help: python -m pip install" in printed
        )

    def test_without_that_gpu(self, gpu):
        assert 'the device "cuda:7" was asked for, CuPy is installed, but that GPU is missing' in run(
            "--device", "cuda:7", status=1
        )
        with pytest.raises(DeviceError):
            report.selfcheck("cuda:7")

    @pytest.mark.parametrize(("name", "said"), [("cpu", "a CPU is what GPUs are checked against"), ("gpu", "unknown device")])
    def test_no_gpu_at_all(self, name, said, gpu):
        assert said in run("--device", name, status=1)

    def test_a_folder_that_is_not_there_is_noticed_first(self, gpu, tmp_path):
        printed = run("--json", tmp_path / "none" / "x.json", status=1)
        assert "expected: a folder that is there" in printed and verdicts(printed) == {}

    def test_the_second_gpu(self, gpu, monkeypatch):
        printed = run("--device", "cuda:1", "--quick", status=0)
        assert verdicts(printed) == dict.fromkeys(NAMES[:-1], "ok") and "stand-in 1" in printed

    def test_what_changes_numbers_is_shown(self, gpu, monkeypatch):
        only(monkeypatch, "versions")
        monkeypatch.setenv("CUPY_TF32", "1")
        assert "CUPY_TF32=1" in run(status=0)
