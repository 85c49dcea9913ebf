"""Cross-space retrieval: map held-out items by Procrustes, rank their partners in the whole pool.

The definition is that of VLCA (arXiv 2302.06555), except that centring and PCA, too, see the
training rows only.  One rotation serves both directions, and all permutations of a null share
the reductions, which depend on one side alone.
"""

from __future__ import annotations

import numpy as np

from paper_utils.alignment.mapping import Reduction, lexical_residuals, procrustes
from paper_utils.alignment.nulls import induced
from paper_utils.alignment.splits import Split

DIRECTIONS = ("forward", "backward")
SIMILARITIES = ("cosine", "csls")
TIE = {np.float64: 1e-9, np.float32: 3e-7}  # similarities closer than rounding errors are tied
CSLS_NEIGHBOURS = 10
BLOCK = 2**22  # entries of the largest similarity table: 32 MiB
TOGETHER = 2**18  # entries up to which several permutations share one table: it fits the cache
GATHERED = 64  # permutations whose rows are gathered together


def spaces(
    X: np.ndarray,
    split: Split,
    dimension: int | None,
    preprocess: str = "raw",
    lexicon: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Per fold all rows of X (N, d), or of its lexical residuals, reduced by the training rows."""
    result = []
    for train, _ in split.folds:
        rows = X if lexicon is None else lexical_residuals(X, lexicon, train)
        result.append(Reduction.fit(rows[train], dimension, preprocess).transform(rows))
    return result


def ranks(
    A: list[np.ndarray],
    B: list[np.ndarray],
    split: Split,
    permutations: np.ndarray,
    similarities: tuple[str, ...] = ("cosine",),
) -> dict[tuple[str, str], np.ndarray]:
    """Rank of every tested item's partner, by (direction, similarity): arrays (P, E).

    A, B: per fold (N, c), from :func:`spaces`.  Row p of ``permutations`` (P, N) pairs item i of
    A with item permutations[p, i] of B, within the training and within the test rows of each
    fold, and the map is refitted.  E counts the tests: the folds' test rows, one after another.
    ``forward`` maps A and searches B; ``backward`` maps B and searches A.

    Row 0, the observed pairing, is decided in double precision; the others are draws of a null,
    for which single precision is enough and twice as fast.
    """
    kinds = [(direction, kind) for direction in DIRECTIONS for kind in similarities]
    result = {kind: [] for kind in kinds}
    hubs = CSLS_NEIGHBOURS if "csls" in similarities else 0
    for (train, test), a, b in zip(split.folds, A, B, strict=True):
        shared = min(a.shape[1], b.shape[1])
        a, b = a[:, :shared], b[:, :shared]
        partners = induced(permutations, test)  # (P, m)
        paired = induced(permutations, train)  # (P, n)
        rotations = np.concatenate(
            [
                procrustes(a[train], b[paired[start : start + GATHERED]])
                for start in range(0, len(paired), GATHERED)
            ]
        )  # (P, c, c)
        units = {kind: tuple(_unit(side).astype(kind) for side in (a, b)) for kind in TIE}
        fold = {kind: np.empty(partners.shape) for kind in kinds}
        step = max(1, TOGETHER // (len(a) * len(test)))
        for start, stop in [(0, 1), *((p, p + step) for p in range(1, len(permutations), step))]:
            precision = np.float32 if start else np.float64
            a_unit, b_unit = units[precision]
            rotation, partner = rotations[start:stop].astype(precision), partners[start:stop]
            forward = a_unit[test] @ rotation, b_unit, partner
            backward = b_unit[partner] @ rotation.swapaxes(1, 2), a_unit, 0 * partner + test
            for direction, search in zip(DIRECTIONS, (forward, backward), strict=True):
                for kind, found in _mid_ranks(*search, hubs).items():
                    if (direction, kind) in fold:
                        fold[direction, kind][start:stop] = found
        for kind in kinds:
            result[kind].append(fold[kind])
    return {kind: np.concatenate(parts, axis=1) for kind, parts in result.items()}


def weights(split: Split, items: int) -> np.ndarray:
    """Weight of each test (E,): every tested item counts once, however often it is tested."""
    rows = tested(split)
    times = np.bincount(rows, minlength=items)
    return 1 / (times[rows] * np.count_nonzero(times))


def tested(split: Split) -> np.ndarray:
    """The row that each test is about (E,), in the order of :func:`ranks`."""
    return np.concatenate([test for _, test in split.folds])


def per_item(values: np.ndarray, split: Split, items: int) -> np.ndarray:
    """Each item's mean over its tests (E,) -> (N,); NaN where an item was never tested."""
    rows = tested(split)
    times = np.bincount(rows, minlength=items).astype(float)
    times[times == 0] = np.nan
    return np.bincount(rows, weights=values, minlength=items) / times


def hits(ranks: np.ndarray, k: int) -> np.ndarray:
    """1.0 where the partner is among the k nearest: its mid-rank is at most k."""
    return (ranks <= k).astype(float)


def _unit(X: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(length > 1e-9 * length.max(), length, np.inf)  # at the centre: no direction


def _mid_ranks(
    queries: np.ndarray, pool: np.ndarray, partners: np.ndarray, hubs: int
) -> dict[str, np.ndarray]:
    """Mid-ranks (P, m) by cosine and, if hubs, by CSLS: queries (P, m, c), pool (N, c).

    Tied items share the mean of their places, so a constant similarity ranks everything in the
    middle and hits nothing.  CSLS (Conneau et al., 2018) is 2 cos - r(query) - r(target); r(query)
    shifts all of a query's similarities alike, so it is left out, and the halves of the rest
    compared.  r(target) is the mean cosine to the ``hubs`` nearest queries of the fold.
    """
    shape, tie = queries.shape[:2], TIE[queries.dtype.type]
    own = np.einsum("pmc,pmc->pm", queries, pool[partners])
    queries = np.ascontiguousarray(queries.reshape(-1, pool.shape[1]).T)
    step = min(max(1, BLOCK // own.size), 15_000)  # twice that is what an int16 can count
    starts = range(0, len(pool), step)
    whole = pool @ queries if len(starts) == 1 else None

    def table(start: int) -> np.ndarray:  # (targets, P, m)
        block = pool[start : start + step] @ queries if whole is None else whole
        return block.reshape(-1, *shape)

    offsets = {"cosine": None}
    if hubs:
        offsets["csls"] = np.concatenate([_hubness(table(start), hubs) for start in starts]) / 2
    result = {}
    for kind, offset in offsets.items():
        goal = own if offset is None else own - offset[partners, np.arange(shape[0])[:, None]]
        doubled = np.ones(shape, dtype=int)
        for start in starts:
            near = table(start)
            if offset is not None:
                near = near - offset[start : start + step, :, None]
            level = (near > goal + tie).view(np.int8)  # 2 ahead of the partner, 1 tied, 0 behind
            level += (near > goal - tie).view(np.int8)
            doubled += np.add.reduce(level, axis=0, dtype=np.int16)
        result[kind] = doubled / 2  # (2 ahead + tied, itself included, + 1) / 2
    return result


def _hubness(similarities: np.ndarray, hubs: int) -> np.ndarray:
    # Single precision halves the sorting time; 1e-7 is far below what hubness is known to.
    nearest = np.sort(similarities.astype(np.float32, copy=False), axis=-1)[..., -hubs:]
    share = np.full(nearest.shape[-1], 1 / nearest.shape[-1], dtype=np.float32)
    return (nearest @ share).astype(similarities.dtype)
