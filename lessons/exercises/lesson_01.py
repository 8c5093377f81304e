"""Checkers of lesson 01: local slopes, and an order without recursion."""

from __future__ import annotations

import math
from typing import Any

from checks import Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """exp_pass_back(out_data, out_grad)."""
    got = called(answer, math.exp(0.7), -2.5)
    if got == math.exp(0.7):
        raise Wrong(
            "that is the local slope alone: multiply it by the derivative that arrives, `out_grad`"
        )
    if got == -2.5:
        raise Wrong(
            "you hand `out_grad` on as it came: multiply it by the slope of the exponential"
        )
    if math.isclose(got, -2.5 * math.exp(math.exp(0.7))):
        raise Wrong("`out_data` is e^a already: no need to call exp again")
    compare(got, -2.5 * math.exp(0.7), "the share of a")
    return "The exponential is its own slope, so the output is all that backward needs to keep."


def exercise_2(answer: Any) -> str:
    """divide_pass_back(a, b, out_grad)."""
    a, b, grad = 3.0, -2.0, 0.7
    got = called(answer, a, b, grad)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"expected two shares, `(for_a, for_b)`, got {got!r}")
    if math.isclose(got[0], 1 / b) and not math.isclose(got[0], grad / b):
        raise Wrong("for a: multiply the local slope by the derivative that arrives, `out_grad`")
    compare(got[0], grad / b, "for a")
    if math.isclose(got[1], grad * a / b**2):
        raise Wrong("for b: the sign is wrong: a larger b makes the quotient smaller")
    compare(got[1], -grad * a / b**2, "for b", {b: "b enters squared"})
    return "Keep -a / b² in mind: at b = 0 it is infinite. A whole lesson (10) hangs on that."


def exercise_3(answer: Any) -> str:
    """order_of(parents, output)."""
    graphs = [
        {"a": [], "b": ["a"], "c": ["a", "b"], "L": ["b", "c"]},
        {
            "x": [],
            "y": ["x", "x"],
            "z": ["y", "x"],
            "L": ["z", "y"],
        },  # a value used twice by one other
        {
            "a": [],
            "b": [],
            "m": ["a", "b"],
            "n": ["m"],
            "o": ["m", "n"],
            "p": ["o", "a"],
            "L": ["p", "b"],
        },
    ]
    for parents in graphs:
        order = called(answer, parents, "L")
        if sorted(order) != sorted(parents):
            raise Wrong(f"for {parents} every name must come exactly once; got {order}")
        place = {name: index for index, name in enumerate(order)}
        for child, names in parents.items():
            for name in names:
                if place[name] < place[child]:
                    raise Wrong(
                        f"in {order}, {name!r} comes before {child!r}, which was made from it"
                    )
    deep = {str(i): [str(i - 1)] if i else [] for i in range(5000)}
    try:
        called(answer, deep, "4999")
    except RecursionError:
        raise Wrong(
            "right, but recursive: a chain of 5,000 operations is too deep for Python"
        ) from None
    return "And 5,000 operations in a row do not trouble it: that is why minidrop counts."
