"""What the levels can say: every instruction, with its semantic factors.

As Minigrid's mission generators (``envs/babyai``), a level chooses a *clause* and fills its noun
phrases.  "A" means that several objects match: it tells of the scene, so we embed with "the"."""

import itertools
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence

import pandas as pd
from minigrid.core.constants import COLOR_NAMES

from paper_utils.config import generator, hint, register
from paper_utils.data import levels as offered_levels

COLOURS = tuple(COLOR_NAMES)
OBJECTS = ("box", "ball", "key")
ANY_TYPE = (*OBJECTS, "door")
LOCATIONS = {"front": "in front of you", "behind": "behind you", "left": "on your left",
             "right": "on your right"}  # fmt: skip
EITHER, _ANY_COLOUR, _ANY_PLACE = ("the", "a"), (*COLOURS, ""), ("", *LOCATIONS)
COLUMNS = ("id text second_text template verb colour type location second_colour second_type "
           "second_location article words levels").split()  # fmt: skip
# Every content word or phrase of the baby language has a second name: one word of real English that
# occurs nowhere else.  The two languages share the article and nothing more.
_FIRST = ("red", "green", "blue", "purple", "yellow", "grey", "ball", "box", "key", "door",
          "object", "go to", "pick up", "open", "put", "next to", *LOCATIONS.values())  # fmt: skip
SECOND_NAMES = {table: dict(zip(_FIRST, names.split())) for table, names in (
    ("default", "crimson emerald azure violet golden ashen sphere crate latchkey gate item "
                "approach grab unseal place beside ahead astern portside starboard"),
    ("other", "scarlet jade sapphire lilac amber slate orb chest opener portal artefact reach "
              "collect unbar deposit alongside onward rearward leftward rightward"))}  # fmt: skip


class GrammarError(ValueError):
    """A level whose instructions cannot be listed; the message is one line."""


class Noun(namedtuple("Noun", "colour type location articles")):
    """One noun phrase; an empty string stands for an absent word."""

    def words(self, article: str) -> str:
        words = article, self.colour, self.type or "object", LOCATIONS.get(self.location)
        return " ".join(filter(None, words))

    def shape(self) -> str:
        said = zip(self[:3], ("{colour}", "{type}", "{location}"), ("", "object", ""))
        return " ".join(filter(None, ("the", *(slot if word else no for word, slot, no in said))))


def _nouns(types=OBJECTS, colours=COLOURS, locations=("",), articles=("the",)) -> list[Noun]:
    return [Noun(*words, articles) for words in itertools.product(colours, types, locations)]


def _synthetic(places) -> dict[str, list[list[Noun]]]:
    """The phrases of the synthetic levels: any words may be missing, several objects may match."""
    doors, things, anything = (_nouns(types, _ANY_COLOUR, places, EITHER)
                               for types in (("door",), OBJECTS, ANY_TYPE))  # fmt: skip
    return {"go to": [anything], "pick up": [things], "open": [doors], "put": [things, anything]}


_ONE, _SOME, _DOORS = _nouns(), _nouns(articles=EITHER), _nouns(("door",), articles=EITHER)
_ONE_WORD = _nouns(colours=("",), articles=EITHER) + _nouns(("",), articles=EITHER)

# Level -> verb -> the noun phrases it takes.
GRAMMARS: dict[str, dict[str, list[list[Noun]]]] = {
    "GoToObj": {"go to": [_ONE]}, "GoToLocal": {"go to": [_SOME]}, "GoTo": {"go to": [_SOME]},
    "PickupLoc": {"pick up": [_nouns(OBJECTS, _ANY_COLOUR, _ANY_PLACE, EITHER)]},
    "PickupDist": {"pick up": [_ONE + _ONE_WORD]}, "Pickup": {"pick up": [_SOME]},
    "Open": {"open": [_DOORS]},
    "OpenDoor": {"open": [_nouns(("door",)) + _nouns(("door",), ("",), LOCATIONS, EITHER)]},
    "ActionObjDoor": {"go to": [_ONE + _DOORS], "pick up": [_ONE], "open": [_DOORS]},
    "PutNextLocal": {"put": [_ONE, _ONE]},
    "Synth": _synthetic(("",)), "SynthLoc": _synthetic(_ANY_PLACE)}  # fmt: skip
_DISTINCT = {"PutNextLocal"}  # names each object once: its two noun phrases differ


def check(level: str) -> None:
    """Raises LevelError or GrammarError, one line, if a level's instructions cannot be listed."""
    offered_levels.check(level)
    if offered_levels.short(level) not in GRAMMARS:
        raise GrammarError(f"{level!r} is not listed; levels with a grammar: {', '.join(GRAMMARS)}")


def instructions(levels: Iterable[str], articles: bool = False,
                 second: str | dict[str, str] = "default") -> pd.DataFrame:  # fmt: skip
    """Every distinct instruction of ``levels`` (short names or Gym ids), in a fixed order.

    COLUMNS: ``id`` (0 to N - 1), ``text``, ``second_text`` (by ``second``, as for `second_names`),
    ``template`` (slots for words), ``verb``, ``colour``, ``type`` and ``location`` of one object,
    then of the second (empty where absent; type "object" where only the colour is said),
    ``article`` ("the"; with ``articles`` each variant, as "a/the"), count of ``words``, ``levels``.
    Raises LevelError (an unknown level) or GrammarError (one that chains clauses: not listed).

    >>> instructions(["BabyAI-PutNextLocal-v0"]).loc[0, ["text", "second_text"]].tolist()
    ['put the blue box next to the blue ball', 'place the azure crate beside the azure sphere']
    """
    rows: dict[str, dict] = {}
    for level in map(offered_levels.short, levels):
        check(level)
        phrases = ((verb, nouns) for verb, slots in GRAMMARS[level].items()
                   for nouns in itertools.product(*slots)
                   if level not in _DISTINCT or nouns[0] != nouns[-1])  # fmt: skip
        for verb, nouns in phrases:
            row = {"template": f"{verb} " + " next to ".join(map(Noun.shape, nouns)), "verb": verb}
            for prefix, noun in itertools.zip_longest(("", "second_"), nouns):
                words = (noun.colour, noun.type or "object", noun.location) if noun else [""] * 3
                row |= zip((f"{prefix}colour", f"{prefix}type", f"{prefix}location"), words)
            for chosen in itertools.product(*(n.articles if articles else ("the",) for n in nouns)):
                text = f"{verb} " + " next to ".join(map(Noun.words, nouns, chosen))
                said = {"text": text, "article": "/".join(chosen), "words": len(text.split())}
                rows.setdefault(text, row | said | {"levels": []})["levels"].append(level)
    table, names = pd.DataFrame(rows.values()).reset_index(names="id"), second_names(second)
    table["levels"] = table["levels"].map(" ".join)
    table["second_text"] = [rename(text, names) for text in table["text"]]
    return table[COLUMNS]


def canonical(mission: str) -> str:
    """A mission with every article made "the", as instructions are embedded."""
    return " ".join("the" if word == "a" else word for word in mission.split())


def second_names(value: str | dict[str, str]) -> dict[str, str]:
    """A table of second names: one of SECOND_NAMES, or one's own, checked.  ValueError: a word has
    none, or one that ties the languages (several words, a first name, the name of two)."""
    if isinstance(value, str):
        if value not in SECOND_NAMES:
            raise ValueError(f"unknown table {value!r}{hint(value, SECOND_NAMES)}")
        return SECOND_NAMES[value]
    known = {word for phrase in _FIRST for word in phrase.split()}
    for phrase in (*_FIRST, *value):
        if phrase not in value:
            raise ValueError(f"{phrase!r} has no second name")
        if phrase not in _FIRST:
            raise ValueError(f"{phrase!r} has no second name to give{hint(phrase, _FIRST)}")
        name = value[phrase]
        if not name.isalpha() or name != name.lower() or name in known:
            raise ValueError(f"{name!r}, for {phrase!r}, is not one new word in lower case")
    if len(set(value.values())) < len(value):
        raise ValueError("two words have the same second name")
    return value


def rename(text: str, table: dict[str, str], draw: Callable[[str], bool] | None = None) -> str:
    """A text in second names; with ``draw(phrase)``, only those mentions that it is true of.

    >>> rename("put the red ball next to the blue key", SECOND_NAMES["default"])
    'place the crimson sphere beside the azure latchkey'
    """
    known, draw = table | {"pick it up": f"{table['pick up']} it"}, draw or (lambda phrase: True)
    # "Open" is renamed where it is a verb: a door that "is open" stays so.
    forms = [f"{p}(?= (?:the|a|it)\\b)" if p == "open" else p for p in known]
    pattern = rf"\b(?:{'|'.join(sorted(forms, key=len, reverse=True))})\b"
    return re.sub(pattern, lambda m: known[m[0]] if draw(m[0]) else m[0], text)


def dialect(texts: Sequence[str], seeds: Sequence[int], table: dict[str, str]) -> list[str]:
    """Each episode's instruction in first or in second names, drawn by the episode's seed."""
    second = [generator("chosen names", int(seed)).random() < 0.5 for seed in seeds]
    return [rename(text, table) if other else text for text, other in zip(texts, second)]


def _check_levels(demonstrations: dict[str, int]) -> None:
    if not demonstrations:
        raise ValueError("name at least one level")
    for level in demonstrations:
        check(level)
        if level != offered_levels.short(level):
            raise ValueError(f"use the short name {offered_levels.short(level)!r} for {level!r}")


def _check_compositions(phrases: Sequence[str]) -> None:
    if not phrases:
        raise ValueError("name at least one composition, as 'red ball'")
    for phrase in phrases:
        if phrase not in [f"{colour} {kind}" for colour in COLOURS for kind in ANY_TYPE]:
            raise ValueError(f"{phrase!r} is not a colour and a type, as 'red ball'")


register("data.demonstrations", _check_levels)
register("data.second_names", second_names)
register("cloning.held_out", _check_compositions)
