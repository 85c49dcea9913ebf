"""What may be compared: one clear line for anything that would make a number meaningless."""

from __future__ import annotations

from operator import index

import numpy as np

MAX_DUPLICATES = 0.5


def embedding(values, name: str = "X", duplicates: float = MAX_DUPLICATES) -> np.ndarray:
    """``values`` as float64 (N, d), or a ValueError that names the first problem.

    Refused: not two-dimensional, fewer than 4 rows, NaN or infinity, all rows equal, a row with
    one value throughout (d > 1), more than a share ``duplicates`` of rows equal to an earlier row.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not an array of numbers") from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must have shape (N, d), not {array.shape}")
    rows = len(array)
    if rows < 4:
        raise ValueError(f"{name} has {rows} rows; at least 4 are needed")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ValueError(f"{name} has NaN or infinity in {bad.size} rows, first row {bad[0]}")
    distinct = len({row.tobytes() for row in array + 0.0})  # + 0.0: -0.0 and 0.0 are one value
    if distinct == 1:
        raise ValueError(f"{name} is constant: all {rows} rows are equal (zero variance)")
    if array.shape[1] > 1:
        flat = np.flatnonzero(np.ptp(array, axis=1) == 0)
        if flat.size:
            raise ValueError(f"{name} has {flat.size} constant rows, first row {flat[0]}")
    if rows - distinct > duplicates * rows:
        raise ValueError(
            f"{name} has {rows - distinct} of {rows} rows equal to an earlier row "
            f"(at most {duplicates:.0%} may be)"
        )
    return array


def pair(X, Y) -> tuple[np.ndarray, np.ndarray]:
    """Both sides checked, with equally many rows."""
    X, Y = embedding(X, "X"), embedding(Y, "Y")
    if len(X) != len(Y):
        raise ValueError(f"X has {len(X)} rows and Y has {len(Y)}: row i of both must be one item")
    return X, Y


def neighbours(k: int, items: int) -> None:
    """ValueError unless k is an integer with 1 <= k < items."""
    try:
        valid = not isinstance(k, bool) and index(k) >= 1
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"k must be an integer of at least 1, not {k!r}")
    if items <= k:
        raise ValueError(f"N = {items} items are too few for k = {k} neighbours: N must exceed k")


def choice(value: str, allowed, what: str) -> str:
    """``value`` if it is one of ``allowed``, else a ValueError listing them."""
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}; choose from {', '.join(map(str, allowed))}")
    return value
