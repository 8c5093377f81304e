"""Wrong answers to the exercises of lesson 06, and what the checker must say of each."""

import numpy as np


class Right:
    def __init__(self, rate, random):
        self.rate, self.random = rate, random

    def draw(self, shape):
        return (self.random.random(shape) >= self.rate) / (1 - self.rate)

    def forward(self, x):
        self.factor = self.draw(x.shape)
        return x * self.factor

    def backward(self, grad):
        return grad * self.factor


class DrawnAgain(Right):
    def backward(self, grad):
        return grad * self.draw(grad.shape)


class Through(Right):
    def backward(self, grad):
        return grad


class Unscaled(Right):
    def draw(self, shape):
        return (self.random.random(shape) >= self.rate) * 1.0


class UnscaledBack(Right):
    def backward(self, grad):
        return grad * (self.factor > 0)


class SlopeAlone(Right):
    def backward(self, grad):
        return self.factor


class Inverted(Right):
    def backward(self, grad):
        return grad * (self.factor == 0)


class Exchanged(Right):
    def draw(self, shape):
        return (self.random.random(shape) < self.rate) / (1 - self.rate)


class OneMask(Right):
    def forward(self, x):
        if not hasattr(self, "factor"):
            self.factor = self.draw(x.shape)
        return x * self.factor


class Scribbling(Right):
    def forward(self, x):
        self.factor = self.draw(x.shape)
        x *= self.factor
        return x


class KeepsAll(Right):
    def forward(self, x):
        return x


def root(p):
    return np.exp(np.log(p).mean(axis=0))


WRONG = {
    "1": [
        (lambda x, rate, u: x * (u >= rate), "not scaled up"),
        (lambda x, rate, u: x * (u >= rate) / rate, "divide by the rate"),
        (lambda x, rate, u: x * (u < rate) / (1 - rate), "exchanged"),
        (lambda x, rate, u: x * (u >= rate) * (1 - rate), "multiply by 1 - rate"),
        (lambda x, rate, u: (u >= rate) / (1 - rate), "multiply by x"),
        (lambda x, rate, u: x, "nothing was dropped"),
        (lambda x, rate, u: x[u >= rate] / (1 - rate), "expected shape"),
        (lambda x, rate, u: x * np.where(u < rate, np.nan, 1), "inf or NaN"),
    ],
    "2": [
        (DrawnAgain, "the mask is drawn again in backward"),
        (Through, "lets everything through"),
        (Unscaled, "divide what is kept"),
        (UnscaledBack, "belongs here as well"),
        (SlopeAlone, "local slope alone"),
        (Inverted, "exactly the units that forward dropped"),
        (Exchanged, "exchanged"),
        (OneMask, "uses the old mask"),
        (Scribbling, "in place"),
        (KeepsAll, "drops nothing"),
        (3, "expected a class"),
    ],
    "3": [
        (lambda p: p.mean(axis=0), "arithmetic mean"),
        (root, "sum over classes"),
        (lambda p: p.prod(axis=0), "that is the product"),
        (lambda p: p.prod(axis=0) / p.prod(axis=0).sum(axis=-1, keepdims=True), "normalise the product"),
        (lambda p: root(p) / root(p).sum(axis=0), "sum over images"),
        (lambda p: np.log(p).mean(axis=0), "take exp"),
        (lambda p: p.mean(axis=1), "first axis"),
        (
            lambda p: p.prod(axis=0) ** (1 / len(p)) / (p.prod(axis=0) ** (1 / len(p))).sum(axis=-1, keepdims=True),
            "underflows",
        ),
    ],
}
