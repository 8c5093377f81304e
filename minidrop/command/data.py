"""The command line of the datasets: `minidrop data list | fetch | verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..datasets import store
from ..datasets.fetch import fetch
from ..datasets.manifest import entry, manifest
from ..errors import MinidropError
from .options import Place, width


class InOrder(click.Group):
    """A group that lists its commands in the order of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which they were added."""
        return list(self.commands)


@click.group("data", cls=InOrder, context_settings={"show_default": True})
def data_commands() -> None:
    """The datasets: list, download and verify them."""


@data_commands.command("list")
def list_command() -> None:
    """List every dataset, its size and its location."""
    roots = store.roots()  # first of all: it may raise
    for name, table in manifest().items():
        size = "embedded" if table.get("embedded") else f"{_download_bytes(table) / 1e6:,.0f} MB to download"
        about = f"{name:14} {table['title']}: {table['train']:,} + {table['test']:,} images, {size}; "
        whole = about + table["licence"]
        for line in [whole] if len(whole) <= width() else [about.rstrip(), f"{'':14} {table['licence']}"]:
            click.echo(line)
        click.echo(f"{'':14} {_place(name, table)}")
    click.echo("looked in: " + "; ".join(str(root) for root in roots))


def _download_bytes(table: dict[str, Any]) -> int:
    return int(table.get("archive_bytes") or sum(file["archive_bytes"] for file in table["files"]))


def _place(name: str, table: dict[str, Any]) -> str:
    if table.get("embedded"):
        return "comes with scikit-learn"
    return f"in {store.locate(name, table)}" if _is_here(name, table) else f"not here: minidrop data fetch {name}"


@data_commands.command("fetch")
@click.argument("name")
@click.option("--replace", is_flag=True, help="Overwrite existing files that are not the canonical ones.")
@click.option("--to", type=Place(file_okay=False), default=None, help="Folder to download to.")
def fetch_command(name: str, replace: bool, to: Path | None) -> None:
    """Download a dataset and check it by SHA-256."""
    click.echo(f"{name} lies in {fetch(name, to, replace)}")


@data_commands.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Check every file of a dataset against the manifest.

    Without NAME: of all that are present. Exit status 1 if a file is damaged, or neither canonical nor part of a copy listed
    in the manifest.
    """
    good = True
    for one in [name] if name else manifest():
        table = entry(one)
        if not name and not _is_here(one, table):
            click.echo(f"{one}: not here")  # an error only if it was requested by name
            continue
        try:
            good &= _verify(one, table)
        except MinidropError as error:
            click.echo(f"{one}: {error}", err=True)
            good = False
    sys.exit(0 if good else 1)


def _is_here(name: str, table: dict[str, Any]) -> bool:
    try:
        return bool(table.get("embedded") or store.locate(name, table))
    except MinidropError:
        return False


def _verify(name: str, table: dict[str, Any]) -> bool:
    splits = [datasets.load(name, split) for split in ("train", "test")]  # formats, counts, labels
    labels = " and ".join(dict.fromkeys(split.label for split in splits))
    click.echo(f"{name}: {labels}: {len(splits[0]):,} + {len(splits[1]):,} images")
    if table.get("embedded"):
        return all(split.label == table["title"] for split in splits)
    folder = store.locate(name, table)
    files = [store.read(folder, file, table) for file in table["files"]]
    for file in files:
        click.echo(f"  {file.path}: {file.status or 'not the canonical file'} ({file.digest[:12]}...)")
    return all(file.status for file in files)
