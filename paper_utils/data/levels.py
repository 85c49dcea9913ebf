"""The BabyAI levels on offer, and the ranges of seeds that keep their uses apart.

Levels are those of Chevalier-Boisvert et al., *BabyAI* (ICLR 2019), as kept in Minigrid.
"""

from __future__ import annotations

import difflib
from functools import cache, lru_cache

import gymnasium
import minigrid  # noqa: F401  (importing it registers the levels)

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
            name = gym_id.removeprefix("BabyAI-").rsplit("-v", 1)[0]
            if name not in REFUSED:
                names[name] = gym_id
    return names


def check(name: str) -> str:
    """Returns the Gymnasium id of a level, or raises LevelError with one clear line."""
    if name in REFUSED:
        raise LevelError(f"level {name!r} is not offered: {REFUSED[name]}")
    if name not in offered():
        close = difflib.get_close_matches(str(name), offered(), n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        raise LevelError(f"unknown level {name!r}{hint}")
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
    cls, defaults = _fast_class(name)
    return cls(**{**defaults, **kwargs})


def seeds(use: str, count: int, run_seed: int = 0) -> range:
    """``count`` episode seeds for one use, disjoint from those of every other use and run seed."""
    if not 0 <= count <= _SLICE or not 0 <= run_seed < _RANGE // _SLICE:
        raise ValueError(f"at most {_SLICE:,} episodes and a run seed below {_RANGE // _SLICE:,}")
    start = _USES.index(use) * _RANGE + run_seed * _SLICE
    return range(start, start + count)
