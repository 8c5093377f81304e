"""The runs of a grid as independent tasks of a Dask cluster. Dask schedules them and notices dead workers; we only resume.

A task is `execute.carry_out`: it locks the run and starts from its checkpoint if there is one, so any worker can continue a
run. The workers must see the experiment's folder under the same path, and have the dataset.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, DataError, missing_package
from ..run import Run
from ..training import load_data
from .execute import Progress, carry_out, stop_on_interrupt
from .grid import read_config

CONNECT_TIMEOUT = 30  # seconds

# By default Dask's workers return memory to the system whenever 64 KB of it are free. A training step frees the same megabytes
# that the next one allocates, and took two to three times as long because of it. None: the system's own default.
KEEP_MEMORY = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}


@contextlib.contextmanager
def cluster(jobs: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the Dask cluster at `scheduler`, or of a local one of `jobs` processes, which ends with the context.

    Raises DataError if Dask is missing, the scheduler does not answer, or it has no workers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise missing_package("--jobs and --scheduler need Dask", "distributed", "cluster", error) from error
    with contextlib.ExitStack() as stack:
        address = scheduler
        if scheduler is None:
            with _children_ignore_interrupts(), dask.config.set(KEEP_MEMORY):
                local = LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=":0")
            address = stack.enter_context(local).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_TIMEOUT))
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT)
        except (OSError, ValueError) as error:  # OSError: also a timeout
            raise DataError(
                "the cluster does not answer",
                expected=f"a Dask scheduler at {address}, and at least one worker",
                got=f"{type(error).__name__}: {error}",
                help="start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`",
            ) from error
        yield client


@contextlib.contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """A terminal sends Ctrl-C to child processes too; they must ignore it, so that we can stop them after their step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def on_a_cluster(client: Any, runs: list[Run], folder: Path, progress: Progress) -> bool:
    """Execute all runs as tasks of a Dask cluster; False if Ctrl-C stopped them, each after a step and with a checkpoint.

    A run whose worker dies continues on another, from its checkpoint, up to three times. Raises the error of the first run that
    fails; DataError if a run kills every worker that takes it.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    session = uuid.uuid4().hex[:8]  # new each time: for an old key Dask would return its stored result
    topic, stop_file = f"minidrop-{session}", folder / f".stop-{session}"
    client.subscribe_topic(topic, lambda event: progress(*event[1]))
    futures = [
        # without a priority Dask chooses the order, and a second seed may run before every variant has its first
        client.submit(on_a_worker, run, str(folder), topic, key=f"{run.name}-{session}", pure=False, priority=-place)
        for place, run in enumerate(runs)
    ]
    completed = True
    try:
        with stop_on_interrupt(also=stop_file.touch):
            for future in as_completed(futures):
                outcome = future.result()
                progress.finished(outcome)
                completed = completed and outcome["stopped"] != "interrupted"
        stop_file.unlink(missing_ok=True)
    except BaseException as error:
        stop_file.touch()  # Dask cannot stop a running task: the workers look for this file, so it stays
        if isinstance(error, KilledWorker):
            raise DataError(
                "a run killed every worker that took it",
                expected="workers that live",
                got=str(error),
                help="is there memory for it? Fewer --jobs need less; --resume goes on from the checkpoints",
            ) from error
        raise
    finally:
        client.cancel(futures, force=True)
        client.unsubscribe_topic(topic)
    return completed


def on_a_worker(run: Run, folder: str, topic: str) -> dict[str, Any]:
    """`carry_out`, as a Dask task: about once a second it reports its progress and checks whether to stop.

    Raises ArgumentError on a worker with several threads (BLAS threads are limited per process, and the bits of a run may
    depend on their number); DataError if the worker has other data than the experiment.
    """
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:
        raise ArgumentError(
            "a worker with several threads", expected="dask worker --nthreads 1", got=f"{worker.state.nthreads}"
        )
    stop_file = Path(folder) / f".stop-{topic.removeprefix('minidrop-')}"
    data = load_data(run.dataset)
    stored = read_config(Path(folder))["dataset"]
    own, expected = [part.digest for part in data], [stored["train_sha256"], stored["test_sha256"]]
    if own != expected:
        raise DataError(
            f"this worker has other data: {data[0].label}",
            expected=f"{stored['label']}, sha256 {expected[0][:12]}..., {expected[1][:12]}...",
            got=f"sha256 {own[0][:12]}..., {own[1][:12]}...",
            help="give every worker the same files",
        )
    last = time.monotonic()
    stopping = stop_file.exists()

    def progress(name: str, iteration: int, loss: float, accuracy: float) -> None:
        nonlocal last, stopping
        if time.monotonic() - last > 1 or iteration == run.iterations:
            last = time.monotonic()
            stopping = stop_file.exists()
            worker.log_event(topic, (name, iteration, loss, accuracy))

    return carry_out(run, Path(folder), data, progress, lambda: stopping)
