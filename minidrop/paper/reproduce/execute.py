"""Executes the runs of a grid, one after the other, in this process (`cluster.py`: as tasks on several).

Every run uses one BLAS thread, so that it gives the same bits on any machine of this kind; it is locked, so that no two
processes write to it at once; and it continues from its checkpoint if there is one.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ...datasets import Dataset
from ...errors import StateError
from ...serialization import write_atomically
from ..history import rows_as_csv
from ..recorder import STEP_COLUMNS
from ..run import Run
from ..training import Trainer, load_data
from .grid import checkpoint_path, history_path, is_done, read_result, result_path, steps_path
from .provenance import provenance


class Progress(Protocol):
    """Receives the progress of the runs."""

    def __call__(self, name: str, iteration: int, loss: float, accuracy: float) -> None:
        """A run has reached `iteration`; running mean loss, last accuracy."""

    def finished(self, outcome: dict[str, Any]) -> None:
        """A run has ended, with this outcome (what its .json holds, if it was not interrupted)."""


def carry_out(
    run: Run,
    folder: Path,
    data: tuple[Dataset, Dataset] | None = None,
    progress: Callable[[str, int, float, float], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Execute one run in an experiment's folder, from its checkpoint if there is one; returns its outcome.

    The outcome is also written to the run's .json, unless it was interrupted. A run that is already done is left unchanged.
    Raises StateError if there is an outcome to continue from, but the checkpoint is missing, or damaged.
    """
    from filelock import FileLock
    from threadpoolctl import threadpool_limits

    checkpoint = checkpoint_path(folder, run)
    with FileLock(checkpoint.with_suffix(".lock")), threadpool_limits(limits=1):
        stored = read_result(folder, run)
        if is_done(run, stored):
            return stored
        if stored and not checkpoint.exists():
            raise StateError(
                f"{run.name} is to go on from iteration {stored['iteration']:,}, and its checkpoint is gone",
                expected=str(checkpoint),
                got="no such file",
                help=f"put it back; or delete {result_path(folder, run)} too, to train this run anew",
            )
        for unfinished in folder.glob(f"*/.{run.name}.*.tmp"):
            unfinished.unlink()  # left by a process killed while writing; we hold the lock, so it is unused
        with _says_what_to_delete(checkpoint, *([result_path(folder, run)] if stored else [])):
            trainer = Trainer(run, data or load_data(run.dataset), history_path(folder, run), checkpoint)
        made_with = provenance(run.device)
        result = trainer.run_to_the_end(_after_a_step(folder, made_with, progress), should_stop)
        return _write_result(folder, trainer, made_with, result.stopped, result.test_accuracy)


@contextlib.contextmanager
def _says_what_to_delete(*files: Path) -> Iterator[None]:
    """A checkpoint that cannot be read is no end: without these files its run is trained anew."""
    try:
        yield
    except StateError as error:
        if not error.problem.startswith("load: "):
            raise
        names = " and ".join(map(str, files))
        raise StateError(
            f"{files[0]} cannot be read",
            expected="a whole checkpoint",
            got=error.got,
            help=f"delete {names}, to train this run anew",
        ) from error


def _write_result(
    folder: Path, trainer: Trainer, made_with: dict[str, Any], stopped: str | None, test_accuracy: float | None
) -> dict[str, Any]:
    recorder = trainer.recorder
    if recorder.rows:
        write_atomically(steps_path(folder, trainer.run), rows_as_csv(STEP_COLUMNS, recorder.rows).encode())
    outcome = {
        "run": trainer.run.to_dict(),
        "iteration": trainer.iteration,
        "stopped": stopped,
        "divergence": trainer.divergence.moments,
        "test_accuracy": test_accuracy,
        "evaluation_images": trainer.evaluator.images,
        "parameters": sum(parameter.size for parameter in trainer.network.parameters()),
        "provenance": made_with,
    }
    if trainer.run.record_steps:
        outcome["recorded"] = {name: value for name, value in recorder.state_dict().items() if name not in ("rows", "left")}
    if stopped != "interrupted":
        write_atomically(result_path(folder, trainer.run), (json.dumps(outcome, indent=2) + "\n").encode())
    return outcome


def _after_a_step(
    folder: Path, made_with: dict[str, Any], progress: Callable[[str, int, float, float], None] | None
) -> Callable[[Trainer], None]:
    """After every step: report to `progress`, with a running mean of the loss; at checkpoints, store a divergence."""
    smooth = math.nan

    def after(trainer: Trainer) -> None:
        nonlocal smooth
        smooth = trainer.last_loss if math.isnan(smooth) else 0.99 * smooth + 0.01 * trainer.last_loss
        if trainer.divergence and trainer.iteration % trainer.run.checkpoint_every == 0:
            _write_result(folder, trainer, made_with, "under way", None)  # so that a report during a long run shows it
        if progress is not None:
            rows = trainer.history.rows
            progress(trainer.run.name, trainer.iteration, smooth, rows[-1]["accuracy"] if rows else math.nan)

    return after


def one_after_the_other(runs: list[Run], folder: Path, data: tuple[Dataset, Dataset], progress: Progress) -> bool:
    """Execute all runs here; False if they were interrupted (SIGINT: after the current step, with a checkpoint)."""
    with stop_on_interrupt() as should_stop:
        for run in runs:
            outcome = carry_out(run, folder, data, progress, should_stop)
            progress.finished(outcome)
            if outcome["stopped"] == "interrupted":
                return False
    return True


@contextlib.contextmanager
def stop_on_interrupt(also: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Yields a function that is True after the first Ctrl-C, which also calls `also`; a second raises KeyboardInterrupt."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set  # only the main thread can handle signals
        return
    before = signal.getsignal(signal.SIGINT)

    def first(_signal: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)
        also()

    signal.signal(signal.SIGINT, first)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)
