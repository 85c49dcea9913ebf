"""The BabyAI levels on offer, the ranges of seeds that keep their uses apart, and what lies where.

Levels are those of Chevalier-Boisvert et al., *BabyAI* (ICLR 2019), as kept in Minigrid.  Ours show
the same 7 x 7 view, bit for bit, looked up where Minigrid loops over the grid, twice per step."""

from contextlib import suppress
from functools import cache, lru_cache, partial
from operator import itemgetter

import gymnasium
import minigrid  # noqa: F401  (importing it registers the levels)
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.world_object import Wall, WorldObj
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel

from paper_utils.config import hint

_CARRYING = "the expert plans to pick up what the agent already carries, and cannot solve it"
_STRICT = "opening another door first counts as failure there, and the expert often does"
REFUSED = {
    **{f"PutNextS{size}Carrying": _CARRYING for size in ("5N2", "6N3", "7N4")},
    "OpenDoorsOrderN2Debug": _STRICT, "OpenDoorsOrderN4Debug": _STRICT,
    "KeyInBox": "the key is hidden in a box, which the expert never opens",
    "UnlockToUnlock": "the expert hangs on about a third of its episodes"}  # fmt: skip
# Each use draws from its own range of episode seeds; a run's seed picks a slice of the range.
_USES = ("train", "validation", "text", "pictures", "evaluation")
_RANGE, _SLICE = 10**12, 10**7


class LevelError(ValueError):
    """A level that is unknown, or that the expert cannot solve."""


@cache
def offered() -> dict[str, str]:
    """Level name -> Gymnasium id of every BabyAI level that the expert can solve."""
    return {short(gym_id): gym_id for gym_id in gymnasium.registry
            if gym_id.startswith("BabyAI-") and short(gym_id) not in REFUSED}  # fmt: skip


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
def _fast_class(name: str) -> partial:
    spec = gymnasium.spec(check(name))
    level = gymnasium.envs.registration.load_env_creator(spec.entry_point)
    return partial(type(f"Fast{level.__name__}", (FastView, level), {}), **spec.kwargs)


def make(name: str, **kwargs):
    """A BabyAI level with the fast view; ``kwargs`` go to the level (``render_mode``…)."""
    return _fast_class(short(name))(**kwargs)


def seeds(use: str, count: int, run_seed: int = 0) -> range:
    """``count`` episode seeds for one use, disjoint from those of every other use and run seed."""
    if not 0 <= count <= _SLICE or not 0 <= run_seed < _RANGE // _SLICE:
        raise ValueError(f"at most {_SLICE:,} episodes and a run seed below {_RANGE // _SLICE:,}")
    start = _USES.index(use) * _RANGE + run_seed * _SLICE
    return range(start, start + count)


def called(thing: WorldObj) -> str:
    """Colour and type, as "red ball"."""
    return f"{thing.color} {thing.type}"


def place(env, x: int, y: int) -> str:
    """Where a cell lies from the agent: front, behind, left or right; the longer way decides."""
    ahead_x, ahead_y = map(int, DIR_TO_VEC[env.agent_dir])
    dx, dy = x - int(env.agent_pos[0]), y - int(env.agent_pos[1])
    forward, aside = dx * ahead_x + dy * ahead_y, dy * ahead_x - dx * ahead_y
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
    cells = ((x, y) for y in range(top, top + height) for x in range(left, left + width))
    return [(thing, x, y) for x, y in cells if (thing := thing_at(env, x, y))]


SIZE = 7
AGENT_CELL = 3 * SIZE + 6  # the agent stands at image[3, 6], looking towards image[3, 0]
# A cell as one integer (object + 16 * colour + 128 * state), and back as Minigrid's three channels.
_EMPTY, _OUTSIDE = OBJECT_TO_IDX["empty"], Wall()
_CHANNELS = np.array([(code & 15, code >> 4 & 7, code >> 7) for code in range(512)], dtype=np.uint8)
_WALL = {c: OBJECT_TO_IDX["wall"] + 16 * index for c, index in COLOR_TO_IDX.items()}
# Bit of each cell, in image order (column by column), such that a row of the view is contiguous.
_BITS = [1 << (SIZE * (cell % SIZE) + cell // SIZE) for cell in range(SIZE * SIZE)]


@lru_cache(maxsize=65536)
def _pose(width: int, height: int, x: int, y: int, direction: int):
    """By the agent's pose: how to pick the 49 cells out of a grid's list, and where each lies."""
    dx, dy = map(int, DIR_TO_VEC[direction])  # a cell lies 6 - j ahead and i - 3 to the right
    cells = ((x + (6 - j) * dx - (i - 3) * dy, y + (6 - j) * dy + (i - 3) * dx)
             for i in range(SIZE) for j in range(SIZE))  # fmt: skip
    places = [(i, j) if 0 <= i < width and 0 <= j < height else None for i, j in cells]
    # One wall is appended to the grid, for the cells that lie outside.
    return itemgetter(*(p[1] * width + p[0] if p else width * height for p in places)), places


@lru_cache(maxsize=65536)
def _visible(opaque: int) -> tuple[tuple[bool, ...], np.ndarray]:
    """Which of the 49 cells are seen, given the bits of those that block the view."""
    bits, lit = 0, 1 << 3
    for row in range(SIZE - 1, -1, -1):
        behind = 0  # light spreads along a row, right and left, and into the row behind
        for columns, step in ((range(SIZE - 1), 1), (range(SIZE - 1, 0, -1), -1)):
            for column in columns:
                if lit >> column & 1 and not opaque >> SIZE * row + column & 1:
                    lit |= 1 << column + step
                    behind |= 1 << column | 1 << column + step
        bits |= lit << SIZE * row
        lit = behind
    mask = tuple(bool(bits & bit) for bit in _BITS)
    return mask, np.array(mask, dtype=np.int64)


class FastView:
    """Mixin for a BabyAI level: the same observations, resets without printing."""

    def gen_obs(self) -> dict:
        x, y = self.agent_pos
        pick, places = _pose(self.width, self.height, int(x), int(y), self.agent_dir)
        cells, codes, opaque = [*pick(self.grid.grid + [_OUTSIDE])], [], 0
        cells[AGENT_CELL] = self.carrying  # it never blocks the view, nor does where one can stand
        for cell, bit in zip(cells, _BITS):
            if cell is None:
                codes.append(_EMPTY)
            elif cell.__class__ is Wall:
                codes.append(_WALL[cell.color])
                opaque |= bit
            else:
                kind, colour, state = cell.encode()
                codes.append(kind + 16 * colour + 128 * state)
                if not cell.see_behind():
                    opaque |= bit
        seen, mask = _visible(opaque)
        self.last_seen = places, seen  # for whoever keeps a map; a place outside is None
        image = _CHANNELS[np.array(codes) * mask].reshape(SIZE, SIZE, 3)
        return {"image": image, "direction": self.agent_dir, "mission": self.mission}

    def _gen_grid(self, width: int, height: int) -> None:
        while True:  # as RoomGridLevel does, but a rejected draw is not printed
            with suppress(RecursionError, RejectSampling):
                super(RoomGridLevel, self)._gen_grid(width, height)
                self.gen_mission()
                self.validate_instrs(self.instrs)
                break
        self.surface = self.mission = self.instrs.surface(self)
