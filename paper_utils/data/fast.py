"""What the agent sees: Minigrid's 7 x 7 view, bit for bit, looked up where Minigrid loops.

Minigrid slices, turns and encodes the grid anew for every observation, and its bot does the same a
second time.  Here the grid is encoded once per change, and a view is one indexing operation."""

from contextlib import redirect_stdout
from functools import lru_cache
from itertools import product

import numpy as np
from minigrid.core.constants import DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.world_object import Door, Wall
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling

SIZE = 7
AGENT = (SIZE // 2, SIZE - 1)  # where in the image the agent stands, looking towards (3, 0)

# By the agent's direction: one step ahead, in plain integers.
_AHEAD = np.array(DIR_TO_VEC).tolist()
# By the agent's direction: where the 49 cells lie from it, int64[49, 2], in the image's order.
_PLACES = list(np.ndindex(SIZE, SIZE))
_FROM_AGENT = np.subtract(_PLACES, AGENT)  # to its right, and behind it
_OFFSETS = [_FROM_AGENT @ [(-dy, dx), (-dx, -dy)] for dx, dy in _AHEAD]

_EMPTY = bytes([OBJECT_TO_IDX["empty"], 0, 0])
_WALL = bytes(Wall().encode())


def _encode(cell):
    """Object, colour and state of a cell of the grid."""
    if cell is None:
        return _EMPTY
    # The most frequent by far, and to encode it anew is slow.
    return _WALL if cell.__class__ is Wall else bytes(cell.encode())


@lru_cache(maxsize=65536)
def _pose(width, height, x, y, direction):
    """By the agent's pose: where in a grid's list its 49 cells are, int64[49], and their places."""
    # A level's outermost cells are walls: nothing is seen beyond them, so one stands for the rest.
    places = np.clip(_OFFSETS[direction] + (x, y), 0, (width - 1, height - 1))
    return places @ (1, width), list(map(tuple, places.tolist()))


@lru_cache(maxsize=65536)
def _visible(opaque):
    """Which of the 49 cells are seen, given those that block the view: a list, and uint8[49, 1].

    Light spreads along a row, right and then left, and from each lit cell into the row behind."""
    lit = {AGENT}
    for row, step in product(reversed(range(SIZE)), (1, -1)):
        # The last column has nowhere to pass its light on to.
        for column in range(SIZE)[::step][:-1]:
            if (column, row) in lit and not opaque[column * SIZE + row]:
                there = column + step
                lit |= {(there, row), (column, row - 1), (there, row - 1)}
    seen = [place in lit for place in _PLACES]
    return seen, np.array(seen, np.uint8)[:, None]


class FastLevel:
    """Mixin for a BabyAI level: the same episodes, sooner, and resets that do not print."""

    _known = None  # `_contents` when the grid was last encoded
    _doors = ()

    def _contents(self):
        # Things are compared by identity; of all of them only doors change while they stay.
        return self.grid.grid + [door.is_open for door in self._doors]

    def _encode_grid(self):
        """Encodes every cell of the grid, unless nothing has changed since the last time."""
        if self._contents() == self._known:
            return
        cells = self.grid.grid
        self._doors = [cell for cell in cells if cell.__class__ is Door]
        self._known = self._contents()
        self._encoded = np.frombuffer(b"".join(map(_encode, cells)), np.uint8).reshape(-1, 3)
        kind, _, state = self._encoded.T
        # One sees through an open door, whose state is 0; a wall's is 0, too.
        closed = (kind == OBJECT_TO_IDX["door"]) & (state > 0)
        self._opaque = closed | (kind == OBJECT_TO_IDX["wall"])

    def gen_obs(self):
        """Minigrid's observation: image uint8[7, 7, 3] (x, y, channel), direction and mission."""
        self._encode_grid()
        # A level may have put the agent down with numpy's integers, slow to hash.
        x, y = map(int, self.agent_pos)
        indices, places = _pose(self.width, self.height, x, y, self.agent_dir)
        seen, mask = _visible(self._opaque[indices].tobytes())
        image = (self._encoded[indices] * mask).reshape(SIZE, SIZE, 3)
        # The agent sees what it carries where it stands itself.
        image[AGENT] = list(_encode(self.carrying))
        self.last_seen = places, seen  # for whoever keeps a map
        return {"image": image, "direction": self.agent_dir, "mission": self.mission}

    @property
    def front_pos(self):
        """The cell before the agent, in plain integers, which are much faster than numpy's."""
        x, y = self.agent_pos
        dx, dy = _AHEAD[self.agent_dir]
        return x + dx, y + dy

    def place_obj(self, obj, top, size, reject_fn=None, max_tries=1000):
        """Puts a thing (or the agent, None) into a free cell of a rectangle, as Minigrid's does.

        The same draws, but positions are of plain integers."""
        left, upper = top
        width, height = size
        agent = tuple(self.agent_pos)
        draw = self.np_random.integers
        for _ in range(max_tries + 1):
            # Column first, then row: the order of Minigrid's draws.
            place = int(draw(left, left + width)), int(draw(upper, upper + height))
            if self.grid.get(*place) is not None or place == agent:
                continue
            if reject_fn is None or not reject_fn(self, place):
                self.grid.set(*place, obj)
                if obj is not None:
                    obj.init_pos = obj.cur_pos = place
                return place
        # A level that cannot be filled is drawn again.
        raise RecursionError("rejection sampling failed in place_obj")

    def check_objs_reachable(self, raise_exc=True):
        """Whether the agent can walk up to every thing; RejectSampling if not, as Minigrid's."""
        cells = self.grid.grid
        width = self.grid.width
        x, y = self.agent_pos
        waiting = [y * width + x]
        reached = set()
        while waiting:
            here = waiting.pop()
            if here in reached:
                continue
            reached.add(here)
            # One can stand before a thing, but not go on through it; a door can be opened.
            if cells[here] is None or cells[here].type == "door":
                # A level's outermost cells are walls, so no neighbour lies outside.
                waiting += here + 1, here - 1, here + width, here - width
        # Walls are never to be reached.
        things = {n for n, cell in enumerate(cells) if cell is not None and cell.type != "wall"}
        unreached = things - reached
        if raise_exc and unreached:
            raise RejectSampling("unreachable object")
        return not unreached

    def _gen_grid(self, width, height):
        """Draws rooms until a mission fits them, without a line for each that is rejected."""
        with redirect_stdout(None):
            super()._gen_grid(width, height)
