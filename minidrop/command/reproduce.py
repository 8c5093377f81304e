"""`minidrop reproduce`, `report`, `compare`: each a thin wrapper around a function of `paper/reproduce/`."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..backend import require_device
from ..errors import StateError
from ..paper.history import Divergence
from ..paper.networks import SIZES, find_size, require_room
from ..paper.protocol import PROTOCOLS, Protocol
from ..paper.reproduce import cluster, execute, grid
from ..paper.reproduce.compare import compare
from ..paper.reproduce.grid import Grid
from ..paper.reproduce.page import require_packages, write_report
from ..paper.reproduce.published import read_curves
from ..paper.run import Run
from ..paper.settings import settings_of
from ..paper.variants import VARIANTS

INTERRUPTED = 130  # the exit status that shells give a program ended by Ctrl-C


def _variants(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.replace(",", " ").split())


def _network(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    find_size(value)
    return value


# What click cannot derive from a dataclass field.
BY_HAND: dict[str, dict[str, Any]] = {
    "dataset": {"type": click.Choice(datasets.NAMES)},
    "network": {"callback": _network, "metavar": f"[{'|'.join(SIZES)}]"},
    "variants": {"callback": _variants, "default": " ".join(VARIANTS)},
    "cuda_graphs": {"param_decls": ["--cuda-graphs/--no-cuda-graphs"]},
}


def options_of(*kinds: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for each setting of these dataclasses, with its default, limits and help."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed([field for kind in kinds for field in settings_of(kind)]):
            limits, by_hand = field.metadata, dict(BY_HAND.get(field.name, {}))
            names = by_hand.pop("param_decls", ["--" + field.name.replace("_", "-")])
            options: dict[str, Any] = {"default": None if limits["shown"] else field.default, "help": limits["help"]}
            if limits["shown"]:
                options["help"] += f"  [default: {limits['shown']}]"
            if limits["least"] is not None:
                options["type"] = click.IntRange(limits["least"])
            if limits["above"] is not None:
                options["type"] = click.FloatRange(limits["above"], min_open=True)
            if limits["choices"]:
                options["type"] = click.Choice(limits["choices"])
            command = click.option(*names, **{**options, **by_hand})(command)
        return command

    return add


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
        bar = stack.enter_context(_Bar(runs))
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


class _Bar:
    """A progress bar over all runs: steps, steps per second, time left; loss and accuracy of the run that reported last."""

    def __init__(self, runs: list[Any]) -> None:
        self.total = sum(run.iterations for run in runs)
        self.reached: dict[str, int] = {}
        self.written = 0.0

    def __enter__(self) -> _Bar:
        from tqdm import tqdm

        # disable=None: no bar if the output is a file or a pipe; the lines of `finished` are still written
        self.bar = tqdm(total=self.total, unit="step", dynamic_ncols=True, mininterval=0.5, disable=None)
        return self

    def __call__(self, name: str, iteration: int, loss: float, accuracy: float) -> None:
        """A run has reached `iteration`."""
        if name not in self.reached and iteration > 1:
            self.reached[name] = iteration - 1
            if not self.bar.disable:
                self.bar.initial += iteration - 1  # done before this call: must not count as speed
                self.bar.n += iteration - 1
        self.bar.update(iteration - self.reached.get(name, 0))
        self.reached[name] = iteration
        if time.monotonic() - self.written > 0.5 and not math.isnan(loss):
            self.written = time.monotonic()
            self.bar.set_postfix_str(f"{name}: loss {loss:.3f}, accuracy {accuracy:.3f}", refresh=False)

    def finished(self, outcome: dict[str, Any]) -> None:
        """A run has ended."""
        run = Run.from_dict(outcome["run"])
        if outcome["stopped"] != "interrupted":
            self(run.name, run.iterations, math.nan, math.nan)  # also for a run finished before this call
        accuracy = "" if outcome["test_accuracy"] is None else f", {outcome['test_accuracy']:.4f} of the test set"
        wrong = f"; {Divergence(outcome['divergence'])}" if outcome["divergence"] else ""
        self.bar.write(f"{run.name}: {outcome['stopped'] or 'done'} at {outcome['iteration']:,}{accuracy}{wrong}")

    def __exit__(self, *_error: object) -> None:
        self.bar.close()


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
