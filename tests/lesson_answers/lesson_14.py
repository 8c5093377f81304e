"""Wrong answers to the exercises of lesson 14, and what the checker must say of each."""

import numpy as np


def slope(z):
    tanh = np.tanh(z)
    return -((1 - tanh**2) * z - tanh) / z**2


WRONG = {
    "1": [
        (lambda z: np.tanh(z) / z, "probability to keep"),
        (lambda z: 1 - np.tanh(z), "divide by z"),
        (lambda z: np.where(z < 0, 1 - np.tanh(z) / z, 0), "both sides"),
        (lambda z: 1 - np.tanh(z) / z, "at z = 0 you divide 0 by 0"),
        (lambda z: np.where(z == 0, 1, 1 - np.tanh(z) / z), r"p\(0\)"),
        (lambda z: 0.5, "expected shape"),
        (np.array([0.5]), "expected a function"),
    ],
    "2": [
        (lambda z: -slope(z), "the sign is wrong"),
        (lambda z: -(1 - np.tanh(z) ** 2) / z, "quotient rule has a second part"),
        (lambda z: slope(z) * z**2, "divides by z²"),
        (lambda z: 1 - np.tanh(z) ** 2, "derivative of tanh itself"),
        (slope, "at z = 0 it is NaN"),
    ],
    "3": [
        (lambda c, p_max: c / (1 - p_max), "minus sign"),
        (lambda c, p_max: -(1 - p_max) / c, "upside down"),
        (lambda c, p_max: -c / (1 - p_max), "plateau 1 - c"),
        (lambda c, p_max: min(-1, -c / (1 - p_max)), "clip sets in at 0"),
        (lambda c, p_max: 0.0 if p_max < 1 - c else -c / (1 - p_max), "divide by 0"),
        (lambda c, p_max: 0.0 if p_max < 1 - c else -c / max(1 - p_max, 1e-9), "minus infinity"),
    ],
}
