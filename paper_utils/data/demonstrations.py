"""Demonstrations as arrays, one compressed shard per level, and the stages that make them."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.data import expert, levels
from paper_utils.store import Stage, json_bytes, write_atomically, write_table

SHARD = 250  # episodes per task: small enough to balance, large enough to amortise


@dataclass(frozen=True)
class Demonstrations:
    """N successful expert episodes of one level, S steps in all, laid end to end."""

    observations: np.ndarray  # uint8[S, 7, 7, 3]
    actions: np.ndarray  # uint8[S]
    lengths: np.ndarray  # int32[N], in steps
    seeds: np.ndarray  # int64[N]
    instructions: np.ndarray  # str[N], as the level said them
    skipped: np.ndarray  # int64[K], the seeds that the expert failed or hung on

    def __len__(self) -> int:
        return len(self.lengths)

    def save(self, path: Path) -> None:
        planes = np.moveaxis(self.observations, -1, 0)  # compress better apart than interleaved
        np.savez_compressed(path, **(vars(self) | {"observations": planes}))

    @classmethod
    def load(cls, path: Path) -> "Demonstrations":
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        arrays["observations"] = np.ascontiguousarray(np.moveaxis(arrays["observations"], 0, -1))
        return cls(**arrays)


def collect(episodes: list[expert.Episode]) -> Demonstrations:
    """Lays the successful ``episodes`` end to end, and lists the seeds of the others."""
    good = [episode for episode in episodes if episode.success]
    return Demonstrations(
        np.concatenate([np.empty((0, 7, 7, 3), np.uint8), *(e.observations for e in good)]),
        np.concatenate([np.empty(0, np.uint8), *(e.actions for e in good)]),
        lengths=np.array([len(e.actions) for e in good], np.int32),
        seeds=np.array([e.seed for e in good], np.int64),
        instructions=np.array([e.instruction for e in good], dtype=np.str_),
        skipped=np.array([e.seed for e in episodes if not e.success], np.int64))  # fmt: skip


def _play(task: tuple[str, range]) -> Demonstrations:
    return collect(expert.rollouts(*task))


def play(wanted: dict[str, range], compute=None) -> dict[str, Demonstrations]:
    """Demonstrations of each level for its seeds, the same with any number of workers."""
    tasks = [(level, seeds[start : start + SHARD]) for level, seeds in wanted.items()
             for start in range(0, len(seeds), SHARD)]  # fmt: skip
    played: dict[str, list] = {level: [] for level in wanted}
    for (level, _), part in zip(tasks, parallel.map(_play, tasks, compute, "demonstrations")):
        played[level].append(vars(part).values())
    return {level: Demonstrations(*map(np.concatenate, zip(*parts)))
            for level, parts in played.items()}  # fmt: skip


def _make(profile, folder: Path, split: str) -> None:
    few, counts = profile.data.validation, profile.data.demonstrations.items()
    wanted = {level: levels.seeds(split, n if split == "train" else few, profile.seed)
              for level, n in counts}  # fmt: skip
    for level, played in play(wanted, profile.compute).items():
        played.save(folder / f"{level}.npz")


def _overview(profile, folder: Path, *recorded: dict[str, Demonstrations]) -> None:
    rows, skipped = [], {}
    for level in profile.data.demonstrations:
        for split, played in zip(("train", "validation"), (part[level] for part in recorded)):
            facts = {"level": level, "split": split, "seed": played.seeds, "steps": played.lengths}
            rows.append(pd.DataFrame(facts | {"instruction": played.instructions}))
            skipped[f"{level} {split}"] = played.skipped.tolist()
    write_table(folder / "episodes.csv.gz", pd.concat(rows))
    write_atomically(folder / "skipped.json", json_bytes(skipped))


DEMONSTRATIONS = Stage("demonstrations", _make, lambda folder: {
    path.stem: Demonstrations.load(path) for path in sorted(folder.glob("*.npz"))},
    reads=("seed", "data.demonstrations", "data.validation"), fans_out=True)  # fmt: skip
"""Level -> `Demonstrations`.  ``split``: train or validation."""
EPISODES = Stage("episodes", _overview, lambda folder: SimpleNamespace(
    episodes=pd.read_csv(folder / "episodes.csv.gz"),
    skipped=json.loads((folder / "skipped.json").read_text())), ("data.demonstrations",),
    lambda profile: [(DEMONSTRATIONS, {"split": s}) for s in ("train", "validation")])  # fmt: skip
"""All demonstrations, without their steps: ``episodes``, a table with a row each (level, split,
seed, steps, instruction), and ``skipped``, "level split" -> seeds that the expert failed."""
