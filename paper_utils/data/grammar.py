"""What the levels can say: every instruction, with its semantic factors.

As Minigrid's mission generators (``envs/babyai``), a level chooses a *clause* and fills its noun
phrases.  "A" means that several objects match: it tells of the scene, so we embed with "the"."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from paper_utils.config import register
from paper_utils.data import kinds, vocabulary
from paper_utils.data import levels as levels_on_offer
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

ANY_TYPE = (*OBJECTS, "door")
COLUMNS = (
    "id text second_text template verb colour type location "
    "second_colour second_type second_location article words levels"
).split()


class GrammarError(ValueError):
    """A level whose instructions cannot be listed; the message is one line."""


class Noun(NamedTuple):
    """One noun phrase; an empty string stands for an absent word."""

    colour: str
    type: str
    location: str  # a key of LOCATIONS
    articles: tuple[str, ...]

    def words(self, article: str) -> str:
        """As said: "the red ball in front of you"."""
        said = (article, self.colour, self.type or "object", LOCATIONS.get(self.location))
        return " ".join(word for word in said if word)

    def shape(self) -> str:
        """With slots for words: "the {colour} {type} {location}"."""
        slots = ["the"]
        if self.colour:
            slots.append("{colour}")
        slots.append("{type}" if self.type else "object")
        if self.location:
            slots.append("{location}")
        return " ".join(slots)


# Articles with which a noun phrase can occur.  "A" needs several objects that match.
_THE = ("the",)
_EITHER = ("the", "a")
_ANY_COLOUR = (*COLOURS, "")
_ANYWHERE = ("", *LOCATIONS)


def _nouns(types=OBJECTS, colours=COLOURS, locations=("",), articles=_EITHER) -> list[Noun]:
    """Noun phrases with every combination of words."""
    combinations = itertools.product(colours, types, locations)
    return [Noun(*words, articles) for words in combinations]


def _synthetic(places: Sequence[str]) -> dict[str, list[list[Noun]]]:
    """The phrases of the synthetic levels: any words may be missing, several objects may match."""
    doors = _nouns(("door",), _ANY_COLOUR, places)
    things = _nouns(OBJECTS, _ANY_COLOUR, places)  # what can be picked up and put somewhere
    anything = _nouns(ANY_TYPE, _ANY_COLOUR, places)
    return {"go to": [anything], "pick up": [things], "open": [doors], "put": [things, anything]}


# Noun phrases by what a level guarantees: of exactly one object that matches, "the" alone is said.
_ONE = _nouns(articles=_THE)
_SOME = _nouns()
_DOORS = _nouns(("door",))
_ONE_DOOR = _nouns(("door",), articles=_THE)
_PLACED_DOORS = _nouns(("door",), ("",), tuple(LOCATIONS))
_PLACED = _nouns(OBJECTS, _ANY_COLOUR, _ANYWHERE)
_TYPE_ALONE = _nouns(colours=("",))
_COLOUR_ALONE = _nouns(("",))

# Level -> verb -> the noun phrases that it takes.
GRAMMARS: dict[str, dict[str, list[list[Noun]]]] = {
    "GoToObj": {"go to": [_ONE]},
    "GoToLocal": {"go to": [_SOME]},
    "GoTo": {"go to": [_SOME]},
    "PickupLoc": {"pick up": [_PLACED]},
    "PickupDist": {"pick up": [_ONE + _TYPE_ALONE + _COLOUR_ALONE]},
    "Pickup": {"pick up": [_SOME]},
    "Open": {"open": [_DOORS]},
    "OpenDoor": {"open": [_ONE_DOOR + _PLACED_DOORS]},
    "ActionObjDoor": {"go to": [_ONE + _DOORS], "pick up": [_ONE], "open": [_DOORS]},
    "PutNextLocal": {"put": [_ONE, _ONE]},
    "Synth": _synthetic(("",)),
    "SynthLoc": _synthetic(_ANYWHERE),
}
_DISTINCT = {"PutNextLocal"}  # names each object once: its two noun phrases differ

# In rooms of kinds a mission may leave the type out: `kinds.RoomsOfKinds.gen_mission`.
_GRAMMARS_OF_KINDS = {
    "GoToLocal": {"go to": [_SOME + _COLOUR_ALONE]},
    "PickupLoc": {"pick up": [_PLACED + _COLOUR_ALONE]},
}
assert tuple(_GRAMMARS_OF_KINDS) == kinds.LEVELS


def check(level: str, rooms: str = "babyai") -> None:
    """Raises LevelError or GrammarError, one line, if a level's instructions cannot be listed."""
    levels_on_offer.check(level, rooms)
    if levels_on_offer.short(level) not in GRAMMARS:
        raise GrammarError(f"{level!r} is not listed; levels with a grammar: {', '.join(GRAMMARS)}")


def instructions(
    levels: Iterable[str],
    rooms: str = "babyai",
    articles: bool = False,
    synonyms: str | dict[str, str] = "default",
) -> pd.DataFrame:
    """Every distinct instruction of ``levels`` (short names or Gym ids), in a fixed order.

    COLUMNS: ``id`` (0 to N - 1), ``text``, ``second_text`` (the same in ``synonyms``: a name of
    SYNONYMS, or a table), ``template`` (slots for words), ``verb``, ``colour``, ``type`` and
    ``location`` of one object, then of the second (empty where absent; type "object" where only the
    colour is said), ``article`` ("the"; with ``articles`` each variant, as "a/the"), count of
    ``words``, ``levels``.  ``rooms`` is one of `levels.ROOMS`.

    Raises LevelError (an unknown level, or not in these rooms), GrammarError (a level that chains
    clauses: not listed) or ValueError (a table of synonyms that cannot be used).

    >>> instructions(["BabyAI-PutNextLocal-v0"]).loc[0, ["text", "second_text"]].tolist()
    ['put the blue box next to the blue ball', 'place the azure crate beside the azure sphere']
    """
    rows: dict[str, dict] = {}
    for level in map(levels_on_offer.short, levels):
        check(level, rooms)
        # A dictionary keeps the order in which instructions are first met: it gives them their ids.
        for row in _rows(level, rooms, articles):
            # What several levels can say is listed once.
            known = rows.setdefault(row["text"], {**row, "levels": []})
            known["levels"].append(level)
    # One row per text, with the levels that say it.
    table = pd.DataFrame(rows.values())
    table["id"] = range(len(table))
    table["levels"] = table["levels"].map(" ".join)
    names = vocabulary.synonyms(synonyms)
    table["second_text"] = [rename(text, names) for text in table["text"]]
    return table[COLUMNS]


def _rows(level: str, rooms: str, articles: bool) -> Iterator[dict]:
    """The instructions of one level with their factors."""
    grammar = GRAMMARS if rooms == "babyai" else _GRAMMARS_OF_KINDS
    for verb, slots in grammar[level].items():
        for nouns in itertools.product(*slots):
            if level in _DISTINCT and nouns[0] == nouns[1]:
                continue
            factors = _factors(verb, nouns)
            # With articles, each way to say them is an instruction of its own.
            offered = [noun.articles if articles else _THE for noun in nouns]
            for chosen in itertools.product(*offered):
                said = [noun.words(article) for noun, article in zip(nouns, chosen)]
                text = f"{verb} {' next to '.join(said)}"
                words = len(text.split())
                yield {"text": text, "article": "/".join(chosen), "words": words, **factors}


def _factors(verb: str, nouns: Sequence[Noun]) -> dict[str, str]:
    """The semantic factors of a clause with one or two noun phrases."""
    shapes = [noun.shape() for noun in nouns]
    factors = {"template": f"{verb} {' next to '.join(shapes)}", "verb": verb}
    # The second object's factors are there for every verb, empty where it takes one object.
    for prefix, noun in itertools.zip_longest(("", "second_"), nouns):
        factors[f"{prefix}colour"] = noun.colour if noun else ""
        factors[f"{prefix}type"] = (noun.type or "object") if noun else ""
        factors[f"{prefix}location"] = noun.location if noun else ""
    return factors


def frames(instructions: pd.DataFrame) -> pd.DataFrame:
    """The instructions in whose place for a (first) colour all six colours can stand.

    The same columns and ``frame``, the text with an X for the colour, sorted by frame and colour:
    six rows a frame.

    >>> frames(instructions(["GoToLocal"], rooms="kinds"))["frame"].unique().tolist()
    ['go to the X ball', 'go to the X box', 'go to the X key', 'go to the X object']
    """
    # "Pick up the ball" belongs to no frame: it leaves no place for a colour.
    coloured = instructions[instructions["colour"] != ""]
    # Only the first colour is taken out: the second object stays part of the frame.
    pairs = zip(coloured["text"], coloured["colour"])
    coloured = coloured.assign(frame=[text.replace(colour, "X", 1) for text, colour in pairs])
    size = coloured.groupby("frame")["colour"].transform("size")
    return coloured[size == len(COLOURS)].sort_values(["frame", "colour"])


def canonical(mission: str) -> str:
    """A mission with every article made "the", as instructions are embedded.

    >>> canonical("pick up a red ball")
    'pick up the red ball'
    """
    return " ".join("the" if word == "a" else word for word in mission.split())


def _check_levels(demonstrations: dict[str, int]) -> None:
    if not demonstrations:
        raise ValueError("name at least one level")
    for level in demonstrations:
        check(level)
        # Two spellings of a level would be two levels to everything that counts them.
        short = levels_on_offer.short(level)
        if level != short:
            raise ValueError(f"use the short name {short!r} for {level!r}")


def _check_compositions(phrases: Sequence[str]) -> None:
    if not phrases:
        raise ValueError("name at least one composition, as 'red ball'")
    known = {f"{colour} {kind}" for colour in COLOURS for kind in ANY_TYPE}
    for phrase in phrases:
        if phrase not in known:
            raise ValueError(f"{phrase!r} is not a colour and a type, as 'red ball'")


# What a profile may say of levels, synonyms and compositions is checked when it is loaded.
register("data.demonstrations", _check_levels)
register("data.synonyms", synonyms)
register("cloning.held_out", _check_compositions)
