"""The agent's 7 x 7 view, computed from tables instead of cell by cell.

MiniGrid slices, rotates and casts shadows over the grid in Python loops, twice per step.  Where a
view cell lies in the grid depends only on the agent's pose, and how a row of the view passes light
on depends only on 14 bits, so both become look-ups.  The result is bit-identical.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress
from operator import itemgetter

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.world_object import Wall
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel

SIZE = 7
AGENT_CELL = 3 * SIZE + 6  # the agent stands at image[3, 6], looking towards image[3, 0]

# A cell as one integer (object + 16 * colour + 128 * state), and back as MiniGrid's three channels.
EMPTY = OBJECT_TO_IDX["empty"]
_CHANNELS = np.array([(code & 15, code >> 4 & 7, code >> 7) for code in range(512)], dtype=np.uint8)
_WALL = {c: OBJECT_TO_IDX["wall"] + 16 * index for c, index in COLOR_TO_IDX.items()}
# Bit of each cell, in image order (column by column), such that a row of the view is contiguous.
_BITS = [1 << (SIZE * (cell % SIZE) + cell // SIZE) for cell in range(SIZE * SIZE)]


@lru_cache(maxsize=65536)
def _pose(width: int, height: int, x: int, y: int, direction: int):
    """For a pose: how to pick the 49 cells out of a grid's list, and where each cell lies."""
    top_x, top_y = [(x, y - 3), (x - 3, y), (x - 6, y - 3), (x - 3, y - 6)][direction]
    xs, ys = np.meshgrid(np.arange(SIZE) + top_x, np.arange(SIZE) + top_y, indexing="ij")
    xs, ys = (np.rot90(a, -(direction + 1)).ravel() for a in (xs, ys))
    inside = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
    flat = np.where(inside, ys * width + xs, width * height)  # one wall is appended to the grid
    places = [(i, j) if ok else None for i, j, ok in zip(xs.tolist(), ys.tolist(), inside)]
    return itemgetter(*flat.tolist()), places


@lru_cache(maxsize=1 << 14)
def _row(lit: int, opaque: int) -> tuple[int, int]:
    """How light spreads along one row, and into the row behind it (bits 0-6: columns)."""
    behind = 0
    for column in range(SIZE - 1):
        if lit >> column & 1 and not opaque >> column & 1:
            lit |= 2 << column
            behind |= 3 << column
    for column in range(SIZE - 1, 0, -1):
        if lit >> column & 1 and not opaque >> column & 1:
            lit |= 1 << column - 1
            behind |= 3 << column - 1
    return lit, behind


@lru_cache(maxsize=65536)
def _visible(opaque: int) -> tuple[tuple[bool, ...], np.ndarray]:
    """Which of the 49 cells are seen, given the bits of those that block the view."""
    bits, lit = 0, 1 << 3
    for row in range(SIZE - 1, -1, -1):
        seen, lit = _row(lit, opaque >> SIZE * row & 127)
        bits |= seen << SIZE * row
    mask = tuple(bool(bits & bit) for bit in _BITS)
    return mask, np.array(mask, dtype=np.int64)


class FastView:
    """Mixin for a BabyAI level: the same observations, resets without printing."""

    def look(self) -> tuple[list[int], list[tuple[int, int] | None], tuple]:
        """Codes of the 49 cells (hidden ones included), their places, and which are visible."""
        x, y = self.agent_pos
        pick, places = _pose(self.width, self.height, int(x), int(y), self.agent_dir)
        codes, opaque = [], 0
        for cell, bit in zip(pick(self.grid.grid + [_OUTSIDE]), _BITS):
            if cell is None:
                codes.append(EMPTY)
            elif cell.__class__ is Wall:
                codes.append(_WALL[cell.color])
                opaque |= bit
            else:
                kind, colour, state = cell.encode()
                codes.append(kind + 16 * colour + 128 * state)
                if not cell.see_behind():
                    opaque |= bit
        return codes, places, _visible(opaque)

    def gen_obs(self) -> dict:
        codes, _, (_, mask) = self.look()
        if self.carrying:
            kind, colour, state = self.carrying.encode()
            codes[AGENT_CELL] = kind + 16 * colour + 128 * state
        else:
            codes[AGENT_CELL] = EMPTY
        image = _CHANNELS[np.array(codes) * mask].reshape(SIZE, SIZE, 3)
        return {"image": image, "direction": self.agent_dir, "mission": self.mission}

    def seen_places(self):
        """Grid coordinates (x, y) of the visible cells; ``None`` where one lies outside."""
        _, places, (mask, _) = self.look()
        return compress(places, mask)

    def _gen_grid(self, width: int, height: int) -> None:
        while True:  # as RoomGridLevel does, but a rejected draw is not printed
            try:
                super(RoomGridLevel, self)._gen_grid(width, height)
                self.gen_mission()
                self.validate_instrs(self.instrs)
            except (RecursionError, RejectSampling):
                continue
            break
        self.surface = self.mission = self.instrs.surface(self)


_OUTSIDE = Wall()
