"""NVIDIA's own compiler (fake_gpu/nvrtc.py): that its check of the kernels finds what is planted, and what it finds.

python -m tests.fake_gpu.nvrtc
"""

from __future__ import annotations

import pytest
from fake_gpu import build, nvrtc

from minidrop.gpu import kernels

pytestmark = pytest.mark.slow
KERNEL = 'extern "C" __global__ void minidrop_k(float* x) { BODY }'
WIDE = 'extern "C" __global__ void wide(' + ", ".join(f"float* x{index}" for index in range(600)) + ") { *x0 = 1; }"


@pytest.fixture(params=build.LINES)
def line(request):
    """A line of CuPy whose compiler is here."""
    line = build.LINES[request.param]
    if not nvrtc.place(line).exists():
        pytest.skip(f"NVIDIA's compiler is not here: python -m tests.fake_gpu.nvrtc --cupy {request.param} downloads it")
    return line


@pytest.fixture
def compiler(line):
    return nvrtc.Compiler(nvrtc.place(line))


def kernel(body, *options, refused="", text=KERNEL):
    return nvrtc.Kernel(text.replace("BODY", body), ["-arch=sm_90", "--std=c++17", *options], [], refused)


def faults(compiler, *found):
    return nvrtc.check(compiler, list(found))[0]


def test_every_kernel_that_the_fake_gpu_was_given(line, compiler):
    found = nvrtc.kept(build.home(line) / "lib/sources")
    if not found:
        pytest.skip("no kernels are kept: python -m tests.fake_gpu --gpus 2 -m pytest -m gpu")
    own = [kernel for kernel in found if kernel.name.startswith("minidrop_")]
    faults, warnings = nvrtc.check(compiler, found)
    print(f"{line.nvrtc}: {len(found)} kernels, {len(own)} of them minidrop's, for sm_80, sm_90, sm_120")
    for text, count in warnings.most_common():
        print(f"  warned of kernels that are not minidrop's, {count} times: {text}")
    assert not faults, "\n".join(faults)
    missing = {f"minidrop_{name}" for name in kernels.KERNELS} - {kernel.name for kernel in own}
    assert not missing, "not compiled: run all of -m gpu"


def test_in_a_quick_run_minidrops_kernels_are_compiled_for_all(compiler, monkeypatch):
    monkeypatch.setenv(nvrtc.QUICK, "1")
    others = kernel("x[0] = nowhere;", text=KERNEL.replace("minidrop_k", "cupy_k"))
    assert len(faults(compiler, kernel("x[0] = nowhere;"))) == 3 and len(faults(compiler, others)) == 1


def test_a_right_kernel_has_no_fault(compiler):
    assert faults(compiler, kernel("x[threadIdx.x] *= 2;")) == []


def test_an_error_is_found_for_every_architecture(compiler):
    """One that g++ over device.h lets pass: it is host code's language there."""
    found = faults(compiler, kernel("x[threadIdx.x] = std::sin(x[0]);"))
    assert [text.split(":")[0] for text in found] == ["minidrop_k, sm_80", "minidrop_k, sm_90", "minidrop_k, sm_120"]
    assert "NVRTC refuses what g++ compiles" in found[0] and 'has no member "sin"' in found[0]


def test_an_error_for_one_architecture_is_found(compiler):
    body = "\n#if __CUDA_ARCH__ >= 1200\nx[0] = nowhere;\n#endif\n"
    assert [text.split(":")[0] for text in faults(compiler, kernel(body))] == ["minidrop_k, sm_120"]


def test_a_warning_is_found_in_minidrops_kernels_and_counted_in_others(compiler, monkeypatch):
    monkeypatch.delenv(nvrtc.QUICK, raising=False)
    text = "int unused; x[0] = 1;"
    assert len(found := faults(compiler, kernel(text))) == 3 and "never referenced" in found[0]
    others, warnings = nvrtc.check(compiler, [kernel(text, text=KERNEL.replace("minidrop_k", "cupy_k"))])
    assert others == [] and list(warnings.values()) == [3]


def test_what_gpp_refused_without_reason_is_found(compiler):
    (found, *_) = faults(compiler, kernel("x[0] = __fmaf_rn(x[0], 2, 1);", refused="error: '__fmaf_rn' was not declared"))
    assert "NVRTC compiles what g++ refuses" in found and "__fmaf_rn" in found
    assert faults(compiler, kernel("x[0] = nowhere;", refused="error: 'nowhere' was not declared")) == []


def test_more_than_4_kb_of_arguments_are_allowed_by_todays_cuda(compiler):
    """The fake GPU keeps the limit of CUDA 12.0, with which minidrop's kernels have to run, too."""
    assert faults(compiler, kernel("", text=WIDE, refused="the arguments of a kernel have to fit into 4 KB")) == []


@pytest.mark.parametrize("option", ["--use_fast_math", "-use_fast_math", "--fmad=true", "-prec-div=false"])
def test_an_option_that_changes_numbers_is_found(compiler, option):
    assert f"compiled with {option}" in faults(compiler, kernel("x[0] = 1;", option))[0]


def test_an_instance_of_a_template_is_compiled(compiler):
    text = "template <class T> __global__ void minidrop_t(T* x) { *x = T::nowhere; }"
    assert faults(compiler, nvrtc.Kernel(text, [])) == []  # nothing is asked of it
    assert "nowhere" in faults(compiler, nvrtc.Kernel(text, [], ["minidrop_t<float>"]))[0]
