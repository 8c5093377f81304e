"""Wrong answers to the exercises of lesson 11, and what the checker must say of each."""

import numpy as np


def with_half(part):
    """A predicted gap with `part(z1, k1, weights)` in place of the variance."""
    return lambda z1, k1, weights, curvature: curvature((z1 * k1) @ weights) * part(z1, k1, weights) / 2


WRONG = {
    "1": [
        (lambda z, k, weight, bias, scaled: z @ weight + bias, "the identity, as published"),
        (lambda z, k, weight, bias, scaled: (z * k) @ weight + bias, "the mean is z already"),
        (lambda z, k, weight, bias, scaled: (z / k if scaled else z * k) @ weight + bias, "counts the dropped ones"),
        (lambda z, k, weight, bias, scaled: (z if scaled else z * k) @ weight, "bias is missing"),
        (lambda z, k, weight, bias, scaled: (z if scaled else z * k.mean()) @ weight + bias, "belongs to each unit"),
    ],
    "2": [
        (lambda z1, k1, w, c: c((z1 * k1) @ w) * ((z1**2 * k1 * (1 - k1)) @ w**2), "a 1/2 in front"),
        (with_half(lambda z1, k1, w: (z1**2 * k1 * (1 - k1)) @ w), "square the weights"),
        (with_half(lambda z1, k1, w: np.sqrt((z1**2 * k1 * (1 - k1)) @ w**2)), "standard deviation"),
        (with_half(lambda z1, k1, w: (k1 * (1 - k1)) @ w**2), "variance of the coin"),
        (with_half(lambda z1, k1, w: (z1**2 * k1) @ w**2), "less the squared mean"),
        (with_half(lambda z1, k1, w: (z1**2 * (1 - k1) / k1) @ w**2), "scaled layer"),
        (lambda z1, k1, w, c: c(z1 @ w) * ((z1**2 * k1 * (1 - k1)) @ w**2) / 2, "taken at the mean of z2"),
        (lambda z1, k1, w, c: (z1**2 * k1 * (1 - k1)) @ w**2 / 2, "multiply by the curvature"),
    ],
    "3": [
        (lambda z: np.zeros_like(z), "drops nothing"),
        (lambda z: np.ones_like(z), "drops everything"),
        (lambda z: 0.8 * (z < 0), "corner at 0"),
        (lambda z: np.clip(-0.8 * z, 0, 0.8), "is bent"),
        (lambda z: -0.8 * z, "between 0 and 1"),
        (lambda z: 1 / (1 + np.exp(z)), "straight line"),
    ],
}
