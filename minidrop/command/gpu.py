"""`minidrop gpu`: does minidrop compute on this GPU what it computes on a CPU?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ..errors import ArgumentError
from .options import Place, width


@click.command("gpu")
@click.option("--device", default="cuda", metavar="DEVICE", help="Which GPU: cuda, or cuda:1 for the second.")
@click.option("--quick", is_flag=True, help="Without the speed table.")
@click.option("--json", "file", type=Place(dir_okay=False), default=None, help="Also write everything to this file.")
def gpu_command(device: str, quick: bool, file: Path | None) -> None:
    """Check a GPU in three minutes: ops, CUDA graphs, speed.

    Each line is held against the CPU's numbers. Exit status 1 if one FAILED; the last lines then say what to report.
    """
    from ..selfcheck.report import as_json, selfcheck, shown, verdict  # here: other commands need none of it
    from ..serialization import write_atomically

    if file is not None and not file.absolute().parent.is_dir():
        raise ArgumentError(f"{file} cannot be written", expected="a folder that is there", got=str(file.parent))
    lines = []
    for line in selfcheck(device, quick):
        lines.append(line)
        click.echo("\n".join(shown(line, width())))
    click.echo("\n".join(verdict(lines, width())))
    if file is not None:
        write_atomically(file, (json.dumps(as_json(device, lines), indent=1) + "\n").encode())
        click.echo(f"wrote {file.name}")
    sys.exit(0 if all(line.ok for line in lines) else 1)
