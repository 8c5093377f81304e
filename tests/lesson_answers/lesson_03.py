"""Wrong answers to the exercises of lesson 03, and what the checker must say of each."""

import numpy as np


def softmax(logits, axis=1):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def at_label(values, labels):
    return values[np.arange(len(labels)), labels]


def shifted_softmax(logits):
    return softmax(logits - logits.max(axis=1, keepdims=True))


def underflows(logits, labels):
    with np.errstate(divide="ignore"):
        return -np.log(at_label(shifted_softmax(logits), labels)).mean()


def overflows(logits, labels):
    return -np.log(at_label(softmax(logits), labels)).mean()


def signal(x, labels, weight, bias):
    return (softmax(x @ weight.T + bias) - np.eye(len(bias))[labels]) / len(x)


def classifier(change):
    """A wrong `gradients`, from what is done with the right signal."""
    return lambda x, labels, weight, bias: change(signal(x, labels, weight, bias), x)


def without_label(x, labels, weight, bias):
    p = softmax(x @ weight.T + bias) / len(x)
    return p.T @ x, p.sum(axis=0)


def down_the_batch(x, labels, weight, bias):
    grad = (softmax(x @ weight.T + bias, axis=0) - np.eye(len(bias))[labels]) / len(x)
    return grad.T @ x, grad.sum(axis=0)


def in_place(x, labels, weight, bias):
    bias += 1
    grad = signal(x, labels, weight, bias)
    return grad.T @ x, grad.sum(axis=0)


def hidden(gate):
    """A wrong `first_layer_gradients`, from what is done at the ReLU."""

    def function(x, z, weight_2, for_logits):
        for_z = gate(for_logits @ weight_2.T, z)
        return x.T @ for_z, for_z.sum(axis=0)

    return function


def hidden_with(finish):
    return lambda x, z, weight_2, for_logits: finish(x, for_logits @ weight_2.T * (z > 0))


WRONG = {
    "1": [
        (lambda logits, labels: -np.log(at_label(softmax(logits), labels)), "one loss per image"),
        (lambda logits, labels: -np.log(at_label(softmax(logits), labels)).sum(), "16 times too large: divide by the batch"),
        (
            lambda logits, labels: -np.log(at_label(softmax(logits), labels)).sum() / logits.size,
            "10 times too small: .*classes",
        ),
        (lambda logits, labels: -np.log2(at_label(softmax(logits), labels)).mean(), "bits"),
        (lambda logits, labels: -np.log10(at_label(softmax(logits), labels)).mean(), "base 10"),
        (lambda logits, labels: np.log(at_label(softmax(logits), labels)).mean(), "sign is wrong"),
        (lambda logits, labels: -np.log(at_label(softmax(logits, axis=0), labels)).mean(), "axis 0"),
        (lambda logits, labels: -at_label(softmax(logits), labels).mean(), "logarithm is missing"),
        (lambda logits, labels: -np.log(at_label(softmax(logits), labels).mean()), "mean of the logarithms"),
        (lambda logits, labels: -np.log(softmax(logits)), r"got shape \(16, 10\)"),
        (overflows, "e\\^1000 is inf"),
        (underflows, "1000 below another: .* got inf"),
        (lambda logits, labels: -np.log(at_label(shifted_softmax(logits), labels) + 1e-9).mean(), "you got 20.7"),
    ],
    "2": [
        (
            classifier(lambda grad, x: (16 * grad.T @ x, 16 * grad.sum(axis=0))),
            "weight: 16 times too large: divide by the batch",
        ),
        (classifier(lambda grad, x: (grad.T @ x, 16 * grad.sum(axis=0))), "bias: 16 times too large: divide by the batch"),
        (classifier(lambda grad, x: (grad.T @ x / 16, grad.mean(axis=0))), "divide by the batch twice"),
        (classifier(lambda grad, x: (x.T @ grad, grad.sum(axis=0))), "weight: transposed"),
        (classifier(lambda grad, x: (grad.T @ x, grad)), "stretched the bias"),
        (classifier(lambda grad, x: (grad.T @ x, grad.sum(axis=0, keepdims=True))), "right numbers in shape"),
        (classifier(lambda grad, x: (-grad.T @ x, -grad.sum(axis=0))), "sign is wrong"),
        (classifier(lambda grad, x: grad.T @ x), "expected two gradients"),
        (without_label, "label does not come in"),
        (down_the_batch, "axis 0"),
        (in_place, "argument number 4 in place"),
    ],
    "3": [
        (hidden(lambda for_h, z: for_h), "ReLU is missing"),
        (hidden(lambda for_h, z: for_h * np.maximum(z, 0)), "not by its value"),
        (hidden(lambda for_h, z: for_h * (z < 0)), "other way round"),
        (hidden(lambda for_h, z: for_h * (z > 0) / len(z)), "16 times too small: .*already"),
        (hidden_with(lambda x, for_z: (for_z.T @ x, for_z.sum(axis=0))), "transposed"),
        (hidden_with(lambda x, for_z: (x.T @ for_z, for_z)), "stretched the bias"),
        (hidden_with(lambda x, for_z: (x.T @ for_z, for_z.sum(axis=1))), r"expected shape \(5,\), got \(16,\)"),
    ],
}
