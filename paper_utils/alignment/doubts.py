"""What to doubt: reasons why scores of these arrays say less than they seem to."""

import numpy as np
import pandas as pd
from numpy.linalg import norm

from paper_utils.alignment.inference import stream
from paper_utils.alignment.retrieval import precision_at_k

MANY_NEIGHBOURS = 0.1  # chance k/N above which a precision says little
ONE_ROW = 0.25  # share of all variance in a single row
ONE_DIRECTION = 0.9  # share of all variance in a single direction
SINK = "a sink token that was pooled does this"
LITTLE_POWER = 0.8
SIMULATED = 20  # pairs of arrays: enough to tell little power from much
ALPHA = 0.05
FEWEST = 19  # permutations of which p can be ALPHA
MOST_ROWS = 500  # beyond which power is not in doubt, and simulations take long


def _told(reasons):
    """Sentences for which there is reason."""
    return [sentence for sentence, reason in reasons.items() if reason]


def about_rows(layers, name):
    """Sentences about rows (N, d) that repeat, or of which one row or direction is everything.

    >>> rows = np.random.default_rng(0).normal(size=(20, 3)) + np.eye(20)[:, [0]] * 1000
    >>> about_rows([rows], "X")[0]
    'row 0 alone makes 95% of the variance of X'
    """
    reasons = {}
    for number, rows in enumerate(layers):
        where = name if len(layers) == 1 else f"{name}, layer {number}"
        repeated = pd.DataFrame(rows).duplicated().sum()
        centred = rows - rows.mean(axis=0)
        shares = (norm(centred, axis=1) / norm(centred)) ** 2
        share = (norm(centred, 2) / norm(centred)) ** 2  # of the largest singular value
        of = f"of the variance of {where}"
        reasons |= {
            f"{repeated} of {len(rows)} rows of {where} repeat an earlier row": repeated,
            f"row {shares.argmax()} alone makes {shares.max():.0%} {of}": shares.max() > ONE_ROW,
            f"one direction holds {share:.0%} {of} ({SINK})": share > ONE_DIRECTION,
        }
    return _told(reasons)


def about_inputs(given, folds):
    """Sentences about what was left out, tested on what it was fitted on, or not given at all.

    >>> from paper_utils.alignment.inputs import read_inputs
    >>> from paper_utils.alignment.retrieval import make_folds
    >>> about_inputs(read_inputs(np.eye(6), np.eye(6)), make_folds(6, cv=2))
    ['no texts were given, so it cannot be ruled out that words are enough']
    """
    texts = given.texts or []
    rows = f"{given.left_out} rows were left out, at random: {len(given.factors)} were audited"
    reasons = {
        rows: given.left_out,
        "maps were tested on rows that they were fitted on: precision is inflated": folds.in_sample,
        "no texts were given, so it cannot be ruled out that words are enough": not texts,
        "some texts are the same": len(set(texts)) < len(texts),
        "no texts of the synonyms were given, so what they spell was not measured": given.synonyms
        and given.synonym_texts is None,
    }
    return _told(reasons)


def about_size(n, k, power, effect):
    """Sentences about a number of rows that is too small to tell.

    >>> about_size(30, 15, None, None)
    ['N = 30 is small for k = 15: by chance alone precision is 0.50']
    """
    small = f"N = {n} is small for k = {k}: by chance alone precision is {k / n:.2f}"
    reasons = {small: k / n > MANY_NEIGHBOURS}
    if power is not None:
        signal = f"a shared signal of r = {effect} would be found in {power:.0%} of samples"
        reasons[f"N = {n} has little power: {signal}"] = power < LITTLE_POWER
    return _told(reasons)


def simulated_power(n, width, effect=0.3, k=15, random_state=0, **options):
    """How often precision@k of n rows finds a shared signal (p <= .05), by simulation.

    Both sides are standard normal (n, width), every dimension of the one correlated with one of
    the other by ``effect``; p comes from as few permuted pairings as can reach it.  ``options``:
    those of `precision_at_k`.

    >>> simulated_power(100, 8, effect=0.9) > simulated_power(100, 8, effect=0.1)
    True
    """
    if n > MOST_ROWS:
        return 1.0
    random = stream("simulated power", random_state)
    rest = np.sqrt(1 - effect**2)  # so that Y, too, has a variance of 1
    found = 0
    for X, noise in random.normal(size=(SIMULATED, 2, n, width)):
        Y = effect * X + rest * noise
        score = precision_at_k(X, Y, k, n_permutations=FEWEST, random_state=random_state, **options)
        found += score.p <= ALPHA
    return found / SIMULATED
