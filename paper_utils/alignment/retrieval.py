"""Precision@k by a fitted map: rotate held-out items into the other space, search the whole pool.

The definition is that of VLCA (arXiv 2302.06555), except that centring and principal components,
too, see the training rows only.  One rotation (Procrustes) serves both directions."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.linalg import norm
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold, KFold

from paper_utils.alignment.checks import check_choice, check_pair, check_seed
from paper_utils.alignment.inference import induced, permutations
from paper_utils.alignment.scores import Score

TIE = 1e-9  # cosines closer than this are tied: beyond it only rounding differs
RANK_TOLERANCE = 1e-9  # directions weaker than this share of the strongest are rounding errors
ROUNDING = 1e-13  # of sums of squares, in units of the largest number
BLOCK = 2**22  # entries of the largest table of cosines that is held at once: 32 MiB
DIRECTIONS = ("forward", "backward")

# --- the map: centring, principal components, rotation -----------------------------------------


class Components:
    """Centring and principal components of one side, from training rows X: (M, d) -> (M, c).

    c is at most ``n_components`` (None: all) and at most the rank of the centred training rows."""

    def __init__(self, X, n_components=None):
        if n_components is not None and n_components < 1:
            raise ValueError(f"n_components must be at least 1, not {n_components}")
        rounding = ROUNDING * np.abs(X).max() * X.size**0.5
        spread = np.ptp(X, axis=0)
        if spread.max() <= rounding:
            raise ValueError("the training rows have zero variance: nothing to align")
        pca = PCA(svd_solver="full")
        pca.fit(X)
        # Directions that only rounding made would be rotated as if they meant something.
        strengths = pca.singular_values_
        weakest = RANK_TOLERANCE * strengths[0]
        rank = np.count_nonzero(strengths > max(weakest, rounding))
        kept = pca.components_[:rank]
        self.mean = pca.mean_  # (d,)
        self.axes = kept[:n_components].T  # (d, c), orthonormal, strongest first

    def transform(self, X):
        """Rows in these components: (M, d) -> (M, c)."""
        return (X - self.mean) @ self.axes

    def inverse_transform(self, reduced):
        """Rows back in the space itself: (M, c or more) -> (M, d); more columns are cut."""
        width = self.axes.shape[1]
        kept = reduced[:, :width]
        return kept @ self.axes.T + self.mean


def rotation(A, B):
    """The orthogonal W (..., c, c) that minimises ||AW - B|| (Schoenemann, 1966).

    >>> A = np.random.default_rng(0).normal(size=(9, 2))
    >>> np.allclose(rotation(A, A @ [[0, 1], [-1, 0]]), [[0, 1], [-1, 0]])
    True
    """
    products = A.swapaxes(-1, -2) @ B
    U, _, V = np.linalg.svd(products)
    return U @ V


def widened(A, width):
    """A (M, c) with columns of 0 up to ``width``."""
    missing = width - A.shape[1]
    return np.pad(A, ((0, 0), (0, missing)))


def equal_width(A, B):
    """Both sides at the width of the wider: to cut it would lose components."""
    width = max(A.shape[1], B.shape[1])
    return widened(A, width), widened(B, width)


def unit_rows(X):
    """Rows of length 1; a row at the centre has no direction and becomes zero."""
    length = norm(X, axis=-1, keepdims=True)
    shortest = TIE * length.max(initial=0)
    divisor = np.where(length > shortest, length, np.inf)
    return X / divisor


class Procrustes(BaseEstimator):
    """The map behind precision@k: centring, principal components, rotation and one scale.

    ``n_components``: kept on either side (None: all), clipped to the rank.  Row i of X (N, d1) and
    of Y (N, d2) must be one item.  Only likeness of shape can help: nothing is stretched.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> Y = 3 * X[:, ::-1] + 1
    >>> procrustes = Procrustes().fit(X, Y)
    >>> np.allclose(procrustes.transform(X), Y), round(procrustes.score(X, Y), 6)
    (True, 1.0)
    """

    def __init__(self, n_components: int | None = 32):
        self.n_components = n_components

    def fit(self, X, Y) -> "Procrustes":
        """Fits the map on paired rows; raises ValueError for what cannot be compared."""
        X, Y = check_pair(X, Y)
        self.source_ = Components(X, self.n_components)
        self.target_ = Components(Y, self.n_components)
        a = self.source_.transform(X)
        b = self.target_.transform(Y)
        self.scale_ = norm(b) / norm(a)
        self.rotation_ = rotation(*equal_width(a, b))  # (c, c)
        return self

    def transform(self, X) -> np.ndarray:
        """Images of rows of the first space in the second: (M, d1) -> (M, d2)."""
        reduced = self._reduced(self.source_, X)
        image = reduced @ self.rotation_ * self.scale_
        return self.target_.inverse_transform(image)

    def inverse_transform(self, Y) -> np.ndarray:
        """Images of rows of the second space in the first: (M, d2) -> (M, d1)."""
        reduced = self._reduced(self.target_, Y)
        image = reduced @ self.rotation_.T / self.scale_
        return self.source_.inverse_transform(image)

    def score(self, X, Y) -> float:
        """Mean cosine of each row's image with its partner: 1 for a turned, scaled, moved copy."""
        image = self._reduced(self.source_, X) @ self.rotation_
        target = self._reduced(self.target_, Y)
        products = unit_rows(image) * unit_rows(target)
        return float(products.sum(axis=1).mean())

    def _reduced(self, components, rows):
        reduced = components.transform(np.asarray(rows, dtype=float))
        return widened(reduced, len(self.rotation_))


# --- what is held out --------------------------------------------------------------------------


@dataclass(frozen=True)
class Folds:
    """Pairs of training and test rows, and ``blocks`` (N,), a label of the fold that tests a row.

    A null permutes rows within blocks, so it keeps every training set, and its test is exact."""

    pairs: list
    blocks: np.ndarray

    @property
    def tested(self):
        """Test rows, fold after fold: int (E,)."""
        return np.concatenate([test for _, test in self.pairs])

    @property
    def once(self):
        """Whether every row is tested exactly once."""
        times = np.bincount(self.tested, minlength=len(self.blocks))
        return bool((times == 1).all())

    @property
    def in_sample(self):
        """Whether a map is tested on rows that it was fitted on."""
        shared = [np.intersect1d(*pair) for pair in self.pairs]
        return any(map(len, shared))

    def mean(self, values):
        """Mean over rows of each row's mean over its tests: (..., E) -> (...)."""
        times = np.bincount(self.tested)
        weights = 1 / times[self.tested]
        means = values @ weights / np.count_nonzero(times)
        return means.round(12)  # so that 1 is 1


def make_folds(n, cv=5, groups=None, random_state=0):
    """`Folds` over n rows.

    ``cv``: a number of shuffled folds, a scikit-learn splitter, or pairs of index arrays;
    ``groups``: (n,) labels, rows that share one stay together.  Raises ValueError for a number
    outside 2 to n/2 and for empty folds."""
    if groups is not None and len(groups) != n:
        raise ValueError(f"groups has {len(groups)} labels for {n} rows")
    if isinstance(cv, int):
        most = n // 2
        if not 2 <= cv <= most:
            raise ValueError(f"cv must lie between 2 and N/2 = {most}, not {cv}")
        seed = check_seed(random_state)
        splitter = KFold if groups is None else GroupKFold
        cv = splitter(cv, shuffle=True, random_state=seed)
    if hasattr(cv, "split"):
        rows = np.zeros((n, 1))  # splitters ask for their number alone
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of splitters that ignore groups
            cv = list(cv.split(rows, groups=groups))
        _check_groups(cv, groups)
    pairs = [tuple(map(np.asarray, pair)) for pair in cv]
    sizes = [rows.size for pair in pairs for rows in pair]
    if min(sizes, default=0) == 0:
        raise ValueError("cv leaves nothing to fit or nothing to test")
    blocks = np.zeros(n, dtype=int)
    folds = Folds(pairs, blocks)
    # Where tests overlap, rows may go anywhere: no training set can be kept.
    if folds.once:
        for number, (_, test) in enumerate(pairs):
            blocks[test] = number
    return folds


def _check_groups(pairs, groups):
    """Refuses folds of a splitter that ignores groups."""
    for train, test in [] if groups is None else pairs:
        labels = np.asarray(groups)
        if np.isin(labels[test], labels[train]).any():
            raise ValueError("cv separates rows of one group: use a splitter as GroupKFold")


# --- the search --------------------------------------------------------------------------------


def reduce_folds(X, folds, n_components, asked=None):
    """Per fold all rows of X (N, d), centred and reduced as its training rows say: (N, c) each.

    ``asked`` (M, d): other rows of the same space, reduced in place of those of X."""
    found = []
    for train, _ in folds.pairs:
        components = Components(X[train], n_components)
        rows = X if asked is None else asked
        found.append(components.transform(rows))
    return found


def count_nearer(queries, pool, partners):
    """How many of the pool are nearer to a query than its partner, and how many as near, by cosine.

    Unit rows queries (P, m, c) and pool (N, c), partners int (P, m) -> int (P, m) each; the partner
    counts among the tied."""
    products = queries * pool[partners]  # (P, m, c)
    own = products.sum(axis=2, keepdims=True)
    above = own + TIE
    below = own - TIE
    nearer = 0
    reached = 0
    # The pool in blocks: a table of all cosines would not fit for many rows.
    step = max(1, BLOCK // own.size)
    for start in range(0, len(pool), step):
        block = pool[start : start + step]
        cosines = queries @ block.T  # (P, m, S)
        nearer += np.count_nonzero(cosines > above, axis=2)
        reached += np.count_nonzero(cosines > below, axis=2)
    return nearer, reached - nearer


def hit_chance(nearer, tied, k):
    """Chance that the partner is among the k nearest, ties broken at random: 0 to 1.

    >>> hit_chance(np.array([0, 2, 1]), np.array([1, 1, 4]), k=2).tolist()
    [1.0, 0.0, 0.25]
    """
    places = k - nearer
    return np.clip(places / tied, 0.0, 1.0)


def retrieve(A, B, folds, pairings):
    """Direction -> [`count_nearer` of each fold's tests (P, m)], under all pairings.

    A, B: per fold (N, c), from `reduce_folds`.  Row p of ``pairings`` (P, N) pairs item i of A with
    item pairings[p, i] of B, within the training and within the test rows of each fold, and the map
    is refitted.  ``forward`` maps A and searches B; ``backward`` maps B and searches A."""
    forward = []
    backward = []
    for (train, test), *sides in zip(folds.pairs, A, B):
        a, b = equal_width(*sides)
        fitted = b[induced(pairings, train)]  # (P, n, c)
        W = rotation(a[train], fitted)  # (P, c, c)
        a = unit_rows(a)
        b = unit_rows(b)
        partners = induced(pairings, test)  # (P, m)
        image = a[test] @ W  # (P, m, c)
        forward.append(count_nearer(image, b, partners))
        # The same rotation, transposed, leads back.
        image = b[partners] @ W.swapaxes(1, 2)
        tests = np.broadcast_to(test, partners.shape)
        backward.append(count_nearer(image, a, tests))
    return {"forward": forward, "backward": backward}


def precision_draws(A, B, folds, pairings, ks):
    """(k, direction) -> precision@k (P,) under all pairings; directions: forward, backward, both.

    A, B: per fold (N, c), from `reduce_folds`; pairings: (P, N), as for `retrieve`."""
    draws = {(k, way): [] for k in ks for way in DIRECTIONS}
    # So many pairings at once that their copies of one side stay within some BLOCKs.
    entries = max(A[0].size, B[0].size)
    step = max(1, 4 * BLOCK // entries)
    for start in range(0, len(pairings), step):
        some = pairings[start : start + step]
        found = retrieve(A, B, folds, some)
        for k, way in draws:
            hits = [hit_chance(*counts, k) for counts in found[way]]
            every = np.concatenate(hits, axis=1)  # (P, E)
            draws[k, way].extend(folds.mean(every))
    # Neither direction is the right one: their mean is what is told.
    for k in ks:
        ways = [draws[k, way] for way in DIRECTIONS]
        draws[k, "both"] = np.mean(ways, axis=0)
    return {key: np.array(values) for key, values in draws.items()}


def precision_at_k(
    X,
    Y,
    k: int = 15,
    *,
    cv: int | Iterable = 5,
    groups: Sequence | None = None,
    direction: str = "both",
    n_components: int | None = 32,
    n_permutations: int = 0,
    random_state: int = 0,
) -> Score:
    """P@k, retrieval: share of held-out items whose partner is among the k nearest of the pool.

    Arguments:
        X, Y: (N, d1) and (N, d2), row i of both is one item; tables with ids must agree in them.
        k: neighbours that count, by cosine; the pool is all N rows, so chance is k/N.
        cv: a number of shuffled folds, a scikit-learn splitter, or pairs of index arrays.
        groups: (N,) labels; rows that share one stay together.
        direction: ``forward`` maps X and searches Y, ``backward`` maps Y and searches X, ``both``
            is the mean of the two.
        n_components: principal components kept on either side (None: all), clipped to the rank.
        n_permutations: draws of the null, which permutes the pairing and refits the map.

    Ties are broken at random.  Invariant to rotation, translation and isotropic scaling of a side.
    Time grows as N^2, memory as N (20,000 rows stay within 4 GiB).  Raises ValueError, one line,
    for input that would make the number meaningless.

    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> precision_at_k(X, X[:, ::-1], k=1)
    precision@1 = 1.000 (chance 0.017, n = 60)
    """
    X, Y = check_pair(X, Y, k)
    check_choice(direction, (*DIRECTIONS, "both"), "direction")
    n = len(X)
    folds = make_folds(n, cv, groups, random_state)
    shuffled = permutations(n, n_permutations, random_state, folds.blocks)
    pairings = np.vstack([np.arange(n), shuffled])  # the true one first
    A = reduce_folds(X, folds, n_components)
    B = reduce_folds(Y, folds, n_components)
    draws = precision_draws(A, B, folds, pairings, [k])
    name = f"precision@{k}"
    return Score.tested(draws[k, direction], name, k / n, n)
