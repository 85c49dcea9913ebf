"""The exercises at the end of each notebook: what a right answer is, worked out when it is checked.

The questions stand in the notebooks, ways to the answers in ``solutions.md`` beside this file.
Each notebook has a section of its own below, which ends in its tuple of exercises."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.data import expert, grammar, levels
from paper_utils.data.demonstrations import EPISODES
from paper_utils.run import Run


class Exercise(NamedTuple):
    """One question: how an answer is read, and whether it is right."""

    read: Callable[[Any], Any]  # makes sense of an answer, or raises
    right: Callable[[Run, Any], bool]
    form: str  # of an answer, in words
    hint: str


def check(run: Run, answers: dict[int, Any]) -> None:
    """Prints a line per exercise of the run's notebook: right, not yet (and a hint), or open.

    ``answers``: number of the exercise -> answer, None where there is none yet."""
    for number, exercise in enumerate(EXERCISES[run.notebook], 1):
        print(f"{number}: {_verdict(run, exercise, answers.get(number))}")


def _verdict(run: Run, exercise: Exercise, answer: Any) -> str:
    if answer is None:
        return f"open; the answer is {exercise.form}"
    try:
        answer = exercise.read(answer)
    except Exception:  # whatever a reader may write there
        return f"not readable; the answer is {exercise.form}"
    try:
        right = exercise.right(run, answer)
    except Exception as error:  # a function of theirs may do anything
        line = " ".join(f"{type(error).__name__}: {error}".split())
        return f"your answer raised {line[:200]}"
    return "right" if right else f"not yet; {exercise.hint}"


def a_function(answer: Any) -> Callable:
    """Reads an answer that has to be a function."""
    if not callable(answer):
        raise TypeError("not a function")
    return answer


def a_word(answer: str) -> str:
    """Reads an answer that is a name, however it is written."""
    return answer.strip().lower()


def texts_of(run: Run) -> list[str]:
    """All sentences of a run's levels."""
    return grammar.instructions(run.profile.data.levels)["text"].tolist()


# 01 · Data --------------------------------------------------------------------------------------

ROOMS = 20  # in which the answer has to hold
LONG = 25


def turns_with_the_agent(run: Run, turned: Callable) -> bool:
    """Whether what is at (x, y) of a view is at turned(x, y) after a turn to the right."""
    env = levels.make(run.profile.data.levels[0])
    compared = 0
    for seed in levels.seeds("pictures", ROOMS, run.worlds[0]):
        before = env.reset(seed=seed)[0]["image"]
        after = env.step(env.actions.right)[0]["image"]
        for x, y in np.argwhere(before[..., 0] > 1):  # 0: not seen, 1: empty
            column, row = turned(int(x), int(y))
            # What the agent turned away from has left the view.
            if not (0 <= column < 7 and 0 <= row < 7):
                continue
            # A thing may hide behind another one now.
            if after[column, row, 0] == 0:
                continue
            if (before[x, y] != after[column, row]).any():
                return False
            compared += 1
    # Who sends everything out of the view has told nothing.
    return compared >= ROOMS


def rarest(run: Run) -> int:
    """How many training demonstrations of the first world say the sentence that fewest say."""
    recorded = run.get(EPISODES, world=run.worlds[0], rooms="babyai").episodes
    said = recorded.loc[recorded["split"] == "train", "instruction"]
    times = said.map(grammar.canonical).value_counts()
    # A sentence that is never said counts, too.
    return int(times.reindex(texts_of(run), fill_value=0).min())


def steps_of(answer: tuple[str, int]) -> int:
    """Reads (level, seed): how many steps the expert takes there."""
    level, seed = answer
    (episode,) = expert.rollouts(level, [int(seed)])
    return len(episode.actions)


DATA = (
    Exercise(
        read=a_function,
        right=turns_with_the_agent,
        form="a function of (x, y) that returns a pair",
        hint="what was ahead is to the left now; what was to the right is ahead",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: answer == rarest(run),
        form="a whole number",
        hint='episodes say "a" where several things match: grammar.canonical(text) says "the"',
    ),
    Exercise(
        read=steps_of,
        right=lambda run, steps: steps > LONG,
        form='("level", seed)',
        hint=f"that one has {LONG} steps or fewer; expert.rollouts(level, seeds) plays many",
    ),
)


# 02 · Behavioural cloning -----------------------------------------------------------------------

EPISODE_COUNT = 32
LIMIT = 128  # steps of an episode
NEAR = 0.1  # how far from the true share an answer may be


def _policy(run: Run):
    return run.get(AGENT, **agent_parameters(run.worlds[0], Condition.ACTED)).policy


def _success(run: Run, level: str, make_act: Callable) -> float:
    seeds = levels.seeds("evaluation", EPISODE_COUNT, run.worlds[0])
    return float(evaluation.play(level, seeds, make_act, LIMIT)["success"].mean())


def told_the_next_instruction(run: Run) -> float:
    """Success on the first level where each episode is told the instruction of the next one."""
    policy = _policy(run)

    def make_act(texts: list[str], seeds) -> evaluation.GreedyPolicy:
        return evaluation.GreedyPolicy(policy, policy.embed([*texts[1:], texts[0]]))

    return _success(run, run.profile.data.levels[0], make_act)


def told_backwards(run: Run) -> float:
    """Success on the first level where the words come in reverse order."""
    policy = _policy(run)

    def make_act(texts: list[str], seeds) -> evaluation.GreedyPolicy:
        backwards = [" ".join(reversed(text.split())) for text in texts]
        return evaluation.GreedyPolicy(policy, policy.embed(backwards))

    return _success(run, run.profile.data.levels[0], make_act)


class Forgetful(evaluation.GreedyPolicy):
    """An agent that begins each step as if it were its first."""

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        self.kv_cache = []
        return super().__call__(observations, running)


def levels_that_need_memory(run: Run) -> set[str]:
    """The levels that lose most without memory; several may lose about equally much."""
    policy = _policy(run)
    lost = {}
    for level in run.profile.data.levels:
        rates = []
        for kind in (evaluation.GreedyPolicy, Forgetful):
            rate = _success(
                run, level, lambda texts, _, kind=kind: kind(policy, policy.embed(texts))
            )
            rates.append(rate)
        lost[level] = rates[0] - rates[1]
    most = max(lost.values())
    return {level.lower() for level in lost if lost[level] >= most - 2 / EPISODE_COUNT}


CLONING = (
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - told_the_next_instruction(run)) <= NEAR,
        form="a share between 0 and 1",
        hint="it is sure of itself, and wrong: does it try a second thing?",
    ),
    Exercise(
        read=float,
        right=lambda run, answer: abs(answer - told_backwards(run)) <= NEAR,
        form="a share between 0 and 1",
        hint="what would an agent need word order for, on this level?",
    ),
    Exercise(
        read=a_word,
        right=lambda run, answer: answer in levels_that_need_memory(run),
        form="the name of a level",
        hint="where must the agent remember what it saw, or what it has done?",
    ),
)


# 03 · Embeddings --------------------------------------------------------------------------------

EMBEDDINGS: tuple[Exercise, ...] = ()


# 04 · Alignment ---------------------------------------------------------------------------------

ALIGNMENT: tuple[Exercise, ...] = ()


# 05 · Structure ---------------------------------------------------------------------------------

STRUCTURE: tuple[Exercise, ...] = ()


# 06 · Your own ----------------------------------------------------------------------------------

YOUR_OWN: tuple[Exercise, ...] = ()


# 07 · Robustness --------------------------------------------------------------------------------

ROBUSTNESS: tuple[Exercise, ...] = ()


EXERCISES: dict[str, tuple[Exercise, ...]] = {
    "01_data": DATA,
    "02_bc_training": CLONING,
    "03_embeddings": EMBEDDINGS,
    "04_alignment": ALIGNMENT,
    "05_structure": STRUCTURE,
    "06_your_own": YOUR_OWN,
    "07_robustness": ROBUSTNESS,
}
