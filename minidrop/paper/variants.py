"""The meaning of a variant's name: `beta-scaled`, `alpha-slope=1.2`, `beta-scaled-detach-p_max=.95`, `cnn-learning_rate=1e-3`.

A name is a base (cnn, dropout, alpha or beta) and any number of options, joined by hyphens. `networks.py` builds them;
`composed`, `fused` and `swallow` are implemented in `as_published.py`.
"""

from __future__ import annotations

import math
import re

from ..errors import ArgumentError
from ..ops.dropalan import Alpha, Beta, Distribution

VARIANTS = ("cnn", "dropout", "alpha", "beta", "beta-scaled")  # the rows of Tables I and II, in their order

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
    "slope=1.2": "alpha's slope; 0: never dropped",
    "p_max=.95": "beta's clip; 0: never dropped",
    "c=.1": "beta's c",
    "learning_rate=1e-3": "in place of the protocol's",
    "clip_norm=1": "gradients longer than this are shortened to it",
}
WORDS = {option for option in OPTIONS if "=" not in option}
FOR_ALL = {"batchnorm", "fused", "linear", "swallow"}  # options that do not need DropAlan
NUMBERS_FOR_ALL = {"learning_rate", "clip_norm"}
NUMBERS = {"cnn": set[str](), "dropout": set[str](), "alpha": {"slope"}, "beta": {"p_max", "c"}}


class Variant:
    """A parsed variant name: `base`, `options` as a set, and `numbers` by name.

    distribution: DropAlan's drop probability, which only the bases alpha and beta use.

    Raises ArgumentError for an unknown base or option, an option given twice, or one that the base does not support.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.base, *words = re.split(r"(?<![\d.][eE])-", name)  # not at the hyphen of 1e-3
        self.options = {word for word in words if "=" not in word}
        texts = dict(word.split("=", 1) for word in words if "=" in word)
        values = {key: _number(text) for key, text in texts.items()}
        problems = self._problems(len(words), texts, values)
        if problems:
            raise ArgumentError(
                f"unknown variant {name!r}",
                expected=f"{', '.join(VARIANTS)}, or a base with options: {', '.join(OPTIONS)}",
                got="; ".join(problems),
                help="for example beta-scaled-detach or alpha-expectation",
            )
        self.numbers = {key: value for key, value in values.items() if value is not None}
        own = {key: value for key, value in self.numbers.items() if key not in NUMBERS_FOR_ALL}
        self.distribution: Distribution = Beta(**own) if self.base == "beta" else Alpha(**own)

    def _problems(self, words: int, texts: dict[str, str], values: dict[str, float | None]) -> list[str]:
        """What is wrong with the name, a phrase each; [] if nothing is."""
        plain = self.base in ("cnn", "dropout")  # these have no DropAlan to vary
        problems = [] if self.base in NUMBERS else [f"unknown base {self.base!r}"]
        unfit = sorted(self.options - (FOR_ALL if plain else WORDS))
        problems += [f"{option!r} does not go with {self.base}" for option in unfit]
        allowed = NUMBERS_FOR_ALL | NUMBERS.get(self.base, set())
        problems += [f"{key}= does not go with {self.base}" for key in texts if key not in allowed]
        for key, value in values.items():
            if value is None:
                problems.append(f"{key}={texts[key]}: not a number like .95 or 1e-3")
            elif key in NUMBERS_FOR_ALL and not 0 < value < math.inf:
                problems.append(f"{key}={texts[key]}: not above 0")
        if words > len(self.options) + len(texts):
            problems.append("an option twice")
        if "detach" in self.options and "scaled" not in self.options:
            problems.append("detach without scaled")
        if "composed" in self.options and "expectation" in self.options:
            problems.append("the published code is the identity at inference: composed or expectation")
        if "scaled" in self.options and "expectation" in self.options:
            problems.append("the expectation of a scaled output is z: leave one out")
        return problems

    def same_as(self, other: Variant) -> bool:
        """True if the two names mean the same: the order of options does not matter, nor how a number is written."""
        mine, theirs = (
            (one.base, one.options, repr(one.distribution), {key: one.numbers.get(key) for key in NUMBERS_FOR_ALL})
            for one in (self, other)
        )  # the distribution has its default numbers filled in: beta is beta-p_max=.999
        return mine == theirs


def _number(text: str) -> float | None:
    """`text` as a number, None unless it is in plain notation: no blanks, no _, no nan."""
    return float(text) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else None
