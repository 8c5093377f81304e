"""NVIDIA's own compiler over the kernels that the fake GPU was given: `python -m tests.fake_gpu.nvrtc`, after `-m pytest -m gpu`.

NVRTC needs no GPU. It says whether the text is CUDA C++, which g++ over device.h (compiler.cpp) cannot, and what it warns of.
tests/test_nvrtc.py has the checks; the command downloads the compiler, which the tests alone do not, and runs them.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from . import build

NVRTC_MEGABYTES = 90
ARCHITECTURES = (80, 90, 120)  # A100, H100, GeForce RTX 50
QUICK = "MINIDROP_NVRTC_QUICK"  # how the command tells the tests
# These change float32 results. CuPy gives -ftz=true, which flushes subnormal numbers to zero, and no other.
INEXACT = re.compile(r"fmad|use_fast_math|prec-div|prec-sqrt")
# The headers that kernels share are compiled once for each architecture: twice as fast. 629, 630: "made with other options".
OPTIONS = ("-pch", "--pch-messages=false", "-diag-suppress=629,630")


def place(line: build.Line) -> Path:
    """The folder with the compiler."""
    return build.cache() / line.nvrtc.replace("==", "-")


def fetch(line: build.Line) -> None:
    """Download the compiler, if it is not there."""
    target = place(line)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"), tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        if target.exists():
            return
        print(f"downloading {line.nvrtc}, {NVRTC_MEGABYTES} MB", flush=True)
        wanted = ("--no-deps", "--only-binary=:all:", "-d", temporary, line.nvrtc)
        build.run(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *wanted)
        libraries = Path(temporary) / "libraries"
        libraries.mkdir()
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as archive:
            for name in archive.namelist():
                if re.search(r"/libnvrtc(-builtins)?\.so", name):
                    (libraries / name.rpartition("/")[2]).write_bytes(archive.read(name))
        libraries.rename(target)


class Compiler:
    """NVRTC's functions."""

    def __init__(self, place: Path) -> None:
        ctypes.CDLL(str(next(place.glob("libnvrtc-builtins.so.*"))), ctypes.RTLD_GLOBAL)  # NVRTC asks for it by name
        self.library = ctypes.CDLL(str(next(place.glob("libnvrtc.so.*"))))

    def compile(self, source: str, options: list[str], instances: list[str]) -> tuple[bool, str]:
        """Whether it compiles, and what the compiler says."""
        library, program, size = self.library, ctypes.c_void_p(), ctypes.c_size_t()
        library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        for instance in instances:
            library.nvrtcAddNameExpression(program, instance.encode())
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), words)
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        library.nvrtcDestroyProgram(ctypes.byref(program))
        return status == 0, log.value.decode()


class Kernel(NamedTuple):
    """What compiler.cpp has kept of a kernel."""

    source: str
    options: list[str]
    instances: list[str] = []  # of templates, f<int>  # noqa: RUF012
    refused: str = ""  # what g++ said, if it refused

    @property
    def name(self) -> str:
        found = re.search(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)", self.source)
        return found[1] if found else "?"


def kept(folder: Path) -> list[Kernel]:
    """The kernels in `lib/sources`."""
    kernels = []
    for path in sorted(folder.glob("*.cu")):
        lines = path.with_suffix(".options").read_text().splitlines()
        refused = path.with_suffix(".refused")
        kernels.append(
            Kernel(
                path.read_text(),
                [line for line in lines if line.startswith("-")],
                [line.removeprefix("instance ") for line in lines if line.startswith("instance ")],
                refused.read_text() if refused.exists() else "",
            )
        )
    return kernels


def fault(kernel: Kernel, compiles: bool, log: str) -> str:
    """What is wrong with a kernel, or ""."""
    refused = kernel.refused and "fit into 4 KB" not in kernel.refused  # since CUDA 12.1 it is 32 KB, on these GPUs
    if not compiles and not refused:
        return f"NVRTC refuses what g++ compiles:\n{log}"
    if compiles and refused:
        return f"NVRTC compiles what g++ refuses:\n{kernel.refused}"
    if compiles and "warning #" in log and kernel.name.startswith("minidrop_"):
        return log
    return "".join(f"compiled with {option}" for option in kernel.options if INEXACT.search(option))


def check(compiler: Compiler, kernels: list[Kernel]) -> tuple[list[str], Counter[str]]:
    """The faults of minidrop's kernels and of the fake compiler; and warnings of CuPy's own kernels, with how many there are."""

    def compile(job: tuple[Kernel, int]) -> tuple[bool, str]:
        kernel, architecture = job
        options = [f"-arch=sm_{architecture}" if option.startswith("-arch=") else option for option in kernel.options]
        return compiler.compile(kernel.source, [*options, *OPTIONS], kernel.instances)

    everywhere = not os.environ.get(QUICK)
    jobs = [
        (kernel, architecture)
        for architecture in ARCHITECTURES
        for kernel in kernels
        if everywhere or architecture == 90 or kernel.name.startswith("minidrop_")
    ]
    faults, warnings = [], Counter[str]()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for (kernel, architecture), (compiles, log) in zip(jobs, threads.map(compile, jobs), strict=True):
            if found := fault(kernel, compiles, log):
                faults.append(f"{kernel.name}, sm_{architecture}: {found}")
            elif compiles:
                warnings.update(re.findall(r"warning (#.*)", log))
    return faults, warnings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_gpu.nvrtc", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cupy", choices=sorted(build.LINES), default="14.2", help="the line of CuPy (default 14.2)")
    parser.add_argument("--quick", action="store_true", help="CuPy's own kernels for an H100 only")
    options = parser.parse_args()
    fetch(build.LINES[options.cupy])
    if options.quick:
        os.environ[QUICK] = "1"
    return subprocess.call([sys.executable, "-m", "pytest", "-rP", "--numprocesses", "0", "tests/test_nvrtc.py"])


if __name__ == "__main__":
    sys.exit(main())
