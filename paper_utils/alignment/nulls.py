"""What a score would be by chance: permutations, p-values and calibrated scores.

Every null permutes the pairing and then refits.  Calibration follows arXiv 2602.14486.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

SLACK = 1e-12  # equal scores may differ in the last bit; equality counts against the score


def permutations(
    items: int, count: int, seed: int | Sequence[int] = 0, within: Sequence | None = None
) -> np.ndarray:
    """``count`` permutations (count, items); rows move only among equal labels ``within``."""
    random = np.random.default_rng(seed)
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


def p_value(score: float, null: np.ndarray, distance: bool = False) -> float:
    """(1 + #{null at least as good as score}) / (K + 1), one-sided."""
    sign = -1.0 if distance else 1.0
    null = sign * np.asarray(null)
    return float((1 + np.sum(null >= sign * score - SLACK)) / (null.size + 1))


def calibrate(
    score: float, null: np.ndarray, best: float = 1.0, alpha: float = 0.05, distance: bool = False
) -> float:
    """How far a score lies between what chance reaches and the best possible value, in [0, 1].

    With tau the ceil((1 - alpha)(K + 1))-th order statistic of null and score together:
    clip((score - tau) / (best - tau), 0, 1).  Under the null it is positive with probability of
    at most alpha.  A distance is negated first, so that 1 is best there too.
    """
    sign = -1.0 if distance else 1.0
    pool = np.sort(np.append(sign * np.asarray(null), sign * score))
    tau = pool[int(np.ceil((1 - alpha) * pool.size - 1e-9)) - 1]
    gap = sign * best - tau
    if gap <= SLACK:
        return 0.0
    return float(np.clip((sign * score - tau) / gap, 0.0, 1.0))


def calibrate_maximum(
    scores: np.ndarray, nulls: np.ndarray, best: float = 1.0, alpha: float = 0.05
) -> dict[str, float]:
    """The best of several scores (L,), say over layers, against the best of each null draw (L, K).

    Column j of ``nulls`` must come from one permutation for all L candidates, so the price of
    searching is part of the null.  Returns ``index``, ``value``, ``p`` and ``calibrated``.
    """
    scores, nulls = np.asarray(scores), np.asarray(nulls)
    if nulls.ndim != 2 or len(nulls) != len(scores):
        raise ValueError(f"nulls must have shape ({len(scores)}, K), not {nulls.shape}")
    value, null = float(scores.max()), nulls.max(axis=0)
    calibrated = calibrate(value, null, best, alpha)
    found = {"index": int(scores.argmax()), "value": value, "p": p_value(value, null)}
    return found | {"calibrated": calibrated}


def benjamini_hochberg(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that control the false discovery rate (Benjamini and Hochberg, 1995)."""
    return false_discovery_control(np.asarray(p, dtype=float), method="bh")
