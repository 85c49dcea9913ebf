"""What a score would be by chance, and how sure it is: permutations, p-values, bootstraps."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from paper_utils.config import generator

SLACK = 1e-12  # equal scores may differ in the last bit; equality counts against the score


def permutations(items: int, count: int, seed: int = 0,
                 within: Sequence | None = None) -> np.ndarray:  # fmt: skip
    """``count`` permutations (count, items); rows move only among equal labels ``within``."""
    random = generator("permutations", seed)
    labels = np.zeros(items) if within is None else np.asarray(within)
    result = np.empty((count, items), dtype=np.intp)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        result[:, rows] = random.permuted(np.tile(rows, (count, 1)), axis=1)
    return result


def induced(permutations: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Each permutation's first-return map on ``rows``: (P, N) -> (P, len(rows)), values in rows.
    They are uniform if the original is.  So a training set keeps its members, mean and components
    while its pairing is redrawn, and overlapping training sets are redrawn alike."""
    inside = np.zeros(permutations.shape[1], dtype=bool)
    inside[rows] = True
    image = permutations[:, rows]
    while not (back := inside[image]).all():
        image = np.where(back, image, np.take_along_axis(permutations, image, axis=1))
    return image


def p_value(score: float, null: np.ndarray) -> float:
    """(1 + #{null at least as large as score}) / (K + 1), one-sided; NaN without a null.

    >>> p_value(0.9, np.array([0.1, 0.2, 0.3]))
    0.25
    """
    null = np.asarray(null)
    return float((1 + np.sum(null >= score - SLACK)) / (null.size + 1)) if null.size else np.nan


def holm(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that control the family-wise error rate (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(steps, 1.0)[np.argsort(order)]


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact p that the first of two paired series, bool (N,), succeeds more often (McNemar, 1947).

    >>> mcnemar(np.ones(8, bool), np.zeros(8, bool)) < 0.01
    True
    """
    only_first, only_second = np.sum(first & ~second), np.sum(~first & second)
    total = int(only_first + only_second)
    return float(binomtest(int(only_first), total, alternative="greater").pvalue) if total else 1.0


def seed_bootstrap(values: np.ndarray, model: str, other: str = "",
                   count: int = 2000) -> np.ndarray:  # fmt: skip
    """Bootstrap means (count,) of values (agent seeds, model seeds), drawing both kinds of seed.
    ``other``: the model of the rows, where these are no agents.  Equal numbers of agents are drawn
    alike, and so are the seeds of one model: differences of two such means are paired."""
    rows = ("model seeds", *other.encode()) if other else ("agent seeds",)
    streams = (rows, ("model seeds", *model.encode()))
    picks = [generator(*stream, n).multinomial(n, np.full(n, 1 / n), count) / n
             for stream, n in zip(streams, values.shape, strict=True)]  # fmt: skip
    return np.einsum("ba,bm,am->b", *picks, values)


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of bootstrap draws."""
    return tuple(np.quantile(draws, (0.025, 0.975)).tolist())
