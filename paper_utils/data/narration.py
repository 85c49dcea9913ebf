"""The same world in words: short documents about a scene, an instruction and what happens.

Language models learn from these, and never see an action or an observation of the agent.  The
phrasing is a small grammar of our own; the facts come from an expert episode, so that words are
used as they are meant: what is picked up is carried, and a door that is opened is open.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.world_object import WorldObj

from paper_utils import parallel
from paper_utils.artifacts import Stage, compressed, write_atomically
from paper_utils.data import expert, levels
from paper_utils.data.grammar import LOCATIONS

CHUNK = 250  # documents per task
HELD_OUT = 0.1  # share of the documents kept for validation
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Documents:
    """Narrated scenes; ``train`` and ``validation`` come from different worlds."""

    train: list[str]
    validation: list[str]


def name(thing: WorldObj) -> str:
    return f"{thing.color} {thing.type}"


def place(env, x: int, y: int) -> str:
    """Where a cell lies as the agent would say it: the longer of the two directions decides."""
    ahead = DIR_TO_VEC[env.agent_dir]
    dx, dy = x - int(env.agent_pos[0]), y - int(env.agent_pos[1])
    forward = dx * int(ahead[0]) + dy * int(ahead[1])
    aside = -dx * int(ahead[1]) + dy * int(ahead[0])
    if abs(forward) >= abs(aside):
        return LOCATIONS["front" if forward > 0 else "behind"]
    return LOCATIONS["right" if aside > 0 else "left"]


def thing_at(env, x: int, y: int) -> WorldObj | None:
    """What lies in a cell, walls not counted."""
    thing = env.grid.get(x, y)
    return None if thing is None or thing.type == "wall" else thing


def beside(env, x: int, y: int) -> list[WorldObj]:
    """Things in the four cells around one."""
    around = [thing_at(env, x + i, y + j) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return [thing for thing in around if thing]


def room(env) -> list[tuple[WorldObj, int, int]]:
    """Things in the agent's room, its doors included, with their coordinates."""
    here = env.room_from_pos(*env.agent_pos)
    (left, top), (width, height) = here.top, here.size
    cells = [(x, y) for y in range(top, top + height) for x in range(left, left + width)]
    return [(thing, x, y) for x, y in cells if (thing := thing_at(env, x, y))]


class Narrator:
    """Watches one expert episode and tells it, sentence by sentence."""

    def __init__(self, seed: int):
        self.choose = random.Random(seed)
        self.sentences: list[str] = []
        self.steps = 0
        self.carried: WorldObj | None = None

    def say(self, *variants: str) -> None:
        self.sentences.append(self.choose.choice(variants))

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
            self._picked_up(name(ahead))
            self.carried = ahead
        elif action == env.actions.drop and self.carried is not None:
            self._walked()
            self._dropped(env, name(self.carried))
            self.carried = None
        elif action == env.actions.toggle and ahead is not None:
            self._walked()
            self._opened(name(ahead))

    def _scene(self, env) -> None:
        self.say("you are in a room", "you stand in a room", "this is a room , and you are in it")
        things = room(env)
        self.choose.shuffle(things)
        for thing, x, y in things[: self.choose.randint(3, 6)]:
            what, where = f"a {name(thing)}", place(env, x, y)
            self.say(
                f"there is {what} {where}",
                f"you see {what} {where}",
                f"{what} is {where}",
                f"{where} is {what}",
            )
        for thing, x, y in things:
            other = thing_at(env, x + 1, y) if x + 1 < env.width else None
            if other:
                self.say(f"the {name(thing)} is next to the {name(other)}")

    def _task(self, env) -> None:
        said = env.mission
        self.say(
            f"your task : {said}",
            f"now you must {said}",
            f"you are told to {said}",
            f"you want to {said}",
            f"please {said}",
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
            other = name(self.choose.choice(near))
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
            what = name(ahead)
            self.say(
                f"now you are at the {what}",
                f"you have come to the {what} , it is in front of you",
                f"the {what} is in front of you , you can touch it",
            )
        self.say("the task is done", "that is all", "well done")


def document(env, level: str, seed: int) -> str | None:
    """The story of one expert episode; None where the expert fails."""
    narrator = Narrator(seed)
    episode = expert.rollout(env, level, seed, watch=narrator)
    return " . ".join(narrator.sentences) + " ." if episode.success else None


def in_turn(task: tuple[Callable, list[str], range]) -> list:
    """Results of ``watch(env, level, seed)`` per seed, levels in turn, where there is one."""
    watch, names, seeds = task
    envs = {level: levels.make(level) for level in names}
    each = [(names[seed % len(names)], seed) for seed in seeds]
    found = [watch(envs[level], level, seed) for level, seed in each]
    return [result for result in found if result]


def watched(watch: Callable, names: list[str], seeds: range, describe: str) -> list:
    """All of :func:`in_turn`, side by side; independent of the number of workers."""
    tasks = [(watch, names, seeds[i : i + CHUNK]) for i in range(0, len(seeds), CHUNK)]
    return [result for part in parallel.map(in_turn, tasks, describe) for result in part]


def parts(seeds: range) -> list[tuple[str, range]]:
    """Seeds for training and for validation."""
    split = len(seeds) - max(1, int(HELD_OUT * len(seeds)))
    return [("train", seeds[:split]), ("validation", seeds[split:])]


def documents(names: list[str], seeds: range) -> list[str]:
    """One document per seed, levels in turn."""
    return watched(document, names, seeds, "narration")


def _make(profile, folder: Path, report) -> None:
    for use, part in parts(levels.seeds("text", profile.data.documents, profile.seed)):
        told = documents(profile.data.levels, part)
        write_atomically(folder / f"{use}.txt.gz", compressed("\n".join(told) + "\n"))


NARRATION = Stage(
    name="narration",
    version=2,
    make=_make,
    load=lambda folder: Documents(
        *(
            gzip.decompress((folder / f"{use}.txt.gz").read_bytes()).decode().splitlines()
            for use in ("train", "validation")
        )
    ),
    reads=("seed", "data.demonstrations", "data.documents"),
    fans_out=True,
)
