"""The experiment's protocol, as one value: what to train on, in which order, and how to measure.

    from minidrop.paper.protocol import CAREFUL, PAPER

`PAPER` is what the published code did, as far as it can be known (Casallas, 2018, section III, and its repository); `CAREFUL`
is what one would do today. This file also implements them: the order of the images, and the batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, device_of, run_on, to_device
from ..datasets import Dataset
from ..datasets.loader import normalise as normalise
from ..errors import ArgumentError, did_you_mean
from ..random import Generator
from .settings import require_limits, setting


@dataclass(frozen=True)
class Protocol:
    """How a network is trained and measured.

    batch_size:        images per step of plain gradient descent
    learning_rate:     of that step
    mean_images:       the one number subtracted from every pixel is the mean over the first N training images; None: over all;
                       for CIFAR-10, cifar10_mean_images takes its place if given
    shuffle_buffer:    a pass draws from a buffer of N images (tf.data's `shuffle`); None: a full shuffle
    validation_share:  share of the training images held out to be measured on; 0: the test set is measured on
    evaluation_images: how many of those are measured; None: all
    evaluation_buffer: these are drawn through a shuffle buffer of N images, anew for each measurement: with a buffer of
                       100, 1,600 are 1,600 of the first 1,699; None: the first ones
    evaluate_every:    iterations between two measurements
    relu_logits:       a ReLU on the ten logits
    """

    name: str
    batch_size: int = 16
    learning_rate: float = 0.01
    mean_images: int | None = None
    cifar10_mean_images: int | None = None
    shuffle_buffer: int | None = None
    validation_share: float = 0.0
    evaluation_images: int | None = setting(
        None,
        "So many test images are measured; all if there are fewer.",
        least=1,
        optional=True,
        shown="as many as the protocol says",
    )
    evaluation_buffer: int | None = None
    evaluate_every: int = setting(1000, "Iterations between two measurements.", least=1, shown="1000, or a 40th of a short run")
    relu_logits: bool = False

    def __post_init__(self) -> None:
        require_limits(self)
        optional = ("mean_images", "cifar10_mean_images", "shuffle_buffer", "evaluation_buffer")
        for name in ("batch_size", *optional):
            value = getattr(self, name)
            good = (value is None and name in optional) or (isinstance(value, int) and value >= 1)
            self._require(name, good, "an integer from 1")
        self._require("learning_rate", self.learning_rate > 0, "a number above 0")
        share = self.validation_share  # every n-th image is held out
        good = share == 0 or (0 < share <= 0.5 and math.isclose(1 / share, round(1 / share)))
        self._require("validation_share", good, "0, 1/2, 1/3, ...")

    def _require(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ArgumentError(f"Protocol: bad {name}", expected=expected, got=repr(getattr(self, name)))


# The published protocol. Its "validation" images are test images, a 100-element buffer hardly shuffles (an image moves some
# hundred places in 60,000), the ReLU on the logits can kill a class forever. None of this is recommended; it is what was done.
# One difference remains: the program measured just before the step of an iteration, this code just after it.
PAPER = Protocol(
    name="paper",
    mean_images=1_000,
    cifar10_mean_images=10_000,
    shuffle_buffer=100,
    evaluation_images=1_600,  # 100 batches
    evaluation_buffer=100,
    relu_logits=True,
)

# The same steps, measured with care: the test images are neither used for choices nor watched during training.
CAREFUL = Protocol(name="careful", validation_share=0.1)

PROTOCOLS = {protocol.name: protocol for protocol in (PAPER, CAREFUL)}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises ArgumentError for any other."""
    if name not in PROTOCOLS:
        help = did_you_mean(str(name), PROTOCOLS)
        raise ArgumentError("unknown protocol", expected="one of " + ", ".join(PROTOCOLS), got=repr(name), help=help)
    return PROTOCOLS[name]


def split(protocol: Protocol, train: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
    """The images to train on, and those to measure on while training.

    With a validation share, every n-th training image is held out (n = 1 / share): the same ones for every seed and variant.
    With an evaluation buffer, all images that can come out of it are returned: `drawn` picks from them.
    """
    if not protocol.validation_share:
        measured = test
    else:
        held_out = np.arange(len(train)) % round(1 / protocol.validation_share) == 0
        train, measured = train.part(~held_out), train.part(held_out)
    images = protocol.evaluation_images
    return train, measured.part(slice(images and images + (protocol.evaluation_buffer or 0)))


def drawn(protocol: Protocol, measured: Dataset, generator: Generator) -> Dataset:
    """The images of one measurement, out of those that `split` returned."""
    if protocol.evaluation_buffer is None:
        return measured
    order = buffer_order(len(measured), protocol.evaluation_buffer, generator)
    return measured.part(order[: protocol.evaluation_images])


def pixel_mean(protocol: Protocol, train: Dataset) -> float:
    """The one number that is subtracted from every pixel, 0 to `train.maximum`."""
    count = (protocol.cifar10_mean_images if train.name == "cifar10" else None) or protocol.mean_images
    return float(train.images[:count].mean(dtype=np.float64))


def buffer_order(count: int, buffer: int, generator: Generator) -> Any:
    """-> (count,) the order in which tf.data's `shuffle(buffer)` returns 0 ... count - 1.

    The buffer is filled with the first images. At each step one of its places is drawn, and the image in it is replaced by
    the next one; the images left at the end come out in random order.
    """
    slots = np.arange(min(buffer, count))
    order = np.empty(count, dtype=np.int64)
    steady = count - len(slots)
    for step, slot in enumerate(generator.integers(0, max(len(slots), 1), steady).tolist()):
        order[step] = slots[slot]
        slots[slot] = len(slots) + step
    order[steady:] = slots[generator.permutation(len(slots))]
    return order


class Batches:
    """An endless stream of batches: (images float32 (N, C, H, W), labels int64 (N,)), on the device of the images.

    A batch that a pass cannot fill is completed from the next pass. `state_dict()` holds the place in the stream: the
    generator's counter at the start of the pass, and the position in it.
    """

    def __init__(self, data: Dataset, protocol: Protocol, mean: float, generator: Generator, device: str = "cpu") -> None:
        if len(data) < protocol.batch_size:
            raise ArgumentError("too few images", expected=f"at least a batch of {protocol.batch_size}", got=str(len(data)))
        self.images = to_device(data.images, device)
        self.labels = to_device(data.labels, device)
        self.maximum = data.maximum
        self.protocol = protocol
        self.mean = mean
        self.generator = generator
        self.start_pass()

    def start_pass(self) -> None:
        """Draw the order of a new pass."""
        self.pass_start = self.generator.state_dict()
        count, buffer = len(self.labels), self.protocol.shuffle_buffer
        self.order = self.generator.permutation(count) if buffer is None else buffer_order(count, buffer, self.generator)
        self.position = 0

    def next_indices(self) -> Any:
        """-> (batch_size,) which images come next."""
        size = self.protocol.batch_size
        taken = self.order[self.position : self.position + size]
        self.position += len(taken)
        if len(taken) < size:
            self.start_pass()
            self.position = size - len(taken)
            taken = np.concatenate([taken, self.order[: self.position]])
        return taken

    def __next__(self) -> tuple[Array, Array]:
        """The next batch."""
        indices = to_device(self.next_indices(), device_of(self.images))
        images, labels = run_on(self.images, self._take, indices)
        return images, labels

    def _take(self, indices: Array) -> tuple[Array, Array]:
        return normalise(self.images[indices], self.mean, self.maximum), self.labels[indices]

    def __iter__(self) -> Batches:
        return self

    def state_dict(self) -> dict[str, Any]:
        """{"pass_start": generator state, "position"}."""
        return {"pass_start": self.pass_start, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, as `state_dict` returned it."""
        self.generator.load_state_dict(state["pass_start"])
        self.start_pass()
        self.position = int(state["position"])
