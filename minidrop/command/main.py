"""The command `minidrop`: all commands, and how minidrop's own errors are shown in the terminal."""

from __future__ import annotations

import warnings
from typing import Any

import click

from .. import __version__
from ..errors import MinidropError
from .claims import again_command, claims_command, draws_command
from .data import data_commands
from .gpu import gpu_command
from .lessons import lessons_command
from .reproduce import INTERRUPTED, compare_command, report_command, reproduce_command

ELSEWHERE = {"train": "reproduce", "run": "reproduce", "fit": "reproduce", "start": "reproduce", "resume": "reproduce --resume"}


class Commands(click.Group):
    """A group that lists its commands in the order of use, and reports minidrop's own errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which they were added."""
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; for a word of other programs, the one that does the same here."""
        word = args[0]
        if word.casefold() in ELSEWHERE and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {word!r}. Did you mean {ELSEWHERE[word.casefold()]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors that the user can fix are shown as their message, with exit status 1; 130 after Ctrl-C."""
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_arguments, **_more: click.echo(f"note: {message}", err=True)
            try:
                return super().invoke(ctx)
            except MinidropError as error:
                raise click.ClickException(str(error)) from error
            except BrokenPipeError:
                raise  # `minidrop ... | head`: click exits quietly
            except OSError as error:  # a folder that cannot be written, a full disk
                raise click.ClickException(f"{error.filename or type(error).__name__}: {error.strerror or error}") from error
            except KeyboardInterrupt:
                click.echo("interrupted", err=True)
                ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """A deep-learning framework to be read, and the DropAlan paper's experiments."""


for command in (  # in the order of use
    reproduce_command,
    report_command,
    compare_command,
    again_command,
    lessons_command,
    data_commands,
    gpu_command,
    claims_command,
    draws_command,
):
    main.add_command(command)
