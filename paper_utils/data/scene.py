"""What lies where in a level, in the words of the narrator and the photographer."""

from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.world_object import WorldObj


def name_of(thing: WorldObj) -> str:
    """Colour and type, as "red ball"."""
    return f"{thing.color} {thing.type}"


def direction_from_agent(env, x: int, y: int) -> str:
    """Where a cell lies from the agent, "front", "behind", "left" or "right".

    Of a cell that is both ahead and aside, the longer way decides; of two equal ones, ahead."""
    # Turned into the agent's own axes; y grows downwards, so right is a quarter turn clockwise.
    ahead_x, ahead_y = map(int, DIR_TO_VEC[env.agent_dir])
    dx = x - int(env.agent_pos[0])
    dy = y - int(env.agent_pos[1])
    ahead = dx * ahead_x + dy * ahead_y
    aside = dy * ahead_x - dx * ahead_y
    if abs(ahead) >= abs(aside):
        return "front" if ahead > 0 else "behind"
    return "right" if aside > 0 else "left"


def thing_at(env, x: int, y: int) -> WorldObj | None:
    """What lies in a cell, walls not counted."""
    thing = env.grid.get(x, y)
    return None if thing is None or thing.type == "wall" else thing


def things_beside(env, x: int, y: int) -> list[WorldObj]:
    """Things in the four cells around one."""
    cells = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    around = [thing_at(env, *cell) for cell in cells]
    return [thing for thing in around if thing is not None]


def things_in_room(env) -> list[tuple[WorldObj, int, int]]:
    """Things in the agent's room, its doors included, with their coordinates, row by row."""
    room = env.room_from_pos(*env.agent_pos)
    left, top = room.top
    width, height = room.size
    # A room's rectangle includes its walls, where its doors are.
    things = []
    for y in range(top, top + height):
        for x in range(left, left + width):
            thing = thing_at(env, x, y)
            if thing is not None:
                things.append((thing, x, y))
    return things
