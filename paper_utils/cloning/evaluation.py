"""Playing fresh episodes, many at once: success, and what a policy does on the way."""

import math

import numpy as np
import pandas as pd
from minigrid.core.constants import COLOR_NAMES
from scipy.stats import binomtest

from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.config import generator
from paper_utils.data import expert, levels
from paper_utils.data.kinds import TYPES
from paper_utils.data.levels import ACTIONS
from paper_utils.store import Stage, write_table

COLUMNS = ["level", "seed", "instruction", "success", "steps"]
BATCH = 128  # episodes side by side; fixed, so that results do not depend on the machine
EXPERT = "expert"
RANDOM = "random"
SKILLED = (Condition.ACTED, Condition.HELD_OUT, Condition.BLIND, EXPERT)


def random_player(texts, seeds):
    """Draws uniformly from the six actions that are ever demonstrated, in each episode anew."""
    # A generator each: what is drawn does not depend on who else plays.
    generators = [generator("random player", seed) for seed in seeds]

    def act(observations, running):
        return [generators[i].integers(len(ACTIONS) - 1) for i in running]

    return act


def play(level, seeds, make_act, limit=None, rooms="babyai", world=0, watch=lambda *_: False):
    """Plays an episode of a level for each seed; a DataFrame with a row each, with COLUMNS.

    ``make_act(instructions, seeds)``, asked for each batch of episodes, returns who plays them:
    ``act(observations, running)`` of the episodes that still run, uint8[B, 7, 7, 3] and which these
    are, int64[B], returns an action for each.

    An episode fails after ``limit`` steps, or where the level gives up before.  ``watch(env,
    action)`` sees every step after it was made, and ends the episode there by returning True.
    """
    rows = []
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        # All at once, because a policy takes hardly longer for many episodes than for one.
        envs = [levels.make(level, rooms, world) for _ in batch]
        first = [env.reset(seed=int(seed))[0]["image"] for env, seed in zip(envs, batch)]
        views = np.array(first)  # (B, 7, 7, 3)
        act = make_act([env.mission for env in envs], batch)
        rewards = np.zeros(len(batch))
        running = np.arange(len(batch))
        while len(running):
            going = []
            for i, action in zip(running, act(views[running], running)):
                env = envs[i]
                observation, rewards[i], terminated, truncated, _ = env.step(action)
                views[i] = observation["image"]
                stopped = watch(env, action) or env.step_count == limit
                going.append(not (stopped or terminated or truncated))
            running = running[going]
        for seed, env, reward in zip(batch, envs, rewards):
            rows.append((level, seed, env.mission, reward > 0, env.step_count))
    return pd.DataFrame(rows, columns=COLUMNS)


def evaluate(policy, level, seeds, vectors=None, hide_colours=False, **options):
    """Episodes of a `Policy` that takes its most probable actions, as `play` gives them.

    ``vectors`` turns B instructions into the vectors [B, width] that it acts on, as those of
    another model, mapped; None: its own.  ``options`` go to `play`.
    """
    from paper_utils.cloning.policy import GreedyPolicy

    embed = vectors or policy.embed

    def make_act(texts, seeds):
        return GreedyPolicy(policy, embed(texts), hide_colours)

    return play(level, seeds, make_act, **options)


def evaluate_expert(level, seeds, **where):
    """Episodes of the expert, as `play` gives them, ``where`` rooms and world are."""
    table = pd.DataFrame(expert.rollouts(level, seeds, **where))
    return table.assign(steps=table["actions"].map(len))[COLUMNS]


def success_rates(episodes, by):
    """Per group of episodes: success, the ends of its 95 % interval (Wilson, 1927), their number
    and their median steps.

    >>> table = pd.DataFrame({"level": ["a", "a"], "success": [True, False], "steps": [5, 64]})
    >>> success_rates(table, ["level"]).round(2).values.tolist()
    [['a', 0.5, 0.09, 0.91, 2, 34.5]]
    """
    rows = []
    for values, group in episodes.groupby(by, sort=False):
        test = binomtest(group["success"].sum(), len(group))
        interval = test.proportion_ci(method="wilson")
        rows.append((*values, test.statistic, *interval, test.n, group["steps"].median()))
    return pd.DataFrame(rows, columns=[*by, "success", "low", "high", "episodes", "steps"])


def record_episode(policy, level, seed, max_steps=40, sentence=None):
    """Plays one episode and keeps every frame, as an `expert.Recording`.

    ``sentence`` float32[width]: a vector to act on in place of the policy's own.
    """
    env = levels.make(level)
    env.reset(seed=int(seed))
    frames = [env.get_frame(tile_size=32)]
    actions = []

    def watch(env, action):
        frames.append(env.get_frame(tile_size=32))
        actions.append(ACTIONS[action])

    vectors = None if sentence is None else lambda texts: sentence[None]
    played = evaluate(policy, level, [seed], vectors, limit=max_steps, watch=watch)
    return expert.Recording(env.mission, played["success"].item(), frames, actions)


def _episode_count(profile, player):
    """Those who seldom succeed have long episodes, so they play fewer."""
    settings = profile.cloning
    return settings.evaluation_episodes if player in SKILLED else settings.baseline_episodes


def _evaluate_player(profile, folder, *agents, player, level, **where):
    seeds = levels.seeds("evaluation", _episode_count(profile, player), **where)
    if player == EXPERT:
        episodes = evaluate_expert(level, seeds, **where)
    elif player == RANDOM:
        episodes = play(level, seeds, random_player, **where)
    else:
        # Who learned without colours is tested without.
        blind = player == Condition.BLIND
        episodes = evaluate(agents[0].policy, level, seeds, hide_colours=blind, **where)
    write_table(folder / "episodes.csv.gz", episodes)


def _needs_of_player(profile, world, player, rooms, **_):
    if player in (EXPERT, RANDOM):
        return []
    return [(AGENT, agent_parameters(world, player, rooms))]


EVALUATION = Stage(
    "evaluation",
    _evaluate_player,
    lambda folder: pd.read_csv(folder / "episodes.csv.gz"),
    reads=("cloning.evaluation_episodes", "cloning.baseline_episodes"),
    needs=_needs_of_player,
    version=1,
    cost=lambda profile, player, **_: 0.006 * _episode_count(profile, player),
)
"""Episodes of one player on one level, with COLUMNS.  ``player``: a `Condition`, "expert" or
"random"; ``rooms``: where the agent was trained, and plays.  Blind agents play without colours."""


def first_visits(policy, seeds, world=0):
    """Which type of thing a policy walks to first when it is told a colour and sees none.

    It plays GoToLocal in rooms where every colour is as often of every type, each of ``seeds`` six
    times: it is told "go to the blue object", "go to the green object"..., whatever the level asks.
    The rooms are the same and all colours are hidden, so only the word can make a difference.  A
    thing is visited when it stands right in front of the agent after a step, the level's own rule.

    Returns colour, type, visits, and episodes (with that colour), for each colour and type.
    """
    ahead = []  # types of what stood there, of the colour that is told at the time

    def watch(env, action):
        ahead.append(getattr(env.grid.get(*env.front_pos), "type", None))
        return ahead[-1] in TYPES

    hidden = {"rooms": "exchangeable", "world": world, "hide_colours": True, "watch": watch}
    rows = []
    for colour in COLOR_NAMES:
        ahead.clear()
        told = policy.embed([f"go to the {colour} object"]).repeat(BATCH, axis=0)
        evaluate(policy, "GoToLocal", seeds, lambda texts, told=told: told[: len(texts)], **hidden)
        rows += [(colour, kind, ahead.count(kind), len(seeds)) for kind in TYPES]
    return pd.DataFrame(rows, columns=["colour", "type", "visits", "episodes"])


def _make_first_visits(profile, folder, agent, world, **_):
    each = math.ceil(profile.cloning.evaluation_episodes / len(COLOR_NAMES))
    seeds = levels.seeds("evaluation", each, world, "exchangeable")
    write_table(folder / "visits.csv.gz", first_visits(agent.policy, seeds, world))


FIRST_VISITS = Stage(
    "first_visits",
    _make_first_visits,
    lambda folder: pd.read_csv(folder / "visits.csv.gz"),
    reads=("cloning.evaluation_episodes",),
    needs=lambda profile, **which: [(AGENT, agent_parameters(**which))],
    version=1,
)
"""`first_visits` of an agent of a ``condition`` that was trained in ``rooms``."""
