"""Solutions of lesson 13. ANSWERS says which is which."""

import math


def softmax(xp, logits):
    """Operators and methods belong to the array; only exp has to be asked of the library."""
    exponentials = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def finished(work, launch):
    """A call starts when it has been launched and the GPU is free."""
    free = 0.0
    for number, seconds in enumerate(work):
        free = max(free, (number + 1) * launch) + seconds
    return free


def break_even(cpu, gpu):
    """a + b N < a' + b' N: what the GPU loses at the start it has to win back per image."""
    behind, gain = gpu[0] - cpu[0], cpu[1] - gpu[1]
    if (
        behind < 0 and gain <= 0
    ):  # ahead at the start, and slower per image: only batch 1 has to be looked at
        return 1 if behind < gain else "never"
    if gain <= 0:
        return "never"
    return max(1, math.floor(behind / gain) + 1)


ANSWERS = {"1": softmax, "2": finished, "3": break_even}
