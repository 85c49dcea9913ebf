"""Exercises tell right from wrong answers, and from answers that cannot be read."""

import runpy
from dataclasses import replace

import numpy as np
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


def test_a_pooling_that_no_sink_can_spoil(run, capsys):
    other = replace(run, notebook="03_embeddings")
    other.check({1: 3, 3: lambda states: np.median(states, axis=0)})
    first, _, third = capsys.readouterr().out.splitlines()
    assert first == "1: right"  # key, ball or box
    assert third == "3: right"
    # The sink is pooled; is thought to be in front; the answer has no vector.
    for wrong in (np.mean, lambda states, axis: states[1:].mean(axis), lambda states, axis: 0):
        other.check({3: lambda states, wrong=wrong: wrong(states, axis=0)})
        assert capsys.readouterr().out.splitlines()[2].startswith("3: not yet; ")


def test_a_file_of_vectors(run, capsys, tmp_path):
    other = replace(run, notebook="07_your_own")
    verdicts = []
    for name, rows in {"right": 18, "short": 17}.items():
        np.savez(tmp_path / f"{name}.npz", vectors=np.ones((rows, 4)))
        other.check({3: tmp_path / f"{name}.npz"})
        verdicts.append(capsys.readouterr().out.splitlines()[2])
    other.check({3: "nowhere.npz"})
    verdicts.append(capsys.readouterr().out.splitlines()[2])
    right, short, nowhere = verdicts
    assert right == "3: right"
    assert short.startswith("3: not yet; ")
    assert "FileNotFoundError" in nowhere


def test_every_notebook_has_its_section():
    for notebook, exercises in EXERCISES["EXERCISES"].items():
        assert (NOTEBOOKS / f"{notebook}.py").exists()
        assert len(exercises) == 3
        for exercise in exercises:
            assert exercise.form and exercise.hint
