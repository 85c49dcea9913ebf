"""Demonstrations as arrays, one compressed shard per level, and the stage that makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.artifacts import Stage, present, write_json, write_table
from paper_utils.data import expert, levels

EPISODES = "episodes.csv.gz"
SHARD = 250  # episodes per task: small enough to balance, large enough to amortise
Key = tuple[str, str]  # level and use: "train" or "validation"


@dataclass(frozen=True)
class Demonstrations:
    """N successful expert episodes of one level, S steps in all, laid end to end.

    ``observations`` uint8[S, 7, 7, 3], ``actions`` uint8[S], ``lengths`` int32[N] (steps),
    ``seeds`` int64[N], ``instructions`` str[N] (as the level said them), ``skipped`` int64[K]
    (seeds that the expert failed or hung on).
    """

    observations: np.ndarray
    actions: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray
    instructions: np.ndarray
    skipped: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def save(self, path: Path) -> None:
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        # Planes compress better apart than interleaved.
        arrays["observations"] = np.moveaxis(self.observations, -1, 0)
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Demonstrations:
        with np.load(path, allow_pickle=False) as file:
            arrays = {field.name: file[field.name] for field in fields(cls)}
        arrays["observations"] = np.ascontiguousarray(np.moveaxis(arrays["observations"], 0, -1))
        return cls(**arrays)


def _play(task: tuple[str, range]) -> Demonstrations:
    return collect(expert.rollouts(*task))


def collect(episodes: list[expert.Episode]) -> Demonstrations:
    """Lays the successful ``episodes`` end to end, and lists the seeds of the others."""
    good = [episode for episode in episodes if episode.success]
    empty = np.empty((0, 7, 7, 3), np.uint8)
    return Demonstrations(
        observations=np.concatenate([empty, *(e.observations for e in good)]),
        actions=np.concatenate([np.empty(0, np.uint8), *(e.actions for e in good)]),
        lengths=np.array([len(e.actions) for e in good], np.int32),
        seeds=np.array([e.seed for e in good], np.int64),
        instructions=np.array([e.instruction for e in good], dtype=np.str_),
        skipped=np.array([e.seed for e in episodes if not e.success], np.int64),
    )


def concatenate(parts: list[Demonstrations]) -> Demonstrations:
    return Demonstrations(
        *(
            np.concatenate([getattr(p, field.name) for p in parts])
            for field in fields(Demonstrations)
        )
    )


def play(wanted: dict[Key, range]) -> dict[Key, Demonstrations]:
    """Demonstrations of each (level, use) for its seeds, played side by side.

    Independent of the number of workers.
    """
    tasks = [
        (key, seeds[start : start + SHARD])
        for key, seeds in wanted.items()
        for start in range(0, len(seeds), SHARD)
    ]
    played = parallel.map(_play, [(key[0], seeds) for key, seeds in tasks], "demonstrations")
    return {
        key: concatenate([part for (of, _), part in zip(tasks, played) if of == key])
        for key in wanted
    }


def _make(profile, folder: Path, report) -> None:
    wanted = {}
    for level, count in profile.data.demonstrations.items():
        wanted[level, "train"] = levels.seeds("train", count, profile.seed)
        wanted[level, "validation"] = levels.seeds(
            "validation", profile.data.validation, profile.seed
        )
    played = play(wanted)
    episodes = []
    for (level, split), shown in played.items():
        shown.save(folder / f"{level}.{split}.npz")
        facts = {"level": level, "split": split, "seed": shown.seeds, "steps": shown.lengths}
        episodes.append(pd.DataFrame(facts | {"instruction": shown.instructions}))
    write_table(folder / EPISODES, pd.concat(episodes))
    write_json(
        folder / "skipped.json", {" ".join(key): d.skipped.tolist() for key, d in played.items()}
    )


@dataclass(frozen=True)
class Recorded:
    """All demonstrations of a profile: ``train`` and ``validation`` by level, and ``episodes``, one
    row per demonstration: level, split, seed, steps, instruction.  Read anew each time."""

    episodes: pd.DataFrame
    skipped: dict[str, list[int]]
    folder: Path

    @property
    def train(self) -> dict[str, Demonstrations]:
        return self._read("train")

    @property
    def validation(self) -> dict[str, Demonstrations]:
        return self._read("validation")

    def _read(self, split: str) -> dict[str, Demonstrations]:
        return {
            level: Demonstrations.load(present(self.folder / f"{level}.{split}.npz"))
            for level in sorted(self.episodes["level"].unique())
        }


def _load(folder: Path) -> Recorded:
    skipped = json.loads((folder / "skipped.json").read_text())
    return Recorded(pd.read_csv(folder / EPISODES), skipped, folder)


DEMONSTRATIONS = Stage(
    name="demonstrations",
    version=2,
    make=_make,
    load=_load,
    reads=("seed", "data.demonstrations", "data.validation"),
    fans_out=True,
)
