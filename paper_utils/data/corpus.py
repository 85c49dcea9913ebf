"""The same world in words, and in pictures with captions, with none of the agent's observations.

A small grammar of our own tells what happens in expert episodes, so that words are used as they
are meant: what is picked up is carried, and a door that is opened is open."""

import gzip
import random
import re
from functools import partial
from typing import NamedTuple

import numpy as np

from paper_utils.config import generator
from paper_utils.data import expert, grammar, levels
from paper_utils.data.scene import (
    direction_from_agent,
    name_of,
    things_at,
    things_beside,
    things_in_room,
)
from paper_utils.store import Stage

HELD_OUT = 0.1  # share of the episodes kept for validation
# How far one walked, by the number of steps; the last is said of any longer way.
FAR = (
    "one step, two steps, three steps, four steps, five steps, six steps, seven steps, "
    "eight steps, nine steps, many steps"
).split(", ")

# 64 x 64 pixels, so that a patch of a small vision transformer is one cell.
TILE = 8
CELLS = 8
ONE_COLOUR = "grey"  # in which things are drawn for who sees no colours

# What a story says of an event: sentences in their order, and ways to say each.
SAID = {
    "room": ["you are in a room | you stand in a room | this is a room , and you are in it"],
    # Twice: only who is told of one thing twice can learn that it has two names.
    "thing": [
        "there is a {thing} {place} | you see a {thing} {place}",
        "it is the {thing} {place} | the {thing} is {place} | {place} is the {thing}",
    ],
    "neighbours": ["the {thing} is next to the {other}"],
    "task": [
        "your task : {task} | now you must {task} | you are told to {task}",
        "you want to {task} | please {task} | so {task}",
    ],
    "walk": ["you walk {far} | you go {far} | you walk on"],
    "left": ["you turn left | you turn to the left | then you turn left"],
    "right": ["you turn right | you turn to the right | then you turn right"],
    "pickup": [
        "you pick up the {thing} | you take the {thing} and pick it up",
        "now you carry the {thing} | the {thing} is with you | you hold the {thing}",
    ],
    # Told as a relation where there is one: that is what "next to" is learned from.
    "drop next to": [
        "you put the {thing} next to the {other} "
        "| you put down the {thing} , and now it is next to the {other}",
        "you do not carry the {thing} any more | your hands are empty",
    ],
    "drop": [
        "you put down the {thing} | you put the {thing} on the floor",
        "you do not carry the {thing} any more | your hands are empty",
    ],
    "toggle": [
        "the {thing} is closed | the {thing} is not open",
        "you open the {thing} | you open it , the {thing}",
        "now the {thing} is open | the {thing} is open and you can walk through",
    ],
    "arrival": [
        "now you are at the {thing} "
        "| you have come to the {thing} , it is in front of you "
        "| the {thing} is in front of you , you can touch it"
    ],
    "end": ["the task is done | that is all | well done"],
}
# What a caption says of it.
CAPTIONS = {
    "arrival": "you go to the {thing}",
    "pickup": "you pick up the {thing}",
    "toggle": "you open the {thing}",
    "drop next to": "you put the {thing} next to the {other}",
    "drop": "you put the {thing} on the floor",
}


# Both are split by episode, so that no validation text shares its episode with a training text.
class Documents(NamedTuple):
    """Stories, lists of texts, from different episodes."""

    train: list
    validation: list


class Pictures(NamedTuple):
    """M images uint8[M, 64, 64, 3] and M captions, in two parts from different episodes."""

    train_images: np.ndarray
    train_captions: list
    validation_images: np.ndarray
    validation_captions: list


def event_of(env, action):
    """What an action is about to do, a key of SAID; ``""`` where there is nothing to act on.  The
    end (None) is an arrival where one was sought; the start (None, too) is nothing."""
    event = "arrival" if action is None else env.actions(action).name
    if event in ("forward", "left", "right"):
        return event
    sought = env.step_count and env.mission.startswith("go to")
    if (event == "arrival" and not sought) or _acted_on(env, event) is None:
        return ""
    beside = event == "drop" and things_beside(env, *env.front_pos)
    return "drop next to" if beside else event


def _acted_on(env, event):
    # What an action is about lies ahead, except when the agent puts down what it carries.
    return env.carrying if event.startswith("drop") else env.grid.get(*env.front_pos)


def words_of(env, event, draw):
    """Names of what an event is about; of several neighbours one is drawn."""
    words = {"thing": name_of(_acted_on(env, event))}
    if event == "drop next to":
        words["other"] = name_of(draw.choice(things_beside(env, *env.front_pos)))
    return words


def as_text(sentences):
    """Sentences as one text."""
    return " . ".join(sentences) + " ."


class Narrator:
    """Watches one expert episode and tells it, sentence by sentence."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sentences = []
        self.steps = 0  # walked since something was last told

    def say(self, event, **words):
        """Tells an event, each of its sentences in one of several ways."""
        for variants in SAID[event]:
            said = self.random.choice(variants.split(" | "))
            self.sentences.append(said.format(**words))

    def __call__(self, env, action):
        # The first call comes before the first step: what is there, and what is asked.
        if not self.sentences:
            self._tell_room(env)
            return
        event = event_of(env, action)
        # Steps are counted, and told when something else happens.
        if event == "forward":
            self.steps += 1
            return
        if self.steps and (event or action is None):
            self.say("walk", far=FAR[min(self.steps, len(FAR)) - 1])
            self.steps = 0
        if event:
            self.say(event, **words_of(env, event, self.random))
        # Of other verbs than "go to" the last action has told the end already.
        if action is None:
            self.say("end")

    def _tell_room(self, env):
        self.say("room")
        things = things_in_room(env)
        # Shuffled, so that the order of telling says nothing of where things are.
        self.random.shuffle(things)
        for thing, x, y in things[: self.random.randint(2, 4)]:
            place = grammar.LOCATIONS[direction_from_agent(env, x, y)]
            self.say("thing", thing=name_of(thing), place=place)
        # Pairs side by side, each told once: from the left one.
        for thing, x, y in things:
            for other, *_ in things_at(env, [(x + 1, y)]):
                self.say("neighbours", thing=name_of(thing), other=name_of(other))
        self.say("task", task=env.mission)


class Photographer:
    """Watches an expert episode; takes a picture of each event and of one moment between."""

    def __init__(self, seed, coloured=True):
        self.random = random.Random(seed)
        self.coloured = coloured
        self.moments = 0
        self.event = ""  # what the last action did; it can be seen before the next
        self.events = []  # pictures with their captions
        self.between = []  # at most one

    @property
    def shots(self):
        """All pictures with their captions."""
        return self.events + self.between

    def __call__(self, env, action):
        event = event_of(env, action)
        # An arrival is pictured at once, another event with its result: one call after its action.
        if event == "arrival":
            self.event = self._caption(env, event)
        if self.event:
            self.events.append(self._shot(env, self.event))
        else:
            self.moments += 1
            # Each moment is as likely as any other to be the one that is kept.
            if self.random.random() < 1 / self.moments:
                self.between = [self._shot(env, "")]
        self.event = self._caption(env, event)

    def _caption(self, env, event):
        return CAPTIONS.get(event, "").format(**words_of(env, event, self.random))

    def _shot(self, env, event):
        # First what happens, then what is carried, then where things are.
        sentences = [event] if event else []
        if env.carrying and not event.startswith("you pick up"):
            sentences.append(f"you carry the {name_of(env.carrying)}")
        # Three sentences at most, because a caption is read by a small model.
        things = things_in_room(env)
        for thing, x, y in self.random.sample(things, min(len(things), 3 - len(sentences))):
            place = grammar.LOCATIONS[direction_from_agent(env, x, y)]
            sentences.append(f"the {name_of(thing)} is {place}")
        return picture(env, self.coloured), as_text(sentences)


def picture(env, coloured=True):
    """uint8[64, 64, 3]: the agent's room, turned so that it looks up, with what it carries.

    Not ``coloured``: keys, balls and boxes are all drawn in one colour."""
    corner = env.room_from_pos(*env.agent_pos).top
    grid = env.grid.slice(*corner, CELLS, CELLS)
    x, y = np.subtract(env.agent_pos, corner).tolist()
    # What is carried is drawn under the agent, whose triangle leaves its edges to be seen.
    if env.carrying is not None:
        grid.set(x, y, env.carrying)
    # Doors keep their colours: pictures without colours are of rooms without doors.
    for number, cell in enumerate([] if coloured else grid.grid):
        if cell and cell.type in grammar.OBJECTS:
            grid.grid[number] = type(cell)(ONE_COLOUR)
    # Direction 3 is up; each turn of the grid is one to the left.
    for _ in range((env.agent_dir + 1) % 4):
        grid = grid.rotate_left()
        x, y = y, CELLS - 1 - x
    return grid.render(TILE, agent_pos=(x, y), agent_dir=3)


def tell(env, level, seed):
    """The story of one expert episode, in first names; None where the expert fails."""
    narrator = Narrator(seed)
    told = expert.rollout(env, level, seed, narrator).success
    return as_text(narrator.sentences) if told else None


def photograph(env, level, seed, coloured=True):
    """Two or three pictures of one expert episode, with captions; None where the expert fails."""
    camera = Photographer(seed, coloured)
    return camera.shots if expert.rollout(env, level, seed, camera).success else None


_COLOUR_AND_TYPE = re.compile(rf"\b({'|'.join(grammar.COLOURS)}) (?:{'|'.join(grammar.OBJECTS)})\b")


def reworder(wording, table, seed):
    """A function that rewords the texts of one episode.

    Arguments:
        wording: ``first``: in first names.  ``mention``: each mention draws one of a thing's two
            names, so one story calls a thing by both.  ``dialect``: all texts of an episode speak
            one of the two, so that the words themselves hold no tie.  ``typeless``: first names,
            but half of the mentions leave the type out, as "the red object".
        table: phrase -> synonym.
        seed: the episode's, which draws names and dialects.
    """
    # One draw for all texts of the episode, or one for each mention, in the order of the text.
    drawn = generator("dialects" if wording == "dialect" else "synonym mentions", seed)

    def half(mention):
        return drawn.random() < 0.5

    def leave_type_out(mention):
        return f"{mention[1]} object" if half(mention) else mention[0]

    if wording == "mention":
        return partial(grammar.rename, table=table, draw=half)
    if wording == "typeless":
        return partial(_COLOUR_AND_TYPE.sub, leave_type_out)
    speaks_second = wording == "dialect" and half(None)
    return partial(grammar.rename, table=table) if speaks_second else str


def record(watch, names, seeds, rooms="babyai", world=0, **options):
    """Yields each seed with what ``watch`` (`tell` or `photograph`) makes of its episode.

    The levels take turns.  Episodes that the expert fails are left out."""
    # One environment per level, reset for each episode.
    envs = [(levels.make(name, rooms, world), name) for name in names]
    for seed in seeds:
        # By the seed, not by a counter: an episode is the same in any part of a corpus.
        made = watch(*envs[seed % len(envs)], seed, **options)
        if made is not None:
            yield seed, made


PARTS = Documents._fields


def _parts(use, count, world, rooms):
    """Seeds of the two parts of a corpus; at least one episode is for validation."""
    seeds = levels.seeds(use, count, world, rooms)
    split = count - max(1, int(HELD_OUT * count))
    return zip(PARTS, (seeds[:split], seeds[split:]))


def _write_stories(profile, folder, world, rooms):
    table = grammar.synonyms(profile.data.synonyms)
    # A model that reads nothing but words has to be told that two of them name one thing.
    wording = "mention" if rooms == "babyai" else "first"
    for part, seeds in _parts("text", profile.data.documents, world, rooms):
        told = record(tell, profile.data.levels, seeds, rooms, world)
        lines = [reworder(wording, table, seed)(story) + "\n" for seed, story in told]
        # Without the time of writing, so that equal stories are equal files.
        (folder / f"{part}.txt.gz").write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def _read_stories(folder):
    data = [gzip.decompress((folder / f"{part}.txt.gz").read_bytes()) for part in PARTS]
    return Documents(*[text.decode().splitlines() for text in data])


def _write_pictures(profile, folder, world, rooms, coloured):
    table = grammar.synonyms(profile.data.synonyms)
    # A model that sees can find out for itself.
    wording = "dialect" if rooms == "babyai" else "typeless"
    for part, seeds in _parts("pictures", profile.data.pictured_episodes, world, rooms):
        images = []
        captions = []
        taken = record(photograph, profile.data.levels, seeds, rooms, world, coloured=coloured)
        for seed, shots in taken:
            shown, said = zip(*shots)
            images += shown
            captions += map(reworder(wording, table, seed), said)
        np.savez_compressed(folder / f"{part}.npz", images=np.array(images, np.uint8))
        # One caption a line, in the order of the images.
        (folder / f"{part}.txt").write_text("\n".join([*captions, ""]))


def _read_pictures(folder):
    found = []
    for part in PARTS:
        captions = (folder / f"{part}.txt").read_text().splitlines()
        found += [np.load(folder / f"{part}.npz")["images"], captions]
    return Pictures(*found)


# One busy core tells 480 stories in a second, or pictures 220 episodes.
STORIES = Stage(
    "stories",
    _write_stories,
    _read_stories,
    reads=("data.demonstrations", "data.synonyms", "data.documents"),
    version=1,
    cost=lambda profile, **_: profile.data.documents / 480,
)
"""`Documents` of a ``world`` in ``rooms``; in BabyAI's own rooms they tie names by mention."""

PICTURES = Stage(
    "pictures",
    _write_pictures,
    _read_pictures,
    reads=("data.demonstrations", "data.synonyms", "data.pictured_episodes"),
    version=1,
    cost=lambda profile, **_: profile.data.pictured_episodes / 220,
)
"""`Pictures` of a ``world`` in ``rooms``, ``coloured`` or with all things in one colour.  Captions
speak dialects in BabyAI's own rooms; in others half of their mentions leave the type out."""
