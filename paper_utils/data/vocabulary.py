"""The words that instructions are made of, and tables of synonyms for them.

Instructions and texts are made in *first names*, BabyAI's own words.  A table gives each content
word or phrase a synonym: one word of real English that stands nowhere else in the texts.  So a
sentence in synonyms shares the article with the same sentence in first names, and nothing more."""

import re
from difflib import SequenceMatcher

import numpy as np
from minigrid.core.constants import COLOR_NAMES

from paper_utils.config import generator, hint

COLOURS = tuple(COLOR_NAMES)  # in alphabetical order, which is not that of the observations
OBJECTS = ("box", "ball", "key")
LOCATIONS = {
    "front": "in front of you",
    "behind": "behind you",
    "left": "on your left",
    "right": "on your right",
}

# Real English for each word or phrase.  The first two columns are the named tables.  None shares
# four letters in a row, or a subword of a public model's tokenizer, with any first name; so no
# "latchkey", "leftward" or "opener".
#
# Written English uses these less than about three times in a million words (a Zipf frequency below
# 3.5 in the lists of wordfreq 3.1, Speer 2022); the others are common: maroon azure sapphire cobalt
# lilac lavender mauve canary ashen orb crate casket unlocker passcode fob clef artifact unseal
# unbar unbolt aft starboard.
INVENTORY = {
    phrase: names.split()
    for phrase, names in {
        "red": "crimson scarlet ruby maroon",
        "green": "emerald jade olive lime",
        "blue": "azure sapphire navy cobalt",
        "purple": "violet lilac lavender mauve",
        "yellow": "golden amber lemon canary",
        "grey": "slate charcoal silver ashen",
        "ball": "sphere orb globe",
        "box": "crate chest container casket",
        "key": "unlocker passcode fob clef",
        "door": "gate hatch entrance",
        "object": "item artifact entity thing",
        "go to": "approach reach visit seek",
        "pick up": "grab collect fetch lift",
        "open": "unseal unbar unbolt undo",
        "put": "place deposit position lay",
        "next to": "beside alongside near adjoining",
        "in front of you": "ahead forward fore",
        "behind you": "aft back rear",
        "on your left": "port sinister west",
        "on your right": "starboard dexter east",
    }.items()
}

# Words that can take each other's place in a sentence; every phrase is in one class.
_CLASSES = (
    COLOURS,
    (*OBJECTS, "door", "object"),
    ("go to", "pick up", "open", "put"),
    ("next to", *LOCATIONS.values()),
)

SYNONYMS = {
    "default": {phrase: names[0] for phrase, names in INVENTORY.items()},
    "other": {phrase: names[1] for phrase, names in INVENTORY.items()},
}
"""Tables of synonyms by name: phrase -> synonym."""

# What a synonym must not resemble: every word of every phrase, as "front" and "your".
_FIRST_WORDS = frozenset(" ".join(INVENTORY).split())


def synonyms(value):
    """A table of synonyms, phrase -> synonym: one of SYNONYMS by name, or one's own, checked.

    ValueError, one line: an unknown name; a word that has no synonym, or none to give; a synonym
    that is not one new word in lower case, is the synonym of two words, or is spelled like a first
    name, so that a model could tell what it means without knowing it."""
    if isinstance(value, str):
        if value not in SYNONYMS:
            raise ValueError(f"unknown table {value!r}{hint(value, SYNONYMS)}")
        return SYNONYMS[value]
    # One's own table has to be complete: a word without a synonym would give a sentence away.
    for phrase in (*INVENTORY, *value):
        if phrase not in value:
            raise ValueError(f"{phrase!r} has no synonym")
        if phrase not in INVENTORY:
            raise ValueError(f"{phrase!r} takes no synonym{hint(phrase, INVENTORY)}")
        if problem := _problem_of(value[phrase]):
            raise ValueError(f"{value[phrase]!r}, for {phrase!r}, {problem}")
    if len(set(value.values())) < len(value):
        raise ValueError("two words have the same synonym")
    return value


def _problem_of(name):
    """Why a word cannot be a synonym."""
    if not name.isalpha() or not name.islower() or name in _FIRST_WORDS:
        return "is not one new word in lower case"
    # Spelling tells what "reddish" or "doorway" have to do with red and door.
    for word in sorted(_FIRST_WORDS):
        shared = SequenceMatcher(None, name, word).find_longest_match()
        if shared.size >= (3 if len(word) == 3 else 4):
            return f"shares {word[shared.b :][: shared.size]!r} with {word!r}"
    return None


def draw_table(number):
    """A table with a synonym drawn from the inventory for each word; ``number`` is its seed.

    >>> draw_table(0)["red"] in INVENTORY["red"]
    True
    """
    chosen = generator("tables of synonyms", number)
    return {phrase: str(chosen.choice(names)) for phrase, names in INVENTORY.items()}


def swapped_table(number):
    """`draw_table`, but every word has the synonym of another colour, type, verb or place.

    Red may be "azure": a model that knows English has to follow the word, not the table."""
    # Real synonyms, so that only their places are wrong.
    table = draw_table(number)
    chosen = generator("tables of synonyms", number, 1)
    swapped = {}
    # A colour takes another colour's word, and so on: the sentence stays one that could be said.
    for phrases in _CLASSES:
        others = np.array(phrases)
        # Drawn again until none has stayed where it was: about one permutation in e.
        while np.any(others == phrases):
            others = chosen.permutation(phrases)
        for phrase, other in zip(phrases, others):
            swapped[phrase] = table[other]
    return swapped


def meanings(table):
    """What the words of a table from the inventory mean in English: phrase -> first name.

    With it, `rename` says in first names what a sentence in a `swapped_table` really says.

    >>> meanings({"red": "azure"})
    {'red': 'blue'}
    """
    # No two phrases of the inventory share a synonym.
    phrase_of = {name: phrase for phrase, names in INVENTORY.items() for name in names}
    return {phrase: phrase_of[name] for phrase, name in table.items()}


def pseudo_table(number):
    """A table of words that mean nothing, of three syllables each, as "zivoku"."""
    chosen = generator("tables of synonyms", number, 2)
    words = {}  # in the order of drawing, each once
    while len(words) < len(INVENTORY):
        # These letters spell no first name, nor any part of one that a tokenizer cuts off.
        letters = [chosen.choice(list(kind)) for kind in ("dklmsvz", "eiou") * 3]
        words["".join(letters)] = None
    return dict(zip(INVENTORY, words))


# "Pick up" can embrace its object.  "Open" is renamed where it is a verb: a door that "is open"
# stays so.  Longer phrases come first, so that none is cut short by another.
_PICK_IT_UP = "pick it up"
_PHRASES = sorted([*INVENTORY, _PICK_IT_UP], key=len, reverse=True)
_ALTERNATIVES = "|".join(_PHRASES).replace("open", r"open(?= (?:the|a|it)\b)")
_MENTION = re.compile(rf"\b(?:{_ALTERNATIVES})\b")


def rename(text, table, draw=lambda phrase: True):
    """A text in synonyms; with ``draw(phrase)``, only those mentions that it is true of.

    >>> rename("put the red ball next to the blue box", SYNONYMS["default"])
    'place the crimson sphere beside the azure crate'
    """

    def name(mention):
        phrase = mention[0]
        if not draw(phrase):
            return phrase
        return f"{table['pick up']} it" if phrase == _PICK_IT_UP else table[phrase]

    return _MENTION.sub(name, text)
