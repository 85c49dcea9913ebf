"""Similarities of two embeddings X (N, d1) and Y (N, d2) of the same N items, without a map.

Each is an inner product, ``sum(T(X) * T(Y))``, of tables T (N, N) of one side each.  Values and
nulls (one table's items permuted) come from these tables.  All are similarities: 1 is the most."""

import numpy as np
from numpy.linalg import norm
from scipy.sparse import csr_array, issparse, vstack
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.metrics.pairwise import cosine_similarity

from paper_utils.alignment.checks import check_pair
from paper_utils.alignment.inference import permutations
from paper_utils.alignment.retrieval import BLOCK, TIE
from paper_utils.alignment.scores import Score

SMALLEST = 1e-12  # norm of a table below which nothing but rounding is left
MOST_NEIGHBOURS = 2**26  # entries of the largest graph of neighbours: 1 GiB


class KNearest:
    """Who is among the k nearest of each row of cosines (S, N).

    Ties for the last places share them: an order of rows would be common to two encoders."""

    def __init__(self, similar, k):
        ordered = np.partition(similar, -k, axis=1)
        self.last = ordered[:, -k]  # (S,), the cosine of the k-th nearest
        last = self.last[:, None]
        sure = np.count_nonzero(similar > last + TIE, axis=1)
        reached = np.count_nonzero(similar > last - TIE, axis=1)
        self.share = (k - sure) / (reached - sure)  # (S,), of each of the tied

    def membership(self, similar):
        """0 to 1 for cosines (..., S) of the same rows; a whole row sums to k."""
        sure = similar > self.last + TIE
        reached = similar > self.last - TIE
        return np.where(reached & ~sure, self.share, sure)


def neighbour_graph(X, k):
    """(N, N), sparse: cosine membership in the k nearest, scaled to a norm of 1 without ties."""
    blocks = []
    entries = 0
    step = max(1, BLOCK // len(X))
    for start in range(0, len(X), step):
        rows = X[start : start + step]
        similar = cosine_similarity(rows, X)
        # Self is dropped by its index: of duplicates, the first neighbour may be another.
        here = np.arange(len(rows))
        similar[here, start + here] = -np.inf
        near = KNearest(similar, k).membership(similar.T)
        block = csr_array(near.T)
        blocks.append(block)
        # Without ties there are k N entries, with ties up to N^2.
        entries += block.nnz
        if entries > MOST_NEIGHBOURS:
            raise ValueError(f"{len(X)} rows have too many tied neighbours")
    graph = vstack(blocks, format="csr")
    return graph / np.sqrt(len(X) * k)


def gram_table(X):
    """U-centred Gram matrix (Szekely and Rizzo, 2014): its inner product is the unbiased HSIC."""
    X = X - X.mean(axis=0)
    X /= norm(X)  # else small inputs underflow
    n = len(X)
    table = X @ X.T
    np.fill_diagonal(table, 0)
    rows = table.sum(axis=1) / (n - 2)
    total = rows.sum() / (n - 1)
    table += total - rows[:, None] - rows
    np.fill_diagonal(table, 0)
    return _normalised(table)


def distance_ranks(X):
    """(N, N): centred, normalised ranks of the cosine distances of all pairs of rows."""
    lengths = norm(X, axis=1)
    if not lengths.all():
        return np.full((len(X), len(X)), np.nan)  # a row at the centre has no direction
    # Rounding makes equal distances tie, which they do in exact arithmetic only.
    distances = pdist(X, "cosine").round(12)
    ranks = rankdata(distances)
    ranks -= ranks.mean()
    return _normalised(squareform(ranks, checks=False))


def _normalised(table):
    """A table of norm 1, or of NaN where it holds nothing to compare."""
    length = norm(table)
    if length < SMALLEST:
        length = np.nan
    return table / length


def inner_products(first, second, pairings):
    """<T(X), T(Y) with items permuted> (P,) for two tables (N, N), both dense or both sparse.

    Row p of ``pairings`` (P, N): item i of the first meets item pairings[p, i] of the second."""
    found = []
    multiply = csr_array.multiply if issparse(first) else np.multiply
    for order in pairings:
        turned = second[order][:, order]
        product = multiply(first, turned)
        found.append(product.sum())
    return np.array(found)


def _score(tables, measure, chance, n_permutations, random_state):
    n = tables[0].shape[0]
    shuffled = permutations(n, n_permutations, random_state)
    pairings = np.vstack([np.arange(n), shuffled])  # the true one first
    draws = inner_products(*tables, pairings)
    if np.isnan(draws[0]):
        reason = "a row has no direction, or all pairs of rows are equally far apart"
        raise ValueError(f"{measure} is undefined: {reason}")
    return Score.tested(draws, measure, chance, n)


def mutual_knn(X, Y, k: int = 15, *, n_permutations: int = 0, random_state: int = 0) -> Score:
    """P@k, neighbour overlap: mean share of common k nearest neighbours (arXiv 2405.07987).

    X (N, d1), Y (N, d2): row i of both is one item.  Cosine, self excluded, ties shared; chance
    k/(N - 1).  Invariant to rotation and isotropic scaling: centre the rows if they have a common
    part.  Time grows as N^2, memory as N.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> mutual_knn(X, 2 * X, k=5)
    mutual k-NN@5 = 1.000 (chance 0.102, n = 50)
    """
    X, Y = check_pair(X, Y, k)
    graphs = [neighbour_graph(side, k) for side in (X, Y)]
    chance = k / (len(X) - 1)
    return _score(graphs, f"mutual k-NN@{k}", chance, n_permutations, random_state)


def linear_cka(X, Y, *, n_permutations: int = 0, random_state: int = 0) -> Score:
    """Linear centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

    Kornblith et al. (2019), but with the unbiased HSIC of Song et al. (2012): about 0 for
    independent inputs of any width.  X (N, d1), Y (N, d2).  Invariant to rotation, translation and
    isotropic scaling.  Time and memory grow as N^2.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> linear_cka(X, 3 * X + 1)
    linear CKA = 1.000 (chance 0.000, n = 50)
    """
    tables = [gram_table(side) for side in check_pair(X, Y)]
    return _score(tables, "linear CKA", 0.0, n_permutations, random_state)


def rsa(X, Y, *, n_permutations: int = 0, random_state: int = 0) -> Score:
    """Representational similarity: Spearman correlation of the two cosine distance matrices.

    Kriegeskorte et al. (2008), upper triangles.  X (N, d1), Y (N, d2).  Invariant to rotation and
    isotropic scaling.  Time and memory grow as N^2.  Raises ValueError, one line, for bad input.

    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> rsa(X, 2 * X)
    RSA = 1.000 (chance 0.000, n = 50)
    """
    tables = [distance_ranks(side) for side in check_pair(X, Y)]
    return _score(tables, "RSA", 0.0, n_permutations, random_state)
