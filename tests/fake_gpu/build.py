"""Builds the fake GPU: an environment with CuPy, and three libraries in place of CUDA's. See README.md."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

SOURCES = Path(__file__).parent
CYTHON = "cython==3.2.9"
KERNEL_FLAGS = "-std=c++17 -O1 -w -fno-strict-aliasing -fno-gnu-unique -fPIC -shared"
# A product and the sum that it goes into are rounded once, as NVIDIA's compiler does it, where this processor can.
FUSED_FLAGS = "-mfma -ffp-contract=fast -fexpensive-optimizations"
# What CuPy puts in front of its kernels; compiled once, it saves half of the time of each.
PRECOMPILED = ("device.h", "cupy/complex.cuh", "cupy/carray.cuh", "cupy/atomics.cuh", "cupy/math_constants.h")


class Line(NamedTuple):
    """A line of CuPy, and what is downloaded for it: requirement -> MB."""

    wheel: str
    version: str
    cuda: int
    headers: dict[str, float]  # only files named *.h are taken from these
    megabytes: float
    nvrtc: str  # NVIDIA's compiler, which nvrtc.py downloads

    @property
    def downloads(self) -> dict[str, float]:
        return {
            f"{self.wheel}=={self.version}": self.megabytes,
            f"cupy=={self.version} (sources)": 4.1,
            CYTHON: 3.5,
        } | self.headers


LINES = {
    "14.2": Line(
        wheel="cupy-cuda13x",
        version="14.2.0",
        cuda=13,
        headers={
            "nvidia-cuda-runtime==13.0.96": 2.3,
            "nvidia-cuda-crt==13.0.88": 0.2,
            "nvidia-cuda-profiler-api==13.0.85": 0.1,
        },
        megabytes=67,
        nvrtc="nvidia-cuda-nvrtc==13.0.88",
    ),
    "13.6": Line(
        wheel="cupy-cuda12x",
        version="13.6.0",
        cuda=12,
        headers={
            "nvidia-cuda-runtime-cu12==12.9.79": 3.5,
            "nvidia-cuda-nvcc-cu12==12.9.86": 40.5,
            "nvidia-cuda-profiler-api-cu12==12.9.79": 0.1,
        },
        megabytes=113,
        nvrtc="nvidia-cuda-nvrtc-cu12==12.9.86",
    ),
}


class CannotBuild(RuntimeError):
    """Says in one line what is missing."""


def require_tools() -> None:
    """Raise CannotBuild if this machine lacks something."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise CannotBuild(f"the fake GPU is written for Linux on x86-64, not {platform.system()} on {platform.machine()}")
    for tool in ("gcc", "g++", "nm"):
        if shutil.which(tool) is None:
            raise CannotBuild(f"no {tool} here: the fake GPU is built with a C++ compiler")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        raise CannotBuild("no Python.h here: the fake GPU needs Python's headers")


def cache() -> Path:
    """Where all of it is kept."""
    return Path(os.environ.get("MINIDROP_FAKE_GPU") or Path.home() / ".cache" / "minidrop" / "fake_gpu")


def home(line: Line) -> Path:
    """Where it is built: a folder that changes with the sources, this Python and its packages."""
    text = "".join(
        path.read_text() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cpp", ".h") or path.name == "build.py"
    )
    key = hashlib.sha256(f"{line}{text}{sys.version}{sysconfig.get_paths()['purelib']}".encode()).hexdigest()[:12]
    return cache() / f"{line.wheel}-{line.version}-{key}"


def build(line: Line) -> Path:
    """The folder with the fake GPU, built if it is not there."""
    place = home(line)
    if (place / "ready").exists():
        return place
    require_tools()
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):  # two commands at once build it once
        if not (place / "ready").exists():
            build_in(place, line)
    return place


def build_in(place: Path, line: Line) -> None:
    """Build it in that folder."""
    print(f"building the fake GPU in {place}; downloads, in MB:")
    for name, megabytes in line.downloads.items():
        print(f"  {megabytes:6.1f}  {name}")
    shutil.rmtree(place, ignore_errors=True)  # of a build that did not end
    for folder in ("lib/sources", "cuda/include", "kernels"):
        (place / folder).mkdir(parents=True)
    make_environment(place, line)
    with tempfile.TemporaryDirectory() as temporary:
        fetch_headers(place, line, Path(temporary))
        compile_sources(place, line)
        make_runtime_module(place, line, fetch_sources(place, line, Path(temporary)))
    make_libraries(place, line)
    prepare_kernels(place)
    (place / "ready").touch()


def run(*command: object, **options: object) -> str:
    """Run a command; what it prints, or CannotBuild with the end of it."""
    result = subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)  # type: ignore[call-overload]
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise CannotBuild(f"{Path(str(command[0])).name} failed: " + "\n".join(lines[-12:]))
    return str(result.stdout)


def pip(place: Path, *arguments: object, **options: object) -> None:
    run(place / "env/bin/python", "-m", "pip", "--disable-pip-version-check", *arguments, **options)


def packages(place: Path) -> Path:
    """The environment's site-packages."""
    return next((place / "env/lib").glob("python*/site-packages"))


def make_environment(place: Path, line: Line) -> None:
    """CuPy in an environment that sees the packages of this one, too."""
    run(sys.executable, "-m", "venv", place / "env")
    here = sysconfig.get_paths()["purelib"]
    (packages(place) / "of_the_tests.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    pip(place, "install", "setuptools>=77", CYTHON, f"{line.wheel}=={line.version}")


def fetch_headers(place: Path, line: Line, temporary: Path) -> None:
    """CUDA's headers, out of NVIDIA's wheels."""
    pip(place, "download", "--no-deps", "--only-binary=:all:", "-d", temporary / "wheels", *line.headers)
    for wheel in sorted((temporary / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                _, found, inner = name.partition("/include/")
                if found and inner.endswith((".h", ".hpp")):
                    target = place / "cuda/include" / inner
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))


def fetch_sources(place: Path, line: Line, temporary: Path) -> Path:
    """CuPy's own sources, unpacked."""
    wanted = f"cupy=={line.version}"
    stub = os.environ | {"CUPY_INSTALL_USE_STUB": "1"}  # it is not compiled, so it need not look for CUDA
    pip(
        place,
        "download",
        "--no-deps",
        "--no-binary=cupy",
        "--no-build-isolation",
        "-d",
        temporary / "sources",
        wanted,
        env=stub,
    )
    with tarfile.open(next((temporary / "sources").glob("cupy-*.tar.gz"))) as archive:
        archive.extractall(temporary, filter="data")
    return temporary / f"cupy-{line.version}"


def compile_sources(place: Path, line: Line) -> None:
    """Our own files."""
    lib, cuda = place / "lib", f"-I{place / 'cuda/include'}"
    common = ("g++", "-std=c++17", "-Wall", "-fPIC", "-c", cuda, f"-DCUDA_MAJOR={line.cuda}")
    for name in ("queue", "runtime", "modules", "cublas", "compiler"):
        run(*common, "-O3" if name == "cublas" else "-O1", SOURCES / f"{name}.cpp", "-o", lib / f"{name}.o")


def make_libraries(place: Path, line: Line) -> None:
    """libcublas and libnvrtc, under the names by which CuPy finds them."""
    lib, cublas = place / "lib", f"libcublas.so.{line.cuda}"
    (lib / "symbols.map").write_text(f"{cublas} {{ global: *; }};\n")  # CuPy asks for symbols of this version
    for wanted, part in (("cublas", "cublas"), ("cublasLt", None), ("nvrtc", "compiler")):
        name = f"lib{wanted}.so.{line.cuda}"
        objects = [lib / f"{part}.o"] if part else []
        if part == "cublas":
            module = next((packages(place) / "cupy_backends/cuda/libs").glob("cublas.*.so"))
            objects += [unwritten(lib, module, "cublas", ["cublas"], 15), lib / "libcuda.so.1"]
            objects += [f"-Wl,--version-script={lib / 'symbols.map'}"]
        run("g++", "-shared", *objects, "-o", lib / name, f"-Wl,-soname,{name}")


def make_runtime_module(place: Path, line: Line, sources: Path) -> None:
    """libcuda; and the module of CuPy that has CUDA's runtime linked into it, anew from CuPy's source, with ours."""
    lib, api = place / "lib", packages(place) / "cupy_backends/cuda/api"
    settings = f"CUPY_USE_CUDA_PYTHON=False,CUPY_CUFFT_STATIC=False,CUPY_CUDA_VERSION={line.cuda}000,CUPY_HIP_VERSION=0"
    settings += ",CUPY_CYTHON_VERSION=" + CYTHON.partition("==")[2]
    cython = (place / "env/bin/cython", "--cplus", "-X", "language_level=3", "-E", settings)
    run(*cython, "cupy_backends/cuda/api/runtime.pyx", "-o", lib / "module.cpp", cwd=sources)
    folders = [sysconfig.get_paths()["include"], place / "cuda/include", sources, sources / "cupy_backends"]
    include = [f"-I{folder}" for folder in [*folders, sources / "cupy_backends/cuda/api"]]
    run("g++", "-std=c++17", "-O1", "-w", "-fPIC", *include, "-c", lib / "module.cpp", "-o", lib / "module.o")
    missing = unwritten(lib, lib / "module.o", "cuda", ["runtime"], 801)
    objects = [lib / f"{name}.o" for name in ("queue", "runtime", "modules")]
    run("g++", "-shared", *objects, missing, "-o", lib / "libcuda.so.1", "-Wl,-soname,libcuda.so.1", "-ldl", "-lpthread")
    target = next(api.glob("runtime.*.so"))
    run("g++", "-shared", lib / "module.o", lib / "libcuda.so.1", "-o", lib / "module.so")
    os.replace(lib / "module.so", target)


def unwritten(lib: Path, user: Path, prefix: str, written: list[str], status: int) -> Path:
    """An object with those functions that `user` wants and we have not: they print their name, and return `status`."""
    wanted = set(re.findall(rf"\bU ({prefix}\w+)", run("nm", *(["-D"] if user.suffix == ".so" else []), user)))
    have = set(re.findall(rf"\bT ({prefix}\w+)", run("nm", *(lib / f"{name}.o" for name in written))))
    lines = ["#include <stdio.h>"]
    lines += [
        f'int {name}(void) {{ fprintf(stderr, "fake GPU: {name} is not written\\n"); return {status}; }}'
        for name in sorted(wanted - have)
    ]
    source = lib / f"unwritten_{prefix}.c"
    source.write_text("\n".join(lines) + "\n")
    run("gcc", "-fPIC", "-w", "-c", source, "-o", source.with_suffix(".o"))
    return source.with_suffix(".o")


def prepare_kernels(place: Path) -> None:
    """The command that compiles a kernel, and its header, precompiled."""
    lib, include = place / "lib", packages(place) / "cupy/_core/include"
    shutil.copy(SOURCES / "device.h", lib)
    (lib / "kernel.h").write_text("".join(f"#include <{name}>\n" for name in PRECOMPILED))
    folders = [lib, include, *(include / "cupy/_cccl" / name for name in ("cub", "thrust", "libcudacxx"))]
    flags = [*KERNEL_FLAGS.split(), *(f"-I{folder}" for folder in folders)]
    flags += FUSED_FLAGS.split() if " fma " in Path("/proc/cpuinfo").read_text() else ["-ffp-contract=off"]
    run("g++", *flags, "-x", "c++-header", lib / "kernel.h", "-o", lib / "kernel.h.gch")
    (lib / "compile_command").write_text(" ".join(["g++", *flags, "-include", str(lib / "kernel.h")]))


def environment(place: Path, gpus: int) -> dict[str, str]:
    """The environment variables with which CuPy finds the fake GPU."""
    settings = {
        "LD_LIBRARY_PATH": str(place / "lib"),
        "CUDA_PATH": str(place / "cuda"),
        "CUPY_CACHE_DIR": str(place / "kernels"),  # CuPy's own: a kernel is compiled once
        "CUPY_ACCELERATORS": "",  # CUB's kernels need a GPU
        "FAKE_GPU_COUNT": str(gpus),
    }
    return dict(os.environ) | settings
