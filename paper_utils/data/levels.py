"""The BabyAI levels on offer, the rooms they take place in, and seeds that keep uses apart.

Levels are those of Chevalier-Boisvert et al., *BabyAI* (ICLR 2019), as kept in Minigrid."""

from functools import cache, partial

import minigrid  # noqa: F401  (importing it registers the levels)
import numpy as np
from gymnasium.envs.registration import load_env_creator, registry
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

from paper_utils.config import hint
from paper_utils.data import kinds
from paper_utils.data.fast import FastLevel

ROOMS = ("babyai", *kinds.ROOMS)
"""Where a level takes place: BabyAI's own rooms, or those of `kinds`."""

# Levels that the expert cannot solve, or not reliably.
REFUSED = (
    # It plans to pick up what the agent already carries.
    "PutNextS5N2Carrying",
    "PutNextS6N3Carrying",
    "PutNextS7N4Carrying",
    # Opening another door first counts as failure there, and the expert often does.
    "OpenDoorsOrderN2Debug",
    "OpenDoorsOrderN4Debug",
    # The key is hidden in a box, which the expert never opens.
    "KeyInBox",
    # It hangs on about a third of the episodes.
    "UnlockToUnlock",
)

# Each use has its own range of episode seeds in each kind of rooms, and each world a slice of it.
# All stay below 2 ** 53, so that a table that holds them as floats keeps them exactly.
USES = ("train", "validation", "text", "pictures", "evaluation")
_SLICE = 10**7
_WORLDS = 4 * 10**7


class LevelError(ValueError):
    """A level that is unknown, or that the expert cannot solve; the message is one line."""


@cache
def registered():
    """Level name -> Gymnasium's specification of every BabyAI level."""
    # Importing Minigrid has registered them.
    specs = [spec for spec in registry.values() if spec.name.startswith("BabyAI-")]
    return {spec.name.removeprefix("BabyAI-"): spec for spec in specs}


def check(name, rooms="babyai"):
    """Returns a level's specification; LevelError, one clear line, if it is not offered."""
    if rooms not in ROOMS:
        raise LevelError(f"unknown rooms {rooms!r}{hint(rooms, ROOMS)}")
    if name in REFUSED:
        raise LevelError(f"level {name!r} is not offered: the expert cannot solve it reliably")
    if name not in registered():
        raise LevelError(f"unknown level {name!r}{hint(name, registered())}")
    # The world of kinds is made of levels of one room, without doors, that name one thing.
    if rooms != "babyai" and name not in kinds.LEVELS:
        raise LevelError(f"level {name!r} does not take place in rooms {rooms!r}")
    return registered()[name]


@cache
def _level_class(name, rooms, world):
    """The class of a level with the fast view, with the arguments that Gymnasium gives it."""
    # Not gymnasium.make, whose wrappers check every step.
    spec = check(name, rooms)
    # The fast methods come first, so that they stand in for the level's own.
    bases = [FastLevel, load_env_creator(spec.entry_point)]
    if rooms != "babyai":
        bases.insert(0, kinds.RoomsOfKinds)
    # Attributes of a class, which Minigrid's constructors need not know of.
    made = type("Fast", tuple(bases), {"rooms": rooms, "world": world})
    return partial(made, **spec.kwargs)


def make(level, rooms="babyai", world=0, **kwargs):
    """A BabyAI level, as "GoToLocal", with the fast view.

    In rooms other than BabyAI's own, ``world`` says which colours are of which kind.  ``kwargs``
    go to the level (``render_mode``, ...).  Raises LevelError.

    >>> make("GoToLocal").reset(seed=0)[0]["mission"]
    'go to the green ball'
    """
    return _level_class(level, rooms, world)(**kwargs)


def seeds(use, count, world=0, rooms="babyai"):
    """A range of ``count`` episode seeds for one of USES, disjoint from those of every other use,
    world and kind of rooms.  ValueError: an unknown use, or more episodes (10 million) or worlds
    than there are seeds."""
    if count > _SLICE or not 0 <= world < _WORLDS:
        raise ValueError(f"there are no seeds for {count:,} episodes in world {world:,}")
    number = ROOMS.index(rooms) * len(USES) + USES.index(use)
    start = (number * _WORLDS + world) * _SLICE
    return range(start, start + count)


ACTIONS = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
"""What an agent can do, in Minigrid's order."""

HIDDEN = len(COLOR_TO_IDX)
"""What a colour that is not seen is coded as, in the second channel of an observation."""

# Doors keep theirs: the levels that hide colours have none.
THINGS = [OBJECT_TO_IDX[name] for name in kinds.TYPES]


def hide_colours(observations):
    """A copy of observations uint8[..., 7, 7, 3] in which keys, balls and boxes have no colour.

    >>> hide_colours(np.array([[[5, 2, 0], [2, 5, 0]]], np.uint8)).tolist()  # a key, a wall
    [[[5, 6, 0], [2, 5, 0]]]
    """
    # A copy, because recorded observations are shared by several agents.
    hidden = observations.copy()
    hidden[np.isin(observations[..., 0], THINGS), 1] = HIDDEN
    return hidden
