"""The one call: a tidy table of every pair, with what it takes to read each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from paper_utils.alignment import nulls
from paper_utils.alignment.engine import RETRIEVAL, Score, evaluate

FLIPPED = {"forward": "backward", "backward": "forward", "symmetric": "symmetric"}
Pair = tuple[str, str]


def compare(
    embeddings: Mapping[str, object],
    factors: pd.DataFrame | None = None,
    *,
    pairs: Sequence[Pair] | None = None,
    metrics: Sequence[str] | None = None,
    splits: Sequence[str] = ("random",),
    k: int = 15,
    dimension: int | None = 32,
    folds: int = 5,
    permutations: int = 200,
    bootstrap: int = 1000,
    within: str | None = None,
    preprocess: str = "raw",
    lexical: Sequence[str] = (),
    control: Sequence[str] | None = None,
    ceilings: Mapping[str | Pair, Sequence[Pair]] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per pair x metric x split x direction.

    **Arguments**

    - ``embeddings``: name -> (N, d) array, DataFrame indexed by id, or (ids, array).
    - ``factors``: one row per instruction, in the same order; needed for ids, for the splits that
      leave a factor out, and for intervals stratified by ``template``.
    - ``pairs``: (first, second) names, any two once; all by default.  ``metrics``: of
      ``engine.METRICS``; all by default.  ``splits``: of ``splits.SPLITS``, for retrieval.
    - ``dimension``: principal components kept by Procrustes and SVCCA.
    - ``within``: a column of ``factors``; the null then permutes only within its levels.
    - ``preprocess``: ``raw``, ``centred``, ``standardised`` or ``top_removed``.  Cosines of
      language models are dominated by their mean: prefer ``centred``.
    - ``lexical``: names of the lexical controls.  ``control``: those that ``partial_rsa`` and
      ``precision_at_k_residual`` remove; the first of ``lexical`` by default.
    - ``ceilings``: which pairs bound which.  A key is a pair of name patterns such as
      ``("action*", "*")``, in either order, or ``"*"`` for all; the first that matches holds.  The
      ceiling is the mean score of its pairs, say of two seeds of one encoder.

    **Columns**

    first, second, metric, kind (similarity or distance), split, direction (``forward`` maps first
    and searches second) · value; low, high: 95 % bootstrap over instructions, stratified by
    template, of the encoders and maps as they are · null (what was permuted), null_mean, null_q05,
    null_q50, null_q95; p, one-sided; p_adjusted: Benjamini-Hochberg over the pairs of one metric,
    split and direction; calibrated (at ``alpha``) · lexical: the best score among those of
    (control, second) and (first, control) over all lexical controls, lexical_name whose it was,
    increment = how much better value is · ceiling, normalised = (value - null_mean) / (ceiling -
    null_mean) · N, tested (items in a test set), k, chance (k/N, k/(N - 1), or their like),
    dimension, folds, permutations, bootstrap, preprocess, seed.

    **Raises** ValueError, one line, for misordered ids, unequal N, NaN, constant or too many
    duplicated rows, N <= k, unknown names.
    """
    options = {
        "metrics": metrics, "splits": splits, "k": k, "dimension": dimension, "folds": folds,
        "permutations": permutations, "within": within, "preprocess": preprocess,
        "lexical": lexical, "control": control, "seed": seed,
    }  # fmt: skip
    if pairs is not None:
        pairs = [tuple(pair) for pair in pairs]
    patterns = {
        (("*", "*") if key == "*" else tuple(key)): list(map(tuple, value))
        for key, value in (ceilings or {}).items()
    }
    wanted = pairs
    if wanted is not None:  # the baselines and ceilings of the wanted pairs are computed, too
        extra = [pair for bounds in patterns.values() for pair in bounds]
        extra += [pair for a, b in wanted for name in lexical for pair in ((name, b), (a, name))]
        unique = {frozenset(pair): pair for pair in [*extra, *wanted] if pair[0] != pair[1]}
        wanted = list(unique.values())
    scores = evaluate(embeddings, factors, pairs=wanted, **options)
    index: dict[tuple, Score] = {}
    for score in scores:
        ends, rest = (score.first, score.second), (score.metric, score.split)
        index[*ends, *rest, score.direction] = score
        index[*ends[::-1], *rest, FLIPPED[score.direction]] = score
    items = len(scores[0].items)
    draws = resamples(items, factors, bootstrap, seed)
    lows, highs = _intervals(np.stack([score.items for score in scores]), draws)
    rows = []
    for score, low, high in zip(scores, lows, highs, strict=True):
        if pairs is not None and (score.first, score.second) not in pairs:
            continue
        distance = score.metric.endswith("_distance")
        name, baseline = _lexical(score, index, lexical, distance)
        null_mean, ceiling = score.null.mean(), _ceiling(score, index, patterns)
        room = ceiling - null_mean
        quantiles = np.quantile(score.null, (0.05, 0.5, 0.95))
        rows.append({
            "first": score.first, "second": score.second, "metric": score.metric,
            "kind": "distance" if distance else "similarity",
            "split": score.split, "direction": score.direction,
            "value": score.value, "low": low, "high": high,
            "null": "rows" if within is None else f"rows within {within}", "null_mean": null_mean,
            **dict(zip(("null_q05", "null_q50", "null_q95"), quantiles, strict=True)),
            "p": nulls.p_value(score.value, score.null, distance), "p_adjusted": np.nan,
            "calibrated": nulls.calibrate(
                score.value, score.null, 0.0 if distance else 1.0, alpha, distance
            ),
            "lexical": baseline, "lexical_name": name,
            "increment": baseline - score.value if distance else score.value - baseline,
            "ceiling": ceiling,
            "normalised": (score.value - null_mean) / room if abs(room) > 1e-9 else np.nan,
            "N": items, "tested": int(np.sum(~np.isnan(score.items))), "k": k,
            "chance": _chance(score.metric, items, k),
            "dimension": -1 if dimension is None else dimension, "folds": folds,
            "permutations": permutations, "bootstrap": bootstrap, "preprocess": preprocess,
            "seed": seed,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    families = frame.groupby(["metric", "split", "direction"])["p"]
    frame["p_adjusted"] = families.transform(nulls.benjamini_hochberg)
    return frame


def best_layer(
    layers: Mapping[str, object],
    target: object,
    metric: str = "precision_at_k",
    factors: pd.DataFrame | None = None,
    *,
    alpha: float = 0.05,
    **options,
) -> dict:
    """The layer that agrees best with ``target``, judged against the best layer of each null draw.

    A score is the mean of its directions.  Returns ``layer``, ``value``, ``p``, ``calibrated`` and
    ``values`` (by layer); options as for `compare`.
    """
    if metric.endswith("_distance"):
        raise ValueError("best_layer looks for the largest score: choose a similarity")
    names = list(layers)
    options |= {"metrics": [metric], "pairs": [(name, "target") for name in names]}
    scores = evaluate({**layers, "target": target}, factors, **options)
    ways = [[score for score in scores if score.first == name] for name in names]
    values = np.array([np.mean([score.value for score in way]) for way in ways])
    draws = np.array([np.mean([score.null for score in way], axis=0) for way in ways])
    found = nulls.calibrate_maximum(values, draws, alpha=alpha)
    by_layer = dict(zip(names, values.tolist(), strict=True))
    return {"layer": names[found.pop("index")], **found, "values": by_layer}


def resamples(items: int, factors: pd.DataFrame | None, count: int, seed: int) -> np.ndarray:
    """How often each bootstrap sample draws each item (count, N), templates kept at their size."""
    random = np.random.default_rng([seed, 2])
    counts = np.zeros((count, items))
    strata = np.zeros(items) if factors is None else factors["template"].to_numpy()
    for stratum in pd.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        counts[:, rows] = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), count)
    return counts


def _intervals(items: np.ndarray, resamples: np.ndarray) -> np.ndarray:
    """95 % percentile intervals (2, S) of the means of S scores, by their items (S, N)."""
    known = ~np.isnan(items)
    sums = resamples @ np.where(known, items, 0.0).T
    return np.quantile(sums / np.maximum(resamples @ known.T, 1), (0.025, 0.975), axis=0)


def _lexical(score: Score, index: dict, lexical: Sequence[str], distance: bool) -> tuple:
    key = (score.metric, score.split, score.direction)
    found = [
        (index[*ends, *key].value, name)
        for name in lexical
        for ends in ((name, score.second), (score.first, name))
        if (*ends, *key) in index and name not in (score.first, score.second)
    ]
    if not found:
        return "", np.nan
    value, name = min(found) if distance else max(found)
    return name, value


def _ceiling(score: Score, index: dict, patterns: dict[Pair, list[Pair]]) -> float:
    for pattern, bounds in patterns.items():
        for ends in ((score.first, score.second), (score.second, score.first)):
            if all(map(fnmatchcase, ends, pattern)):
                keys = [(*bound, score.metric, score.split, score.direction) for bound in bounds]
                values = [index[key].value for key in keys if key in index]
                return float(np.mean(values)) if values else np.nan
    return np.nan


def _chance(metric: str, items: int, k: int) -> float:
    if metric == "mean_reciprocal_rank":
        return float(np.mean(1 / np.arange(1, items + 1)))
    if metric in RETRIEVAL:
        return k / items
    if metric == "mutual_knn":
        return k / (items - 1)
    return np.nan if metric in ("svcca", "angular_procrustes_distance") else 0.0
