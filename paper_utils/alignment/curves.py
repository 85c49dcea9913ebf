"""How a score depends on what it need not depend on: k, and the number of instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment import checks, metrics, retrieval


def k_curve(X, Y, ks: Sequence[int] = (1, 2, 5, 10, 15, 20, 30, 50), **options) -> pd.DataFrame:
    """Both precisions for several k: columns metric, k, value, chance.

    Options as for :func:`metrics.retrieval_ranks`; one fit of the map serves every k.
    """
    items = len(checks.pair(X, Y)[0])
    for k in ks:
        checks.neighbours(k, items)
    ranks, split = metrics.retrieval_ranks(X, Y, **options)
    weights = retrieval.weights(split, items)
    rows = []
    for k in ks:
        rows.append(("precision_at_k", k, float(retrieval.hits(ranks, k) @ weights), k / items))
        rows.append(("mutual_knn", k, metrics.mutual_knn(X, Y, k), k / (items - 1)))
    return pd.DataFrame(rows, columns=["metric", "k", "value", "chance"])


def size_curve(
    X,
    Y,
    sizes: Sequence[int],
    metric: Callable[..., float] = metrics.precision_at_k,
    repeats: int = 10,
    seed: int = 0,
    **options,
) -> pd.DataFrame:
    """A metric on random subsets of N rows: columns N, value (mean), low, high (5 %, 95 %), chance.

    ``chance`` is k/N for the metrics with a ``k``, else 0.  Subsets are drawn without replacement.
    """
    X, Y = checks.pair(X, Y)
    random = np.random.default_rng(seed)
    counts_k = metric in (metrics.precision_at_k, metrics.mutual_knn)
    k = options.get("k", 15) if counts_k else 0
    rows = []
    for size in sizes:
        if not 4 <= size <= len(X):
            raise ValueError(f"sizes must lie between 4 and N = {len(X)}, not {size}")
        draws = (random.choice(len(X), size, replace=False) for _ in range(repeats))
        values = [metric(X[rows_], Y[rows_], **options) for rows_ in draws]
        chance = k / (size - 1 if metric is metrics.mutual_knn else size)
        rows.append((size, np.mean(values), *np.quantile(values, (0.05, 0.95)), chance))
    return pd.DataFrame(rows, columns=["N", "value", "low", "high", "chance"])
