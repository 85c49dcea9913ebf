"""Do two learners hold the levels of a factor (six colours...) in one structure?

Each learner's distances between concepts come from its own vectors alone: no map, no dictionary.
Agreement is the correlation of two such distance matrices.  A code of words has no structure, and
a dictionary gives none; only what was learned from data that have one can agree."""

from itertools import combinations
from math import nan
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.linalg import norm
from scipy.spatial.distance import pdist, squareform

from paper_utils.alignment.checks import as_matrix, check_paired
from paper_utils.alignment.contrasts import MISSING, factor_table, rows_alike
from paper_utils.alignment.inference import SLACK, p_value, relabellings
from paper_utils.alignment.retrieval import RANK_TOLERANCE, TIE
from paper_utils.alignment.scores import Score

# Levels: two have one distance, which correlates with nothing, and three fix a rotation in a plane.
FEWEST_LEVELS = 3


class Structure(NamedTuple):
    """Agreement of two learners about the W levels of a factor.

    Attributes:
        r: Pearson correlation of the two distance matrices over pairs of levels, -1 to 1; ``r.p``
            is over all relabellings, exact up to 8 levels.
        withheld_pairs, withheld_triples: a rotation is fitted without two (three) levels, which
            are then told apart: share put right, chance 1/2 (1/3), the null refitted under every
            relabelling.  NaN with too few levels, or where only distances are known.
        graded: of the relabellings that keep the kind of every level, the share that agrees less
            than the true one, chance 1/2.  NaN without ``kinds``.
    """

    r: Score
    withheld_pairs: Score
    withheld_triples: Score
    graded: Score


def structure(X, Y, factors, factor="colour", *, kinds=None) -> Structure:
    """How far two learners agree about the levels of a factor, without a map or a dictionary.

    Arguments:
        X, Y: (N, d1) and (N, d2), row i of both is the item of row i of ``factors``.  Either may be
            what is known of the levels instead, as a table that they index: features (W, F), or
            their distances (W, W).
        factors: a row per item, a column per factor.
        factor: the column whose levels are compared.
        kinds: level -> its kind, for ``graded``.

    The vector of a level is its mean over contexts, which are the combinations of all other factors
    in which all levels stand, centred; distances are cosine distances.  Raises ValueError, one
    line, for fewer than three levels and for what cannot be compared.

    >>> table = pd.DataFrame({"colour": list("abcdef") * 4, "type": np.repeat(list("wxyz"), 6)})
    >>> X = np.tile(np.random.default_rng(0).normal(size=(6, 8)), (4, 1))
    >>> structure(X, 3 * X[:, ::-1], table).r
    structure of colour = 1.000 (chance 0.000, null -0.001, p = 0.0014, n = 6)
    """
    levels, first, vectors = _concepts(X, factors, factor)
    others, second, other_vectors = _concepts(Y, factors, factor)
    if levels != others:
        raise ValueError(f"X and Y have other levels of {factor!r}")
    draws = agreement_draws(first, second)
    return Structure(
        r=Score.tested(draws, f"structure of {factor}", 0.0, len(levels)),
        withheld_pairs=withheld_score(vectors, other_vectors, 2),
        withheld_triples=withheld_score(vectors, other_vectors, 3),
        # Without kinds, each level is one of its own.
        graded=_graded(draws, levels, kinds or dict(zip(levels, levels))),
    )


def concept_distances(X, factors, factor="colour") -> pd.DataFrame:
    """Cosine distances (W, W) between the centred mean vectors of a factor's levels.

    Arguments as for `structure`.

    >>> table = pd.DataFrame({"colour": list("abc") * 4, "type": np.repeat(list("wxyz"), 3)})
    >>> concept_distances(np.tile(np.eye(3), (4, 1)), table).loc["a"].round(6).tolist()
    [0.0, 1.5, 1.5]
    """
    levels, distances, _ = _concepts(X, factors, factor)
    return pd.DataFrame(distances, index=levels, columns=levels)


def _concepts(X, factors, factor):
    """Levels [W], their distances (W, W) and, unless only these are known, vectors (W, d)."""
    table = factor_table(factors)
    if factor not in table:
        raise ValueError(f"factors has no column {factor!r} whose levels could be compared")
    # What the levels themselves index is no embedding of the items.
    if isinstance(X, pd.DataFrame) and X.index.isin(table[factor]).all():
        levels = sorted(X.index)
        if set(X.columns) == set(levels):
            return levels, as_matrix(X.loc[levels, levels]), None
        vectors = as_matrix(X.loc[levels])
    else:
        check_paired(X=X, factors=factors)
        levels, rows = full_contexts(table, factor)
        vectors = as_matrix(X)[rows].mean(axis=0)
    return levels, vector_distances(vectors), vectors


def full_contexts(table, factor):
    """Levels [W], and rows (contexts, W) of the contexts in which all of them stand.

    ``table``: of factors, as `factor_table` gives it.

    >>> table = pd.DataFrame({"colour": list("abc") * 2, "type": list("xxxyyy")})
    >>> full_contexts(table, "colour")
    (['a', 'b', 'c'], array([[0, 1, 2],
           [3, 4, 5]]))
    """
    said = table[table[factor] != MISSING]
    sets = rows_alike(said, factor)
    # All levels must stand in a context, or a level's mean would be of other contexts.
    fullest = max(sets, key=lambda levels: (len(levels), len(sets[levels])), default=())
    if len(fullest) < FEWEST_LEVELS:
        raise ValueError(f"no context holds {FEWEST_LEVELS} levels of {factor!r}")
    return list(fullest), sets[fullest]


def vector_distances(vectors):
    """Cosine distances (W, W) of centred vectors (W, d).

    >>> vector_distances(np.array([[0.0], [1.0]])).tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    centred = vectors - vectors.mean(axis=0)
    return squareform(pdist(centred, "cosine"))


def agreement_draws(first, second):
    """Pearson correlations of two distance matrices (W, W), over pairs of levels, under all
    relabellings of the second, the true one first; NaN if either has one distance only.

    >>> distances = vector_distances(np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 2.0]]))
    >>> agreement_draws(distances, distances).round(2).max()
    np.float64(1.0)
    """
    orders = relabellings(len(first)).T  # (W, P)
    one, other = np.triu_indices(len(first), k=1)
    here = first[one, other]  # (pairs,)
    there = second[orders[one], orders[other]]  # (pairs, P)
    return _standardised(here) @ _standardised(there)


def _standardised(values):
    """Centred columns of length 1, or of NaN where all values are equal."""
    centred = values - values.mean(axis=0)
    length = norm(centred, axis=0)
    # What is equal but for rounding would correlate with anything.
    return centred / np.where(length > TIE, length, nan)


def withheld_score(first, second, count):
    """Share of withheld levels put right by a rotation that was fitted on the others.

    first (W, d1) and second (W, d2): vectors of the same levels.  Every set of ``count`` levels is
    withheld in turn, in every relabelling of the second side; the withheld are assigned to each
    other as fits best in squared distance.

    >>> vectors = np.random.default_rng(0).normal(size=(5, 4))
    >>> withheld_score(vectors, vectors[:, ::-1], 2).chance
    0.5
    """
    measure = f"levels put right of {count} withheld"
    if first is None or second is None or len(first) - count < FEWEST_LEVELS:
        return Score(nan, measure)
    # A few points span few dimensions: nothing is lost, and little is left to compute.
    first = np.linalg.qr(first.T, mode="r").T  # (W, c), of which c <= W
    second = np.linalg.qr(second.T, mode="r").T
    relabelled = second[relabellings(len(first))]  # (P, W, c)
    found = []
    for withheld in combinations(range(len(first)), count):
        asked = list(withheld)
        fitted = np.setdiff1d(range(len(first)), asked)
        # Both sides around the mean of what is fitted.
        a = first - first[fitted].mean(axis=0)
        b = relabelled - relabelled[:, fitted].mean(axis=1, keepdims=True)
        U, strengths, V = np.linalg.svd(a[fitted].T @ b[:, fitted], full_matrices=False)
        # F centred points span F - 1 directions at most, and fewer where they lie on a line.  The
        # others are rounding, and have no images.
        shared = strengths > RANK_TOLERANCE * strengths[:, :1]
        W = (U * shared[:, None]) @ V
        products = a[asked] @ W @ b[:, asked].swapaxes(1, 2)  # (P, count, count)
        found.append(_put_right(products))
    return Score.tested(np.mean(found, axis=0), measure, 1 / count, len(found))


def _put_right(products):
    """Share of the diagonal in the best assignment of rows to columns: (P, m, m) -> (P,).

    Squared distances differ between assignments by their inner products alone."""
    assignments = relabellings(products.shape[1])
    rows = assignments[0]
    totals = products[:, rows, assignments].sum(axis=2)  # (P, m!)
    best = totals >= totals.max(axis=1, keepdims=True) - SLACK
    right = (assignments == rows).mean(axis=1)
    return best @ right / best.sum(axis=1)  # what is tied shares


def _graded(draws, levels, kinds):
    measure = "relabellings within kinds that agree less"
    of_level = np.array([str(kinds[level]) for level in levels])
    kept = of_level[relabellings(len(levels))] == of_level
    true, *others = draws[kept.all(axis=1)]
    if not others:
        return Score(nan, measure)  # every level is a kind of its own
    # What is tied, but for rounding, is half beaten.
    beaten = np.sign((true - np.array(others)).round(12))
    value = (1 + beaten.mean()) / 2
    return Score(value, measure, chance=0.5, null=0.5, p=p_value(true, others), n=len(others))
