"""Carrying out the runs of a grid: one after the other in this process, or as independent tasks on a Dask cluster.

Every run computes with one BLAS thread, so that it gives the same bits wherever it runs on this kind of machine; it is locked,
so that no two processes write to it at once; and it goes on from its checkpoint if there is one. So it does not matter to a run
where it starts again: that is all that a cluster needs of it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ..datasets import Dataset
from ..errors import DataError
from ..serialization import write_atomically
from ..training import Run, Trainer, load_data, train
from .grid import checkpoint_path, history_path, result_path


class Progress(Protocol):
    """Who is told how far the runs are."""

    def __call__(self, name: str, iteration: int, loss: float, accuracy: float) -> None:
        """A run has reached `iteration`; running mean loss, last accuracy."""

    def finished(self, record: dict[str, Any]) -> None:
        """A run has ended; what its .json holds."""


TOPIC = "minidrop-progress"
CONNECT_TIMEOUT = 30  # seconds
EXTRA = "pip install 'minidrop[cluster]'"


def carry_out(
    run: Run,
    folder: Path,
    data: tuple[Dataset, Dataset] | None = None,
    progress: Callable[[str, int, float, float], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Carry out one run in an experiment's folder, from its checkpoint if there is one; what its .json then holds.

    A run that is finished already is left as it is. An interrupted one leaves a checkpoint and no .json.
    """
    from filelock import FileLock
    from threadpoolctl import threadpool_limits

    with FileLock(checkpoint_path(folder, run).with_suffix(".lock")), threadpool_limits(limits=1):
        path = result_path(folder, run)
        if path.exists():
            stored: dict[str, Any] = json.loads(path.read_text())
            if stored["iteration"] >= run.iterations or (stored["stopped"] == "diverged" and run.on_divergence == "stop"):
                return stored
            path.unlink()  # it was finished; now it goes on to more iterations
        on_step = None if progress is None else _reporter(run, progress)
        result = train(run, data, history_path(folder, run), checkpoint_path(folder, run), on_step, should_stop)
        record = {
            "run": run.to_dict(),
            "iteration": result.iteration,
            "stopped": result.stopped,
            "divergence": result.divergence.moments,
            "test_accuracy": result.test_accuracy,
            "evaluation_images": result.evaluation_images,
            "parameters": sum(parameter.size for parameter in result.network.parameters()),
        }
        if result.finished:
            write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
        return record


def _reporter(run: Run, progress: Callable[[str, int, float, float], None]) -> Callable[[Trainer], None]:
    """After every step, tell `progress` how far it is: the running mean loss and the last accuracy."""
    smooth = 0.0

    def report(trainer: Trainer) -> None:
        nonlocal smooth
        loss = trainer.last_loss
        smooth = loss if trainer.iteration <= 1 or smooth == 0.0 else 0.99 * smooth + 0.01 * loss
        rows = trainer.history.rows
        progress(run.name, trainer.iteration, smooth, rows[-1]["accuracy"] if rows else float("nan"))

    return report


def one_after_the_other(runs: list[Run], folder: Path, data: tuple[Dataset, Dataset], progress: Progress) -> bool:
    """Carry out all runs here; False if they were interrupted (SIGINT: after the step under way, with a checkpoint)."""
    with stop_on_interrupt() as should_stop:
        for run in runs:
            record = carry_out(run, folder, data, progress, should_stop)
            progress.finished(record)
            if record["stopped"] == "interrupted":
                return False
    return True


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Within: the first Ctrl-C only sets what the given function returns; a second one raises KeyboardInterrupt at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set  # signals are not ours to handle here
        return
    before = signal.getsignal(signal.SIGINT)

    def first(_signal: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, first)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def cluster(jobs: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the Dask cluster at `scheduler`, or of a local one of `jobs` processes, which ends with the context.

    Raises DataError if Dask is missing or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise DataError("--jobs and --scheduler need Dask", expected="distributed", got=str(error), help=EXTRA) from error
    with contextlib.ExitStack() as stack:
        address = scheduler
        if scheduler is None:
            local = LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None)
            address = stack.enter_context(local).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_TIMEOUT))
        except (OSError, ValueError) as error:
            raise DataError(
                "the scheduler does not answer",
                expected=f"a Dask scheduler at {address}",
                got=f"{type(error).__name__}: {error}",
                help="start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`",
            ) from error
        yield client


def on_a_cluster(client: Any, runs: list[Run], folder: Path, progress: Progress) -> bool:
    """Carry out all runs as tasks of a Dask cluster; False if they were interrupted (what a worker did since its last
    checkpoint is then lost).

    The workers must see `folder` under the same path, and have the dataset. A run whose worker dies goes on elsewhere, from its
    checkpoint. Raises the error of the first run that fails.
    """
    from distributed import as_completed

    client.subscribe_topic(TOPIC, lambda event: progress(*event[1]))
    session = uuid.uuid4().hex[:8]  # a key of its own: Dask would answer an old one from its memory
    futures = [client.submit(on_a_worker, run, str(folder), key=f"{run.name}-{session}", pure=False) for run in runs]
    try:
        for future in as_completed(futures):
            progress.finished(future.result())
    except BaseException as error:
        client.cancel(futures, force=True)
        if isinstance(error, KeyboardInterrupt):
            return False
        raise
    return True


def on_a_worker(run: Run, folder: str) -> dict[str, Any]:
    """`carry_out`, as a Dask task: progress goes to the scheduler about once a second."""
    from distributed import get_worker

    worker = get_worker()
    last = 0.0

    def progress(name: str, iteration: int, loss: float, accuracy: float) -> None:
        nonlocal last
        if time.monotonic() - last > 1 or iteration == run.iterations:
            last = time.monotonic()
            worker.log_event(TOPIC, (name, iteration, loss, accuracy))

    return carry_out(run, Path(folder), load_data(run.dataset), progress)
