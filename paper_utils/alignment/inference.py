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


def pairings(n, count, random_state=0, within=None):
    """The true pairing of n rows, and ``count`` permutations of it: int (1 + count, n).

    Rows move only among equal labels ``within`` (n,); without labels, among all.

    >>> pairings(4, 2, within=["a", "a", "b", "b"])[0].tolist()
    [0, 1, 2, 3]
    """
    random = stream("permutations", random_state)
    labels = np.zeros(n) if within is None else np.asarray(within)
    found = np.tile(np.arange(n), (1 + count, 1))
    drawn = found[1:]
    # Label by label, so that no row leaves its block.
    for label in np.unique(labels):
        rows = labels == label
        drawn[:, rows] = random.permuted(drawn[:, rows], axis=1)
    return found


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


def holm(p, family=0):
    """Adjusted p-values that control the error rate of each family (Holm, 1979).

    ``family``: a label for each p; by itself all are one family.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    table = pd.DataFrame({"p": np.asarray(p), "family": family}).sort_values("p")
    left = 1 + table.groupby("family").cumcount(ascending=False)
    # An adjusted p is never below that of a smaller p.
    steps = (left * table["p"]).groupby(table["family"]).cummax()
    return steps.clip(upper=1).sort_index().to_numpy()


def described(values):
    """Number, mean and standard error over the last axis of values (..., n), NaN left out."""
    table = pd.DataFrame(np.atleast_2d(values), dtype=float)
    found = table.count(axis=1), table.mean(axis=1), table.sem(axis=1)
    # One row gives numbers, many give arrays.
    return [each.to_numpy().reshape(np.shape(values)[:-1])[()] for each in found]


def sign_flip(values, alternative="greater"):
    """Exact p that means over the last axis of values (..., n) are above 0, over all 2^n signs.

    ``alternative``: greater, less or two-sided.  NaN values are left out; without values, 1.
    Raises ValueError for more values than can be enumerated.

    >>> float(sign_flip([0.1, 0.2, 0.3]))
    0.125
    """
    n = np.shape(values)[-1]
    if n > MOST_SIGNS:
        raise ValueError(f"{n} values have too many signs to enumerate: at most {MOST_SIGNS}")
    # The first assignment changes no sign, so its sum is the observed one.  What is left out
    # changes no sum, whatever its sign.
    signs = np.array(list(product((1, -1), repeat=n)))
    sums = np.nan_to_num(np.asarray(values, dtype=float)) @ signs.T  # (..., 2^n)
    sides = {"greater": sums, "less": -sums, "two-sided": np.abs(sums)}[alternative]
    as_large = sides >= sides[..., :1] - SLACK
    return as_large.mean(axis=-1)


def t_interval(values, confidence=0.95):
    """Student's intervals (low, high) of means over the last axis of values (..., n); NaN bounds
    for fewer than two.

    >>> np.round(t_interval([0.1, 0.2, 0.3]), 3).tolist()
    [-0.048, 0.448]
    """
    count, mean, error = described(values)
    reach = error * stats.t.isf((1 - confidence) / 2, count - 1)
    return mean - reach, mean + reach


def equivalence(values, margin):
    """p that means over the last axis of values (..., n) lie within +- ``margin``; NaN for fewer
    than two values.

    The larger p of two one-sided t-tests (Schuirmann, 1987).

    >>> bool(equivalence([0.01, -0.01, 0.02, 0.0], 0.05) < 0.01)
    True
    """
    count, mean, error = described(values)
    # Of the two bounds the nearer decides.
    room = margin - np.abs(mean)
    # Without any spread the values are inside, or they are not.
    inside = np.where(room > 0, np.inf, -np.inf)
    steps = np.divide(room, error, out=inside, where=error != 0)
    return stats.t.sf(steps, count - 1)
