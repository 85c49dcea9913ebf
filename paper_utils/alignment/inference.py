"""What a score would be by chance, and how sure it is: permutations, p-values, bootstraps.

Every null permutes the pairing of two spaces and then refits what joins them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, false_discovery_control

from paper_utils.config import generator

SLACK = 1e-12  # equal scores may differ in the last bit; equality counts against the score


def permutations(
    items: int, count: int, seed: int = 0, within: Sequence | None = None
) -> np.ndarray:
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

    Following a cycle until it comes back to ``rows`` permutes ``rows`` uniformly if the original
    was uniform, and agrees with the original wherever that already stays inside.  So a training
    set keeps its members, and with them its mean and principal components, while its pairing is
    redrawn; overlapping training sets are redrawn alike.
    """
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


def calibrate(score: float, null: np.ndarray, best: float = 1.0, alpha: float = 0.05) -> float:
    """How far a score lies between what chance reaches and the best possible value, in [0, 1].

    With tau the ceil((1 - alpha)(K + 1))-th order statistic of null and score together:
    clip((score - tau) / (best - tau), 0, 1) (arXiv 2602.14486).  Under the null it is positive
    with probability of at most alpha.  NaN without a null.
    """
    if not np.size(null):
        return np.nan
    pool = np.sort(np.append(null, score))
    tau = pool[int(np.ceil((1 - alpha) * pool.size - 1e-9)) - 1]
    gap = best - tau
    return float(np.clip((score - tau) / gap, 0.0, 1.0)) if gap > SLACK else 0.0


def holm(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that control the family-wise error rate (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that control the false discovery rate (Benjamini and Hochberg, 1995)."""
    p = np.asarray(p, dtype=float)
    known = ~np.isnan(p)
    adjusted = np.full_like(p, np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(p[known], method="bh")
    return adjusted


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Exact two-sided p of two paired series of successes (McNemar, 1947): bool (N,) each.

    >>> mcnemar(np.ones(8, bool), np.zeros(8, bool)) < 0.01
    True
    """
    only_first, only_second = np.sum(first & ~second), np.sum(~first & second)
    total = int(only_first + only_second)
    return float(binomtest(int(only_first), total).pvalue) if total else 1.0


def resamples(factors: pd.DataFrame | None, items: int, count: int, seed: int = 0) -> np.ndarray:
    """How often each bootstrap sample draws each item (count, N), templates kept at their size."""
    random = generator("bootstrap", seed)
    counts = np.zeros((count, items))
    strata = np.zeros(items) if factors is None else factors["template"].to_numpy()
    for stratum in pd.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        counts[:, rows] = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), count)
    return counts


def intervals(items: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """95 % percentile intervals (2, S) of the means of S scores, from their items (S, N).

    ``draws`` (B, N) as `resamples` gives them; NaN items were never tested.
    """
    known = ~np.isnan(items)
    sums = draws @ np.where(known, items, 0.0).T
    return np.quantile(sums / np.maximum(draws @ known.T, 1), (0.025, 0.975), axis=0)


class Bootstrap:
    """Draws of instructions (templates kept at their size) and, with them, of seeds."""

    def __init__(self, factors: pd.DataFrame, count: int, seed: int = 0):
        self.count, self.seed = count, seed
        self.weights = resamples(factors, len(factors), count, seed) / len(factors)  # (B, N)

    def means(self, scores: np.ndarray) -> np.ndarray:
        """Mean score in each draw (B,) of (seeds, N), or of (agent seeds, model seeds, N).

        Equal numbers of seeds get equal draws, so that differences are paired.  With one seed there
        is nothing to draw from: what differs between seeds is then not in it.
        """
        if scores.ndim == 2:
            scores = scores[:, None]
        agents, models = (self._picks(axis, n) for axis, n in enumerate(scores.shape[:2]))
        return np.einsum("ba,bm,amn,bn->b", agents, models, scores, self.weights, optimize=True)

    def _picks(self, axis: int, seeds: int) -> np.ndarray:
        random = generator(("agent seeds", "model seeds")[axis], self.seed, seeds)
        return random.multinomial(seeds, np.full(seeds, 1 / seeds), self.count) / seeds  # (B, n)

    def contrast(self, ours: np.ndarray, rivals: Sequence[np.ndarray]) -> dict[str, float]:
        """Our score minus that of the best rival, on the same instructions.

        Arguments:
            ours: items' scores, as for `means`.
            rivals: one such array each.  Which is best is decided anew in every draw, so that
                choosing is part of the uncertainty.

        Returns value, value_low, value_high (ours, 95 % percentile bootstrap), rival_value (the
        best's), difference, low, high, and p: two-sided, twice the smaller share of draws on
        either side of zero.
        """
        drawn = self.means(ours)
        gaps = drawn - np.max([self.means(rival) for rival in rivals], axis=0)
        tail = 1 + min(np.sum(gaps <= 0), np.sum(gaps >= 0))
        value, rival = float(ours.mean()), float(max(rival.mean() for rival in rivals))
        low, high = np.quantile(drawn, (0.025, 0.975))
        gap_low, gap_high = np.quantile(gaps, (0.025, 0.975))
        return {
            "value": value, "value_low": low, "value_high": high, "rival_value": rival,
            "difference": value - rival, "low": gap_low, "high": gap_high,
            "p": float(min(1.0, 2 * tail / (len(gaps) + 1))),
        }  # fmt: skip
