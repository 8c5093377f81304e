"""Solutions of lesson 04. ANSWERS says which is which."""

import numpy as np


def output_size(size, kernel, stride, padding):
    """The first window, and one more for each whole step that is left behind it."""
    return (size + 2 * padding - kernel) // stride + 1


def gradient_of_image(grad, kernel, shape):
    """Windows overlap, so what comes back to a pixel from each of them is added up."""
    grad_x = np.zeros(shape)
    for r in range(kernel.shape[0]):
        for s in range(kernel.shape[1]):
            grad_x[r : r + grad.shape[0], s : s + grad.shape[1]] += kernel[r, s] * grad
    return grad_x


def by_theorem(x, kernel):
    """W[f] sums with e(+f r), np.fft.fft with e(-f r): for real weights the one is the conjugate of the other."""
    return np.fft.ifft(np.fft.fft(x) * np.fft.fft(kernel, len(x)).conj()).real


ANSWERS = {"1": output_size, "2": gradient_of_image, "3": by_theorem}
