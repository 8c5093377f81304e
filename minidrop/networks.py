"""The paper's five networks, in two sizes, and the variants that its open questions ask for.

| stage | `paper` | `lite` |
|---|---|---|
| conv 1, ReLU, max-pool 2x2 | 64 filters 11x11 | 8 filters 5x5 |
| conv 2, ReLU, max-pool 2x2 | 64 filters 7x7 | 16 filters 3x3 |
| conv 3, ReLU, max-pool 2x2 | 64 filters 5x5 | 32 filters 3x3 |
| dense | 1000 units | 512 units |
| hidden stage | ReLU, ReLU and dropout, or DropAlan and no activation function | the same |
| dense | 10 logits (and a ReLU, as published) | the same |

In the code the max-pool comes before the ReLU: the two commute (the largest of max(x, 0) is max(largest x, 0), to the bit, and
so is the gradient), and the ReLU then has a quarter of the work.

All convolutions pad to 'same': without padding, as published, 32x32 images would shrink to nothing (28x28 ones too). Weights
start Glorot-uniform and biases at 0, as in Keras, the paper's framework (section III).

A variant's name is a base and any number of options, joined by hyphens: `beta-scaled`, `alpha-expectation`,
`beta-scaled-detach`, `beta-scaled-p_max=.95-linear`. What `composed`, `fused` and `swallow` bring is in `as_published.py`.
"""

from __future__ import annotations

import math
from typing import Any

from . import nn
from .as_published import ComposedDropAlan, FusedDense, SwallowingReLU
from .backend import Array, ones_like
from .errors import ArgumentError
from .module import Module, Sequential
from .ops.dropalan import Alpha, Beta, Distribution, keep_probability
from .random import Generator
from .tensor import Tensor, as_tensor

VARIANTS = ("cnn", "dropout", "alpha", "beta", "beta-scaled")  # the rows of Tables I and II, in their order

SIZES: dict[str, dict[str, Any]] = {
    "paper": {"filters": (64, 64, 64), "kernels": (11, 7, 5), "units": 1000},
    "lite": {"filters": (8, 16, 32), "kernels": (5, 3, 3), "units": 512},
}

DROPOUT_RATE = 0.5

OPTIONS = {
    "scaled": "output divided by k(z)",
    "detach": "with scaled: no gradient through k(z)",
    "expectation": "z k(z) at inference, in place of z; not with scaled",
    "relu": "a ReLU after DropAlan",
    "elu": "an ELU after DropAlan",
    "batchnorm": "batch norm after the dense layer, before the hidden stage",
    "composed": "DropAlan from elementary ops, as in the published code: NaN gradients at z = 0",
    "fused": "the dense layer's bias inside its sum, as fused kernels have it",
    "linear": "no ReLU on the logits, whatever the protocol says",
    "swallow": "ReLUs that turn NaN into 0",
    "p_max=.95": "beta's clip",
    "c=.1": "beta's c",
    "learning_rate=.001": "in place of the protocol's",
    "clip_norm=1": "gradients longer than this are shortened to it",
}
NUMBERS = {option.partition("=")[0] for option in OPTIONS if "=" in option}
FOR_ALL = {"batchnorm", "fused", "linear", "swallow", "learning_rate", "clip_norm"}  # options that do not need DropAlan


class Variant:
    """What a variant's name says: `base` (cnn, dropout, alpha or beta), the options, as a set, and numbers by name.

    distribution: DropAlan's drop probability, which only the bases alpha and beta use.

    Raises ArgumentError for a name that says nothing, says something twice, or asks for what the base cannot do.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.base, *words = name.split("-")
        self.options = {word for word in words if "=" not in word}
        numbers = {key: value for key, _, value in (word.partition("=") for word in words if "=" in word)}
        plain = self.base in ("cnn", "dropout")  # these have no DropAlan to vary
        allowed = FOR_ALL if plain else {word for word in OPTIONS if "=" not in word}
        problems = [] if plain or self.base in ("alpha", "beta") else [f"unknown base {self.base!r}"]
        problems += [f"{option!r} does not go with {self.base}" for option in sorted(self.options - allowed)]
        problems += [
            f"{key}= does not go with {self.base}"
            for key in numbers
            if key not in NUMBERS & FOR_ALL and (self.base != "beta" or key not in NUMBERS)
        ]
        problems += [f"{key}={value}: not a number like .95" for key, value in numbers.items() if _number(value) is None]
        if len(words) > len(self.options) + len(numbers):
            problems.append("an option twice")
        if "detach" in self.options and "scaled" not in self.options:
            problems.append("detach without scaled")
        if "composed" in self.options and "expectation" in self.options:
            problems.append("the published code is the identity at inference: composed or expectation")
        problems += [
            f"{key}={value}: not above 0"
            for key, value in numbers.items()
            if key in FOR_ALL and (number := _number(value)) is not None and not 0 < number < math.inf
        ]
        if "scaled" in self.options and "expectation" in self.options:
            problems.append("the expectation of a scaled output is z: leave one out")
        if problems:
            raise ArgumentError(
                f"unknown variant {name!r}",
                expected=f"{', '.join(VARIANTS)}, or a base with options: {', '.join(OPTIONS)}",
                got="; ".join(problems),
                help="for example beta-scaled-detach or alpha-expectation",
            )
        self.numbers = {key: float(value) for key, value in numbers.items()}
        of_beta = {key: value for key, value in self.numbers.items() if key not in FOR_ALL}
        self.distribution: Distribution = Beta(**of_beta) if self.base == "beta" else Alpha()

    def same_as(self, other: Variant) -> bool:
        """True if the two names say the same: the order of options does not matter, nor how a number is written."""
        return (self.base, self.options, self.numbers) == (other.base, other.options, other.numbers)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Network(Module):
    """(N, C, H, W) -> (N, classes) logits: three convolutions with pooling, a dense layer, the hidden stage, the logits.

    Convolutions, `dense` and `logits` draw their weights from `weights`, in this order, so that one seed starts every variant
    from the same weights; dropout and DropAlan draw their masks from `masks`.
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
        if size not in SIZES:
            raise ArgumentError("unknown network", expected="one of " + ", ".join(SIZES), got=repr(size))
        self.variant = Variant(variant)
        self.relu_logits = relu_logits and "linear" not in self.variant.options
        filters, kernels, units = SIZES[size]["filters"], SIZES[size]["kernels"], SIZES[size]["units"]
        channels, rows, columns = image_shape
        relu = SwallowingReLU if "swallow" in self.variant.options else nn.ReLU
        layers: list[Module] = []
        for count, kernel in zip(filters, kernels, strict=True):
            layers += [nn.Conv2d(channels, count, kernel, padding="same", generator=weights), nn.MaxPool2d(2), relu()]
            channels, rows, columns = count, rows // 2, columns // 2
        self.features = Sequential(*layers, nn.Flatten())
        self.dense = (FusedDense if "fused" in self.variant.options else nn.Dense)(
            channels * rows * columns, units, generator=weights
        )
        self.norm = nn.BatchNorm1d(units) if "batchnorm" in self.variant.options else None
        self.hidden = _hidden_stage(self.variant, masks)
        self.logits = nn.Dense(units, classes, generator=weights)
        self.relu = relu()
        self.watching = False  # True: `watched` holds the stages of the last forward pass, and what was added last to z
        self.watched: tuple[Array, ...] = ()

    def forward(self, *inputs: Any) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        return self.stages(*inputs)[-1]

    def stages(self, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, H, W) -> z (N, units), the hidden stage's input; its output (N, units); the logits (N, classes)."""
        z = self.dense(self.features(as_tensor(*inputs)))
        z = z if self.norm is None else self.norm(z)
        hidden = self.hidden(z)
        logits = self.logits(hidden)
        if self.relu_logits:
            logits = self.relu(logits)
        if self.watching:
            bias = self.dense.bias
            assert bias is not None
            added_last = self.dense.added_last if isinstance(self.dense, FusedDense) else bias.data.copy()
            self.watched = z.data, hidden.data, logits.data, added_last
        return z, hidden, logits

    def keep_probability(self, z: Array) -> Array:
        """(N, units) -> same: how likely each unit is kept in training."""
        if self.variant.base in ("cnn", "dropout"):
            return ones_like(z) * (1 if self.variant.base == "cnn" else 1 - DROPOUT_RATE)
        return keep_probability(z, self.variant.distribution)


def _hidden_stage(variant: Variant, masks: Generator) -> Sequential:
    """What stands between the dense layer and the logits."""
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
