"""Solutions of lesson 03. ANSWERS says which is which."""

import numpy as np


def cross_entropy(logits, labels):
    """The mean of -log softmax at the label, with the largest logit taken out so that nothing overflows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels].mean()


def gradients(x, labels, weight, bias):
    """logits = x @ weight.T + bias; the gradient of the logits is (softmax - one-hot) / N."""
    logits = x @ weight.T + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    grad = exponentials / exponentials.sum(axis=1, keepdims=True)
    grad[np.arange(len(labels)), labels] -= 1
    grad /= len(labels)
    return grad.T @ x, grad.sum(axis=0)


def first_layer_gradients(x, z, weight_2, for_logits):
    """Back through the second layer, through the ReLU, into the first layer."""
    for_hidden = for_logits @ weight_2.T
    for_z = for_hidden * (z > 0)
    return x.T @ for_z, for_z.sum(axis=0)


ANSWERS = {"1": cross_entropy, "2": gradients, "3": first_layer_gradients}
