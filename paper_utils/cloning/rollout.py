"""Playing fresh episodes with a policy, many at once, and counting successes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor

from paper_utils.artifacts import Stage, write_table
from paper_utils.cloning.policy import ACTIONS, START, Policy, cell_kinds, tokenize
from paper_utils.cloning.training import AGENT
from paper_utils.data import expert, levels
from paper_utils.data.narration import name, thing_at

TOGGLE = ACTIONS.index("toggle")
BATCH = 128  # episodes played side by side; fixed, so results do not depend on the machine

# Given observations (uint8[B, 7, 7, 3]) and which episodes still run (int64[B]): an action each.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Cloned:
    """The argmax policy over a batch of episodes, remembering each one's history."""

    def __init__(self, policy: Policy, instructions: Sequence[str]):
        self.policy = policy
        self.sentence = policy.instruction(tokenize(instructions))
        self.previous = torch.full((len(instructions), 1), START)
        self.past: list[Tensor] | None = None
        self.running = np.arange(len(instructions))

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
    ``make_act`` gets the instructions.
    """
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
                handled[i].append(name(thing))
            observations[i], steps[i], success[i] = observation["image"], steps[i] + 1, reward > 0
            if not (terminated or truncated):
                still.append(i)
        running = np.array(still, dtype=int)
    facing = [thing_at(env, *env.front_pos) for env in envs]
    return pd.DataFrame(
        {
            "level": level,
            "seed": list(seeds),
            "instruction": [env.mission for env in envs],
            "success": success,
            "steps": steps,
            "handled": [",".join(things) for things in handled],
            "facing": [name(thing) if thing else "" for thing in facing],
        }
    )


def evaluate(policy: Policy, level: str, seeds: Sequence[int]) -> pd.DataFrame:
    """Success of the argmax policy on fresh episodes: one row per seed."""
    return _in_batches(level, seeds, lambda said: Cloned(policy, said))


def evaluate_random(level: str, seeds: Sequence[int], seed: int = 0) -> pd.DataFrame:
    """A policy that draws uniformly from the six actions that are ever demonstrated."""
    rng = np.random.default_rng(seed)
    return _in_batches(
        level, seeds, lambda _: lambda seen, running: rng.integers(len(ACTIONS) - 1, size=len(seen))
    )


def evaluate_expert(level: str, seeds: Sequence[int]) -> pd.DataFrame:
    """The expert on the same episodes: what cloning could reach."""
    episodes = expert.rollouts(level, seeds)
    return pd.DataFrame(
        {
            "level": level,
            "seed": [episode.seed for episode in episodes],
            "instruction": [episode.instruction for episode in episodes],
            "success": [episode.success for episode in episodes],
            "steps": [len(episode.actions) for episode in episodes],
            "handled": "",
            "facing": "",
        }
    )


def _in_batches(level: str, seeds: Sequence[int], make_act) -> pd.DataFrame:
    parts = [play(level, seeds[i : i + BATCH], make_act) for i in range(0, len(seeds), BATCH)]
    return pd.concat(parts, ignore_index=True)


def summarize(episodes: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Success with its 95 % interval (Wilson, 1927), episodes and median steps, per group."""
    rows = []
    for values, group in episodes.groupby(by, sort=False):
        counted = binomtest(int(group["success"].sum()), len(group))
        low, high = counted.proportion_ci(method="wilson")
        rows.append(
            dict(zip(by, values))
            | {
                "success": group["success"].mean(),
                "low": low,
                "high": high,
                "episodes": len(group),
                "steps": group["steps"].median(),
            }
        )
    return pd.DataFrame(rows)


@torch.inference_mode()
def film(policy: Policy, level: str, seed: int, max_steps: int = 40) -> expert.Film:
    """Plays one episode and keeps every frame."""
    env = levels.make(level, highlight=True)
    observation, _ = env.reset(seed=int(seed))
    act = Cloned(policy, [env.mission])
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


def _make(profile, folder: Path, report, *inputs, player: str, agent: int, level: str) -> None:
    settings = profile.cloning
    full = player in ("trained", "held-out", "expert")
    count = settings.evaluation_episodes if full else settings.baseline_episodes
    seeds = levels.seeds("evaluation", count, profile.seed)
    if player == "random":
        episodes = evaluate_random(level, seeds, profile.seed)
    elif player == "expert":
        episodes = evaluate_expert(level, seeds)
    else:
        policy = inputs[0].after(int(player)) if player.isdigit() else inputs[0].policy
        episodes = evaluate(policy, level, seeds)
    write_table(folder / "episodes.csv.gz", episodes)


EVALUATION = Stage(
    name="evaluation",
    version=3,
    make=_make,
    load=lambda folder: pd.read_csv(folder / "episodes.csv.gz", keep_default_na=False),
    reads=("seed", "cloning.evaluation_episodes", "cloning.baseline_episodes"),
    needs=lambda profile, player, agent, level: (
        [] if player in ("random", "expert") else [(AGENT, _agent_of(player, agent))]
    ),
)
"""Episodes of one player on one level.  ``player``: random, expert, a condition of AGENT, or a
number of SNAPSHOTS for the trained agent as it was on the way."""


def _agent_of(player: str, agent: int) -> dict:
    return {"agent": agent, "condition": "trained" if player.isdigit() else player}
