"""`minidrop reproduce`, `report`, `compare`: each a thin wrapper around a function of `paper/reproduce/`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..backend import require_device
from ..errors import StateError
from ..paper.networks import require_room
from ..paper.protocol import PROTOCOLS, Protocol
from ..paper.reproduce import cluster, execute, grid
from ..paper.reproduce.compare import compare
from ..paper.reproduce.grid import Grid
from ..paper.reproduce.page import require_packages, write_report
from ..paper.reproduce.published import read_curves
from ..paper.run import Run
from .bar import Bar
from .options import options_of

INTERRUPTED = 130  # the exit status that shells give a program ended by Ctrl-C


@click.command("reproduce", context_settings={"show_default": True})
@options_of(Run, Grid)
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="paper",
    help="paper: as published; careful: as one would do it today.",
)
@options_of(Protocol)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes on this machine.")
@click.option("--scheduler", default=None, metavar="ADDRESS", help="A Dask scheduler to run on, such as tcp://host:8786.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder.  [default: reproduction/DATASET-NETWORK-PROTOCOL]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the experiment in the folder; settings not given are taken from it. If there is none yet, start it.",
)
@click.option(
    "--published",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="CSV of the paper's logs, to show beside ours.",
)
@click.pass_context
def reproduce_command(
    context: click.Context,
    /,
    jobs: int,
    scheduler: str | None,
    out: Path | None,
    resume: bool,
    published: Path | None,
    **given: Any,
) -> None:
    """Train the paper's networks, and show table and figures beside the paper's.

    Without any option: five small networks on real handwritten digits, in under three minutes.
    """
    plan = _plan(context, given, out, resume)
    run = plan.run
    folder = out or _default_folder(run.dataset, run.network, run.protocol.name)
    # Every check that can fail is made now, not after hours of training.
    grid.require_free(folder, plan, resume)
    curves = read_curves(published, run.dataset) if published else {}
    require_packages()
    if scheduler is None:
        require_device(run.device)  # with a scheduler, the workers need it
    runs = plan.runs()
    data = datasets.load(run.dataset, "train", download=True), datasets.load(run.dataset, "test", download=True)
    require_room(run.network, data[0].images.shape[1:])
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one_process(folder))
        client = stack.enter_context(cluster.cluster(jobs, scheduler)) if jobs > 1 or scheduler else None
        grid.prepare(folder, plan, data)
        click.echo(f"{len(runs)} runs of {run.iterations:,} iterations: {data[0].label}, {run.network} network -> {folder}")
        bar = stack.enter_context(Bar(runs))
        if client is None:
            finished = execute.one_after_the_other(runs, folder, data, bar)
        else:
            finished = cluster.on_a_cluster(client, runs, folder.resolve(), bar)
    if not finished:
        click.echo(f"interrupted; go on with: minidrop reproduce --resume --out {folder}", err=True)
        sys.exit(INTERRUPTED)
    click.echo(write_report(folder, curves))
    click.echo(f"table, figures and report.html lie in {folder}")


def _default_folder(dataset: str, network: str, protocol: str) -> Path:
    return Path("reproduction") / f"{dataset}-{network}-{protocol}"


@contextlib.contextmanager
def _only_one_process(folder: Path) -> Iterator[None]:
    """Lock the folder; raise StateError if another process on this machine has locked it."""
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=0):
            yield
    except Timeout as error:
        raise StateError(
            f"another process is at work on {folder}",
            expected="one at a time",
            got="a lock that is held",
            help="wait for it, or name another folder with --out",
        ) from error


def _plan(context: click.Context, given: dict[str, Any], out: Path | None, resume: bool) -> Grid:
    """The grid that the options describe; with --resume, options not given are read from the folder's experiment, if any."""
    by_hand = {name for name in given if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    folder = out or _default_folder(given["dataset"], given["network"], given["protocol"])
    if resume and (folder / "config.json").exists():
        return Grid.of(**{**grid.read_grid(folder).settings, **{name: given[name] for name in by_hand}})
    settings = {name: value for name, value in given.items() if value is not None}
    if given["dataset"] != "digits":
        settings.setdefault("iterations", 20_000)
    return Grid.of(**settings)


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--published",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="CSV of the paper's logs, to show beside ours.",
)
def report_command(folder: Path, published: Path | None) -> None:
    """Rewrite table, figures and page of an experiment's FOLDER from its files."""
    curves = read_curves(published, grid.read_grid(folder).run.dataset) if published else {}
    click.echo(write_report(folder, curves))
    click.echo(f"table, figures and report.html lie in {folder}")


@click.command("compare")
@click.argument("left", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("right", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Also draw the accuracies to this PNG."
)
def compare_command(left: Path, right: Path, figure: Path | None) -> None:
    """Compare two experiments' folders side by side."""
    click.echo(compare(left, right, figure))
