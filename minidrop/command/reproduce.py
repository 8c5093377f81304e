"""`minidrop reproduce`, `report`, `compare`: each a thin wrapper around a function of `paper/reproduce/`."""

from __future__ import annotations

import contextlib
import errno
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..backend import require_device
from ..errors import StateError
from ..paper.history import counted
from ..paper.networks import require_room
from ..paper.protocol import PROTOCOLS, Protocol
from ..paper.reproduce import cluster, execute, grid
from ..paper.reproduce.compare import compare
from ..paper.reproduce.grid import Grid
from ..paper.reproduce.lock import only_one_process, writable
from ..paper.reproduce.page import require_packages, write_report
from ..paper.reproduce.published import Curves, read_curves
from ..paper.reproduce.terminal import overview, sentence_with_path
from ..paper.run import Run, usual_iterations
from .bar import Bar
from .options import Named, OneOf, Place, Whole, options_of, width

INTERRUPTED = 130  # the exit status that shells give a program ended by Ctrl-C
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)  # what a disk has against writing


@contextlib.contextmanager
def going_on(how: str) -> Iterator[None]:
    """After Ctrl-C (exit status 130) or for want of room on the disk, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; go on with: {how}", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise StateError(
            f"{error.filename or 'a file'} cannot be written",
            expected="a disk with room",
            got=error.strerror or str(error),
            help=f"no result is lost; make room, and go on with: {how}",
        ) from error


@click.command("reproduce", cls=Named, context_settings={"show_default": True, "allow_extra_args": True})
@options_of(Run, Grid)
@click.option(
    "--protocol",
    type=OneOf(list(PROTOCOLS)),
    default="paper",
    help="paper: as published; careful: as one would do it today.",
)
@options_of(Protocol)
@click.option("--jobs", type=Whole(1), default=1, help="Processes on this machine.")
@click.option("--scheduler", default=None, metavar="ADDRESS", help="A Dask scheduler to run on, such as tcp://host:8786.")
@click.option(
    "--out",
    type=Place(file_okay=False),
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
    type=Place(exists=True, dir_okay=False),
    default=None,
    help="The paper's logs as CSV, to show beside ours: log,run,iteration,loss,accuracy.",
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
    """Train the paper's networks; show table and figures.

    Without any option: five small networks on real handwritten digits, in under three minutes.
    """
    plan = _plan(context, given, out, resume)
    run = plan.run
    folder = out or _default_folder(run.dataset, run.network, run.protocol.name)
    go_on = f"minidrop reproduce --resume --out {shlex.quote(str(folder))}"
    # Every check that can fail is made now, not after hours of training.
    grid.require_free(folder, plan, resume)
    curves = read_curves(published, run.dataset) if published else {}
    require_packages()
    if scheduler is None:
        require_device(run.device)  # with a scheduler, the workers need it
    runs = plan.runs()
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_one_process(folder))
        data = datasets.load(run.dataset, "train", download=True), datasets.load(run.dataset, "test", download=True)
        require_room(run.network, data[0].images.shape[1:])
        client = stack.enter_context(cluster.cluster(jobs, scheduler)) if jobs > 1 or scheduler else None
        stack.enter_context(going_on(go_on))
        grid.prepare(folder, plan, data)
        what = (
            f"{counted(len(runs), 'run')} of {counted(run.iterations, 'iteration')}: {data[0].label}, {run.network} network ->"
        )
        click.echo("\n".join(sentence_with_path(what, folder, width())))
        bar = stack.enter_context(Bar(runs))
        if client is None:
            finished = execute.one_after_the_other(runs, folder, data, bar)
        else:
            finished = cluster.on_a_cluster(client, runs, folder.resolve(), bar)
    if not finished:
        click.echo(f"interrupted; go on with: {go_on}", err=True)
        sys.exit(INTERRUPTED)
    _report(folder, curves)


def _report(folder: Path, curves: Curves) -> None:
    """Show what came, and write table, figures and page."""
    with going_on(f"minidrop report {shlex.quote(str(folder))}"):
        click.echo(overview(folder, curves, width()))
        write_report(folder, curves)
    click.echo("\n".join(sentence_with_path("The whole table (table.md), figures and report.html lie in", folder, width())))


def _default_folder(dataset: str, network: str, protocol: str) -> Path:
    return Path("reproduction") / f"{dataset}-{network}-{protocol}"


def _plan(context: click.Context, given: dict[str, Any], out: Path | None, resume: bool) -> Grid:
    """The grid that the options describe; with --resume, options not given are read from the folder's experiment, if any."""
    by_hand = {name for name in given if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    folder = out or _default_folder(given["dataset"], given["network"], given["protocol"])
    if resume and (folder / "config.json").exists():
        return Grid.of(**{**grid.read_grid(folder).settings, **{name: given[name] for name in by_hand}})
    settings = {name: value for name, value in given.items() if value is not None}
    settings.setdefault("iterations", usual_iterations(given["dataset"]))
    return Grid.of(**settings)


@click.command("report")
@click.argument("folder", type=Place(exists=True, file_okay=False))
@click.option(
    "--published",
    type=Place(exists=True, dir_okay=False),
    default=None,
    help="The paper's logs as CSV, to show beside ours: log,run,iteration,loss,accuracy.",
)
def report_command(folder: Path, published: Path | None) -> None:
    """Show an experiment again: its table, figures and page.

    They are made from the settings and histories in FOLDER.
    """
    dataset = grid.read_grid(folder).run.dataset
    curves = read_curves(published, dataset) if published else {}
    require_packages()
    with writable(folder, "the report is written to it: copy it to where you may write, and report the copy"):
        _report(folder, curves)


@click.command("compare")
@click.argument("left", type=Place(exists=True, file_okay=False))
@click.argument("right", type=Place(exists=True, file_okay=False))
@click.option(
    "--figure",
    type=Place(dir_okay=False),
    default=None,
    help="Also draw the accuracies to this file: a .png, .pdf or .svg.",
)
def compare_command(left: Path, right: Path, figure: Path | None) -> None:
    """Compare two experiments side by side."""
    click.echo(compare(left, right, figure, width()))
