"""What cannot be compared is refused, in one line that names the first problem."""

from numbers import Integral

import numpy as np
import pandas as pd

FEWEST = 4  # rows: fewer have no geometry to compare


def as_matrix(values, name="X"):
    """``values`` as float64 (N, d), C-ordered, or a ValueError of one line.

    Refused: not (N, d), NaN or infinity, a column of ids.

    >>> as_matrix(np.eye(3, dtype=int)).dtype
    dtype('float64')
    """
    # A table saved with its ids would have them for one more dimension, and wrong numbers.
    if isinstance(values, pd.DataFrame) and "id" in values:
        raise ValueError(f"{name} has a column 'id', which is no dimension: make it the index")
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not an array of numbers") from None
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must have shape (N, d), not {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    bad = np.flatnonzero(~finite)
    if bad.size:
        raise ValueError(f"{name} has NaN or infinity in {bad.size} rows, first row {bad[0]}")
    return np.ascontiguousarray(array)


def check_matrix(values, name="X", duplicates=0.5):
    """`as_matrix`, if its rows have a geometry to compare, or a ValueError of one line.

    Refused: N < 4, all rows equal, a row with one value throughout (d > 1), more than a share
    ``duplicates`` of rows equal to an earlier row.

    >>> check_matrix(np.eye(4)).shape
    (4, 4)
    """
    array = as_matrix(values, name)
    rows, width = array.shape
    if rows < FEWEST:
        raise ValueError(f"{name} has {rows} rows; at least {FEWEST} are needed")
    repeated = count_repeated(array)
    if repeated == rows - 1:
        raise ValueError(f"{name} is constant: all {rows} rows are equal (zero variance)")
    # One value throughout is what a failed or padded read leaves behind.
    flat = np.flatnonzero(np.ptp(array, axis=1) == 0)
    if flat.size and width > 1:
        raise ValueError(f"{name} has {flat.size} constant rows, first row {flat[0]}")
    if repeated > duplicates * rows:
        limit = f"at most {duplicates:.0%} may be"
        raise ValueError(f"{name} has {repeated} of {rows} rows equal to an earlier row ({limit})")
    return array


def count_repeated(array):
    """How many rows equal an earlier row."""
    sums = array.sum(axis=1)
    if len(np.unique(sums)) == len(sums):
        return 0  # equal rows would have equal sums
    # + 0.0: -0.0 and 0.0 are one value, of two bytes.
    distinct = {row.tobytes() for row in array + 0.0}
    return len(array) - len(distinct)


def row_ids(table):
    """Ids of a table's rows: column ``id``, else its index; None for arrays and mere counts."""
    if not isinstance(table, pd.DataFrame):
        return None
    if "id" in table:
        return table["id"].to_numpy()
    if isinstance(table.index, pd.RangeIndex):
        return None
    return table.index.to_numpy()


def id_table(table):
    """A table without columns whose index holds the ids of a table's rows."""
    ids = row_ids(table)
    if ids is None:
        ids = range(len(table))
    return pd.DataFrame(index=ids)


def check_paired(**tables):
    """N, if all tables have N rows and those with ids have the same ids in the same order."""
    (first, table), *others = tables.items()
    rows = len(table)
    known = row_ids(table)
    for name, other in others:
        if len(other) != rows:
            wanted = "row i of both must be one item, so they must have the same N rows"
            raise ValueError(f"{first} has {rows} rows and {name} has {len(other)}: {wanted}")
        ids = row_ids(other)
        # Arrays have no ids, and are taken as they are.
        if known is None:
            known = ids
        if ids is not None and not np.array_equal(ids, known):
            raise ValueError(f"{name} is misordered: its ids differ from those before it")
    return rows


def check_pair(X, Y, k=1):
    """Both sides as `check_matrix` gives them, if they are paired and k < N."""
    first = check_matrix(X, "X")
    second = check_matrix(Y, "Y")
    check_k(k, check_paired(X=X, Y=Y))
    return first, second


def check_k(k, rows):
    """``k``, or a ValueError unless it is an integer with 1 <= k < rows."""
    # True is an integer to Python, and a slip to everyone else.
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, not {k!r}")
    if rows <= k:
        raise ValueError(f"N = {rows} items are too few for k = {k} neighbours: N must exceed k")
    return int(k)


def check_choice(value, allowed, what):
    """``value`` if it is one of ``allowed``, else a ValueError that lists them."""
    if value not in allowed:
        known = ", ".join(allowed)
        raise ValueError(f"unknown {what} {value!r}; choose from {known}")
    return value


def check_seed(random_state):
    """``random_state``, or a ValueError unless it is an integer of at least 0."""
    if not isinstance(random_state, Integral) or random_state < 0:
        raise ValueError(f"random_state must be an integer of at least 0, not {random_state!r}")
    return int(random_state)
