"""What to doubt: reasons why scores of these arrays say less than they seem to."""

import numpy as np
from numpy.linalg import norm

from paper_utils.alignment.checks import count_repeated
from paper_utils.alignment.inference import permutations, stream
from paper_utils.alignment.retrieval import make_folds, precision_draws, reduce_folds

MANY_NEIGHBOURS = 0.1  # chance k/N above which a precision says little
ONE_ROW = 0.25  # share of all variance in a single row
FEW_ROWS = 12
ONE_DIRECTION = 0.9  # share of all variance in a single direction
SINK = "a sink token that was pooled does this"
LITTLE_POWER = 0.8
SIMULATED = 40  # pairs of arrays
ALPHA = 0.05
MOST_ROWS = 500  # beyond which power is not in doubt, and simulations take long


def doubts_about_rows(layers, name):
    """Sentences about rows (N, d) that repeat, or of which one row or direction is everything.

    >>> rows = np.random.default_rng(0).normal(size=(20, 3)) + np.eye(20)[:, [0]] * 1000
    >>> doubts_about_rows([rows], "X")[0]
    'row 0 alone makes 95% of the variance of X'
    """
    found = []
    for number, rows in enumerate(layers):
        where = name if len(layers) == 1 else f"{name}, layer {number}"
        repeated = count_repeated(rows)
        if repeated:
            found.append(f"{repeated} of {len(rows)} rows of {where} repeat an earlier row")
        centred = rows - rows.mean(axis=0)
        squares = norm(centred, axis=1) ** 2
        row = squares.argmax()
        share = squares[row] / squares.sum()
        # Of few rows one may well make so much.
        if share > ONE_ROW and len(rows) > FEW_ROWS:
            found.append(f"row {row} alone makes {share:.0%} of the variance of {where}")
        lengths = norm(centred, 2)  # the largest singular value
        share = lengths**2 / squares.sum()
        if share > ONE_DIRECTION and rows.shape[1] > 1:
            found.append(f"one direction holds {share:.0%} of the variance of {where} ({SINK})")
    return found


def doubts_about_texts(side):
    """Sentences about what was not given, and so could not be measured."""
    found = []
    if side.texts is None:
        found.append("no texts were given, so that words explain this cannot be ruled out")
    elif len(set(side.texts)) < len(side.texts):
        found.append("some texts are the same")
    if side.synonyms is not None and side.synonym_texts is None:
        found.append("no texts of the synonyms were given, so what they spell was not measured")
    return found


def doubts_about_size(n: int, k: int, power: float, effect: float) -> list[str]:
    """Sentences about a number of rows that is too small to tell."""
    found = []
    chance = k / n
    if chance > MANY_NEIGHBOURS:
        found.append(f"N = {n} is small for k = {k}: by chance alone precision is {chance:.2f}")
    if power is not None and power < LITTLE_POWER:
        seen = f"a shared signal of r = {effect} would be found in {power:.0%} of samples"
        found.append(f"N = {n} has little power: {seen}")
    return found


def simulated_power(
    n: int,
    width: int,
    effect: float = 0.3,
    k: int = 15,
    cv=5,
    n_components: int | None = 32,
    random_state: int = 0,
) -> float:
    """How often precision@k of n rows finds a shared signal (p <= .05), by simulation.

    Both sides are standard normal (n, width), every dimension of the one correlated with one of
    the other by ``effect``; the threshold comes from pairings that are permuted.

    >>> simulated_power(100, 8, effect=0.9) > simulated_power(100, 8, effect=0.1)
    True
    """
    if n > MOST_ROWS:
        return 1.0
    random = stream("simulated power", random_state)
    folds = make_folds(n, cv, None, random_state)
    shuffled = permutations(n, 2 * SIMULATED, random_state, folds.blocks)
    true = np.arange(n)[None]
    found = []
    for number in range(SIMULATED):
        X, noise = random.normal(size=(2, n, width))
        Y = effect * X + np.sqrt(1 - effect**2) * noise
        sides = [reduce_folds(side, folds, n_components) for side in (X, Y)]
        # The null of one sample serves for all: it depends on n and the width alone.
        pairings = np.vstack([true, shuffled]) if number == 0 else true
        draws = precision_draws(*sides, folds, pairings, [k])[k, "both"]
        if number == 0:
            threshold = np.quantile(draws[1:], 1 - ALPHA)
        found.append(draws[0] > threshold)
    return float(np.mean(found))
