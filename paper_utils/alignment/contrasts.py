"""What a table of factors can ask: which of the rows that differ in one word, and in which order?

Factors may have any names.  Columns ``x`` and ``second_x`` are one factor in two roles."""

import hashlib
from collections import defaultdict
from copy import copy
from typing import NamedTuple

import numpy as np
import pandas as pd

from paper_utils.alignment import inference
from paper_utils.alignment.checks import check_k, id_table
from paper_utils.alignment.retrieval import TIE, reduce_folds
from paper_utils.alignment.similarities import KNearest

SECOND = "second_"  # what marks a factor's other role
MISSING = ""
TRIES = 10  # random renamings, to find one that is new
MOST_KEPT = 400  # spaces, reduced


class Draws(NamedTuple):
    """Values (..., 1 + K) of a measure, the observed first, then its null; and chance."""

    values: np.ndarray
    chance: float


# --- tables of factors -------------------------------------------------------------------------


def as_texts(factors):
    """Levels as texts, rows counted from 0; what is missing is ``""``."""
    known = factors.notna()
    filled = factors.astype(object).where(known, MISSING)
    return filled.astype(str).reset_index(drop=True)


def factor_table(factors):
    """The columns that are factors, as texts; what is missing is ``""``.

    Left out: columns with one value throughout, and those with another value in every row (ids,
    sentences), unless nothing else is left.

    >>> list(factor_table(pd.DataFrame({"id": [1, 2, 3], "colour": ["red", "red", None]})))
    ['colour']
    """
    texts = as_texts(factors)
    counts = texts.nunique()
    varied = counts[counts > 1]
    shared = varied[varied < len(texts)]
    # In a table of concepts, a row each, a level may well be in one row alone.
    kept = varied if shared.empty else shared
    return texts[kept.index]


def factor_roles(table):
    """Factor -> its columns, one or two.

    >>> factor_roles(pd.DataFrame(columns=["colour", "verb", "second_colour"]))
    {'colour': ['colour', 'second_colour'], 'verb': ['verb']}
    """
    found = defaultdict(list)
    for column in table:
        name = column.removeprefix(SECOND)
        factor = name if name in table else column
        found[factor].append(column)
    return dict(found)


def rows_alike(table, column):
    """The sets of rows that differ in ``column`` alone: its levels by row, sorted."""
    ordered = table.sort_values(column)
    others = [name for name in table if name != column]
    if not others:
        return [ordered[column]]
    groups = ordered.groupby(others)[column]
    return [levels for _, levels in groups]


def forced_choices(table, column):
    """Levels (W,) and rows (S, W) of the sets in which exactly one of W levels has to stand.

    >>> table = pd.DataFrame({"colour": ["red", "blue"] * 2, "type": ["box", "box", "key", "key"]})
    >>> forced_choices(table, "colour")
    [(('blue', 'red'), array([[1, 0],
           [3, 2]]))]
    """
    sets = defaultdict(list)
    for levels in rows_alike(table, column):
        # Where the word can be left out, or stands in several rows, nothing forces the choice.
        left_out = (levels == MISSING).any()
        if levels.is_unique and not left_out:
            sets[tuple(levels)].append(levels.index)
    # A set that lacks a level would have another chance.
    most = max(map(len, sets), default=0)
    full = [levels for levels in sets if len(levels) == most > 1]
    return [(levels, np.array(sets[levels])) for levels in full]


class Swaps:
    """Rows that have a twin in which two things change places, and their renamings.

    ``twin`` (N,): every row's twin, or -1; ``asked`` (M,): rows with a twin.  ``partners``
    (1 + K, M): the rows that are right, first themselves, then those in which the levels of the
    factors are renamed, which is all that an encoder can do that does not know the words."""

    def __init__(self, table, n_permutations, random_state):
        # Levels as numbers (N, columns), alike in both roles of a factor; 0 is missing.
        self.codes = np.zeros(table.shape, dtype=int)
        self.pairs = []
        for columns in factor_roles(table).values():
            places = table.columns.get_indexer(columns)
            values = table[columns].to_numpy(dtype=str)
            levels = np.union1d(values, MISSING)
            self.codes[:, places] = np.searchsorted(levels, values)
            if len(places) == 2:
                self.pairs.append(places)
        # Of rows that say the same, the first is found.
        self.places = {}
        for place, row in enumerate(self.codes.tolist()):
            self.places.setdefault(tuple(row), place)
        self.twin = self._twins()
        self.asked = np.flatnonzero(self.twin >= 0)
        renamed = self._renamed(n_permutations, random_state)
        self.partners = np.array([self.asked, *renamed])

    def _find(self, codes):
        """Where rows of codes stand in the table; -1 for those that do not."""
        found = [self.places.get(tuple(row), -1) for row in codes.tolist()]
        return np.array(found, dtype=int)

    def _twins(self):
        turned = self.codes.copy()
        filled = np.zeros((len(turned), 2), dtype=int)  # columns of either role
        for pair in self.pairs:
            turned[:, pair] = np.fliplr(self.codes[:, pair])
            filled += self.codes[:, pair] > 0
        twin = self._find(turned)
        # "Put A next to A" is its own twin, and one thing alone has no place to change.
        same = (turned == self.codes).all(axis=1)
        alone = filled.min(axis=1) == 0
        twin[same | alone] = -1
        return twin

    def _renamed(self, count, random_state):
        """Where the asked rows stand after each renaming; nothing where such rows are missing."""
        rows = self.codes[self.asked]
        random = inference.stream("renamed levels", random_state)
        found = {}
        # Few levels have few renamings: no more draws than there are, each of them once.
        for _ in range(TRIES * count if rows.size else 0):
            other = rows.copy()
            for pair in self.pairs:
                said = rows[:, pair]
                levels = np.setdiff1d(said, 0)  # what is missing stays so
                names = np.arange(said.max() + 1)
                names[levels] = random.permutation(levels)
                other[:, pair] = names[said]
            places = self._find(other)
            if places.min() < 0:
                return []
            # Names that all stay as they are would be the truth, not a draw of the null.
            if (places != self.asked).any():
                found[places.tobytes()] = places
            if len(found) == count:
                break
        return list(found.values())

    def right(self, table):
        """Share of rows whose image is nearer to its partner than to the twin: (N, N) cosines ->
        (1 + K,); a tie is half right."""
        partner = table[self.asked, self.partners]
        twins = self.twin[self.partners]
        margin = partner - table[self.asked, twins]
        nearer = np.mean(margin > TIE, axis=1)
        farther = np.mean(margin < -TIE, axis=1)
        return (1 + nearer - farther) / 2


# --- the questions -----------------------------------------------------------------------------


class ContrastSets:
    """The questions that N rows can be asked, prepared once for many pairs of spaces.

    Arguments:
        factors: a row per item and a column per factor; or N, where nothing is known of the items.
        k: neighbours that count.
        n_permutations: draws of the nulls of precision and of order.

    Attributes:
        measures: precision_at_1, precision_at_k, a forced choice per factor, order.
        groups: (N,) labels; a row and its twin ("put A next to B", "put B next to A") share one.

    Forced choices are among rows that differ in one factor, where one of its levels has to stand.
    Raises ValueError, one line, where N is too small for k.

    >>> table = pd.DataFrame({"colour": ["red", "blue"] * 3, "type": list("aabbcc")})
    >>> ContrastSets(table, k=3).measures
    ['precision_at_1', 'precision_at_k', 'colour', 'type']
    """

    def __init__(
        self,
        factors: pd.DataFrame | int,
        k: int = 15,
        *,
        n_permutations: int = 200,
        random_state: int = 0,
    ):
        if isinstance(factors, int):
            factors = pd.DataFrame(index=range(factors))
        self.n = len(factors)
        self.k = check_k(k, self.n)
        self.rows = id_table(factors)
        table = factor_table(factors)
        # Sentences of one build are exchanged among themselves: that their forms are alike is not
        # what is asked.
        filled = (table != MISSING).astype(str)
        build = filled.sum(axis=1)
        shuffled = inference.permutations(self.n, n_permutations, random_state, build)
        rows = np.arange(self.n)
        self.pairings = np.vstack([rows, shuffled])  # (1 + K, N), the true one first
        self.swaps = Swaps(table, n_permutations, random_state)
        twin = self.swaps.twin
        self.groups = np.where(twin < 0, rows, np.minimum(rows, twin))
        self.choices = {}
        for factor, columns in factor_roles(table).items():
            sets = []
            for column in columns:
                sets += forced_choices(table, column)
            # One chance in both roles.
            most = max((len(levels) for levels, _ in sets), default=0)
            if most:
                self.choices[factor] = [part for part in sets if len(part[0]) == most]
        self.measures = ["precision_at_1", "precision_at_k", *self.choices]
        if self.swaps.asked.size:
            self.measures.append("order")
        self._kept = {}

    def without_nulls(self) -> "ContrastSets":
        """The same questions, and nothing to compare the answers with."""
        alone = copy(self)
        alone.pairings = self.pairings[:1]
        alone.swaps = copy(self.swaps)
        alone.swaps.partners = self.swaps.partners[:1]
        return alone

    def scores(self, tables, measures=None) -> dict[str, Draws]:
        """Answers to all (or some) measures: values (directions, 1 + K).

        ``tables``: arrays (directions, N, N) of cosines; values are means over these arrays."""
        found = {}
        for name in measures or self.measures:
            parts = []
            for ways in tables:
                answers = [self._answer(name, table) for table in ways]
                parts.append([answer.values for answer in answers])
            values = np.mean(parts, axis=0)
            found[name] = Draws(values, answers[0].chance)
        return found

    def _answer(self, name, table):
        """One measure of one table (N, N): values (1 + K,)."""
        if name in self.choices:
            return self._choice(table, self.choices[name])
        if name == "order":
            return Draws(self.swaps.right(table), 0.5)
        k = 1 if name == "precision_at_1" else self.k
        rows = np.arange(self.n)
        partners = table[rows, self.pairings]  # (1 + K, N)
        near = KNearest(table, k).membership(partners)
        return Draws(near.mean(axis=1), k / self.n)

    def _choice(self, table, sets):
        """Right choices among the levels of a factor, and under all renamings of the levels."""
        names = [names for names, _ in sets]
        levels = np.unique(np.concatenate(names))
        chosen = np.zeros((len(levels), len(levels)))  # level by level chosen
        asked = 0
        renamings = inference.relabellings(len(levels))
        for names, rows in sets:
            near = table[rows[:, :, None], rows[:, None, :]]  # (S, W, W)
            nearest = near.max(axis=2, keepdims=True)
            best = near > nearest - TIE
            shares = best / best.sum(axis=2, keepdims=True)  # what is tied shares the choice
            places = np.searchsorted(levels, names)
            chosen[np.ix_(places, places)] += shares.sum(axis=0)
            asked += len(rows)
            # A level that cannot stand here must not be the right one.
            possible = np.isin(renamings[:, places], places)
            renamings = renamings[possible.all(axis=1)]
        total = chosen.sum()
        right = chosen[np.arange(len(levels)), renamings]  # (renamings, W)
        return Draws(right.sum(axis=1) / total, asked / total)

    def reduced(self, fitted, asked, folds, n_components):
        """`reduce_folds` of ``asked`` (N, d) by the training rows of ``fitted`` (N, d).

        It is kept: one space meets many others, and this is most of the work."""
        trained = b"".join(train.tobytes() for train, _ in folds.pairs)
        other = None if asked is fitted else _digest(asked)
        key = (_digest(fitted), other, trained, n_components)
        found = self._kept.get(key)
        if found is None:
            found = reduce_folds(fitted, folds, n_components, asked)
            # Far more than a study has; a bound all the same.
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found


def _digest(array):
    return hashlib.sha256(array).digest()
