"""The exercises at the end of each notebook: what a right answer is, worked out when it is asked.

The questions stand in the notebooks, ways to the answers in ``notebooks/solutions.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_utils.alignment import metrics
from paper_utils.cloning import rollout
from paper_utils.cloning.training import AGENT
from paper_utils.data import expert, grammar, levels
from paper_utils.encoders import agent, hub
from paper_utils.encoders.embeddings import EMBEDDING, REFERENCE
from paper_utils.encoders.families import FAMILIES
from paper_utils.run import Run

EPISODES = 64
LONG = 25


@dataclass(frozen=True)
class Exercise:
    """``read`` makes sense of an answer, ``right(run, what was read)`` decides."""

    read: Callable[[Any], Any]
    right: Callable[[Run, Any], bool]
    form: str
    hint: str


def check(run: Run, answers: dict[int, Any]) -> None:
    """Prints a line per exercise of the run's notebook: right, not yet (and a hint), or open.

    ``answers``: number of the exercise -> answer, None where there is none yet.
    """
    for number, exercise in enumerate(EXERCISES[run.notebook], 1):
        answer = answers.get(number)
        if answer is None:
            print(f"{number}: open; the answer is {exercise.form}")
            continue
        try:
            answer = exercise.read(answer)
        except Exception:  # whatever a reader may write there
            print(f"{number}: not readable; the answer is {exercise.form}")
            continue
        right = exercise.right(run, answer)
        print(f"{number}: right" if right else f"{number}: not yet; {exercise.hint}")


def _number(truth: Callable[[Run], float], within: float = 0.0) -> Callable[[Run, Any], bool]:
    return lambda run, answer: abs(answer - truth(run)) <= within


def _word(truth: Callable[[Run], str]) -> Callable[[Run, Any], bool]:
    return lambda run, answer: answer.lower() == truth(run).lower()


# Notebook 01 ----------------------------------------------------------------------------------


def _count(run: Run, *more: str) -> int:
    return len(grammar.instructions([*run.profile.data.levels, *more]))


def _episode(answer: tuple[str, int]) -> expert.Episode:
    level, seed = answer
    return expert.rollouts(level, [int(seed)])[0]


# Notebook 02 ----------------------------------------------------------------------------------


def _success(run: Run, level: str, act: Callable) -> float:
    seeds = levels.seeds("evaluation", EPISODES, run.profile.seed)
    return float(rollout.play(level, seeds, act)["success"].mean())


def _policy(run: Run):
    return run.get(AGENT, agent=0, condition="trained").policy


def _told_otherwise(run: Run) -> float:
    policy, level = _policy(run), run.profile.data.levels[0]
    return _success(run, level, lambda said: rollout.Cloned(policy, [*said[1:], said[0]]))


def _word_order(run: Run) -> float:
    policy, level = _policy(run), run.profile.data.levels[0]
    back = lambda said: [" ".join(reversed(text.split())) for text in said]  # noqa: E731
    return _success(run, level, lambda said: rollout.Cloned(policy, back(said)))


class Forgetful(rollout.Cloned):
    """An agent that begins each step as if it were its first."""

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        self.past = None
        return super().__call__(observations, running)


def _suffers_most(run: Run) -> str:
    policy = _policy(run)
    lost = {}
    for level in run.profile.data.levels:
        with_memory = _success(run, level, lambda said: rollout.Cloned(policy, said))
        lost[level] = with_memory - _success(run, level, lambda said: Forgetful(policy, said))
    return max(lost, key=lost.__getitem__)


# Notebook 03 ----------------------------------------------------------------------------------


def _anisotropy(run: Run) -> float:
    family = run.profile.encoders.families[0]
    reference = run.get(REFERENCE, family=family, trained=True)
    texts = grammar.instructions(run.profile.data.levels)["text"].tolist()
    pooling = FAMILIES[family].poolings[1]
    x = hub.embed(texts, reference.folder, family=family, pooling=pooling).astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return float((x @ x.T)[np.triu_indices(len(x), 1)].mean())


def _endings(run: Run) -> int:
    return grammar.instructions(run.profile.data.levels)["text"].str.split().str[-1].nunique()


def _moved_by_the_article(run: Run) -> str:
    """Whose sentences move further, relative to their spread, when "the" becomes "a"."""
    texts = grammar.instructions(run.profile.data.levels)["text"].tolist()
    other = [text.replace("the ", "a ") for text in texts]
    family = run.profile.encoders.families[0]
    folder = run.get(REFERENCE, family=family, trained=True).folder
    embed = {
        "agent": lambda said: agent.embed(said, _policy(run)),
        family: lambda said: hub.embed(said, folder, family=family),
    }
    moved = {}
    for name, of in embed.items():
        before, after = of(texts), of(other)
        moved[name] = np.linalg.norm(before - after) / np.linalg.norm(before - before.mean(0))
    return max(moved, key=moved.__getitem__)


# Notebook 04 ----------------------------------------------------------------------------------


def _precision(run: Run, change: Callable | None = None, **options) -> float:
    settings = run.profile.alignment
    given = {"k": settings.k, "dimension": settings.dimension, "folds": settings.folds,
             "seed": run.profile.seed}  # fmt: skip
    X, Y = (
        run.get(EMBEDDING, encoder=name).to_numpy()
        for name in ("action-0", run.profile.encoders.families[0])
    )
    if change:
        X, Y = change(X, Y)
    return metrics.precision_at_k(X, Y, **(given | options))


def _mismatched(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return X, Y[np.random.default_rng(0).permutation(len(Y))]


EXERCISES: dict[str, tuple[Exercise, ...]] = {
    "01_data": (
        Exercise(
            float,
            _number(lambda run: _count(run, "GoTo")),
            "a whole number",
            "grammar.instructions lists them; its column `levels` says who says what",
        ),
        Exercise(
            float,
            _number(lambda run: _count(run, "SynthLoc") - _count(run)),
            "a whole number",
            "count the instructions with and without the new level, then subtract",
        ),
        Exercise(
            _episode,
            lambda run, episode: len(episode.actions) > LONG,
            '("level", seed)',
            f"that episode has {LONG} steps or fewer; expert.rollouts(level, seeds) plays many",
        ),
    ),
    "02_bc_training": (
        Exercise(
            float,
            _number(_told_otherwise, 0.1),
            "a share between 0 and 1",
            "the shuffled agent, too, acts on the instruction of another episode",
        ),
        Exercise(
            float,
            _number(_word_order, 0.1),
            "a share between 0 and 1",
            "what would an agent need word order for, on this level?",
        ),
        Exercise(
            str.strip,
            _word(_suffers_most),
            "the name of a level",
            "where must the agent remember what it saw, or what it has done?",
        ),
    ),
    "03_embeddings": (
        Exercise(
            float,
            _number(_anisotropy, 0.05),
            "a cosine",
            "describe() computes it; hub.embed takes pooling=",
        ),
        Exercise(
            float,
            _number(_endings),
            "a whole number",
            "two sentences with the same last word coincide",
        ),
        Exercise(
            str.strip,
            _word(_moved_by_the_article),
            '"agent", or the name of the first family',
            "compare how far the vectors move with how far they lie apart",
        ),
    ),
    "04_alignment": (
        Exercise(
            float,
            _number(lambda run: _precision(run, k=1), 0.05),
            "a share between 0 and 1",
            "fewer answers count as right; the figure of k shows the way",
        ),
        Exercise(
            float,
            _number(lambda run: _precision(run, dimension=4), 0.05),
            "a share between 0 and 1",
            "four directions must carry colours, types, places and verbs",
        ),
        Exercise(
            float,
            _number(lambda run: _precision(run, _mismatched), 0.03),
            "a share between 0 and 1",
            "what is an instruction's partner now?",
        ),
    ),
}
