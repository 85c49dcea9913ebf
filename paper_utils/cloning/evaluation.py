"""Playing fresh episodes, many at once: success, and what a policy does on the way."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from minigrid.core.constants import COLOR_NAMES
from scipy.stats import binomtest

from paper_utils.cloning.agents import AGENT, Agent, Condition, agent_parameters
from paper_utils.cloning.episodes import usual_steps
from paper_utils.cloning.policy import ACTIONS, START, Policy, cell_kinds
from paper_utils.config import Profile, generator
from paper_utils.data import expert, levels
from paper_utils.data.kinds import TYPES
from paper_utils.store import Stage, write_table

COLUMNS = ["level", "seed", "instruction", "success", "steps"]
BATCH = 128  # episodes side by side; fixed, so that results do not depend on the machine
# After how many steps a level gives up, to predict how long evaluation will take.
LONGEST_STEPS = {"GoToLocal": 64, "PickupLoc": 64, "OpenDoor": 576, "PutNextLocal": 128}
EXPERT = "expert"
RANDOM = "random"
SKILLED = (Condition.ACTED, Condition.HELD_OUT, Condition.BLIND, EXPERT)

# Observations uint8[B, 7, 7, 3] of the episodes that still run, and which these are, int64[B]
# -> an action for each.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Instructions of a batch of episodes, and their seeds -> who plays them.
MakeAct = Callable[[list[str], Sequence[int]], Act]


class GreedyPolicy:
    """Takes a policy's most probable actions in B episodes side by side.

    ``sentences`` float32[B, width]: the vector to act on in each, the policy's own or another.
    """

    def __init__(
        self, policy: Policy, sentences: np.ndarray | torch.Tensor, hide_colours: bool = False
    ):
        self.policy = policy
        self.sentences = torch.as_tensor(sentences, dtype=torch.float32)
        self.hide_colours = hide_colours
        self.running = np.arange(len(self.sentences))
        self.previous = torch.full((len(self.sentences), 1), START)
        self.kv_cache = []
        self.attention = None  # over the cells in the last step, float32 (B, 1, Q, 49)

    @torch.inference_mode()
    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        # Most episodes end early; who waits for the last ones need not compute for all.
        if len(running) < len(self.running):
            self._forget_all_but(running)
        if self.hide_colours:
            observations = levels.hide_colours(observations)
        cells = torch.from_numpy(cell_kinds(observations)).long()  # (B, 49)
        logits, self.kv_cache, self.attention = self.policy(
            self.sentences, cells.unsqueeze(1), self.previous, self.kv_cache
        )
        self.previous = logits.argmax(-1)  # (B, 1)
        return self.previous[:, 0].numpy()

    def _forget_all_but(self, running: np.ndarray) -> None:
        """Drops the memory of episodes that have ended."""
        keep = torch.from_numpy(np.isin(self.running, running))  # (B,)
        self.running = running
        self.sentences = self.sentences[keep]
        self.previous = self.previous[keep]
        self.kv_cache = [cache[:, keep] for cache in self.kv_cache]


class RandomPlayer:
    """Draws uniformly from the six actions that are ever demonstrated, in each episode anew."""

    def __init__(self, seeds: Sequence[int]):
        # A generator each: what is drawn does not depend on who else plays.
        self.generators = [generator("random player", int(seed)) for seed in seeds]

    def __call__(self, observations: np.ndarray, running: np.ndarray) -> np.ndarray:
        demonstrated = len(ACTIONS) - 1
        return np.array([self.generators[i].integers(demonstrated) for i in running])


def play(
    level: str,
    seeds: Sequence[int],
    make_act: MakeAct,
    limit: int | None = None,
    rooms: str = "babyai",
    world: int = 0,
    stop: Callable | None = None,
) -> pd.DataFrame:
    """Plays an episode for each seed; one row each, with COLUMNS.

    An episode fails after ``limit`` steps, or where the level gives up before.  ``stop(env)`` is
    asked after each step whether to end it there.
    """
    rows = []
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        # All at once, because a policy takes hardly longer for many episodes than for one.
        envs = [levels.make(level, rooms, world) for _ in batch]
        observations = []
        for env, seed in zip(envs, batch):
            observation, _ = env.reset(seed=int(seed))
            observations.append(observation["image"])
        act = make_act([env.mission for env in envs], batch)
        success = _play_batch(envs, observations, act, limit, stop)
        for seed, env, won in zip(batch, envs, success):
            rows.append((level, seed, env.mission, won, env.step_count))
    return pd.DataFrame(rows, columns=COLUMNS)


def _play_batch(
    envs: list, observations: list, act: Act, limit: int | None, stop: Callable | None
) -> np.ndarray:
    """Plays on from the first ``observations``, until all have ended; returns who succeeded."""
    success = np.zeros(len(envs), dtype=bool)
    running = np.arange(len(envs))
    while len(running):
        actions = act(np.stack([observations[i] for i in running]), running)
        going_on = []
        for i, action in zip(running, actions):
            observation, reward, terminated, truncated, _ = envs[i].step(int(action))
            observations[i] = observation["image"]
            success[i] = reward > 0
            ended = terminated or truncated or envs[i].step_count == limit
            # Always asked, because who asks may want to see every step.
            stopped = stop is not None and stop(envs[i])
            if not ended and not stopped:
                going_on.append(i)
        running = np.array(going_on, dtype=int)
    return success


def evaluate(
    policy: Policy,
    level: str,
    seeds: Sequence[int],
    vectors: Callable[[list[str]], np.ndarray] | None = None,
    limit: int | None = None,
    rooms: str = "babyai",
    world: int = 0,
    hide_colours: bool = False,
) -> pd.DataFrame:
    """Episodes of a policy that takes its most probable actions, as `play` gives them.

    ``vectors`` turns B instructions into the vectors [B, width] that it acts on, as those of
    another model, mapped; None: its own.  Raises ValueError if they are of another shape.
    """

    def make_act(texts: list[str], seeds: Sequence[int]) -> Act:
        if vectors is None:
            return GreedyPolicy(policy, policy.embed(texts), hide_colours)
        sentences = np.asarray(vectors(texts))
        expected = (len(texts), policy.sizes.width)
        if sentences.shape != expected:
            raise ValueError(f"vectors have the shape {sentences.shape}, and not {expected}")
        return GreedyPolicy(policy, sentences, hide_colours)

    return play(level, seeds, make_act, limit, rooms, world)


def evaluate_random(
    level: str,
    seeds: Sequence[int],
    limit: int | None = None,
    rooms: str = "babyai",
    world: int = 0,
) -> pd.DataFrame:
    """Episodes of a `RandomPlayer`, as `play` gives them."""
    return play(level, seeds, lambda texts, seeds: RandomPlayer(seeds), limit, rooms, world)


def evaluate_expert(
    level: str, seeds: Sequence[int], rooms: str = "babyai", world: int = 0
) -> pd.DataFrame:
    """Episodes of the expert, as `play` gives them: what cloning could reach."""
    rows = []
    for episode in expert.rollouts(level, seeds, rooms, world):
        steps = len(episode.actions)
        rows.append((level, episode.seed, episode.instruction, episode.success, steps))
    return pd.DataFrame(rows, columns=COLUMNS)


def success_rates(episodes: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Per group of episodes: success, the ends of its 95 % interval (Wilson, 1927), their number
    and their median steps.

    >>> table = pd.DataFrame({"level": ["a", "a"], "success": [True, False], "steps": [5, 64]})
    >>> success_rates(table, ["level"]).round(2).values.tolist()
    [['a', 0.5, 0.09, 0.91, 2, 34.5]]
    """
    rows = []
    for values, group in episodes.groupby(by, sort=False):
        test = binomtest(int(group["success"].sum()), len(group))
        interval = test.proportion_ci(method="wilson")
        row = dict(zip(by, values))
        row["success"] = test.statistic
        row["low"] = interval.low
        row["high"] = interval.high
        row["episodes"] = len(group)
        row["steps"] = group["steps"].median()
        rows.append(row)
    return pd.DataFrame(rows)


def record_episode(
    policy: Policy,
    level: str,
    seed: int,
    max_steps: int = 40,
    sentence: np.ndarray | None = None,
    rooms: str = "babyai",
    world: int = 0,
    hide_colours: bool = False,
) -> expert.Recording:
    """Plays one episode and keeps every frame, and the attention float32[T, Q, 7, 7] over cells.

    ``sentence`` float32[width]: a vector to act on in place of the policy's own.
    """
    env = levels.make(level, rooms, world, highlight=True)
    observation, _ = env.reset(seed=int(seed))
    sentences = policy.embed([env.mission]) if sentence is None else sentence[None]
    act = GreedyPolicy(policy, sentences, hide_colours)
    frames = [env.get_frame(tile_size=32)]
    views = []
    names = []
    attention = []
    reward = 0.0
    ended = False
    while not ended and len(names) < max_steps:
        view = observation["image"]
        action = int(act(view[None], np.zeros(1, dtype=int))[0])
        views.append(view)
        names.append(ACTIONS[action])
        attention.append(act.attention[0, 0].numpy().reshape(-1, 7, 7))  # (Q, 7, 7)
        observation, reward, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
        frames.append(env.get_frame(tile_size=32))
    return expert.Recording(
        instruction=env.mission,
        success=reward > 0,
        frames=frames,
        views=np.array(views),
        actions=names,
        attention=np.array(attention),
    )


def _load_episodes(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "episodes.csv.gz")


def _episode_count(profile: Profile, player: str) -> int:
    """Those who seldom succeed have long episodes, so they play fewer."""
    settings = profile.cloning
    return settings.evaluation_episodes if player in SKILLED else settings.baseline_episodes


def _evaluate_player(
    profile: Profile, folder: Path, *agents: Agent, world: int, player: str, level: str, rooms: str
) -> None:
    where = {"rooms": rooms, "world": world}
    count = _episode_count(profile, player)
    seeds = levels.seeds("evaluation", count, world, rooms)
    if player == EXPERT:
        episodes = evaluate_expert(level, seeds, **where)
    elif player == RANDOM:
        episodes = evaluate_random(level, seeds, **where)
    else:
        # Who learned without colours is tested without.
        blind = player == Condition.BLIND
        episodes = evaluate(agents[0].policy, level, seeds, hide_colours=blind, **where)
    write_table(folder / "episodes.csv.gz", episodes)


def _needs_of_player(
    profile: Profile, world: int, player: str, level: str, rooms: str
) -> list[tuple[Stage, dict]]:
    if player in (EXPERT, RANDOM):
        return []
    return [(AGENT, agent_parameters(world, player, rooms))]


def _predicted_seconds(level: str, count: int, lost: float) -> float:
    """Of ``count`` episodes, of which a share is lost and goes on until the level gives up."""
    longest = LONGEST_STEPS.get(level, 576)
    steps = count * ((1 - lost) * usual_steps(level) + lost * longest)
    # The last ones of a batch play alone, and a step of theirs is no faster than one of all.
    return 0.2 + steps * 1e-4 + math.ceil(count / BATCH) * longest * 2.5e-3


def _cost_of_player(profile: Profile, world: int, player: str, level: str, rooms: str) -> float:
    lost = 0.05 if player in SKILLED else 0.9
    return _predicted_seconds(level, _episode_count(profile, player), lost)


EVALUATION = Stage(
    name="evaluation",
    make=_evaluate_player,
    load=_load_episodes,
    reads=("cloning.evaluation_episodes", "cloning.baseline_episodes"),
    needs=_needs_of_player,
    version=1,
    cost=_cost_of_player,
)
"""Episodes of one player on one level, with COLUMNS.  ``player``: a `Condition`, "expert" or
"random"; ``rooms``: where the agent was trained, and plays.  Blind agents play without colours."""


def _first_types(policy: Policy, colour: str, seeds: Sequence[int], world: int) -> list[str]:
    """Types of the things that are visited first, where the policy is told one colour."""
    visited = []

    def make_act(texts: list[str], seeds: Sequence[int]) -> Act:
        told = [f"go to the {colour} object"] * len(texts)
        return GreedyPolicy(policy, policy.embed(told), hide_colours=True)

    def stop(env) -> bool:
        thing = env.grid.get(*env.front_pos)
        if thing is None or thing.type not in TYPES:
            return False
        visited.append(thing.type)
        return True

    play("GoToLocal", seeds, make_act, rooms="exchangeable", world=world, stop=stop)
    return visited


def first_visits(policy: Policy, seeds: Sequence[int], world: int = 0) -> pd.DataFrame:
    """Which type of thing a policy walks to first when it is told a colour and sees none.

    It plays GoToLocal in rooms where every colour is as often of every type, each of ``seeds`` six
    times: it is told "go to the blue object", "go to the green object"..., whatever the level asks.
    The rooms are the same and all colours are hidden, so only the word can make a difference.  A
    thing is visited when it stands right in front of the agent after a step, the level's own rule.

    Returns colour, type, visits, and episodes (with that colour), for each colour and type.
    """
    rows = []
    for colour in COLOR_NAMES:
        visited = _first_types(policy, colour, seeds, world)
        for kind in TYPES:
            rows.append((colour, kind, visited.count(kind), len(seeds)))
    return pd.DataFrame(rows, columns=["colour", "type", "visits", "episodes"])


def _make_first_visits(
    profile: Profile, folder: Path, agent: Agent, world: int, condition: str, rooms: str
) -> None:
    count = math.ceil(profile.cloning.evaluation_episodes / len(COLOR_NAMES))
    seeds = levels.seeds("evaluation", count, world, "exchangeable")
    write_table(folder / "visits.csv.gz", first_visits(agent.policy, seeds, world))


def _needs_of_first_visits(
    profile: Profile, world: int, condition: str, rooms: str
) -> list[tuple[Stage, dict]]:
    return [(AGENT, agent_parameters(world, condition, rooms))]


def _cost_of_first_visits(profile: Profile, world: int, condition: str, rooms: str) -> float:
    return _predicted_seconds("GoToLocal", profile.cloning.evaluation_episodes, lost=0.05)


FIRST_VISITS = Stage(
    name="first_visits",
    make=_make_first_visits,
    load=lambda folder: pd.read_csv(folder / "visits.csv.gz"),
    reads=("cloning.evaluation_episodes",),
    needs=_needs_of_first_visits,
    version=1,
    cost=_cost_of_first_visits,
)
"""`first_visits` of an agent of a condition that was trained in ``rooms``."""
