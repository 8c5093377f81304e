"""`minidrop claims`, `draws` and `again`: the ledger, one of its measurements, and whether stored runs are reproducible."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import DataError
from ..paper.claims.write import write_ledger
from ..paper.history import share
from ..paper.reproduce.again import again, other_machine
from ..paper.reproduce.draws import DRAWS, write_draws
from ..paper.reproduce.grid import read_config
from ..paper.reproduce.page import require_packages
from .lessons import lessons_folder
from .options import Place, Whole


@click.command("claims")
@click.option(
    "--results",
    type=Place(exists=True, file_okay=False),
    default=None,
    help="Folder of stored experiments.  [default: lessons/results of the checkout]",
)
@click.option(
    "--out",
    type=Place(file_okay=False),
    default=None,
    help="Where CLAIMS.md goes.  [default: lessons of the checkout]",
)
@click.option(
    "--published",
    type=Place(exists=True, dir_okay=False),
    default=None,
    help="CSV of the author's logs: recompute logs.json from it.",
)
def claims_command(results: Path | None, out: Path | None, published: Path | None) -> None:
    """Judge every claim of the paper by the stored runs.

    The verdicts go into CLAIMS.md; the figure of the crash, crash.png, is drawn too.
    """
    require_packages()
    lessons = lessons_folder() if results is None or out is None else out
    for path in write_ledger(results or lessons / "results", out or lessons, published):
        click.echo(f"wrote {path.name}")


@click.command("draws")
@click.argument("folder", type=Place(file_okay=False))
@click.option("--draws", type=Whole(1), default=DRAWS, help="Masks per layer and input.")
@click.option("--seed", type=Whole(0), default=0)
def draws_command(folder: Path, draws: int, seed: int) -> None:
    """Compare mean outputs over many masks with the mean mask's.

    Writes draws.json and two CSV files into FOLDER.
    """
    write_draws(folder, draws, seed)
    click.echo(f"draws.json, layers.csv and units.csv lie in {folder}")


@click.command("again", context_settings={"allow_extra_args": True})
@click.argument("folder", type=Place(exists=True, file_okay=False))
@click.option("--iterations", type=Whole(1), default=None, help="Iterations of each run to repeat.  [default: all]")
@click.option("--run", "names", multiple=True, metavar="NAMES", help="Only these runs, such as cnn_seed0.")
@click.pass_context
def again_command(context: click.Context, folder: Path, iterations: int | None, names: tuple[str, ...]) -> None:
    """Train stored runs again: is every bit the same?

    On the CPU, whatever the runs of FOLDER were made on. Exit status 1 if one is not the same.
    """
    for difference in other_machine(read_config(folder)["provenance"][-1]):
        click.echo(f"note: made elsewhere, so the last bits may differ. {difference}", err=True)

    def report(name: str, differences: list[str]) -> None:
        click.echo(f"{name}: {'; '.join(differences) or 'the same, bit for bit'}")

    wanted = " ".join([*names, *context.args]).split()  # several names may follow one --run, in quotes or not
    found = again(folder, iterations, tuple(wanted), report=report)
    different = sum(bool(differences) for differences in found.values())
    if not found:
        raise DataError(f"{folder.name} has no runs", expected="an experiment's folder with rows", got="none")
    click.echo(f"{share(len(found) - different, len(found), 'run')} the same")
    sys.exit(1 if different else 0)
