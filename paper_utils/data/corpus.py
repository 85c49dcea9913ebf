"""The same world in words, and in pictures with captions, with none of the agent's observations.

A small grammar of our own tells what happens in expert episodes, so that words are used as they
are meant: what is picked up is carried, and a door that is opened is open."""

import gzip
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paper_utils.config import generator
from paper_utils.data import expert, grammar, levels
from paper_utils.data.scene import (
    direction_from_agent,
    name_of,
    thing_at,
    things_beside,
    things_in_room,
)
from paper_utils.store import Stage, write_atomically

HELD_OUT = 0.1  # share of the episodes kept for validation
COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# 64 x 64 pixels, so that a patch of a small vision transformer is one cell.
TILE = 8
CELLS = 8
ONE_COLOUR = "grey"  # in which things are drawn for who sees no colours

WORDINGS = ("first", "mention", "dialect", "typeless")
"""How things are named in the texts of one episode.

``first``: in first names.  ``mention``: each mention draws one of a thing's two names, so one story
calls a thing by both.  ``dialect``: all texts of an episode speak one of the two, so that the words
themselves hold no tie.  ``typeless``: first names, but half of the mentions leave the type out, as
"the red object"."""


# Both are split by episode, so that no validation text shares its episode with a training text.
class Documents(NamedTuple):
    """Stories, from different episodes."""

    train: list[str]
    validation: list[str]


class Pictures(NamedTuple):
    """M images uint8[M, 64, 64, 3] and M captions, in two parts from different episodes."""

    train_images: np.ndarray
    train_captions: list[str]
    validation_images: np.ndarray
    validation_captions: list[str]


class Narrator:
    """Watches one expert episode and tells it, sentence by sentence."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.sentences = []
        self.steps = 0  # walked since something was last told

    def say(self, *variants: str) -> None:
        """Adds one of several ways to say something."""
        self.sentences.append(self.random.choice(variants))

    def __call__(self, env, action) -> None:
        # The first call comes before the first step: what is there, and what is asked.
        if not self.sentences:
            self._tell_room(env)
            return
        actions = env.actions
        ahead = env.grid.get(*env.front_pos)
        # What an action is about lies ahead, except when the agent puts down what it carries.
        thing = env.carrying if action == actions.drop else ahead
        # Steps are counted, and told when something else happens.
        if action == actions.forward:
            self.steps += 1
            return
        # Nothing happens where there is nothing to act on.
        if action in (actions.pickup, actions.drop, actions.toggle) and thing is None:
            return
        self._tell_walk()
        name = name_of(thing) if thing is not None else ""
        if action is None:
            self._tell_end(env, name)
        elif action in (actions.left, actions.right):
            side = action.name
            self.say(f"you turn {side}", f"you turn to the {side}", f"then you turn {side}")
        elif action == actions.pickup:
            self._tell_pickup(name)
        elif action == actions.drop:
            self._tell_drop(env, name)
        elif action == actions.toggle:
            self._tell_opening(name)

    def text(self) -> str:
        """The story so far."""
        return " . ".join(self.sentences) + " ."

    def _tell_room(self, env) -> None:
        self.say("you are in a room", "you stand in a room", "this is a room , and you are in it")
        things = things_in_room(env)
        # Shuffled, so that the order of telling says nothing of where things are.
        self.random.shuffle(things)
        for thing, x, y in things[: self.random.randint(2, 4)]:
            name = name_of(thing)
            place = grammar.LOCATIONS[direction_from_agent(env, x, y)]
            self.say(f"there is a {name} {place}", f"you see a {name} {place}")
            # Once more: only who is told of one thing twice can learn that it has two names.
            self.say(
                f"it is the {name} {place}", f"the {name} is {place}", f"{place} is the {name}"
            )
        # Pairs side by side, each told once: from the left one.
        for thing, x, y in things:
            other = thing_at(env, x + 1, y) if x + 1 < env.width else None
            if other is not None:
                self.say(f"the {name_of(thing)} is next to the {name_of(other)}")
        # Twice, as everything else that a reader should connect.
        task = env.mission
        self.say(f"your task : {task}", f"now you must {task}", f"you are told to {task}")
        self.say(f"you want to {task}", f"please {task}", f"so {task}")

    def _tell_walk(self) -> None:
        if not self.steps:
            return
        count = COUNTED[self.steps] if self.steps < len(COUNTED) else "many"
        far = f"{count} step" if self.steps == 1 else f"{count} steps"
        self.say(f"you walk {far}", f"you go {far}", "you walk on")
        self.steps = 0

    def _tell_end(self, env, name: str) -> None:
        # Of the other verbs the last action has told the end already.
        if env.mission.startswith("go to") and name:
            self.say(
                f"now you are at the {name}",
                f"you have come to the {name} , it is in front of you",
                f"the {name} is in front of you , you can touch it",
            )
        self.say("the task is done", "that is all", "well done")

    def _tell_pickup(self, name: str) -> None:
        self.say(f"you pick up the {name}", f"you take the {name} and pick it up")
        self.say(f"now you carry the {name}", f"the {name} is with you", f"you hold the {name}")

    def _tell_drop(self, env, name: str) -> None:
        # Told as a relation where there is one: that is what "next to" is learned from.
        near = things_beside(env, *map(int, env.front_pos))
        if near:
            place = f"next to the {name_of(self.random.choice(near))}"
            self.say(
                f"you put the {name} {place}", f"you put down the {name} , and now it is {place}"
            )
        else:
            self.say(f"you put down the {name}", f"you put the {name} on the floor")
        self.say(f"you do not carry the {name} any more", "your hands are empty")

    def _tell_opening(self, name: str) -> None:
        self.say(f"the {name} is closed", f"the {name} is not open")
        self.say(f"you open the {name}", f"you open it , the {name}")
        self.say(f"now the {name} is open", f"the {name} is open and you can walk through")


class Photographer:
    """Watches an expert episode; takes a picture of each event and of one moment between."""

    def __init__(self, seed: int, coloured: bool = True):
        self.random = random.Random(seed)
        self.coloured = coloured
        self.moments = 0
        self.event = ""  # what the last action did; it can be seen before the next
        self.events = []  # pictures with their captions
        self.between = []  # at most one

    @property
    def shots(self) -> list[tuple[np.ndarray, str]]:
        """All pictures with their captions."""
        return self.events + self.between

    def __call__(self, env, action) -> None:
        ahead = env.grid.get(*env.front_pos)
        # The watcher is called with None at the start, too; then no step has been counted.
        is_end = action is None and env.step_count > 0
        if is_end and env.mission.startswith("go to") and ahead is not None:
            self.event = f"you go to the {name_of(ahead)}"
        # An event is pictured with its result, so one call after its action.
        if self.event:
            self.events.append(self._shot(env, self.event))
        else:
            self.moments += 1
            # Each moment is as likely as any other to be the one that is kept.
            if self.random.random() < 1 / self.moments:
                self.between = [self._shot(env, "")]
        self.event = self._event_of(env, action, ahead)

    def _event_of(self, env, action, ahead) -> str:
        """What an action is about to do, if that can be told."""
        actions = env.actions
        if action == actions.pickup and ahead is not None:
            return f"you pick up the {name_of(ahead)}"
        if action == actions.toggle and ahead is not None:
            return f"you open the {name_of(ahead)}"
        if action == actions.drop and env.carrying is not None:
            near = things_beside(env, *map(int, env.front_pos))
            place = f"next to the {name_of(self.random.choice(near))}" if near else "on the floor"
            return f"you put the {name_of(env.carrying)} {place}"
        return ""

    def _shot(self, env, event: str) -> tuple[np.ndarray, str]:
        # First what happens, then what is carried, then where things are.
        sentences = [event] if event else []
        if env.carrying is not None and not event.startswith("you pick up"):
            sentences.append(f"you carry the {name_of(env.carrying)}")
        # Three sentences at most, because a caption is read by a small model.
        things = things_in_room(env)
        room_for = 3 - len(sentences)
        for thing, x, y in self.random.sample(things, min(len(things), room_for)):
            place = grammar.LOCATIONS[direction_from_agent(env, x, y)]
            sentences.append(f"the {name_of(thing)} is {place}")
        return picture(env, self.coloured), " . ".join(sentences) + " ."


def picture(env, coloured: bool = True) -> np.ndarray:
    """uint8[64, 64, 3]: the agent's room, turned so that it looks up, with what it carries.

    Not ``coloured``: keys, balls and boxes are all drawn in one colour."""
    left, top = env.room_from_pos(*env.agent_pos).top
    grid = env.grid.slice(left, top, CELLS, CELLS)
    x = int(env.agent_pos[0]) - left
    y = int(env.agent_pos[1]) - top
    # What is carried is drawn under the agent, whose triangle leaves its edges to be seen.
    if env.carrying is not None:
        grid.set(x, y, env.carrying)
    if not coloured:
        grid.grid = [_in_one_colour(cell) for cell in grid.grid]
    # Direction 3 is up; each turn of the grid is one to the left.
    for _ in range((env.agent_dir + 1) % 4):
        grid = grid.rotate_left()
        turned_y = CELLS - 1 - x
        x = y
        y = turned_y
    return grid.render(TILE, agent_pos=(x, y), agent_dir=3)


# Doors keep their colours: pictures without colours are of rooms without doors.
def _in_one_colour(cell):
    """A key, ball or box as a copy without its colour; anything else as it is."""
    if cell is None or cell.type not in grammar.OBJECTS:
        return cell
    return type(cell)(ONE_COLOUR)


def tell(env, level: str, seed: int) -> str | None:
    """The story of one expert episode, in first names; None where the expert fails."""
    narrator = Narrator(seed)
    episode = expert.rollout(env, level, seed, narrator)
    return narrator.text() if episode.success else None


def photograph(
    env, level: str, seed: int, coloured: bool = True
) -> list[tuple[np.ndarray, str]] | None:
    """Two or three pictures of one expert episode, with captions; None where the expert fails."""
    photographer = Photographer(seed, coloured)
    episode = expert.rollout(env, level, seed, photographer)
    return photographer.shots if episode.success else None


_COLOUR_AND_TYPE = re.compile(rf"\b({'|'.join(grammar.COLOURS)}) (?:{'|'.join(grammar.OBJECTS)})\b")


def reworder(wording: str, table: dict[str, str], seed: int) -> Callable[[str], str]:
    """A function that rewords the texts of one episode, as one of WORDINGS says.

    ``table``: phrase -> synonym; ``seed``: the episode's, which draws names and dialects."""
    if wording == "first":
        return str
    # One draw for all texts of the episode...
    if wording == "dialect":
        second = generator("dialects", seed).random() < 0.5
        return lambda text: grammar.rename(text, table) if second else text
    # ... or one for each mention, in the order of the text.
    drawn = generator("synonym mentions", seed)
    if wording == "mention":
        return lambda text: grammar.rename(text, table, lambda phrase: drawn.random() < 0.5)

    def leave_types_out(text: str) -> str:
        return _COLOUR_AND_TYPE.sub(
            lambda mention: f"{mention[1]} object" if drawn.random() < 0.5 else mention[0], text
        )

    return leave_types_out


def record(
    watch: Callable,
    names: list[str],
    seeds: range,
    rooms: str = "babyai",
    world: int = 0,
    **options,
) -> Iterator[tuple[int, object]]:
    """Yields each seed with what ``watch`` (`tell` or `photograph`) makes of its episode.

    The levels take turns.  Episodes that the expert fails are left out."""
    # One environment per level, reset for each episode.
    envs = [levels.make(name, rooms, world) for name in names]
    for seed in seeds:
        # By the seed, not by a counter: an episode is the same in any part of a corpus.
        number = seed % len(names)
        made = watch(envs[number], names[number], seed, **options)
        if made is not None:
            yield seed, made


def _parts(use: str, count: int, world: int, rooms: str) -> dict[str, range]:
    """Seeds of the two parts of a corpus; at least one episode is for validation."""
    seeds = levels.seeds(use, count, world, rooms)
    split = count - max(1, int(HELD_OUT * count))
    return {"train": seeds[:split], "validation": seeds[split:]}


def _write_stories(profile, folder: Path, world: int, rooms: str) -> None:
    table = grammar.synonyms(profile.data.synonyms)
    # A model that reads nothing but words has to be told that two of them name one thing.
    wording = "mention" if rooms == "babyai" else "first"
    for part, seeds in _parts("text", profile.data.documents, world, rooms).items():
        lines = []
        for seed, story in record(tell, profile.data.levels, seeds, rooms, world):
            reword = reworder(wording, table, seed)
            lines.append(reword(story) + "\n")
        # Without the time of writing, so that equal stories are equal files.
        data = gzip.compress("".join(lines).encode(), mtime=0)
        write_atomically(folder / f"{part}.txt.gz", data)


def _read_stories(folder: Path) -> Documents:
    texts = {}
    for part in Documents._fields:
        data = gzip.decompress((folder / f"{part}.txt.gz").read_bytes())
        texts[part] = data.decode().splitlines()
    return Documents(**texts)


def _write_pictures(profile, folder: Path, world: int, rooms: str, coloured: bool) -> None:
    table = grammar.synonyms(profile.data.synonyms)
    # A model that sees can find out for itself.
    wording = "dialect" if rooms == "babyai" else "typeless"
    count = profile.data.pictured_episodes
    for part, seeds in _parts("pictures", count, world, rooms).items():
        # One caption a line, in the order of the images.
        images = []
        lines = []
        recorded = record(photograph, profile.data.levels, seeds, rooms, world, coloured=coloured)
        for seed, shots in recorded:
            reword = reworder(wording, table, seed)
            for image, caption in shots:
                images.append(image)
                lines.append(reword(caption) + "\n")
        np.savez_compressed(folder / f"{part}.npz", images=np.array(images, np.uint8))
        write_atomically(folder / f"{part}.txt", "".join(lines))


def _read_pictures(folder: Path) -> Pictures:
    values = {}
    for part in ("train", "validation"):
        with np.load(folder / f"{part}.npz", allow_pickle=False) as file:
            values[f"{part}_images"] = file["images"]
        text = (folder / f"{part}.txt").read_text(encoding="utf-8")
        values[f"{part}_captions"] = text.splitlines()
    return Pictures(**values)


# Only a plan of work reads these: what takes longest is begun first.
# Episodes that one busy core tells or photographs in a second.
_STORIES_PER_SECOND = 320
_PICTURED_PER_SECOND = 170


def _cost_of_stories(profile, world: int, rooms: str) -> float:
    return profile.data.documents / _STORIES_PER_SECOND


def _cost_of_pictures(profile, world: int, rooms: str, coloured: bool) -> float:
    return profile.data.pictured_episodes / _PICTURED_PER_SECOND


STORIES = Stage(
    name="stories",
    make=_write_stories,
    load=_read_stories,
    reads=("data.demonstrations", "data.synonyms", "data.documents"),
    version=1,
    cost=_cost_of_stories,
)
"""`Documents` of a ``world`` in ``rooms``; in BabyAI's own rooms they tie names by mention."""

PICTURES = Stage(
    name="pictures",
    make=_write_pictures,
    load=_read_pictures,
    reads=("data.demonstrations", "data.synonyms", "data.pictured_episodes"),
    version=1,
    cost=_cost_of_pictures,
)
"""`Pictures` of a ``world`` in ``rooms``, ``coloured`` or with all things in one colour.  Captions
speak dialects in BabyAI's own rooms; in others half of their mentions leave the type out."""
