"""What the lessons share (`lessons/lesson.py`): a slider with a static fall-back, stored results, checked statements."""

from __future__ import annotations

import pathlib
import sys

import pytest

import minidrop as md

LESSONS = pathlib.Path(md.__file__).parent.parent / "lessons"

if not LESSONS.exists():
    pytest.skip("minidrop is installed without its checkout", allow_module_level=True)

sys.path.insert(0, str(LESSONS))
import matplotlib as mpl

mpl.use("Agg")
import lesson


def test_without_widgets_the_figures_are_there_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    drawn = []
    lesson.slider(lambda axes, z: drawn.append((axes.get_figure(), z)), z=list(range(10)))
    assert [z for _, z in drawn] == [0, 3, 6, 9]  # four of ten, the first and the last among them
    assert len({figure for figure, _ in drawn}) == 1


def test_with_widgets_there_is_a_slider_too(monkeypatch):
    import ipywidgets

    shown = []
    monkeypatch.setattr(ipywidgets, "interact", lambda function, **widgets: shown.append((function, widgets)))
    drawn = []
    lesson.slider(lambda axes, step: drawn.append(step), step=[1, 2, 3])
    ((function, widgets),) = shown
    assert drawn == [1, 2, 3] and widgets["step"].options == (1, 2, 3) and widgets["step"].value == 3
    function(step=2)  # what moving the slider does
    assert drawn == [1, 2, 3, 2]


def test_a_sentence_carries_its_numbers_and_can_be_untrue(monkeypatch):
    shown = []
    monkeypatch.setattr(lesson, "display", lambda what, metadata: shown.append((what.data, metadata["minidrop"])))
    lesson.say("loss {loss:.2f}", loss=0.123, holds=True)
    assert shown == [("loss 0.12", {"text": "loss {loss:.2f}", "numbers": {"loss": 0.123}, "agree": 0.05})]
    with pytest.raises(lesson.Untrue, match=r'says "loss 0\.12", and this run does not'):
        lesson.say("loss {loss:.2f}", loss=0.123, holds=False)
    with pytest.raises(KeyError):
        lesson.say("{forgotten}", holds=True)


def test_a_stored_run_that_is_not_there():
    assert (lesson.results("digits") / "config.json").exists()
    with pytest.raises(FileNotFoundError, match=r"no stored run 'nothing'; there are: .*digits"):
        lesson.results("nothing")
