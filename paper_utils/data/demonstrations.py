"""Demonstrations as arrays, one compressed file per level, and the stages that make them."""

from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd

from paper_utils.data import expert, levels
from paper_utils.store import Stage, json_bytes, read_json, write_atomically, write_table

SPLITS = ("train", "validation")


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

    def save(self, folder):
        """Writes a compressed demonstrations.npz."""
        # The three channels compress better apart than interleaved.
        arrays = vars(self) | {"observations": np.moveaxis(self.observations, -1, 0)}
        np.savez_compressed(folder / "demonstrations.npz", **arrays)

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote into a folder."""
        arrays = dict(np.load(folder / "demonstrations.npz"))
        # The channels interleaved again, in order in memory.
        return cls(np.moveaxis(arrays.pop("observations"), 0, -1).copy(), **arrays)


def collect(episodes):
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


# One busy core records so many in a second (tests/benchmarks/expert_speed.py); few of large mazes.
def _cost(profile, level, split, **_):
    return _count(profile, level, split) / 500


DEMONSTRATIONS = Stage(
    "demonstrations",
    _record,
    Demonstrations.load,
    reads=("data.demonstrations", "data.validation"),
    version=1,
    cost=_cost,
)
"""`Demonstrations` of a ``level`` in a ``world``; ``split``: one of SPLITS, ``rooms``: one of
`levels.ROOMS`."""


def all_recorded(profile, world, rooms):
    """Demonstrations of every level, to train on and then for validation: (stage, parameters)."""
    return [
        (DEMONSTRATIONS, {"world": world, "level": level, "split": split, "rooms": rooms})
        for split, level in product(SPLITS, profile.data.levels)
    ]


def _list_episodes(profile, folder, *recorded, world, rooms):
    tables = []
    skipped = {}
    # The inputs come in the order in which they were asked for.
    for (split, level), played in zip(product(SPLITS, profile.data.levels), recorded):
        columns = {
            "seed": played.seeds,
            "steps": played.lengths,
            "instruction": played.instructions,
            "level": level,
            "split": split,
        }
        tables.append(pd.DataFrame(columns))
        skipped[f"{level} {split}"] = played.skipped.tolist()
    write_table(folder / "episodes.csv.gz", pd.concat(tables))
    write_atomically(folder / "skipped.json", json_bytes(skipped))


def _load_episodes(folder):
    return SimpleNamespace(
        episodes=pd.read_csv(folder / "episodes.csv.gz"), skipped=read_json(folder / "skipped.json")
    )


EPISODES = Stage(
    "episodes", _list_episodes, _load_episodes, reads=("data.demonstrations",), needs=all_recorded
)
"""All demonstrations of a ``world`` in ``rooms``, without their steps: ``episodes``, a table with a
row each (seed, steps, instruction, level, split), and ``skipped``, "level split" -> seeds that the
expert failed."""
