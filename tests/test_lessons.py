"""The lessons: every notebook runs from top to bottom in a fresh kernel, and its page matches the run.

Also: source and notebook are the same, no lesson uses what a later one introduces, no number is typed into the prose, and
each of these tests can fail.
"""

from __future__ import annotations

import ast
import copy
import json
import pathlib
import re
import sys

import pytest

import minidrop as md

ROOT = pathlib.Path(md.__file__).parent.parent
LESSONS = ROOT / "lessons"

if not LESSONS.exists():
    pytest.skip("minidrop is installed without its checkout", allow_module_level=True)

sys.path.insert(0, str(LESSONS))
import make
import nbformat

SOURCES = make.SOURCES
lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name[:2])


def stored(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def markdown_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


# Running --------------------------------------------------------------------------------------------------------------


def disagreements(old, new):
    """What two runs of a lesson said differently: two lists of what `say` recorded."""
    problems = []
    for before, after in zip(old, new, strict=True):
        if before["text"] != after["text"]:
            problems.append(f"{before['text']!r} became {after['text']!r}")
        for name, value in before["numbers"].items():
            tolerance = before["agree"]
            if tolerance is not None and abs(after["numbers"][name] - value) > tolerance * max(abs(value), 1):
                problems.append(f"{name} in {before['text']!r}: the page has {value:g}, this run {after['numbers'][name]:g}")
    return problems


@pytest.mark.slow
@lesson
def test_it_runs_and_the_page_says_what_the_run_says(source, record_property):
    notebook = make.read_source(source)
    record_property("lesson_seconds", make.execute(notebook, timeout=180))
    old, new = make.claims(stored(source)), make.claims(notebook)
    assert len(new) >= 2 and [claim["text"] for claim in old] == [claim["text"] for claim in new]
    assert disagreements(old, new) == []
    errors = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert errors == []


@pytest.mark.parametrize("error", [make.CellTimeoutError, make.DeadKernelError])
def test_a_kernel_that_falls_silent_is_replaced_once(error, monkeypatch):
    started = []

    class Client:
        def __init__(self, notebook, **options):
            started.append(options["timeout"])

        def execute(self):
            if len(started) <= silent:
                raise error("silent")

    monkeypatch.setattr(make, "NotebookClient", Client)
    for silent in (0, 1):
        started.clear()
        assert make.execute(None, timeout=5) >= 0 and started == [5] * (silent + 1)
    silent = 2
    started.clear()
    with pytest.raises(error):
        make.execute(None, timeout=5)
    assert started == [5, 5]


def test_a_page_that_says_something_else_is_noticed():
    claim = {"text": "{a}", "numbers": {"a": 0.9}, "agree": 0.05}
    changed = copy.deepcopy(claim)
    changed["numbers"]["a"] = 0.8
    assert disagreements([claim], [claim]) == [] and len(disagreements([claim], [changed])) == 1
    assert len(disagreements([claim], [{**claim, "text": "other {a}"}])) == 1
    timing = {**claim, "agree": None}
    assert disagreements([timing], [{**changed, "agree": None}]) == []


def test_a_cell_that_fails_fails_the_lesson():
    from nbclient.exceptions import CellExecutionError

    cells = [nbformat.v4.new_code_cell("from lesson import say"), nbformat.v4.new_code_cell("say('{a}', a=1, holds=False)")]
    with pytest.raises(CellExecutionError, match="does not bear it out"):
        make.execute(nbformat.v4.new_notebook(cells=cells))


# Pages ----------------------------------------------------------------------------------------------------------------


@lesson
def test_source_and_notebook_are_the_same(source):
    cells = lambda notebook: [(cell.cell_type, cell.source) for cell in notebook.cells]  # noqa: E731
    assert cells(make.read_source(source)) == cells(stored(source)), f"run: python lessons/make.py {source.name[:2]}"


@lesson
def test_the_notebook_can_be_read_without_running(source):
    notebook = stored(source)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    text = json.dumps(notebook)
    assert not re.search(r"/(home|root|tmp|work|usr|mnt)/", text) and "Traceback" not in text
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs)
    assert len(make.images(notebook)) >= 2
    assert len(text) < 2_000_000


@lesson
def test_the_parts_of_a_page(source):
    notebook = stored(source)
    title, gift = make.title_and_gift(notebook)
    assert title and gift
    first = notebook.cells[0].source
    assert "**You need**" in first
    stated = int(re.search(r"\*\*Time\*\* about (\d+) seconds on two cores", first)[1])
    assert notebook.metadata.minidrop.seconds <= 1.5 * stated + 5 and stated <= 120
    headings = [line for text in markdown_of(notebook) for line in text.splitlines() if line.startswith("## ")]
    assert headings[-3:] == ["## What to keep", "## Exercises", "## Read on"]
    exercises = {
        name for cell in notebook.cells for name in re.findall(r'^check\("(\d\d\.\d)", \w+\)$', cell.source, flags=re.M)
    }
    assert exercises >= {f"{source.name[:2]}.{k}" for k in (1, 2, 3)}
    paths = re.findall(r"`((?:minidrop|lessons|tests|datasets)/[\w/.\-]+)`", "\n".join(markdown_of(notebook)))
    assert paths and [path for path in paths if not (ROOT / path).exists() and "gpu" not in path] == []


def test_readme_has_the_table_of_the_lessons():
    readme = (LESSONS / "README.md").read_text()
    assert make.table() in readme
    for source in SOURCES:
        assert (LESSONS / "thumbnails" / f"{source.name[:2]}.png").exists()
    assert [source.name[:2] for source in SOURCES] == [f"{number:02}" for number in range(16)]


def test_there_is_room_in_ci():
    """Fifteen minutes for all lessons, one after the other: as measured when the pages were made."""
    assert sum(stored(source).metadata.minidrop.seconds for source in SOURCES) < 15 * 60


# Names ----------------------------------------------------------------------------------------------------------------


def names_used(code):
    """Every name of minidrop in Python code, dotted: md.nn.Dense, minidrop.paper.training.train; the longest of each chain."""
    tree = ast.parse(code)
    aliases = {}  # alias: the name it stands for
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "minidrop":
                    aliases[alias.asname or "minidrop"] = "md"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minidrop":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full)
                aliases[alias.asname or alias.name] = full

    def chain(node):
        if isinstance(node, ast.Attribute):
            inner = chain(node.value)
            return f"{inner}.{node.attr}" if inner else None
        return aliases.get(node.id) if isinstance(node, ast.Name) else None

    for node in ast.walk(tree):
        dotted = chain(node) if isinstance(node, ast.Attribute) else None
        if dotted and dotted.startswith("md.") and dotted != "md.__file__":  # that name is Python's
            found.add(dotted)
    # of md.nn.Dense keep that, not md.nn
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def introduced(notebook):
    line = re.search(r"^\*\*New names\*\*(.*?)(?:\n\n|\Z)", notebook.cells[0].source, flags=re.M | re.S)
    return set(re.findall(r"`((?:md|minidrop)\.[\w.]+)`", line[1])) if line else set()


def covers(known, name):
    """A name is known if it, or an object that it belongs to, was introduced."""
    return any(name == one or name.startswith(one + ".") for one in known)


def from_the_future(lessons):
    """[(lesson, name)]: names that a lesson uses and that neither it nor an earlier one introduced; [(number, new, used)]."""
    known, problems = set(), []
    for number, new, used in lessons:
        problems += [(number, f"{name} introduced twice") for name in sorted(new & known)]
        known |= new
        problems += [(number, name) for name in sorted(used) if not covers(known, name)]
        problems += [(number, f"{name} not used") for name in sorted(new) if not any(covers({name}, one) for one in used)]
    return problems


def code_of(notebook):
    return "\n\n".join(re.sub(r"^[%!].*$", "", cell.source, flags=re.M) for cell in notebook.cells if cell.cell_type == "code")


def test_no_lesson_uses_what_a_later_one_introduces():
    lessons = []
    for source in SOURCES:
        notebook = make.read_source(source)
        lessons.append((source.name[:2], introduced(notebook), names_used(code_of(notebook))))
    assert from_the_future(lessons) == []


def test_a_name_from_the_future_is_noticed():
    code = "import minidrop as md\nfrom minidrop.paper.training import train as go\nx = md.nn.Dense(2, 3).weight\ngo(md.Tensor(1.0).sum())\n"
    assert names_used(code) == {"minidrop.paper.training.train", "md.nn.Dense", "md.Tensor"}
    good = [("01", {"md.Tensor"}, {"md.Tensor"}), ("02", {"md.nn.Dense"}, {"md.nn.Dense", "md.Tensor"})]
    assert from_the_future(good) == []
    assert from_the_future(good[::-1]) == [("02", "md.Tensor")]
    assert from_the_future([*good, ("03", {"md.Tensor"}, {"md.Tensor"})]) == [("03", "md.Tensor introduced twice")]
    assert from_the_future([("01", {"md.Tensor", "md.where"}, {"md.Tensor"})]) == [("01", "md.where not used")]


# Numbers --------------------------------------------------------------------------------------------------------------

# Constants of formulas and of the paper, which prose may quote; everything measured goes through `say`.
CONSTANTS = {
    "0.1",
    ".1",
    "0.5",
    ".5",
    ".2",
    "0.2",
    ".8",
    "0.8",
    ".05",
    ".01",
    "0.01",
    "0.001",
    ".001",
    ".95",
    "0.95",
    ".999",
    "2.5",
    "1.5",
    "1.0",
}


def typed_numbers(texts):
    """Numbers with decimals in prose, outside of code and formulas."""
    prose = [re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", " ", text, flags=re.S) for text in texts]
    numbers = [number for text in prose for number in re.findall(r"(?<![\w.])\d*\.\d+(?![\w.])", text)]
    return [number for number in numbers if number not in CONSTANTS]


def allowed(notebook):
    """Figures that a lesson quotes from elsewhere; its metadata cell says so: a cell tagged "quotes" lists them with their source."""
    quoted = [cell.source for cell in notebook.cells if "quotes" in cell.metadata.get("tags", ())]
    return {number for text in quoted for number in re.findall(r"\d*\.\d+", text)}


@lesson
def test_no_measured_number_is_typed(source):
    notebook = make.read_source(source)
    assert [number for number in typed_numbers(markdown_of(notebook)) if number not in allowed(notebook)] == []


def test_a_typed_number_is_noticed():
    assert typed_numbers(["it reached .9231, from 0.7 at `lr=0.03` and $p = .77$", "section 2.1.3, lesson 01.2 and 0.95"]) == [
        ".9231",
        "0.7",
        "01.2",
    ]
