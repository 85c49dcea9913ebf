"""The same world in pictures with captions, for the vision-language models.

A picture shows the agent's room from above, turned so that the agent looks up; a caption says what
is being done, what the agent carries and where some things are.  Eight cells of eight pixels make
64 x 64 pixels, so that a patch of a small vision transformer is one cell.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paper_utils.artifacts import Stage, write_atomically
from paper_utils.data import expert, levels
from paper_utils.data.narration import beside, name, parts, place, room, watched

TILE, CELLS = 8, 8
SIZE = TILE * CELLS


@dataclass(frozen=True)
class Pictures:
    """``images`` uint8[M, 64, 64, 3] and their ``captions``; validation worlds are others."""

    train_images: np.ndarray
    train_captions: list[str]
    validation_images: np.ndarray
    validation_captions: list[str]


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


class Photographer:
    """Watches an expert episode; takes a picture of each event and of one moment between."""

    def __init__(self, seed: int):
        self.choose = random.Random(seed)
        self.events: list[tuple[np.ndarray, str]] = []
        self.between: tuple[np.ndarray, str] | None = None
        self.moments = 0
        self.said = ""

    @property
    def shots(self) -> list[tuple[np.ndarray, str]]:
        return [*self.events, *([self.between] if self.between else [])]

    def __call__(self, env, action) -> None:
        ahead = env.grid.get(*env.front_pos)
        if action is None and env.step_count and env.mission.startswith("go to") and ahead:
            self.said = f"you go to the {name(ahead)}"
        if self.said:  # what the last action did shows now
            self.events.append(self._shot(env, self.said))
        else:
            self.moments += 1
            if self.choose.random() < 1 / self.moments:  # each moment is as likely as any other
                self.between = self._shot(env, "")
        self.said = self._event(env, action, ahead)

    def _event(self, env, action, ahead) -> str:
        if action == env.actions.pickup and ahead is not None:
            return f"you pick up the {name(ahead)}"
        if action == env.actions.toggle and ahead is not None:
            return f"you open the {name(ahead)}"
        if action == env.actions.drop and env.carrying is not None:
            near = beside(env, *map(int, env.front_pos))
            if near:
                other = self.choose.choice(near)
                return f"you put the {name(env.carrying)} next to the {name(other)}"
            return f"you put the {name(env.carrying)} on the floor"
        return ""

    def _shot(self, env, event: str) -> tuple[np.ndarray, str]:
        said = [event] if event else []
        if env.carrying and not event.startswith("you pick up"):
            said.append(f"you carry the {name(env.carrying)}")
        things = room(env)
        for thing, x, y in self.choose.sample(things, min(len(things), 3 - len(said))):
            said.append(f"the {name(thing)} is {place(env, x, y)}")
        return picture(env), " . ".join(said) + " ."


def _shoot(env, level: str, seed: int) -> list[tuple[np.ndarray, str]]:
    watch = Photographer(seed)
    return watch.shots if expert.rollout(env, level, seed, watch).success else []


def pictures(names: list[str], seeds: range) -> tuple[np.ndarray, list[str]]:
    """Pictures and captions of one episode per seed, levels in turn: two or three of each."""
    shots = [shot for shots in watched(_shoot, names, seeds, "pictures") for shot in shots]
    return np.array([image for image, _ in shots], np.uint8), [caption for _, caption in shots]


def _make(profile, folder: Path, report) -> None:
    for use, part in parts(levels.seeds("pictures", profile.data.pictured_episodes, profile.seed)):
        images, captions = pictures(profile.data.levels, part)
        np.savez_compressed(folder / f"{use}.npz", images=images)
        write_atomically(folder / f"{use}.txt", "\n".join(captions) + "\n")


def _load(folder: Path) -> Pictures:
    found = []
    for use in ("train", "validation"):
        with np.load(folder / f"{use}.npz", allow_pickle=False) as file:
            found.append(file["images"])
        found.append((folder / f"{use}.txt").read_text().splitlines())
    return Pictures(*found)


PICTURES = Stage(
    name="pictures",
    version=1,
    make=_make,
    load=_load,
    reads=("seed", "data.demonstrations", "data.pictured_episodes"),
    fans_out=True,
)
