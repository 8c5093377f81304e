"""Wrong answers to the exercises of lesson 07, and what the checker must say of each."""

import numpy as np


def keeps_instead(z):
    negative = np.where(z < 0, z, -1.0)
    return np.where(z < 0, np.expm1(negative) / negative, 1.0)


def drops_above(z):
    small = np.where(z == 0, 1e-12, z)
    return np.where(z < 0, 1 - np.expm1(small) / small, 0.5)


WRONG = {
    "1": [
        (lambda z, k: z**2 * (1 - k) / k, "variance: take its square root"),
        (lambda z, k: abs(z) * np.sqrt(k * (1 - k)), "unscaled unit"),
        (lambda z, k: z * np.sqrt((1 - k) / k), "never negative"),
        (lambda z, k: abs(z) / np.sqrt(k), "subtract the squared mean"),
        (lambda z, k: np.sqrt((1 - k) / k), "multiplied by .z."),
        (lambda z, k: 2 * abs(z) * np.sqrt((1 - k) / k), "2 times too large"),
    ],
    "2": [
        (lambda z, theta, k, dk_dz, grad: grad * theta, "the biased one"),
        (lambda z, theta, k, dk_dz, grad: grad * (k + z * dk_dz), "does not use theta"),
        (lambda z, theta, k, dk_dz, grad: grad * (theta + z * dk_dz), "multiply by theta"),
        (lambda z, theta, k, dk_dz, grad: grad * theta * (k + z * dk_dz), "divide by k"),
        (lambda z, theta, k, dk_dz, grad: grad * theta * (1 + z * dk_dz), "divide it by k"),
        (lambda z, theta, k, dk_dz, grad: grad * theta * (1 - z * dk_dz / k), "sign of the second term"),
        (lambda z, theta, k, dk_dz, grad: theta * (1 + z * dk_dz / k), "upstream gradient"),
        (lambda z, theta, k, dk_dz, grad: grad * theta / k, "scaled layer, detached"),
        (lambda z, theta, k, dk_dz, grad: theta * 3.7, "mean over theta"),
    ],
    "3": [
        (lambda z: 1 - np.expm1(z) / z, "at z = 0 your p is nan"),
        (keeps_instead, "probability to keep"),
        (lambda z: np.where(z < 0, 1 - np.exp(z), 0), "mean output is z e\\^z"),
        (lambda z: np.where(z < 0, 1 - np.expm1(z), 0), "between 0 and 1"),
        (drops_above, "nothing may be dropped"),
        (lambda z: np.where(z < 0, 0.8, 0), "mean output"),
    ],
}
