"""Wrong answers to the exercises of lesson 13, and what the checker must say of each."""

import math

import numpy as np


def with_numpy(xp, logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def with_method(xp, logits):
    exponentials = xp.exp(np.asarray(logits) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def returns_numpy(xp, logits):
    exponentials = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    p = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return getattr(p, "numbers", p)


def softmax(axis=-1, shift=True):
    def function(xp, logits):
        exponentials = xp.exp(logits - logits.max(axis=axis, keepdims=True) if shift else logits)
        return exponentials / exponentials.sum(axis=axis, keepdims=True)

    return function


def of_all(xp, logits):
    exponentials = xp.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def queue(first):
    """A wrong `finished`: the first launch ends after `first` launches."""

    def function(work, launch):
        free = 0.0
        for number, seconds in enumerate(work):
            free = max(free, (number + first) * launch) + seconds
        return free

    return function


def ratio(cpu, gpu):
    return (gpu[0] - cpu[0]) / (cpu[1] - gpu[1])


def guarded(finish):
    """A wrong `break_even` that knows "never"."""
    return lambda cpu, gpu: "never" if cpu[1] <= gpu[1] else finish(ratio(cpu, gpu))


WRONG = {
    "1": [
        (with_numpy, "called NumPy on an array that is not NumPy's"),
        (with_method, "called NumPy on an array that is not NumPy's"),
        (returns_numpy, "must stay in that library"),
        (softmax(axis=0), "axis 0"),
        (softmax(shift=False), "a logit is 1000"),
        (of_all, "one sum per row"),
    ],
    "2": [
        (lambda work, launch: sum(work) + len(work) * launch, "Python does not wait"),
        (lambda work, launch: max(sum(work), len(work) * launch), "one by one"),
        (lambda work, launch: len(work) * launch, "last call still has to be done"),
        (lambda work, launch: sum(work), "nothing had to be launched"),
        (lambda work, launch: sum(max(seconds, launch) for seconds in work), "earlier"),
        (lambda work, launch: launch + sum(work), "launched at once"),
        (queue(0), "not at 0"),
        (queue(2), "Draw the two rows"),
    ],
    "3": [
        (ratio, "divide by 0|whole number|two are equal"),
        (lambda cpu, gpu: 31 if cpu[1] == 2.0 and cpu[0] == 5.0 else max(1, math.floor(ratio(cpu, gpu)) + 1), "divide by 0"),
        (guarded(math.ceil), "the two are equal"),
        (guarded(math.floor), "the two are equal"),
        (guarded(lambda n: n + 1), "whole number|smallest batch"),
        (guarded(lambda n: math.floor(n) + 1), "smallest batch is 1"),
        (guarded(lambda n: max(1, math.floor(n) + 2)), "ahead before batch"),
        (lambda cpu, gpu: "never", "does get ahead"),
        (lambda cpu, gpu: max(1, math.floor(abs(gpu[0] - cpu[0]) / (abs(cpu[1] - gpu[1]) or 1)) + 1), "wins nothing per image"),
    ],
}
