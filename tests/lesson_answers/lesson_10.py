"""Wrong answers to the exercises of lesson 10, and what the checker must say of each."""

import numpy as np

import minidrop as md


def as_published(z):
    return (1 + 0.2 / z).clip(0.8, 0.999) * (z.data < 0)


def masked_afterwards(z):
    return md.where(z.data < 0, (1 + 0.2 / z).clip(0.8, 0.999), 0.0)


WRONG = {
    "1": [
        (as_published, "the gradient is not finite at z = .*0"),
        (masked_afterwards, "before you divide"),
        (
            lambda z: (1 + 0.2 / (z + 1e-8)).clip(0.8, 0.999) * (z.data < 0),
            "at z = -1e-08 the probability is 0.8, yours is 0.999",
        ),
        (lambda z: (1 + 0.2 / z.clip(None, -1)) * (z.data < 0), "at z = -3000"),
        (lambda z: 0.8 * (z.data < 0), "expected a tensor"),
        (lambda z: md.Tensor(md.functional.drop_probability(z.data, "beta")), "no gradient flows"),
        (lambda z: (1 + 0.2 / z.clip(None, -1)).clip(None, 0.999), "at z = 0 the probability is 0"),
    ],
    "2": [
        (lambda f, c, n, u: 1 / (f * float(np.spacing(c)) * n * u), "float64"),
        (lambda f, c, n, u: 1 / (f * float(np.spacing(np.float32(c))) * u), "16 times too large: a step draws batch"),
        (lambda f, c, n, u: 1 / (f * float(np.spacing(np.float32(c)))), "not steps"),
        (lambda f, c, n, u: f * float(np.spacing(np.float32(c))) * n * u, "the inverse"),
    ],
    "3": [
        (lambda w, y: "dead logits" if not y.any() else "nan" if np.isnan(y).any() else "alive", "one NaN among the weights"),
        (
            lambda w, y: "nan" if any(np.isnan(a).any() for a in w) else "dead logits" if not y.any() else "alive",
            "infinite weight",
        ),
        (
            lambda w, y: (
                "nan" if not all(np.isfinite(a).all() for a in w) else "dead logits" if not y.any(axis=1).all() else "alive"
            ),
            "one image of five",
        ),
        (lambda w, y: "alive", "all logits 0"),
    ],
}
