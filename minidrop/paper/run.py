"""One training run: everything that its result depends on.

from minidrop.paper.run import Run

Run(dataset="digits", variant="beta-scaled", iterations=2000)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..backend import normalise_device
from ..errors import ArgumentError
from .protocol import PAPER, Protocol
from .settings import require_limits, setting
from .variants import Variant


def usual_iterations(dataset: str) -> int:
    """How many iterations `minidrop reproduce` takes if none are named."""
    return 4000 if dataset == "digits" else 20_000


@dataclass(frozen=True)
class Run:
    """A run's settings: what its result depends on, and how it is executed, on which only the last bits depend.

    learning_rate, clip_norm: a number, or None for what the variant's name asks for, else the protocol's rate and no clipping
    (`number` says which it is). Raises ArgumentError for a setting outside its limits, an unknown variant, and where the name
    and the field ask for different numbers.
    """

    dataset: str = setting("digits", "digits needs no network; the others are downloaded.")
    network: str = setting(
        "lite", "published: what the paper's program trained; described: what its text describes; lite: small."
    )
    variant: str = "cnn"
    seed: int = 0
    iterations: int = setting(4000, "Training steps of each run.", least=1, shown="4000 on digits, else 20000")
    protocol: Protocol = PAPER
    checkpoint_every: int = setting(1000, "Iterations between two checkpoints.", least=1, shown="at every evaluation")
    on_divergence: str = setting(
        "continue",
        "A run whose loss is not finite, or whose logits are all equal: end it there, or train on.",
        choices=("stop", "continue"),
    )
    device: str = setting("cpu", "cpu, cuda, cuda:1, ...")
    cuda_graphs: bool = setting(False, "On a GPU, capture each run's step once and replay it.")
    record_steps: int = setting(0, "Keep so many steps before the first that goes wrong; 0: none.", least=0)
    learning_rate: float | None = setting(
        None,
        "What each step multiplies the gradient by.",
        above=0,
        optional=True,
        shown="the protocol's: 0.01",
    )
    clip_norm: float | None = setting(None, "Shorten longer gradients to this.", above=0, optional=True, shown="none")

    def __post_init__(self) -> None:
        require_limits(self)
        if normalise_device(self.device) == "cpu" and self.cuda_graphs:
            raise ArgumentError("Run: cuda_graphs without a GPU", expected='device="cuda"', got=f"device={self.device!r}")
        if not isinstance(self.protocol, Protocol):
            help = 'find_protocol("paper") is the published one'
            raise ArgumentError("Run: bad protocol", expected="a Protocol", got=repr(self.protocol), help=help)
        for name, asked in Variant(self.variant).numbers.items():
            if getattr(self, name, None) not in (None, asked):
                got = f"{name}={getattr(self, name)!r} and the variant {self.variant!r}"
                raise ArgumentError(f"Run: two values of {name}", expected="one of them", got=got)

    def number(self, name: str) -> float | None:
        """learning_rate or clip_norm as it is used: the field, else what the variant asks for, else the protocol's."""
        own: float | None = getattr(self, name)
        return Variant(self.variant).numbers.get(name, getattr(self.protocol, name, None)) if own is None else own

    @property
    def name(self) -> str:
        """The name of its files: variant and seed."""
        return f"{self.variant}_seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """The settings, JSON-serialisable."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Run:
        """The run that `to_dict` described; settings added since then have their defaults."""
        return Run(**{**values, "protocol": Protocol(**values["protocol"])})
