"""Training: from a run's settings (`run.py`) to its history, with checkpoints, so that an interruption changes nothing.

    from minidrop.paper.training import Run, train

    result = train(Run(dataset="digits", variant="beta-scaled", iterations=2000))
    result.history.rows[-1]["accuracy"]

The loop itself is `Trainer.step` and `Trainer.run_to_the_end`; `measuring.py` measures, and `Trainer.save` writes checkpoints.
A killed run resumes from its last checkpoint. On NumPy, with the same number of BLAS threads, it ends with the same bits as an
uninterrupted one: the checkpoint holds everything that later steps depend on (weights, optimiser, the counters of the random
numbers, the place in the data, the history).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import datasets, serialization
from ..backend import Array, array_module, keep_freed_memory, require_device, run_on, to_numpy
from ..capture import capture
from ..datasets import Dataset
from ..errors import StateError
from ..functional import softmax_cross_entropy
from ..optim import SGD, clip_gradient_norm
from ..random import Generator
from ..tensor import Tensor
from .history import Divergence, History
from .measuring import Evaluator, accuracy, all_equal, gradient_norm
from .networks import Network
from .protocol import Batches, pixel_mean, split
from .recorder import StepRecorder, ZeroCounter
from .run import Run as Run

READ_EVERY = 50  # steps on a GPU, whose losses are read at once: to read is to wait


@dataclass
class Result:
    """The outcome of a run.

    stopped: why it ended before `run.iterations` ("interrupted", "diverged"), else None. test_accuracy: share of the whole
    test set, with the last weights; None for a run that was interrupted.
    """

    run: Run
    iteration: int
    history: History
    divergence: Divergence
    stopped: str | None
    test_accuracy: float | None
    evaluation_images: int
    network: Network = field(repr=False)


def train(
    run: Run,
    data: tuple[Dataset, Dataset] | None = None,
    history_path: Path | None = None,
    checkpoint_path: Path | None = None,
    on_step: Callable[[Trainer], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Execute `run`, from its checkpoint if there is one.

    data: (train, test), loaded by name if not given. on_step is called after every step; should_stop is called before each: if
    it returns True, a checkpoint is written and the result says "interrupted".
    Raises StateError if the checkpoint belongs to another run or is beyond its end, DataError or DeviceError if data or device
    are missing.
    """
    trainer = Trainer(run, data or load_data(run.dataset), history_path, checkpoint_path)
    return trainer.run_to_the_end(on_step, should_stop)


def load_data(name: str) -> tuple[Dataset, Dataset]:
    """(train, test) of the dataset of that name."""
    return datasets.load(name, "train"), datasets.load(name, "test")


class Trainer:
    """A run in progress: network, optimiser, batches and the current iteration."""

    def __init__(
        self, run: Run, data: tuple[Dataset, Dataset], history_path: Path | None = None, checkpoint_path: Path | None = None
    ) -> None:
        require_device(run.device)
        keep_freed_memory()
        self.run = run
        self.checkpoint_path = checkpoint_path
        train_data, self.test = data
        self.digests = [train_data.digest, self.test.digest]
        images, measured = split(run.protocol, train_data, self.test)
        self.mean = pixel_mean(run.protocol, images)
        # One seed, three streams: draws from one do not shift the others, so that all variants of a seed start from
        # the same weights, see the same images in the same order, and are measured on the same images.
        seeds = Generator(run.seed)
        weights, order, self.masks = seeds.spawn(), seeds.spawn(), seeds.spawn()
        evaluation_seed = order.spawn().seed
        shape, classes = images.images.shape[1:], len(images.classes)
        self.network = Network(run.network, run.variant, shape, classes, weights, self.masks, run.protocol.relu_logits)
        self.network.to(run.device)
        rate = run.number("learning_rate")
        assert rate is not None  # every protocol has one
        self.optimizer = SGD(self.network.parameters(), lr=rate)
        self.clip_norm = run.number("clip_norm")
        self.evaluator = Evaluator(self.network, measured, run.protocol, self.mean, evaluation_seed, run.device)
        self.zeros = ZeroCounter(self.network, run.device)
        self.recorder = StepRecorder(run.record_steps)
        if run.record_steps:
            self.recorder.watch(self.network)
        self.batches = Batches(images, run.protocol, self.mean, order, run.device)
        self.descend: Callable[[Array, Array], Array] = capture(self._descend) if run.cuda_graphs else self._descend
        self.iteration = 0
        self.outcomes: list[Array] = []  # of the last steps, not read yet
        at_once = run.device == "cpu" or run.record_steps or run.on_divergence == "stop"
        self.read_every = 1 if at_once else READ_EVERY
        self.last_loss = math.nan
        self.loss_sum, self.loss_count = 0.0, 0  # since the last row of the history
        self.seconds = 0.0
        self.divergence = Divergence()
        rows = self._restore() if checkpoint_path is not None and checkpoint_path.exists() else []
        self.history = History(history_path, rows)

    # The loop ---------------------------------------------------------------------------------------------------------

    def step(self) -> float:
        """One step of gradient descent; returns the last loss that was read: on a CPU that of this batch."""
        images, labels = next(self.batches)
        outcome = self.descend(images, labels)
        self.iteration += 1
        self.outcomes.append(run_on(outcome, outcome.copy))  # the next step of a CUDA graph overwrites it
        if len(self.outcomes) >= self.read_every:
            self.read_outcomes()
        if self.run.record_steps:
            self.recorder.see(self.network, self.iteration, self.last_loss, bool(self.divergence))
        return self.last_loss

    def read_outcomes(self) -> None:
        """Note the losses of the steps that were not read yet; on a GPU this waits for it, so it is done for many at once."""
        if not self.outcomes:
            return
        first = self.iteration - len(self.outcomes) + 1
        together = run_on(self.outcomes[0], array_module(self.outcomes[0]).stack, self.outcomes)
        self.outcomes.clear()
        for iteration, (loss, equal_logits) in enumerate(to_numpy(together).tolist(), first):
            self.last_loss = loss
            self.loss_sum += loss
            self.loss_count += 1
            if not math.isfinite(loss):
                self.divergence.note("non-finite loss", iteration)
            elif equal_logits:
                self.divergence.note("equal logits", iteration)

    def _descend(self, images: Array, labels: Array) -> Array:
        """A batch -> (2,): its loss, and 1 if all logits are equal, else 0; after one step of gradient descent."""
        logits = self.network(Tensor(images))
        loss = softmax_cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip_norm is not None:
            clip_gradient_norm(self.optimizer.parameters, self.clip_norm)
        self.optimizer.step()
        return run_on(loss.data, _outcome, loss.data, logits.data)

    def run_to_the_end(
        self, on_step: Callable[[Trainer], None] | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> Result:
        """Step, measure and save until the iterations are done, or divergence or `should_stop` ends it."""
        run = self.run
        started = time.perf_counter() - self.seconds
        stopped = self._reason_to_stop(should_stop)
        if self.iteration < run.iterations and stopped is None:
            self.history.forget_final_row(run.protocol.evaluate_every)
        while self.iteration < run.iterations and stopped is None:
            self.step()
            stopped = self._reason_to_stop(should_stop)
            last = self.iteration == run.iterations or stopped == "diverged"
            self.seconds = time.perf_counter() - started
            if self.iteration % run.protocol.evaluate_every == 0 or last:
                self.evaluate(started)
            if last:
                self._keep_weights("end")  # before the checkpoint, after which a killed run would count as done
            if self.iteration % run.checkpoint_every == 0 or last or stopped:
                self.save()
            if on_step is not None:
                on_step(self)
        test_accuracy = None if stopped == "interrupted" else accuracy(self.network, self.test, self.mean, run.device)
        return Result(
            run, self.iteration, self.history, self.divergence, stopped, test_accuracy, self.evaluator.images, self.network
        )

    def _reason_to_stop(self, should_stop: Callable[[], bool]) -> str | None:
        if self.divergence and self.run.on_divergence == "stop":
            return "diverged"
        return "interrupted" if should_stop() else None

    # Measuring --------------------------------------------------------------------------------------------------------

    def evaluate(self, started: float) -> None:
        """Measure the network and add a row to the history; keep the weights if they are the best so far."""
        self.read_outcomes()
        regular = self.iteration % self.run.protocol.evaluate_every == 0  # else an extra, final row
        row = {
            "iteration": self.iteration,
            "loss": self.loss_sum / self.loss_count,
            "gradient_norm": gradient_norm(self.network.parameters()),
        }
        row |= self.evaluator(self.iteration, regular) | self.zeros.columns()
        if regular:
            self.loss_sum, self.loss_count = 0.0, 0
            if all(row["accuracy"] > earlier["accuracy"] for earlier in self.history.rows):
                self._keep_weights("peak")
        self.seconds = time.perf_counter() - started
        self.history.append({**row, "seconds": self.seconds})

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write everything that later steps depend on to the checkpoint, if there is a path for it."""
        self.read_outcomes()
        if self.checkpoint_path is None:
            return
        serialization.save(
            self.checkpoint_path,
            self.network,
            self.optimizer,
            run=self._identity(),
            iteration=self.iteration,
            masks=self.masks.state_dict(),
            batches=self.batches.state_dict(),
            loss_sum=self.loss_sum,
            loss_count=self.loss_count,
            rows=self.history.rows,
            divergence=self.divergence.moments,
            recorder=self.recorder.state_dict(),
            evaluator=self.evaluator.state_dict(),
            zeros=self.zeros.state_dict(),
            seconds=self.seconds,
        )

    def _keep_weights(self, which: str) -> None:
        """Write the current weights beside the checkpoint: NAME_peak.safetensors, NAME_end.safetensors."""
        if self.checkpoint_path is not None:
            path = self.checkpoint_path
            serialization.save(path.with_name(f"{path.stem}_{which}{path.suffix}"), self.network, iteration=self.iteration)

    def _restore(self) -> list[dict[str, float]]:
        """Load the checkpoint; returns the rows of its history."""
        assert self.checkpoint_path is not None
        checkpoint = serialization.load(self.checkpoint_path)
        own = self._identity()
        younger = {"record_steps": 0, "learning_rate": None, "clip_norm": None}
        stored = {**younger, **(checkpoint.get("run") or {})}  # it may be older than these settings
        if stored != own:
            raise StateError(
                f"{self.checkpoint_path} belongs to another run",
                expected=", ".join(f"{name}={own[name]}" for name in own if own[name] != stored.get(name)),
                got=", ".join(f"{name}={stored.get(name)}" for name in own if own[name] != stored.get(name)),
                help="use another folder, or the settings that this one was started with",
            )
        if checkpoint["iteration"] > self.run.iterations:
            raise StateError(
                f"{self.checkpoint_path} is further on",
                expected=f"at most {self.run.iterations:,} iterations, as the run is to have",
                got=f"{checkpoint['iteration']:,}",
                help="a run can be made longer, not shorter",
            )
        self.network.load_state_dict(checkpoint.module)
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.masks.load_state_dict(checkpoint["masks"])
        self.batches.load_state_dict(checkpoint["batches"])
        self.iteration, self.seconds = int(checkpoint["iteration"]), float(checkpoint["seconds"])
        self.loss_sum, self.loss_count = float(checkpoint["loss_sum"]), int(checkpoint["loss_count"])
        self.divergence = Divergence(checkpoint["divergence"])
        self.evaluator.load_state_dict(checkpoint["evaluator"])
        self.zeros.load_state_dict(checkpoint["zeros"])
        if self.run.record_steps:
            self.recorder.load_state_dict(checkpoint["recorder"])
        rows: list[dict[str, float]] = checkpoint["rows"]
        return rows

    def _identity(self) -> dict[str, Any]:
        """The settings that must match before a checkpoint can be resumed: all but the run's length and how it is executed."""
        free = ("iterations", "checkpoint_every", "on_divergence", "device", "cuda_graphs")
        settings = {name: value for name, value in self.run.to_dict().items() if name not in free}
        return {**settings, "data": self.digests}


def _outcome(loss: Array, logits: Array) -> Array:
    """(), (N, K) -> (2,): the loss, and whether all logits are equal."""
    return array_module(loss).stack([loss, all_equal(logits).astype(loss.dtype)])
