"""Checkers of lesson 04: the size of the output, the gradient of the image, the convolution theorem."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """output_size(size, kernel, stride, padding)."""
    cases = [
        (8, 3, 1, 0),
        (8, 3, 1, 1),
        (16, 7, 1, 3),
        (9, 3, 2, 0),
        (28, 5, 3, 2),
        (8, 3, 2, 0),
        (7, 7, 1, 0),
        (10, 4, 4, 1),
    ]
    got = [called(answer, *case) for case in cases]
    if any(isinstance(value, (float, np.floating)) and value != int(value) for value in got):
        raise Wrong(
            "an answer is there or it is not: divide with `//`, which leaves out the window that does not fit"
        )
    right = [(size + 2 * padding - kernel) // stride + 1 for size, kernel, stride, padding in cases]
    for name, wrong in (
        (
            "count the window at the start too: that is 1 more",
            lambda n, k, s, p: (n + 2 * p - k) // s,
        ),
        (
            "`padding` zeros stand on each side: it counts twice",
            lambda n, k, s, p: (n + p - k) // s + 1,
        ),
        ("the padding is missing", lambda n, k, s, p: (n - k) // s + 1),
        ("the stride is missing", lambda n, k, s, p: n + 2 * p - k + 1),
        (
            "a window that does not fit entirely does not count: round down",
            lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1,
        ),
        (
            "add the 1 after dividing by the stride: the first window is not a step",
            lambda n, k, s, p: (n + 2 * p - k + 1) // s,
        ),
    ):
        if got == [wrong(*case) for case in cases] and got != right:
            raise Wrong(name)
    for case, value, expected in zip(cases, got, right, strict=True):
        if value != expected:
            size, kernel, stride, padding = case
            raise Wrong(
                f"for size={size}, kernel={kernel}, stride={stride}, padding={padding}: expected {expected}, got {value}. "
                "How many steps does the window make until it touches the end?"
            )
    return "With stride 1 and an odd kernel, a padding of (kernel - 1) / 2 keeps the size: that is what `padding='same'` does."


def exercise_2(answer: Any) -> str:
    """gradient_of_image(grad, kernel, shape)."""
    numbers = np.random.default_rng(4)
    kernel, grad, shape = numbers.normal(size=(3, 2)), numbers.normal(size=(4, 6)), (6, 7)
    got = np.asarray(called(answer, grad, kernel, shape))

    def handed_back(weights: Any, add: bool = True) -> Any:
        result = np.zeros(shape)
        for r in range(3):
            for s in range(2):
                window = result[r : r + 4, s : s + 6]
                window[...] = window * add + weights[r, s] * grad
        return result

    one_by_one = np.zeros(shape)
    for i in range(4):
        for j in range(6):
            one_by_one[i : i + 3, j : j + 2] = grad[i, j] * kernel
    if got.shape == grad.shape:
        raise Wrong(
            f"that is of the shape of y, {grad.shape}; the gradient of x has the shape of x, {shape}"
        )
    if got.shape == shape:
        if np.allclose(got, handed_back(kernel, add=False)) or np.allclose(got, one_by_one):
            raise Wrong(
                "windows overlap, and you overwrite what an earlier one handed back: add (`+=`)"
            )
        if np.allclose(got, handed_back(kernel[::-1, ::-1])):
            raise Wrong(
                "the kernel is turned around: x[i + r, j + s] met kernel[r, s], and gets its gradient times that weight"
            )
        if np.allclose(got, handed_back(np.ones((3, 2)))):
            raise Wrong(
                "the weights are missing: a pixel gets grad[i, j] times the weight that it was multiplied by"
            )
    compare(got, handed_back(kernel), "dL/dx", atol=1e-9)
    return "Written as windows of its own, this is a convolution again, of the padded gradient with the kernel turned around."


def exercise_3(answer: Any) -> str:
    """by_theorem(x, kernel)."""
    numbers = np.random.default_rng(5)
    for size, length in ((12, 3), (7, 7), (8, 1)):
        x, kernel = numbers.normal(size=size), numbers.normal(size=length)
        right = sum(np.roll(x, -r) * weight for r, weight in enumerate(kernel))
        other_way = sum(np.roll(x, r) * weight for r, weight in enumerate(kernel))
        got = np.asarray(called(answer, x, kernel))
        product = np.fft.fft(x) * np.fft.fft(kernel, size).conj()
        name = f"a row of {size} and a kernel of {length}"
        if got.shape == (size,):
            if np.allclose(got, product):
                raise Wrong(
                    "those are the products Y[f], the spectrum: come back with `np.fft.ifft`"
                )
            if np.allclose(got, other_way) and not np.allclose(other_way, right):
                raise Wrong(
                    "you compute the sum of x[i - r] w[r], the kernel turned around: W[f] sums with e(+f r), `np.fft.fft` with "
                    "e(-f r); for real weights the one is the conjugate of the other (`.conj()`)"
                )
            mirrored = np.roll(other_way[::-1], 1)
            if np.allclose(got, np.roll(right[::-1], 1)) or np.allclose(got, mirrored):
                raise Wrong(
                    "the answers come out in reverse order: take the conjugate of the kernel's spectrum, not of the row's"
                )
            if np.allclose(got, right * size):
                raise Wrong(
                    f"{size} times too large: divide by L on the way back (`np.fft.ifft` does)"
                )
        if np.iscomplexobj(got):
            if got.shape == (size,) and np.allclose(got, right):
                raise Wrong(
                    "right, but complex: the imaginary parts are rounding errors. Return `.real`"
                )
            raise Wrong(
                f"{name}: the result is complex; for real numbers the way back is real: is the transform there?"
            )
        compare(got, right, name, atol=1e-9)
    return "The kernel may be as long as the row, and costs the same: that is what makes frequencies pay."
