"""The meaning of a variant's name: `beta-scaled`, `alpha-slope=1.2`, `beta-scaled-detach-p_max=.95`, `cnn-learning_rate=1e-3`.

A name is a base (cnn, dropout, alpha or beta) and any number of options, joined by hyphens. `networks.py` builds them;
`composed`, `fused` and `swallow` are implemented in `as_published.py`.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import NamedTuple

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
KEYS = {option.partition("=")[0] for option in OPTIONS if "=" in option}
NUMBERS = {"cnn": set[str](), "dropout": set[str](), "alpha": {"slope"}, "beta": {"p_max", "c"}}


class Variant:
    """A parsed variant name: `base`, `options` as a set, and `numbers` by name.

    distribution: DropAlan's drop probability, which only the bases alpha and beta use.

    Raises ArgumentError for an unknown base or option, an option given twice, or one that the base does not support.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        parts = _parse(name)
        problems = _problems(parts)
        if problems:
            raise ArgumentError(
                f"unknown variant {name!r}",
                expected=f"{', '.join(VARIANTS)}, or a base with options: {', '.join(OPTIONS)}",
                got="; ".join(problems),
                help=_meant(name) or "a base, then options after hyphens: beta-scaled-detach, cnn-learning_rate=1e-3",
            )
        self.base, self.options = parts.base, {word for word in parts.words if "=" not in word}
        self.numbers = {key: value for key, text in parts.texts.items() if (value := _number(text)) is not None}
        own = {key: value for key, value in self.numbers.items() if key not in NUMBERS_FOR_ALL}
        self.distribution: Distribution = Beta(**own) if self.base == "beta" else Alpha(**own)

    def same_as(self, other: Variant) -> bool:
        """True if the two names mean the same: the order of options does not matter, nor how a number is written."""
        mine, theirs = (
            (one.base, one.options, repr(one.distribution), {key: one.numbers.get(key) for key in NUMBERS_FOR_ALL})
            for one in (self, other)
        )  # the distribution has its default numbers filled in: beta is beta-p_max=.999
        return mine == theirs


class _Parts(NamedTuple):
    """A name taken apart: its base, all options, and those with a number as {key: text}."""

    base: str
    words: list[str]
    texts: dict[str, str]


def _parse(name: str) -> _Parts:
    base, *words = re.split(r"(?<![\d.][eE])-", name)  # not at the hyphen of 1e-3
    return _Parts(base, words, dict(word.split("=", 1) for word in words if "=" in word))


def _problems(parts: _Parts) -> list[str]:
    """What is wrong with a name, a phrase each; [] if nothing is."""
    base, texts = parts.base, parts.texts
    options = {word for word in parts.words if "=" not in word}
    problems = [] if base in NUMBERS else [f"unknown base {base!r}"]
    problems += [f"unknown option {option!r}" for option in sorted(options - WORDS)]
    problems += [f"unknown option {key}=" for key in texts if key not in KEYS]
    if base in NUMBERS:
        plain = base in ("cnn", "dropout")  # these have no DropAlan to vary
        unfit = [repr(option) for option in sorted(options & WORDS - FOR_ALL)] if plain else []
        unfit += [f"{key}=" for key in texts if key in KEYS - NUMBERS_FOR_ALL - NUMBERS[base]]
        problems += [f"{option} does not go with {base}" for option in unfit]
    for key, text in texts.items():
        value = _number(text)
        if value is None:
            problems.append(f"{key}={text}: not a number like .95 or 1e-3")
        elif key in NUMBERS_FOR_ALL and not 0 < value < math.inf:
            problems.append(f"{key}={text}: not above 0")
    if len(parts.words) > len(options) + len(texts):
        problems.append("an option twice")
    if "detach" in options and "scaled" not in options:
        problems.append("detach without scaled")
    if "composed" in options and "expectation" in options:
        problems.append("the published code is the identity at inference: composed or expectation")
    if "scaled" in options and "expectation" in options:
        problems.append("the expectation of a scaled output is z: leave one out")
    return problems


def _meant(name: str) -> str:
    """For a name with its words misspelt, joined otherwise, or without a base: "did you mean 'beta-scaled'?"; else ""."""
    text = name.casefold()
    for key in KEYS:  # p-max=, learning rate=
        text = re.sub(key.replace("_", "[-_ ]?") + "=", key.replace("_", "~") + "=", text)
    joined = re.split(r"(?<![\d.]e)[- ]+", text)
    words = [word for one in joined for word in ([one] if "=" in one else one.split("_"))]
    found = []
    for word in words:
        own, equals, number = word.replace("~", "_").partition("=")
        close = difflib.get_close_matches(own, KEYS if equals else {*NUMBERS, *WORDS}, n=1)
        if not close:
            return ""
        found.append(close[0] + equals + number)
    options = dict.fromkeys(word for word in found if word not in NUMBERS)
    bases = [word for word in found if word in NUMBERS] or ["cnn", "beta", "alpha"]  # without one: the first that it goes with
    better = ("-".join([base, *options]) for base in bases)
    return next((f"did you mean {one!r}?" for one in better if one != name and not _problems(_parse(one))), "")


def _number(text: str) -> float | None:
    """`text` as a number, None unless it is in plain notation: no blanks, no _, no nan."""
    return float(text) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else None
