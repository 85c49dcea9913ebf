"""What a score would be by chance, and how sure a mean over worlds is."""

import zlib
from functools import lru_cache
from itertools import permutations as every_order
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

SLACK = 1e-12  # equal scores may differ in the last bit; equality counts against the score
MOST_SIGNS = 20  # values whose 2^n signs are still enumerated
EXACT_LEVELS = 8  # levels whose n! relabellings are still enumerated
SAMPLED = 5000  # relabellings that are drawn where there are more levels


def stream(name, *numbers):
    """A random generator of its own for each name and integers of at least 0.

    >>> stream("tokens", 1).integers(9) == stream("tokens", 1).integers(9)
    np.True_
    """
    code = zlib.crc32(name.encode())
    return np.random.default_rng([code, *numbers])


def permutations(n, count, random_state=0, within=None):
    """``count`` permutations of n rows: int (count, n).

    Rows move only among equal labels ``within`` (n,); without labels, among all.

    >>> permutations(4, 2, within=["a", "a", "b", "b"]).shape
    (2, 4)
    """
    random = stream("permutations", random_state)
    labels = np.zeros(n) if within is None else np.asarray(within)
    drawn = np.tile(np.arange(n), (count, 1))
    # Label by label, so that no row leaves its block.
    for label in np.unique(labels):
        rows = labels == label
        drawn[:, rows] = random.permuted(drawn[:, rows], axis=1)
    return drawn


def pairings(n, count, random_state=0, within=None):
    """The true pairing of n rows, and `permutations` of it: int (1 + count, n).

    >>> pairings(3, 9)[0].tolist()
    [0, 1, 2]
    """
    return np.vstack([np.arange(n), permutations(n, count, random_state, within)])


def induced(permutation, rows):
    """A permutation's (N,) first-return map on ``rows``: (len(rows),), values in rows.

    It is uniform if the permutation is.  So a training set keeps its members, mean and components
    while its pairing is redrawn, and overlapping training sets are redrawn alike.

    >>> induced(np.array([1, 2, 3, 0]), np.array([0, 2])).tolist()
    [2, 0]
    """
    inside = np.isin(np.arange(len(permutation)), rows)
    image = permutation[rows]
    # What left the set follows the permutation until it comes back.
    while not inside[image].all():
        image = np.where(inside[image], image, permutation[image])
    return image


@lru_cache(maxsize=32)
def relabellings(levels):
    """All orders of labels, int (levels!, levels), the identity first; of many labels a sample.

    >>> len(relabellings(6))
    720
    """
    # Of more levels there are too many to list.
    if levels > EXACT_LEVELS:
        return pairings(levels, SAMPLED - 1)
    return np.array(list(every_order(range(levels))))


def p_value(score, null):
    """(1 + #{null at least as large as score}) / (K + 1), one-sided; NaN without a null.

    >>> p_value(0.9, np.array([0.1, 0.2, 0.3]))
    0.25
    """
    if len(null) == 0 or np.isnan(score):
        return np.nan
    # The score itself is one of the draws that are possible: p is never 0.
    as_large = np.greater_equal([score, *null], score - SLACK)
    return float(as_large.mean())


def calibrated(score, null):
    """Where a similarity stands between the 5 % threshold of its null (0) and its maximum 1 (1).

    The threshold is the ceil(.95 (K + 1))-th smallest of null and score (arXiv 2602.14486): 0
    unless the score is significant; comparable over measures with other nulls; NaN without a null.

    >>> round(calibrated(0.9, np.linspace(0, 0.5, 199)), 3)
    0.809
    """
    if len(null) == 0:
        return np.nan
    threshold = np.quantile([score, *null], 0.95, method="inverted_cdf")
    # A null that reaches the largest value leaves nothing to be measured.
    above = max(score - threshold, 0.0)
    return float(above / (1 - threshold)) if threshold < 1 else 0.0


def holm(p):
    """Adjusted p-values that control the family-wise error rate (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = pd.Series(np.asarray(p))
    steps = p.sort_values() * np.arange(len(p), 0, -1)
    # An adjusted p is never below that of a smaller p.
    return steps.cummax().clip(upper=1).sort_index().to_numpy()


def _measured(values):
    """Values without NaN: a world in which something could not be measured does not count."""
    return pd.Series(values, dtype=float).dropna()


def sign_flip(values, alternative="greater"):
    """Exact p that the mean of values (n,) is above 0, over all 2^n assignments of signs.

    ``alternative``: greater, less or two-sided.  NaN values are left out; without values, NaN.
    Raises ValueError for more values than can be enumerated.

    >>> sign_flip([0.1, 0.2, 0.3])
    0.125
    """
    values = _measured(values).to_numpy()
    n = len(values)
    if n > MOST_SIGNS:
        raise ValueError(f"{n} values have too many signs to enumerate: at most {MOST_SIGNS}")
    # The first assignment changes no sign, so its sum is the observed one.
    signs = np.array(list(product((1, -1), repeat=n)))
    sums = signs @ values  # (2^n,)
    sides = {"greater": sums, "less": -sums, "two-sided": np.abs(sums)}
    found, *null = sides[alternative]
    # Without values the one sum is 0, and has no null.
    return p_value(found, null)


def t_interval(values, confidence=0.95):
    """Student's interval (low, high) of the mean of values (n,); NaN bounds for fewer than two.

    >>> low, high = t_interval([0.1, 0.2, 0.3])
    >>> round(low, 3), round(high, 3)
    (-0.048, 0.448)
    """
    known = _measured(values)
    # One world has no spread: its error is NaN.
    reach = known.sem() * stats.t.isf((1 - confidence) / 2, len(known) - 1)
    return float(known.mean() - reach), float(known.mean() + reach)


def equivalence(values, margin):
    """p that the mean of values (n,) lies within +- ``margin``; NaN for fewer than two values.

    The larger p of two one-sided t-tests (Schuirmann, 1987).

    >>> equivalence([0.01, -0.01, 0.02, 0.0], 0.05) < 0.01
    True
    """
    known = _measured(values)
    # Of the two bounds the nearer decides.
    room = margin - abs(known.mean())
    # Without any spread the values are inside, or they are not.
    if known.sem() == 0:
        return float(room <= 0)
    return float(stats.t.sf(room / known.sem(), len(known) - 1))
