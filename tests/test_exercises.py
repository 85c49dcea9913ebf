"""Exercises tell right from wrong answers, and from answers that cannot be read."""

import runpy

import pytest

from paper_utils.config import Profile
from paper_utils.data.demonstrations import EPISODES
from paper_utils.run import NOTEBOOKS, Run
from paper_utils.store import Store

EXERCISES = runpy.run_path(str(NOTEBOOKS / "exercises.py"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    few = {"data.demonstrations": {"GoToLocal": 300}, "data.validation": 1}
    profile = Profile.load("smoke", overrides=few)
    return Run("01_data", profile, folder, Store(folder / "store"))


@pytest.fixture
def said(run, capsys):
    """What `Run.check` says of one answer."""

    def of(number: int, answer) -> str:
        run.check({number: answer})
        return capsys.readouterr().out.splitlines()[number - 1]

    return of


def test_right_wrong_unreadable_and_open(run, said):
    """The rarest of eighteen sentences, counted here in another way: by words, without articles."""
    recorded = run.get(EPISODES, world=run.worlds[0], rooms="babyai").episodes
    things = recorded.query("split == 'train'")["instruction"].str.split().str[-2:].str.join(" ")
    times = things.value_counts()
    assert len(times) == 18 and times.sum() == 300
    assert said(2, times.min()) == "2: right"
    assert said(2, times.min() + 1).startswith("2: not yet; ")
    assert said(2, "many").startswith("2: not readable; the answer is a whole number")
    assert said(2, None) == "2: open; the answer is a whole number"


def test_a_turn_of_the_view(said):
    assert said(1, lambda x, y: (y - 3, 9 - x)) == "1: right"
    for wrong in (
        lambda x, y: (9 - y, x + 3),  # to the left
        lambda x, y: (x, y),
        lambda x, y: (99, 99),  # says nothing
    ):
        assert said(1, wrong).startswith("1: not yet; ")
    assert "ZeroDivisionError" in said(1, lambda x, y: (x // 0, y))
    assert said(1, 3).startswith("1: not readable; ")


def test_every_notebook_has_its_section():
    for notebook, exercises in EXERCISES["EXERCISES"].items():
        assert (NOTEBOOKS / f"{notebook}.py").exists() or not exercises
        for exercise in exercises:
            assert exercise.form and exercise.hint
