"""The paper's five networks. The paper's text describes one convolutional network, its program trained another.

| stage | `published` | `described` | `lite` | `lite`, images below 20x20 |
|---|---|---|---|---|
| conv, max-pool 2x2, ReLU | 64 filters 7x7 | 64 filters 11x11 | 16 filters 7x7 | 16 filters 3x3 |
| conv, max-pool 2x2, ReLU | 64 filters 5x5 | 64 filters 7x7 | 32 filters 5x5 | 32 filters 2x2 |
| conv, max-pool 2x2, ReLU | | 64 filters 5x5 | | |
| padding | 'valid' (none) | 'same' | 'valid' | 'valid' |
| dense | 1000 units | 1000 units | 512 units | 512 units |
| hidden stage | ReLU; ReLU and dropout; or DropAlan | the same | the same | the same |
| dense | 10 logits (and a ReLU, as published) | the same | the same | the same |

Side of the image after each convolution and each pool, and the features that the dense layer gets:

| images | `published` | `described` | `lite` |
|---|---|---|---|
| CIFAR-10, 3x32x32 | 26, 13, 9, 4: 1,024 | 32, 16, 16, 8, 8, 4: 1,024 | 26, 13, 9, 4: 512 |
| MNIST, 1x28x28 | 22, 11, 7, 3: 576 | 28, 14, 14, 7, 7, 3: 576 | 22, 11, 7, 3: 288 |
| digits, 1x8x8 | too small | 8, 4, 4, 2, 2, 1: 64 | 6, 3, 2, 1: 32 |

`published` is what the program computes (`eager_mnist.py` in the author's repository): it calls the second convolution on the
image, so that the first one's result is discarded, and Keras pads nothing by default. The network of the text (section III)
cannot have run like that: without padding 32x32 images shrink to 22, 11, 5, 2, and then to nothing. `described` pads it to
'same'; by chance it ends with the same number of features. `lite` is a small network of the same form as `published`.

A 2x2 pool drops the last row and column where their number is odd, so nothing depends on pixels that only they cover. The
networks without padding therefore crop the image first, to 30x30 pixels for CIFAR-10 and 26x26 for MNIST, and compute sides of
24, 12, 8, 4 and 20, 10, 6, 3 in place of those above (`Size.seen`). Outputs and gradients are the same, with less work.

In the code the max-pool comes before the ReLU: the two commute (the largest of max(x, 0) is max(largest x, 0), to the bit, and
so is the gradient), and the ReLU then has a quarter of the work. Weights start Glorot-uniform and biases at 0, as in Keras.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import nn
from ..backend import Array, ones_like
from ..errors import ArgumentError, ShapeError, did_you_mean
from ..functional import dropalan
from ..nn.module import Module
from ..nn.sequential import Sequential
from ..ops.dropalan import keep_probability
from ..random import Generator
from ..tensor import Operand, Tensor, as_tensor
from .as_published import ComposedDropAlan, FusedDense, SwallowingReLU
from .variants import Variant

DROPOUT_RATE = 0.5
SMALL = 20  # pixels: `lite` has smaller kernels for images below that


class Size(NamedTuple):
    """What a network consists of: filters and kernel sizes of its convolutions, units of the dense layer, padding.

    small_kernels: in place of `kernels` for images whose shorter side is below SMALL.
    """

    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    units: int
    padding: int | str = 0
    small_kernels: tuple[int, ...] = ()

    def kernels_for(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The kernel sizes for images of (C, H, W)."""
        return self.small_kernels if self.small_kernels and min(image_shape[1:]) < SMALL else self.kernels

    def stages(self, image_shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """Images of (C, H, W) -> their (rows, columns) after each convolution and each pool, in order."""
        rows, columns = image_shape[1:]
        found = []
        for kernel in self.kernels_for(image_shape):
            if self.padding != "same":
                rows, columns = rows - kernel + 1, columns - kernel + 1
            found += [(rows, columns), (rows // 2, columns // 2)]
            rows, columns = rows // 2, columns // 2
        return found

    def seen(self, image_shape: tuple[int, ...]) -> tuple[int, int]:
        """Images of (C, H, W) -> how many of their rows and columns, from the first on, the output depends on.

        Without padding, nothing depends on pixels that are covered only by rows or columns that a pool drops.
        """
        if self.padding == "same":
            return image_shape[1], image_shape[2]
        rows, columns = self.stages(image_shape)[-1]
        for kernel in reversed(self.kernels_for(image_shape)):
            rows, columns = 2 * rows + kernel - 1, 2 * columns + kernel - 1
        return rows, columns


SIZES = {
    "published": Size((64, 64), (7, 5), 1000),
    "described": Size((64, 64, 64), (11, 7, 5), 1000, padding="same"),
    "lite": Size((16, 32), (7, 5), 512, small_kernels=(3, 2)),  # 32x32: some 150 to 250 steps/s on one core, depending on it
}


def find_size(name: str) -> Size:
    """The size of that name. Raises ArgumentError for any other; for `paper`, an earlier name, it names the replacements."""
    if name in SIZES:
        return SIZES[name]
    help = did_you_mean(str(name), SIZES) or "lite is the small one; published is the paper's, as its program computes it"
    problem = "unknown network"
    if name == "paper":
        problem = "there are two networks of the paper"
        help = (
            "published: two convolutions without padding, which the program trained, and all of the paper's numbers come from; "
            "described: the three of its text, padded to 'same', which `paper` once meant here"
        )
    raise ArgumentError(problem, expected="one of " + ", ".join(SIZES), got=repr(name), help=help)


class Network(Module):
    """(N, C, H, W) -> (N, classes) logits: convolutions with pooling, a dense layer, the hidden stage, the logits.

    Convolutions, `dense` and `logits` draw their weights from `weights`, in this order, so that for one seed every variant
    starts from the same weights; dropout and DropAlan draw their masks from `masks`.

    Raises ArgumentError for an unknown size or variant, and for images that the convolutions would shrink to nothing; `forward`
    raises ShapeError for a batch of images of another shape.
    """

    def __init__(
        self,
        size: str,
        variant: str,
        image_shape: tuple[int, ...],
        classes: int,
        weights: Generator,
        masks: Generator,
        relu_logits: bool = False,
    ) -> None:
        found = find_size(size)
        self.variant = Variant(variant)
        self.relu_logits = relu_logits and "linear" not in self.variant.options
        relu = SwallowingReLU if "swallow" in self.variant.options else nn.ReLU
        rows, columns = require_room(size, image_shape)
        self.image_shape = tuple(image_shape)
        seen = found.seen(image_shape)
        self.seen = None if seen == self.image_shape[1:] else seen
        layers: list[Module] = []
        channels = image_shape[0]
        for filters, kernel in zip(found.filters, found.kernels_for(image_shape), strict=True):
            layers += [nn.Conv2d(channels, filters, kernel, padding=found.padding, generator=weights), nn.MaxPool2d(2), relu()]
            channels = filters
        self.features = Sequential(*layers, nn.Flatten())
        dense = FusedDense if "fused" in self.variant.options else nn.Dense
        self.dense = dense(channels * rows * columns, found.units, generator=weights)
        self.norm = nn.BatchNorm1d(found.units) if "batchnorm" in self.variant.options else None
        self.hidden = _hidden_stage(self.variant, masks)
        self.logits = nn.Dense(found.units, classes, generator=weights)
        self.relu = relu()

    def forward(self, x: Operand) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        return self.stages(x)[-1]

    def stages(self, x: Operand) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, H, W) -> z (N, units), the hidden stage's input; its output (N, units); the logits (N, classes)."""
        images = as_tensor(x)
        if images.shape[1:] != self.image_shape:
            expected = f"(N, {', '.join(map(str, self.image_shape))})"
            raise ShapeError("the network was made for images of another shape", expected=expected, got=str(images.shape))
        if self.seen is not None:  # no output depends on the rest
            images = images[:, :, : self.seen[0], : self.seen[1]]
        z = self.dense(self.features(images))
        z = z if self.norm is None else self.norm(z)
        hidden = self.hidden(z)
        return z, hidden, self.answer(hidden)

    def answer(self, hidden: Tensor) -> Tensor:
        """The hidden stage's output (N, units) -> logits (N, classes)."""
        logits = self.logits(hidden)
        return self.relu(logits) if self.relu_logits else logits

    def by_expectation(self, z: Tensor) -> Tensor | None:
        """z (N, units) -> the logits (N, classes) if each unit of unscaled DropAlan passes on its mean, z k(z).

        None where ordinary inference already passes on the mean: scaled, or without DropAlan.
        """
        if self.variant.base in ("cnn", "dropout") or "scaled" in self.variant.options:
            return None
        mean = dropalan(z, self.variant.distribution, inference="expectation", training=False)
        for layer in self.hidden.layers[1:]:
            mean = layer(mean)
        return self.answer(mean)

    @property
    def added_last(self) -> Array:
        """The last summand of z in the last forward pass: (units) a bias, or (N, units) a part of the sum, if it is fused.

        Its size decides the spacing of the floats on which z can fall near 0 (`recorder.py`).
        """
        if self.norm is not None:
            return self.norm.bias.data
        if isinstance(self.dense, FusedDense):
            return self.dense.added_last
        assert self.dense.bias is not None
        return self.dense.bias.data

    def keep_probability(self, z: Array) -> Array:
        """(N, units) -> same: the probability that each unit is kept in training."""
        if self.variant.base in ("cnn", "dropout"):
            return ones_like(z) * (1 if self.variant.base == "cnn" else 1 - DROPOUT_RATE)
        return keep_probability(z, self.variant.distribution)


def require_room(size: str, image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Images of (C, H, W) -> the (rows, columns) that remain after all pools. Raises ArgumentError if nothing remains."""
    found = find_size(size)
    left = found.stages(image_shape)
    sides = [min(stage) for stage in left]
    if min(sides) < 1:
        kernels = " and ".join(f"{kernel}x{kernel}" for kernel in found.kernels_for(image_shape))
        first_empty = next(index for index, side in enumerate(sides) if side < 1)
        raise ArgumentError(
            f"the `{size}` network needs larger images",
            expected=f"images of which something is left after convolutions of {kernels}, each pooled by 2",
            got=f"{image_shape[1]}x{image_shape[2]}: a side of {', '.join(map(str, sides[: first_empty + 1]))}",
            help="--network lite takes small images, such as digits",
        )
    return left[-1]


def _hidden_stage(variant: Variant, masks: Generator) -> Sequential:
    """The layers between the dense layer and the logits."""
    relu = SwallowingReLU if "swallow" in variant.options else nn.ReLU
    if variant.base == "cnn":
        return Sequential(relu())
    if variant.base == "dropout":
        return Sequential(relu(), nn.Dropout(DROPOUT_RATE, generator=masks))
    scaled, through = "scaled" in variant.options, "detach" not in variant.options
    layers: list[Module] = [
        ComposedDropAlan(variant.distribution, scaled, through, generator=masks)
        if "composed" in variant.options
        else nn.DropAlan(
            variant.distribution,
            scaled=scaled,
            scale_gradient="through" if through else "detach",
            inference="expectation" if "expectation" in variant.options else "identity",
            generator=masks,
        )
    ]
    layers += [relu()] if "relu" in variant.options else []
    layers += [nn.ELU()] if "elu" in variant.options else []
    return Sequential(*layers)
