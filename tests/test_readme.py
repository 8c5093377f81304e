"""The pages are code too: every Python block runs, claims hold, every file is named, and CI runs the test command."""

from __future__ import annotations

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

import minidrop as md

ROOT = pathlib.Path(md.__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "minidrop" / "README.md", ROOT / "minidrop" / "paper" / "README.md"]
MAP = PAGES[2]

pytestmark = pytest.mark.skipif(not README.exists(), reason="minidrop is installed without its checkout")


def python_blocks(page=README):
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


def run(blocks):
    """Run blocks one after the other in one namespace, as a reader would; return it and what they printed."""
    namespace: dict = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "README.md", "exec"), namespace)
    return namespace, printed.getvalue()


def accuracy_of(namespace):
    predictions = namespace["model"].eval()(namespace["x"]).data.argmax(axis=1)
    return np.mean(predictions == namespace["labels"])


def test_every_block_runs():
    md.manual_seed(0)
    blocks = python_blocks()
    assert len(blocks) == 1 and len(blocks[0].splitlines()) <= 25
    namespace, printed = run(blocks)
    assert accuracy_of(namespace) > 0.95
    assert printed == f"accuracy {accuracy_of(namespace):.2f}\n"


def test_the_blocks_on_how_to_contribute_run():
    blocks = python_blocks(ROOT / "CONTRIBUTING.md")
    assert len(blocks) == 2
    run(blocks)


def test_the_readme_can_be_read_to_the_end():
    assert len(README.read_bytes()) < 8_000
    order = [
        "```python",
        "## Two commands",
        "## Sixteen lessons",
        "## Coming from PyTorch",
        "## Read the source",
        "## What it does not",
        "## Development",
    ]
    places = [README.read_text().index(heading) for heading in order]
    assert places == sorted(places)


def choices(page):
    """[([code, ...], what is said of it)] of the table of choices that surprise."""
    table = page.partition("Choices that surprise some:")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*) \| (\w.*) \|$", table, flags=re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", left), right) for left, right in rows]


def test_the_choices_that_surprise_are_as_the_readme_says():
    x = md.Tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True)
    names = {"x": x, "md": md, "np": np}
    refused, also_refused, index, types, parts, nan = choices(README.read_text())
    for codes, said in (refused, also_refused):
        assert len(codes) > 2 and said == "an error"
        for code in codes:
            with pytest.raises((md.errors.MinidropError, TypeError)):
                eval(code, names)
    assert [eval(code, names).shape for code in index[0]] == [(2, 3)]
    assert [str(eval(code, names).dtype) for code in types[0]] == [types[1]]
    for code in parts[0]:
        assert np.isclose(eval(code, names).item(), eval(code, {"x": x.data})), code
    first, second = nan[0]
    for call in (first, first.replace(".relu()", second)):
        given = md.Tensor([np.nan], requires_grad=True)
        result = eval(call.replace("(x * np.nan)", "x"), {"x": given})
        result.backward([1.7])
        assert np.isnan(eval(call, names).data).all() and np.isnan(result.data).all() and given.grad.tolist() == [0]


def files_in_the_map(text):
    return re.findall(r"`([\w/]+\.py)`", text)


def test_the_map_names_every_file_and_no_other():
    files = {path.relative_to(ROOT / "minidrop").as_posix() for path in (ROOT / "minidrop").rglob("*.py")}
    assert files - set(files_in_the_map(MAP.read_text())) == set()
    assert set(files_in_the_map(MAP.read_text())) - files == {"tests/test_structure.py"}


def test_a_file_that_the_map_forgets_is_noticed():
    assert "ops/matmul.py" not in files_in_the_map(MAP.read_text().replace("`ops/matmul.py`", "the matrix product"))


def links_of(page):
    """[(text, target)] of the links and pictures of a page that stay in the repository."""
    found = re.findall(r"\[([^\]]*)\]\(([^)#\s]+)[^)]*\)", page.read_text())
    return [(text, target) for text, target in found if "://" not in target]


def test_links_lead_somewhere():
    pages = [
        *PAGES,
        ROOT / "tests" / "benchmarks" / "README.md",
        ROOT / "lessons" / "README.md",
        ROOT / "datasets" / "README.md",
    ]
    assert len(links_of(README)) > 5
    for page in pages:
        for text, target in links_of(page):
            assert (page.parent / target).exists(), (page, text, target)


def test_the_claim_about_the_papers_inference():
    """With the identity at inference the trained network is linear, and does not separate opposite quadrants."""
    (example, *_) = python_blocks()
    for seed in range(3):
        md.manual_seed(seed)
        namespace, _ = run([example.replace('inference="expectation"', 'inference="identity"')])
        assert accuracy_of(namespace) < 0.7
        x = np.random.default_rng(seed).normal(size=(5, 2)).astype("float32")
        f = lambda x: namespace["model"](x).data  # noqa: B023, E731
        np.testing.assert_allclose(f(x) - f(0 * x), -(f(-x) - f(0 * x)), atol=1e-4)  # linear up to a constant


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^python -m pytest.*$", README.read_text(), flags=re.MULTILINE)
    assert len(commands) == 1 and "--cov=minidrop" in commands[0]
    script = (ROOT / ".ci" / "run").read_text()
    assert "grep -m 1 '^python -m pytest' README.md" in script and 'eval "$command"' in script


@pytest.mark.parametrize("page", [page for page in PAGES if page != MAP], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    for name in re.findall(r"`((?:minidrop|tests|lessons|datasets)/[\w/]*\.?\w*)/?`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_no_registry_host_and_no_machine_path_is_committed():
    hosts = re.compile(r"https?://\S*(pypi|pythonhosted|debian|npmjs)|/work/|/root/|/tmp/venv", re.IGNORECASE)
    files = [
        path for folder in ("minidrop", "tests", ".ci", "lessons") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    files += [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml")]
    assert hosts.search("https://pypi.example/simple") and not hosts.search("registries in general")
    for path in files:
        if path.suffix in {".py", ".md", ".toml", ".csv", ".json", ".ipynb", ""} and path != pathlib.Path(__file__):
            assert not hosts.search(path.read_text()), path


def releases(changelog):
    """[(version, date)] of its sections; a section without both is an error."""
    headings = re.findall(r"^## (.+)$", changelog, flags=re.MULTILINE)
    return [re.fullmatch(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)", heading).groups() for heading in headings]


def test_the_version_stands_in_one_place_and_has_a_dated_section():
    assert releases((ROOT / "CHANGELOG.md").read_text())[0][0] == md.__version__
    assert md.__version__ not in (ROOT / "pyproject.toml").read_text()
    assert releases("## 0.3.0 (2027-01-01)\n\n### A\n\n## 0.2.0 (2026-11-28)\n") == [
        ("0.3.0", "2027-01-01"),
        ("0.2.0", "2026-11-28"),
    ]
    with pytest.raises(AttributeError):
        releases("## Unreleased\n")
