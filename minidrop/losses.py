"""Losses, and what they are made of. `functional.py` re-exports them."""

from __future__ import annotations

from typing import Any

from .guard import arguments, shapes
from .ops import loss
from .tensor import Operand, Tensor, apply, as_tensor


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """(shape) -> same: x - log(sum of e^x along `axis`); no overflow, however large x is."""
    x = as_tensor(x)
    along = shapes.one_axis("log_softmax", x.shape, axis, fewest=1)
    return apply(loss.LogSoftmax(along), x)


def softmax_cross_entropy(logits: Operand, labels: Any) -> Tensor:
    """(N, K) logits, (N) integer labels -> (): the mean over the batch of -log softmax(logits)[label], in nats.

    K equal logits give ln K. Raises ShapeError for wrong shapes or an empty batch, DTypeError for labels that are not
    integers, ArgumentError for labels outside 0 ... K - 1.
    """
    logits = as_tensor(logits)
    name = "softmax_cross_entropy"
    arguments.require_rank(name, "logits", logits.shape, "(N, K)")
    arguments.require_batch(name, logits.shape)
    batch, classes = logits.shape
    checked = arguments.class_labels(name, labels, batch, classes, logits.device)
    return apply(loss.SoftmaxCrossEntropy(checked), logits)
