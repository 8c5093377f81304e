"""Wrong answers to the exercises of lesson 05, and what the checker must say of each."""

import math

import numpy as np

import minidrop as md


def repeated(values):
    return np.kron(values, np.ones((2, 2)))


def largest(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).max(axis=(1, 3))


def winners(x):
    return repeated(largest(x)) == x


def shared(x, grad):
    places = winners(x)
    return repeated(grad) * places / repeated(places.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).sum(axis=(1, 3)))


def loss_of(model, images, labels):
    return md.functional.softmax_cross_entropy(model(md.Tensor(images)), labels)


def piling_up(model, optimizer, images, labels):
    loss = loss_of(model, images, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def never_steps(model, optimizer, images, labels):
    loss = loss_of(model, images, labels)
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


def thrown_away(model, optimizer, images, labels):
    loss = loss_of(model, images, labels)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


def late(model, optimizer, images, labels):
    optimizer.step()
    optimizer.zero_grad()
    loss = loss_of(model, images, labels)
    loss.backward()
    return loss.item()


def steps_twice(model, optimizer, images, labels):
    optimizer.zero_grad()
    loss = loss_of(model, images, labels)
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


def right_step(model, optimizer, images, labels):
    optimizer.zero_grad()
    loss = loss_of(model, images, labels)
    loss.backward()
    optimizer.step()
    return loss


def silent(*arguments):
    right_step(*arguments)


def summed(model, optimizer, images, labels):
    optimizer.zero_grad()
    loss = loss_of(model, images, labels) * 4.0
    loss.backward()
    optimizer.step()
    return loss.item()


WRONG = {
    "1": [
        (lambda x, grad: repeated(grad), "every place of a window"),
        (lambda x, grad: repeated(grad) / 4, "average pooling"),
        (lambda x, grad: winners(x) * 1.0, "instead of 1"),
        (lambda x, grad: repeated(grad) * winners(x), "more of it than arrived"),
        (shared, "equal maxima share"),
        (lambda x, grad: repeated(grad) * winners(x) * (x > 0), "that would be a ReLU"),
        (lambda x, grad: grad, "expected the shape of x"),
        (lambda x, grad: -repeated(grad) * winners(x), "sign is wrong"),
    ],
    "2": [
        (piling_up, "pile up"),
        (never_steps, "weights did not move"),
        (thrown_away, "weights did not move"),
        (late, "comes before `backward"),
        (steps_twice, "two steps for one batch"),
        (right_step, "return a tensor"),
        (silent, "now return the loss"),
        (summed, "weights after step 1"),
        (3, "expected a function"),
    ],
    "3": [
        (lambda a, e: math.ceil(a * (1 - a) / e), "square the error"),
        (lambda a, e: math.ceil(math.sqrt(a * (1 - a)) / e), "root over everything"),
        (lambda a, e: math.floor(a * (1 - a) / e**2), "just too few"),
        (lambda a, e: a * (1 - a) / e**2, "no whole number"),
        (lambda a, e: math.ceil(1 / e**2), "a .1 - a., is missing"),
        (lambda a, e: math.ceil(a / e**2), "not a"),
        (lambda a, e: 7, "expected 1,667 images"),
        (lambda a, e: "many", "expected a whole number"),
    ],
}
