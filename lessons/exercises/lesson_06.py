"""Checkers of lesson 06: the mask and its scale, the same mask on the way back, the geometric mean of an ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Unanswered, Wrong, called, compare


def exercise_1(answer: Any) -> str:
    """dropout(x, rate, u)."""
    generator = np.random.default_rng(0)
    x, u = generator.normal(size=(5, 8)), generator.random((5, 8))
    rate = 0.3
    kept = u >= rate
    got = called(answer, x, rate, u)
    values = np.asarray(getattr(got, "data", got), dtype=float)
    if values.shape == x.shape:
        if np.array_equal(values != 0, ~kept):
            raise Wrong(
                "dropped and kept are exchanged: a unit whose number is below the rate is dropped"
            )
        mistakes = {
            "the kept units are not scaled up: divide by 1 - rate": x * kept,
            "you divide by the rate: the kept share is 1 - rate": x * kept / rate,
            "you multiply by 1 - rate: that makes the kept units smaller, and their mean (1 - rate)² x": x
            * kept
            * (1 - rate),
            "that is the mask with its scale: multiply by x": kept / (1 - rate),
            "that is the mask: multiply by x and divide by 1 - rate": kept * 1.0,
            "nothing was dropped: compare `u` with the rate": x,
        }
        for hint, wrong in mistakes.items():
            if np.allclose(values, wrong):
                raise Wrong(hint)
    compare(got, x * kept / (1 - rate), "y")
    compare(called(answer, x, 0.0, u), x, "y at rate 0, which keeps everything")
    return (
        "Its mean over `u` is x: the factor 1 / (1 - rate) makes up for the share that is missing."
    )


def exercise_2(answer: Any) -> str:
    """MyDropout(rate, random), with forward(x) and backward(grad)."""
    if not callable(answer):
        raise Wrong(f"expected a class, got {answer!r}")
    for rate in (0.5, 0.25):
        layer = answer(rate, np.random.default_rng(0))
        if layer is None:
            raise Unanswered
        x = np.random.default_rng(1).uniform(0.5, 2, size=(6, 40))
        grad = np.random.default_rng(2).uniform(0.5, 2, size=(6, 40))
        y = np.asarray(called(layer.forward, x), dtype=float)
        if y.shape == x.shape and y.all():
            raise Wrong("forward drops nothing")
        back = np.asarray(called(layer.backward, grad), dtype=float)
        if y.shape != x.shape or back.shape != x.shape:
            raise Wrong(
                f"expected shape {x.shape} from forward and backward, got {y.shape} and {back.shape}"
            )
        kept = y != 0
        if rate != 0.5 and abs(kept.mean() - rate) < abs(kept.mean() - (1 - rate)):
            raise Wrong(
                f"at rate {rate} forward keeps {kept.mean():.0%} of the units: dropped and kept are exchanged"
            )
        compare(y, x * kept / (1 - rate), "forward", {1 - rate: "divide what is kept by 1 - rate"})
        if np.allclose(back, grad) or (back != 0).all():
            raise Wrong(
                "backward lets everything through: a dropped unit did not touch the loss, so its derivative is 0"
            )
        if np.array_equal(back != 0, ~kept):
            raise Wrong("backward keeps exactly the units that forward dropped")
        if not np.array_equal(back != 0, kept):
            raise Wrong(
                "the mask is drawn again in backward: units that were dropped get a derivative, and others that were "
                "kept do not. Keep the mask of forward in `self`"
            )
        if np.allclose(back, kept / (1 - rate)):
            raise Wrong(
                "backward returns the local slope alone: multiply it by the derivative that arrives, `grad`"
            )
        compare(
            back,
            grad * kept / (1 - rate),
            "backward",
            {1 - rate: "the factor 1 / (1 - rate) belongs here as well"},
        )
        again = np.asarray(called(layer.forward, x), dtype=float)
        if np.array_equal(again != 0, kept):
            raise Wrong("a second forward uses the old mask: draw a new one in every forward")
    return "Whatever forward draws, backward has to remember: this holds for every random op."


def exercise_3(answer: Any) -> str:
    """ensemble(probabilities)."""
    logits = np.random.default_rng(0).normal(scale=2, size=(6, 4, 3))
    probabilities = _softmax(logits)
    expected = _softmax(np.log(probabilities).mean(axis=0))
    got = called(answer, probabilities)
    values = np.asarray(getattr(got, "data", got), dtype=float)
    root = np.exp(np.log(probabilities).mean(axis=0))
    product = probabilities.prod(axis=0)
    mistakes = {
        "that is the arithmetic mean: average the logarithms instead": probabilities.mean(axis=0),
        "rows do not sum to 1: divide by the sum over classes": root,
        "that is the product: take the M-th root, or the *mean* of the logarithms": product,
        "you normalise the product: take its M-th root first, or the *mean* of the logarithms, not their sum": product
        / product.sum(axis=-1, keepdims=True),
        "you divide by the sum over images: the probabilities of one image have to sum to 1": root
        / root.sum(axis=0),
        "those are logarithms: take exp": np.log(probabilities).mean(axis=0),
    }
    for hint, wrong in mistakes.items():
        if values.shape == wrong.shape and np.allclose(values, wrong):
            raise Wrong(hint)
    if values.shape in ((6, 3), (6, 4)):
        raise Wrong(
            f"got shape {values.shape}: the networks are the first axis, average over that one (axis=0)"
        )
    compare(got, expected, "the ensemble")
    many = _softmax(np.random.default_rng(1).normal(scale=3, size=(4000, 2, 3)))
    with np.errstate(all="ignore"):
        values = np.asarray(called(answer, many), dtype=float)
    if not np.isfinite(values).all() or not np.allclose(values.sum(axis=-1), 1):
        raise Wrong(
            "right for six networks, but with 4,000 the product underflows to 0: add logarithms instead of multiplying"
        )
    compare(values, _softmax(np.log(many).mean(axis=0)), "the ensemble of 4,000")
    return "The softmax of the mean logits, in other words: what the network at rest computes in one go."


def _softmax(logits: Any) -> Any:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
