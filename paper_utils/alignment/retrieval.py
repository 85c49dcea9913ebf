"""Precision@k by a fitted map: rotate held-out items into the other space, search the whole pool.

The definition is that of VLCA (arXiv 2302.06555), except that centring and principal components,
too, see the training rows only.  One rotation (Procrustes) serves both directions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from paper_utils.alignment.inference import induced
from paper_utils.alignment.metrics import TIE, check_choice, check_pair

BLOCK = 2**22  # entries of the largest table of cosines that is held at once: 32 MiB
DIRECTIONS = ("forward", "backward")
FACTORS = {"colour": ("colour", "second_colour"), "type": ("type", "second_type"),
           "verb": ("verb",), "template": ("template",)}  # fmt: skip
SPLITS = ("in_sample", "random", *FACTORS)
RANK_TOLERANCE = 1e-9  # directions weaker than this share of the strongest are rounding errors


@dataclass(frozen=True)
class Split:
    """Folds of (training rows, test rows), and ``blocks`` (N,), a label of each row's random fold.
    A null permutes rows within blocks, so it keeps every training set, and its test is exact."""

    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    blocks: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over rows of each row's mean over its tests, fold after fold: (..., E) -> (...)."""
        tested = np.concatenate([test for _, test in self.folds])
        times = np.bincount(tested)[tested]
        return np.round(values @ (1 / times) / len(set(tested)), 12)  # 1 is 1


def make_split(
    name: str, items: int, factors: pd.DataFrame | None = None, folds: int = 5, seed: int = 0,
    groups: Sequence | None = None,
) -> Split:  # fmt: skip
    """The split called ``name`` over ``items`` rows.

    - ``in_sample``: train = test = all rows.  A warning, not a result: Procrustes fits noise.
    - ``random``: shuffled ``folds``-fold; rows that share a label in ``groups`` stay together.
    - ``colour``, ``type``, ``verb``, ``template``: test = every row that mentions the level.

    Raises ValueError for an unknown name, missing factor columns, or nothing to leave out."""
    check_choice(name, SPLITS, "split")
    everything, blocks = np.arange(items), np.zeros(items, dtype=int)
    if name == "in_sample":
        return Split(((everything, everything),), blocks)
    if name == "random":
        if not 2 <= folds <= items // 2:
            raise ValueError(f"folds must lie between 2 and N/2 = {items // 2}, not {folds}")
        splitter = (KFold if groups is None else GroupKFold)(folds, shuffle=True, random_state=seed)
        parts = tuple(splitter.split(everything, groups=groups))
        for fold, (_, test) in enumerate(parts):
            blocks[test] = fold
        return Split(parts, blocks)
    if factors is None:
        raise ValueError(f"split {name!r} needs the table of factors")
    if len(factors) != items:
        raise ValueError(f"factors has {len(factors)} rows, the embeddings have {items}")
    for column in FACTORS[name]:
        if column not in factors:
            raise ValueError(f"factors has no column {column!r}")
    mentions = factors[list(FACTORS[name])].astype(str).to_numpy()
    levels = filter(None, np.unique(mentions))  # "" is the absence of a level
    tests = [(mentions == level).any(axis=1) for level in levels]
    parts = tuple((everything[~t], everything[t]) for t in tests if (~t).sum() > 3)
    if len(parts) < 2:
        raise ValueError(f"split {name!r} needs at least two levels to leave out in turn")
    return Split(parts, blocks)


def possible_splits(factors: pd.DataFrame) -> list[str]:
    """The names in SPLITS that these instructions allow: one verb alone cannot be left out."""
    possible = []
    for name in SPLITS:
        with suppress(ValueError):
            make_split(name, len(factors), factors, folds=2)
            possible.append(name)
    return possible


class Reduction:
    """Centring and principal components of one side: (N, d) -> (N, components), at most
    ``dimension``, clipped to the rank of the centred rows X (N, d)."""

    def __init__(self, X: np.ndarray, dimension: int | None = None):
        if dimension is not None and dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        self.mean = X.mean(axis=0)  # (d,)
        _, singular, axes = np.linalg.svd(X - self.mean, full_matrices=False)
        rounding = 1e-13 * np.abs(X).max() * X.size**0.5
        rank = int(np.sum(singular > max(RANK_TOLERANCE * singular[0], rounding)))
        if rank == 0:
            raise ValueError("the training rows have zero variance: nothing to align")
        self.components = axes[:rank][:dimension].T  # (d, c), orthonormal, strongest first

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rows in the fitted components: (M, d) -> (M, c)."""
        return (X - self.mean) @ self.components


def procrustes(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The orthogonal W (..., c, c) that minimises ||AW - B|| (Schoenemann, 1966).

    >>> A = np.random.default_rng(0).normal(size=(9, 2))
    >>> np.allclose(procrustes(A, A @ [[0, 1], [-1, 0]]), [[0, 1], [-1, 0]])
    True
    """
    U, _, V = np.linalg.svd(A.swapaxes(-1, -2) @ B)
    return U @ V


def equal_width(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides at the width of the wider (to cut it would lose components), by columns of 0."""
    width = max(a.shape[1], b.shape[1])
    return tuple(np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (a, b))


def reduced(X: np.ndarray, split: Split, dimension: int | None) -> list[np.ndarray]:
    """Per fold all rows of X (N, d), centred and reduced as its training rows say."""
    return [Reduction(X[train], dimension).transform(X) for train, _ in split.folds]


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row at the centre has no direction and becomes zero."""
    length = np.linalg.norm(X, axis=-1, keepdims=True)
    return X / np.where(length > 1e-9 * length.max(initial=0), length, np.inf)


def nearer(queries: np.ndarray, pool: np.ndarray,
           partners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """How many of the pool are nearer to a query than its partner, and how many as near, by cosine.
    Unit rows queries (P, m, c) and pool (N, c), partners int (P, m) -> int (P, m) each; the partner
    counts among the tied."""
    own = np.einsum("pmc,pmc->pm", queries, pool[partners])
    ahead, reached = np.zeros(own.shape, dtype=int), np.zeros(own.shape, dtype=int)
    step = max(1, BLOCK // own.size)
    for start in range(0, len(pool), step):
        near = queries @ pool[start : start + step].T  # (P, m, S)
        ahead += np.count_nonzero(near > own[..., None] + TIE, axis=2)
        reached += np.count_nonzero(near > own[..., None] - TIE, axis=2)
    return ahead, reached - ahead


def hits(ahead: np.ndarray, tied: np.ndarray, k: int) -> np.ndarray:
    """Chance that the partner is among the k nearest, ties broken at random: 0 to 1.

    >>> hits(np.array([0, 2, 1]), np.array([1, 1, 4]), k=2).tolist()
    [1.0, 0.0, 0.25]
    """
    return np.clip((k - ahead) / tied, 0.0, 1.0)


def search(A: list[np.ndarray], B: list[np.ndarray], split: Split,
           permutations: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Direction -> `nearer` of all tests, fold after fold (P, E), under all pairings of A with B.
    A, B: per fold (N, c), from `reduced`.  Row p of ``permutations`` (P, N) pairs item i of A with
    item permutations[p, i] of B, within the training and within the test rows of each fold, and the
    map is refitted.  ``forward`` maps A and searches B; ``backward`` maps B and searches A."""
    parts: dict[str, list] = {direction: [] for direction in DIRECTIONS}
    for (train, test), a, b in zip(split.folds, A, B, strict=True):
        a, b = equal_width(a, b)
        W = procrustes(a[train], b[induced(permutations, train)])  # (P, c, c)
        partners, a, b = induced(permutations, test), unit_rows(a), unit_rows(b)
        parts["forward"].append(nearer(a[test] @ W, b, partners))
        back = b[partners] @ W.swapaxes(1, 2)
        parts["backward"].append(nearer(back, a, np.broadcast_to(test, partners.shape)))
    return {way: tuple(np.concatenate(found, axis=2)) for way, found in parts.items()}


def precision_at_k(
    X, Y, k: int = 15, *, split: str | Split = "random", factors: pd.DataFrame | None = None,
    folds: int = 5, dimension: int | None = 32, direction: str = "forward", seed: int = 0,
) -> float:  # fmt: skip
    """P@k, retrieval: share of held-out items whose partner is among the k nearest of the pool.

    Arguments:
        X, Y: (N, d1) and (N, d2), row i of both is one item.
        k: neighbours that count; the pool is all N rows, so chance is k/N.
        split: a name in SPLITS (all but the first two need ``factors``) or a `Split`.
        dimension: components kept on either side (None: all), clipped to the rank.
        direction: ``forward`` maps X and searches Y, ``backward`` maps Y and searches X.

    Ties are broken at random.  Invariant to rotation, translation and isotropic scaling of a side.
    Raises ValueError, one line, for input that would make the number meaningless.

    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> precision_at_k(X, X @ np.linalg.qr(X.T @ X)[0], k=1)
    1.0
    """
    X, Y = check_pair(X, Y, k)
    check_choice(direction, DIRECTIONS, "direction")
    if not isinstance(split, Split):
        split = make_split(split, len(X), factors, folds, seed)
    spaces = (reduced(side, split, dimension) for side in (X, Y))
    counts = search(*spaces, split, np.arange(len(X))[None])[direction]
    return float(split.mean(hits(*(part[0] for part in counts), k)))
