"""GPU kernels in CUDA C++: one kernel where an op written in array calls would launch many small ones.

Each is the body of a loop over the elements i (`cupy.ElementwiseKernel`), compiled when it is first used. The array code that
it replaces computes the same numbers, and is what runs on NumPy. Arguments marked `raw` are indexed by the body and have to be
C-contiguous; of the others x means x[i], counted row by row, whatever the memory order of the array.

Run on the real CuPy over a driver of host memory (tests/fake_gpu), which compiles the text with g++; on hardware: not yet.
"""

from __future__ import annotations

import functools
from typing import Any

from ..backend import array_module

# Random word i of a stream: lane i % 4 of Philox4x32-10 (Salmon et al., 2011; `random.philox`) of the counter (block, 0), with
# block = counter[0] + first + i / 4. The counter is on the GPU, so that a captured step can advance it (`capture.py`).
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

# 1 with probability keep, else 0; a NaN counts as 1, and a uniform number is a multiple of 2^-24.
BERNOULLI = "(drawn >> 8) * 5.9604644775390625e-8f >= keep ? 0 : 1"

# dropalan.Alpha and Beta: p(z) and dp/dz, with the same terms as there; NaN for NaN.
ALPHA = """
    T fall = z != z ? z : z >= 0 ? 0 : -z < 1e30f ? -z : 1e30f;
    T rise = slope * fall;
    T p = rise > limit ? limit : rise;
    T derivative = rise > 0 && rise <= limit ? -slope : 0;
"""
BETA = """
    T clamped = z >= -1 ? -1 : z;
    T rise = 1 + c / clamped;
    T p = (rise > p_max ? p_max : rise) * (z < 0 ? 1 : 0);
    T derivative = z < -1 && rise < p_max ? -(c / clamped) / clamped : 0;
"""
# dropalan.DropAlan: theta (mask), y, and dy/dz.
DROPALAN = f"""
    T keep = 1 - p;
    mask = {BERNOULLI};
    T factor = scaled && mask != 0 ? mask / keep : mask;
    y = factor == 0 ? 0 : z * factor;
    T moved = derivative == 0 ? 0 : z * derivative;
    dy_dz = scaled && through && factor != 0 ? factor * (1 + moved / keep) : factor;
"""

# name: (inputs, outputs, body)
KERNELS = {
    "random_words": (STREAM, "uint64 y", PHILOX + "y = drawn;"),
    "bernoulli": (STREAM + ", T keep", "T y", f"{PHILOX} y = {BERNOULLI};"),
    "dropout": (
        STREAM + ", T x, T keep, T scale",
        "T y, T mask, T factor",
        f"{PHILOX} mask = {BERNOULLI}; factor = mask * scale; y = factor == 0 ? 0 : x * factor;",
    ),
    "dropalan_alpha": (
        STREAM + ", T z, bool scaled, bool through, T slope, T limit",
        "T y, T mask, T dy_dz",
        PHILOX + ALPHA + DROPALAN,
    ),
    "dropalan_beta": (
        STREAM + ", T z, bool scaled, bool through, T c, T p_max",
        "T y, T mask, T dy_dz",
        PHILOX + BETA + DROPALAN,
    ),
    # x factor, and an exact 0 where factor is 0, also for an infinite x.
    "times_kept": ("T x, T factor", "T y", "y = factor == 0 ? 0 : x * factor;"),
    "relu": ("T x", "T y, bool positive", "positive = x > 0; y = positive || x != x ? x : 0;"),
    # images (H, W, M), windows (H', W', M): the maximum, and its place r S + s in the window; -1 for a window with a NaN.
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
    # Backward: each pixel sums the gradients of those windows whose maximum it is.
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
    # ops.fourier: (B L, 2, N, C) -> (B L, 2, N, 2, C), [[re, -im], [im, re]];
    "in_quarters": (
        "raw T parts, int64 rows, int64 columns",
        "T y",
        """
    long long column = i % columns, right = i / columns % 2, row = i / columns / 2 % rows, below = i / columns / 2 / rows % 2;
    long long place = i / columns / 4 / rows, imaginary = below != right;
    y = parts[((2 * place + imaginary) * rows + row) * columns + column];
    if (right && !below) y = -y;
""",
    ),
    # and (B L, 2, N, 2, C) -> (B L, 2, N, C), (re re + im im, im re - re im).
    "times_conjugate": (
        "raw T four, int64 rows, int64 columns",
        "T y",
        """
    long long column = i % columns, row = i / columns % rows;
    long long imaginary = i / columns / rows % 2, place = i / columns / rows / 2;
    long long above = (2 * place * rows + row) * 2 * columns + column, below = above + 2 * rows * columns;
    y = imaginary ? four[below] - four[above + columns] : four[above] + four[below + columns];
""",
    ),
    # Row i: -log softmax(logits)[label] / N and the log-probabilities; NaN for an invalid label (a captured step cannot raise
    # an error, and must not read beyond the row).
    "softmax_cross_entropy": (
        "raw T logits, raw int64 labels, int64 classes, int64 batch",
        "T y, raw T log_probabilities",
        """
    long long row = i * classes, label = labels[i];
    T largest = logits[row], total = 0;
    for (long long k = 1; k < classes; ++k) largest = logits[row + k] > largest ? logits[row + k] : largest;
    for (long long k = 0; k < classes; ++k) total += exp(logits[row + k] - largest);
    for (long long k = 0; k < classes; ++k) log_probabilities[row + k] = logits[row + k] - largest - log(total);
    y = label < 0 || label >= classes ? log(T(-1)) : -log_probabilities[row + label] / batch;
""",
    ),
    "softmax_cross_entropy_gradient": (
        "T log_probability, raw int64 labels, int64 classes, int64 batch, raw T grad",
        "T y",
        "y = (exp(log_probability) - (labels[i / classes] == i % classes ? 1 : 0)) * (grad[0] / batch);",
    ),
}


@functools.cache
def kernel(name: str, module: Any) -> Any:
    """The compiled kernel."""
    inputs, outputs, body = KERNELS[name]
    return module.ElementwiseKernel(inputs, outputs, body, f"minidrop_{name}")


def run(name: str, *arguments: Any) -> Any:
    """Launch the kernel; the last arguments are its output arrays, which it fills and returns."""
    return kernel(name, array_module(arguments[-1]))(*arguments)
