"""`minidrop` as a new user meets it: help, spelling mistakes, missing packages, in a terminal of 80 columns."""

from __future__ import annotations

import subprocess
import sys

import pytest

from minidrop import backend
from minidrop.errors import ArgumentError, did_you_mean, missing_package
from minidrop.paper.networks import find_size
from minidrop.paper.protocol import find_protocol

IN_THE_CHECKOUT = 'python -m pip install ".[{}]" in the checkout'


class TestInstallHints:
    def test_they_name_what_can_be_installed(self):
        """minidrop is on no package index: its extras are installed from the checkout."""
        error = missing_package("digits are not here", "scikit-learn", "reproduce", ImportError("no sklearn"))
        assert error.help == IN_THE_CHECKOUT.format("reproduce")
        assert "minidrop[" not in backend.INSTALL_HELP and "python -m pip install cupy-cuda12x" in backend.INSTALL_HELP

    def test_without_the_command_lines_own_packages(self):
        code = "import sys; sys.modules['click'] = None; from minidrop.__main__ import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.splitlines() == [
            "minidrop: the command line needs click",
            "  help: " + IN_THE_CHECKOUT.format("reproduce"),
        ]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("dropuot", "dropout"), ("DropOut", "dropout"), ("beta-sclaed", "beta-scaled"), ("resnet", ""), ("", "")],
)
def test_did_you_mean(word, meant):
    assert did_you_mean(word, ["cnn", "dropout", "beta-scaled"]) == (f"did you mean {meant!r}?" if meant else "")


@pytest.mark.parametrize(
    ("find", "word", "meant"), [(find_size, "publshed", "published"), (find_protocol, "Carefull", "careful")]
)
def test_the_names_of_sizes_and_protocols_are_suggested(find, word, meant):
    with pytest.raises(ArgumentError, match=f"help: did you mean {meant!r}"):
        find(word)
