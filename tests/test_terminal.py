"""What `minidrop` shows in a terminal: three sentences and a table that fits, a bar that stays a bar, help in its lines."""

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import shlex
import sys
import types

import click
import pytest
from click.testing import CliRunner
from made_up import every_thousand, experiment
from test_reproduce import with_path

import minidrop as md
from minidrop.command import main
from minidrop.command.bar import FORMATS, LEAST, Bar, richest_format
from minidrop.paper.history import Divergence, counted, read_history, share
from minidrop.paper.reproduce.advice import options_of, unlike_the_papers
from minidrop.paper.reproduce.figures import comparison_figure
from minidrop.paper.reproduce.grid import Grid, checkpoint_path, read_config, read_runs, result_path
from minidrop.paper.reproduce.terminal import fitted, overview, sentence_with_path, wrapped
from minidrop.paper.variants import Variant

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


def checkpoints(folder, settings):
    """The files of made-up runs that are needed to go on with them; empty."""
    (folder / "checkpoints").mkdir()
    for run in Grid.of(**settings).runs():
        checkpoint_path(folder, run).touch()


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
        assert (
            f", the best; CNN {100 * tail:.1f} %, the least, with {lost:.0f} of 10 classes lost; the paper's numbers are of "
            in came
        )
        assert came.endswith(
            "another dataset (MNIST), another network (published) and longer runs (88,000 to 250,000 iterations)."
        )
        assert following == "What to try next: compare with digits-linear." and "fail" not in text
        assert shlex.split(command) == ["minidrop", "compare", str(RESULTS / "digits"), str(RESULTS / "digits-linear")]

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
            checkpoints(folder, settings)
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


def ended(folder, kind=None, first=0, iterations=60, **settings):
    """An experiment of which the runs in `settings["wrong"]` (all without it) end in `kind`, from step `first` on."""
    wrong = settings.pop("wrong", None)

    def is_wrong(run):
        return kind is not None and (wrong is None or run.name in wrong)

    def rows_of(run):
        every = range(1, iterations + 1)
        bad = [is_wrong(run) and i >= first for i in every]
        loss = [math.nan if b and kind == "non-finite loss" else 2.0 for b in bad]
        return [
            {"iteration": i, "accuracy": 0.3 if b else 0.5, "loss": x, "dead_logits": 0.2}
            for i, b, x in zip(every, bad, loss, strict=True)
        ]

    grid = experiment(folder, rows_of, iterations=iterations, **settings)
    for run in filter(is_wrong, grid.runs()):
        path = result_path(folder, run)
        moment = {"first": first, "last": iterations, "steps": iterations + 1 - first}
        path.write_text(json.dumps({**json.loads(path.read_text()), "divergence": {kind: moment}}))
    return overview(folder, {}, 80)


def row_of(text, name):
    return re.split(r"  +", next(line for line in text.splitlines() if line.startswith(f"{name}  ")))


class TestWhatWentWrong:
    def test_all_runs(self, tmp_path):
        text = ended(tmp_path / "lr100", "non-finite loss", 6, learning_rate=100.0, variants=("cnn", "dropout"))
        _, what, following, command = sentences(text)
        assert what.startswith("What came: both runs went wrong (non-finite loss from iteration 6 on); the paper's")
        assert row_of(text, "CNN") == ["CNN", "0.9888", "0.5000", "-", "-", "-"]
        assert following == "What to try next: a smaller --learning-rate, a tenth, in another folder."
        assert command.endswith(f"--iterations 60 --learning-rate 10 --out {tmp_path / 'lr100-lr10'}")
        assert "classif" not in text

    def test_some_runs_are_named_and_not_counted(self, tmp_path):
        wrong = ("cnn_seed0", "cnn_seed2", "dropout_seed1")
        text = ended(tmp_path / "out", "non-finite loss", 41, variants=("cnn", "dropout"), seeds=3, wrong=wrong)
        _, what, following, command = sentences(text)
        assert "3 of 6 runs went wrong (non-finite loss from iteration 41 on): cnn, seeds 0, 2; dropout, seed 1;" in what
        assert "of the rest, both networks classify 50.0 % of the test images correctly over the last 20 evaluations" in what
        assert row_of(text, "CNN") == ["CNN", "0.9888", "0.5000", "0.5000", "20%", "0.00"]
        assert "--learning-rate 0.001" in command and '--variants "cnn dropout"' in command and "tenth" in following

    def test_from_the_first_step_on_there_is_not_even_a_peak(self, tmp_path):
        assert row_of(ended(tmp_path / "out", "non-finite loss", 1, variants=("cnn",)), "CNN")[2:] == ["-"] * 4
        assert "the run went wrong" in ended(tmp_path / "dead", "equal logits", 1, variants=("cnn",))

    def test_a_network_that_died_is_measured(self, tmp_path):
        """Its logits are all 0, which is what dead logits and lost classes count."""
        text = ended(tmp_path / "out", "equal logits", 9, variants=("cnn",))
        assert row_of(text, "CNN") == ["CNN", "0.9888", "0.5000", "0.3000", "20%", "0.00"]
        assert "the run went wrong (equal logits from iteration 9 on)" in " ".join(text.split())

    def test_one_that_came_back_is_not_wrong(self, tmp_path):
        ended(tmp_path / "out", variants=("cnn",))
        path = tmp_path / "out" / "history" / "cnn_seed0.json"
        moments = {"equal logits": {"first": 3, "last": 5, "steps": 2}}
        path.write_text(json.dumps({**json.loads(path.read_text()), "divergence": moments}))
        text = overview(tmp_path / "out", {}, 80)
        assert "What came: CNN classifies 50.0 % of the test images correctly" in " ".join(text.split())
        assert "cnn, seed 0: equal logits from iteration 3" in text

    def test_a_rate_in_the_name_is_made_smaller_there(self, tmp_path):
        text = ended(tmp_path / "out", "non-finite loss", 6, variants=("cnn-learning_rate=1e1-batchnorm",))
        assert "--variants cnn-batchnorm-learning_rate=1 " in sentences(text)[3].replace('"', "")
        assert not Variant("cnn-batchnorm-learning_rate=1").same_as(Variant("cnn-learning_rate=1e1-batchnorm"))

    def test_where_dying_is_the_subject(self):
        for name in ("crash-zero", "crash-swallow", "crash-published"):
            outcomes = [json.loads(path.read_text()) for path in (RESULTS / name / "history").glob("*.json")]
            died = sum(bool(outcome["divergence"]) for outcome in outcomes)  # more seeds are still being trained
            many = "the run" if died == len(outcomes) == 1 else f"{died} of {len(outcomes)} runs"
            _, what, following, command = sentences(overview(RESULTS / name, {}, 80))
            assert what.startswith(f"What came: {many} went wrong (") and "lesson 10" in following
            assert command == "minidrop lessons 10"


class TestTheNextFolder:
    """The folder that the advice names is free; an experiment that is there already is compared, or finished."""

    def test_it_is_compared_with_what_is_there(self, tmp_path):
        settings = {"variants": ("cnn",), "seeds": 2, "iterations": 5_000}
        make = lambda name, lost=0, **more: experiment(  # noqa: E731
            tmp_path / name,
            lambda run: every_thousand(5_000, lambda _: 0.5, lost_classes=lambda _: lost),
            **{**settings, **more},
        )
        next_command = lambda: shlex.split(sentences(overview(tmp_path / "a", {}, 80))[3])[1:]  # noqa: E731
        make("a", 2)
        assert next_command()[0] == "reproduce" and next_command()[-1] == str(tmp_path / "a-linear")
        make("a-linear", variants=("beta-linear",))  # another experiment
        assert next_command()[-1] == str(tmp_path / "a-linear-2")
        (tmp_path / "a-linear-2").mkdir()
        assert next_command()[-1] == str(tmp_path / "a-linear-2")  # it is empty
        (tmp_path / "a-linear-2" / "thesis.txt").touch()
        make("a-linear-3", variants=("cnn-linear",))
        assert next_command() == ["compare", str(tmp_path / "a"), str(tmp_path / "a-linear-3")]
        (tmp_path / "a-linear-3" / "history" / "cnn-linear_seed1.json").unlink()
        assert next_command() == ["reproduce", "--resume", "--out", str(tmp_path / "a-linear-3")]

    def test_what_cannot_go_on_is_trained_anew(self, tmp_path):
        """Without checkpoints, as the stored results are."""
        settings = {"variants": ("cnn",), "seeds": 2, "iterations": 3_000}
        experiment(tmp_path / "a", lambda run: every_thousand(3_000, lambda _: 0.5), **settings)
        command = shlex.split(sentences(overview(tmp_path / "a", {}, 80))[3])
        assert "--resume" not in command and command[-1] == str(tmp_path / "a-longer")
        checkpoints(tmp_path / "a", settings)
        assert "--resume" in sentences(overview(tmp_path / "a", {}, 80))[3]

    def test_the_options_make_the_same_grid(self, monkeypatch, tmp_path):
        made = []
        monkeypatch.setattr(
            "minidrop.command.reproduce.grid.require_free", lambda _folder, plan, _resume: made.append(plan) or 1 / 0
        )
        for settings in (
            {},
            {"variants": ("cnn", "beta-p_max=.9"), "seeds": 3, "iterations": 80, "learning_rate": 1e-5, "clip_norm": 2.5},
            {"dataset": "mnist", "network": "published", "protocol": "careful", "iterations": 20_000, "evaluate_every": 7},
            {"evaluation_images": 50, "record_steps": 4, "on_divergence": "stop", "checkpoint_every": 3, "device": "cuda:7"},
        ):
            wanted = Grid.of(**settings)
            CliRunner().invoke(main, ["reproduce", *shlex.split(options_of(wanted))])
            assert {**made.pop().settings, "device": ""} == {**wanted.settings, "device": ""}


def test_those_that_are_equal_are_named_together(tmp_path):
    level = {"cnn": 0.5, "dropout": 0.50001, "beta": 0.4, "alpha": 0.3}
    experiment(
        tmp_path / "a", lambda run: every_thousand(4_000, lambda _: level[run.variant]), variants=tuple(level), iterations=4_000
    )
    text = " ".join(overview(tmp_path / "a", {}, 80).split())
    assert "CNN and CNN with dropout classify 50.0 % of the test images correctly at the last evaluation, the best; " in text
    assert "the best; DropAlan alpha 30.0 %, the least;" in text


def test_the_paper_is_spoken_of_only_beside_its_numbers(tmp_path):
    for name, spoken in (("cnn", True), ("cnn-linear", False)):
        experiment(tmp_path / name, lambda run: every_thousand(4_000, lambda _: 0.5), variants=(name,), iterations=4_000)
        assert ("the paper's numbers" in sentences(overview(tmp_path / name, {}, 80))[1]) == spoken


def test_the_columns_are_explained_below():
    text = overview(RESULTS / "digits", {}, 80)
    for column in ("peak: ", "last 20: ", "dead logits, ", "lost classes, "):
        assert column in text


@pytest.mark.parametrize(
    ("variants", "shown"),
    [
        (("cnn", "dropout"), "Accuracy"),
        (("dropout", "beta-scaled"), "Dropout against DropAlan"),
        (("cnn", "alpha"), "Accuracy"),
    ],
)
def test_figure_4_is_called_what_it_shows(variants, shown, tmp_path):
    """And a run of a few iterations has ticks at whole ones."""
    from matplotlib.figure import Figure

    experiment(
        tmp_path / "a", lambda run: [{"iteration": i, "accuracy": 0.5} for i in (1, 2, 3)], variants=variants, iterations=3
    )
    figure = Figure()
    comparison_figure(figure, read_runs(tmp_path / "a"), {}, "made up")
    (axes,) = figure.axes
    assert axes.get_title() == f"{shown}: made up"
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_a_path_stands_in_one_piece():
    assert sentence_with_path("All of it lies in", pathlib.Path("a/b"), 40) == ["All of it lies in a/b"]
    assert sentence_with_path("All of it lies in", pathlib.Path("a-long/path"), 22) == ["All of it lies in", "  a-long/path"]


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


@pytest.mark.parametrize(("shown", "lines"), [(True, 3), (False, 1)])
def test_how_a_run_ended_fits_on_a_terminal(shown, lines, monkeypatch):
    """A file has a line per run."""
    monkeypatch.setenv("COLUMNS", "40")
    (run,) = Grid.of(variants=("cnn",), iterations=60).runs()
    moments = {"non-finite loss": {"first": 6, "last": 60, "steps": 55}}
    outcome = {"run": run.to_dict(), "stopped": None, "iteration": 60, "test_accuracy": 0.0972, "divergence": moments}
    written = []
    bar = Bar([run])
    bar.bar = types.SimpleNamespace(disable=not shown, write=written.append)
    monkeypatch.setattr(Bar, "__call__", lambda *_: None)
    bar.finished(outcome)
    assert len(written[0].splitlines()) == lines and " ".join(written[0].split()).endswith("(55 steps, the last at 60)")
    assert not shown or max(map(len, written[0].splitlines())) <= 40


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
        assert main.list_commands(None) == [
            "reproduce",
            "report",
            "compare",
            "again",
            "lessons",
            "data",
            "gpu",
            "claims",
            "draws",
        ]
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
    assert "1 of 1 run is not finished" in printed and "evaluated up to iteration 1" in printed and "1 of 1 run done" in printed
    assert re.findall(r"(?<![\d,.])1 (?:runs|seeds|networks|iterations|steps)\b", printed) == []
    assert read_config(tmp_path)["settings"]["seeds"] == 1
