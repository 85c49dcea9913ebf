"""What lies where in a level, in the words of the narrator and the photographer."""

from collections.abc import Iterable
from itertools import product

import numpy as np
from minigrid.core.world_object import WorldObj


def name_of(thing: WorldObj | None) -> str:
    """Colour and type, as "red ball"; of nothing, nothing."""
    return f"{thing.color} {thing.type}" if thing else ""


def direction_from_agent(env, x: int, y: int) -> str:
    """Where a cell lies from the agent, "front", "behind", "left" or "right".

    Of a cell that is both ahead and aside, the longer way decides; of two equal ones, ahead."""
    offset = np.subtract((x, y), env.agent_pos)
    # Turned into the agent's own axes.
    ahead = offset @ env.dir_vec
    aside = offset @ env.right_vec
    if abs(ahead) >= abs(aside):
        return "front" if ahead > 0 else "behind"
    return "right" if aside > 0 else "left"


def things_at(env, places: Iterable[tuple[int, int]]) -> list[tuple[WorldObj, int, int]]:
    """What lies in some cells, with its coordinates; walls are not counted."""
    cells = [(env.grid.get(x, y), x, y) for x, y in places]
    return [cell for cell in cells if cell[0] is not None and cell[0].type != "wall"]


def things_beside(env, x: int, y: int) -> list[WorldObj]:
    """Things in the four cells around one."""
    around = things_at(env, [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)])
    return [thing for thing, *_ in around]


def things_in_room(env) -> list[tuple[WorldObj, int, int]]:
    """Things in the agent's room, its doors included, with their coordinates, row by row."""
    room = env.room_from_pos(*env.agent_pos)
    left, top = room.top
    width, height = room.size
    # A room's rectangle includes its walls, where its doors are.
    cells = product(range(top, top + height), range(left, left + width))
    return things_at(env, [(x, y) for y, x in cells])
