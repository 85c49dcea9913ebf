"""Demonstrations as arrays, one compressed shard per level, and the stage that makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.artifacts import Stage, present, write_json, write_table
from paper_utils.data import expert, levels

EPISODES = "episodes.csv.gz"
SHARD = 250  # episodes per task: small enough to balance, large enough to amortise


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

    @property
    def starts(self) -> np.ndarray:
        """First step of each episode, int64[N]."""
        return np.concatenate([[0], np.cumsum(self.lengths[:-1], dtype=np.int64)])

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


def play(level: str, seeds: range) -> Demonstrations:
    """Demonstrations for ``seeds``, played side by side; independent of the number of workers."""
    return play_all({level: seeds})[level]


def play_all(wanted: dict[str, range]) -> dict[str, Demonstrations]:
    tasks = [
        (level.split(" ")[0], seeds[start : start + SHARD])
        for level, seeds in wanted.items()
        for start in range(0, len(seeds), SHARD)
    ]
    names = [name for name, seeds in wanted.items() for _ in range(0, len(seeds), SHARD)]
    played = parallel.map(_play, tasks, describe="demonstrations")
    return {
        name: concatenate([part for label, part in zip(names, played) if label == name])
        for name in wanted
    }


def _make(profile, folder: Path, report) -> None:
    wanted = {}
    for level, count in profile.data.demonstrations.items():
        wanted[f"{level} train"] = levels.seeds("train", count, profile.seed)
        wanted[f"{level} validation"] = levels.seeds(
            "validation", profile.data.validation, profile.seed
        )
    played = play_all(wanted)
    for name, demonstrations in played.items():
        demonstrations.save(folder / f"{name.replace(' ', '.')}.npz")
    episodes = [
        pd.DataFrame(
            {
                "level": name.split(" ")[0],
                "split": name.split(" ")[1],
                "seed": demonstrations.seeds,
                "steps": demonstrations.lengths,
                "instruction": demonstrations.instructions,
            }
        )
        for name, demonstrations in played.items()
    ]
    write_table(folder / EPISODES, pd.concat(episodes))
    write_json(folder / "skipped.json", {name: d.skipped.tolist() for name, d in played.items()})


class _Split(Mapping):
    """Level -> Demonstrations, each read when it is asked for."""

    def __init__(self, folder: Path, split: str, names: list[str]):
        self.folder, self.split, self.names = folder, split, names

    def __getitem__(self, level: str) -> Demonstrations:
        if level not in self.names:
            raise KeyError(level)
        return Demonstrations.load(present(self.folder / f"{level}.{self.split}.npz"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Recorded:
    """All demonstrations of a profile: ``train`` and ``validation`` by level, and ``episodes``, one
    row per demonstration: level, split, seed, steps, instruction."""

    train: Mapping[str, Demonstrations]
    validation: Mapping[str, Demonstrations]
    episodes: pd.DataFrame
    skipped: dict[str, list[int]]


def _load(folder: Path) -> Recorded:
    episodes = pd.read_csv(folder / EPISODES)
    names = sorted(episodes["level"].unique())
    return Recorded(
        _Split(folder, "train", names),
        _Split(folder, "validation", names),
        episodes,
        json.loads((folder / "skipped.json").read_text()),
    )


DEMONSTRATIONS = Stage(
    name="demonstrations",
    version=2,
    make=_make,
    load=_load,
    reads=("seed", "data.demonstrations", "data.validation"),
    fans_out=True,
)
