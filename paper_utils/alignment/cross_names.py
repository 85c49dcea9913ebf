"""Tests that words cannot pass: fit a map in one set of names, ask it in another.

Content words have synonyms (red/crimson, ball/sphere...).  The map between two spaces is fitted on
sentences in first names and asked with *other* sentences in synonyms, so no word of the test was
seen in fitting: who knows words only is at chance.

- `same_words`: X -> A, fitted and asked in first names.  What words can do.
- `synonyms`: X -> A, fitted in first names, asked with X2.  Only X has to know the synonyms.
- `second_names`: both sides are asked in their other names.  Both have to know them.
- `own_names`: no map.  Does a space itself know that two sentences say the same?"""

import numpy as np
import pandas as pd

from paper_utils.alignment.checks import check_matrix, check_paired
from paper_utils.alignment.contrasts import ContrastSets
from paper_utils.alignment.inference import p_value
from paper_utils.alignment.retrieval import DIRECTIONS, fold_images, make_folds, unit_rows


def synonyms(X, X2, A, k=15, factors=None, **options) -> pd.DataFrame:
    """Does A's space hold what X knows of its synonyms, words that A never met?

    Arguments:
        X, X2: (N, d1), vectors of N sentences in first names and of the same in synonyms.
        A: (N, d2), another encoder's vectors in first names.
        k: neighbours that count.
        factors: a row per sentence, a column per factor; adds contrast sets.  Columns ``x`` and
            ``second_x`` are one factor in two roles.
        contrasts=None: these prepared once for many calls, in place of k and factors.
        cv=5: a number of shuffled folds, or a scikit-learn splitter that tests every row once;
            twins ("put A next to B" and its swap) are left out together.
        n_components=32: principal components kept on either side, clipped to the rank.
        random_state=0: seed of the folds.

    Returns a row per measure and direction; columns measure, direction, value, chance, p.
    ``forward``: the image of a sentence in synonyms searches all rows of A; ``backward``: the image
    of a row of A searches all rows of X2.  Measures: precision_at_1, precision_at_k; with factors
    a forced choice for each (which of the sentences that differ in its level alone?) and
    ``order`` (nearer to the partner than to the twin?).  p is one-sided: of pairings permuted among
    sentences of one build, of levels renamed (exact up to 8!), and for order of levels renamed in
    both roles.  Raises ValueError, one line, for what cannot be compared.

    >>> X, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
    >>> table = synonyms(X, X + noise / 9, X[:, ::-1], k=1)
    >>> table["value"].min() > 0.9
    np.True_
    """
    spaces = {"X": X, "X2": X2, "A": A}
    # A has no synonyms: its rows in first names are what is searched, and what is mapped back.
    return _tested(spaces, [("X", "A", "X2", "A")], k, factors, **options)


def same_words(X, A, k=15, factors=None, **options) -> pd.DataFrame:
    """The measures of `synonyms` in one set of names: X (N, d1) -> A (N, d2), other rows held out.

    Shared words pass this test.  Options and columns as those of `synonyms`.

    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> same_words(X, 2 * X, k=1)["value"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return synonyms(X, X, A, k, factors, **options)


def second_names(X, X2, Y, Y2, k=15, factors=None, **options) -> pd.DataFrame:
    """How well a map fitted in one set of names works in the other, on both sides.

    X, X2 (N, d1): one encoder's vectors in first names and in synonyms; Y, Y2 (N, d2): another's.
    The map is fitted in first names and asked in synonyms, and the other way round; values are
    means of both.  Other arguments, rows and columns as those of `synonyms`: ``forward`` maps X.
    Raises ValueError, one line, for what cannot be compared.

    >>> X, X2 = np.random.default_rng(0).normal(size=(2, 60, 8))
    >>> second_names(X, X2, 2 * X, 3 * X2, k=1)["value"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    spaces = {"X": X, "X2": X2, "Y": Y, "Y2": Y2}
    # Neither set of names is the right one to fit in: both are, in turn.
    ways = [("X", "Y", "X2", "Y2"), ("X2", "Y2", "X", "Y")]
    return _tested(spaces, ways, k, factors, **options)


def own_names(X, X2, k=15, factors=None, *, contrasts=None) -> pd.DataFrame:
    """Does an encoder's own space know that two sentences say the same?

    Sentences X (N, d) search X2 (N, d), those in synonyms, and the other way round, without a map.
    Who fails has not learned the synonyms, which is not the same as not aligning.  Arguments, rows
    and columns as those of `synonyms`: ``forward`` searches X2.

    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> own_names(X, X, k=1)["value"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    contrasts, checked = _prepared({"X": X, "X2": X2}, k, factors, contrasts)
    # One centre for both: where synonyms lie as a whole is part of what the space says of them.
    centre = checked["X"].mean(axis=0)
    first, second = (unit_rows(space - centre) for space in checked.values())
    cosines = first @ second.T
    return _table(contrasts, [(cosines, cosines.T)])


def held_out_cosines(fitted, asked, contrasts, folds, n_components):
    """Cosines (2, N, N), forward and backward, of the image of row i with row j of the other side.

    ``fitted``: two spaces (N, d1), (N, d2), on which a map is fitted without the fold of row i.
    ``asked``: two spaces (N, d1), (N, d2), whose rows are mapped and searched.

    >>> spaces = np.eye(6), np.eye(6)
    >>> contrasts = ContrastSets(pd.DataFrame(index=range(6)), k=1)
    >>> held_out_cosines(spaces, spaces, contrasts, make_folds(6, cv=2), None).shape
    (2, 6, 6)
    """
    cosines = np.empty((2, contrasts.n, contrasts.n))
    # Components come from what is fitted, also for what is asked.
    known = [contrasts.reduced(rows, rows, folds, n_components) for rows in fitted]
    queries = [contrasts.reduced(*side, folds, n_components) for side in zip(fitted, asked)]
    for test, *ways in fold_images(known, queries, folds):
        cosines[:, test] = ways
    return cosines


def _prepared(spaces, k, factors, contrasts):
    """The contrast sets of the rows, and the checked spaces, by name."""
    checked = {name: check_matrix(space, name) for name, space in spaces.items()}
    if contrasts is None:
        # Without factors their number is all that is known of the rows.
        if factors is None:
            factors = pd.DataFrame(index=range(len(checked["X"])))
        contrasts = ContrastSets(factors, k)
    check_paired(**spaces, factors=contrasts.factors)
    return contrasts, checked


def _tested(spaces, ways, k, factors, contrasts=None, cv=5, n_components=32, random_state=0):
    """The table of some ways, each names of two spaces that are fitted, and of two that are asked,
    over which values are means."""
    contrasts, checked = _prepared(spaces, k, factors, contrasts)
    # Twins share a group: who saw the one would know the other.
    folds = make_folds(contrasts.n, cv, contrasts.groups, random_state)
    cosines = []
    for way in ways:
        a, b, *asked = (checked[name] for name in way)
        cosines.append(held_out_cosines((a, b), asked, contrasts, folds, n_components))
    return _table(contrasts, cosines)


def _table(contrasts, cosines):
    rows = []
    for measure, ways in contrasts.scores(cosines).items():
        for direction, (value, *null) in zip(DIRECTIONS, ways):
            chance = contrasts.chance[measure]
            rows.append((measure, direction, value, chance, p_value(value, null)))
    return pd.DataFrame(rows, columns=["measure", "direction", "value", "chance", "p"])
