"""The exercises: each solution is right, each usual mistake is named, an empty answer is neither."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import re
import sys

import numpy as np
import pytest

import minidrop as md

ROOT = pathlib.Path(md.__file__).parent.parent
LESSONS = ROOT / "lessons"

if not LESSONS.exists():
    pytest.skip("minidrop is installed without its checkout", allow_module_level=True)

sys.path.insert(0, str(LESSONS))
from checks import Wrong, check, compare

NUMBERS = [path.name[:2] for path in sorted(LESSONS.glob("[0-9][0-9]-*.py"))]
EXERCISES = [f"{number}.{position}" for number in NUMBERS for position in (1, 2, 3)]


def load(path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_is_right(exercise):
    lesson, _, position = exercise.partition(".")
    verdict = check(exercise, load(LESSONS / "solutions" / f"lesson_{lesson}.py").ANSWERS[position])
    assert verdict.right is True, verdict.text
    assert "Right" in verdict._repr_markdown_()


@pytest.mark.parametrize("exercise", EXERCISES)
def test_wrong_answers_hear_what_is_wrong(exercise):
    lesson, _, position = exercise.partition(".")
    wrong = load(ROOT / "tests" / "lesson_answers" / f"lesson_{lesson}.py").WRONG[position]
    assert len(wrong) >= 3
    for answer, message in wrong:
        verdict = check(exercise, answer)
        assert verdict.right is False, f"{message}: taken for right"
        assert re.search(message, verdict.text), f"expected {message!r}, got {verdict.text!r}"


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_answer_is_neither_right_nor_wrong(exercise):
    assert check(exercise, ...).right is None and check(exercise, None).right is None
    assert check(exercise, lambda *arguments, **more: None).right in (None, False)


EXPECTED = np.array([[1.0, 2.0], [3.0, 5.0]])


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (EXPECTED.T, "transposed"),
        (-EXPECTED, "the sign is wrong"),
        (16 * EXPECTED, "16 times too large: divide by the batch"),
        (EXPECTED / 3, "3 times too small"),
        (0 * EXPECTED, "all zeros"),
        (EXPECTED + [[np.nan, 0], [0, 0]], "1 of 4 numbers are inf or NaN"),
        (EXPECTED[0], r"expected shape \(2, 2\), got \(2,\)"),
        (EXPECTED.ravel(), "the right numbers in shape"),
        (EXPECTED + [[0, 0], [0.5, 0]], r"1 of 4 numbers differ; the worst at \(1, 0\): expected 3, got 3.5"),
        ("text", "expected numbers"),
    ],
)
def test_compare_names_the_mistake(got, message):
    with pytest.raises(Wrong, match=message):
        compare(got, EXPECTED, "the gradient", {16: "divide by the batch"})


def test_compare_lets_rounding_pass():
    compare(EXPECTED * (1 + 1e-7), EXPECTED, "the gradient")
    compare(md.Tensor(EXPECTED), EXPECTED, "the gradient")
    with pytest.raises(Wrong):
        compare(EXPECTED * 1.01, EXPECTED, "the gradient")
