"""What `minidrop` shows in a terminal: three sentences and a table that fits, a bar that stays a bar, help in its lines."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import sys

import click
import pytest
from click.testing import CliRunner
from made_up import every_thousand, experiment
from test_reproduce import with_path

import minidrop as md
from minidrop.command import main
from minidrop.command.bar import FORMATS, LEAST, Bar, richest_format
from minidrop.paper.history import Divergence, counted, read_history, share
from minidrop.paper.reproduce.grid import Grid, read_config, read_runs
from minidrop.paper.reproduce.terminal import fitted, overview, unlike_the_papers, wrapped

RESULTS = pathlib.Path(md.__file__).parent.parent / "lessons" / "results"
STORED = sorted(path.parent for path in RESULTS.glob("*/config.json"))


def lines_of(text):
    """The lines that are to fit: not the commands, which are copied in one piece."""
    return [line for line in text.splitlines() if not line.startswith("  minidrop ")]


def sentences(text):
    """The three sentences, and the command after them."""
    start, _, _rest = text.strip().partition("\n\n")
    *words, command = start.split("\n") if "\n  minidrop " in start else [*start.split("\n"), ""]
    trained, came, following = re.split(r" (?=What came|What to try)", " ".join(" ".join(words).split()))
    return trained, came, following, command.strip()


class TestOverview:
    @pytest.mark.parametrize("width", [40, 60, 80, 120])
    @pytest.mark.parametrize("folder", STORED, ids=lambda folder: folder.name)
    def test_it_fits(self, folder, width):
        text = overview(folder, {}, width)
        assert max(map(len, lines_of(text))) <= width
        assert [sentence.split(":")[0] for sentence in sentences(text)[:3]] == [
            "What was trained",
            "What came",
            "What to try next",
        ]

    def test_at_80_columns_nothing_is_left_out(self):
        for folder in STORED:
            table = overview(folder, {}, 80).split("\n\n")[1]
            header = next(line for line in table.splitlines() if line.startswith("network"))  # long names leave it two lines
            assert re.fullmatch(r"network +paper(, MNIST|,)? +peak +last( 20)? +dead( logits)? +lost( classes)?", header), (
                folder
            )

    def test_its_numbers_are_those_of_the_run(self):
        """The experiment of the first page: .61 beside the paper's .99, and why."""
        text = overview(RESULTS / "digits", {}, 80)
        runs = [run for run in read_runs(RESULTS / "digits") if run.run.variant == "cnn"]
        mean = lambda values: sum(values) / len(values)  # noqa: E731
        tail = mean([row["accuracy"] for run in runs for row in run.rows[-20:]])
        peak = mean([max(row["accuracy"] for row in run.rows) for run in runs])
        dead, lost = (mean([run.rows[-1][name] for run in runs]) for name in ("dead_logits", "lost_classes"))
        row = next(line for line in text.splitlines() if line.startswith("CNN  "))
        assert row.split() == ["CNN", "0.9888", f"{peak:.4f}", f"{tail:.4f}", f"{dead:.0%}", f"{lost:.2f}"]
        trained, came, following, command = sentences(text)
        assert trained == (
            "What was trained: 5 networks of size lite on Digits (UCI test set, 8x8), 4,000 iterations each, with 3 seeds, by the"
            " paper protocol."
        )
        assert f"; CNN {tail:.1%}, the least, with {lost:.0f} of 10 classes lost; the paper's numbers are of " in came
        assert came.endswith(
            "another dataset (MNIST), another network (published) and longer runs (88,000 to 250,000 iterations)."
        )
        assert "leave out the ReLU on the logits" in following and "fail" not in text
        assert shlex.split(command)[:6] == [
            "minidrop",
            "reproduce",
            "--variants",
            "cnn-linear alpha-linear beta-linear",
            "--seeds",
            "3",
        ]

    def test_the_command_that_it_names_is_understood(self, tmp_path, monkeypatch):
        """Each kind of advice: without the ReLU, more seeds, longer, the paper's own, what is not done."""
        given = {}
        monkeypatch.setattr(
            "minidrop.command.reproduce._plan", lambda _context, options, *_more: given.update(options) or 1 / 0
        )
        made = {
            "losing": ({"variants": ("cnn",), "seeds": 2, "iterations": 5_000}, {"lost_classes": 2}, {"variants": ("cnn-linear",), "iterations": 5_000, "seeds": 2}),
            "one": ({"variants": ("cnn",), "iterations": 5_000}, {}, {"seeds": 3, "resume": True}),
            "short": ({"variants": ("cnn",), "iterations": 3_000}, {"lost_classes": 2}, {"iterations": 4_000, "resume": True}),
            "small": ({"variants": ("cnn",), "seeds": 2, "iterations": 5_000}, {}, {"dataset": "mnist", "network": "published"}),
        }  # fmt: skip
        for name, (settings, columns, expected) in made.items():
            folder = tmp_path / f"my {name}"
            constant = {column: (lambda _, value=value: value) for column, value in columns.items()}
            experiment(folder, lambda run, c=constant: every_thousand(run.iterations, lambda _: 0.5, **c), **settings)
            command = shlex.split(sentences(overview(folder, {}, 80))[3])
            given.clear()
            CliRunner().invoke(main, command[1:])
            assert {key: given.get(key) for key in expected if key != "resume"} == {
                k: v for k, v in expected.items() if k != "resume"
            }
            assert ("--resume" in command) == ("resume" in expected)
        (folder / "history" / "cnn_seed1.json").unlink()
        trained, _, following, command = sentences(overview(folder, {}, 80))
        assert trained.endswith("; 1 of 2 runs done so far.") and "not done" in following
        assert shlex.split(command) == ["minidrop", "reproduce", "--resume", "--out", str(folder)]

    def test_what_is_unlike_the_papers(self):
        settings = {"dataset": "mnist", "network": "published", "iterations": 106_000}
        assert unlike_the_papers(settings) == ""
        assert unlike_the_papers({**settings, "iterations": 10}) == "longer runs (88,000 to 250,000 iterations)"
        assert (
            unlike_the_papers({**settings, "network": "lite", "dataset": "digits"})
            == "another dataset (MNIST) and another network (published)"
        )

    def test_what_went_wrong_stands_below(self):
        text = overview(RESULTS / "crash", {}, 80)
        assert "beta-scaled-composed, seed 1: non-finite loss from iteration 9,520 (1 step)\n" in text

    def test_published_curves_fit_too(self, tmp_path):
        experiment(
            tmp_path / "one", lambda run: every_thousand(5_000, lambda _: 0.5), variants=("beta-scaled",), iterations=5_000
        )
        curves = {"beta-scaled": [{"iteration": 1_000 * step, "loss": 1.0, "accuracy": 0.25} for step in range(1, 6)]}
        text = overview(tmp_path / "one", curves, 80)
        assert "Beside the published curves" in text and max(map(len, lines_of(text))) <= 80
        assert text.count("0.2500") == 5


ROWS = [
    ("network", "paper", "last 20"),
    ("CNN with dropout", "0.9906", "0.8215"),
    ("beta-scaled-detach-p_max=.95", "", "0.8549"),
]


class TestFitted:
    def test_what_gives_way_first(self):
        wide, two_lines, broken, without = (fitted(ROWS, width) for width in (45, 44, 30, 20))
        assert wide[0] == "network                        paper  last 20"
        assert two_lines[:2] == ["network                        paper    last", f"{'20':>44}"]
        assert len(broken) > len(two_lines) and "last" in broken[0] and "0.8549" in "".join(broken)
        assert "last" not in without[0] and "paper" in without[0]

    @pytest.mark.parametrize("width", range(1, 100, 3))
    def test_any_width(self, width):
        lines = fitted(ROWS, width)
        assert max(map(len, lines)) <= max(width, 11)
        assert "".join(line[:11].strip() for line in lines).startswith("network"[: max(width, 1)])

    def test_sentences(self):
        assert wrapped("one two three four five six seven", 20) == ["one two three four", "  five six seven"]


METER = {"n": 660, "total": 1600, "elapsed": 2.0, "prefix": "", "ascii": False, "unit": "step", "unit_scale": False, "rate": 319.26, "unit_divisor": 1000, "initial": 0, "postfix": "beta-scaled_seed0: loss 1.234, accuracy 0.432", "colour": None}  # fmt: skip


class TestBar:
    @pytest.mark.parametrize(("columns", "place"), [(200, 0), (80, 1), (48, 2), (40, 2), (30, 3), (20, 4), (None, 0)])
    def test_the_tail_gives_way_before_the_bar(self, columns, place):
        from tqdm import tqdm

        values = {**METER, "ncols": columns}
        assert richest_format(values) == FORMATS[place]
        line = tqdm.format_meter(**{**values, "bar_format": FORMATS[place]})
        if columns:
            assert len(line) <= columns and len(re.search(r"\|(.*?)\|", line)[1]) >= min(LEAST, columns - 6)

    @pytest.mark.parametrize("columns", [40, 80])
    def test_on_a_terminal(self, columns, monkeypatch):
        import io

        class Terminal(io.StringIO):
            def isatty(self):
                return True

        written = Terminal()
        monkeypatch.setattr(sys, "stderr", written)
        monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _file: (columns, 24))
        (run,) = Grid.of(variants=("beta-scaled",), iterations=1_000).runs()
        with Bar([run]) as bar:
            bar.bar.mininterval = 0
            for iteration in range(1, 1_001, 37):
                bar.written = 0.0
                bar(run.name, iteration, 1.234, 0.5)
        drawn = [line for line in re.split(r"[\r\n]", written.getvalue()) if "%|" in line]
        assert len(drawn) > 10 and max(map(len, drawn)) <= columns
        assert min(len(re.search(r"\|(.*?)\|", line)[1]) for line in drawn) >= LEAST


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [80, 40])
def test_the_command_in_a_real_terminal(columns, tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    arguments = ["reproduce", "--variants", "cnn", "--iterations", "60", "--evaluate-every", "1", "--out", "out"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        environment = {name: value for name, value in with_path().items() if name not in ("COLUMNS", "LINES")}
        os.execve(sys.executable, [sys.executable, "-m", "minidrop", *arguments], {**environment, "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    output = b""
    try:
        while piece := os.read(terminal, 65536):
            output += piece
    except OSError:  # the child has ended
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, output
    text = output.decode().replace("\r\n", "\n")
    table = [line for line in text.split("\n") if line.startswith(("network", "CNN "))]
    rows = read_history(tmp_path / "out" / "history" / "cnn_seed0.csv")
    assert f"{max(row['accuracy'] for row in rows):.4f}" in table[1] and max(map(len, table)) <= columns
    bars = [line for part in text.split("\n") for line in part.split("\r") if "%|" in line]
    assert bars and max(map(len, bars)) <= columns
    assert "1 run of 60 iterations" in text and "What to try next" in text


class TestHelp:
    def commands(self, group=main, name=()):
        for word, command in group.commands.items():
            yield (*name, word), command
            if isinstance(command, click.Group):
                yield from self.commands(command, (*name, word))

    def test_every_line_fits_and_no_summary_is_cut(self):
        for name, _ in [((), main), *self.commands()]:
            printed = CliRunner().invoke(main, [*name, "--help"], terminal_width=80, max_content_width=80).output
            assert max(map(len, printed.splitlines())) <= 80 and "..." not in printed.replace(", ...", "").replace(
                "S]...", ""
            ).replace("[ARGS]...", ""), name

    def test_commands_stand_in_the_order_of_use(self):
        assert main.list_commands(None) == ["reproduce", "report", "compare", "again", "lessons", "data", "claims", "draws"]
        assert main.commands["data"].list_commands(None) == ["list", "fetch", "verify"]
        printed = CliRunner().invoke(main, ["--help"]).output
        assert printed.index("  reproduce ") < printed.index("  compare ") < printed.index("  claims ")


def test_one_and_many():
    assert (counted(1, "run"), counted(0, "run"), counted(4000, "iteration")) == ("1 run", "0 runs", "4,000 iterations")
    assert (share(1, 1, "run"), share(0, 1, "run"), share(1, 4, "run"), share(3, 4, "run")) == ("1 of 1 run is", "0 of 1 run is", "1 of 4 runs is", "3 of 4 runs are")  # fmt: skip
    once, twice = Divergence(), Divergence()
    once.note("equal logits", 7)
    for iteration in (7, 9):
        twice.note("equal logits", iteration)
    assert str(once) == "equal logits from iteration 7 (1 step)"
    assert str(twice) == "equal logits from iteration 7 (2 steps, the last at 9)"


def test_no_number_of_one_is_followed_by_a_plural(tmp_path):
    """In what a run of one network, one seed, one iteration prints and writes."""
    printed = CliRunner().invoke(main, ["reproduce", "--variants", "cnn", "--iterations", "1", "--out", str(tmp_path)]).output
    printed += CliRunner().invoke(main, ["reproduce", "--out", str(tmp_path)]).output
    printed += CliRunner().invoke(main, ["again", str(tmp_path)]).output
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"]["iterations"] = 2
    printed += (tmp_path / "table.md").read_text()
    (tmp_path / "config.json").write_text(json.dumps(config))
    printed += CliRunner().invoke(main, ["report", str(tmp_path)]).output + (tmp_path / "table.md").read_text()
    printed += re.sub(r"(?s)<style>.*?</style>|base64,[^\"]*", "", (tmp_path / "report.html").read_text())
    assert "1 of 1 run is not finished" in printed and "only 1 iteration yet" in printed and "1 of 1 run done" in printed
    assert re.findall(r"(?<![\d,.])1 (?:runs|seeds|networks|iterations|steps)\b", printed) == []
    assert read_config(tmp_path)["settings"]["seeds"] == 1
