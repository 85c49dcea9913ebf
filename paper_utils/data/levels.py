"""The BabyAI levels on offer, the ranges of seeds that keep their uses apart, and what lies where.

Levels are those of Chevalier-Boisvert et al., *BabyAI* (ICLR 2019), as kept in Minigrid.
"""

from __future__ import annotations

from functools import cache, lru_cache

import gymnasium
import minigrid  # noqa: F401  (importing it registers the levels)
from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.world_object import WorldObj

from paper_utils.config import hint
from paper_utils.data.view import FastView

_CARRYING = "the expert plans to pick up what the agent already carries, and cannot solve it"
_STRICT = "opening another door first counts as failure there, and the expert often does"
REFUSED = {
    "PutNextS5N2Carrying": _CARRYING,
    "PutNextS6N3Carrying": _CARRYING,
    "PutNextS7N4Carrying": _CARRYING,
    "KeyInBox": "the key is hidden in a box, which the expert never opens",
    "OpenDoorsOrderN2Debug": _STRICT,
    "OpenDoorsOrderN4Debug": _STRICT,
    "UnlockToUnlock": "the expert hangs on about a third of its episodes",
}

# Each use draws from its own range of episode seeds; a run's seed picks a slice of the range.
_USES = ("train", "validation", "text", "pictures", "evaluation")
_RANGE = 10**12
_SLICE = 10**7


class LevelError(ValueError):
    """A level that is unknown, or that the expert cannot solve."""


@lru_cache(maxsize=1)
def offered() -> dict[str, str]:
    """Level name -> Gymnasium id of every BabyAI level that the expert can solve."""
    names = {}
    for gym_id in gymnasium.registry:
        if gym_id.startswith("BabyAI-"):
            if (name := short(gym_id)) not in REFUSED:
                names[name] = gym_id
    return names


def short(name: str) -> str:
    """A level's short name, from itself or from its Gym id.

    >>> short("BabyAI-GoToLocal-v0")
    'GoToLocal'
    """
    return str(name).removeprefix("BabyAI-").rsplit("-v", 1)[0]


def check(name: str) -> str:
    """Returns the Gymnasium id of a level, or raises LevelError with one clear line."""
    name = short(name)
    if name in REFUSED:
        raise LevelError(f"level {name!r} is not offered: {REFUSED[name]}")
    if name not in offered():
        raise LevelError(f"unknown level {name!r}{hint(name, offered())}")
    return offered()[name]


@cache
def _fast_class(name: str):
    spec = gymnasium.spec(check(name))
    level = gymnasium.envs.registration.load_env_creator(spec.entry_point)
    return type(f"Fast{level.__name__}", (FastView, level), {}), spec.kwargs


def make(name: str, **kwargs):
    """A BabyAI level with the fast view: same observations, rewards and random stream.

    Other environments are not affected.  Keyword arguments go to the level (``render_mode``…).
    """
    cls, defaults = _fast_class(short(name))
    return cls(**{**defaults, **kwargs})


def seeds(use: str, count: int, run_seed: int = 0) -> range:
    """``count`` episode seeds for one use, disjoint from those of every other use and run seed."""
    if not 0 <= count <= _SLICE or not 0 <= run_seed < _RANGE // _SLICE:
        raise ValueError(f"at most {_SLICE:,} episodes and a run seed below {_RANGE // _SLICE:,}")
    start = _USES.index(use) * _RANGE + run_seed * _SLICE
    return range(start, start + count)


# What lies where, as the agent would call it ---------------------------------------------------


def called(thing: WorldObj) -> str:
    """Colour and type, as "red ball"."""
    return f"{thing.color} {thing.type}"


def place(env, x: int, y: int) -> str:
    """Where a cell lies from the agent: front, behind, left or right; the longer way decides."""
    ahead = DIR_TO_VEC[env.agent_dir]
    dx, dy = x - int(env.agent_pos[0]), y - int(env.agent_pos[1])
    forward = dx * int(ahead[0]) + dy * int(ahead[1])
    aside = -dx * int(ahead[1]) + dy * int(ahead[0])
    if abs(forward) >= abs(aside):
        return "front" if forward > 0 else "behind"
    return "right" if aside > 0 else "left"


def thing_at(env, x: int, y: int) -> WorldObj | None:
    """What lies in a cell, walls not counted."""
    thing = env.grid.get(x, y)
    return None if thing is None or thing.type == "wall" else thing


def beside(env, x: int, y: int) -> list[WorldObj]:
    """Things in the four cells around one."""
    around = [thing_at(env, x + i, y + j) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return [thing for thing in around if thing]


def room(env) -> list[tuple[WorldObj, int, int]]:
    """Things in the agent's room, its doors included, with their coordinates."""
    here = env.room_from_pos(*env.agent_pos)
    (left, top), (width, height) = here.top, here.size
    cells = [(x, y) for y in range(top, top + height) for x in range(left, left + width)]
    return [(thing, x, y) for x, y in cells if (thing := thing_at(env, x, y))]
