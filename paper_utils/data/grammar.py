"""What the levels can say: every instruction, with its semantic factors.

As Minigrid's mission generators (``envs/babyai``), a level chooses a *clause* and fills its noun
phrases.  "A" means that several objects match: it tells of the scene, so we embed with "the"."""

import itertools
import re
from typing import NamedTuple

import pandas as pd

from paper_utils.config import register
from paper_utils.data import levels as levels_on_offer
from paper_utils.data import vocabulary
from paper_utils.data.vocabulary import (  # noqa: F401  (the words belong to the grammar)
    COLOURS,
    INVENTORY,
    LOCATIONS,
    OBJECTS,
    SYNONYMS,
    draw_table,
    meanings,
    pseudo_table,
    rename,
    swapped_table,
    synonyms,
)

COLUMNS = (
    "id text second_text template verb colour type location "
    "second_colour second_type second_location"
).split()


class GrammarError(ValueError):
    """A level whose instructions cannot be listed; the message is one line."""


class Noun(NamedTuple):
    """One noun phrase; an empty string stands for an absent word."""

    colour: str = ""
    type: str = ""  # "object" where only the colour is said
    location: str = ""  # a key of LOCATIONS

    def text(self):
        """As said: "the red ball in front of you"."""
        place = LOCATIONS.get(self.location)
        return self.shape().format(colour=self.colour, type=self.type, location=place)

    def shape(self):
        """With slots for words: "the {colour} {type} {location}"."""
        shape = "the"
        for name, word in self._asdict().items():
            if word:
                shape += " object" if word == "object" else f" {{{name}}}"
        return shape


def _nouns(types=OBJECTS, colours=COLOURS, locations=("",)):
    """Noun phrases with every combination of words."""
    return [Noun(*words) for words in itertools.product(colours, types, locations)]


_THINGS = _nouns()
_DOORS = _nouns(("door",))
_PLACED = _nouns(OBJECTS, (*COLOURS, ""), ("", *LOCATIONS))
_COLOUR_ALONE = _nouns(("object",))

# Level -> verb -> the noun phrases that it takes.
GRAMMARS = {
    "GoToObj": {"go to": [_THINGS]},
    "GoToLocal": {"go to": [_THINGS]},
    "GoTo": {"go to": [_THINGS]},
    "PickupLoc": {"pick up": [_PLACED]},
    "PickupDist": {"pick up": [_THINGS + _nouns(colours=("",)) + _COLOUR_ALONE]},
    "Pickup": {"pick up": [_THINGS]},
    "Open": {"open": [_DOORS]},
    "OpenDoor": {"open": [_DOORS + _nouns(("door",), ("",), tuple(LOCATIONS))]},
    "ActionObjDoor": {"go to": [_THINGS + _DOORS], "pick up": [_THINGS], "open": [_DOORS]},
    "PutNextLocal": {"put": [_THINGS, _THINGS]},
}

# In rooms of kinds a mission may leave the type out: `kinds.RoomsOfKinds.gen_mission`.
_GRAMMARS_OF_KINDS = {
    "GoToLocal": {"go to": [_THINGS + _COLOUR_ALONE]},
    "PickupLoc": {"pick up": [_PLACED + _COLOUR_ALONE]},
}


def check(level, rooms="babyai"):
    """Raises LevelError or GrammarError, one line, if a level's instructions cannot be listed."""
    levels_on_offer.check(level, rooms)
    if level not in GRAMMARS:
        raise GrammarError(f"{level!r} is not listed; levels with a grammar: {', '.join(GRAMMARS)}")


def instructions(levels, rooms="babyai", synonyms="default"):
    """A DataFrame of every distinct instruction of ``levels`` (their names), in a fixed order.

    COLUMNS: ``id`` (0 to N - 1), ``text``, ``second_text`` (the same in ``synonyms``: a name of
    SYNONYMS, or a table), ``template`` (slots for words), ``verb``, ``colour``, ``type`` and
    ``location`` of one object, then of the second (empty where absent; type "object" where only the
    colour is said).  ``rooms`` is one of `levels.ROOMS`.

    Raises LevelError (an unknown level, or not in these rooms), GrammarError (a level that chains
    clauses: not listed) or ValueError (a table of synonyms that cannot be used).

    >>> instructions(["PutNextLocal"]).loc[0, ["text", "second_text"]].tolist()
    ['put the blue box next to the blue ball', 'place the azure crate beside the azure sphere']
    """
    rows = []
    for level in levels:
        check(level, rooms)
        rows += _rows(level, rooms)
    # What several levels can say is listed once, where it is first met.
    table = pd.DataFrame(rows).drop_duplicates("text", ignore_index=True)
    table["id"] = table.index
    names = vocabulary.synonyms(synonyms)
    table["second_text"] = [rename(text, names) for text in table["text"]]
    return table[COLUMNS]


def _rows(level, rooms):
    """The instructions of one level with their factors."""
    grammar = GRAMMARS if rooms == "babyai" else _GRAMMARS_OF_KINDS
    for verb, slots in grammar[level].items():
        for nouns in itertools.product(*slots):
            # Each object is named once: two noun phrases differ.
            if len({*nouns}) < len(nouns):
                continue
            text = " next to ".join(map(Noun.text, nouns))
            shape = " next to ".join(map(Noun.shape, nouns))
            row = {"text": f"{verb} {text}", "template": f"{verb} {shape}", "verb": verb}
            # The second object's factors are there for every verb, empty where it takes one object.
            for prefix, noun in itertools.zip_longest(("", "second_"), nouns, fillvalue=Noun()):
                row |= {prefix + name: word for name, word in noun._asdict().items()}
            yield row


def frames(instructions):
    """The instructions in whose place for a (first) colour all six colours can stand.

    The same columns and ``frame``, the text with an X for the colour, sorted by frame and colour:
    six rows a frame.

    >>> frames(instructions(["GoToLocal"], rooms="kinds"))["frame"].unique().tolist()
    ['go to the X ball', 'go to the X box', 'go to the X key', 'go to the X object']
    """
    # "Pick up the ball" belongs to no frame: it leaves no place for a colour.
    coloured = instructions[instructions["colour"] != ""]
    # Only the first colour is taken out: the second object stays part of the frame.
    frame = coloured["text"].str.replace("|".join(COLOURS), "X", n=1, regex=True)
    by_frame = coloured.assign(frame=frame).sort_values(["frame", "colour"]).groupby("frame")
    return by_frame.filter(lambda rows: len(rows) == len(COLOURS))


def canonical(mission):
    """A mission with every article made "the", as instructions are embedded.

    >>> canonical("pick up a red ball")
    'pick up the red ball'
    """
    return re.sub(r"\ba\b", "the", mission)


def _check_levels(demonstrations):
    if not demonstrations:
        raise ValueError("name at least one level")
    for level in demonstrations:
        check(level)


def _check_compositions(phrases):
    if not phrases:
        raise ValueError("name at least one composition, as 'red ball'")
    known = [f"{noun.colour} {noun.type}" for noun in _THINGS + _DOORS]
    for phrase in phrases:
        if phrase not in known:
            raise ValueError(f"{phrase!r} is not a colour and a type, as 'red ball'")


# What a profile may say of levels, synonyms and compositions is checked when it is loaded.
register("data.demonstrations", _check_levels)
register("data.synonyms", synonyms)
register("cloning.held_out", _check_compositions)
