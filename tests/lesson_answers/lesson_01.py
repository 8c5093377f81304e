"""Wrong answers to the exercises of lesson 01, and what the checker must say of each."""

import math


def recursive(parents, output):
    done, order = set(), []

    def visit(name):
        if name not in done:
            done.add(name)
            for parent in parents[name]:
                visit(parent)
            order.append(name)

    visit(output)
    return order[::-1]


def nearest_first(parents, output):
    order = [output]
    for name in order:
        order += [parent for parent in parents[name] if parent not in order]
    return order


WRONG = {
    "1": [
        (lambda out, grad: out, "local slope alone"),
        (lambda out, grad: grad, "as it came"),
        (lambda out, grad: math.exp(out) * grad, "already"),
        (lambda out, grad: -out * grad, "sign is wrong"),
        (lambda out, grad: out / 0, "ZeroDivisionError"),
        (7, "expected a function"),
    ],
    "2": [
        (lambda a, b, grad: (1 / b, -a / b**2), "for a: multiply"),
        (lambda a, b, grad: (grad / b, grad * a / b**2), "larger b makes"),
        (lambda a, b, grad: (grad / b, -grad * a / b), "b enters squared"),
        (lambda a, b, grad: grad / b, "expected two shares"),
    ],
    "3": [
        (nearest_first, "'b' comes before 'c'"),
        (recursive, "recursive"),
        (lambda parents, output: sorted(parents), "comes before"),
        (lambda parents, output: [output], "exactly once"),
    ],
}
