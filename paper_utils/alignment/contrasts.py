"""What a table of factors can ask: which of the rows that differ in one word, and in which order?

Factors may have any names.  Columns ``x`` and ``second_x`` are one factor in two roles."""

from collections import defaultdict

import joblib
import numpy as np

from paper_utils.alignment.checks import check_k
from paper_utils.alignment.inference import pairings, relabellings, stream
from paper_utils.alignment.retrieval import TIE, hit_chance, reduce_folds

SECOND = "second_"  # what marks a factor's other role
MISSING = ""
TRIES = 10  # random renamings, to find one that is new


# --- tables of factors -------------------------------------------------------------------------


def factor_table(factors):
    """The columns that are factors, as texts, rows counted from 0; what is missing is ``""``.

    Left out: columns with one value throughout, and those with another value in every row (ids,
    sentences), unless nothing else is left.

    >>> list(factor_table(pd.DataFrame({"id": [1, 2, 3], "colour": ["red", "red", None]})))
    ['colour']
    """
    filled = factors.astype(object).where(factors.notna(), MISSING)
    texts = filled.astype(str).reset_index(drop=True)
    counts = texts.nunique()
    varied = counts[counts > 1]
    shared = varied[varied < len(texts)]
    # In a table of concepts, a row each, a level may well be in one row alone.
    kept = varied if shared.empty else shared
    return texts[kept.index]


def factor_roles(table):
    """Factor -> its columns, one or two.

    >>> dict(factor_roles(pd.DataFrame(columns=["colour", "verb", "second_colour"])))
    {'colour': ['colour', 'second_colour'], 'verb': ['verb']}
    """
    found = defaultdict(list)
    for column in table:
        name = column.removeprefix(SECOND)
        # A second role without a first one is a factor of its own.
        factor = name if name in table else column
        found[factor].append(column)
    return found


def rows_alike(table, column):
    """Levels (W,) -> rows (S, W): the S sets of rows that differ in ``column`` alone, where they
    have exactly these levels, each once.

    >>> table = pd.DataFrame({"colour": ["red", "blue"] * 2, "type": ["box", "box", "key", "key"]})
    >>> rows_alike(table, "colour")
    {('blue', 'red'): array([[1, 0],
           [3, 2]])}
    """
    others = [name for name in table if name != column]
    # Without other columns all rows are one set.
    by = others or np.zeros(len(table))
    sets = defaultdict(list)
    for _, levels in table.sort_values(column).groupby(by)[column]:
        if levels.is_unique:
            sets[tuple(levels)].append(levels.index)
    return {levels: np.array(rows) for levels, rows in sets.items()}


def forced_choices(table, columns):
    """Levels (W,) and rows (S, W) of the sets in which exactly one of W levels has to stand in one
    of the columns, which are one factor.

    >>> table = pd.DataFrame({"size": ["big", "small", "", "big"], "type": list("aabb")})
    >>> forced_choices(table, ["size"])
    [(('big', 'small'), array([[0, 1]]))]
    """
    forced = []
    for column in columns:
        # Where the word can be left out, nothing forces the choice.
        sets = rows_alike(table, column).items()
        forced += [(levels, rows) for levels, rows in sets if MISSING not in levels]
    # A set that lacks a level would have another chance, and so would another role.
    most = max([2, *(len(levels) for levels, _ in forced)])
    return [(levels, rows) for levels, rows in forced if len(levels) == most]


class Swaps:
    """Rows that have a twin in which two things change places, and their renamings.

    Attributes:
        twin: (N,), every row's twin, or -1.
        asked: (M,), rows with a twin.
        partners: (1 + K, M), the rows that are right: first themselves, then those in which the
            levels of the factors are renamed, which is all that an encoder can do that does not
            know the words.

    >>> table = pd.DataFrame({"thing": list("ab"), "second_thing": list("ba")})
    >>> Swaps(table, 0, 0).twin.tolist()
    [1, 0]
    """

    def __init__(self, table, n_permutations, random_state):
        self.said = table.to_numpy(dtype=str)  # (N, columns)
        # Columns of F factors in their first and in their second role: (2, F).
        pairs = [columns for columns in factor_roles(table).values() if len(columns) == 2]
        self.roles = table.columns.get_indexer(sum(pairs, [])).reshape(-1, 2).T
        self.places = {}
        for place, row in enumerate(self.said.tolist()):
            # Of rows that say the same, the first is found.
            self.places.setdefault(tuple(row), place)
        self.twin = self._twins()
        self.asked = np.flatnonzero(self.twin >= 0)
        renamed = self._renamed(n_permutations, stream("renamed levels", random_state))
        self.partners = np.array([self.asked, *renamed])

    def _find(self, said):
        """Where rows of levels stand in the table; -1 for those that do not."""
        return np.array([self.places.get(tuple(row), -1) for row in said.tolist()], dtype=int)

    def _twins(self):
        things = self.said[:, self.roles]  # (N, 2, F)
        turned = self.said.copy()
        turned[:, self.roles] = things[:, ::-1]
        # "Put A next to A" is its own twin, and one thing alone has no place to change.
        same = (turned == self.said).all(axis=1)
        filled = (things != MISSING).any(axis=2)  # (N, 2)
        return np.where(filled.all(axis=1) & ~same, self._find(turned), -1)

    def _renamed(self, count, random):
        """Where the asked rows stand after each renaming; nothing where such rows are missing."""
        rows = self.said[self.asked]
        found = {}
        # Few levels have few renamings: no more draws than there are, each of them once.
        for _ in range(TRIES * count if rows.size else 0):
            other = rows.copy()
            for pair in self.roles.T:
                said = rows[:, pair]
                levels = np.setdiff1d(said, MISSING)
                # What is missing comes before all levels, and stays missing.
                names = np.array([MISSING, *random.permutation(levels)])
                other[:, pair] = names[np.searchsorted(levels, said, side="right")]
            places = self._find(other)
            if places.min() < 0:
                return []
            # Names that all stay as they are would be the truth, not a draw of the null.
            if (places != self.asked).any():
                found[places.tobytes()] = places
            if len(found) == count:
                break
        return list(found.values())

    def right(self, cosines):
        """Share of rows whose image is nearer to its partner than to the twin: (N, N) cosines ->
        (1 + K,); a tie is half right."""
        margin = cosines[self.asked, self.partners] - cosines[self.asked, self.twin[self.partners]]
        told = np.where(np.abs(margin) > TIE, np.sign(margin), 0)
        return (1 + told.mean(axis=1)) / 2


# --- the questions -----------------------------------------------------------------------------


class ContrastSets:
    """The questions that N rows can be asked, prepared once for many pairs of spaces.

    Arguments:
        factors: a row per item and a column per factor, perhaps none.
        k: neighbours that count.
        n_permutations: draws of the nulls of precision and of order.

    Attributes:
        chance: of each measure: precision_at_1, precision_at_k, a forced choice per factor, order.
        measures: their names.
        groups: (N,) labels; a row and its twin ("put A next to B", "put B next to A") share one.

    Forced choices are among rows that differ in one factor, where one of its levels has to stand.
    Raises ValueError, one line, where N is too small for k.

    >>> table = pd.DataFrame({"colour": ["red", "blue"] * 3, "type": list("aabbcc")})
    >>> ContrastSets(table, k=3).measures
    ['precision_at_1', 'precision_at_k', 'colour', 'type']
    """

    def __init__(self, factors, k=15, *, n_permutations=200, random_state=0):
        self.factors = factors
        self.n = len(factors)
        self.k = check_k(k, self.n)
        table = factor_table(factors)
        # Sentences of one build are exchanged among themselves: that their forms are alike is not
        # what is asked.
        build = (table != MISSING).astype(str).sum(axis=1)
        self.pairings = pairings(self.n, n_permutations, random_state, build)  # (1 + K, N)
        self.swaps = Swaps(table, n_permutations, random_state)
        rows = np.arange(self.n)
        twin = self.swaps.twin
        self.groups = np.where(twin < 0, rows, np.minimum(rows, twin))
        self.choices = {}
        self.chance = {"precision_at_1": 1 / self.n, "precision_at_k": k / self.n}
        for factor, columns in factor_roles(table).items():
            asked = forced_choices(table, columns)
            if asked:
                levels, _ = asked[0]  # all sets have as many levels, of which one is right
                self.choices[factor] = asked
                self.chance[factor] = 1 / len(levels)
        if self.swaps.asked.size:
            self.chance["order"] = 0.5
        self.measures = list(self.chance)
        self._kept = {}

    def scores(self, tables, measures=None):
        """Answers to all (or some) measures, by name: (directions, 1 + K), the true one first.

        ``tables``: arrays (directions, N, N) of cosines; values are means over these arrays."""
        found = {}
        for name in measures or self.measures:
            answers = [[self._answer(name, cosines) for cosines in ways] for ways in tables]
            found[name] = np.mean(answers, axis=0)
        return found

    def _answer(self, name, cosines):
        """One measure of one table (N, N): values (1 + K,)."""
        if name in self.choices:
            return self._choice(cosines, self.choices[name])
        if name == "order":
            return self.swaps.right(cosines)
        k = 1 if name == "precision_at_1" else self.k
        return np.array([hit_chance(cosines, partners, [k]).mean() for partners in self.pairings])

    def _choice(self, cosines, sets):
        """Right choices among the levels of a factor, and under all renamings of the levels."""
        levels = np.unique([names for names, _ in sets])
        renamings = relabellings(len(levels))
        chosen = np.zeros((len(levels), len(levels)))  # level by level chosen
        for names, rows in sets:
            near = cosines[rows[:, :, None], rows[:, None, :]]  # (S, W, W)
            best = near > near.max(axis=2, keepdims=True) - TIE
            shares = best / best.sum(axis=2, keepdims=True)  # what is tied shares the choice
            places = np.searchsorted(levels, names)
            chosen[np.ix_(places, places)] += shares.sum(axis=0)
            # A level that cannot stand here must not be the right one.
            possible = np.isin(renamings[:, places], places)
            renamings = renamings[possible.all(axis=1)]
        right = chosen[renamings[0], renamings]  # (renamings, W)
        return right.sum(axis=1) / chosen.sum()

    def reduced(self, fitted, asked, folds, n_components):
        """`reduce_folds` of ``asked`` (N, d) by the training rows of ``fitted`` (N, d).

        It is kept: one space meets many others, and this is most of the work."""
        key = joblib.hash((fitted, asked, folds.pairs, n_components))
        if key not in self._kept:
            self._kept[key] = reduce_folds(fitted, folds, n_components, asked)
        return self._kept[key]
