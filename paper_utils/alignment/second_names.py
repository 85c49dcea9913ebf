"""A test that words cannot pass: fit the map in one set of names, test it in another.

Every content word has a second name (red/crimson, ball/sphere...).  The map between two spaces is
fitted on sentences in first names and tested on other sentences in second names, on both sides, and
the other way round.  No word of the test was seen in fitting: who knows words only is at chance."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations

import numpy as np
import pandas as pd

from paper_utils.alignment import inference, retrieval
from paper_utils.alignment.metrics import TIE, check_embedding, check_k, nearest
from paper_utils.alignment.retrieval import DIRECTIONS, FACTORS

CHOICES = {name: FACTORS[name] for name in ("colour", "type", "verb")} | {"location": ("location",)}
"""Measure -> the factors of which exactly one differs between the instructions to choose from."""
MEASURES = ("precision_at_1", "precision_at_k", *CHOICES, "order")


def swapped(factors: pd.DataFrame) -> np.ndarray:
    """For each row (N,), the row that swaps its two objects ("put A next to B"), or -1."""
    roles = factors[["colour", "type", "second_colour", "second_type"]]
    rest = factors[factors.columns.intersection(["template", "location", "article"])]
    pairs = [(tuple(more), (*role[:2],), (*role[2:],))
             for more, role in zip(rest.to_numpy(), roles.to_numpy(), strict=True)]  # fmt: skip
    place = {pair: row for row, pair in enumerate(pairs)}
    return np.array([place.get((more, b, a), -1) if a != b else -1 for more, a, b in pairs])


class Questions:
    """What N instructions (``factors``) can be asked, prepared once for many pairs of spaces.

    ``k``: neighbours that count; ``permutations``: draws of the null of precision.  Forced choices
    are among instructions that differ in one word, where all words can stand, with one chance."""

    def __init__(self, factors: pd.DataFrame, k: int = 15, permutations: int = 200, seed: int = 0):
        self.items, self.k = len(factors), check_k(k, len(factors))
        self.twin = swapped(factors)
        draws = inference.permutations(self.items, permutations, seed, factors["template"])
        self.pairings = np.vstack([np.arange(self.items), draws])  # (P + 1, N), the true one first
        self.frames = {name: [part for column in columns for part in _frames(factors, column)]
                       for name, columns in CHOICES.items()}  # fmt: skip

    def measure(self, tables: Sequence[Sequence[np.ndarray]]) -> pd.DataFrame:
        """All MEASURES of cosines, some tables (N, N) per direction: means over tables."""
        rows, everything = [], np.arange(self.items)
        for name, k in (("precision_at_1", 1), ("precision_at_k", self.k)):
            shares = [[nearest(table, k)[everything, self.pairings].mean(axis=1)
                       for table in found] for found in tables]  # fmt: skip
            ways = np.mean(shares, axis=1)  # (2, P + 1)
            true, *null = ways.mean(axis=0)
            rows.append((name, ways[:, 0], k / self.items, inference.p_value(true, null)))
        for name, frames in self.frames.items():
            if frames:
                chosen = np.array([_confusion(found, frames) for found in tables])  # (2, W, W)
                values = np.trace(chosen, axis1=1, axis2=2) / chosen.sum(axis=(1, 2))
                chance = sum(len(sets) for _, sets in frames) / sum(s.size for _, s in frames)
                rows.append((name, values, chance, assignment_p(chosen.sum(axis=0))))
        first = np.flatnonzero(self.twin > everything)
        if len(first):
            twin = self.twin[first]
            margins = np.array([[table[i, i] - table[i, j] for table in found
                                 for i, j in ((first, twin), (twin, first))]
                                for found in tables])  # fmt: skip
            signs = np.sign(np.where(np.abs(margins) < TIE, 0.0, margins))  # 0: tied
            right = ((1 + signs) / 2).mean(axis=1)  # 1: nearer to the partner than to its swap
            gain = right.mean(axis=0) - 0.5
            rows.append(("order", right.mean(axis=1), 0.5, inference.mcnemar(gain > 0, gain < 0)))
        rows = [(name, values.mean(), *values, chance, p) for name, values, chance, p in rows]
        frame = pd.DataFrame(rows, columns=["measure", "value", *DIRECTIONS, "chance", "p"])
        return frame.assign(N=self.items, k=self.k)


def second_names(
    X, X2, Y, Y2, k: int = 15, *, factors: pd.DataFrame | None = None,
    dimension: int | None = 32, folds: int = 5, seed: int = 0, questions: Questions | None = None,
) -> pd.DataFrame:  # fmt: skip
    """How well a map fitted in one set of names works in the other, on both sides.

    Arguments:
        X, X2: (N, d1), one encoder's vectors in first and second names; Y, Y2: (N, d2), another's.
        factors, k: as for `Questions`, which may be given instead, prepared for many pairs.
        dimension: principal components kept on either side.
        folds: each instruction is tested by a map that was fitted without it, in either names;
            twins ("put A next to B" and its swap) are left out together.

    Returns a row per measure of MEASURES that the instructions allow: measure, value, forward
    (first encoder mapped), backward, chance, p, N, k.  A forced choice has an exact p, over all
    assignments of words to words: at least 1 / 720 for six colours.  ``order``: is the image of
    "put A next to B" nearer to its partner than to "put B next to A"?  Its p is a sign test over
    pairs of twins.  Raises ValueError, one line, for what cannot be compared."""
    questions = questions or Questions(factors, k)
    named = {"X": X, "X2": X2, "Y": Y, "Y2": Y2}
    spaces = [check_embedding(side, name, 1.0) for name, side in named.items()]
    if {len(side) for side in spaces} != {questions.items}:
        raise ValueError("X, X2, Y, Y2 and factors must have the same N rows")
    first, second = spaces[::2], spaces[1::2]
    ways = [(first, second), (second, first)]
    if X is X2 and Y is Y2:  # one set of names: both ways are one
        del ways[1]
    tables = [_held_out(*way, questions.twin, dimension, folds, seed) for way in ways]
    return questions.measure([*zip(*tables)])


def first_names(X, Y, k: int = 15, **options) -> pd.DataFrame:
    """The same measures in one set of names: what words can do.  Else as `second_names`."""
    return second_names(X, X, Y, Y, k, **options)


def own_names(X, X2, k: int = 15, *, factors: pd.DataFrame | None = None,
              questions: Questions | None = None) -> pd.DataFrame:  # fmt: skip
    """The gate: does an encoder's own space know that two sentences say the same?
    Sentences in either names search those in the other, without a map: whoever fails has not
    learned the names, which is not the same as not aligning.  Else as `second_names`."""
    questions = questions or Questions(factors, k)
    X, X2 = check_embedding(X, "X", 1.0), check_embedding(X2, "X2", 1.0)
    a, b = (retrieval.unit_rows(side - X.mean(axis=0)) for side in (X, X2))
    return questions.measure([[a @ b.T], [b @ a.T]])


def _held_out(fitted, tested, twin: np.ndarray, dimension, folds: int, seed: int) -> np.ndarray:
    """By direction, cosines (2, N, N) of the image of sentence i with sentence j of the other side;
    the map was fitted without i and its twin."""
    unit, rows = retrieval.unit_rows, np.arange(len(twin))
    groups = np.where(twin >= 0, np.minimum(twin, rows), rows)
    found = np.empty((2, len(rows), len(rows)))
    for train, test in retrieval.make_split("random", len(rows), None, folds, seed, groups).folds:
        sides = [side[train] for side in fitted]
        reductions = [_reduction(side.tobytes(), len(side), dimension) for side in sides]
        a, b = retrieval.equal_width(*(r.transform(s) for r, s in zip(reductions, sides)))
        rotation = retrieval.procrustes(a, b)
        a, b = retrieval.equal_width(*(r.transform(s) for r, s in zip(reductions, tested)))
        found[0, test] = unit(a[test] @ rotation) @ unit(b).T
        found[1, test] = unit(b[test] @ rotation.T) @ unit(a).T
    return found


def _frames(factors: pd.DataFrame, column: str) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """Words (W) and rows (S, W) of the sets of instructions that differ in ``column`` alone."""
    fixed = [*CHOICES["colour"], *CHOICES["type"], "verb", "location", "second_location"]
    fixed = [name for name in fixed if name in factors and name != column]
    sets: dict[tuple[str, ...], list[np.ndarray]] = {}
    for _, part in factors.reset_index(drop=True).groupby(fixed, sort=True):
        part = part.sort_values(column)
        if len(part) > 1 and (part[column] != "").all():
            sets.setdefault(tuple(part[column]), []).append(part.index.to_numpy())
    full = max(map(len, sets), default=0)  # a set that lacks a word would have another chance
    return [(words, np.array(rows)) for words, rows in sets.items()
            if column == "verb" or len(words) == full]  # fmt: skip


def _confusion(tables: Sequence[np.ndarray], frames: list[tuple]) -> np.ndarray:
    """(W, W), word by word chosen: shares over all frames and tables, tied candidates sharing."""
    words = sorted({word for names, _ in frames for word in names})
    counts = np.zeros((len(words), len(words)))
    for names, rows in frames:
        places = [words.index(name) for name in names]
        for table in tables:
            near = table[rows[:, :, None], rows[:, None, :]]  # (S, W, W)
            best = near >= near.max(axis=2, keepdims=True) - TIE
            shares = (best / best.sum(axis=2, keepdims=True)).sum(axis=0)
            counts[np.ix_(places, places)] += shares
    return counts


def assignment_p(confusion: np.ndarray) -> float:
    """Exact p of a confusion matrix: the share of all assignments of words that score as high.

    >>> assignment_p(np.eye(3))
    0.16666666666666666
    """
    orders = np.array(list(permutations(range(len(confusion)))))
    scores = confusion[np.arange(len(confusion)), orders].sum(axis=1)
    return float(np.mean(scores >= np.trace(confusion) - inference.SLACK))


@lru_cache(maxsize=1000)  # of a few spaces and folds, which meet in hundreds of pairs
def _reduction(side: bytes, rows: int, dimension: int | None) -> retrieval.Reduction:
    return retrieval.Reduction(np.frombuffer(side).reshape(rows, -1), dimension)
