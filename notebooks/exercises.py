"""The exercises at the end of each notebook: what a right answer is, worked out when it is checked.

The questions stand in the notebooks, ways to the answers in ``solutions.md`` beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from paper_utils import alignment
from paper_utils.cloning import evaluation
from paper_utils.cloning.training import AGENT
from paper_utils.data import expert, grammar, levels
from paper_utils.encoders import hub, registry
from paper_utils.encoders.registry import EMBEDDING, REFERENCE, records
from paper_utils.figures import PAPER
from paper_utils.run import Run

EPISODES, LIMIT = 32, 128  # steps of an episode
LONG = 25


class Exercise(NamedTuple):
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
        if answers.get(number) is None:
            print(f"{number}: open; the answer is {exercise.form}")
            continue
        try:
            answer = exercise.read(answers[number])
        except Exception:  # whatever a reader may write there
            print(f"{number}: not readable; the answer is {exercise.form}")
            continue
        try:
            right = exercise.right(run, answer)
        except Exception as error:  # a function of theirs may do anything
            line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            print(f"{number}: your answer raised {line}")
            continue
        print(f"{number}: right" if right else f"{number}: not yet; {exercise.hint}")


def _number(truth: Callable[[Run], float], within: float = 0.0) -> Callable[[Run, Any], bool]:
    return lambda run, answer: abs(answer - truth(run)) <= within


def _word(truth: Callable[[Run], set[str]]) -> Callable[[Run, Any], bool]:
    return lambda run, answer: answer.lower() in {word.lower() for word in truth(run)}


def _texts(run: Run) -> list[str]:
    return grammar.instructions(run.profile.data.levels)["text"].tolist()


# Notebook 01 ----------------------------------------------------------------------------------


def _count(run: Run, *more: str) -> int:
    return len(grammar.instructions([*run.profile.data.levels, *more]))


def _steps(answer: tuple[str, int]) -> int:
    level, seed = answer
    return len(expert.rollouts(level, [int(seed)])[0].actions)


# Notebook 02 ----------------------------------------------------------------------------------


def _success(run: Run, level: str, make_act: Callable) -> float:
    seeds = levels.seeds("evaluation", EPISODES, run.profile.seed)
    return float(evaluation.play(level, seeds, make_act, LIMIT)["success"].mean())


def _policy(run: Run):
    return run.get(AGENT, agent=0, condition="trained").policy


def _other_instruction(run: Run) -> float:
    policy, level = _policy(run), run.profile.data.levels[0]
    shifted = lambda texts: policy.embed([*texts[1:], texts[0]])  # noqa: E731
    return _success(run, level, lambda texts: evaluation.Cloned(policy, shifted(texts)))


def _word_order(run: Run) -> float:
    policy, level = _policy(run), run.profile.data.levels[0]
    back = lambda texts: policy.embed([" ".join(t.split()[::-1]) for t in texts])  # noqa: E731
    return _success(run, level, lambda texts: evaluation.Cloned(policy, back(texts)))


class Forgetful(evaluation.Cloned):
    """An agent that begins each step as if it were its first."""

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        self.past = []
        return super().__call__(observations, running)


def _suffer_most(run: Run) -> set[str]:
    """The levels that lose most without memory; several may lose about equally much."""
    policy = _policy(run)
    lost = {}
    for level in run.profile.data.levels:
        rates = [
            _success(run, level, lambda texts, act=act: act(policy, policy.embed(texts)))
            for act in (evaluation.Cloned, Forgetful)
        ]
        lost[level] = rates[0] - rates[1]
    return {level for level in lost if lost[level] >= max(lost.values()) - 2 / EPISODES}


# Notebook 03 ----------------------------------------------------------------------------------


def _anisotropy(run: Run) -> float:
    family = run.profile.encoders.families[0]
    reference = run.get(REFERENCE, family=family, seed=0, kind="trained")
    x = hub.embed(_texts(run), reference.folder, layer=0).astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return float((x @ x.T)[np.triu_indices(len(x), 1)].mean())


def _endings(run: Run) -> int:
    return len({text.split()[-1] for text in _texts(run)})


def _moved_by_the_article(run: Run) -> set[str]:
    """Whose sentences move further, relative to their spread, when "the" becomes "a"."""
    texts = _texts(run)
    other = [text.replace("the ", "a ") for text in texts]
    family = run.profile.encoders.families[0]
    folder = run.get(REFERENCE, family=family, seed=0, kind="trained").folder
    embed = {"agent": _policy(run).embed, family: lambda said: hub.embed(said, folder)}
    moved = {}
    for name, of in embed.items():
        before, after = of(texts), of(other)
        moved[name] = np.linalg.norm(before - after) / np.linalg.norm(before - before.mean(0))
    return {max(moved, key=moved.__getitem__)}


# Notebook 04 ----------------------------------------------------------------------------------


def _precision(run: Run, change: Callable | None = None, **options) -> float:
    settings = run.profile.alignment
    given = {"k": settings.k, "dimension": settings.dimension, "folds": settings.folds,
             "seed": run.profile.seed}  # fmt: skip
    everyone = registry.encoders(run.profile)
    reference = next(e for e in everyone if e.source == "scratch")
    X, Y = (v.to_numpy() for v in run.get_many(EMBEDDING, records([everyone[0], reference])))
    if change:
        X, Y = change(X, Y)
    return alignment.precision_at_k(X, Y, **(given | options))


def _beats_the_agent(run: Run, control: Callable) -> bool:
    """Whether a function of sentences aligns better with the first reference than the agent does,
    also where every word is replaced by a made-up one, so that it can know no meaning."""
    texts = _texts(run)
    words = sorted({word for text in texts for word in text.split()})
    made_up = {word: f"x{number}" for number, word in enumerate(words)}
    bare = [" ".join(made_up[word] for word in text.split()) for text in texts]
    changes = [lambda X, Y, said=said: (np.asarray(control(said), dtype=float), Y)
               for said in (texts, bare)]  # fmt: skip
    return all(_precision(run, change) > _precision(run) for change in changes)


def _passes_the_gate(run: Run, encoder: Callable) -> bool:
    """Whether it chooses most colours rightly between its own first and second names."""
    table = grammar.instructions(run.profile.data.levels, second=run.profile.data.second_names)
    both = np.asarray(encoder([*table["text"], *table["second_text"]]), dtype=float)
    gate = alignment.own_names(*np.split(both, 2), factors=table).set_index("measure")["value"]
    return gate["colour"] > 0.5


def _function(answer: Any) -> Callable:
    if not callable(answer):
        raise TypeError
    return answer


SHARE = "a share between 0 and 1"
EXERCISES: dict[str, tuple[Exercise, ...]] = {
    "01_data": (
        Exercise(float, _number(lambda run: np.ceil(PAPER[0] * _count(run))), "a whole number",
                 "chance is k/N: which is the smallest k with k/N of at least that?"),
        Exercise(float, _number(lambda run: _count(run, "SynthLoc") - _count(run)),
                 "a whole number",
                 "count the instructions with and without the new level, then subtract"),
        Exercise(_steps, lambda run, steps: steps > LONG, '("level", seed)',
                 f"that one has {LONG} steps or fewer; expert.rollouts(level, seeds) plays many"),
    ),
    "02_bc_training": (
        Exercise(float, _number(_other_instruction, 0.1), SHARE,
                 "it is sure of itself, and wrong: does it try a second thing?"),
        Exercise(float, _number(_word_order, 0.1), SHARE,
                 "what would an agent need word order for, on this level?"),
        Exercise(str.strip, _word(_suffer_most), "the name of a level",
                 "where must the agent remember what it saw, or what it has done?"),
    ),
    "03_embeddings": (
        Exercise(float, _number(_anisotropy, 0.01), "a cosine",
                 "describe() computes it; hub.embed takes layer="),
        Exercise(float, _number(_endings), "a whole number",
                 "two sentences with the same last word coincide"),
        Exercise(str.strip, _word(_moved_by_the_article),
                 '"agent", or the name of the first family',
                 "compare how far the vectors move with how far they lie apart"),
    ),
    "05_robustness": (),
    "04_alignment": (
        Exercise(float, _number(lambda run: _precision(run, k=1), 0.05), SHARE,
                 "the table has means; here: forward, first agent, first model, seed 0"),
        Exercise(_function, _beats_the_agent, "a function from a list of sentences to vectors",
                 "it must beat the first agent, forward, with made-up words, too: what keeps apart sentences "
                 "with the same words in another order?"),
        Exercise(_function, _passes_the_gate, "a function from a list of sentences to vectors",
                 "what would a translator need?"),
    ),
}  # fmt: skip
