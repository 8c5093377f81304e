"""`minidrop` as a new user meets it: help, spelling mistakes, missing packages, in a terminal of 80 columns."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner
from made_up import every_thousand, experiment
from test_reproduce import minidrop, with_path

from minidrop import backend
from minidrop.command import lessons, main
from minidrop.command.options import joined
from minidrop.errors import ArgumentError, did_you_mean, missing_package
from minidrop.paper.networks import find_size
from minidrop.paper.protocol import find_protocol
from minidrop.paper.reproduce import provenance
from minidrop.paper.reproduce.grid import read_grid

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


def refused(*arguments):
    """The message of a command that click refuses, without the lines on how to get help."""
    printed = minidrop(*arguments, status=2)
    assert printed.startswith("Usage: ") and "Error: " in printed
    return printed[printed.index("Error: ") :]


class TestVariants:
    @pytest.mark.parametrize(
        "words", [["cnn", "dropout"], ["cnn,", "dropout"], ["cnn,dropout"], ["cnn dropout"], ["cnn", ",", "dropout"]]
    )
    @pytest.mark.parametrize("equals", [True, False])
    def test_with_quotes_or_without(self, words, equals, tmp_path, monkeypatch):
        monkeypatch.setattr("minidrop.command.reproduce._report", lambda *_: None)  # no figures: they take their time
        written = [f"--variants={words[0]}", *words[1:]] if equals else ["--variants", *words]
        minidrop("reproduce", *written, "--iterations", 2, "--out", tmp_path / "out")
        assert read_grid(tmp_path / "out").variants == ("cnn", "dropout")

    @pytest.mark.parametrize(
        ("arguments", "result"),
        [
            (["--seeds", "2", "--variants", "a", "b", "--resume"], ["--seeds", "2", "--variants", "a b", "--resume"]),
            (["--variants=a", "b", "-h"], ["--variants", "a b", "-h"]),
            (["--variants", "a", "--variants", "b", "c"], ["--variants", "a", "--variants", "b c"]),
            (["--variants"], ["--variants"]),
            (["--variants", ""], ["--variants", ""]),
            (["--variants", "--seeds", "2"], ["--variants", "--seeds", "2"]),
            (["--iterations", "5", "b"], ["--iterations", "5", "b"]),
            ([], []),
        ],
    )
    def test_which_words_are_joined(self, arguments, result):
        assert joined(arguments, "--variants") == result

    @pytest.mark.parametrize(
        ("word", "help"),
        [("mnist", "did you mean --dataset mnist?"), ("published", "did you mean --network published?"),
         ("careful", "did you mean --protocol careful?"), ("beta-scaled", "did you mean --variants beta-scaled?"),
         ("4000", "every setting has a name, such as --iterations 4000")],
    )  # fmt: skip
    def test_a_word_of_no_option(self, word, help):
        assert refused("reproduce", word) == f"Error: {word!r} belongs to no option\n  help: {help}\n"

    def test_a_misspelt_one(self):
        printed = minidrop("reproduce", "--variants", "dropuot", "beta-sclaed", status=1)
        assert "unknown variant 'dropuot'" in printed and "help: did you mean 'dropout'?" in printed


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--iterations", "abc"], ["expected: a whole number from 1, in digits", "got: 'abc'"]),
        (["--iterations", "0"], ["expected: a whole number from 1, in digits", "got: '0'"]),
        (["--iterations", "-4"], ["expected: a whole number from 1, in digits", "got: '-4'"]),
        (["--iterations", "1e4"], ["got: '1e4'", "help: did you mean 10000?"]),
        (["--iterations", "20,000"], ["got: '20,000'", "help: did you mean 20000?"]),
        (["--iterations", "inf"], ["got: 'inf'"]),
        (["--seeds", "1.5"], ["got: '1.5'"]),
        (["--record-steps", "-1"], ["expected: a whole number from 0, in digits"]),
        (["--jobs", "all"], ["expected: a whole number from 1, in digits"]),
        (["--learning-rate", "fast"], ["expected: a number above 0, such as .01 or 1e-3", "got: 'fast'"]),
        (["--learning-rate", "0"], ["expected: a number above 0, such as .01 or 1e-3"]),
        (["--learning-rate", "nan"], ["got: 'nan'"]),
        (["--clip-norm", "inf"], ["got: 'inf'"]),
        (["--learning-rate", "0,01"], ["got: '0,01'", "help: a decimal point, not a comma"]),
        (["--dataset", "minst"], ["expected: one of digits, mnist, fashion_mnist, cifar10", "help: did you mean 'mnist'?"]),
        (["--protocol", "Careful"], ["expected: one of paper, careful", "help: did you mean 'careful'?"]),
        (
            ["--network", "small"],
            [
                "expected: one of published, described, lite",
                "got: 'small'",
                "help: lite is the small one; published is the paper's, as its program computes it",
            ],
        ),
        (["--network", "publshed"], ["help: did you mean 'published'?"]),
        (["--seeds", "0,1"], ["expected: how many seeds there are to be", "help: 2, for instance, means the seeds 0 and 1"]),
        (["--iterations", "0,1"], ["expected: a whole number from 1, in digits"]),
        (["--on-divergence", "pray"], ["expected: one of stop, continue", "got: 'pray'"]),
    ],
)
def test_a_bad_value_is_refused_in_words(arguments, lines):
    printed = refused("reproduce", *arguments)
    assert printed.startswith(f"Error: Invalid value for '{arguments[0]}': {arguments[1]}\n  expected: ")
    for line in lines:
        assert f"  {line}\n" in printed
    assert ("help: " in printed) == any("help" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "meant"), [(["reprodcue"], "reproduce"), (["reproduce", "--iteration", "5"], "--iterations")]
)
def test_commands_and_options_are_suggested(arguments, meant):
    assert "No such" in refused(*arguments) and f"'{meant}'" in refused(*arguments)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("train", "reproduce"), ("run", "reproduce"), ("Resume", "reproduce --resume"), ("reprot", "report"), ("xyz", "")],
)
def test_words_of_other_programs(word, meant):
    printed = refused(word)
    assert printed.startswith(f"Error: No such command {word!r}.") and f"'{meant}'" in (printed if meant else "''")
    assert "again" not in printed and ("Did you mean" in printed) == bool(meant)


def test_an_earlier_name_of_a_network():
    printed = refused("reproduce", "--network", "paper")
    assert "help: published: two convolutions without padding" in printed and "; described: the three" in printed


def test_help_says_what_an_option_is():
    printed = " ".join(minidrop("reproduce", "--help").split())
    assert "end it there, or train on" in printed and "What each step multiplies the gradient by." in printed
    assert "log,run,iteration,loss,accuracy" in printed and "[published|described|lite]" in printed


def test_a_folder_that_is_nearly_there(tmp_path):
    (tmp_path / "digits-lite-paper").mkdir()
    for command in (["report"], ["again"], ["compare", tmp_path]):
        printed = refused(*command, tmp_path / "digits-lite-pape")
        assert f"help: did you mean '{tmp_path / 'digits-lite-paper'}'?" in printed
    printed = refused("report", tmp_path / "elsewhere" / "x")
    assert "expected: a folder that is there\n" in printed and "help" not in printed
    assert "expected: a file that is there\n" in refused("reproduce", "--published", tmp_path / "x.csv")


def test_good_numbers_are_taken(tmp_path):
    minidrop("reproduce", "--variants", "cnn-clip_norm=1e0", "--iterations", "2", "--learning-rate", "1e-3", "--out", tmp_path)
    assert read_grid(tmp_path).run.learning_rate == 1e-3


class TestHomes:
    @pytest.mark.parametrize(
        "arguments",
        [["reproduce", "--iterations", "2", "--out"], ["draws"], ["data", "fetch", "mnist", "--to"], ["report"], ["again"],
         ["claims", "--results"], ["compare", "."], ["compare", ".", ".", "--figure"]],
    )  # fmt: skip
    def test_of_nobody(self, arguments, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        printed = minidrop(*arguments, "~nosuchuser/x", status=1)
        name = arguments[-1] if arguments[-1].startswith("--") else {"compare": "RIGHT"}.get(arguments[0], "FOLDER")
        assert (
            f"Error: {name}: there is no such home folder" in printed
            and "got: '~nosuchuser/x'" in printed
            and "./~name" in printed
        )
        assert list(tmp_path.iterdir()) == []

    def test_of_nobody_in_the_environment(self, monkeypatch):
        monkeypatch.setenv("MINIDROP_DATASETS", "~nosuchuser")
        for command in (["data", "list"], ["data", "fetch", "mnist"], ["data", "verify", "mnist"]):
            printed = minidrop(*command, status=1)
            assert "$MINIDROP_DATASETS: there is no such home folder" in printed and "not here" not in printed

    def test_ones_own(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        minidrop("reproduce", "--variants", "cnn", "--iterations", 2, "--out=~/out")
        assert (tmp_path / "out" / "config.json").exists()


class TestCommit:
    def test_an_unknown_one_is_left_out(self):
        origin = provenance.provenance()
        assert ", commit abc1234, Python" in provenance.describe({**origin, "commit": "abc1234"})
        line = provenance.describe({**origin, "commit": None})
        assert "commit" not in line and "unknown" not in line and line.startswith(f"minidrop {origin['minidrop']}, Python ")

    @pytest.mark.parametrize(
        ("noted", "commit"),
        [('{"url": "https://example.org/minidrop", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef"}}', "0123456"),
         ('{"url": "file:///a/checkout", "dir_info": {}}', None), (None, None), ("not JSON", None)],
    )  # fmt: skip
    def test_pip_notes_it_if_it_installs_from_a_repository(self, noted, commit, tmp_path, monkeypatch):
        monkeypatch.setattr(provenance.minidrop, "__file__", str(tmp_path / "site-packages" / "minidrop" / "__init__.py"))
        found = types.SimpleNamespace(read_text=lambda name: noted if name == "direct_url.json" else None)
        monkeypatch.setattr(provenance.importlib.metadata, "distribution", lambda _name: found)
        assert provenance.commit() == commit


class TestRootInAContainer:
    @pytest.fixture
    def refusing(self, monkeypatch):
        """JupyterLab that starts only if told that root may."""
        monkeypatch.setitem(sys.modules, "jupyterlab", types.ModuleType("jupyterlab"))
        monkeypatch.setattr(lessons, "runs_as_root", lambda: True)

        def run(command, check):
            return types.SimpleNamespace(returncode=0 if "--allow-root" in command else 1)

        monkeypatch.setattr(lessons.subprocess, "run", run)

    @pytest.mark.parametrize("arguments", [[], ["7"], ["7", "--no-browser"], ["--no-browser"]])
    def test_one_sentence_says_what_to_do(self, refusing, arguments):
        result = CliRunner().invoke(main, ["lessons", *arguments])
        again = " ".join(["minidrop lessons", *arguments, "--allow-root"])
        assert result.exit_code == 1
        assert result.output == f"JupyterLab does not start as root, as in a container, unless it is told so: {again}\n"
        assert CliRunner().invoke(main, again.split()[1:]).exit_code == 0

    def test_others_are_told_nothing(self, refusing, monkeypatch):
        monkeypatch.setattr(lessons, "runs_as_root", lambda: False)
        assert CliRunner().invoke(main, ["lessons"]).output == ""


def test_completion():
    """The line of README for bash: `eval "$(_MINIDROP_COMPLETE=bash_source minidrop)"`."""
    environment = {**with_path(), "_MINIDROP_COMPLETE": "bash_complete", "COMP_WORDS": "minidrop re", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['minidrop']; from minidrop.command import main; main(prog_name='minidrop')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == ["reproduce", "report"], done.stderr
    environment |= {"COMP_WORDS": "minidrop reproduce --dataset m", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["plain,mnist"], done.stderr


def test_an_experiment_with_a_bad_folder_for_its_figure_is_not_compared(tmp_path):
    experiment(tmp_path / "one", lambda run: every_thousand(4_000, lambda _: 0.5), variants=("cnn",), iterations=4_000)
    printed = minidrop("compare", tmp_path / "one", tmp_path / "one", "--figure", tmp_path / "x.gif", status=1)
    assert "expected: .png or .pdf or .svg" in printed and "network" not in printed and os.listdir(tmp_path) == ["one"]
