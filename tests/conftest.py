"""What all tests share: the array libraries to run on, and the Hypothesis profiles."""

from __future__ import annotations

import importlib
import importlib.util
import os

import cupy_stand_in
import numpy as np
import pytest
from cupy_gpu import FakeCublas
from hypothesis import HealthCheck, settings

from minidrop.gpu import cublas

settings.register_profile(
    "default",
    max_examples=25,
    deadline=None,
    derandomize=True,  # the same cases in every run: a failure in CI is a failure here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=400, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


class Library:
    """An array library to run a test on, and how to copy arrays to and from it."""

    def __init__(self, name, device, xp):
        self.name = name
        self.device = device
        self.xp = xp

    def __repr__(self):
        return self.name

    def array(self, values, layout=None):
        """A NumPy array as an array of this library; `layout` (see layouts.py) says its memory layout."""
        if layout is None:
            return self.xp.asarray(values)
        return layout.unpack(self.xp.asarray(np.array(layout.pack(values), order="C")))

    def numpy(self, array):
        return array if isinstance(array, np.ndarray) else self.xp.asnumpy(array)


def gpu_is_here() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception as error:  # no CUDA libraries, no driver, no device: CuPy has a different error for each
        print(f"CuPy is installed, but cannot be used: {type(error).__name__}: {error}")
        return False


def pytest_collection_modifyitems(items):
    if any("gpu" in item.keywords for item in items) and not gpu_is_here():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs CuPy and a GPU; not here"))


CUPY = pytest.param("cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=["numpy", "stand_in", CUPY])
def library(request):
    """Each array library in turn: NumPy; the strict stand-in for CuPy; CuPy itself where there is a GPU."""
    if request.param == "numpy":
        yield Library("numpy", "cpu", np)
    elif request.param == "stand_in":
        with cupy_stand_in.installed() as module:
            yield Library("stand_in", "cuda", module)
    else:
        import cupy

        yield Library("cupy", "cuda", cupy)


@pytest.fixture
def stand_in():
    """The stand-in for CuPy alone, under the name cupy."""
    with cupy_stand_in.installed() as module:
        yield module


@pytest.fixture(params=["stand_in", CUPY])
def cupy(request):
    """CuPy itself, and the stand-in for it."""
    if request.param == "cupy":
        yield importlib.import_module("cupy")
    else:
        with cupy_stand_in.installed() as module:
            yield module


@pytest.fixture
def two_gpus(cupy):
    """CuPy, where there are two GPUs; the stand-in has two."""
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs a second GPU: python -m tests.fake_gpu --gpus 2 -m pytest -m gpu")
    return cupy


@pytest.fixture
def capturing_cupy(cupy, monkeypatch):
    """CuPy, or the stand-in with a cuBLAS made of NumPy: what a captured step needs."""
    if "stand-in" in cupy.__version__:
        monkeypatch.setattr(cublas, "load_library", lambda xp: FakeCublas())
    return cupy


def pytest_terminal_summary(terminalreporter):
    """How long the lessons took, each in a fresh kernel; on two cores all fifteen must take less than fifteen minutes."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    seconds = {report.nodeid: dict(report.user_properties).get("lesson_seconds") for report in reports if report.when == "call"}
    measured = [value for value in seconds.values() if value is not None]
    if measured:
        terminalreporter.write_line(
            f"{len(measured)} lessons ran in {sum(measured):.0f} s, the longest in {max(measured):.0f} s"
        )
