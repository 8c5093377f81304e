"""`minidrop lessons`: opens JupyterLab on the lesson notebooks of the checkout."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click

import minidrop

from ..errors import DataError, missing_package


@click.command("lessons", context_settings={"ignore_unknown_options": True})
@click.argument("number", required=False)
@click.argument("jupyter_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--list", "only_list", is_flag=True, help="List the lessons without opening one.")
def lessons_command(number: str | None, jupyter_options: tuple[str, ...], only_list: bool) -> None:
    """Open the lessons in JupyterLab, or lesson NUMBER, such as 07.

    Further options, such as --no-browser, are passed to JupyterLab.
    """
    if number is not None and number.startswith("-"):  # an option for JupyterLab, not a number
        jupyter_options, number = (number, *jupyter_options), None
    folder = lessons_folder()
    notebooks = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    if only_list:
        for notebook in notebooks:
            click.echo(notebook.stem)
        return
    start = folder / "00-start-here.ipynb" if number is None else find(notebooks, number)
    try:
        import jupyterlab  # noqa: F401
    except ImportError as error:
        raise missing_package(
            "the lessons open in JupyterLab, which is missing", "the package jupyterlab", "lessons", error
        ) from error
    command = [sys.executable, "-m", "jupyterlab", str(start), f"--ServerApp.root_dir={folder}", *jupyter_options]
    with jupyter_asks_after_ctrl_c():
        status = subprocess.run(command, check=False).returncode
    if status and runs_as_root() and "--allow-root" not in jupyter_options:
        again = " ".join(["minidrop lessons", *([number] if number else []), *jupyter_options, "--allow-root"])
        click.echo(f"JupyterLab does not start as root, as in a container, unless it is told so: {again}", err=True)
    sys.exit(status)


@contextlib.contextmanager
def jupyter_asks_after_ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches JupyterLab too, which asks whether to stop: this process must not end it before it has its answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _signal, _frame: None)  # not SIG_IGN, which a child would inherit
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def runs_as_root() -> bool:
    """Whether this process may do everything."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def find(notebooks: list[Path], number: str) -> Path:
    """The notebook of lesson `number`. Raises DataError, which lists the existing ones."""
    found = [notebook for notebook in notebooks if number.isdecimal() and notebook.name.startswith(f"{int(number):02}-")]
    if not found:
        there = ", ".join(notebook.name[:2] for notebook in notebooks)
        raise DataError("no such lesson", expected=f"one of {there}", got=repr(number), help="minidrop lessons --list")
    return found[0]


def lessons_folder() -> Path:
    """The folder of the lessons: in the checkout that minidrop runs from, else below the current folder."""
    places = [Path(minidrop.__file__).resolve().parent.parent / "lessons", Path.cwd() / "lessons", Path.cwd()]
    for place in places:
        if (place / "lesson.py").exists() and any(place.glob("00-*.ipynb")):
            return place
    raise DataError(
        "the lessons are not here",
        expected="a checkout of minidrop: they are not part of the installed package",
        got=f"no lesson notebooks in {', '.join(map(str, places))}",
        help="go to the checkout's folder and run minidrop lessons there",
    )
