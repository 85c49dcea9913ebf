"""Playing fresh episodes with a policy, many at once: successes, endings, and where it looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from scipy.stats import binomtest
from torch import Tensor

from paper_utils.cloning.policy import ACTIONS, CELL_KINDS, CELLS, START, Policy, cell_kinds
from paper_utils.cloning.training import AGENT, Episodes
from paper_utils.config import generator
from paper_utils.data import expert, grammar, levels
from paper_utils.data.demonstrations import Demonstrations
from paper_utils.data.levels import called, thing_at
from paper_utils.data.levels import AGENT_CELL
from paper_utils.store import Stage, write_table

TOGGLE = ACTIONS.index("toggle")
BATCH = 128  # episodes played side by side; fixed, so results do not depend on the machine

# Given observations (uint8[B, 7, 7, 3]) and which episodes still run (int64[B]): an action each.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Cloned:
    """The argmax policy over a batch of episodes, remembering each one's history.

    ``sentences``: float32[B, width], one vector per episode to act on; the policy's own or not.
    """

    def __init__(self, policy: Policy, sentences: np.ndarray | Tensor):
        self.policy = policy
        self.sentence = torch.as_tensor(sentences)
        self.previous = torch.full((len(self.sentence), 1), START)
        self.past: list[Tensor] | None = None
        self.running = np.arange(len(self.sentence))

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        if len(running) < len(self.running):  # forget the episodes that have ended
            keep = torch.from_numpy(np.isin(self.running, running))
            self.sentence, self.previous = self.sentence[keep], self.previous[keep]
            self.past = [memory[:, keep] for memory in self.past or []]
            self.running = running
        cells = torch.from_numpy(cell_kinds(observations)).long().unsqueeze(1)
        logits, self.past, self.attention = self.policy(
            self.sentence, cells, self.previous, self.past
        )
        self.previous = logits[:, 0].argmax(-1, keepdim=True)
        return self.previous[:, 0].numpy()


@torch.inference_mode()
def play(level: str, seeds: Sequence[int], make_act: Callable[[list[str]], Act]) -> pd.DataFrame:
    """One row per seed: instruction, success, steps, and what the agent did with things.

    ``handled`` lists the things that it picked up and the doors that it toggled, in order and
    separated by commas; ``facing`` is what stood before it at the end (both may be empty).
    ``make_act`` gets the instructions of a batch of episodes.
    """
    parts = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    return pd.concat([_play(level, part, make_act) for part in parts], ignore_index=True)


def _play(level: str, seeds: Sequence[int], make_act: Callable[[list[str]], Act]) -> pd.DataFrame:
    envs = [levels.make(level) for _ in seeds]
    observations = [env.reset(seed=int(seed))[0]["image"] for env, seed in zip(envs, seeds)]
    act = make_act([env.mission for env in envs])
    success, steps = np.zeros(len(envs), bool), np.zeros(len(envs), int)
    handled: list[list[str]] = [[] for _ in envs]
    running = np.arange(len(envs))
    while len(running):
        actions = act(np.stack([observations[i] for i in running]), running)
        still = []
        for i, action in zip(running, actions):
            thing = thing_at(envs[i], *envs[i].front_pos)
            observation, reward, terminated, truncated, _ = envs[i].step(int(action))
            if thing and (thing is envs[i].carrying or action == TOGGLE and thing.type == "door"):
                handled[i].append(called(thing))
            observations[i], steps[i], success[i] = observation["image"], steps[i] + 1, reward > 0
            if not (terminated or truncated):
                still.append(i)
        running = np.array(still, dtype=int)
    facing = [thing_at(env, *env.front_pos) for env in envs]
    return pd.DataFrame({
        "level": level,
        "seed": list(seeds),
        "instruction": [env.mission for env in envs],
        "success": success,
        "steps": steps,
        "handled": [",".join(things) for things in handled],
        "facing": [called(thing) if thing else "" for thing in facing],
    })  # fmt: skip


def evaluate(
    policy: Policy, level: str, seeds: Sequence[int],
    vectors: Callable[[list[str]], np.ndarray] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Episodes of the argmax policy, as `play` gives them.

    ``vectors`` turns a batch of instructions into the sentence vectors (B, width) that the policy
    acts on, say those of another model, mapped; by default its own.
    """
    vectors = vectors or policy.embed
    return play(level, seeds, lambda texts: Cloned(policy, vectors(texts)))


def evaluate_random(level: str, seeds: Sequence[int], seed: int = 0) -> pd.DataFrame:
    """A policy that draws uniformly from the six actions that are ever demonstrated."""
    random = generator("random player", seed)
    actions = len(ACTIONS) - 1
    return play(level, seeds, lambda _: lambda seen, _: random.integers(actions, size=len(seen)))


def evaluate_expert(level: str, seeds: Sequence[int]) -> pd.DataFrame:
    """The expert on the same episodes: what cloning could reach."""
    episodes = expert.rollouts(level, seeds)
    return pd.DataFrame({
        "level": level,
        "seed": [episode.seed for episode in episodes],
        "instruction": [episode.instruction for episode in episodes],
        "success": [episode.success for episode in episodes],
        "steps": [len(episode.actions) for episode in episodes],
        "handled": "",
        "facing": "",
    })  # fmt: skip


def summarize(episodes: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Success with its 95 % interval (Wilson, 1927), episodes and median steps, per group."""
    rows = []
    for values, group in episodes.groupby(by, sort=False):
        counted = binomtest(int(group["success"].sum()), len(group))
        low, high = counted.proportion_ci(method="wilson")
        rows.append(dict(zip(by, values)) | {
            "success": group["success"].mean(), "low": low, "high": high,
            "episodes": len(group), "steps": group["steps"].median(),
        })  # fmt: skip
    return pd.DataFrame(rows)


@torch.inference_mode()
def film(
    policy: Policy, level: str, seed: int, max_steps: int = 40, sentence: np.ndarray | None = None
) -> expert.Film:
    """Plays one episode and keeps every frame; ``sentence`` (width,) in place of its own vector."""
    env = levels.make(level, highlight=True)
    observation, _ = env.reset(seed=int(seed))
    act = Cloned(policy, policy.embed([env.mission]) if sentence is None else sentence[None])
    frames, views, actions, attention, reward = [], [], [], [], 0.0
    ended = False
    while not ended and len(actions) < max_steps:
        frames.append(env.get_frame(tile_size=16))
        views.append(observation["image"])
        action = int(act(observation["image"][None], np.zeros(1, int))[0])
        actions.append(ACTIONS[action])
        attention.append(act.attention[0, 0].numpy().reshape(-1, 7, 7))
        observation, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
    frames.append(env.get_frame(tile_size=16))
    return expert.Film(
        env.mission, reward > 0, frames, np.array(views), actions, np.array(attention)
    )


def _make(
    profile, folder: Path, *inputs, player: str, agent: int, level: str, snapshot: int
) -> None:
    settings = profile.cloning
    full = not snapshot and player in ("trained", "held-out", "bilingual", "expert")
    count = settings.evaluation_episodes if full else settings.baseline_episodes
    seeds = levels.seeds("evaluation", count, profile.seed)
    if player == "random":
        episodes = evaluate_random(level, seeds, profile.seed)
    elif player == "expert":
        episodes = evaluate_expert(level, seeds)
    else:
        policy = inputs[0].after(snapshot) if snapshot else inputs[0].policy
        episodes = evaluate(policy, level, seeds)
    write_table(folder / "episodes.csv.gz", episodes)


EVALUATION = Stage(
    name="evaluation",
    make=_make,
    load=lambda folder: pd.read_csv(folder / "episodes.csv.gz", keep_default_na=False),
    reads=("seed", "cloning.evaluation_episodes", "cloning.baseline_episodes"),
    needs=lambda profile, player, agent, level, snapshot: (
        [] if player in ("random", "expert") else [(AGENT, {"agent": agent, "condition": player})]
    ),
)
"""Episodes of one player on one level.  ``player``: random, expert, or a condition of AGENT;
``snapshot``: 0, or one of SNAPSHOTS for the trained agent as it was on the way."""


# How episodes end, and where the policy looks ------------------------------------------------

ENDINGS = (
    "succeeded",
    "handled a thing not named",
    "handled a named thing, not as told",
    "ended facing a thing not named",
    "ended facing a named thing",
    "ended facing nothing",
)
"""By name, that is by colour and type: "the ball on your left" also names the ball behind you.
Where two things are named, either counts."""


def classify_endings(episodes: pd.DataFrame, factors: pd.DataFrame) -> pd.Series:
    """One of ENDINGS per episode, the first that fits.

    Arguments:
        episodes: as `play` gives them.
        factors: ``grammar.instructions`` of their levels.
    """
    named = factors.set_index("text")
    return pd.Series(
        [_ending(e, named.loc[grammar.canonical(e.instruction)]) for e in episodes.itertuples()],
        index=episodes.index,
        dtype=pd.CategoricalDtype(ENDINGS, ordered=True),
    )


def _ending(episode, named: pd.Series) -> str:
    if episode.success:
        return ENDINGS[0]
    handled = [name for name in episode.handled.split(",") if name]
    if handled:
        return ENDINGS[2] if all(_fits(name, named) for name in handled) else ENDINGS[1]
    if not episode.facing:
        return ENDINGS[5]
    return ENDINGS[4] if _fits(episode.facing, named) else ENDINGS[3]


def _fits(name: str, named: pd.Series) -> bool:
    colour, kind = name.split(" ")
    return any(
        named[f"{which}type"] and named[f"{which}colour"] in ("", colour)
        and named[f"{which}type"] in ("object", kind)
        for which in ("", "second_")
    )  # fmt: skip


@torch.inference_mode()
def attention_on_named(
    policy: Policy, demonstrations: dict[str, Demonstrations], factors: pd.DataFrame
) -> pd.DataFrame:
    """Attention per cell on the thing that is named and on others, along demonstrations.

    Counts the steps at which both the first thing of the instruction (where its colour and type are
    said) and another thing are in view, apart from what is carried.  One row per level: level,
    steps, named and other (mean over queries), uniform (what each cell would get: 1/49).
    """
    nouns = factors.set_index("text")[["colour", "type"]]
    kinds = torch.tensor(CELL_KINDS)
    things = torch.tensor([OBJECT_TO_IDX[name] for name in grammar.ANY_TYPE])
    is_thing = torch.isin(kinds[:, 0], things)
    rows = []
    for level, recorded in demonstrations.items():
        episodes = Episodes.of({level: recorded}, policy)
        weights = []
        for number, text in enumerate(recorded.instructions):
            colour, kind = nouns.loc[grammar.canonical(text)]
            if not colour or kind == "object":
                continue
            tokens, cells, previous, _, _ = episodes.batch(np.array([number]), torch.device("cpu"))
            _, _, attention = policy(policy.instruction(tokens), cells, previous)
            weight = attention[0].mean(1)  # (T, 49)
            wanted = (kinds[:, 0] == OBJECT_TO_IDX[kind]) & (kinds[:, 1] == COLOR_TO_IDX[colour])
            named, other = wanted[cells[0]], (is_thing & ~wanted)[cells[0]]  # bool (T, 49)
            named[:, AGENT_CELL] = other[:, AGENT_CELL] = False  # what the agent carries
            both = named.any(1) & other.any(1)
            weights += [
                (weight[t][named[t]].mean(), weight[t][other[t]].mean())
                for t in both.nonzero()[:, 0]
            ]
        on_named, on_other = np.array(weights, dtype=float).reshape(-1, 2).mean(0)
        rows.append((level, len(weights), on_named, on_other, 1 / CELLS))
    return pd.DataFrame(rows, columns=["level", "steps", "named", "other", "uniform"])
