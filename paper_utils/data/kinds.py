"""A world of kinds: which type a thing has depends on its colour, and no text says so.

BabyAI draws colours and types independently, so red is no more like purple than like green.  Here
colours have *roles*: three are mostly keys, two mostly balls, one mostly a box, each to a degree of
its own.  Levels, expert, narrator and photographer stay the same; only which things stand in a room
changes.  Whoever learns from such rooms can find the kinds; whoever knows words alone cannot."""

from bisect import bisect
from itertools import compress

import numpy as np
import pandas as pd
from minigrid.envs.babyai.core.verifier import ObjDesc

LEVELS = ("GoToLocal", "PickupLoc")
"""Those that can take place in rooms of kinds: one room, without doors."""

ROOMS = ("kinds", "exclusive", "exchangeable")
"""``kinds``: types depend on colours.  ``exclusive``: so they do, and a room shows one colour of
each kind, so that colours of one kind never have to be told apart.  ``exchangeable``: the control,
in which all types are equally likely in every colour."""

TYPES = ("key", "ball", "box")

# P(type | role), a row per role.  Graded inside a kind, and with few symmetries, so that only the
# right pairing of colours fits.
ROLES = np.array([
    (0.92, 0.04, 0.04),
    (0.72, 0.24, 0.04),
    (0.64, 0.04, 0.32),
    (0.04, 0.92, 0.04),
    (0.04, 0.64, 0.32),
    (0.04, 0.04, 0.92),
])  # fmt: skip
# The type that a role has most often makes it one of a kind: three keys, two balls, one box.
_KIND_OF_ROLE = ROLES.argmax(axis=1)

# Eight ways to give the roles, in the order of ROLES, to colours; a world has one of them.  Found
# by a search for permutations under which no two worlds have similar distances between colours.
ASSIGNMENTS = [
    colours.split()
    for colours in (
        "blue green grey purple red yellow",
        "yellow blue grey red green purple",
        "purple blue red grey yellow green",
        "grey blue red yellow green purple",
        "yellow green blue grey purple red",
        "green purple grey blue red yellow",
        "purple grey blue red yellow green",
        "green purple blue red grey yellow",
    )
]


def colours_by_role(world):
    """The six colours of a world in the order of ROLES; worlds eight apart have the same."""
    return ASSIGNMENTS[world % len(ASSIGNMENTS)]


def design(world, rooms="kinds"):
    """P(type | colour) of a world, a DataFrame: a row per colour (in alphabetical order), a column
    per type.

    >>> design(0).loc["blue"].to_dict()
    {'key': 0.92, 'ball': 0.04, 'box': 0.04}
    """
    # The exchangeable world is the same code with a flat table.
    table = np.full_like(ROLES, 1 / len(TYPES)) if rooms == "exchangeable" else ROLES
    # Sorted, because the order of the roles would tell the kinds.
    return pd.DataFrame(table, colours_by_role(world), TYPES).sort_index()


class ColourOnly(ObjDesc):
    """Any thing of a colour, as in "the red object".

    Minigrid's own description without a type also matches walls, which are grey."""

    def find_matching_objs(self, env, use_location=True):
        """The things that match, and where they are, as ObjDesc does."""
        super().find_matching_objs(env, use_location)
        # Without location, things found before are only followed, and the walls are gone already.
        if use_location:
            is_thing = [found.type != "wall" for found in self.obj_set]
            self.obj_set = list(compress(self.obj_set, is_thing))
            self.obj_poss = list(compress(self.obj_poss, is_thing))
        return self.obj_set, self.obj_poss


class RoomsOfKinds:
    """Mixin for a level of one room whose things are drawn from a world's `design`.

    Its class has ``rooms``, one of ROOMS, and ``world``, which has one of ASSIGNMENTS."""

    def __init__(self, **kwargs):
        # To draw a type: where a uniform number falls among the summed probabilities.
        self.thresholds = {
            colour: np.cumsum(row)[:-1].tolist()
            for colour, row in design(self.world, self.rooms).iterrows()
        }
        super().__init__(**kwargs)

    def add_distractors(self, num_distractors, **_):
        """Puts things into the one room: colours uniform, each type given its colour."""
        # What each of the six equally likely draws of a colour shows in this room.
        shown = np.array(colours_by_role(self.world))
        # One colour stands for all of its kind, so over rooms colours are uniform here, too.
        for kind in np.unique(_KIND_OF_ROLE) if self.rooms == "exclusive" else ():
            members = np.flatnonzero(_KIND_OF_ROLE == kind)
            shown[members] = shown[self.np_random.choice(members)]
        things = []
        for _ in range(num_distractors):
            # Of the level's own generator, so that an episode depends on its seed alone.
            colour = str(shown[self.np_random.integers(len(shown))])
            kind = TYPES[bisect(self.thresholds[colour], self.np_random.random())]
            things.append(self.add_object(0, 0, kind, colour)[0])
        return things

    def gen_mission(self):
        """The level's mission; one of a colour and no place leaves the type out, half the time."""
        # The level looks for things that match after this, and counts them to choose the article.
        super().gen_mission()
        wanted = self.instrs.desc
        if wanted.color and not wanted.loc and self.np_random.random() < 0.5:
            self.instrs.desc = ColourOnly(None, wanted.color)
