"""Checkers of lesson 03: the loss, the gradient of a linear classifier, and the way back through a hidden layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Wrong, called, compare

BATCH, FEATURES, HIDDEN, CLASSES = 16, 6, 5, 4


def softmax(logits: Any, axis: int = 1) -> Any:
    """Logits -> probabilities along `axis`."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def _loss(logits: Any, labels: Any, axis: int = 1) -> float:
    return float(-np.log(softmax(logits, axis)[np.arange(len(labels)), labels]).mean())


def exercise_1(answer: Any) -> str:
    """cross_entropy(logits, labels)."""
    numbers = np.random.default_rng(1)
    batches = [
        (size * numbers.normal(size=(BATCH, 10)), numbers.integers(0, 10, BATCH))
        for size in (0.5, 1.0, 2.0)
    ]
    got = [
        np.asarray(getattr(value, "data", value))
        for value in (called(answer, *batch) for batch in batches)
    ]
    if got[0].shape == (BATCH,):
        raise Wrong("that is one loss per image: take their mean")
    if got[0].shape:
        raise Wrong(
            f"expected one number, got shape {got[0].shape}: pick the logarithm at the label of each image"
        )
    across = [_loss(logits, labels, axis=0) for logits, labels in batches]
    if np.allclose(got, across):
        raise Wrong(
            "your softmax runs down the batch (axis 0): the ten probabilities of one image sum to 1 (axis 1)"
        )
    probability = [softmax(logits)[np.arange(BATCH), labels].mean() for logits, labels in batches]
    if np.allclose(got, -np.array(probability)) or np.allclose(got, probability):
        raise Wrong("the logarithm is missing")
    if np.allclose(got, -np.log(probability)):
        raise Wrong("you take the logarithm of the mean; take the mean of the logarithms")
    meanings = {
        BATCH: "divide by the batch",
        0.1: "you average over the ten classes too; divide by the batch only",
        1 / np.log(2): "that is in bits (log2): take the natural logarithm",
        1 / np.log(10): "that is the logarithm to base 10: take the natural one",
    }
    compare(got, [_loss(*batch) for batch in batches], "the losses of three batches", meanings)
    equal = called(answer, np.full((BATCH, 10), 7.0), np.arange(BATCH) % 10)
    compare(equal, np.log(10), "ten equal logits")
    large = np.zeros((2, 10))
    large[0, 3], large[1, 4] = 1000.0, -1000.0
    with np.errstate(all="ignore"):
        loss = float(called(answer, large, np.array([3, 5])))
    if not np.isfinite(loss):
        raise Wrong(
            "right, until a logit is 1000: e^1000 is inf. Subtract the largest logit of each row first"
        )
    compare(loss, np.log(9) / 2, "with logits of 1000 and -1000")
    with np.errstate(all="ignore"):
        loss = float(called(answer, large, np.array([5, 5])))
    if not np.isclose(loss, (1000 + np.log(9)) / 2):
        raise Wrong(
            f"the label's logit is 1000 below another: its loss is 1000, and you got {2 * loss - np.log(9):.4g}. "
            "The probability has become 0: work with x - log(sum of e^x), not with the logarithm of the softmax"
        )
    return "Ten equal logits give ln 10, and logits of 1000 do no harm."


def exercise_2(answer: Any) -> str:
    """gradients(x, labels, weight, bias), with weight stored (classes, features)."""
    numbers = np.random.default_rng(2)
    x, weight = numbers.normal(size=(BATCH, FEATURES)), numbers.normal(size=(CLASSES, FEATURES))
    bias, labels = numbers.normal(size=CLASSES), numbers.integers(0, CLASSES, BATCH)
    got = called(answer, x, labels, weight, bias)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"expected two gradients, `(for_weight, for_bias)`, got {type(got).__name__}")
    p = softmax(x @ weight.T + bias)
    one_hot = np.eye(CLASSES)[labels]
    grad = (p - one_hot) / BATCH
    meanings = {BATCH: "divide by the batch", 1 / BATCH: "you divide by the batch twice"}
    for name, value, factor in (("weight", got[0], x), ("bias", got[1], np.ones((BATCH, 1)))):
        array = np.asarray(value, dtype="float64")
        for signal, message in (
            (
                p / BATCH,
                "the label does not come in: subtract 1 from the probability of the right class",
            ),
            (-one_hot / BATCH, "the probabilities do not come in"),
            (
                (softmax(x @ weight.T + bias, 0) - one_hot) / BATCH,
                "your softmax runs down the batch (axis 0)",
            ),
        ):
            wrong = signal.T @ factor
            if array.size == wrong.size and np.allclose(array.ravel(), wrong.ravel()):
                raise Wrong(f"the gradient of the {name}: {message}")
        if name == "bias" and array.shape == (BATCH, CLASSES):
            raise Wrong(
                "the gradient of the bias: sum over the batch: broadcasting stretched the bias over all images"
            )
        compare(
            value,
            grad.T @ x if name == "weight" else grad.sum(axis=0),
            f"the gradient of the {name}",
            meanings,
        )
    return "The same numbers as in the lesson, stored the other way round: frameworks differ here, and shapes tell."


def exercise_3(answer: Any) -> str:
    """first_layer_gradients(x, z, weight_2, for_logits)."""
    numbers = np.random.default_rng(3)
    x, z = numbers.normal(size=(BATCH, FEATURES)), numbers.normal(size=(BATCH, HIDDEN))
    weight_2, for_logits = (
        numbers.normal(size=(HIDDEN, CLASSES)),
        numbers.normal(size=(BATCH, CLASSES)) / BATCH,
    )
    got = called(answer, x, z, weight_2, for_logits)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(
            f"expected two gradients, `(for_weight_1, for_bias_1)`, got {type(got).__name__}"
        )
    for_h = for_logits @ weight_2.T
    for_z = for_h * (z > 0)
    meanings = {
        1 / BATCH: "`for_logits` is divided by the batch already",
        BATCH: "`for_logits` is divided by the batch already",
    }
    for name, value, factor in (
        ("first weight", got[0], x),
        ("first bias", got[1], np.ones((BATCH, 1))),
    ):
        array = np.asarray(value, dtype="float64")
        for signal, message in (
            (for_h, "the ReLU is missing: where z is below 0 nothing passes back"),
            (
                for_h * np.maximum(z, 0),
                "multiply by the slope of the ReLU, 0 or 1, not by its value",
            ),
            (
                for_h * (z < 0),
                "the ReLU passes back where z is above 0, and you have it the other way round",
            ),
        ):
            wrong = factor.T @ signal
            if array.size == wrong.size and np.allclose(array.ravel(), wrong.ravel()):
                raise Wrong(f"the gradient of the {name}: {message}")
        if name == "first bias" and array.shape == (BATCH, HIDDEN):
            raise Wrong(
                "the gradient of the first bias: sum over the batch: broadcasting stretched the bias over all images"
            )
        compare(
            value,
            x.T @ for_z if name == "first weight" else for_z.sum(axis=0),
            f"the gradient of the {name}",
            meanings,
        )
    return "Each layer only needed its own input and what came from above: the tape does this for any number of layers."
