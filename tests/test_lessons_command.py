"""`minidrop lessons`: opens JupyterLab on the right notebook, and says what is missing."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

import minidrop as md
from minidrop.command import lessons, main

LESSONS = pathlib.Path(md.__file__).parent.parent / "lessons"

pytestmark = pytest.mark.skipif(not LESSONS.exists(), reason="minidrop is installed without its checkout")


@pytest.fixture
def started(monkeypatch):
    """The command that would have been started."""
    calls = []

    def run(command, check):
        calls.append(command)
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(lessons.subprocess, "run", run)
    monkeypatch.setitem(sys.modules, "jupyterlab", types.ModuleType("jupyterlab"))
    return calls


@pytest.mark.parametrize(("arguments", "name"), [([], "00-start-here"), (["7"], "07-dropalan"), (["07"], "07-dropalan")])
def test_it_opens_jupyterlab_on_a_lesson(started, arguments, name):
    result = CliRunner().invoke(main, ["lessons", *arguments, "--no-browser"])
    assert result.exit_code == 0, result.output
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[3:] == [str(LESSONS / f"{name}.ipynb"), f"--ServerApp.root_dir={LESSONS}", "--no-browser"]


def test_a_list_of_the_lessons():
    result = CliRunner().invoke(main, ["lessons", "--list"])
    assert result.exit_code == 0 and "10-autopsy-of-a-crash" in result.output.split() and len(result.output.split()) == 16


def test_ctrl_c_is_jupyterlabs_own(monkeypatch, tmp_path):
    """A terminal sends it to both; JupyterLab asks whether to stop, and is not killed meanwhile: its status is passed on."""
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "__init__.py").touch()
    asks = """if True:
        import os, signal, sys, time
        signal.signal(signal.SIGINT, lambda *_: (time.sleep(1), sys.exit(7)))
        os.kill(os.getppid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)"""
    (tmp_path / "jupyterlab" / "__main__.py").write_text(asks)
    code = "import sys; from minidrop.command import main; main(['lessons'])"
    path = os.pathsep.join([str(tmp_path), str(LESSONS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 7 and "Aborted" not in done.stderr and "interrupted" not in done.stderr, done.stderr


@pytest.mark.parametrize("number", ["99", "seven", "7x"])
def test_a_lesson_that_is_not_there(started, number):
    result = CliRunner().invoke(main, ["lessons", number])
    assert result.exit_code == 1 and "no such lesson" in result.output and "14" in result.output
    assert "--list" in result.output and not started


def test_without_jupyterlab(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    result = CliRunner().invoke(main, ["lessons"])
    assert result.exit_code == 1 and 'python -m pip install ".[lessons]" in the checkout' in result.output


def test_without_a_checkout(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lessons.minidrop, "__file__", str(tmp_path / "site-packages" / "minidrop" / "__init__.py"))
    result = CliRunner().invoke(main, ["lessons"])
    assert result.exit_code == 1 and "go to the checkout's folder" in result.output


def test_in_the_checkouts_folder_with_minidrop_elsewhere(started, monkeypatch, tmp_path):
    monkeypatch.chdir(LESSONS.parent)
    monkeypatch.setattr(lessons.minidrop, "__file__", str(tmp_path / "site-packages" / "minidrop" / "__init__.py"))
    assert CliRunner().invoke(main, ["lessons", "1"]).exit_code == 0
    assert pathlib.Path(started[0][3]).resolve() == (LESSONS / "01-a-derivative-you-can-step-through.ipynb").resolve()


def test_jupyterlab_itself_starts():
    """Not a stand-in: if JupyterLab is installed, it accepts the options that we pass."""
    pytest.importorskip(
        "jupyterlab", reason="JupyterLab is not among the packages for the tests: python -m pip install '.[lessons]'"
    )
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={LESSONS}", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
