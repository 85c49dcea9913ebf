"""The stages of notebook 04: every encoder of a profile compared, contrasted and taken apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment import contrasts, metrics, nulls, retrieval, structure
from paper_utils.alignment.compare import best_layer, compare
from paper_utils.alignment.reading import LEXICAL
from paper_utils.alignment.splits import possible
from paper_utils.artifacts import Report, Stage, write_table
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import embeddings, hub
from paper_utils.encoders.embeddings import encoder_of
from paper_utils.encoders.families import FAMILIES

WITHIN = ("verb", "template")
FIXED = "as fixed"  # before looking: the output layer, each family's first pooling, centred
MEASURED = ("precision_at_k", "precision_at_k_residual", "mutual_knn", "linear_cka", "rsa",
            "partial_rsa")  # fmt: skip
OTHERS = ("precision_at_k_csls", "mean_reciprocal_rank", "angular_procrustes_distance", "svcca")


class _World:
    """What the stages share: vectors by name, groups of names, and options."""

    def __init__(self, profile: Profile, public: list, vectors: tuple[pd.DataFrame, ...]):
        names = _names(profile, public)
        settings, agents = profile.alignment, range(profile.cloning.agents)
        self.spaces = dict(zip(names, vectors, strict=True))
        # A control may be too simple for these instructions: centred, a row at zero has no cosine.
        self.lexical = [name for name in LEXICAL if _pointed(self.spaces[name])]
        for name in set(LEXICAL) - set(self.lexical):
            del self.spaces[name]
        self.factors = grammar.instructions(profile.data.levels)
        self.references = [*profile.encoders.families, *(entry["encoder"] for entry in public)]
        self.players = {
            kind: [f"action{suffix}-{agent}" for agent in agents]
            for kind, suffix in (("trained", ""), ("untrained", "-untrained"),
                                 ("shuffled", "-shuffled"))
        }  # fmt: skip
        self.maps = {
            "k": settings.k,
            "dimension": settings.dimension,
            "folds": settings.folds,
            "preprocess": "centred",  # cosines of language models are dominated by their mean
            "seed": profile.seed,
        }
        self.compared = self.maps | {
            "factors": self.factors,
            "permutations": settings.permutations,
            "bootstrap": settings.bootstrap,
        }

    def some(self, *groups: list[str]) -> dict[str, pd.DataFrame]:
        return {name: self.spaces[name] for group in groups for name in group}

    @property
    def agents(self) -> list[str]:
        return [name for names in self.players.values() for name in names]

    def pairs(self, ones: list[str]) -> list[tuple[str, str]]:
        return [(one, reference) for one in ones for reference in self.references]


def _pointed(space: pd.DataFrame) -> bool:
    centred = space.to_numpy() - space.to_numpy().mean(0)
    return bool(np.linalg.norm(centred, axis=1).min() > 1e-9 * np.linalg.norm(centred))


def _names(profile: Profile, public: list) -> list[str]:
    return embeddings.names(profile) + [entry["encoder"] for entry in public]


def _needs(profile: Profile, public: list) -> list[tuple[Stage, dict[str, Any]]]:
    wanted = [{"encoder": name} for name in embeddings.names(profile)] + public
    return [(embeddings.EMBEDDING, parameters) for parameters in wanted]


def _compare(profile: Profile, folder: Path, report: Report, *vectors, public: list) -> None:
    world = _World(profile, public, vectors)
    trained, families = world.players["trained"], world.references
    known = [n for n in world.spaces if encoder_of(n).trained and n not in world.lexical]
    wanted = [pair for pair in combinations(world.spaces, 2) if set(pair) & set(known)]
    seeds = list(combinations(trained, 2))
    ceilings = {("action-[0-9]*", "*"): seeds} if seeds else None
    everything = compare(
        world.spaces, **world.compared, pairs=wanted, metrics=MEASURED, splits=["random"],
        lexical=world.lexical, ceilings=ceilings,
    )  # fmt: skip
    # Harder splits, other ways to search, and other nulls: of agents with references only.
    ones = [*world.agents, "bag_of_words"]
    few = world.some(ones, families)
    split = compare(
        few, **(world.compared | {"permutations": 1}), pairs=world.pairs(ones),
        metrics=["precision_at_k"], lexical=["bag_of_words"],
        splits=[s for s in possible(len(world.factors), world.factors) if s != "random"],
    )  # fmt: skip
    other = compare(
        few, **(world.compared | {"permutations": 1}), pairs=world.pairs(ones), metrics=OTHERS,
        lexical=["bag_of_words"],
    )  # fmt: skip
    # The bag of words has the verb in it, but not as loudly as a space that is laid out by it.
    verb = pd.get_dummies(world.factors["verb"]).to_numpy(dtype=float)
    spaces = few | world.some(world.lexical) | ({"verb": verb} if verb.shape[1] > 1 else {})
    both = [name for name in ("bag_of_words", "verb") if name in spaces]
    beyond = compare(
        spaces, **(world.compared | {"permutations": 1}), metrics=["partial_rsa"],
        pairs=world.pairs([*world.agents, *(n for n in world.lexical if n not in both)]),
        lexical=[*world.lexical, *both[1:]], control=both,
    ).assign(metric="partial_rsa_given_verb")  # fmt: skip
    # Nothing is claimed from one permutation.
    unknown = ["p", "p_adjusted", "calibrated", "normalised", "null_mean"]
    unknown += ["null_q05", "null_q50", "null_q95"]
    split[unknown] = other[unknown] = beyond[unknown] = np.nan
    within = [
        compare(
            few, **world.compared, pairs=world.pairs(trained), metrics=["precision_at_k", "rsa"],
            within=column,
        )
        for column in WITHIN
    ]  # fmt: skip
    frame = pd.concat([everything, split, other, beyond, *within], ignore_index=True)
    write_table(folder / "comparison.csv.gz", frame)


def _contrast(profile: Profile, folder: Path, report: Report, *vectors, public: list) -> None:
    world = _World(profile, public, vectors)
    ones = [*world.agents, *world.lexical]
    pairs = world.pairs(ones) + [(b, a) for a, b in combinations(world.references, 2)]
    scores = contrasts.item_scores(
        world.some(ones, world.references),
        world.factors,
        pairs,
        lexical=world.lexical,
        **world.maps,
    )
    table = contrasts.table(
        scores, world.players, world.references, world.lexical, world.factors,
        bootstrap=profile.alignment.bootstrap, seed=profile.seed,
    )  # fmt: skip
    table.to_csv(folder / "contrasts.csv", index=False)


def _take_apart(profile: Profile, folder: Path, report: Report, *vectors, public: list) -> None:
    """Which factor lays out each space, whether order counts, and how P@k moves with k, N, time."""
    along = embeddings.along_training(profile)
    count = len(_names(profile, public))
    world = _World(profile, public, vectors[:count])
    world.spaces |= dict(zip(along, vectors[count:], strict=True))
    agents, references, factors = world.agents, world.references, world.factors
    apart = ["bag_of_words", "random_tokens_positional"]
    arrays = {name: world.spaces[name].to_numpy() for name in world.spaces}
    shape = [
        structure.variance_explained(arrays[name], factors).assign(encoder=name)
        for name in [*agents, *references, *apart]
    ]
    pd.concat(shape).to_csv(folder / "variance.csv", index=False)

    both = [
        structure.shared_factors(arrays[one], arrays[two], factors).assign(first=one, second=two)
        for one, two in world.pairs(world.players["trained"])
    ]
    pd.concat(both).to_csv(folder / "shared.csv", index=False)

    same = {key: world.maps[key] for key in ("dimension", "folds", "seed")}
    order = []
    if np.sum(structure.swapped(factors) >= 0) >= 2 * same["folds"]:  # else too few minimal pairs
        order = [
            {"first": one, "second": two}
            | structure.order_accuracy(arrays[one], arrays[two], factors, **same)
            for one, two in world.pairs([*agents, *apart])
        ]
    columns = ["first", "second", "accuracy", "low", "high", "pairs", "chance"]
    pd.DataFrame(order, columns=columns).to_csv(folder / "order.csv", index=False)

    bend = [
        (one, two, arrays[one], arrays[two], profile.alignment.k, same)
        for one, two in world.pairs([world.players["trained"][0], *apart])
    ]
    pd.concat(parallel.map(_curves, bend)).to_csv(folder / "curves.csv", index=False)

    ones = [*along, *world.players["untrained"], *world.players["trained"]]
    progress = compare(
        world.some(ones, references, ["bag_of_words"]),
        **(world.compared | {"permutations": 1}), pairs=world.pairs(ones),
        metrics=["precision_at_k", "partial_rsa"], lexical=["bag_of_words"],
    )  # fmt: skip
    kept = ["first", "second", "metric", "direction", "value"]
    progress[kept].to_csv(folder / "progress.csv", index=False)


def _choose(profile: Profile, folder: Path, report: Report, *inputs) -> None:
    """The agents against the best control, had another layer, pooling or preprocessing been chosen.

    And the best of each reference's layers and poolings, for the first agent, judged against the
    best of them in each draw of the null.
    """
    count = len(_names(profile, []))
    world = _World(profile, [], inputs[:count])
    trained, families = world.players["trained"], profile.encoders.families
    ones = [*trained, *world.players["untrained"], *world.lexical]
    resampling = contrasts.Resampling(world.factors, profile.alignment.bootstrap, profile.seed)
    rows, best = [], []
    for family, reference in zip(families, inputs[count:], strict=True):
        vectors = {FIXED: world.spaces[family].to_numpy()}
        texts = world.factors["text"].tolist()
        vectors |= _other_vectors(texts, reference.folder, family, profile.device)
        fixed = vectors[FIXED]
        for kind, tried in (("centred", vectors), ("standardised", {"standardised": fixed}),
                            ("top_removed", {"top removed": fixed})):  # fmt: skip
            scores = contrasts.item_scores(
                world.some(ones) | tried, world.factors,
                [(one, name) for name in tried for one in ones], lexical=world.lexical,
                **(world.maps | {"preprocess": kind}),
            )  # fmt: skip
            for name in tried:
                found = contrasts.against_any(
                    scores, world.players, name, world.lexical, resampling
                )
                rows.append({"reference": family, "choice": name} | found)
        chosen = best_layer(
            vectors, world.spaces[trained[0]], factors=world.factors,
            permutations=profile.alignment.permutations, **world.maps,
        )  # fmt: skip
        values = chosen.pop("values")
        best.append({
            "reference": family, "options": len(values), "value as fixed": values[FIXED],
            "best": chosen["layer"], **{key: chosen[key] for key in ("value", "p", "calibrated")},
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["p_adjusted"] = nulls.benjamini_hochberg(frame["p"])
    frame.to_csv(folder / "choices.csv", index=False)
    pd.DataFrame(best).to_csv(folder / "best.csv", index=False)


def _other_vectors(
    texts: list[str], checkpoint: Path, family: str, device: str
) -> dict[str, np.ndarray]:
    """What a reference would have given from its other layers, and by its other poolings.

    Left out are layers that hardly tell texts apart, as a first layer at a special token.
    """
    *layers, _ = hub.embed(texts, checkpoint, family, all_layers=True, device=device)
    found = {f"layer {number}": values for number, values in enumerate(layers)}
    for number, pooling in enumerate(FAMILIES[family].poolings[1:]):
        name = f"other pooling {number + 1}" if number else "other pooling"
        found[name] = hub.embed(texts, checkpoint, family, pooling, device=device)
    return {
        name: values for name, values in found.items()
        if len(np.unique((values / np.abs(values).max()).round(6), axis=0)) > len(texts) / 2
    }  # fmt: skip


def _curves(task: tuple) -> pd.DataFrame:
    """Precision@k of one pair, mean of both directions, by k and by N (of random subsets)."""
    first, second, X, Y, k, options = task
    random = np.random.default_rng(options["seed"])
    sizes = [size for size in (30, 60, 120, 240) if k < size < len(X)] + [len(X)]
    subsets = [random.choice(len(X), size, replace=False) for size in sizes for _ in range(5)]
    rows = []
    for direction in retrieval.DIRECTIONS:
        options = options | {"direction": direction}
        for rows_ in subsets:
            value = metrics.precision_at_k(X[rows_], Y[rows_], k, **options)
            rows.append(("N", len(rows_), value, k / len(rows_)))
        ranks, split = metrics.retrieval_ranks(X, Y, **options)
        weights = retrieval.weights(split, len(X))
        for n in (1, 2, 5, 10, 15, 20, 30, 50):
            if n < len(X):
                rows.append(("k", n, float(retrieval.hits(ranks, n) @ weights), n / len(X)))
    table = pd.DataFrame(rows, columns=["along", "at", "value", "chance"])
    means = table.groupby(["along", "at"]).mean().reset_index()
    return means.assign(first=first, second=second)


def _stage(name: str, make: Callable, load: Callable, needs: Callable = _needs) -> Stage:
    """``public`` (not of CHOICES, which is about the models from scratch) is what
    ``embeddings.public`` found: the key knows which models there were."""
    return Stage(
        name=name, version=7, make=make, load=load, needs=needs, fans_out=True,
        reads=("seed", "data.demonstrations", "cloning.agents", "encoders.families", "alignment"),
    )  # fmt: skip


COMPARISON = _stage(
    "comparison", _compare, lambda folder: pd.read_csv(folder / "comparison.csv.gz")
)
CONTRASTS = _stage("contrasts", _contrast, lambda folder: pd.read_csv(folder / "contrasts.csv"))
STRUCTURE = _stage(
    "structure",
    _take_apart,
    lambda folder: {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))},
    lambda profile, public: (
        _needs(profile, public)
        + [(embeddings.EMBEDDING, {"encoder": name}) for name in embeddings.along_training(profile)]
    ),
)
CHOICES = _stage(
    "choices",
    _choose,
    lambda folder: {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))},
    lambda profile: (
        _needs(profile, [])
        + [
            (embeddings.REFERENCE, {"family": family, "trained": True})
            for family in profile.encoders.families
        ]
    ),
)
