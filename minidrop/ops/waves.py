"""The matrices of the discrete Fourier transform, in real numbers: what `fourier.py` and `mixed.py` multiply by.

A complex number a + bi is written as the real matrix [[a, -b], [b, a]], which multiplies in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .window import Pair


def circle(size: int, padding: Pair) -> int:
    """L: the number of places, and of frequencies, that one axis needs."""
    return size + max(padding)


def waves(length: int, places: Any, half: bool = False) -> Any:
    """(n,) places -> (K, n) complex: e(f t) for every frequency f and place t; half: K = L // 2 + 1, else L.

    f t is taken modulo L, which keeps the angle small, and so accurate.
    """
    frequencies = np.arange(length // 2 + 1 if half else length)
    return np.exp(2j * np.pi / length * (np.outer(frequencies, places) % length))


def as_real(matrix: Any) -> Any:
    """(a, b) complex -> (2, 2, a, b): the real matrix that takes (re, im) to (re, im)."""
    return np.array([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])


def from_real(wave: Any) -> Any:
    """(K, n) waves -> (2 K, n): real numbers in, rows (frequency, re or im) out."""
    return as_real(wave)[:, 0].transpose(1, 0, 2).reshape(2 * len(wave), wave.shape[1])


def from_parts(wave: Any) -> Any:
    """(L, n) waves -> (2 L, 2 n): columns (re or im, place) in, rows (frequency, re or im) out."""
    return as_real(wave).transpose(2, 0, 1, 3).reshape(2 * len(wave), 2 * wave.shape[1])


def to_parts(wave: Any, conjugate: bool = False) -> Any:
    """(L, n) waves -> (2 n, 2 L): columns (frequency, re or im) in, rows (re or im, place) out; the inverse, divided by L.

    conjugate: the imaginary part of the input is negated.
    """
    inverse = as_real(wave) / len(wave)
    if conjugate:
        inverse[:, 1] *= -1
    return inverse.transpose(0, 3, 2, 1).reshape(2 * wave.shape[1], 2 * len(wave))


def to_real(wave: Any, length: int, conjugate: bool = False) -> Any:
    """(K, n) waves -> (n, 2 K): columns (frequency, re or im) in, real numbers out; the inverse, divided by L.

    Each frequency f also stands for L - f, its conjugate: the imaginary parts of the two cancel, the real part doubles, unless
    f = L - f (0, and L / 2). conjugate: as in `to_parts`.
    """
    frequencies = np.arange(len(wave))
    count = np.where((frequencies == 0) | (2 * frequencies == length), 1, 2)
    inverse = as_real(wave)[0] * count[:, None] / length
    if conjugate:
        inverse[1] *= -1
    return inverse.transpose(2, 1, 0).reshape(wave.shape[1], 2 * len(wave))


def real_frequencies(length: int) -> tuple[int, list[int]]:
    """L -> how many frequencies of L real numbers are real; the rows of `from_real` to keep: these, then (re, im) pairs."""
    alone = [0] if length % 2 else [0, length]  # the real parts of the frequencies 0 and L / 2
    return len(alone), alone + list(range(2, 2 * ((length + 1) // 2)))
