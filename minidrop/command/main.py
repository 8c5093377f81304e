"""The command `minidrop`: all commands, and how minidrop's own errors are shown in the terminal."""

from __future__ import annotations

import warnings
from typing import Any

import click

from .. import __version__
from ..errors import MinidropError
from .claims import again_command, claims_command, draws_command
from .data import data_commands
from .lessons import lessons_command
from .reproduce import compare_command, report_command, reproduce_command


class Commands(click.Group):
    """A group whose commands report minidrop's own errors without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; errors that the user can fix are shown as their message, with exit status 1."""
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_arguments, **_more: click.echo(f"note: {message}", err=True)
            try:
                return super().invoke(context)
            except MinidropError as error:
                raise click.ClickException(str(error)) from error
            except BrokenPipeError:
                raise  # `minidrop ... | head`: click exits quietly
            except OSError as error:  # a folder that cannot be written, a full disk
                raise click.ClickException(f"{error.filename or type(error).__name__}: {error.strerror or error}") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """A deep-learning framework to be read, and the experiments of the DropAlan paper."""


for command in (
    reproduce_command,
    report_command,
    compare_command,
    again_command,
    claims_command,
    draws_command,
    data_commands,
    lessons_command,
):
    main.add_command(command)
