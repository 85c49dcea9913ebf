"""Every metric for every pair, with the permutation null of each: the engine of `compare`.

What depends on one encoder (reductions per fold, neighbour graphs, Gram matrices, ranks) is
computed once; a permutation then only gathers rows, and refits what joins the two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from paper_utils import parallel
from paper_utils.alignment import checks, mapping, nulls, retrieval
from paper_utils.alignment.metrics import RELATIONS, nuclear_norm, relation, subspace
from paper_utils.alignment.splits import Split, make

RETRIEVAL = {  # metric -> similarity
    "precision_at_k": "cosine",
    "precision_at_k_csls": "csls",
    "mean_reciprocal_rank": "cosine",
    "precision_at_k_residual": "cosine",
}
SUBSPACE = ("angular_procrustes_distance", "svcca")
METRICS = (*RETRIEVAL, *RELATIONS, *SUBSPACE)
CONTROLLED = ("precision_at_k_residual", "partial_rsa")  # these need a control to be given
CHUNK = 50  # permutations per task; fixed, so that results do not depend on the workers


@dataclass(frozen=True)
class Score:
    """One metric of one pair: its value, each item's part in it, and its null distribution."""

    first: str
    second: str
    metric: str
    split: str  # a name in splits.SPLITS, or "all" for metrics without training
    direction: str  # forward (first is mapped, second searched), backward, or symmetric
    value: float
    items: np.ndarray
    """(N,), mean = value.  Hits and overlaps are the items' own; for the other metrics they are
    infinitesimal-jackknife pseudo-values, because resampling rows would add pairs of duplicates
    at distance 0 and bias the score.  NaN: never tested."""
    null: np.ndarray  # (permutations,), the same permutations for all pairs of one split


def table(
    embeddings: Mapping[str, object], factors: pd.DataFrame | None, lexical: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Checked arrays (N, d) by name, all in the order of ``factors``.

    An embedding is an array, a DataFrame indexed by instruction id, or a pair (ids, array).
    ValueError if ids are not exactly ``factors.id``, or N differs.  ``lexical`` encoders may have
    any number of equal rows: that is what makes them controls.
    """
    if len(embeddings) < 2:
        raise ValueError("at least two embeddings are needed to compare")
    if factors is not None and "id" in factors and factors["id"].duplicated().any():
        raise ValueError("factors has duplicated ids: one row per instruction is needed")
    arrays: dict[str, np.ndarray] = {}
    for name, values in embeddings.items():
        ids = None
        if isinstance(values, pd.DataFrame):
            ids, values = values.index.to_numpy(), values.to_numpy()
        elif isinstance(values, tuple):
            ids, values = values
        array = checks.embedding(values, name, 1.0 if name in lexical else checks.MAX_DUPLICATES)
        rows = len(next(iter(arrays.values()), array)) if factors is None else len(factors)
        if len(array) != rows:
            raise ValueError(f"{name} has {len(array)} rows, but {rows} are expected")
        if ids is not None:
            if factors is None or "id" not in factors:
                raise ValueError(f"{name} comes with ids, but factors has no column 'id'")
            if not np.array_equal(np.asarray(ids), factors["id"].to_numpy()):
                raise ValueError(f"{name} is misordered: its ids differ from factors.id")
        arrays[name] = array
    return arrays


def evaluate(
    embeddings: Mapping[str, object],
    factors: pd.DataFrame | None = None,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    metrics: Sequence[str] | None = None,
    splits: Sequence[str] = ("random",),
    k: int = 15,
    dimension: int | None = 32,
    folds: int = 5,
    permutations: int = 200,
    within: str | None = None,
    preprocess: str = "raw",
    lexical: Sequence[str] = (),
    control: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Score]:
    """One :class:`Score` per pair x metric x split x direction; arguments as for `compare`."""
    arrays = table(embeddings, factors, lexical)
    items = len(next(iter(arrays.values())))
    checks.neighbours(k, items)
    checks.choice(preprocess, mapping.PREPROCESSING, "preprocessing")
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, not {permutations}")
    control = tuple(lexical[:1] if control is None else control)
    pairs = list(combinations(arrays, 2) if pairs is None else pairs)
    for name in {*lexical, *control, *(name for pair in pairs for name in pair)}:
        checks.choice(name, arrays, "embedding")
    if metrics is None:
        metrics = [metric for metric in METRICS if control or metric not in CONTROLLED]
    for metric in metrics:
        if checks.choice(metric, METRICS, "metric") in CONTROLLED and not control:
            raise ValueError(f"metric {metric!r} needs a lexical control")
    if within is not None and (factors is None or within not in factors):
        raise ValueError(f"factors has no column {within!r} to permute within")
    engine = _Engine(
        arrays, pairs, control, k, dimension, preprocess,
        lambda blocks: _draws(items, permutations, seed, blocks, factors, within),
    )  # fmt: skip
    if not any(engine.pairs_of(metric) for metric in metrics):
        raise ValueError("nothing to compare: no metric, no pair, or only pairs with a control")
    metrics = [metric for metric in metrics if engine.pairs_of(metric)]
    made = [make(name, items, factors, folds, seed) for name in splits]
    return [
        *engine.retrieval([metric for metric in metrics if metric in RETRIEVAL], made),
        *engine.relations([metric for metric in metrics if metric in RELATIONS]),
        *engine.subspaces([metric for metric in metrics if metric in SUBSPACE]),
    ]


def _draws(items, count, seed, blocks, factors, within) -> np.ndarray:
    """The identity, then ``count`` permutations within blocks and within a factor's levels."""
    labels = pd.DataFrame({"block": blocks})
    if within is not None:
        labels["level"] = factors[within].to_numpy()
    labels = labels.groupby(list(labels), sort=True).ngroup().to_numpy()
    return np.vstack([np.arange(items), nulls.permutations(items, count, [seed, 1], labels)])


def _run(describe: str, tasks: list) -> list:
    """Results of tasks (label, function, *arguments), each on one thread: with more, the last bit
    of a product would depend on how many."""
    return parallel.map(_call, tasks, describe=describe)


def _call(task: tuple):
    label, function, *arguments = task
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None


@dataclass
class _Engine:
    arrays: dict[str, np.ndarray]
    pairs: list[tuple[str, str]]
    control: tuple[str, ...]
    k: int
    dimension: int | None
    preprocess: str
    draws: Callable[[np.ndarray], np.ndarray]

    def pairs_of(self, metric: str) -> list[tuple[str, str]]:
        """A control has no residual: its pairs are left out of the metrics that remove it."""
        left_out = self.control if metric in CONTROLLED else ()
        return [pair for pair in self.pairs if not set(pair) & set(left_out)]

    def names_of(self, metric: str) -> list[str]:
        return list(dict.fromkeys(name for pair in self.pairs_of(metric) for name in pair))

    def preprocessed(self) -> dict[str, np.ndarray]:
        kind = self.preprocess
        return {name: mapping.preprocess(array, kind) for name, array in self.arrays.items()}

    def prepare(self, describe: str, keys: list, task: Callable) -> dict:
        return dict(zip(keys, _run(describe, [task(*key) for key in keys]), strict=True))

    def retrieval(self, metrics: list[str], made: list[Split]) -> Iterable[Score]:
        residual = [metric for metric in metrics if metric in CONTROLLED]
        plain = [metric for metric in metrics if metric not in CONTROLLED]
        runs = [(which, n) for which in (plain, residual) if which for n in range(len(made))]
        lexicon = np.hstack([self.arrays[name] for name in self.control] or [np.empty((1, 0))])
        spaces = self.prepare(
            "reductions",
            [(name, n, which is residual) for which, n in runs for name in self.names_of(which[0])],
            lambda name, n, left: (
                name, retrieval.spaces, self.arrays[name], made[n], self.dimension, self.preprocess,
                lexicon if left else None,
            ),
        )  # fmt: skip
        draws = [self.draws(split.blocks) for split in made]
        keys = [(which, n, pair) for which, n in runs for pair in self.pairs_of(which[0])]
        tasks = [
            (pair, _retrieve, *(spaces[name, n, which is residual] for name in pair),
             made[n], draws[n], which, self.k)
            for which, n, pair in keys
        ]  # fmt: skip
        for (_, n, pair), found in zip(keys, _run("retrieval", tasks), strict=True):
            for (metric, direction), (items, values) in found.items():
                name = made[n].name
                yield Score(*pair, metric, name, direction, values[0], items, values[1:])

    def relations(self, metrics: list[str]) -> Iterable[Score]:
        arrays = self.preprocessed()
        controls = [arrays[name] for name in self.control]
        tables = self.prepare(
            "tables",
            [(metric, name) for metric in metrics for name in self.names_of(metric)],
            lambda metric, name: (name, relation, metric, arrays[name], self.k,
                                  controls if metric in CONTROLLED else ()),
        )  # fmt: skip
        draws = self.draws(np.zeros(len(next(iter(arrays.values())))))
        starts = range(0, len(draws), CHUNK)
        stacks = {m: np.stack([tables[m, name] for name in self.names_of(m)]) for m in metrics}
        tasks = [
            ("tables", _products, stacks[m], draws[start : start + CHUNK])
            for m in metrics
            for start in starts
        ]
        products = _run("permuted tables", tasks)
        for number, metric in enumerate(metrics):
            place = {name: index for index, name in enumerate(self.names_of(metric))}
            mine = products[number * len(starts) : (number + 1) * len(starts)]
            values = np.concatenate(mine)  # (P, E, E)
            own = {name: np.sum(tables[metric, name] ** 2, axis=1) for name in place}
            for first, second in self.pairs_of(metric):
                found = values[:, place[first], place[second]]
                items = np.einsum("ij,ij->i", tables[metric, first], tables[metric, second])
                if metric != "mutual_knn":  # a cosine of tables: a row and a column are one item's
                    change = items - found[0] * (own[first] + own[second]) / 2
                    items = found[0] / len(items) + 2 * change
                items *= len(items)
                yield Score(first, second, metric, "all", "symmetric", found[0], items, found[1:])

    def subspaces(self, metrics: list[str]) -> Iterable[Score]:
        arrays = self.preprocessed()
        bases = self.prepare(
            "subspaces",
            [(metric, name) for metric in metrics for name in self.names_of(metric)],
            lambda metric, name: (name, subspace, metric, arrays[name], self.dimension),
        )
        draws = self.draws(np.zeros(len(next(iter(arrays.values())))))
        keys = [(metric, pair) for metric in metrics for pair in self.pairs_of(metric)]
        tasks = [(pair, _nuclear, m, *(bases[m, name] for name in pair), draws) for m, pair in keys]
        for (metric, pair), (items, values) in zip(
            keys, _run("subspace angles", tasks), strict=True
        ):
            yield Score(*pair, metric, "all", "symmetric", values[0], items, values[1:])


def _retrieve(A, B, split, draws, metrics, k) -> dict:
    """(metric, direction) -> the observed score of each item (N,), and all scores (P,)."""
    kinds = tuple(dict.fromkeys(RETRIEVAL[metric] for metric in metrics))
    found, weight = retrieval.ranks(A, B, split, draws, kinds), retrieval.weights(split, len(A[0]))
    result = {}
    for metric in metrics:
        for direction in retrieval.DIRECTIONS:
            ranks = found[direction, RETRIEVAL[metric]]
            gains = 1 / ranks if metric == "mean_reciprocal_rank" else retrieval.hits(ranks, k)
            items = retrieval.per_item(gains[0], split, len(A[0]))
            result[metric, direction] = items, np.round(gains @ weight, 12)  # 1 is 1
    return result


def _products(stack: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """<R_a, R_b with rows and columns permuted> for all a, b: (E, N, N), (P, N) -> (P, E, E)."""
    count, items, _ = stack.shape
    symmetric = all(np.array_equal(R, R.T) for R in stack)
    used = np.triu(np.ones((items, items), dtype=bool), 1)  # diagonals are 0
    rows, columns = np.nonzero(used if symmetric else used | used.T)
    flat = stack.reshape(count, -1)
    fixed = flat.take(rows * items + columns, axis=1) * (2 if symmetric else 1)
    result = np.empty((len(draws), count, count))
    for p, draw in enumerate(draws):
        result[p] = fixed @ flat.take(draw[rows] * items + draw[columns], axis=1).T
    return result


def _nuclear(metric: str, A: np.ndarray, B: np.ndarray, draws: np.ndarray) -> tuple:
    """The observed score's parts (N,) and all scores (P,) of a metric of nuclear norms."""
    U, s, V = np.linalg.svd(A.T @ B, full_matrices=False)
    a, b = A @ U, B @ V.T  # (N, c), paired coordinates
    parts = [A.T @ B[draws[start : start + CHUNK]] for start in range(0, len(draws), CHUNK)]
    norms = np.concatenate([nuclear_norm(part) for part in parts])
    if metric == "svcca":
        change = np.sum(a * b - s / 2 * (a * a + b * b), axis=1)
        return (s.sum() + len(A) * change) / len(s), norms / len(s)
    cosine = min(1.0, s.sum())
    own = (np.sum(A * A, axis=1) + np.sum(B * B, axis=1)) / 2
    change = len(A) * (np.sum(a * b, axis=1) - cosine * own)
    slope = np.sqrt(max(1 - cosine**2, 1e-12))  # d arccos; at distance 0 every change is 0 too
    return np.arccos(cosine) - change / slope, np.arccos(np.minimum(1.0, norms))
