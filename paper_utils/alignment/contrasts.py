"""What a table of factors can ask: which of the rows that differ in one word, and in which order?

Factors may have any names.  Columns ``x`` and ``second_x`` are one factor in two roles."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from paper_utils.alignment import inference
from paper_utils.alignment.checks import check_k, row_ids
from paper_utils.alignment.retrieval import TIE, Components, Folds
from paper_utils.alignment.similarities import KNearest

SECOND = "second_"  # what marks a factor's other role
MISSING = ""
MOST_KEPT = 400  # spaces, as components or reduced by them


class Draws(NamedTuple):
    """Values (directions, 1 + K) of a measure, the observed first, then its null; and chance."""

    values: np.ndarray
    chance: float


def as_texts(factors: pd.DataFrame) -> pd.DataFrame:
    """Levels as texts, rows counted from 0; what is missing is ``""``."""
    filled = factors.astype(object).where(factors.notna(), MISSING)
    return filled.astype(str).reset_index(drop=True)


def factor_table(factors: pd.DataFrame) -> pd.DataFrame:
    """The columns that are factors, as texts; what is missing is ``""``.

    Left out: columns with one value throughout, and those with another value in every row (ids,
    sentences), unless nothing else is left.

    >>> list(factor_table(pd.DataFrame({"id": [1, 2, 3], "colour": ["red", "red", None]})))
    ['colour']
    """
    texts = as_texts(factors)
    counts = texts.nunique()
    varied = texts.loc[:, counts > 1]
    shared = varied.loc[:, counts[counts > 1] < len(texts)]
    return varied if shared.empty else shared


def factor_roles(table: pd.DataFrame) -> dict[str, list[str]]:
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


def rows_alike(table: pd.DataFrame, column: str) -> list[pd.Series]:
    """The sets of rows that differ in ``column`` alone: its levels by row, sorted."""
    ordered = table.sort_values(column)
    others = [name for name in table if name != column]
    if not others:
        return [ordered[column]]
    groups = ordered.groupby(others)[column]
    return [levels for _, levels in groups]


def forced_choices(table: pd.DataFrame, column: str) -> dict[tuple, np.ndarray]:
    """Levels (W,) -> rows (S, W) of the sets in which exactly one of W levels has to stand.

    >>> table = pd.DataFrame({"colour": ["red", "blue"] * 2, "type": ["box", "box", "key", "key"]})
    >>> forced_choices(table, "colour")
    {('blue', 'red'): array([[1, 0],
           [3, 2]])}
    """
    sets = defaultdict(list)
    for levels in rows_alike(table, column):
        # Where the word can be left out, or stands in several rows, nothing forces the choice.
        left_out = (levels == MISSING).any()
        if levels.is_unique and not left_out:
            sets[tuple(levels)].append(levels.index)
    # A set that lacks a level would have another chance.
    most = max(map(len, sets), default=0)
    if most < 2:
        return {}
    return {levels: np.array(rows) for levels, rows in sets.items() if len(levels) == most}


def level_codes(table: pd.DataFrame) -> np.ndarray:
    """Levels as numbers (N, columns), alike in both roles of a factor; 0 is missing."""
    codes = np.zeros(table.shape, dtype=int)
    for columns in factor_roles(table).values():
        values = table[columns].to_numpy(dtype=str)
        levels = np.union1d(values, MISSING)
        places = table.columns.get_indexer(columns)
        codes[:, places] = np.searchsorted(levels, values)
    return codes


class Swaps:
    """Rows that have a twin in which two things change places, and their renamings.

    ``asked`` (M,): the rows; ``partners``, ``twins`` (1 + K, M): the row that is right, and its
    twin.  The first are the rows themselves; in the others the levels of the factors are renamed,
    which is all that an encoder can do that does not know the words."""

    def __init__(self, table: pd.DataFrame, n_permutations: int, random_state: int):
        self.codes = level_codes(table)
        self.places = {}
        for place, row in enumerate(self.codes.tolist()):
            self.places.setdefault(tuple(row), place)
        paired = [columns for columns in factor_roles(table).values() if len(columns) == 2]
        self.pairs = [table.columns.get_indexer(columns) for columns in paired]
        self.twin = self._twins()  # (N,), -1 where there is none
        self.asked = np.flatnonzero(self.twin >= 0)
        renamed = self._renamed(n_permutations, random_state)
        self.partners = np.array([self.asked, *renamed])
        self.twins = self.twin[self.partners]

    def _find(self, codes) -> np.ndarray:
        """Where rows of codes stand in the table; -1 for those that do not."""
        rows = map(tuple, codes.tolist())
        found = [self.places.get(row, -1) for row in rows]
        return np.array(found, dtype=int)

    def _twins(self) -> np.ndarray:
        turned = self.codes.copy()
        things = np.zeros((2, len(turned)), dtype=bool)  # whether either role is filled
        for pair in self.pairs:
            turned[:, pair] = self.codes[:, pair[::-1]]
            things |= self.codes[:, pair].T > 0
        twin = self._find(turned)
        same = (turned == self.codes).all(axis=1)
        twin[same | ~things.all(axis=0)] = -1
        return twin

    def _renamed(self, count, random_state) -> list[np.ndarray]:
        """Where the asked rows stand after each renaming; nothing where such rows are missing."""
        rows = self.codes[self.asked]
        random = inference.stream("renamed levels", random_state)
        found = []
        for _ in range(count if rows.size else 0):
            other = rows.copy()
            for pair in self.pairs:
                names = np.arange(self.codes.max() + 1)
                levels = np.unique(rows[:, pair])
                levels = levels[levels > 0]  # what is missing stays so
                names[levels] = random.permutation(levels)
                other[:, pair] = names[rows[:, pair]]
            places = self._find(other)
            if places.min() < 0:
                return []
            found.append(places)
        return found

    def groups(self) -> np.ndarray:
        """(N,) labels that a row and its twin share."""
        rows = np.arange(len(self.twin))
        other = np.where(self.twin < 0, rows, self.twin)
        return np.minimum(rows, other)

    def right(self, table: np.ndarray) -> np.ndarray:
        """Share of rows whose image is nearer to its partner than to the twin: (N, N) cosines ->
        (1 + K,); a tie is half right."""
        partner = table[self.asked, self.partners]
        margin = partner - table[self.asked, self.twins]
        margin[np.abs(margin) < TIE] = 0
        return np.mean(np.sign(margin) + 1, axis=1) / 2


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
        ids = row_ids(factors)
        self.rows = pd.DataFrame(index=range(self.n) if ids is None else ids)
        self.k = check_k(k, self.n)
        table = factor_table(factors)
        # Sentences of one build are exchanged among themselves: that their forms are alike is not
        # what is asked.
        filled = (table != MISSING).astype(str)
        build = filled.sum(axis=1)
        shuffled = inference.permutations(self.n, n_permutations, random_state, build)
        self.pairings = np.vstack([np.arange(self.n), shuffled])  # (1 + K, N), the true one first
        self.swaps = Swaps(table, n_permutations, random_state)
        self.groups = self.swaps.groups()
        self.choices = {}
        for factor, columns in factor_roles(table).items():
            sets = [forced_choices(table, column) for column in columns]
            found = [item for part in sets for item in part.items()]
            if found:
                self.choices[factor] = found
        self._fits: dict[tuple, list] = {}

    @property
    def measures(self) -> list[str]:
        """What can be asked."""
        names = ["precision_at_1", "precision_at_k", *self.choices]
        if self.swaps.asked.size:
            names.append("order")
        return names

    def scores(self, tables: Iterable[np.ndarray]) -> dict[str, Draws]:
        """All ``measures`` of cosines, some tables (directions, N, N): means over tables."""
        parts = [[self._answers(table) for table in directions] for directions in tables]
        found = {}
        for name in self.measures:
            values = [[answers[name].values for answers in part] for part in parts]
            chance = parts[0][0][name].chance
            found[name] = Draws(np.mean(values, axis=0), chance)
        return found

    def _answers(self, table) -> dict[str, Draws]:
        """All measures of one table (N, N): values (1 + K,)."""
        found = {}
        for name, k in (("precision_at_1", 1), ("precision_at_k", self.k)):
            found[name] = Draws(self._precision(table, k), k / self.n)
        for name in self.choices:
            found[name] = self._choice(table, name)
        if self.swaps.asked.size:
            found["order"] = Draws(self.swaps.right(table), 0.5)
        return found

    def _precision(self, table, k) -> np.ndarray:
        """Mean membership of each row's partner in the k nearest, under all pairings (1 + K,)."""
        rows = np.arange(self.n)
        partners = table[rows, self.pairings]
        near = KNearest(table, k).membership(partners)
        return near.mean(axis=1)

    def _choice(self, table, name) -> Draws:
        """Right choices among the levels of a factor, and under all renamings of the levels."""
        sets = self.choices[name]
        levels = sorted({level for names, _ in sets for level in names})
        chosen = np.zeros((len(levels), len(levels)))  # level by level chosen
        asked = 0
        for names, rows in sets:
            places = [levels.index(level) for level in names]
            near = table[rows[:, :, None], rows[:, None, :]]  # (S, W, W)
            best = near >= near.max(axis=2, keepdims=True) - TIE
            shares = best / best.sum(axis=2, keepdims=True)  # what is tied shares the choice
            chosen[np.ix_(places, places)] += shares.sum(axis=0)
            asked += len(rows)
        renamings = inference.relabellings(len(levels))
        right = chosen[np.arange(len(levels)), renamings].sum(axis=1)
        return Draws(right / chosen.sum(), asked / chosen.sum())

    def reduced(
        self, fitted: np.ndarray, asked: np.ndarray, folds: Folds, n_components: int | None
    ) -> list[np.ndarray]:
        """Per fold all rows of ``asked`` (N, d) in components of the training rows of ``fitted``
        (N, d): (N, c) each.  They are kept: one space meets many others, and this is the work."""
        trained = b"".join(train.tobytes() for train, _ in folds.pairs)
        code = _digest(fitted)
        key = (code, n_components, trained)
        if key not in self._fits:
            self._keep(key, [Components(fitted[train], n_components) for train, _ in folds.pairs])
        fits = self._fits[key]
        code = code if asked is fitted else _digest(asked)
        key = (code, *key)
        if key not in self._fits:
            self._keep(key, [components.transform(asked) for components in fits])
        return self._fits[key]

    def _keep(self, key: tuple, found: list) -> None:
        # Far more than a study has; a bound all the same.
        if len(self._fits) >= MOST_KEPT:
            self._fits.clear()
        self._fits[key] = found


def _digest(array: np.ndarray) -> tuple:
    return hashlib.sha256(array).digest(), array.shape
