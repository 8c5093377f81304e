"""Losses, and what they are made of. `functional.py` re-exports them."""

from __future__ import annotations

import math
from typing import Any

from .backend import Array, array_module, has_kernels, is_array, run_on
from .errors import ArgumentError
from .functions import where
from .guard import arguments, shapes
from .guard.labels import class_labels, kept_labels, may_hold_true, unread, usable_labels
from .ops import loss
from .tensor import Operand, Tensor, apply, as_tensor

REDUCTIONS = ("mean", "sum", "none")


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """(shape) -> same: x - log(sum of e^x along `axis`); no overflow, however large x is."""
    x = as_tensor(x)
    arguments.require_floating("log_softmax", x.dtype)
    along = shapes.one_axis("log_softmax", x.shape, axis, fewest=1)
    return apply(loss.LogSoftmax(along), x)


def softmax_cross_entropy(logits: Operand, labels: Any) -> Tensor:
    """(N, K) logits, (N) integer labels -> (): the mean over the batch of -log softmax(logits)[label], in nats.

    K equal logits give ln K. Raises ShapeError for wrong shapes or an empty batch, DTypeError for labels that are not
    integers, ArgumentError for labels outside 0 ... K - 1. Labels that are on a GPU are not read back: there, outside
    `detect_anomaly`, such a label makes the loss NaN.
    """
    logits = as_tensor(logits)
    name = "softmax_cross_entropy"
    arguments.require_floating(name, logits.dtype)
    arguments.require_rank(name, "logits", logits.shape, "(N, K)")
    arguments.require_batch(name, logits.shape)
    batch, classes = logits.shape
    return _mean_of(logits, class_labels(name, labels, batch, classes, logits.device))


def cross_entropy(
    logits: Operand, labels: Any, reduction: str = "mean", ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    """(N, K) logits, (N) integer labels -> (), or (N) without reduction: -log softmax(logits)[label], in nats.

    reduction: "mean" of the examples, "sum", or "none". Examples with the label `ignore_index` cost 0, and the mean leaves them
    out. label_smoothing s: the label is right with probability 1 - s only, and any of the K classes, the label among them, with
    s / K each. With the defaults, and no label ignored, this is `softmax_cross_entropy`, bit for bit (to rounding for labels
    on a GPU, of which that is not known).
    Raises what that raises; and ArgumentError if the mean has no example left (PyTorch: NaN; here too, for labels on a GPU).
    """
    name = "cross_entropy"
    logits = as_tensor(logits)
    arguments.require_floating(name, logits.dtype)
    arguments.require_rank(name, "logits", logits.shape, "(N, K)")
    smoothing = arguments.probability(name, "label_smoothing", label_smoothing)
    checked, kept = _labels(name, labels, logits, reduction, ignore_index)
    if reduction == "mean" and smoothing == 0 and kept is None:
        return _mean_of(logits, checked)
    log_probabilities = log_softmax(logits, axis=1)
    losses = _of_the_labels(log_probabilities, checked)
    if smoothing > 0:
        losses = (1 - smoothing) * losses - smoothing * log_probabilities.mean(axis=1)
    return _reduced(losses, reduction, kept)


def nll_loss(log_probabilities: Operand, labels: Any, reduction: str = "mean", ignore_index: int = -100) -> Tensor:
    """(N, K) log-probabilities, (N) integer labels -> (), or (N) without reduction: -log_probabilities[label].

    The arguments are those of `cross_entropy`, which is this loss of log_softmax(logits).
    """
    name = "nll_loss"
    log_probabilities = as_tensor(log_probabilities)
    arguments.require_floating(name, log_probabilities.dtype)
    arguments.require_rank(name, "log_probabilities", log_probabilities.shape, "(N, K)")
    checked, kept = _labels(name, labels, log_probabilities, reduction, ignore_index)
    return _reduced(_of_the_labels(log_probabilities, checked), reduction, kept)


def mse_loss(predictions: Operand, targets: Operand, reduction: str = "mean") -> Tensor:
    """(shape), (same shape) -> (), or (shape) without reduction: (prediction - target)^2; reduction "mean", "sum" or "none"."""
    predictions, targets = _pair("mse_loss", "predictions", predictions, targets, reduction)
    arguments.require_floating("mse_loss", predictions.dtype)
    difference = predictions - targets
    return _reduced(difference * difference, reduction)


def binary_cross_entropy_with_logits(logits: Operand, targets: Operand, reduction: str = "mean") -> Tensor:
    """(shape), (same shape) of 0 ... 1 -> (), or (shape) without reduction: -y log p - (1 - y) log(1 - p), p = sigmoid(x).

    x: the logit, y: the target. Computed as y softplus(-x) + (1 - y) softplus(x): neither overflows, and both keep their digits
    however large |x| is. The gradient is p - y. reduction: "mean", "sum" or "none".
    """
    x, y = _pair("binary_cross_entropy_with_logits", "logits", logits, targets, reduction)
    arguments.require_floating("binary_cross_entropy_with_logits", x.dtype)
    y = y.astype(x.dtype) if y.dtype.kind == "b" else y
    return _reduced(y * (-x).softplus() + (1 - y) * x.softplus(), reduction)


def _pair(name: str, first: str, x: Operand, targets: Operand, reduction: str) -> tuple[Tensor, Tensor]:
    """Both as tensors; a list or a number takes the type and device of the first."""
    arguments.require_choice(name, "reduction", reduction, REDUCTIONS)
    x = as_tensor(x)
    if not isinstance(targets, Tensor) and not is_array(targets):
        targets = Tensor(targets, dtype=x.dtype if x.dtype.kind == "f" else None).to(x.device)
    targets = as_tensor(targets)
    arguments.require_same_shape(name, first, x.shape, "targets", targets.shape)
    return x, targets


def _labels(name: str, labels: Any, x: Tensor, reduction: str, ignore_index: int) -> tuple[Array, Array | None]:
    """The labels, and which of them count (None: all)."""
    arguments.require_choice(name, "reduction", reduction, REDUCTIONS)
    arguments.require_batch(name, x.shape)
    batch, classes = x.shape
    checked, kept = kept_labels(name, labels, batch, classes, x.device, ignore_index)
    if kept is not None and reduction == "mean" and not may_hold_true(kept):
        raise ArgumentError(
            f"{name}: every label is ignored",
            expected="at least one example that counts",
            got=f"{len(kept)} labels {ignore_index}",
            help='the mean would be 0 / 0; reduction="sum" gives 0',
        )
    return checked, kept


def _mean_of(logits: Tensor, labels: Array) -> Tensor:
    """(N, K), (N) -> (): the op; NaN for an unread label out of range, as its kernel gives it, where there is no kernel."""
    if not unread(labels) or has_kernels(logits.data):
        return apply(loss.SoftmaxCrossEntropy(labels), logits)
    valid, usable = run_on(labels, usable_labels, labels, logits.shape[1])
    return where(run_on(valid, valid.all), apply(loss.SoftmaxCrossEntropy(usable), logits), math.nan)


def _of_the_labels(log_probabilities: Tensor, labels: Array) -> Tensor:
    """(N, K), (N) -> (N): minus the number at each label; NaN for an unread one out of range, which CuPy would wrap around."""
    rows = run_on(labels, array_module(labels).arange, len(labels))
    if not unread(labels):
        return -log_probabilities[rows, labels]
    valid, usable = run_on(labels, usable_labels, labels, log_probabilities.shape[1])
    return where(valid, -log_probabilities[rows, usable], math.nan)


def _reduced(losses: Tensor, reduction: str, kept: Array | None = None) -> Tensor:
    """(shape) -> () or (shape); `kept`: which losses count."""
    if kept is not None:
        losses = where(kept, losses, 0.0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if kept is None:
        return losses.mean()
    widened = losses.astype("float32") if losses.dtype == "float16" else losses
    mean = widened.sum() / Tensor(kept).astype(widened.dtype).sum()
    return mean.astype("float16") if losses.dtype == "float16" else mean
