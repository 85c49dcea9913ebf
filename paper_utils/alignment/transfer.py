"""Acting on another model's sentence: an agent is given a mapped vector, and plays.

A map from another encoder's space into the agent's sentence space is fitted on sentences in first
names.  The agent then acts on images of instructions that the map has not seen, in first names or
in second names, words that the agent never heard."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from paper_utils.alignment.inference import holm, mcnemar
from paper_utils.alignment.retrieval import Reduction, equal_width, procrustes
from paper_utils.cloning import evaluation
from paper_utils.cloning.training import AGENT
from paper_utils.config import Profile, generator
from paper_utils.data import grammar, levels
from paper_utils.encoders import registry
from paper_utils.encoders.registry import EMBEDDING, Encoder
from paper_utils.store import Stage, write_table

TELLING = ("PickupLoc", "PutNextLocal")  # elsewhere a wrong instruction often succeeds
STRENGTHS = np.array([1e-3, 1e-2, 1e-1, 1.0, 10.0])  # of ridge, in units of the spread of rows
TARGETS = 3  # trained agents that act, at most: each takes minutes of a core for all sources
WAYS = (("first", "procrustes"), ("first", "ridge"), ("second", "ridge"))  # names asked, and map
RANDOM = "random moves"  # a control without any vector, which stands beside each of WAYS
FLOORS = ("own", "wrong instruction", "template mean", "permuted pairs")
"""No encoders: the agent's own vector (the ceiling), another instruction's, a mean, a false map."""


def map_vectors(source: np.ndarray, target: np.ndarray, queries: np.ndarray, how: str,
                dimension: int | None) -> np.ndarray:  # fmt: skip
    """Images of ``queries`` (M, d1) in the target space, by a map fitted on paired rows.
    ``procrustes``: centring, components, rotation and scale; only likeness of shape can help.
    ``ridge``: any linear map, strength by leave-one-out, so it also learns what the agent reads."""
    if how == "ridge":
        x, y = (np.asarray(side, dtype=np.float64) for side in (source, target))
        spread = np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))
        return RidgeCV(spread * STRENGTHS).fit(x, y).predict(queries)
    a, b = (Reduction(side, dimension) for side in (source, target))
    x, y = equal_width(a.transform(source), b.transform(target))
    scale = np.linalg.norm(y) / np.linalg.norm(x)
    mapped, _ = equal_width(a.transform(queries), y)
    mapped = scale * mapped @ procrustes(x, y)
    return mapped[:, : b.components.shape[1]] @ b.components.T + b.mean


def images(X: np.ndarray, X2: np.ndarray, target: np.ndarray, names: str, how: str,
           dimension: int | None, folds: int, seed: int) -> np.ndarray:  # fmt: skip
    """One vector per instruction (N, width), by a map fitted on other instructions in first names;
    ``names``: of the sentences that it maps."""
    asked, mapped = X2 if names == "second" else X, np.empty_like(target)
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(X):
        mapped[test] = map_vectors(X[train], target[train], asked[test], how, dimension)
    return mapped


def _tables(profile: Profile, own: np.ndarray, vectors: tuple, source: dict | str):
    """(names, map, vector of each instruction (N, width)) of everything that one source plays."""
    settings, seed = profile.alignment, profile.seed
    options = {"dimension": settings.dimension, "folds": settings.folds, "seed": seed}
    if source == RANDOM:
        yield from ((*way, own) for way in WAYS)
    elif source == "permuted pairs":
        permuted = own[generator("permuted pairs", seed).permutation(len(own))]
        yield "first", "ridge", images(permuted, permuted, own, "first", "ridge", **options)
    elif isinstance(source, str):
        template, table = grammar.instructions(profile.data.levels)["template"], own.copy()
        for rows in template.groupby(template).indices.values():
            if source == "template mean":
                table[rows] = own[rows].mean(axis=0)
            elif source == "wrong instruction":  # a cycle moves every row
                order = generator("wrong instructions", seed).permutation(rows)
                table[order] = own[np.roll(order, 1)]
        yield "first", "none", table
    else:
        (space,) = vectors
        both = isinstance(space.index, pd.MultiIndex)
        X, X2 = ((space.loc[n] if both else space).to_numpy() for n in ("first", "second"))
        for names, how in WAYS if both else WAYS[:2]:
            yield names, how, images(X, X2, own, names, how, **options)


def _transfer(profile: Profile, folder: Path, agent, *vectors, target: int, source: dict | str):
    texts = grammar.instructions(profile.data.levels)["text"].tolist()
    row = {text: number for number, text in enumerate(texts)}
    every, limit, parts = profile.data.levels, profile.cloning.transfer_steps, []
    seeds = levels.seeds("evaluation", profile.cloning.transfer_episodes, profile.seed)
    telling = [level for level in TELLING if level in every] or every[-1:]
    for names, how, table in _tables(profile, agent.policy.embed(texts), vectors, source):
        table = table.astype(np.float32)

        def mapped(missions: list[str], table=table) -> np.ndarray:
            return table[[row[grammar.canonical(mission)] for mission in missions]]

        for level in every if names == "second" else telling:
            if source == RANDOM:
                stream = 1000 * profile.seed + target
                played = evaluation.evaluate_random(level, seeds, stream, limit)
            else:
                played = evaluation.evaluate(agent.policy, level, seeds, mapped, limit)
            parts.append(played[["level", "seed", "success"]].assign(names=names, map=how))
    write_table(folder / "episodes.csv.gz", pd.concat(parts))


def _needs(profile: Profile, target: int, source: dict | str) -> list[tuple[Stage, dict]]:
    needed = [(AGENT, {"agent": target, "condition": "trained"})]
    if isinstance(source, dict):
        names = "both" if registry.has_second_names(Encoder(**source)) else "first"
        needed.append((EMBEDDING, {"encoder": source, "names": names}))
    return needed


TRANSFER = Stage("transfer", _transfer, lambda folder: pd.read_csv(folder / "episodes.csv.gz"),
    ("seed", "data.demonstrations", "cloning.transfer_episodes", "cloning.transfer_steps",
     "alignment.dimension", "alignment.folds"), _needs)  # fmt: skip
"""Episodes of trained agent ``target`` on vectors of ``source``, one of FLOORS, RANDOM or an
encoder's record (a dictionary).  Columns: level, seed, success, names, map."""


def plays(profile: Profile, public: Sequence[Encoder]) -> list[dict]:
    """Parameters of TRANSFER: the first trained agents, each with one seed of every source.
    Agent n meets seed n of each kind of encoder, in turn where there are fewer."""
    left_out = {"shuffled", "bilingual-shuffled", "bilingual-untrained", "tf_idf", "random_tokens",
                "length"}  # fmt: skip
    others: dict[str, list[Encoder]] = {}
    for e in [*registry.encoders(profile), *public, *registry.second_name_controls(profile)]:
        idle = e.kind == "untrained" and e.family not in ("llama", "clip")
        if not {e.kind, e.family} & left_out and not idle:
            others.setdefault(e.group, []).append(e)
    plays = []
    for target in range(min(profile.cloning.agents, TARGETS)):
        plays += [{"target": target, "source": source} for source in (*FLOORS, RANDOM)]
        for group, each in others.items():
            rivals = [e for e in each if e.seed != target]
            chosen = rivals if group == "agent" else [each[target % len(each)]]
            plays += [{"target": target, "source": asdict(encoder)} for encoder in chosen]
    return plays


def kind_of(source: dict | str) -> tuple[str, str]:
    """A source's group, and its part in the comparison: floor, agent, reference, told, control."""
    if isinstance(source, str):
        return source, "control" if source == RANDOM else "floor"
    encoder = Encoder(**source)
    if encoder.source == "cloning":
        return encoder.group, "agent"
    return encoder.group, {"trained": "reference", "told": "told"}.get(encoder.kind, "control")


def summarize(plays: Sequence[dict], episodes: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Success by source, kind, names, map and level, pooled over ``agents``, how many (Wilson).
    ``episodes``: those of `TRANSFER` for each of ``plays``.  ``p``, of references: of more success
    than with the best meaning-free control, same agents and episodes (McNemar, one-sided; Holm)."""
    parts = []
    for play, part in zip(plays, episodes, strict=True):
        source, kind = kind_of(play["source"])
        parts.append(part.assign(target=play["target"], source=source, kind=kind))
    played = pd.concat(parts, ignore_index=True)
    by, p = ["source", "kind", "names", "map", "level"], {}
    table = evaluation.summarize(played.assign(steps=0), by).drop(columns="steps")
    for where, part in played[played["kind"].isin(["control", "reference"])].groupby(by[2:]):
        won = part.pivot_table("success", ["target", "seed"], ["kind", "source"], "first")
        if part["kind"].nunique() == 2:
            models, rival = won["reference"], won["control"][won["control"].mean().idxmax()]
            adjusted = holm([mcnemar(models[name], rival) for name in models])
            p |= {(name, "reference", *where): value for name, value in zip(models, adjusted)}
    table["p"] = [p.get(group, np.nan) for group in table[by].itertuples(index=False)]
    return table.assign(agents=played["target"].nunique())
