"""What lies where in a level, in the words of the narrator and the photographer."""

import numpy as np


def name_of(thing):
    """Colour and type, as "red ball"; of nothing, nothing."""
    return f"{thing.color} {thing.type}" if thing else ""


def direction_from_agent(env, x, y):
    """Where a cell lies from the agent, "front", "behind", "left" or "right".

    Of a cell that is both ahead and aside, the longer way decides; of two equal ones, ahead."""
    # Turned into the agent's own axes.
    ahead, aside = (env.dir_vec, env.right_vec) @ np.subtract((x, y), env.agent_pos)
    if abs(ahead) >= abs(aside):
        return "front" if ahead > 0 else "behind"
    return "right" if aside > 0 else "left"


def things_at(env, places):
    """What lies in some cells, with its coordinates; walls are not counted."""
    cells = [(env.grid.get(*place), *place) for place in places]
    return [cell for cell in cells if cell[0] and cell[0].type != "wall"]


def things_beside(env, x, y):
    """Things in the four cells around one."""
    around = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return [thing for thing, *_ in things_at(env, around)]


def things_in_room(env):
    """Things in the agent's room, its doors included, with their coordinates, row by row."""
    room = env.room_from_pos(*env.agent_pos)
    (left, top), (width, height) = room.top, room.size
    # A room's rectangle includes its walls, where its doors are.
    return things_at(env, [(left + x, top + y) for y, x in np.ndindex(height, width)])
