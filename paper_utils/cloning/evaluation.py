"""Playing fresh episodes with a policy, many at once."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from paper_utils.cloning.policy import ACTIONS, START, Policy, cell_kinds
from paper_utils.cloning.training import AGENT
from paper_utils.config import generator
from paper_utils.data import expert, levels
from paper_utils.store import Stage, write_table

COLUMNS = ["level", "seed", "instruction", "success", "steps"]
BATCH = 128  # episodes played side by side; fixed, so results do not depend on the machine
# Observations (uint8[B, 7, 7, 3]) and which episodes still run (int64[B]) -> an action each.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Cloned:
    """The argmax policy over a batch of episodes, with the history of each.  ``sentences``:
    float32[B, width], one vector per episode to act on; the policy's own or not."""

    def __init__(self, policy: Policy, sentences: np.ndarray | torch.Tensor):
        self.policy, self.sentence = policy, torch.as_tensor(sentences)
        self.previous = torch.full((len(self.sentence), 1), START)
        self.past, self.running = [], np.arange(len(self.sentence))

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        if len(running) < len(self.running):  # forget the episodes that have ended
            keep = torch.from_numpy(np.isin(self.running, running))
            self.sentence, self.previous = self.sentence[keep], self.previous[keep]
            self.past, self.running = [memory[:, keep] for memory in self.past], running
        cells = torch.from_numpy(cell_kinds(observations)).long().unsqueeze(1)
        given = self.sentence, cells, self.previous, self.past
        logits, self.past, self.attention = self.policy(*given)
        self.previous = logits[:, 0].argmax(-1, keepdim=True)
        return self.previous[:, 0].numpy()


@torch.inference_mode()
def play(level: str, seeds: Sequence[int], make_act: Callable[[list[str]], Act],
         limit: int | None = None) -> pd.DataFrame:  # fmt: skip
    """One row (COLUMNS) per seed.  ``make_act`` gets the instructions of a batch of episodes, which
    fail after ``limit`` steps, or where the level gives up before."""
    rows = []
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        envs = [levels.make(level) for _ in batch]
        observations = [env.reset(seed=int(seed))[0]["image"] for env, seed in zip(envs, batch)]
        act = make_act([env.mission for env in envs])
        success, ended = np.zeros((2, len(envs)), bool)
        while not ended.all():
            running = np.flatnonzero(~ended)
            actions = act(np.stack([observations[i] for i in running]), running)
            for i, action in zip(running, actions):
                observation, reward, *ends, _ = envs[i].step(int(action))
                observations[i], success[i] = observation["image"], reward > 0
                ended[i] = any(ends) or envs[i].step_count == limit
        each = zip(batch, envs, success)
        rows += [(level, seed, env.mission, won, env.step_count) for seed, env, won in each]
    return pd.DataFrame(rows, columns=COLUMNS)


def evaluate(policy: Policy, level: str, seeds: Sequence[int],
             vectors: Callable[[list[str]], np.ndarray] | None = None,
             limit: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Episodes of the argmax policy, as `play` gives them.  ``vectors`` turns B instructions into
    the vectors (B, width) that it acts on, say those of another model, mapped; None: its own."""
    return play(level, seeds, lambda texts: Cloned(policy, (vectors or policy.embed)(texts)), limit)


def evaluate_random(level: str, seeds: Sequence[int], seed: int = 0,
                    limit: int | None = None) -> pd.DataFrame:  # fmt: skip
    """A policy that draws uniformly from the six actions that are ever demonstrated."""
    draw = partial(generator("random player", seed).integers, len(ACTIONS) - 1)
    return play(level, seeds, lambda _: lambda seen, _: draw(size=len(seen)), limit)


def summarize(episodes: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Success with its 95 % interval (Wilson, 1927), episodes and median steps, per group."""
    rows = []
    for values, group in episodes.groupby(by, sort=False):
        won, n, steps = int(group["success"].sum()), len(group), group["steps"].median()
        low, high = binomtest(won, n).proportion_ci(method="wilson")
        row = {"success": won / n, "low": low, "high": high, "episodes": n, "steps": steps}
        rows.append(dict(zip(by, values)) | row)
    return pd.DataFrame(rows)


@torch.inference_mode()
def film(policy: Policy, level: str, seed: int, max_steps: int = 40, sentence=None) -> expert.Film:
    """Plays one episode and keeps every frame; ``sentence`` (width,) in place of its own vector."""
    env = levels.make(level, highlight=True)
    observation, _ = env.reset(seed=int(seed))
    act = Cloned(policy, policy.embed([env.mission]) if sentence is None else sentence[None])
    frames, views, actions, attention, reward, ends = [], [], [], [], 0.0, []
    while not any(ends) and len(actions) < max_steps:
        frames.append(env.get_frame(tile_size=32))
        views.append(observation["image"])
        action = int(act(observation["image"][None], np.zeros(1, int))[0])
        actions.append(ACTIONS[action])
        attention.append(act.attention[0, 0].numpy().reshape(-1, 7, 7))
        observation, reward, *ends, _ = env.step(action)
    frames.append(env.get_frame(tile_size=32))
    views, attention = np.array(views), np.array(attention)
    return expert.Film(env.mission, reward > 0, frames, views, actions, attention)


def _make(profile, folder, *inputs, player: str, agent: int, level: str):
    full = player in ("trained", "held-out", "bilingual", "expert")
    count = profile.cloning.evaluation_episodes if full else profile.cloning.baseline_episodes
    seeds = levels.seeds("evaluation", count, profile.seed)
    if player == "random":
        episodes = evaluate_random(level, seeds, profile.seed)
    elif player == "expert":  # what cloning could reach
        played = expert.rollouts(level, seeds)
        rows = [(level, e.seed, e.instruction, e.success, len(e.actions)) for e in played]
        episodes = pd.DataFrame(rows, columns=COLUMNS)
    else:
        episodes = evaluate(inputs[0].policy, level, seeds)
    write_table(folder / "episodes.csv.gz", episodes)


EVALUATION = Stage("evaluation", _make, lambda folder: pd.read_csv(folder / "episodes.csv.gz"),
    reads=("seed", "cloning.evaluation_episodes", "cloning.baseline_episodes"),
    needs=lambda profile, player, agent, level: [] if player in ("random", "expert") else
    [(AGENT, {"agent": agent, "condition": player})])  # fmt: skip
"""Episodes of one player on one level.  ``player``: random, expert, or a condition of AGENT."""
