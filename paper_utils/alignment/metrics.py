"""The scores: how alike are two embeddings X (N, d1) and Y (N, d2) of the same N items?

Every function checks its input and raises ValueError with one line (see :mod:`checks`).  All are
similarities, at most 1, except those whose name ends in ``_distance``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from paper_utils.alignment import checks, retrieval, splits
from paper_utils.alignment.mapping import Reduction

TIE = 1e-9  # cosines closer than this are tied: beyond it only rounding differs
VARIANCE = 0.99  # of either side, that SVCCA keeps


def retrieval_ranks(
    X,
    Y,
    *,
    split: str | splits.Split = "random",
    factors: pd.DataFrame | None = None,
    folds: int = 5,
    dimension: int | None = 32,
    direction: str = "forward",
    similarity: str = "cosine",
    seed: int = 0,
) -> tuple[np.ndarray, splits.Split]:
    """Mid-rank of each test's partner in the whole pool (E,), and the split that was used.

    ``dimension``: components kept on either side (None: all of the narrower side), clipped to the
    rank of the training rows.  ``forward`` maps X and searches Y.  ``split`` is a name in
    ``splits.SPLITS`` (all but the first two need ``factors``) or a :class:`splits.Split`.
    """
    X, Y = checks.pair(X, Y)
    checks.choice(direction, retrieval.DIRECTIONS, "direction")
    checks.choice(similarity, retrieval.SIMILARITIES, "similarity")
    if not isinstance(split, splits.Split):
        split = splits.make(split, len(X), factors, folds, seed)
    sides = (retrieval.spaces(side, split, dimension) for side in (X, Y))
    pairing = np.arange(len(X))[None]
    found = retrieval.ranks(*sides, split, pairing, (similarity,))
    return found[direction, similarity][0], split


def precision_at_k(X, Y, k: int = 15, **options) -> float:
    """P@k, retrieval: share of held-out items whose partner is among the k nearest of the pool.

    A hit rate as in VLCA (arXiv 2302.06555): PCA, centring and the orthogonal map are fitted on
    the training rows, the pool is all N rows; chance is k/N.  Options as for
    :func:`retrieval_ranks`.  In-sample, it is inflated: independent Gaussians score far above
    chance.  Invariant to rotation, translation and isotropic scaling of either side.
    """
    checks.neighbours(k, len(checks.pair(X, Y)[0]))
    ranks, split = retrieval_ranks(X, Y, **options)
    return float(retrieval.hits(ranks, k) @ retrieval.weights(split, len(X)))


def mean_reciprocal_rank(X, Y, **options) -> float:
    """Mean of 1/rank of held-out items' partners; options as for :func:`retrieval_ranks`."""
    ranks, split = retrieval_ranks(X, Y, **options)
    return float((1 / ranks) @ retrieval.weights(split, len(X)))


def neighbour_graph(X: np.ndarray, k: int) -> csr_array:
    """Sparse (N, N): membership of j in the k nearest neighbours of i by cosine; rows sum to k.

    Self is dropped by its index.  Items tied for the last places share them, as under ties broken
    at random: equal fractions instead of an order of rows that two encoders would have in common.
    Computed in blocks, so memory grows with N, not with its square.
    """
    length = np.linalg.norm(X, axis=1, keepdims=True)
    X = X / np.where(length > 0, length, 1.0)
    step = max(1, retrieval.BLOCK // len(X))
    parts = []
    for start in range(0, len(X), step):
        similar = X[start : start + step] @ X.T
        local = np.arange(len(similar))
        similar[local, start + local] = -np.inf
        last = np.partition(similar, -k, axis=1)[:, -k, None]
        rows, columns = np.nonzero(similar >= last - TIE)
        sure = similar[rows, columns] > last[rows, 0] + TIE
        places = k - np.bincount(rows[sure], minlength=len(similar))
        share = places / np.bincount(rows[~sure], minlength=len(similar))
        parts.append((np.where(sure, 1.0, share[rows]), rows + start, columns))
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_array((values, (rows, columns)), shape=(len(X), len(X)))


def mutual_knn(X, Y, k: int = 15) -> float:
    """P@k, neighbour overlap: mean share of common k nearest neighbours (arXiv 2405.07987).

    Cosine similarity, self excluded; chance is k/(N - 1).  With ties, the expected overlap under
    ties broken at random, on either side by itself.  Invariant to rotation and isotropic scaling.
    """
    X, Y = checks.pair(X, Y)
    checks.neighbours(k, len(X))
    shared = neighbour_graph(X, k).multiply(neighbour_graph(Y, k))
    return float(shared.sum() / (len(X) * k))


def linear_cka(X, Y) -> float:
    """Linear centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

    Kornblith et al. (2019), whose value grows with d/N, with the unbiased HSIC of Song et al.
    (2012) instead: near 0 (and possibly below) for independent inputs of any width.  Computed from
    features, so N is not limited by an (N, N) table.  Invariant to rotation, translation and
    isotropic scaling.
    """
    X, Y = (side - side.mean(axis=0) for side in checks.pair(X, Y))
    X, Y = (side / np.linalg.norm(side) for side in (X, Y))  # else small inputs underflow

    def hsic(A: np.ndarray, B: np.ndarray) -> float:
        total, n = np.sum((A.T @ B) ** 2), len(A)
        # The rows of a centred Gram matrix sum to 0; without its diagonal, to minus that.
        a, b = np.sum(A * A, axis=1), np.sum(B * B, axis=1)
        return total - a @ b + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b) / (n - 2)

    scale = hsic(X, X) * hsic(Y, Y)
    if not scale > 0:
        raise ValueError("linear_cka is undefined: too few rows for an unbiased HSIC")
    return float(hsic(X, Y) / np.sqrt(scale))


def dissimilarity_ranks(X: np.ndarray) -> np.ndarray:
    """Centred, normalised ranks of the cosine distances of all N(N - 1)/2 pairs of rows."""
    if not np.linalg.norm(X, axis=1).all():
        raise ValueError("a row is zero: it has no cosine distance")
    # Rounding makes equal distances tie, which they do in exact arithmetic only.
    return _normalised(rankdata(np.round(pdist(X, "cosine"), 12)))


def rsa(X, Y) -> float:
    """Representational similarity: Spearman correlation of the two cosine distance matrices.

    Kriegeskorte et al. (2008), upper triangles, ties at mid-rank.  Invariant to rotation and
    isotropic scaling.  Needs N(N - 1)/2 distances in memory.
    """
    X, Y = checks.pair(X, Y)
    return float(dissimilarity_ranks(X) @ dissimilarity_ranks(Y))


def partial_rsa(X, Y, controls) -> float:
    """RSA given one or several control embeddings: Spearman's partial correlation.

    ``controls``: an array (N, d) or a sequence of them, such as a bag of words; what their
    distances explain of either side's, linearly in the ranks, does not count.
    """
    X, Y = checks.pair(X, Y)
    controls = controls if isinstance(controls, (list, tuple)) else [controls]
    known = [checks.embedding(control, "a control") for control in controls]
    if any(len(control) != len(X) for control in known):
        raise ValueError("a control has other rows than X and Y")
    known = [dissimilarity_ranks(control) for control in known]
    x, y = (residual(dissimilarity_ranks(side), known) for side in (X, Y))
    return float(x @ y)


def angular_procrustes_distance(X, Y, dimension: int | None = None) -> float:
    """arccos(||X'Y||_* / (||X|| ||Y||)) in radians, after centring: 0 (equal) to pi/2.

    Williams et al. (2021).  ``dimension`` keeps so many principal components of either side.  In
    sample, so read it against its null.  Invariant to rotation, translation and isotropic scaling.
    """
    X, Y = checks.pair(X, Y)
    a, b = (subspace("angular_procrustes_distance", side, dimension) for side in (X, Y))
    return float(np.arccos(min(1.0, nuclear_norm(a.T @ b))))


def svcca(X, Y, dimension: int | None = None) -> float:
    """Mean canonical correlation after PCA: SVCCA (Raghu et al., 2017).

    Either side keeps the components that explain VARIANCE of it, at most ``dimension``.  In sample:
    independent inputs score about sqrt(d/N), so read it against its null.
    """
    X, Y = checks.pair(X, Y)
    a, b = (subspace("svcca", side, dimension) for side in (X, Y))
    return float(nuclear_norm(a.T @ b) / min(a.shape[1], b.shape[1]))


# What `evaluate` computes once per encoder, so that a pair costs one product.


def _gram(X: np.ndarray) -> np.ndarray:
    """U-centred Gram matrix (Szekely and Rizzo, 2014): its inner product is the unbiased HSIC."""
    X = X - X.mean(axis=0)
    X = X / np.linalg.norm(X)
    gram, n = X @ X.T, len(X)
    np.fill_diagonal(gram, 0)
    rows = gram.sum(axis=1) / (n - 2)
    gram += rows.sum() / (n - 1) - rows[:, None] - rows
    np.fill_diagonal(gram, 0)
    return gram / np.linalg.norm(gram)


def _distances(X: np.ndarray, controls: Sequence[np.ndarray] = ()) -> np.ndarray:
    ranks = dissimilarity_ranks(X)
    if controls:
        ranks = residual(ranks, [dissimilarity_ranks(control) for control in controls])
    return squareform(ranks, checks=False) / np.sqrt(2)


# Metric -> (X, k, controls) -> a table R(X) (N, N) with metric(X, Y) = sum of R(X) * R(Y).
RELATIONS = {
    "mutual_knn": lambda X, k, _: neighbour_graph(X, k).toarray() / np.sqrt(len(X) * k),
    "linear_cka": lambda X, *_: _gram(X),
    "rsa": lambda X, *_: _distances(X),
    "partial_rsa": lambda X, k, controls: _distances(X, controls),
}


def relation(metric: str, X: np.ndarray, k: int, controls: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The table of one of RELATIONS."""
    return RELATIONS[metric](X, k, controls)


def subspace(metric: str, X: np.ndarray, dimension: int | None) -> np.ndarray:
    """F(X) (N, c) such that the metric is a function of the nuclear norm of F(X)'F(Y)."""
    scores = Reduction.fit(X, dimension).transform(X)
    if metric == "angular_procrustes_distance":
        return scores / np.linalg.norm(scores)
    power = np.sum(scores**2, axis=0)
    total = np.sum((X - X.mean(axis=0)) ** 2)
    keep = 1 + int(np.searchsorted(np.cumsum(power), VARIANCE * total - 1e-9 * total))
    return scores[:, :keep] / np.sqrt(power[:keep])


def nuclear_norm(M: np.ndarray) -> np.ndarray:
    """Sum of singular values of each matrix (..., a, b)."""
    return np.linalg.svd(M, compute_uv=False).sum(axis=-1)


def residual(vector: np.ndarray, regressors: Sequence[np.ndarray]) -> np.ndarray:
    """What a linear regression (with intercept) leaves of a vector, centred and normalised."""
    design = np.column_stack([np.ones(len(vector)), *regressors])
    left = vector - design @ np.linalg.lstsq(design, vector)[0]
    if np.linalg.norm(left) < 1e-9 * np.linalg.norm(vector):
        raise ValueError("nothing is left after the controls: they explain an embedding fully")
    return _normalised(left)


def _normalised(vector: np.ndarray) -> np.ndarray:
    vector = vector - vector.mean()
    length = np.linalg.norm(vector)
    if length == 0:
        raise ValueError("all pairs of rows are equally far apart: no structure to compare")
    return vector / length
