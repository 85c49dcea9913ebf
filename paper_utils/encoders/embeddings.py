"""The stages of notebook 03: reference models from scratch, and every encoder's embeddings."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_utils.artifacts import Report, Stage
from paper_utils.cloning.training import AGENT, SNAPSHOTS
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.data.narration import NARRATION, Documents
from paper_utils.data.pictures import PICTURES, Pictures
from paper_utils.encoders import hub
from paper_utils.encoders.families import ENCODERS, Encoder
from paper_utils.encoders.scratch import Corpus, train

# What of the profile a reference model depends on: not which others are trained.
TRAINED_WITH = ("width", "layers", "heads", "steps", "batch_size", "learning_rate")


@dataclass(frozen=True)
class Reference:
    """A reference model trained here: a folder in the Hub's format, and its held-out scores."""

    folder: Path
    scores: dict[str, Any]


def _train_reference(
    profile: Profile, folder: Path, report: Report, told: Documents, shown: Pictures,
    family: str, trained: bool,
) -> None:  # fmt: skip
    settings = profile.encoders
    train(
        family, folder, Corpus(told, shown), width=settings.width, layers=settings.layers,
        heads=settings.heads, steps=settings.steps if trained else 0,
        batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        seed=profile.seed, progress=report,
    )  # fmt: skip


REFERENCE = Stage(
    name="reference",
    version=2,
    make=_train_reference,
    load=lambda folder: Reference(folder, json.loads((folder / "scores.json").read_text())),
    reads=("seed", *(f"encoders.{name}" for name in TRAINED_WITH)),
    needs=lambda profile, **_: [(NARRATION, {}), (PICTURES, {})],
    cost=lambda family, trained: trained * {"blip": 3, "deepseek": 2}.get(family, 1),
)


def encoder_of(name: str) -> Encoder:
    """The registry's entry for a row of the comparison: ``action-1@4`` is an ``action``."""
    return ENCODERS[re.sub(r"-\d+(@\d+)?$", "", name)]


def names(profile: Profile) -> list[str]:
    """Rows of the comparison: agents by seed, reference models and their twins, controls."""
    families = profile.encoders.families
    kinds = ("action", "action-shuffled", "action-untrained")
    return [
        *(f"{kind}-{agent}" for kind in kinds for agent in range(profile.cloning.agents)),
        *families,
        *(f"{family}-untrained" for family in families),
        *(name for name, encoder in ENCODERS.items() if encoder.source == "control"),
    ]


def public(profile: Profile) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The profile's public checkpoints: parameters of EMBEDDING for those that can be had, and the
    reason, by name, for those that cannot.

    Raises CheckpointError for the first of the latter if the profile is strict.
    """
    found, missing = [], {}
    for family, checkpoint in profile.encoders.checkpoints.items():
        encoder = f"{family}-hub"
        try:
            snapshot = hub.usable(checkpoint, family)
        except hub.CheckpointError as error:
            if profile.encoders.strict:
                raise
            missing[encoder] = str(error)
        else:
            found.append(
                {"encoder": encoder, "checkpoint": checkpoint, "revision": snapshot.revision}
            )
    return found, missing


def along_training(profile: Profile) -> list[str]:
    """The trained agents as they were on the way, ``action-0@4`` after 4 64ths of the training."""
    agents = range(profile.cloning.agents)
    return [f"action-{agent}@{part}" for agent in agents for part in SNAPSHOTS]


def _source(encoder: str) -> list[tuple[Stage, dict[str, Any]]]:
    entry = encoder_of(encoder)
    if entry.source == "cloning":
        name, agent = encoder.split("@")[0].rsplit("-", 1)
        condition = name.removeprefix("action").removeprefix("-") or "trained"
        return [(AGENT, {"agent": int(agent), "condition": condition})]
    if entry.source == "scratch":
        return [(REFERENCE, {"family": entry.family, "trained": entry.trained})]
    return []


def _embed(
    profile: Profile, folder: Path, report: Report, *inputs,
    encoder: str, checkpoint: str = "", revision: str = "",
) -> None:  # fmt: skip
    table = grammar.instructions(profile.data.levels)
    texts, entry = table["text"].tolist(), encoder_of(encoder)
    if entry.source == "cloning":
        _, _, part = encoder.partition("@")
        policy = inputs[0].after(int(part)) if part else inputs[0].policy
        vectors = entry.embed(texts, checkpoint=policy)
    elif entry.source == "scratch":
        vectors = entry.embed(texts, checkpoint=inputs[0].folder, device=profile.device)
    elif entry.source == "hub":
        there = hub.usable(checkpoint, entry.family)
        if there.revision != revision:
            raise hub.CheckpointError(f"checkpoint {checkpoint}: has changed; run again")
        vectors = entry.embed(texts, checkpoint=there.folder, device=profile.device)
    else:
        vectors = entry.embed(texts, seed=profile.seed)
    np.savez_compressed(folder / "vectors.npz", ids=table["id"].to_numpy(), vectors=vectors)


def _load(folder: Path) -> pd.DataFrame:
    """Embeddings, one row per instruction, indexed by instruction id."""
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        return pd.DataFrame(file["vectors"], index=file["ids"])


EMBEDDING = Stage(
    name="embedding",
    version=1,
    make=_embed,
    load=_load,
    reads=("seed", "data.demonstrations"),
    needs=lambda profile, encoder, **_: _source(encoder),
)
"""Vectors of one encoder: ``encoder`` is one of `names` or `along_training`, or the parameters are
those that `public` gives."""
