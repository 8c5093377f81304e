"""Runs on a Dask cluster: a real scheduler, real worker processes, one of them killed in the middle; the same table."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from test_reproduce import table_rows, wait_until, with_path

import minidrop as md
from minidrop.command import main
from minidrop.errors import ArgumentError, DataError
from minidrop.paper.history import read_history
from minidrop.paper.reproduce import cluster
from minidrop.paper.reproduce.grid import Grid, prepare
from minidrop.paper.training import load_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("cluster"),
    # Dask and Tornado leave sockets and event loops to the garbage collector
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]

OPTIONS = ["--variants", "dropout beta-scaled", "--seeds", "2", "--iterations", "3000", "--evaluate-every", "100"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of the same experiment, carried out in one process without a break."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    result = CliRunner().invoke(main, ["reproduce", *OPTIONS, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def assert_same(folder, other):
    assert table_rows(folder) == table_rows(other)
    for path in other.glob("checkpoints/*.safetensors"):
        one, two = md.load(path), md.load(folder / "checkpoints" / path.name)
        for name, array in one.module.items():
            assert array.tobytes() == two.module[name].tobytes(), (path.name, name)
    for path in other.glob("history/*.csv"):
        rows = [read_history(side / "history" / path.name) for side in (folder, other)]
        assert [{**row, "seconds": 0} for row in rows[0]] == [{**row, "seconds": 0} for row in rows[1]]


@contextlib.contextmanager
def started(*arguments, until):
    """A process of `python -m distributed...`; (process, what `until` found in its first lines)."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=with_path()
    ) as process:
        try:
            for line in process.stdout:
                if match := re.search(until, line):
                    yield process, match[0]
                    break
            else:
                pytest.fail(f"{arguments}: never said {until}")
        finally:
            process.kill()


def test_a_killed_worker_costs_nothing(alone, tmp_path):
    """Scheduler and two workers without a nanny; the busy one is killed, and its run continues on the other."""
    folder = tmp_path / "out"
    with contextlib.ExitStack() as stack:
        _, address = stack.enter_context(
            started(
                "distributed.cli.dask_scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
                until=r"tcp://127\.0\.0\.1:\d+",
            )
        )
        workers = [
            stack.enter_context(
                started(
                    "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard",
                    "--local-directory", str(tmp_path / f"worker{number}"), until="Registered to",
                )
            )[0]
            for number in range(2)
        ]  # fmt: skip
        command = [sys.executable, "-m", "minidrop", "reproduce", *OPTIONS, "--scheduler", address, "--out", str(folder)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=with_path(), cwd=tmp_path
        ) as child:
            checkpoints = folder / "checkpoints"
            start = time.monotonic()
            while len(list(checkpoints.glob("*_seed?.safetensors"))) < 2:  # both workers are in the middle of a run
                assert child.poll() is None and time.monotonic() - start < 120
                time.sleep(0.02)
            assert not list(folder.glob("history/*.json")), "a run is done already: nothing would be lost"
            os.kill(workers[0].pid, signal.SIGKILL)
            output, error = child.communicate(timeout=300)
        assert child.returncode == 0, output + error
        assert workers[0].wait() == -signal.SIGKILL and workers[1].poll() is None
    assert_same(folder, alone)


def test_two_jobs_on_this_machine(alone, tmp_path):
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "minidrop", "reproduce", *OPTIONS, "--jobs", "2", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=with_path(), cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert_same(folder, alone)
    assert pathlib.Path(folder / "report.html").exists()


class Untold:
    """A progress object that ignores all reports."""

    def __call__(self, *_told):
        pass

    def finished(self, record):
        pass


def test_runs_are_taken_in_the_order_of_the_grid(tmp_path):
    """Seed by seed, so that an interrupted experiment is still useful. Dask keeps this order within a few places."""
    plan = Grid.of(variants=("cnn", "alpha", "beta", "dropout", "beta-scaled"), iterations=1, seeds=4)
    prepare(tmp_path, plan, load_data("digits"))
    with cluster.cluster(1, None) as client:
        assert cluster.on_a_cluster(client, plan.runs(), tmp_path, Untold())
    written = sorted((tmp_path / "history").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    names = [run.name for run in plan.runs()]
    assert max(abs(names.index(path.stem) - place) for place, path in enumerate(written)) <= len(plan.variants)


def test_the_error_of_a_run_comes_through(tmp_path):
    """A run that fails on a worker: its error, once, and no table."""
    folder = tmp_path / "out"
    options = ["--variants", "cnn", "--iterations", "20", "--evaluate-every", "10", "--out", str(folder)]
    assert CliRunner().invoke(main, ["reproduce", *options]).exit_code == 0
    (folder / "checkpoints" / "cnn_seed0.safetensors").write_bytes(b"not a checkpoint")
    (folder / "table.md").unlink()
    command = [
        sys.executable,
        "-m",
        "minidrop",
        "reproduce",
        "--resume",
        "--iterations",
        "30",
        "--jobs",
        "2",
        "--out",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=with_path(), cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 1 and "cannot be read" in done.stderr and not (folder / "table.md").exists()
    assert (folder / "checkpoints" / "cnn_seed0.safetensors").read_bytes() == b"not a checkpoint"


def test_ctrl_c_reaches_the_workers(alone, tmp_path):
    """A terminal sends SIGINT to every process of the group: each run stops with a checkpoint, and resuming gives the same."""
    folder = tmp_path / "out"
    options = [*OPTIONS, "--checkpoint-every", "100000"]  # so that only a clean stop leaves a checkpoint
    command = [sys.executable, "-m", "minidrop", "reproduce", *options, "--jobs", "2", "--out", str(folder)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=with_path(),
        cwd=tmp_path,
        start_new_session=True,
    ) as child:
        wait_until(lambda: sum(path.read_text().count("\n") > 3 for path in folder.glob("history/*.csv")) == 2, 120)
        os.killpg(child.pid, signal.SIGINT)
        output, error = child.communicate(timeout=120)
    assert child.returncode == 130 and "--resume" in error and "Traceback" not in error, output + error
    stopped = [md.load(path)["iteration"] for path in folder.glob("checkpoints/*_seed?.safetensors")]
    assert len(stopped) == 2 and all(300 <= iteration < 3_000 for iteration in stopped)
    assert not list(folder.glob("history/*.json")) and not list(folder.glob(".stop-*"))
    result = CliRunner().invoke(main, ["reproduce", "--resume", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    assert_same(folder, alone)


class Silent:
    def __call__(self, *arguments):
        pass

    def finished(self, record):
        pass


@pytest.fixture(scope="module")
def one_worker():
    with cluster.cluster(1, None) as client:
        yield client


@pytest.fixture
def prepared(tmp_path):
    """(folder, runs) of an experiment that has not started."""
    plan = Grid.of(variants=("cnn",), iterations=10, evaluate_every=5)
    prepare(tmp_path, plan, (md.datasets.digits("train"), md.datasets.digits("test")))
    return tmp_path, plan.runs()


def test_a_worker_with_other_data_is_refused(one_worker, prepared):
    """Its results would appear in a table under the name of the first machine's data."""
    folder, runs = prepared
    config = folder / "config.json"
    config.write_text(re.sub(r'"train_sha256": "....', '"train_sha256": "0000', config.read_text()))
    with pytest.raises(DataError, match="this worker has other data"):
        cluster.on_a_cluster(one_worker, runs, folder, Silent())
    assert not list(folder.glob("history/*"))


def test_a_run_that_kills_every_worker_is_an_error_in_words(one_worker, prepared, monkeypatch):
    folder, runs = prepared
    monkeypatch.setattr(cluster, "on_a_worker", lambda *arguments: os._exit(1))
    with pytest.raises(DataError, match="killed every worker"):
        cluster.on_a_cluster(one_worker, runs, folder, Silent())


def test_a_worker_with_several_threads_is_refused(prepared):
    from distributed import Client, LocalCluster

    folder, runs = prepared
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as local,
        Client(local) as client,
        pytest.raises(ArgumentError, match="--nthreads 1"),
    ):
        cluster.on_a_cluster(client, runs, folder, Silent())


def test_workers_keep_the_memory_that_the_next_step_asks_for():
    """By Dask's default freed memory is returned from 64 KB on; a step of the paper's network then is three times as long."""
    with cluster.cluster(1, None) as client:
        inside = client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result()
    assert inside is None or int(inside) > 1 << 30
