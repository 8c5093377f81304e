"""Wrong answers to the exercises of lesson 02, and what the checker must say of each."""

import math

import numpy as np

import minidrop as md


def only_new_axes(grad, shape):
    return grad.sum(axis=tuple(range(grad.ndim - len(shape))))


def without_keepdims(grad, shape):
    grad = only_new_axes(grad, shape)
    return grad.sum(axis=tuple(axis for axis, length in enumerate(shape) if length == 1))


def averaged(grad, shape):
    grad = grad.mean(axis=tuple(range(grad.ndim - len(shape))))
    return grad.mean(axis=tuple(axis for axis, length in enumerate(shape) if length == 1), keepdims=True)


def first_use(grad, shape):
    grad = grad[(0,) * (grad.ndim - len(shape))]
    return grad[tuple(slice(0, length) for length in shape)]


def hypotenuse(backward, flag=True, forward=None):
    class Hypotenuse(md.Op):
        broadcasts = flag

        def forward(self, a, b):
            y = np.hypot(a, b)
            self.saved = (a, b, y)
            return y if forward is None else forward(a, b)

        def backward(self, grad):
            return backward(grad, *self.saved)

    return Hypotenuse


def in_place(a, b):
    a *= a
    return np.sqrt(a + b * b)


def both(grad, a, b, y):
    return grad * a / y, grad * b / y


WRONG = {
    "1": [
        (lambda grad, shape: grad, "still has the shape"),
        (lambda grad, shape: grad.sum(axis=0), r"of shape \(4, 1\).*expected shape \(4, 1\), got \(3,\)"),
        (only_new_axes, "still has the shape"),
        (without_keepdims, "right numbers in shape"),
        (averaged, "not the mean"),
        (first_use, "used 4 times"),
        (lambda grad, shape: grad.sum(axis=0).reshape(shape), "ValueError"),
        (lambda grad, shape: np.full(shape, grad.size / math.prod(shape)), "3 of 3 numbers differ"),
    ],
    "2": [
        (lambda y, grad: grad - np.exp(y), "sums to 1"),
        (lambda y, grad: grad - y * grad.sum(axis=1, keepdims=True), "logarithm of the softmax"),
        (lambda y, grad: grad - np.exp(y) * grad.sum(axis=0), "axis 0"),
        (lambda y, grad: grad - np.exp(y) * grad.sum(), "whole array"),
        (lambda y, grad: grad - np.exp(y) * grad.sum(axis=1), "ValueError"),
        (lambda y, grad: grad - y.shape[1] * np.exp(y), "numbers differ"),
        (lambda y, grad: 0 * grad, "all zeros"),
        (lambda y, grad: np.exp(y) * grad.sum(axis=1, keepdims=True) - grad, "sign is wrong"),
        (lambda y, grad: grad - np.exp(y) * grad, "every y_j"),
    ],
    "3": [
        (lambda a, b: np.hypot(a, b), "expected a class"),
        (hypotenuse(both, flag=False), "broadcasts = True"),
        (hypotenuse(lambda grad, a, b, y: (a / y, b / y)), "the slope alone"),
        (hypotenuse(lambda grad, a, b, y: (grad * b / y, grad * a / y)), "the other input"),
        (hypotenuse(lambda grad, a, b, y: (grad * a, grad * b)), "square root has a slope"),
        (hypotenuse(lambda grad, a, b, y: grad * a / y), "a tuple with one gradient per input, .*got ndarray"),
        (hypotenuse(lambda grad, a, b, y: (2 * grad * a / y, 2 * grad * b / y)), "for a: 2 times too large"),
        (hypotenuse(both, forward=lambda a, b: a + b), "forward: "),
        (hypotenuse(both, forward=in_place), "argument number 1 in place"),
    ],
}
