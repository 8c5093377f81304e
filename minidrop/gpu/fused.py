"""The ops and functions that have their own GPU kernel, and how it is called: the table FUSED.

An op written in array calls launches one small kernel per call. Its twin here is a subclass that launches one, or fewer.
`forward` in `guard/doors.py` turns an op on a GPU into its twin before it runs; the code in `ops/` does not depend on this.
"""

from __future__ import annotations

from typing import Any

from .. import optim, random
from ..backend import FUSED, Array, array_module, current_capture
from ..ops.activation import Relu
from ..ops.conv import ALGORITHMS, Conv2d
from ..ops.dropalan import Alpha, Beta, DropAlan
from ..ops.dropout import Dropout
from ..ops.fourier import Conv2dFourier
from ..ops.loss import SoftmaxCrossEntropy
from ..ops.mixed import Conv2dMixed
from ..ops.pool import MaxPool2d
from . import draws, kernels, sgd


class FusedRelu(Relu):
    """`Relu` in one kernel, which also records which elements are positive."""

    def forward(self, x: Array) -> Array:
        if not self.needs_grad[0]:
            return super().forward(x)
        xp = array_module(x)
        y, self.positive = xp.empty_like(x), xp.empty_like(x, dtype=bool)
        kernels.run("relu", x, y, self.positive)
        return y


class FusedDropout(Dropout):
    """`Dropout` in one kernel each way, with the same draws; forward with a given mask is array code."""

    def forward(self, x: Array) -> Array:
        if self.mask is not None:
            return super().forward(x)
        y, self.mask, self.factor = (array_module(x).empty_like(x) for _ in range(3))
        stream = draws.stream(self.generator, x, x.size)
        kernels.run("dropout", *stream, x, 1 - self.rate, self.scale, y, self.mask, self.factor)
        self.saved = (self.mask,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (times_kept(grad, self.factor),)


class FusedDropAlan(DropAlan):
    """`DropAlan` of the paper's distributions in one kernel each way, with the same draws: forward computes dy/dz too."""

    dy_dz: Array = None

    def forward(self, z: Array) -> Array:
        p = self.distribution
        if self.mask is not None or type(p) not in (Alpha, Beta):  # a subclass may compute something else
            return super().forward(z)
        if isinstance(p, Alpha):
            kernel, numbers = "dropalan_alpha", (p.slope, p.limit)
        elif isinstance(p, Beta):
            kernel, numbers = "dropalan_beta", (p.c, p.p_max)
        y, self.mask, self.dy_dz = (array_module(z).empty_like(z) for _ in range(3))
        stream = draws.stream(self.generator, z, z.size)
        kernels.run(kernel, *stream, z, self.scaled, self.through, *numbers, y, self.mask, self.dy_dz)
        self.saved = (self.mask,)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return super().backward(grad) if self.dy_dz is None else (times_kept(grad, self.dy_dz),)


class FusedMaxPool2d(MaxPool2d):
    """`MaxPool2d` in one kernel each way; forward also records the place of each maximum in its window."""

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        image = xp.ascontiguousarray(x.transpose(2, 3, 0, 1))  # no copy for the output of a convolution
        height, width, images, channels = image.shape
        output = self.output(x.shape)
        y = xp.empty((*output, images, channels), dtype=x.dtype)
        self.place = xp.empty(y.shape, dtype="int32")
        self.sizes = height, width, images, channels
        kernels.run("max_pool", image, width, images * channels, output[1], *self.kernel, *self.stride, y, self.place)
        return y.transpose(2, 3, 0, 1)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        xp = array_module(grad)
        grad = xp.ascontiguousarray(grad.transpose(2, 3, 0, 1))
        _, width, images, channels = self.sizes
        sizes = width, images * channels, *grad.shape[:2], *self.kernel, *self.stride
        grad_x = kernels.run("max_pool_gradient", grad, self.place, *sizes, xp.empty(self.sizes, dtype=grad.dtype))
        return (grad_x.transpose(2, 3, 0, 1),)


class FusedSoftmaxCrossEntropy(SoftmaxCrossEntropy):
    """`SoftmaxCrossEntropy`: a kernel with one thread per row, then the sum over the batch; one kernel backward."""

    def forward(self, logits: Array) -> Array:
        xp = array_module(logits)
        batch, classes = logits.shape
        self.saved = (self.labels,)
        self.int64_labels = xp.ascontiguousarray(self.labels.astype("int64", copy=False))
        self.log_probabilities = xp.empty((batch, classes), dtype=logits.dtype)
        losses = xp.empty(batch, dtype=logits.dtype)
        arguments = xp.ascontiguousarray(logits), self.int64_labels, classes, batch
        kernels.run("softmax_cross_entropy", *arguments, losses, self.log_probabilities)
        return losses.sum()

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        y = array_module(grad).empty_like(self.log_probabilities)
        batch, classes = y.shape
        arguments = self.log_probabilities, self.int64_labels, classes, batch, grad.reshape(1)
        return (kernels.run("softmax_cross_entropy_gradient", *arguments, y),)


class FusedConv2dFourier(Conv2dFourier):
    """`Conv2dFourier`, with kernels for the steps between its matrix products."""

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y = super().forward(x, weight, bias)
        keep_for_replays(self.matrices)
        return y

    def in_quarters(self, parts: Array) -> Array:
        """(B, L, 2, N, C) -> (B, L, 2 N, 2 C)."""
        frequencies, length, _, rows, columns = parts.shape
        quarters = array_module(parts).empty((frequencies, length, 2, rows, 2, columns), dtype=parts.dtype)
        kernels.run("in_quarters", parts, rows, columns, quarters)
        return quarters.reshape(frequencies, length, 2 * rows, 2 * columns)

    def times_conjugate(self, four: Array, rows: int, columns: int) -> Array:
        """(B, L, 2 N, 2 C) -> (B, L, 2, N, C)."""
        product = array_module(four).empty((*four.shape[:2], 2, rows, columns), dtype=four.dtype)
        return kernels.run("times_conjugate", four, rows, columns, product)


class FusedConv2dMixed(Conv2dMixed):
    """`Conv2dMixed`, whose matrices a CUDA graph may read."""

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y = super().forward(x, weight, bias)
        keep_for_replays(self.matrices)
        return y


class FusedConv2d(Conv2d):
    """`Conv2d` with the two classes above among its algorithms."""

    ways = {**ALGORITHMS, "fourier": FusedConv2dFourier, "mixed": FusedConv2dMixed}  # noqa: RUF012


def keep_for_replays(matrices: Any) -> None:
    """A CUDA graph reads these again at each replay, when the cache that they come from may have dropped them."""
    if (capture := current_capture()) is not None:
        capture.kept.append(matrices)


def times_kept(values: Array, factor: Array) -> Array:
    """(any shape) -> same: `ops.dropout.times_kept` in one kernel."""
    return kernels.run("times_kept", values, factor, array_module(values).empty_like(values))


TWINS: dict[type, type] = {
    Relu: FusedRelu,
    Dropout: FusedDropout,
    DropAlan: FusedDropAlan,
    MaxPool2d: FusedMaxPool2d,
    SoftmaxCrossEntropy: FusedSoftmaxCrossEntropy,
    Conv2d: FusedConv2d,
    Conv2dFourier: FusedConv2dFourier,
    Conv2dMixed: FusedConv2dMixed,
}
FUNCTIONS: dict[Any, Any] = {
    random.words: draws.words,
    random.bernoulli: draws.bernoulli,
    optim.SGD: sgd.step,
}
for op, twin in TWINS.items():
    twin.name = op.name  # type: ignore[attr-defined]
FUSED.update({**TWINS, **FUNCTIONS})
