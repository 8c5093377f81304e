"""Wrong answers to the exercises of lesson 04, and what the checker must say of each."""

import numpy as np


def handed_back(weights, add):
    """A wrong `gradient_of_image`: what each place of the kernel hands back, added or not."""

    def function(grad, kernel, shape):
        result = np.zeros(shape)
        rows, columns = grad.shape
        for r in range(kernel.shape[0]):
            for s in range(kernel.shape[1]):
                share = weights(kernel)[r, s] * grad
                window = result[r : r + rows, s : s + columns]
                window[...] = window + share if add else share
        return result

    return function


def window_by_window(grad, kernel, shape):
    result = np.zeros(shape)
    for i, j in np.ndindex(grad.shape):
        result[i : i + kernel.shape[0], j : j + kernel.shape[1]] = grad[i, j] * kernel
    return result


def half(grad, kernel, shape):
    return handed_back(lambda kernel: kernel, add=True)(grad, kernel, shape) / 2


def in_place(grad, kernel, shape):
    grad *= 2
    return handed_back(lambda kernel: kernel, add=True)(grad, kernel, shape)


def spectra(x, kernel):
    return np.fft.fft(x), np.fft.fft(kernel, len(x))


def theorem(finish):
    return lambda x, kernel: finish(*spectra(x, kernel))


WRONG = {
    "1": [
        (lambda size, kernel, stride, padding: (size + 2 * padding - kernel) // stride, "window at the start too"),
        (lambda size, kernel, stride, padding: (size + padding - kernel) // stride + 1, "it counts twice"),
        (lambda size, kernel, stride, padding: (size - kernel) // stride + 1, "padding is missing"),
        (lambda size, kernel, stride, padding: size + 2 * padding - kernel + 1, "stride is missing"),
        (lambda size, kernel, stride, padding: -(-(size + 2 * padding - kernel) // stride) + 1, "round down"),
        (lambda size, kernel, stride, padding: (size + 2 * padding - kernel) / stride + 1, "divide with `//`"),
        (lambda size, kernel, stride, padding: (size + 2 * padding - kernel + 1) // stride, "1 after dividing"),
        (lambda size, kernel, stride, padding: size // stride, "expected 6, got 8"),
    ],
    "2": [
        (handed_back(lambda kernel: kernel, add=False), "you overwrite"),
        (window_by_window, "you overwrite"),
        (handed_back(lambda kernel: kernel[::-1, ::-1], add=True), "turned around"),
        (handed_back(np.ones_like, add=True), "weights are missing"),
        (lambda grad, kernel, shape: grad * kernel.sum(), "of the shape of y"),
        (half, "2 times too small"),
        (in_place, "argument number 1 in place"),
    ],
    "3": [
        (theorem(lambda x, w: np.fft.ifft(x * w).real), "the kernel turned around: .*conjugate"),
        (theorem(lambda x, w: x * w.conj()), "come back with `np.fft.ifft`"),
        (theorem(lambda x, w: np.fft.ifft(x * w.conj())), "Return `.real`"),
        (theorem(lambda x, w: np.fft.ifft(x.conj() * w).real), "reverse order"),
        (theorem(lambda x, w: (np.fft.ifft(x * w.conj()) * len(x)).real), "12 times too large: divide by L"),
        (theorem(lambda x, w: np.abs(np.fft.ifft(x * w.conj()))), "numbers differ"),
        (lambda x, kernel: np.fft.ifft(np.fft.fft(x)[: len(kernel)] * np.fft.fft(kernel).conj()).real, r"got \(3,\)"),
    ],
}
