"""Similarities of two embeddings X (N, d1) and Y (N, d2) of the same N items, without a map.

Each is an inner product, ``sum(T(X) * T(Y))``, of tables T (N, N) of one side each.  Values and
nulls (one table's items permuted) come from these tables.  All are similarities: 1 is the most."""

from functools import partial

import numpy as np
from numpy.linalg import norm
from scipy.sparse import csr_array, vstack
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.utils import gen_batches

from paper_utils.alignment.checks import check_pair
from paper_utils.alignment.inference import pairings
from paper_utils.alignment.retrieval import TIE
from paper_utils.alignment.scores import Score

BLOCK = 2**22  # entries of the largest table of cosines that is held at once: 32 MiB
SMALLEST = 1e-12  # norm of a table below which nothing but rounding is left


def neighbour_graph(X, k):
    """(N, N), sparse: cosine membership in the k nearest, scaled to a norm of 1 without ties.

    What is tied for the last places shares them: an order of rows would be common to two encoders.

    >>> neighbour_graph(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).toarray().round(2)[0]
    array([0.  , 0.58, 0.  ])
    """
    blocks = []
    # A block of rows at a time: a table of all cosines would not fit for many rows.
    for rows in gen_batches(len(X), max(1, BLOCK // len(X))):
        cosines = cosine_similarity(X[rows], X)
        # Self is dropped by its index: of duplicates, the first neighbour may be another.
        np.fill_diagonal(cosines[:, rows], -np.inf)
        last = np.partition(cosines, -k, axis=1)[:, [-k]]  # that of the k-th nearest
        nearer = cosines - last > TIE
        tied = np.abs(cosines - last) <= TIE
        places = k - nearer.sum(axis=1, keepdims=True)
        share = places / tied.sum(axis=1, keepdims=True)
        blocks.append(csr_array(nearer + tied * share))
    return vstack(blocks, format="csr") / np.sqrt(len(X) * k)


def gram_table(X):
    """U-centred Gram matrix (Szekely and Rizzo, 2014): its inner product is the unbiased HSIC.

    >>> gram_table(np.eye(5)[:, :2]).shape
    (5, 5)
    """
    X = X - X.mean(axis=0)
    X /= norm(X)  # else small inputs underflow
    table = X @ X.T
    # An item's product with itself is what makes the usual estimate too large.
    np.fill_diagonal(table, 0)
    rows = table.sum(axis=1) / (len(X) - 2)
    total = rows.sum() / (len(X) - 1)
    table += total - rows[:, None] - rows
    np.fill_diagonal(table, 0)
    return _normalised(table)


def distance_ranks(X):
    """(N, N): centred, normalised ranks of the cosine distances of all pairs of rows; NaN where a
    row has no direction.

    >>> distance_ranks(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])).round(2)[0]
    array([ 0. , -0.5,  0.5])
    """
    # Rounding makes equal distances tie, which they do in exact arithmetic only.
    distances = pdist(X, "cosine").round(12)
    ranks = rankdata(distances)
    ranks -= ranks.mean()
    return _normalised(squareform(ranks, checks=False))


def _normalised(table):
    """A table of norm 1, or of NaN where it holds nothing to compare."""
    length = norm(table)
    return table / (length if length > SMALLEST else np.nan)


def inner_products(first, second, pairings):
    """<T(X), T(Y) with items permuted> (P,) for two tables (N, N), both dense or both sparse.

    Row p of ``pairings`` (P, N): item i of the first meets item pairings[p, i] of the second.

    >>> inner_products(np.eye(2), np.eye(2), np.array([[0, 1], [1, 0]])).tolist()
    [2.0, 2.0]
    """
    # Items are permuted, so rows and columns together.
    return np.array([(first * second[order][:, order]).sum() for order in pairings])


def measures(n, k):
    """Name of a measure -> what makes its table of a space, and chance, for n items, k neighbours.

    >>> list(measures(50, k=5))
    ['mutual k-NN@5', 'linear CKA', 'RSA']
    """
    return {
        f"mutual k-NN@{k}": (partial(neighbour_graph, k=k), k / (n - 1)),
        "linear CKA": (gram_table, 0.0),
        "RSA": (distance_ranks, 0.0),
    }


def _score(measure, X, Y, k, n_permutations, random_state):
    X, Y = check_pair(X, Y, k)
    n = len(X)
    table, chance = measures(n, k)[measure]
    draws = inner_products(table(X), table(Y), pairings(n, n_permutations, random_state))
    if np.isnan(draws[0]):
        reason = "a row has no direction, or all pairs of rows are equally far apart"
        raise ValueError(f"{measure} is undefined: {reason}")
    return Score.tested(draws, measure, chance, n)


def mutual_knn(X, Y, k=15, *, n_permutations=0, random_state=0) -> Score:
    """P@k, neighbour overlap: mean share of common k nearest neighbours (arXiv 2405.07987).

    X (N, d1), Y (N, d2): row i of both is one item.  Cosine, self excluded, ties shared; chance
    k/(N - 1).  Invariant to rotation and isotropic scaling: centre the rows if they have a common
    part.  Time grows as N^2, memory as N.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> mutual_knn(X, 2 * X, k=5)
    mutual k-NN@5 = 1.000 (chance 0.102, n = 50)
    """
    return _score(f"mutual k-NN@{k}", X, Y, k, n_permutations, random_state)


def linear_cka(X, Y, *, n_permutations=0, random_state=0) -> Score:
    """Linear centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

    Kornblith et al. (2019), but with the unbiased HSIC of Song et al. (2012): about 0 for
    independent inputs of any width.  X (N, d1), Y (N, d2).  Invariant to rotation, translation and
    isotropic scaling.  Time and memory grow as N^2.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> linear_cka(X, 3 * X + 1)
    linear CKA = 1.000 (chance 0.000, n = 50)
    """
    return _score("linear CKA", X, Y, 1, n_permutations, random_state)


def rsa(X, Y, *, n_permutations=0, random_state=0) -> Score:
    """Representational similarity: Spearman correlation of the two cosine distance matrices.

    Kriegeskorte et al. (2008), upper triangles.  X (N, d1), Y (N, d2).  Invariant to rotation and
    isotropic scaling.  Time and memory grow as N^2.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> rsa(X, 2 * X)
    RSA = 1.000 (chance 0.000, n = 50)
    """
    return _score("RSA", X, Y, 1, n_permutations, random_state)
