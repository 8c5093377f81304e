"""softmax, log-softmax and softmax cross-entropy."""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Op
from .half import narrow, total, wide


def log_softmax(x: Array, axis: int) -> Array:
    """(shape) -> same: x - log(sum of e^x), with the maximum subtracted first so that nothing overflows; float16 in float32."""
    xp, x = array_module(x), wide(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


class Softmax(Op):
    """(shape) -> same: y = e^x / (sum of e^x along `axis`).  dL/dx = y (grad - sum of grad y along `axis`)."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        numbers = wide(x)
        powers = array_module(x).exp(numbers - numbers.max(axis=self.axis, keepdims=True))
        y = powers / powers.sum(axis=self.axis, keepdims=True)
        self.saved = (y,)
        return narrow(y, x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (narrow(y * (grad - (grad * y).sum(axis=self.axis, keepdims=True)), grad),)


class LogSoftmax(Op):
    """(shape) -> same: y = x - log(sum of e^x along `axis`).  dL/dx = grad - e^y * (sum of grad along `axis`)."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        y = log_softmax(x, self.axis)
        self.saved = (y,)
        return narrow(y, x)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (y,) = self.saved
        return (narrow(grad - array_module(y).exp(y) * total(grad, self.axis, keepdims=True), grad),)


class SoftmaxCrossEntropy(Op):
    """(N, K) logits, (N) labels -> (): the mean over the batch of -log softmax(logits)[label].

    dL/dlogits = (softmax - one-hot of the label) / N.  K equal logits give ln K: for K = 10, 2.3025851 (the loss of the
    paper's crashed network, Figure 3).
    """

    def __init__(self, labels: Array) -> None:
        self.labels = labels

    def forward(self, logits: Array) -> Array:
        xp = array_module(logits)
        self.saved = (self.labels,)
        self.log_probabilities = log_softmax(logits, axis=1)
        batch = xp.arange(logits.shape[0])
        return narrow(-self.log_probabilities[batch, self.labels].sum() / logits.shape[0], logits)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        xp = array_module(self.log_probabilities)
        (labels,) = self.saved
        count = labels.shape[0]
        difference = xp.exp(self.log_probabilities)
        difference[xp.arange(count), labels] -= 1
        return (narrow(difference * (wide(grad) / count), grad),)
