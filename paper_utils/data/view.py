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


def _offsets(direction: int) -> list[tuple[int, int]]:
    """Where each view cell lies from the agent, in image order: MiniGrid's slice and rotations."""
    left, top = [(0, -3), (-3, 0), (-6, -3), (-3, -6)][direction]
    xs, ys = np.meshgrid(np.arange(SIZE) + left, np.arange(SIZE) + top, indexing="ij")
    turned = (np.rot90(a, -(direction + 1)).ravel().tolist() for a in (xs, ys))
    return list(zip(*turned))


_OFFSETS = [_offsets(direction) for direction in range(4)]


@lru_cache(maxsize=65536)
def _pose(width: int, height: int, x: int, y: int, direction: int):
    """For a pose: how to pick the 49 cells out of a grid's list, and where each cell lies."""
    places = [
        (x + dx, y + dy) if 0 <= x + dx < width and 0 <= y + dy < height else None
        for dx, dy in _OFFSETS[direction]
    ]
    # One wall is appended to the grid, for the cells that lie outside.
    return itemgetter(*(p[1] * width + p[0] if p else width * height for p in places)), places


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
        codes, places, (seen, mask) = self.look()
        self._last_seen = places, seen
        if self.carrying:
            kind, colour, state = self.carrying.encode()
            codes[AGENT_CELL] = kind + 16 * colour + 128 * state
        else:
            codes[AGENT_CELL] = EMPTY
        image = _CHANNELS[np.array(codes) * mask].reshape(SIZE, SIZE, 3)
        return {"image": image, "direction": self.agent_dir, "mission": self.mission}

    def seen_places(self):
        """Coordinates (x, y) of the cells in the last observation; None where one lies outside."""
        return compress(*self._last_seen)

    def check_objs_reachable(self, raise_exc: bool = True) -> bool:
        """As RoomGridLevel's: the agent can get beside every thing without moving another."""
        cells, width = self.grid.grid, self.width
        stack, reached = [int(self.agent_pos[1]) * width + int(self.agent_pos[0])], set()
        while stack:
            at = stack.pop()
            if at not in reached:
                reached.add(at)
                if cells[at] is None or cells[at].type == "door":  # walls all around stop the flood
                    stack += (at + 1, at - 1, at + width, at - width)
        for at, cell in enumerate(cells):
            if cell is not None and cell.__class__ is not Wall and at not in reached:
                if raise_exc:
                    raise RejectSampling(f"unreachable object at {(at % width, at // width)}")
                return False
        return True

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
