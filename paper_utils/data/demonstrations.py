"""Demonstrations as arrays, one compressed file per level, and the stages that make them."""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from paper_utils.data import expert, levels
from paper_utils.store import Stage, json_bytes, write_atomically, write_table

SPLITS = ("train", "validation")

# Demonstrations that one busy core records in a second (tests/benchmarks/expert_speed.py); levels
# that are not named here are large mazes.
_PER_SECOND = {"GoToLocal": 500, "PickupLoc": 450, "OpenDoor": 380, "PutNextLocal": 320}
_PER_SECOND_ELSEWHERE = 20


@dataclass(frozen=True)
class Demonstrations:
    """N successful expert episodes of one level, S steps in all, laid end to end."""

    observations: np.ndarray  # uint8[S, 7, 7, 3]
    actions: np.ndarray  # uint8[S]
    lengths: np.ndarray  # int32[N], in steps
    seeds: np.ndarray  # int64[N]
    instructions: np.ndarray  # str[N], as the level said them
    skipped: np.ndarray  # int64[K], the seeds that the expert failed or hung on

    def __len__(self):
        return len(self.lengths)

    def save(self, folder: Path):
        """Writes a compressed demonstrations.npz."""
        # The three channels compress better apart than interleaved.
        planes = np.moveaxis(self.observations, -1, 0)
        arrays = vars(self) | {"observations": planes}
        np.savez_compressed(folder / "demonstrations.npz", **arrays)

    @classmethod
    def load(cls, folder: Path) -> "Demonstrations":
        """Reads what `save` wrote into a folder."""
        with np.load(folder / "demonstrations.npz") as file:
            arrays = dict(file)  # read whole, because the file is closed here
        interleaved = np.moveaxis(arrays["observations"], 0, -1)
        arrays["observations"] = np.ascontiguousarray(interleaved)
        return cls(**arrays)


def collect(episodes: list[expert.Episode]) -> Demonstrations:
    """Lays the successful ``episodes`` end to end, and lists the seeds of the others."""
    table = pd.DataFrame(episodes)
    good = table[table["success"]]
    # An empty array in front, because there may be no episode to concatenate.
    return Demonstrations(
        observations=np.concatenate([np.empty((0, 7, 7, 3), np.uint8), *good["observations"]]),
        actions=np.concatenate([np.empty(0, np.uint8), *good["actions"]]),
        lengths=good["actions"].map(len).to_numpy(np.int32),
        seeds=good["seed"].to_numpy(),
        instructions=good["instruction"].to_numpy(np.str_),
        skipped=table["seed"][~table["success"]].to_numpy(),
    )


def _count(profile, level, split):
    """Episodes of a split; the expert's failures count, too."""
    # A failed episode is lost: to replace it would be to prefer easy ones.
    return profile.data.demonstrations[level] if split == "train" else profile.data.validation


def _record(profile, folder, world, level, split, rooms):
    seeds = levels.seeds(split, _count(profile, level, split), world, rooms)
    # One task of one thread: the plan of work runs levels and worlds side by side.
    collect(expert.rollouts(level, seeds, rooms, world)).save(folder)


def _cost(profile, world, level, split, rooms):
    return _count(profile, level, split) / _PER_SECOND.get(level, _PER_SECOND_ELSEWHERE)


DEMONSTRATIONS = Stage(
    name="demonstrations",
    make=_record,
    load=Demonstrations.load,
    reads=("data.demonstrations", "data.validation"),
    version=1,
    cost=_cost,
)
"""`Demonstrations` of a ``level`` in a ``world``; ``split``: one of SPLITS, ``rooms``: one of
`levels.ROOMS`."""


def all_recorded(profile, world: int, rooms: str) -> list:
    """Demonstrations of every level, to train on and then for validation: (stage, parameters)."""
    needed = []
    for split, level in product(SPLITS, profile.data.levels):
        parameters = {"world": world, "level": level, "split": split, "rooms": rooms}
        needed.append((DEMONSTRATIONS, parameters))
    return needed


def _list_episodes(profile, folder, *recorded, world, rooms):
    tables = []
    skipped = {}
    # The inputs come in the order in which they were asked for.
    for (split, level), played in zip(product(SPLITS, profile.data.levels), recorded):
        table = pd.DataFrame({"seed": played.seeds, "steps": played.lengths})
        table["instruction"] = played.instructions
        tables.append(table.assign(level=level, split=split))
        skipped[f"{level} {split}"] = played.skipped.tolist()
    write_table(folder / "episodes.csv.gz", pd.concat(tables))
    write_atomically(folder / "skipped.json", json_bytes(skipped))


def _load_episodes(folder):
    skipped = json.loads((folder / "skipped.json").read_text(encoding="utf-8"))
    return SimpleNamespace(episodes=pd.read_csv(folder / "episodes.csv.gz"), skipped=skipped)


EPISODES = Stage(
    name="episodes",
    make=_list_episodes,
    load=_load_episodes,
    reads=("data.demonstrations",),
    needs=all_recorded,
)
"""All demonstrations of a ``world`` in ``rooms``, without their steps: ``episodes``, a table with a
row each (seed, steps, instruction, level, split), and ``skipped``, "level split" -> seeds that the
expert failed."""
