"""Acting on another model's sentence: an agent is given a mapped vector, and plays.

The policy's only language is one vector.  A map from another encoder's space into the agent's
sentence space is fitted on sentences in first names; the agent then acts on images of sentences
that the map has not seen: held-out ones in first names, or sentences in second names, words that
the agent never heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from paper_utils.alignment.inference import holm, mcnemar
from paper_utils.alignment.retrieval import Reduction, equal_width, fit_ridge, procrustes
from paper_utils.cloning import evaluation
from paper_utils.cloning.training import AGENT
from paper_utils.config import Profile, generator
from paper_utils.data import grammar, levels
from paper_utils.encoders import registry
from paper_utils.encoders.registry import EMBEDDING, Encoder
from paper_utils.store import Stage, write_table

TELLING = ("PickupLoc", "PutNextLocal")  # elsewhere a wrong instruction often succeeds
FLOORS = ("own", "wrong instruction", "template mean", "permuted pairs")
"""Sources that are no other encoder: the agent's own vector (the ceiling), that of another
instruction of the same template, the template's mean, and a map fitted on permuted pairs."""


def map_vectors(
    source: np.ndarray, target: np.ndarray, queries: np.ndarray, how: str, dimension: int | None
) -> np.ndarray:
    """Images of ``queries`` (M, d1) in the target space, by a map fitted on paired rows.

    ``procrustes``: centring, components and rotation, scaled to the target's spread; only likeness
    of shape can help.  ``ridge``: any linear map, so it also learns which directions the agent
    reads; its strength is chosen by cross-validation within the fitting rows.
    """
    if how == "ridge":
        return fit_ridge(source, target).predict(queries)
    a, b = (Reduction.fit(side, dimension) for side in (source, target))
    x, y = equal_width(a.transform(source), b.transform(target))
    rotation = procrustes(x, y)
    scale = np.linalg.norm(y) / np.linalg.norm(x)
    images = np.pad(a.transform(queries), ((0, 0), (0, x.shape[1] - a.components.shape[1])))
    images = scale * images @ rotation
    return images[:, : b.components.shape[1]] @ b.components.T + b.mean


def images(
    X: np.ndarray, X2: np.ndarray, target: np.ndarray, names: str, how: str,
    dimension: int | None, folds: int, seed: int,
) -> np.ndarray:  # fmt: skip
    """One vector per instruction (N, width): held out in first names, or unheard second names."""
    if names == "second":
        return map_vectors(X, target, X2, how, dimension)
    mapped = np.empty_like(target)
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(X):
        mapped[test] = map_vectors(X[train], target[train], X[test], how, dimension)
    return mapped


def _tables(profile: Profile, own: np.ndarray, vectors: tuple, source: dict | str):
    """(names, map, vector of each instruction (N, width)) of everything that one source plays."""
    settings, seed = profile.alignment, profile.seed
    options = {"dimension": settings.dimension, "folds": settings.folds, "seed": seed}
    if source == "permuted pairs":
        permuted = own[generator("permuted pairs", seed).permutation(len(own))]
        yield "first", "ridge", images(permuted, permuted, own, "first", "ridge", **options)
    elif isinstance(source, str):
        template, table = grammar.instructions(profile.data.levels)["template"], own.copy()
        for value in pd.unique(template):
            rows = np.flatnonzero(template == value)
            if source == "template mean":
                table[rows] = own[rows].mean(axis=0)
            elif source == "wrong instruction":  # a cycle moves every row
                order = generator("wrong instructions", seed).permutation(rows)
                table[order] = own[np.roll(order, 1)]
        yield "first", "none", table
    else:
        (space,) = vectors
        both = isinstance(space.index, pd.MultiIndex)
        X = space.loc["first"].to_numpy() if both else space.to_numpy()
        for names, how in (("first", "procrustes"), ("first", "ridge"), ("second", "ridge")):
            if names == "first" or both:
                X2 = space.loc["second"].to_numpy() if both else X
                yield names, how, images(X, X2, own, names, how, **options)


def _transfer(profile: Profile, folder: Path, agent, *vectors, target: int, source: dict | str):
    texts = grammar.instructions(profile.data.levels)["text"].tolist()
    row = {text: number for number, text in enumerate(texts)}
    policy = agent.policy
    every, parts = profile.data.levels, []
    telling = [level for level in TELLING if level in every] or every
    for names, how, table in _tables(profile, policy.embed(texts), vectors, source):
        table = table.astype(np.float32)

        def mapped(missions: list[str], table=table) -> np.ndarray:
            return table[[row[grammar.canonical(mission)] for mission in missions]]

        for level in every if names == "second" else telling:
            seeds = levels.seeds("evaluation", profile.cloning.transfer_episodes, profile.seed)
            played = evaluation.evaluate(policy, level, seeds, mapped)
            kept = played[["level", "seed", "success"]]
            parts.append(kept.assign(names=names, map=how))
    write_table(folder / "episodes.csv.gz", pd.concat(parts))


def _needs(profile: Profile, target: int, source: dict | str) -> list[tuple[Stage, dict]]:
    agent = (AGENT, {"agent": target, "condition": "trained"})
    if isinstance(source, str):
        return [agent]
    first_only = source["source"] == "cloning" and source["kind"] == "trained"
    return [agent, (EMBEDDING, {"encoder": source, "names": "first" if first_only else "both"})]


TRANSFER = Stage(
    name="transfer",
    make=_transfer,
    load=lambda folder: pd.read_csv(folder / "episodes.csv.gz"),
    reads=("seed", "data.demonstrations", "cloning.transfer_episodes", "alignment.dimension",
           "alignment.folds"),
    needs=_needs,
)  # fmt: skip
"""Episodes of trained agent ``target`` on vectors of ``source``: one of FLOORS, or the record of an
encoder as a dictionary.  Columns: level, seed, success, names, map."""


def plays(profile: Profile, public: Sequence[Encoder]) -> list[dict[str, Any]]:
    """Parameters of TRANSFER: every trained agent with every source."""
    skipped = {"shuffled", "bilingual-shuffled", "bilingual-untrained", "tf_idf", "random_tokens",
               "length"}  # fmt: skip
    others = [*registry.encoders(profile), *public, *registry.second_name_controls(profile)]
    others = [
        e for e in others
        if not {e.kind, e.family} & skipped and (e.source, e.kind) != ("cloning", "untrained")
    ]  # fmt: skip
    return [
        {"target": target, "source": source}
        for target in range(profile.cloning.agents)
        for source in [*FLOORS, *(asdict(e) for e in others
                                  if (e.kind, e.seed, e.source) != ("trained", target, "cloning"))]
    ]  # fmt: skip


def summarize(episodes: pd.DataFrame) -> pd.DataFrame:
    """Success by source, names, map and level, pooled over agents and seeds, with Wilson intervals.

    ``episodes``: those of `TRANSFER` with columns target, source, label (of one encoder, where a
    source has several), group, kind.  ``p``: of a reference's difference from the best single
    meaning-free control on the same episodes (McNemar), adjusted over references (Holm).
    """
    by = ["source", "group", "kind", "names", "map", "level"]
    table = evaluation.summarize(episodes.assign(steps=0), by).drop(columns="steps")
    key = ["target", "seed"]
    table["p"] = np.nan
    for (names, how, level), part in episodes.groupby(["names", "map", "level"]):
        controls = part[part["kind"] == "control"]
        models = part[part["kind"] == "reference"]
        if controls.empty or models.empty:
            continue
        best = controls.groupby("label")["success"].mean().idxmax()
        rival = controls[controls["label"] == best].set_index(key)["success"]
        references, p = list(pd.unique(models["source"])), []
        for name in references:
            ours = models[models["source"] == name].set_index(key)["success"]
            p.append(mcnemar(ours.to_numpy(), rival.loc[ours.index].to_numpy()))
        here = (table["names"] == names) & (table["map"] == how) & (table["level"] == level)
        for name, value in zip(references, holm(p), strict=True):
            table.loc[here & (table["source"] == name), "p"] = value
    return table
