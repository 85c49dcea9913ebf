"""Precision@k by a fitted map: rotate held-out items into the other space, search the whole pool.

The definition is that of VLCA (arXiv 2302.06555), except that centring and principal components,
too, see the training rows only.  One rotation (Procrustes) serves both directions."""

import warnings

import numpy as np
from numpy.linalg import norm
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold, KFold

from paper_utils.alignment.checks import check_pair
from paper_utils.alignment.inference import pairings
from paper_utils.alignment.scores import Score

TIE = 1e-9  # cosines closer than this are tied: beyond it only rounding differs
RANK_TOLERANCE = 1e-9  # directions weaker than this share of the strongest are rounding errors
DIRECTIONS = ("forward", "backward", "both")

# --- the map: centring, principal components, rotation -----------------------------------------


class NothingToAlign(ValueError):
    """Rows that are all equal."""


class Components:
    """Centring and principal components of one side, from training rows X: (M, d) -> (M, c).

    c is at most ``n_components`` (None: all) and at most the rank of the centred training rows.

    >>> Components(np.eye(4), 2).transform(np.eye(4)).shape
    (4, 2)
    """

    def __init__(self, X, n_components=None):
        if n_components is not None and n_components < 1:
            raise ValueError(f"n_components must be at least 1, not {n_components}")
        if (X == X[0]).all():
            raise NothingToAlign("the training rows have zero variance: nothing to align")
        self.mean = X.mean(axis=0)  # (d,)
        _, strengths, axes = np.linalg.svd(X - self.mean, full_matrices=False)
        # Directions that only rounding made would be rotated as if they meant something.
        real = strengths > RANK_TOLERANCE * strengths[0]
        self.axes = axes[real][:n_components].T  # (d, c), orthonormal, strongest first

    def transform(self, X):
        """Rows in these components: (M, d) -> (M, c)."""
        return (np.asarray(X) - self.mean) @ self.axes


def rotation(A, B):
    """The W (a, b) that minimises ||AW - B|| for A (M, a) and B (M, b): orthogonal where a = b,
    else a part of the orthogonal matrix of the wider (Schoenemann, 1966).

    >>> A = np.random.default_rng(0).normal(size=(9, 2))
    >>> np.allclose(rotation(A, A @ [[0, 1], [-1, 0]]), [[0, 1], [-1, 0]])
    True
    """
    U, _, V = np.linalg.svd(A.T @ B, full_matrices=False)
    return U @ V


def unit_rows(X):
    """Rows of length 1; a row at the centre has no direction and becomes zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = norm(X, axis=-1, keepdims=True)
    shortest = TIE * length.max(initial=0)
    return X / np.where(length > shortest, length, np.inf)


class Procrustes(BaseEstimator):
    """The map behind precision@k: centring, principal components, rotation and one scale.

    ``n_components``: kept on either side (None: all), clipped to the rank.  Row i of X (N, d1) and
    of Y (N, d2) must be one item.  Only likeness of shape can help: nothing is stretched.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> Y = 3 * X[:, ::-1] + 1
    >>> procrustes = Procrustes().fit(X, Y)
    >>> np.allclose(procrustes.transform(X), Y)
    True
    """

    def __init__(self, n_components=32):
        self.n_components = n_components

    def fit(self, X, Y):
        """Fits the map on paired rows; raises ValueError for what cannot be compared."""
        X, Y = check_pair(X, Y)
        self.source_ = Components(X, self.n_components)
        self.target_ = Components(Y, self.n_components)
        a = self.source_.transform(X)
        b = self.target_.transform(Y)
        self.scale_ = norm(b) / norm(a)
        self.rotation_ = rotation(a, b)  # (c1, c2)
        return self

    def transform(self, X):
        """Images of rows of the first space in the second: (M, d1) -> (M, d2)."""
        image = self.source_.transform(X) @ self.rotation_
        return image * self.scale_ @ self.target_.axes.T + self.target_.mean


# --- what is held out --------------------------------------------------------------------------


class Folds:
    """Pairs of training and test rows, of n rows in all; every row is tested exactly once.

    Attributes:
        pairs: index arrays (train, test).
        blocks: (n,) labels of rows that stand in the same tests and training sets.  A null permutes
            rows within blocks, so it keeps all of these, and its test is exact.
        in_sample: whether a map is tested on rows that it was fitted on.

    >>> Folds([([0, 1], [2, 3]), ([2, 3], [0, 1])], n=4).blocks.tolist()
    [1, 1, 0, 0]
    """

    def __init__(self, pairs, n):
        self.pairs = list(pairs)
        rows = np.arange(n)
        # Of tests that overlap no null could keep every training set.
        if not np.array_equal(np.sort(np.concatenate([test for _, test in self.pairs])), rows):
            raise ValueError("cv must test every row exactly once")
        self.in_sample = self.share(rows)
        # Fold by fold: whether a row stands outside of its test, and in its training set.
        stands = [np.isin(rows, test, invert=True) for _, test in self.pairs]
        stands += [np.isin(rows, train) for train, _ in self.pairs]
        self.blocks = np.unique(stands, axis=1, return_inverse=True)[1].ravel()

    def share(self, labels):
        """Whether a test has a label (n,) of its training rows."""
        return any(np.isin(labels[test], labels[train]).any() for train, test in self.pairs)


def make_folds(n, cv=5, groups=None, random_state=0):
    """`Folds` over n rows.

    ``cv``: a number of shuffled folds, a scikit-learn splitter, or pairs of index arrays;
    ``groups``: (n,) labels, rows that share one stay together.  Raises ValueError for a number
    outside 2 to n/2, for a splitter that separates a group, and unless every row is tested once.

    >>> [len(test) for _, test in make_folds(10, cv=2).pairs]
    [5, 5]
    """
    if isinstance(cv, int):
        # Of one row a fold, nothing could be permuted.
        if not 2 <= cv <= n // 2:
            raise ValueError(f"cv must lie between 2 and N/2 = {n // 2}, not {cv}")
        splitter = KFold if groups is None else GroupKFold
        cv = splitter(cv, shuffle=True, random_state=random_state)
    if not hasattr(cv, "split"):
        return Folds(cv, n)
    # Splitters that ignore groups say so, and are refused below if it matters.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        folds = Folds(cv.split(np.zeros(n), groups=groups), n)
    if groups is not None and folds.share(np.asarray(groups)):
        raise ValueError("cv separates rows of one group: use a splitter as GroupKFold")
    return folds


# --- the search --------------------------------------------------------------------------------


def reduce_folds(X, folds, n_components, asked=None):
    """Per fold all rows of X (N, d), centred and reduced as its training rows say: (N, c) each.

    ``asked`` (M, d): other rows of the same space, reduced in place of those of X.

    >>> [rows.shape for rows in reduce_folds(np.eye(6), make_folds(6, cv=2), 2)]
    [(6, 2), (6, 2)]
    """
    rows = X if asked is None else asked
    return [Components(X[train], n_components).transform(rows) for train, _ in folds.pairs]


def fold_images(fitted, asked, folds):
    """Yields of each fold its test rows (m,), and cosines (m, N) of their images with all rows of
    the other side: forward, those of the first side with the second, and backward.

    ``fitted``: two sides, per fold (N, c), from `reduce_folds`; training rows say the rotation.
    ``asked``: two sides, likewise, whose rows are mapped and searched.

    >>> folds = make_folds(6, cv=2)
    >>> sides = [reduce_folds(np.eye(6), folds, None)] * 2
    >>> [forward.shape for _, forward, _ in fold_images(sides, sides, folds)]
    [(3, 6), (3, 6)]
    """
    for (train, test), a, b, asked_a, asked_b in zip(folds.pairs, *fitted, *asked):
        W = rotation(a[train], b[train])
        asked_a = unit_rows(asked_a)
        asked_b = unit_rows(asked_b)
        # The same rotation, transposed, leads back.
        yield test, asked_a[test] @ W @ asked_b.T, asked_b[test] @ W.T @ asked_a.T


def hit_chance(cosines, partners, ks):
    """Chance (K, m) that the partner is among the k nearest of the pool, ties broken at random.

    Cosines (m, N) of m queries with a pool; partners (m,), places in the pool; ks (K,).

    >>> hit_chance(np.array([[0.9, 0.5, 0.5]]), [1], [1, 2, 3]).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    own = np.take_along_axis(cosines, np.reshape(partners, (-1, 1)), axis=1)
    nearer = np.count_nonzero(cosines > own + TIE, axis=1)
    reached = np.count_nonzero(cosines > own - TIE, axis=1)
    # The partner is one of those that are tied.
    return np.clip((np.reshape(ks, (-1, 1)) - nearer) / (reached - nearer), 0, 1)


def with_mean(values):
    """Values (2, ...) forward and backward -> (3, ...), with both, their mean, as the last.

    >>> with_mean(np.array([0.2, 0.4])).round(6).tolist()
    [0.2, 0.4, 0.3]
    """
    # Neither direction is the right one: their mean is what is told.
    return np.array([*values, np.mean(values, axis=0)])


def precision_draws(A, B, folds, pairings, ks):
    """precision@k (K, 3, P) under all pairings: forward, backward, both.

    A, B: per fold (N, c), from `reduce_folds`.  Row p of ``pairings`` (P, N), which keep the blocks
    of the folds, pairs item i of A with item pairings[p, i] of B, and the map is refitted.
    ``forward`` maps A and searches B; ``backward`` maps B and searches A.

    >>> folds = make_folds(6, cv=2)
    >>> sides = [reduce_folds(np.eye(6), folds, None)] * 2
    >>> precision_draws(*sides, folds, np.arange(6)[None], [5]).shape
    (1, 3, 1)
    """
    draws = []
    for pairing in pairings:
        # Partners stand in one row, so a row's own place is the right one.
        sides = A, [b[pairing] for b in B]
        hits = []
        for test, *ways in fold_images(sides, sides, folds):
            hits.append([hit_chance(cosines, test, ks) for cosines in ways])  # (2, K, m)
        draws.append(np.concatenate(hits, axis=2).mean(axis=2).T)  # (K, 2)
    values = np.array(draws).round(12).T  # (2, K, P); so that 1 is 1
    return with_mean(values).swapaxes(0, 1)


def precision_at_k(
    X, Y, k=15, *, cv=5, groups=None, n_components=32, n_permutations=0, random_state=0
) -> Score:
    """P@k, retrieval: share of held-out items whose partner is among the k nearest of the pool.

    Arguments:
        X, Y: (N, d1) and (N, d2), row i of both is one item; tables with ids must agree in them.
        k: neighbours that count, by cosine; the pool is all N rows, so chance is k/N.
        cv: a number of shuffled folds, a scikit-learn splitter, or pairs of index arrays.
        groups: (N,) labels; rows that share one stay together.
        n_components: principal components kept on either side (None: all), clipped to the rank.
        n_permutations: draws of the null, which permutes the pairing and refits the map.

    The value is the mean of both directions: X is mapped and Y searched, and the other way round.
    Ties are broken at random.  Invariant to rotation, translation and isotropic scaling of a side.
    Time and memory grow as N^2 (20,000 rows stay within 4 GiB).  Raises ValueError, one line, for
    input that would make the number meaningless.

    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> precision_at_k(X, X[:, ::-1], k=1)
    precision@1 = 1.000 (chance 0.017, n = 60)
    """
    X, Y = check_pair(X, Y, k)
    n = len(X)
    folds = make_folds(n, cv, groups, random_state)
    sides = [reduce_folds(side, folds, n_components) for side in (X, Y)]
    # Only such pairings as keep the folds can be drawn again exactly.
    shuffled = pairings(n, n_permutations, random_state, folds.blocks)
    [[_, _, both]] = precision_draws(*sides, folds, shuffled, [k])
    return Score.tested(both, f"precision@{k}", k / n, n)
