"""Solutions of lesson 11. ANSWERS says which is which."""

import numpy as np


def mean_logits(z, k, weight, bias, scaled):
    """The mean goes through the dense layer, which is linear; a unit's mean is z scaled, and z k unscaled."""
    return (z if scaled else z * k) @ weight + bias


def predicted_gap(z1, k1, weights, curvature):
    """E[g(z2)] - g(m) = g''(m) Var[z2] / 2 + ...; the coins are independent, so the variances add up."""
    mean = (z1 * k1) @ weights
    variance = (z1**2 * k1 * (1 - k1)) @ weights**2
    return curvature(mean) * variance / 2


def p_straight(z):
    """z (1 - p) is a straight line through 0 only if p is the same everywhere."""
    return np.full_like(z, 0.5)


ANSWERS = {"1": mean_logits, "2": predicted_gap, "3": p_straight}
