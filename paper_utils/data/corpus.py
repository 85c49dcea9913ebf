"""The same world in words, and in pictures with captions, with none of the agent's observations.

A small grammar of our own tells what happens in expert episodes, so that words are used as they
are meant: what is picked up is carried, and a door that is opened is open."""

import gzip
import random
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from paper_utils import parallel
from paper_utils.config import generator
from paper_utils.data import expert, grammar, levels
from paper_utils.data.levels import beside, called, place, room, thing_at
from paper_utils.store import Stage, write_atomically

CHUNK = 250  # episodes per task
HELD_OUT = 0.1  # share of the episodes kept for validation
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TILE, CELLS = 8, 8  # 64 x 64 pixels, so that a patch of a small vision transformer is one cell
NAMES = ("first", "mention", "dialect")
"""Who ties a thing's two names together.  ``first``: first names only.  ``mention``: each mention
draws its name, so one document calls a thing by both.  ``dialect``: a whole document, or all
captions of an episode, speak one of the two, so that the words themselves hold no tie."""

Documents = namedtuple("Documents", "train validation")
"""Lists of stories, from different worlds."""
Pictures = namedtuple("Pictures", [f"{part}_{what}" for part in Documents._fields
                                   for what in ("images", "captions")])  # fmt: skip
"""Images uint8[M, 64, 64, 3] and lists of their captions, in the same two parts."""


class Narrator:
    """Watches one expert episode and tells it, sentence by sentence."""

    def __init__(self, seed: int):
        self.random, self.sentences = random.Random(seed), []
        self.steps = 0  # walked since something was last told

    def say(self, *variants: str) -> None:
        self.sentences.append(self.random.choice(variants))

    def __call__(self, env, action) -> None:
        if not self.sentences:
            return self._begin(env)
        does, ahead = env.actions, env.grid.get(*env.front_pos)
        thing = env.carrying if action == does.drop else ahead
        if action == does.forward or action in (does.pickup, does.drop, does.toggle) and not thing:
            self.steps += action == does.forward
            return
        if self.steps:
            far = NUMBERS[self.steps] if self.steps < len(NUMBERS) else "many"
            far += " step" if self.steps == 1 else " steps"
            self.say(f"you walk {far}", f"you go {far}", "you walk on")
            self.steps = 0
        what = called(thing) if thing else ""
        if action is None:
            if env.mission.startswith("go to") and what:
                self.say(f"now you are at the {what}",
                         f"you have come to the {what} , it is in front of you",
                         f"the {what} is in front of you , you can touch it")  # fmt: skip
            self.say("the task is done", "that is all", "well done")
        elif action in (does.left, does.right):
            side = action.name
            self.say(f"you turn {side}", f"you turn to the {side}", f"then you turn {side}")
        elif action == does.pickup:
            self.say(f"you pick up the {what}", f"you take the {what} and pick it up")
            self.say(f"now you carry the {what}", f"the {what} is with you", f"you hold the {what}")
        elif action == does.drop:
            if near := beside(env, *map(int, env.front_pos)):
                to = f"next to the {called(self.random.choice(near))}"
                self.say(f"you put the {what} {to}",
                         f"you put down the {what} , and now it is {to}")  # fmt: skip
            else:
                self.say(f"you put down the {what}", f"you put the {what} on the floor")
            self.say(f"you do not carry the {what} any more", "your hands are empty")
        elif action == does.toggle:
            self.say(f"the {what} is closed", f"the {what} is not open")
            self.say(f"you open the {what}", f"you open it , the {what}")
            self.say(f"now the {what} is open", f"the {what} is open and you can walk through")

    def _begin(self, env) -> None:
        self.say("you are in a room", "you stand in a room", "this is a room , and you are in it")
        things = room(env)
        self.random.shuffle(things)
        for thing, x, y in things[: self.random.randint(2, 4)]:
            what, at = called(thing), grammar.LOCATIONS[place(env, x, y)]
            self.say(f"there is a {what} {at}", f"you see a {what} {at}")
            # Once more: only who is told of one thing twice can learn that it has two names.
            self.say(f"it is the {what} {at}", f"the {what} is {at}", f"{at} is the {what}")
        for thing, x, y in things:
            if x + 1 < env.width and (other := thing_at(env, x + 1, y)):
                self.say(f"the {called(thing)} is next to the {called(other)}")
        task = env.mission
        self.say(f"your task : {task}", f"now you must {task}", f"you are told to {task}")
        self.say(f"you want to {task}", f"please {task}", f"so {task}")


class Photographer:
    """Watches an expert episode; takes a picture of each event and of one moment between."""

    def __init__(self, seed: int):
        self.random, self.moments, self.caption = random.Random(seed), 0, ""
        self.events, self.between = [], []  # pictures with their captions

    shots = property(lambda self: self.events + self.between)

    def __call__(self, env, action) -> None:
        ahead = env.grid.get(*env.front_pos)
        if action is None and env.step_count and env.mission.startswith("go to") and ahead:
            self.caption = f"you go to the {called(ahead)}"
        if self.caption:  # what the last action did can be seen now
            self.events.append(self._shot(env, self.caption))
        else:
            self.moments += 1
            if self.random.random() < 1 / self.moments:  # each moment is as likely as any other
                self.between = [self._shot(env, "")]
        self.caption = ""
        if action == env.actions.pickup and ahead:
            self.caption = f"you pick up the {called(ahead)}"
        elif action == env.actions.toggle and ahead:
            self.caption = f"you open the {called(ahead)}"
        elif action == env.actions.drop and env.carrying:
            near = beside(env, *map(int, env.front_pos))
            to = f"next to the {called(self.random.choice(near))}" if near else "on the floor"
            self.caption = f"you put the {called(env.carrying)} {to}"

    def _shot(self, env, event: str) -> tuple[np.ndarray, str]:
        sentences = [event] if event else []
        if env.carrying and not event.startswith("you pick up"):
            sentences.append(f"you carry the {called(env.carrying)}")
        things = room(env)
        for thing, x, y in self.random.sample(things, min(len(things), 3 - len(sentences))):
            sentences.append(f"the {called(thing)} is {grammar.LOCATIONS[place(env, x, y)]}")
        return picture(env), " . ".join(sentences) + " ."


def picture(env) -> np.ndarray:
    """uint8[64, 64, 3]: the agent's room, turned so that it looks up, with what it carries."""
    left, top = env.room_from_pos(*env.agent_pos).top
    grid = env.grid.slice(left, top, CELLS, CELLS)
    x, y = int(env.agent_pos[0]) - left, int(env.agent_pos[1]) - top
    if env.carrying:
        grid.set(x, y, env.carrying)
    for _ in range((env.agent_dir + 1) % 4):
        grid = grid.rotate_left()
        x, y = y, CELLS - 1 - x
    return grid.render(TILE, agent_pos=(x, y), agent_dir=3)


def renamer(names: str, table: dict[str, str], seed: int) -> Callable[[str], str]:
    """A function that renames the texts of one episode, as one of NAMES says."""
    chosen = generator("chosen names", seed)
    if names == "mention":
        return lambda text: grammar.rename(text, table, lambda phrase: chosen.random() < 0.5)
    second = names == "dialect" and chosen.random() < 0.5
    return lambda text: grammar.rename(text, table) if second else text


def document(env, level: str, seed: int, rename: Callable[[str], str] = str) -> str | None:
    """The story of one expert episode; None where the expert fails."""
    watch = Narrator(seed)
    told = expert.rollout(env, level, seed, watch).success
    return rename(" . ".join(watch.sentences) + " .") if told else None


def shoot(env, level: str, seed: int, rename: Callable[[str], str] = str) -> list | None:
    """Pictures and captions of one expert episode, two or three; None where the expert fails."""
    watch = Photographer(seed)
    shown = expert.rollout(env, level, seed, watch).success
    return [(image, rename(caption)) for image, caption in watch.shots] if shown else None


def _record(function: Callable, names: list[str], tied: str, table: dict, seeds: range) -> list:
    envs = [(levels.make(level), level) for level in names]
    made = (function(*envs[s % len(envs)], s, renamer(tied, table, s)) for s in seeds)
    return [result for result in made if result]


def record(function: Callable, names: list[str], seeds: range, tied: str = "first",
           table: dict[str, str] | None = None, compute=None) -> list:  # fmt: skip
    """``document`` or ``shoot`` of one episode per seed, levels in turn; not of those that fail."""
    parts = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    describe = "stories" if function is document else "pictures"
    each = partial(_record, function, names, tied, table or {})
    return [result for part in parallel.map(each, parts, compute, describe) for result in part]


def _recorded(profile, function: Callable, use: str, count: int, names: str):
    """Yields "train" and "validation", each with what is recorded for it."""
    table = grammar.second_names(profile.data.second_names)
    seeds, split = levels.seeds(use, count, profile.seed), count - max(1, int(HELD_OUT * count))
    for part, some in (("train", seeds[:split]), ("validation", seeds[split:])):
        yield part, record(function, profile.data.levels, some, names, table, profile.compute)


def _write_stories(profile, folder: Path, names: str) -> None:
    for part, texts in _recorded(profile, document, "text", profile.data.documents, names):
        text = "\n".join(texts) + "\n"
        write_atomically(folder / f"{part}.txt.gz", gzip.compress(text.encode(), mtime=0))


def _read_stories(folder: Path) -> Documents:
    files = [folder / f"{part}.txt.gz" for part in Documents._fields]
    return Documents(*(gzip.decompress(f.read_bytes()).decode().splitlines() for f in files))


def _write_pictures(profile, folder: Path, names: str) -> None:
    for part, each in _recorded(profile, shoot, "pictures", profile.data.pictured_episodes, names):
        images, captions = zip(*(shot for shots in each for shot in shots))
        np.savez_compressed(folder / f"{part}.npz", images=np.array(images, np.uint8))
        write_atomically(folder / f"{part}.txt", "\n".join(captions) + "\n")


def _read_pictures(folder: Path) -> Pictures:
    parts = []
    for part in ("train", "validation"):
        with np.load(folder / f"{part}.npz", allow_pickle=False) as file:
            parts += [file["images"], (folder / f"{part}.txt").read_text().splitlines()]
    return Pictures(*parts)


_READS = ("seed", "data.demonstrations", "data.second_names")
STORIES = Stage("stories", _write_stories, _read_stories,
                (*_READS, "data.documents"), fans_out=True)  # fmt: skip
PICTURES = Stage("pictures", _write_pictures, _read_pictures,
                 (*_READS, "data.pictured_episodes"), fans_out=True)  # fmt: skip
"""`Documents` and `Pictures`; ``names`` is one of NAMES."""
