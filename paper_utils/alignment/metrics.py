"""Similarities of two embeddings X (N, d1) and Y (N, d2) of the same N items, without a map.

Each metric is an inner product, ``sum(R(X) * R(Y))``, of tables R (N, N) of one side each, from
`RELATIONS`.  Values, nulls (one table's items permuted) and items' shares all come from them."""

from collections.abc import Callable
from numbers import Integral

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.metrics.pairwise import cosine_similarity

TIE = 1e-9  # cosines closer than this are tied: beyond it only rounding differs


def check_embedding(values, name: str = "X", duplicates: float = 0.5) -> np.ndarray:
    """``values`` as float64 (N, d), or a ValueError that names the first problem in one line.
    Refused: not (N, d), N < 4, NaN or infinity, all rows equal, a row with one value throughout
    (d > 1), more than a share ``duplicates`` of rows equal to an earlier row."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not an array of numbers") from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must have shape (N, d), not {array.shape}")
    if (rows := len(array)) < 4:
        raise ValueError(f"{name} has {rows} rows; at least 4 are needed")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ValueError(f"{name} has NaN or infinity in {bad.size} rows, first row {bad[0]}")
    distinct = len({row.tobytes() for row in array + 0.0})  # + 0.0: -0.0 and 0.0 are one value
    if distinct == 1:
        raise ValueError(f"{name} is constant: all {rows} rows are equal (zero variance)")
    flat = np.flatnonzero(np.ptp(array, axis=1) == 0) if array.shape[1] > 1 else np.empty(0)
    if flat.size:
        raise ValueError(f"{name} has {flat.size} constant rows, first row {flat[0]:.0f}")
    if rows - distinct > duplicates * rows:
        raise ValueError(f"{name} has {rows - distinct} of {rows} rows equal to an earlier row "
                         f"(at most {duplicates:.0%} may be)")  # fmt: skip
    return array


def check_pair(X, Y, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as float64, if both pass `check_embedding`, and their common N `check_k`."""
    X, Y = check_embedding(X, "X"), check_embedding(Y, "Y")
    if len(X) != len(Y):
        raise ValueError(f"X has {len(X)} rows and Y has {len(Y)}: row i of both must be one item")
    check_k(k, len(X))
    return X, Y


def check_k(k: int, items: int) -> int:
    """``k``, or a ValueError unless it is an integer with 1 <= k < items."""
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, not {k!r}")
    if items <= k:
        raise ValueError(f"N = {items} items are too few for k = {k} neighbours: N must exceed k")
    return k


def check_choice(value: str, allowed, what: str) -> str:
    """``value`` if it is one of ``allowed``, else a ValueError that lists them."""
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}; choose from {', '.join(map(str, allowed))}")
    return value


def nearest(similar: np.ndarray, k: int) -> np.ndarray:
    """Membership (S, N) of each item in the k nearest of each row of cosines; rows sum to k.
    Ties for the last places share them: an order of rows would be common to two encoders."""
    ahead = similar - np.partition(similar, -k, axis=1)[:, -k, None]  # of the k-th nearest
    sure, tied = ahead > TIE, np.abs(ahead) <= TIE
    share = (k - sure.sum(axis=1)) / tied.sum(axis=1)
    return sure + tied * share[:, None]


def neighbour_graph(X: np.ndarray, k: int) -> np.ndarray:
    """(N, N): `nearest` of every item by cosine, self dropped by its index."""
    similar = cosine_similarity(X)
    np.fill_diagonal(similar, -np.inf)
    return nearest(similar, k)


def gram(X: np.ndarray) -> np.ndarray:
    """U-centred Gram matrix (Szekely and Rizzo, 2014): its inner product is the unbiased HSIC."""
    X = X - X.mean(axis=0)
    X /= np.linalg.norm(X)  # else small inputs underflow
    table, n = X @ X.T, len(X)
    np.fill_diagonal(table, 0)
    rows = table.sum(axis=1) / (n - 2)
    table += rows.sum() / (n - 1) - rows[:, None] - rows
    np.fill_diagonal(table, 0)
    return table / np.linalg.norm(table)


def dissimilarity_ranks(X: np.ndarray) -> np.ndarray:
    """(N, N): centred, normalised ranks of the cosine distances of all pairs of rows."""
    if not np.linalg.norm(X, axis=1).all():
        raise ValueError("a row is zero: it has no cosine distance")
    # Rounding makes equal distances tie, which they do in exact arithmetic only.
    ranks = rankdata(np.round(pdist(X, "cosine"), 12))
    ranks -= ranks.mean()
    if (length := np.linalg.norm(ranks)) == 0:
        raise ValueError("all pairs of rows are equally far apart: no structure to compare")
    return squareform(ranks / length, checks=False) / np.sqrt(2)


RELATIONS: dict[str, Callable] = {
    "mutual_knn": lambda X, k: neighbour_graph(X, k) / np.sqrt(len(X) * k),
    "linear_cka": lambda X, k: gram(X),
    "rsa": lambda X, k: dissimilarity_ranks(X),
}
"""Metric -> R(X, k), an (N, N) table."""


def _inner(metric: str, X, Y, k: int = 1) -> float:
    X, Y = check_pair(X, Y, k)
    return float((RELATIONS[metric](X, k) * RELATIONS[metric](Y, k)).sum())


def mutual_knn(X, Y, k: int = 15) -> float:
    """P@k, neighbour overlap: mean share of common k nearest neighbours (arXiv 2405.07987).

    Cosine, self excluded, ties shared; chance k/(N - 1).  Invariant to rotation, isotropic scaling.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(mutual_knn(X, 2 * X, k=5), 6)
    1.0
    """
    return _inner("mutual_knn", X, Y, k)


def linear_cka(X, Y) -> float:
    """Linear centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

    Kornblith et al. (2019), but with the unbiased HSIC of Song et al. (2012): about 0 for
    independent inputs of any width.  Invariant to rotation, translation and isotropic scaling.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(linear_cka(X, 3 * X + 1), 6)
    1.0
    """
    value = _inner("linear_cka", X, Y)
    if not np.isfinite(value):
        raise ValueError("linear_cka is undefined: too few rows for an unbiased HSIC")
    return value


def rsa(X, Y) -> float:
    """Representational similarity: Spearman correlation of the two cosine distance matrices.

    Kriegeskorte et al. (2008), upper triangles.  Invariant to rotation and isotropic scaling.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> round(rsa(X, 2 * X), 6)
    1.0
    """
    return _inner("rsa", X, Y)
