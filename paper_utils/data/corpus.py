"""The same world in words, and in pictures with captions.

Language models learn from short documents about a scene, an instruction and what happens;
vision-language models from pictures with captions.  Neither sees an action or an observation of the
agent.  The phrasing is a small grammar of our own; the facts come from expert episodes, so that
words are used as they are meant: what is picked up is carried, and a door that is opened is open.

A picture shows the agent's room from above, turned so that the agent looks up.  Eight cells of
eight pixels make 64 x 64 pixels, so that a patch of a small vision transformer is one cell.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from minigrid.core.world_object import WorldObj

from paper_utils import parallel
from paper_utils.config import generator
from paper_utils.data import expert, grammar, levels
from paper_utils.data.levels import beside, called, room, thing_at
from paper_utils.store import Stage, compressed, write_atomically

CHUNK = 250  # episodes per task
HELD_OUT = 0.1  # share of the episodes kept for validation
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TILE, CELLS = 8, 8
NAMES = ("first", "mention", "dialect")
"""Who ties a thing's two names together.  ``first``: first names only.  ``mention``: each mention
draws its name, so one document calls a thing by both.  ``dialect``: a whole document, or all
captions of an episode, speak one of the two, so that the words themselves hold no tie."""


@dataclass(frozen=True)
class Documents:
    """Stories; ``train`` and ``validation`` come from different worlds."""

    train: list[str]
    validation: list[str]


@dataclass(frozen=True)
class Pictures:
    """``images`` uint8[M, 64, 64, 3] and their ``captions``; validation worlds are others."""

    train_images: np.ndarray
    train_captions: list[str]
    validation_images: np.ndarray
    validation_captions: list[str]


def where(env, x: int, y: int) -> str:
    """Where a cell lies, in words."""
    return grammar.LOCATIONS[levels.place(env, x, y)]


class Narrator:
    """Watches one expert episode and tells it, sentence by sentence."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.sentences: list[str] = []
        self.steps = 0
        self.carried: WorldObj | None = None

    def say(self, *variants: str) -> None:
        self.sentences.append(self.random.choice(variants))

    def __call__(self, env, action) -> None:
        if not self.sentences:
            self._scene(env)
            self._task(env)
            return
        ahead = env.grid.get(*env.front_pos)
        if action is None:
            self._end(env, ahead)
        elif action == env.actions.forward:
            self.steps += 1
        elif action in (env.actions.left, env.actions.right):
            self._walked()
            side = action.name
            self.say(f"you turn {side}", f"you turn to the {side}", f"then you turn {side}")
        elif action == env.actions.pickup and ahead is not None:
            self._walked()
            self._picked_up(called(ahead))
            self.carried = ahead
        elif action == env.actions.drop and self.carried is not None:
            self._walked()
            self._dropped(env, called(self.carried))
            self.carried = None
        elif action == env.actions.toggle and ahead is not None:
            self._walked()
            self._opened(called(ahead))

    def _scene(self, env) -> None:
        self.say("you are in a room", "you stand in a room", "this is a room , and you are in it")
        things = room(env)
        self.random.shuffle(things)
        for thing, x, y in things[: self.random.randint(3, 6)]:
            what, place = f"a {called(thing)}", where(env, x, y)
            self.say(
                f"there is {what} {place}",
                f"you see {what} {place}",
                f"{what} is {place}",
                f"{place} is {what}",
            )
        for thing, x, y in things:
            other = thing_at(env, x + 1, y) if x + 1 < env.width else None
            if other:
                self.say(f"the {called(thing)} is next to the {called(other)}")

    def _task(self, env) -> None:
        task = env.mission
        self.say(
            f"your task : {task}",
            f"now you must {task}",
            f"you are told to {task}",
            f"you want to {task}",
            f"please {task}",
        )

    def _walked(self) -> None:
        if self.steps:
            count = NUMBERS[self.steps] if self.steps < len(NUMBERS) else "many"
            unit = "step" if self.steps == 1 else "steps"
            self.say(f"you walk {count} {unit}", f"you go {count} {unit}", "you walk on")
            self.steps = 0

    def _picked_up(self, what: str) -> None:
        self.say(f"you pick up the {what}", f"you take the {what} and pick it up")
        self.say(f"now you carry the {what}", f"the {what} is with you", f"you hold the {what}")

    def _dropped(self, env, what: str) -> None:
        near = beside(env, *map(int, env.front_pos))
        if near:
            other = called(self.random.choice(near))
            self.say(
                f"you put the {what} next to the {other}",
                f"you put down the {what} , and now it is next to the {other}",
            )
        else:
            self.say(f"you put down the {what}", f"you put the {what} on the floor")
        self.say(f"you do not carry the {what} any more", "your hands are empty")

    def _opened(self, what: str) -> None:
        self.say(f"the {what} is closed", f"the {what} is not open")
        self.say(f"you open the {what}", f"you open it , the {what}")
        self.say(f"now the {what} is open", f"the {what} is open and you can walk through")

    def _end(self, env, ahead: WorldObj | None) -> None:
        self._walked()
        if env.mission.startswith("go to") and ahead is not None:
            what = called(ahead)
            self.say(
                f"now you are at the {what}",
                f"you have come to the {what} , it is in front of you",
                f"the {what} is in front of you , you can touch it",
            )
        self.say("the task is done", "that is all", "well done")


class Photographer:
    """Watches an expert episode; takes a picture of each event and of one moment between."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.events: list[tuple[np.ndarray, str]] = []
        self.between: tuple[np.ndarray, str] | None = None
        self.moments = 0
        self.caption = ""

    @property
    def shots(self) -> list[tuple[np.ndarray, str]]:
        return [*self.events, *([self.between] if self.between else [])]

    def __call__(self, env, action) -> None:
        ahead = env.grid.get(*env.front_pos)
        if action is None and env.step_count and env.mission.startswith("go to") and ahead:
            self.caption = f"you go to the {called(ahead)}"
        if self.caption:  # what the last action did can be seen now
            self.events.append(self._shot(env, self.caption))
        else:
            self.moments += 1
            if self.random.random() < 1 / self.moments:  # each moment is as likely as any other
                self.between = self._shot(env, "")
        self.caption = self._event(env, action, ahead)

    def _event(self, env, action, ahead) -> str:
        if action == env.actions.pickup and ahead is not None:
            return f"you pick up the {called(ahead)}"
        if action == env.actions.toggle and ahead is not None:
            return f"you open the {called(ahead)}"
        if action == env.actions.drop and env.carrying is not None:
            near = beside(env, *map(int, env.front_pos))
            if near:
                other = self.random.choice(near)
                return f"you put the {called(env.carrying)} next to the {called(other)}"
            return f"you put the {called(env.carrying)} on the floor"
        return ""

    def _shot(self, env, event: str) -> tuple[np.ndarray, str]:
        sentences = [event] if event else []
        if env.carrying and not event.startswith("you pick up"):
            sentences.append(f"you carry the {called(env.carrying)}")
        things = room(env)
        for thing, x, y in self.random.sample(things, min(len(things), 3 - len(sentences))):
            sentences.append(f"the {called(thing)} is {where(env, x, y)}")
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
    if names == "first":
        return lambda text: text
    chosen = generator("chosen names", seed)
    if names == "dialect":
        second = chosen.random() < 0.5
        return lambda text: grammar.rename(text, table) if second else text
    return lambda text: grammar.rename(text, table, lambda phrase: chosen.random() < 0.5)


def document(env, level: str, seed: int, rename: Callable[[str], str] = str) -> str | None:
    """The story of one expert episode; None where the expert fails."""
    narrator = Narrator(seed)
    episode = expert.rollout(env, level, seed, watch=narrator)
    return rename(" . ".join(narrator.sentences) + " .") if episode.success else None


def shoot(env, level: str, seed: int, rename: Callable[[str], str] = str) -> list | None:
    """Pictures and captions of one expert episode, two or three; None where the expert fails."""
    watch = Photographer(seed)
    if not expert.rollout(env, level, seed, watch).success:
        return None
    return [(image, rename(caption)) for image, caption in watch.shots]


def _record(task: tuple[Callable, list[str], range, str, dict[str, str]]) -> list:
    """Results of ``document`` or ``shoot`` per seed, levels in turn, where there is one."""
    function, names, seeds, tied, table = task
    envs = {level: levels.make(level) for level in names}
    each = [(names[seed % len(names)], seed) for seed in seeds]
    made = [function(envs[n], n, seed, renamer(tied, table, seed)) for n, seed in each]
    return [result for result in made if result]


def record(
    function: Callable, names: list[str], seeds: range, tied: str = "first",
    table: dict[str, str] | None = None, compute=None,
) -> list:  # fmt: skip
    """``document`` or ``shoot`` of one episode per seed, levels in turn, side by side."""
    parts = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    tasks = [(function, names, part, tied, table or {}) for part in parts]
    describe = {"document": "stories", "shoot": "pictures"}[function.__name__]
    return [result for part in parallel.map(_record, tasks, compute, describe) for result in part]


def _parts(seeds: range) -> list[tuple[str, range]]:
    """Seeds for training and for validation."""
    split = len(seeds) - max(1, int(HELD_OUT * len(seeds)))
    return [("train", seeds[:split]), ("validation", seeds[split:])]


def _write_stories(profile, folder: Path, names: str) -> None:
    table = grammar.second_names(profile.data.second_names)
    for use, part in _parts(levels.seeds("text", profile.data.documents, profile.seed)):
        texts = record(document, profile.data.levels, part, names, table, profile.compute)
        write_atomically(folder / f"{use}.txt.gz", compressed("\n".join(texts) + "\n"))


def _read_stories(folder: Path) -> Documents:
    texts = (gzip.decompress((folder / f"{use}.txt.gz").read_bytes()).decode() for use in
             ("train", "validation"))  # fmt: skip
    return Documents(*(text.splitlines() for text in texts))


STORIES = Stage(
    name="stories",
    make=_write_stories,
    load=_read_stories,
    reads=("seed", "data.demonstrations", "data.documents", "data.second_names"),
    fans_out=True,
)
"""`Documents`; ``names`` is one of NAMES."""


def _write_pictures(profile, folder: Path, names: str) -> None:
    table = grammar.second_names(profile.data.second_names)
    for use, part in _parts(levels.seeds("pictures", profile.data.pictured_episodes, profile.seed)):
        shots = record(shoot, profile.data.levels, part, names, table, profile.compute)
        images, captions = zip(*(shot for shots_ in shots for shot in shots_))
        np.savez_compressed(folder / f"{use}.npz", images=np.array(images, np.uint8))
        write_atomically(folder / f"{use}.txt", "\n".join(captions) + "\n")


def _read_pictures(folder: Path) -> Pictures:
    parts = []
    for use in ("train", "validation"):
        with np.load(folder / f"{use}.npz", allow_pickle=False) as file:
            parts.append(file["images"])
        parts.append((folder / f"{use}.txt").read_text().splitlines())
    return Pictures(*parts)


PICTURES = Stage(
    name="pictures",
    make=_write_pictures,
    load=_read_pictures,
    reads=("seed", "data.demonstrations", "data.pictured_episodes", "data.second_names"),
    fans_out=True,
)
"""`Pictures`; ``names`` is one of NAMES."""
