"""The README is code too: every Python block runs, its claims hold, and CI runs its test command."""

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

pytestmark = pytest.mark.skipif(not README.exists(), reason="minidrop is installed without its checkout")


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


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
    assert len(blocks) == 3
    namespace, printed = run(blocks)
    assert accuracy_of(namespace) > 0.95
    assert printed == f"accuracy {accuracy_of(namespace):.2f}\n"


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


def test_every_file_that_the_readme_names_is_there():
    for name in re.findall(r"`((?:minidrop|tests)/[\w/]*\.?\w*)/?`", README.read_text()):
        assert (ROOT / name).exists(), name


def test_no_registry_host_and_no_machine_path_is_committed():
    hosts = re.compile(r"https?://\S*(pypi|pythonhosted|debian|npmjs)|/work/|/root/|/tmp/venv", re.IGNORECASE)
    files = [
        path for folder in ("minidrop", "tests", ".ci", "lessons") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    files += [ROOT / name for name in ("README.md", "CHANGELOG.md", "pyproject.toml")]
    assert hosts.search("https://pypi.example/simple") and not hosts.search("registries in general")
    for path in files:
        if path.suffix in {".py", ".md", ".toml", ".csv", ".json", ".ipynb", ""} and path != pathlib.Path(__file__):
            assert not hosts.search(path.read_text()), path
