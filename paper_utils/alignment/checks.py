"""What cannot be compared is refused, in one line that names the first problem."""

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import check_array, check_consistent_length

FEWEST = 4  # rows: fewer have no geometry to compare


def as_matrix(values, name="X", fewest=1):
    """``values`` as float64 (N, d), C-ordered, or a ValueError of one line.

    Refused: not (N, d), NaN or infinity, fewer than ``fewest`` rows, a column of ids.

    >>> as_matrix(np.eye(3, dtype=int)).dtype
    dtype('float64')
    """
    # A table saved with its ids would have them for one more dimension, and wrong numbers.
    if isinstance(values, pd.DataFrame) and "id" in values:
        raise ValueError(f"{name} has a column 'id', which is no dimension: make it the index")
    if np.ndim(values) != 2:
        raise ValueError(f"{name} must have shape (N, d), not {np.shape(values)}")
    # In double precision: in single, what is equally far would not be tied.
    return check_array(values, dtype=float, order="C", input_name=name, ensure_min_samples=fewest)


def check_matrix(values, name="X"):
    """`as_matrix`, if its rows have a geometry to compare, or a ValueError of one line.

    Refused: N < 4, all rows equal, a row with one value throughout (d > 1).

    >>> check_matrix(np.eye(4)).shape
    (4, 4)
    """
    array = as_matrix(values, name, FEWEST)
    # Without any spread every measure divides by zero.
    if (array == array[0]).all():
        raise ValueError(f"{name} is constant: all {len(array)} rows are equal (zero variance)")
    # One value throughout is what a failed or padded read leaves behind.
    flat = np.flatnonzero(np.ptp(array, axis=1) == 0)
    if flat.size and array.shape[1] > 1:
        raise ValueError(f"{name} has {flat.size} constant rows, first row {flat[0]}")
    return array


def row_ids(table):
    """Ids of a table's rows: column ``id``, else its index; None for arrays and mere counts.

    >>> row_ids(pd.DataFrame({"id": [7, 9]})).tolist()
    [7, 9]
    """
    if not isinstance(table, pd.DataFrame):
        return None
    ids = table.get("id", table.index)
    # Rows that are merely counted may be anybody's.
    return None if isinstance(ids, pd.RangeIndex) else ids.to_numpy()


def check_paired(**tables):
    """A ValueError unless all have as many rows, and those with ids the same ids in one order.

    None stands for what is not given.

    >>> check_paired(X=np.eye(3), texts=["a", "b", "c"], groups=None)
    """
    check_consistent_length(*tables.values())
    known = None
    for name, table in tables.items():
        # Arrays have no ids, and are taken as they are.
        ids = row_ids(table)
        if known is None:
            known = ids
        if ids is not None and not np.array_equal(ids, known):
            raise ValueError(f"{name} is misordered: its ids differ from those before it")


def check_pair(X, Y, k=1):
    """Both sides as `check_matrix` gives them, if they are paired and k < N.

    >>> X, Y = check_pair(np.eye(4), np.eye(4), k=3)
    """
    sides = check_matrix(X, "X"), check_matrix(Y, "Y")
    check_paired(X=X, Y=Y)
    check_k(k, len(X))
    return sides


def check_k(k, rows):
    """``k``, or a ValueError unless it is an integer with 1 <= k < rows.

    >>> check_k(5, rows=6)
    5
    """
    if not isinstance(k, Integral) or not 1 <= k < rows:
        raise ValueError(f"k must be an integer from 1 to N - 1 = {rows - 1}, not {k!r}")
    return k
