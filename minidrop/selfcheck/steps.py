"""Training steps on a GPU: op by op against the CPU, captured against op by op, two at once; how many there are in a second."""

from __future__ import annotations

import functools
import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import functional as F, optim
from ..backend import array_module, empty_on, run_on, to_device
from ..capture import CapturedStep, capture, together
from ..paper.networks import Network
from ..random import Generator
from ..tensor import Tensor
from ..threads import get_threads
from .ops import Found, Wrong

STEPS = 8  # of a captured step three are run op by op, and the others are replays
AS_ON_CPU, AS_OP_BY_OP = 1e-4, 1e-5  # relative: of losses, after STEPS steps of float32
BATCH = 16
SMALL, CIFAR = (1, 8, 8), (3, 32, 32)
CLASSES = 10
TURNS = 5
TURN_SECONDS = 0.4  # of one way in one turn
WARM_UP_STEPS = 5  # three op by op, the capture, a replay


def training(size: str, image: tuple[int, ...], device: str, seed: int = 0) -> Callable[..., Tensor]:
    """(images, labels) -> loss: a training step of a new network with dropout, whose masks follow from the seed too."""
    seeds = Generator(seed)
    network = Network(size, "dropout", image, CLASSES, seeds.spawn(), seeds.spawn()).to(device)
    optimizer = optim.SGD(network.parameters(), lr=0.05, momentum=0.9)

    def step(images: Any, labels: Any) -> Tensor:
        loss = F.softmax_cross_entropy(network(Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def batches(image: tuple[int, ...], device: str, count: int) -> list[tuple[Any, Any]]:
    """Random images and labels."""
    random = np.random.default_rng(0)
    drawn = [(random.random((BATCH, *image)).astype("float32"), random.integers(0, CLASSES, BATCH)) for _ in range(count)]
    return [(to_device(images, device), to_device(labels, device)) for images, labels in drawn]


def losses(step: Callable[..., Tensor], device: str) -> list[float]:
    """The loss at each step."""
    return [float(step(*batch).item()) for batch in batches(SMALL, device, STEPS)]


def apart(got: Sequence[float], expected: Sequence[float]) -> float:
    """The largest relative difference; inf if one is not finite."""
    largest = max(abs(one - other) / abs(other) for one, other in zip(got, expected, strict=True))
    return largest if math.isfinite(largest) else math.inf


def training_steps(device: str) -> Found:
    """Steps op by op, against the CPU's."""
    expected, got = (losses(training("lite", SMALL, where), where) for where in ("cpu", device))
    numbers = {"cpu": expected, "gpu": got}
    text = f"{STEPS} steps of `lite`: losses differ by {apart(got, expected):.0e} from the CPU's"
    if not apart(got, expected) <= AS_ON_CPU:
        raise Wrong(f"{text}, limit {AS_ON_CPU:.0e}", numbers)
    return Found(text, numbers)


def captured_step(device: str) -> Found:
    """A captured step, replayed, against the step op by op."""
    expected = losses(training("lite", SMALL, device), device)
    step = capture(training("lite", SMALL, device))
    got = quietly(lambda: losses(step, device))
    numbers = {"op by op": expected, "captured": got}
    require_graph(step, numbers)
    replays = STEPS - step.warm_up
    text = f"{replays} replays: losses differ by {apart(got, expected):.0e} from op by op"
    if not apart(got, expected) <= AS_OP_BY_OP:
        raise Wrong(f"{text}, limit {AS_OP_BY_OP:.0e}", numbers)
    return Found(text, numbers)


def replicas(device: str) -> Found:
    """Two replicas at once, against each alone."""
    seeds = (1, 2)
    expected = [losses(training("lite", SMALL, device, seed), device) for seed in seeds]
    steps = [capture(training("lite", SMALL, device, seed)) for seed in seeds]
    given = batches(SMALL, device, STEPS)
    found = quietly(lambda: [[float(loss.item()) for loss in together(steps, [batch] * 2)] for batch in given])
    got = [list(course) for course in zip(*found, strict=True)]
    numbers = {"alone": expected, "together": got}
    for step in steps:
        require_graph(step, numbers)
    largest = max(map(apart, got, expected))
    text = f"two replicas: losses differ by {largest:.0e} from each alone"
    if not largest <= AS_OP_BY_OP:
        raise Wrong(f"{text}, limit {AS_OP_BY_OP:.0e}", numbers)
    return Found(text, numbers)


def quietly(run: Callable[[], Any]) -> Any:
    """run(), without the warning that a step was not captured: `require_graph` says it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "capture:", RuntimeWarning)
        return run()


def require_graph(step: CapturedStep, numbers: dict[str, Any]) -> None:
    """Raise unless the step was captured."""
    if step.graph is None:
        raise Wrong(f"the step was not captured: {step.reason or 'no reason given'}", {**numbers, "reason": step.reason})


class Way:
    """One way to run the step that is timed."""

    def __init__(self, name: str, device: str, step: Any) -> None:
        self.name, self.step = name, step
        self.where = empty_on(device)
        self.batch = batches(CIFAR, device, 1)[0]
        self.rates: list[float] = []  # steps per second, a number per turn
        self.loss: Any = None
        self.in_a_turn = 0
        self.note = ""

    def run(self, steps: int) -> float:
        """That many steps -> seconds, until the GPU is done."""
        start = time.perf_counter()
        for _ in range(steps):
            self.loss = self.step(*self.batch)
        if self.where.__class__ is not np.ndarray:
            run_on(self.where, lambda: array_module(self.where).cuda.get_current_stream().synchronize())
        return time.perf_counter() - start

    def warm_up(self, until: float) -> None:
        """What is made on first use; then how many steps make a turn. Gives up at `until`."""
        for done in range(1, WARM_UP_STEPS + 1):
            seconds = self.run(1)
            if time.perf_counter() > until and done < WARM_UP_STEPS:
                self.note = f"not measured: step {done} took {seconds:.1f} s"
                return
        if isinstance(self.step, CapturedStep) and self.step.graph is None:
            self.note = f"not captured: {self.step.reason}"
            return
        self.in_a_turn = max(1, min(1000, round(TURN_SECONDS / seconds)))

    def turn(self) -> None:
        """One turn."""
        self.rates.append(self.in_a_turn / self.run(self.in_a_turn))


def speed(device: str, seconds: float) -> Found:
    """Training steps per second of `published` on CPU and GPU; it stops after about that many seconds."""
    threads = get_threads()
    ways = [
        Way(f"CPU, {threads} thread{'s' if threads > 1 else ''}", "cpu", training("published", CIFAR, "cpu")),
        Way("GPU, op by op", device, training("published", CIFAR, device)),
        Way("GPU, CUDA graph", device, capture(training("published", CIFAR, device))),
    ]
    start = time.perf_counter()
    for number, way in enumerate(ways, 1):  # a quarter of the time for each, the last one for the turns
        quietly(functools.partial(way.warm_up, start + 0.25 * seconds * number))
    running = [way for way in ways if way.in_a_turn]
    for _ in range(TURNS):
        for way in running:
            if not way.rates or time.perf_counter() - start < seconds:
                way.turn()
    for way in running:
        if not math.isfinite(way.loss.item()):
            way.note = "its loss is not finite"
    numbers = {way.name: {"steps per second": way.rates, "note": way.note} for way in ways}
    text = "\n".join([f"steps per second: `published`, CIFAR-10 shapes, batch {BATCH}", *map(row, ways)])
    if any(way.note and not way.note.startswith("not measured") for way in ways):
        raise Wrong(text, numbers)
    return Found(text, numbers)


def row(way: Way) -> str:
    """A row of the table."""
    if not way.rates:
        return f"{way.name:<18}{'-':>9}  {way.note}"
    turns = f"{len(way.rates)} turn{'s' if len(way.rates) > 1 else ''} of {way.in_a_turn}"
    spread = f"{min(way.rates):.4g} to {max(way.rates):.4g}, {turns}"
    return f"{way.name:<18}{statistics.median(way.rates):>9.4g}  {way.note or spread}"
