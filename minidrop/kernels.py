"""GPU kernels: where an op made of array calls would launch many small kernels, one that does it all, written out in CUDA C++.

Each is the body of a loop over i, an element each (`cupy.ElementwiseKernel`), compiled when it is first used. The array code
that stands beside each call computes the same numbers, and is what runs on NumPy. Arrays are C-contiguous here.

Not yet run on a GPU: the tests compile the same text with a C++ compiler, where there is one, and run it on the CPU.
"""

from __future__ import annotations

import functools
from typing import Any

from .backend import Array, array_module

# Random word i of a stream: lane i % 4 of Philox4x32-10 (Salmon et al., 2011; `random.philox`) of the counter (block, 0), with
# block = counter[0] + first + i / 4. The counter lies on the GPU, so that a captured step can move it on (`cuda_graphs.py`).
PHILOX = """
    unsigned long long block = counter[0] + first + i / 4;
    unsigned int word[4] = {(unsigned int)block, (unsigned int)(block >> 32), 0u, 0u};
    unsigned int key[2] = {(unsigned int)key0, (unsigned int)key1};
    for (int round = 0; round < 10; ++round) {
        unsigned long long even = 0xD2511F53ull * word[0], odd = 0xCD9E8D57ull * word[2];
        unsigned int first_word = (unsigned int)(odd >> 32) ^ word[1] ^ key[0];
        unsigned int third_word = (unsigned int)(even >> 32) ^ word[3] ^ key[1];
        word[1] = (unsigned int)odd;
        word[3] = (unsigned int)even;
        word[0] = first_word;
        word[2] = third_word;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    unsigned int drawn = word[i % 4];
"""
STREAM = "raw uint64 counter, uint64 first, uint64 key0, uint64 key1"

# name: (what goes in, what comes out, the body)
KERNELS = {
    "random_words": (STREAM, "uint64 y", PHILOX + "y = drawn;"),
    # 1 with probability keep, else 0; a NaN counts as 1, and a uniform number is a multiple of 2^-24.
    "bernoulli": (STREAM + ", T keep", "T y", PHILOX + "y = (drawn >> 8) * 5.9604644775390625e-8f >= keep ? 0 : 1;"),
    # images (H, W, M), windows (H', W', M): the maximum, and at which place r S + s it stands; -1 for a window with a NaN.
    "max_pool": (
        "raw T x, int64 width, int64 columns, int64 out_width, int64 kernel0, int64 kernel1, int64 stride0, int64 stride1",
        "T y, int32 place",
        """
    long long m = i % columns, j = i / columns % out_width, row = i / columns / out_width;
    y = x[(row * stride0 * width + j * stride1) * columns + m];
    place = 0;
    bool has_nan = y != y;
    for (long long r = 0; r < kernel0; ++r)
        for (long long s = 0; s < kernel1; ++s) {
            T value = x[((row * stride0 + r) * width + j * stride1 + s) * columns + m];
            has_nan = has_nan || value != value;
            if (value > y) { y = value; place = r * kernel1 + s; }
            else if (value != value) y = value;
        }
    if (has_nan) place = -1;
""",
    ),
    # The other way: each pixel gathers the gradients of those windows whose maximum it is.
    "max_pool_gradient": (
        "raw T grad, raw int32 place, int64 width, int64 columns, int64 out_height, int64 out_width, "
        "int64 kernel0, int64 kernel1, int64 stride0, int64 stride1",
        "T y",
        """
    long long m = i % columns, w = i / columns % width, h = i / columns / width;
    y = 0;
    for (long long r = 0; r < kernel0; ++r)
        for (long long s = 0; s < kernel1; ++s) {
            long long row = (h - r) / stride0, j = (w - s) / stride1;
            if (h < r || w < s || (h - r) % stride0 || (w - s) % stride1 || row >= out_height || j >= out_width) continue;
            long long at = (row * out_width + j) * columns + m;
            if (place[at] == r * kernel1 + s) y += grad[at];
        }
""",
    ),
    "sgd": ("T gradient, T lr", "T parameter", "parameter -= lr * gradient;"),
}


def available(array: Array) -> bool:
    """True if `array` is on a GPU whose library compiles kernels (CuPy does)."""
    return hasattr(array_module(array), "ElementwiseKernel")


@functools.cache
def kernel(name: str, module: Any) -> Any:
    """The compiled kernel."""
    inputs, outputs, body = KERNELS[name]
    return module.ElementwiseKernel(inputs, outputs, body, f"minidrop_{name}")


def run(name: str, *arguments: Any) -> Any:
    """Launch the kernel; the last argument is an array that it fills. Returns what it fills."""
    return kernel(name, array_module(arguments[-1]))(*arguments)
