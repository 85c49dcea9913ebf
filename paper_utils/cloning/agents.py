"""Agents of a world: one policy for each condition under which it came about."""

from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import pandas as pd

from paper_utils.config import generator, torch_seed
from paper_utils.data.demonstrations import all_recorded
from paper_utils.store import Stage


class Condition(StrEnum):
    """How an agent came about.  All but NEVER_ACTED are cloned, in about equally many steps."""

    ACTED = "acted"  # from the demonstrations as they are
    NEVER_ACTED = "never_acted"  # not at all: initial weights
    EXCHANGED = "exchanged"  # from episodes of a level that exchanged their instructions
    HELD_OUT = "held_out"  # without the episodes that name some compositions, as "red ball"
    BLIND = "blind"  # from episodes in most of which the colours of things are hidden


class Agent(NamedTuple):
    """A `Policy`, and its training: one row of ``curve`` per epoch, none if it never acted."""

    policy: "Policy"  # noqa: F821  (with torch, which takes seconds: where it is needed)
    curve: pd.DataFrame


def agent_parameters(world, condition, rooms="babyai", draw=0):
    """Parameters of AGENT.  ``draw`` tells agents apart that differ in their initial weights."""
    return {"world": world, "condition": str(condition), "rooms": rooms, "draw": draw}


def new_policy(settings, world, condition, draw=0):
    """A policy before its first step.  Those of one world and different conditions share no weight,
    so that what they come to have in common is no matter of their start."""
    import torch

    from paper_utils.cloning.policy import Policy

    numbers = world, list(Condition).index(condition), draw
    # The caller's own random numbers stay as they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed("agent weights", *numbers))
        return Policy(settings).eval()


def shown_to(condition, demonstrations, settings, world):
    """The demonstrations of each level as an agent of a condition is shown them."""
    from paper_utils.cloning import episodes

    shown = [*demonstrations]
    for level, part in enumerate(shown):
        if condition is Condition.EXCHANGED:
            # The same episodes, and the same instructions, each given to another one.
            rng = generator("exchanged instructions", world, level)
            shown[level] = replace(part, instructions=rng.permutation(part.instructions))
        elif condition is Condition.HELD_OUT:
            shown[level] = episodes.leave_out(part, settings.held_out)
        elif condition is Condition.BLIND:
            rng = generator("blind episodes", world, level)
            shown[level] = episodes.blindfold(part, settings.blind_share, rng)
    return shown


def _make(profile, folder, *demonstrations, world, condition, draw, **_):
    from paper_utils.cloning.episodes import Episodes
    from paper_utils.cloning.training import train

    settings = profile.cloning
    condition = Condition(condition)
    policy = new_policy(settings, world, condition, draw)
    if condition is not Condition.NEVER_ACTED:
        names = profile.data.levels
        # What `_needs` lists: one half to train on, the other to validate.
        halves = demonstrations[: len(names)], demonstrations[len(names) :]
        # The held-out episodes are of the agent's own kind: exchanged for who exchanges, say.
        shown = [shown_to(condition, half, settings, world) for half in halves]
        parts = [Episodes.of(part, names, policy) for part in shown]
        # Where episodes are left out there are more passes, for about as many steps.
        share = len(parts[0]) / sum(map(len, halves[0]))
        epochs = round(settings.epochs / share)
        curve = train(policy, *parts, settings, epochs, world, folder, profile.device)
        curve.to_csv(folder / "curve.csv", index=False)
    policy.save(folder)


def _load(folder):
    from paper_utils.cloning.policy import Policy

    path = folder / "curve.csv"
    return Agent(Policy.load(folder), pd.read_csv(path) if path.exists() else pd.DataFrame())


def _needs(profile, world, condition, rooms, **_):
    return [] if condition == Condition.NEVER_ACTED else all_recorded(profile, world, rooms)


def _cost(profile, condition, **_):
    if condition == Condition.NEVER_ACTED:
        return 0.1
    # Measured on one core: 9 seconds for 19,000 episodes at width 64.
    return 1.0 + 4.7e-4 * profile.cloning.epochs * sum(profile.data.demonstrations.values())


# What of the profile an agent depends on; episodes and their number come with the inputs.
SIZES = "width heads instruction_layers queries history_layers".split()
TRAINING = "epochs batch_episodes learning_rate weight_decay held_out blind_share".split()
AGENT = Stage(
    "agent",
    _make,
    _load,
    reads=tuple(f"cloning.{name}" for name in SIZES + TRAINING),
    needs=_needs,
    version=1,
    resumable=True,
    cost=_cost,
)
"""One `Agent`; see `agent_parameters`."""


def trained_conditions(profile, world):
    """Conditions of the agents that a world's training curves show: one world holds words out."""
    conditions = [Condition.ACTED, Condition.EXCHANGED]
    if world == profile.world_numbers[0] and profile.cloning.held_out:
        conditions.append(Condition.HELD_OUT)
    return conditions


def _make_curves(profile, folder, *agents, world):
    conditions = trained_conditions(profile, world)
    curves = pd.concat([agent.curve for agent in agents], keys=conditions, names=["condition"])
    curves.droplevel(1).to_csv(folder / "curves.csv")


CURVES = Stage(
    "curves",
    _make_curves,
    lambda folder: pd.read_csv(folder / "curves.csv"),
    needs=lambda profile, world: [
        (AGENT, agent_parameters(world, one)) for one in trained_conditions(profile, world)
    ],
)
"""Training curves of a world's agents: condition, and the columns of `train`."""
