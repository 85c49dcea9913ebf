"""Every pair of encoders by every metric, computed once: values and nulls."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment import inference, retrieval
from paper_utils.alignment.metrics import RELATIONS, check_choice, check_embedding, check_k

RETRIEVAL = ("precision_at_1", "precision_at_k")
METRICS = (*RETRIEVAL, *RELATIONS)
FLIPPED = {"forward": "backward", "backward": "forward", "symmetric": "symmetric"}
CHUNK = 50  # permutations per task; fixed, so that results do not depend on the workers


def compare(
    embeddings: Mapping[str, object], factors: pd.DataFrame | None = None, *,
    pairs: Sequence[tuple[str, str]] | None = None, metrics: Sequence[str] = METRICS,
    splits: Sequence[str] = ("random",), k: int = 15, dimension: int | None = 32, folds: int = 5,
    permutations: int = 200, lexical: Sequence[str] = (), seed: int = 0, compute=None,
) -> pd.DataFrame:  # fmt: skip
    """Every pair of embeddings by every metric: one row per pair x metric x split x direction.

    Arguments:
        embeddings: name -> (N, d) array, or DataFrame indexed by id.
        factors: a row per instruction, for ids and for splits by factor.
        pairs: (first, second) names; all by default.
        metrics: of METRICS; all by default.  Metrics without a map see centred rows.
        splits: of ``retrieval.SPLITS``; ``folds`` of the random one.
        k, dimension: neighbours that count, and principal components of either side.
        permutations: draws of the null, which permutes the pairing and refits the map; 0: none.
        lexical: names of lexical controls, which may have any number of equal rows.
        seed: of all random streams.
        compute: where to compute, as ``profile.compute``; by default on all cores.

    Columns: first, second, metric, split (``all`` where nothing is fitted), direction (``forward``
    maps first and searches second, ``backward``, or ``symmetric``), value, chance, N, k; null_mean
    and p of the null (one-sided).  No interval: instructions are a census, agents and models the
    sample, so intervals come from their seeds (`inference.seed_bootstrap`).

    Raises ValueError, one line: misordered ids, N unequal or <= k, NaN, equal rows, unknown names.

    >>> X, Y = np.random.default_rng(0).normal(size=(2, 40, 6))
    >>> compare({"x": X, "y": Y}, metrics=["rsa"], permutations=9)[["first", "second", "N"]].values
    array([['x', 'y', 40]], dtype=object)
    """
    arrays = _arrays(embeddings, factors, lexical)
    items = len(next(iter(arrays.values())))
    check_k(k, items)
    if permutations < 0:
        raise ValueError(f"permutations must not be negative, but is {permutations}")
    pairs = list(combinations(arrays, 2) if pairs is None else map(tuple, pairs))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    for name in (*lexical, *names):
        check_choice(name, arrays, "embedding")
    for metric in metrics:
        check_choice(metric, METRICS, "metric")
    if not pairs or not metrics:
        raise ValueError("nothing to compare: no metric or no pair")
    found = []  # pair, metric, split, direction, and scores (P + 1,), the observed pairing first

    def draws(blocks: np.ndarray | None = None) -> np.ndarray:
        drawn = inference.permutations(items, permutations, seed, blocks)
        return np.vstack([np.arange(items), drawn])

    # Retrieval: what depends on one side is reduced once per fold, then each pair is searched.
    searched = [metric for metric in metrics if metric in RETRIEVAL]
    for name in splits if searched else ():
        split = retrieval.make_split(name, items, factors, folds, seed)
        tasks = [(n, retrieval.reduced, arrays[n], split, dimension) for n in names]
        spaces = dict(zip(names, parallel.map(_call, tasks, compute)))
        drawn = draws(split.blocks)
        tasks = [(pair, _retrieve, *(spaces[n] for n in pair), split, drawn, searched, k)
                 for pair in pairs]  # fmt: skip
        for pair, results in zip(pairs, parallel.map(_call, tasks, compute)):
            found += [(*pair, metric, name, *scores) for metric, *scores in results]

    # Relations: one table per encoder, whose products with the others' are the scores.
    drawn = draws()
    for metric in (metric for metric in metrics if metric in RELATIONS):
        tasks = [(n, RELATIONS[metric], arrays[n] - arrays[n].mean(axis=0), k) for n in names]
        stack = np.stack(parallel.map(_call, tasks, compute))
        tasks = [("tables", _products, stack, drawn[start : start + CHUNK])
                 for start in range(0, len(drawn), CHUNK)]  # fmt: skip
        products = np.concatenate(parallel.map(_call, tasks, compute))  # (P + 1, E, E)
        for pair in pairs:
            a, b = map(names.index, pair)
            found.append((*pair, metric, "all", "symmetric", products[:, a, b]))

    chances = {"mutual_knn": k / (items - 1), "precision_at_1": 1 / items,
               "precision_at_k": k / items}  # fmt: skip
    rows = [(*which, scores[0], chances.get(which[2], 0.0), items, k,
             scores[1:].mean() if permutations else np.nan,
             inference.p_value(scores[0], scores[1:])) for *which, scores in found]  # fmt: skip
    columns = "first second metric split direction value chance N k null_mean p".split()
    return pd.DataFrame(rows, columns=columns)


def _arrays(embeddings: Mapping[str, object], factors: pd.DataFrame | None,
            lexical: Sequence[str]) -> dict[str, np.ndarray]:  # fmt: skip
    """Checked arrays (N, d) by name, all in the order of ``factors``."""
    if len(embeddings) < 2:
        raise ValueError("at least two embeddings are needed to compare")
    if factors is not None and "id" in factors and factors["id"].duplicated().any():
        raise ValueError("factors has duplicated ids: one row per instruction is needed")
    arrays: dict[str, np.ndarray] = {}
    for name, values in embeddings.items():
        array = check_embedding(values, name, **({"duplicates": 1.0} if name in lexical else {}))
        rows = len(next(iter(arrays.values()), array)) if factors is None else len(factors)
        if len(array) != rows:
            raise ValueError(f"{name} has {len(array)} rows, but {rows} are expected")
        if isinstance(values, pd.DataFrame):
            if factors is None or "id" not in factors:
                raise ValueError(f"{name} comes with ids, but factors has no column 'id'")
            if not np.array_equal(values.index, factors["id"]):
                raise ValueError(f"{name} is misordered: its ids differ from factors.id")
        arrays[name] = array
    return arrays


def _call(task: tuple):
    """The result of a task (label, function, *arguments); its errors begin with the label."""
    label, function, *arguments = task
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None


def _retrieve(A, B, split, draws, metrics, k) -> list[tuple]:
    """(metric, direction, scores (P + 1,)), the observed pairing first."""
    return [(metric, direction, split.mean(retrieval.hits(*counts, n)))
            for direction, counts in retrieval.search(A, B, split, draws).items()
            for metric, n in zip(RETRIEVAL, (1, k)) if metric in metrics]  # fmt: skip


def _products(stack: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """<R_a, R_b with rows and columns permuted> for all a, b: (E, N, N), (P, N) -> (P, E, E)."""
    count, items, _ = stack.shape
    symmetric = all(np.array_equal(R, R.T) for R in stack)
    used = np.tri(items, k=-1).T if symmetric else 1 - np.eye(items)  # diagonals are 0
    (rows, columns), flat = np.nonzero(used), stack.reshape(count, -1)
    fixed = flat.take(rows * items + columns, axis=1) * (2 if symmetric else 1)
    return np.array([fixed @ flat.take(draw[rows] * items + draw[columns], axis=1).T
                     for draw in draws])  # fmt: skip
