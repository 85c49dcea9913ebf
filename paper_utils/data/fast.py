"""What the agent sees: Minigrid's 7 x 7 view, bit for bit, looked up where Minigrid loops.

Minigrid slices, turns and encodes the grid anew for every observation, and its bot does the same a
second time.  Here the grid is encoded once per change, and a view is one indexing operation."""

import math
from contextlib import suppress
from functools import lru_cache

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.world_object import Door, Wall
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel

SIZE = 7
AGENT_CELL = 3 * SIZE + 6  # the agent stands at image[3, 6], looking towards image[3, 0]

# A cell is one integer: object + 16 * colour + 128 * state, and 512 if it blocks the view.  Row
# `code` of this table turns it back into an observation's channels; code 0 is a cell not seen.
_OPAQUE = 512
_CODES = np.arange(2 * _OPAQUE)
_CHANNELS = np.stack([_CODES & 15, _CODES >> 4 & 7, _CODES >> 7 & 3], axis=1).astype(np.uint8)
_EMPTY = OBJECT_TO_IDX["empty"]
_WALL = {name: OBJECT_TO_IDX["wall"] + 16 * n + _OPAQUE for name, n in COLOR_TO_IDX.items()}
_OUTSIDE = Wall()  # stands for every cell beyond the edge of the grid

# How far each of the 49 cells lies ahead of the agent and to its right, in the image's order.
_COLUMNS, _ROWS = np.divmod(np.arange(SIZE * SIZE), SIZE)
_CELLS_AHEAD = SIZE - 1 - _ROWS
_CELLS_ASIDE = _COLUMNS - SIZE // 2

# By the agent's direction: one step ahead as plain integers, and one to the right as an array.
_AHEAD = [(int(dx), int(dy)) for dx, dy in DIR_TO_VEC]
_RIGHT = [np.array((-dy, dx)) for dx, dy in _AHEAD]


def _code(cell) -> int:
    """The integer of a cell of the grid."""
    if cell is None:
        return _EMPTY
    if cell.__class__ is Wall:  # the most frequent by far, and its `encode` is slow
        return _WALL[cell.color]
    kind, colour, state = cell.encode()
    code = kind + 16 * colour + 128 * state
    return code if cell.see_behind() else code + _OPAQUE


@lru_cache(maxsize=65536)
def _pose(width: int, height: int, x: int, y: int, direction: int):
    """By the agent's pose: where in a grid's list its 49 cells are, int64[49], and their places."""
    dx, dy = _AHEAD[direction]
    i = x + _CELLS_AHEAD * dx - _CELLS_ASIDE * dy
    j = y + _CELLS_AHEAD * dy + _CELLS_ASIDE * dx
    inside = (i >= 0) & (i < width) & (j >= 0) & (j < height)
    # One wall is appended to the list, for the cells that lie outside.
    indices = np.where(inside, j * width + i, width * height)
    places = list(zip(i.tolist(), j.tolist()))
    return indices, [place if kept else None for place, kept in zip(places, inside)]


@lru_cache(maxsize=65536)
def _visible(opaque: bytes) -> tuple[tuple[bool, ...], np.ndarray]:
    """Which of the 49 cells are seen, given those that block the view: as a tuple and int64[49].

    Light spreads along a row, right and then left, and from each lit cell into the row behind."""
    blocked = np.frombuffer(opaque, dtype=bool).reshape(SIZE, SIZE)
    lit = np.zeros((SIZE, SIZE), dtype=bool)  # (column, row), as the image

    def spread(column: int, row: int, step: int) -> None:
        if lit[column, row] and not blocked[column, row]:
            lit[column + step, row] = True
            # Of the last row nothing lies behind: what is set again there is lit already.
            behind = max(row - 1, 0)
            lit[column, behind] = True
            lit[column + step, behind] = True

    lit[SIZE // 2, SIZE - 1] = True  # where the agent stands
    for row in reversed(range(SIZE)):
        for column in range(SIZE - 1):
            spread(column, row, 1)
        for column in range(SIZE - 1, 0, -1):
            spread(column, row, -1)
    seen = lit.ravel()
    return tuple(seen.tolist()), seen.astype(np.int64)


class FastLevel:
    """Mixin for a BabyAI level: the same episodes, sooner, and resets that do not print."""

    _cells = None  # the grid's list as it was last encoded
    _doors = ()
    _door_states = ()

    def _encode_grid(self) -> None:
        """Encodes every cell of the grid, unless nothing has changed since the last time."""
        cells = self.grid.grid
        # Things are compared by identity; of all of them only doors change while they stay.
        door_states = [(door.is_open, door.is_locked) for door in self._doors]
        if cells == self._cells and door_states == self._door_states:
            return
        self._cells = cells.copy()
        self._doors = [cell for cell in cells if cell.__class__ is Door]
        self._door_states = [(door.is_open, door.is_locked) for door in self._doors]
        self._codes = np.array([_code(cell) for cell in (*cells, _OUTSIDE)])

    def gen_obs(self) -> dict:
        """Minigrid's observation: image uint8[7, 7, 3] (x, y, channel), direction and mission."""
        self._encode_grid()
        # A level may have put the agent down itself, with numpy's integers, slow to hash.
        x, y = self.agent_pos
        indices, places = _pose(self.width, self.height, int(x), int(y), self.agent_dir)
        codes = self._codes[indices]
        seen, mask = _visible((codes >= _OPAQUE).tobytes())
        # The agent sees what it carries where it stands itself.
        codes[AGENT_CELL] = _code(self.carrying)
        image = _CHANNELS[codes * mask].reshape(SIZE, SIZE, 3)
        self.last_seen = places, seen  # for whoever keeps a map; a place outside is None
        return {"image": image, "direction": self.agent_dir, "mission": self.mission}

    @property
    def front_pos(self) -> tuple[int, int]:
        """The cell before the agent, in plain integers, which are much faster than numpy's."""
        x, y = self.agent_pos
        dx, dy = _AHEAD[self.agent_dir]
        return x + dx, y + dy

    # Minigrid makes this array anew each time that the bot turns its head.
    @property
    def right_vec(self) -> np.ndarray:
        """int64[2]: one step to the right of where the agent looks."""
        return _RIGHT[self.agent_dir]

    def place_obj(self, obj, top=None, size=None, reject_fn=None, max_tries=math.inf):
        """Puts a thing (or the agent, None) into a free cell of a rectangle, as Minigrid's does.

        The same draws, but positions are of plain integers."""
        left, upper = (0, 0) if top is None else top
        width, height = (self.grid.width, self.grid.height) if size is None else size
        right = min(left + width, self.grid.width)
        lower = min(upper + height, self.grid.height)
        agent = tuple(map(int, self.agent_pos))  # (-1, -1) until it is placed
        draw = self.np_random.integers
        tries = 0
        while True:
            # A level that cannot be filled is drawn again by `_gen_grid`.
            if tries > max_tries:
                raise RecursionError("rejection sampling failed in place_obj")
            tries += 1
            # Column first, then row: the order of Minigrid's draws.
            place = (int(draw(left, right)), int(draw(upper, lower)))
            if self.grid.get(*place) is not None or place == agent:
                continue
            if reject_fn is None or not reject_fn(self, place):
                break
        self.grid.set(*place, obj)
        if obj is not None:
            obj.init_pos = place
            obj.cur_pos = place
        return place

    def check_objs_reachable(self, raise_exc: bool = True) -> bool:
        """Whether the agent can walk up to every thing; RejectSampling if not, as Minigrid's."""
        cells = self.grid.grid
        width = self.grid.width
        x, y = map(int, self.agent_pos)
        waiting = [y * width + x]
        reached = set(waiting)
        while waiting:
            here = waiting.pop()
            # One can stand before a thing, but not go on through it; a door can be opened.
            if cells[here] is not None and cells[here].type != "door":
                continue
            # A level's outermost cells are walls, so no neighbour lies outside.
            for there in (here + 1, here - 1, here + width, here - width):
                if there not in reached:
                    reached.add(there)
                    waiting.append(there)
        # Walls are never to be reached.
        things = (n for n, cell in enumerate(cells) if cell is not None and cell.type != "wall")
        if reached.issuperset(things):
            return True
        if raise_exc:
            raise RejectSampling("unreachable object")
        return False

    def _gen_grid(self, width: int, height: int) -> None:
        """Draws rooms until a mission fits them, as RoomGridLevel does, but without printing."""
        while True:
            with suppress(RecursionError, RejectSampling):
                super(RoomGridLevel, self)._gen_grid(width, height)
                self.gen_mission()
                self.validate_instrs(self.instrs)
                break
        # Said only now, because the article depends on what else is in the room.
        self.surface = self.instrs.surface(self)
        self.mission = self.surface
