"""Which instructions fit the map and which test it: random folds, or one factor level left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from paper_utils.alignment import checks

FACTORS = {
    "colour": ("colour", "second_colour"),
    "type": ("type", "second_type"),
    "verb": ("verb",),
    "template": ("template",),
}
SPLITS = ("in_sample", "random", *FACTORS, "verb_type")


@dataclass(frozen=True)
class Split:
    """Folds of (training rows, test rows), and the blocks that a permutation must respect.

    ``blocks`` (N,) labels the random folds: a null that permutes rows within them keeps every
    training set as it is, so the permutation test is exact.  Otherwise it is constant.
    """

    name: str
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]
    blocks: np.ndarray


def make(
    name: str,
    items: int,
    factors: pd.DataFrame | None = None,
    folds: int = 5,
    seed: int = 0,
    groups: Sequence | None = None,
) -> Split:
    """The split called ``name`` over ``items`` rows.

    - ``in_sample``: train = test = all rows.  A warning, not a result: Procrustes fits noise.
    - ``random``: shuffled ``folds``-fold; rows that share a label in ``groups`` stay together.
    - ``colour``, ``type``: test = every row that mentions the level, as first or second object.
    - ``verb``, ``template``: test = every row with that level.
    - ``verb_type``: test = rows of one verb that mention one type, both seen apart in training.

    Raises ValueError for an unknown name, missing factor columns, or nothing to leave out.
    """
    checks.choice(name, SPLITS, "split")
    everything = np.arange(items)
    if name == "in_sample":
        return Split(name, ((everything, everything),), np.zeros(items, dtype=int))
    if name == "random":
        if not 2 <= folds <= items // 2:
            raise ValueError(f"folds must lie between 2 and N/2 = {items // 2}, not {folds}")
        splitter = KFold if groups is None else GroupKFold
        parts = splitter(folds, shuffle=True, random_state=seed).split(everything, groups=groups)
        parts = tuple((train, test) for train, test in parts)
        blocks = np.empty(items, dtype=int)
        for fold, (_, test) in enumerate(parts):
            blocks[test] = fold
        return Split(name, parts, blocks)
    if factors is None:
        raise ValueError(f"split {name!r} needs the table of factors")
    if len(factors) != items:
        raise ValueError(f"factors has {len(factors)} rows, the embeddings have {items}")
    if name == "verb_type":
        verbs, types = _mentions(factors, ("verb",)), _mentions(factors, FACTORS["type"])
        tests = [(v & t, (v & ~t, t & ~v)) for v in verbs.values() for t in types.values()]
        tests = [test for test, apart in tests if all(part.any() for part in apart)]
    else:
        tests = list(_mentions(factors, FACTORS[name]).values())
    parts = tuple(
        (everything[~test], everything[test]) for test in tests if test.any() and (~test).sum() > 3
    )
    if len(parts) < 2:
        raise ValueError(f"split {name!r} needs at least two levels to leave out in turn")
    return Split(name, parts, np.zeros(items, dtype=int))


def possible(items: int, factors: pd.DataFrame) -> list[str]:
    """The names in SPLITS that these instructions allow: one verb alone cannot be left out."""
    found = []
    for name in SPLITS:
        try:
            make(name, items, factors, folds=2)
        except ValueError:
            continue
        found.append(name)
    return found


def _mentions(factors: pd.DataFrame, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Level -> which rows (N,) have it in any of the columns; "" is the absence of a level."""
    missing = [column for column in columns if column not in factors]
    if missing:
        raise ValueError(f"factors has no column {missing[0]!r}")
    table = factors[list(columns)].astype(str).to_numpy()
    return {level: (table == level).any(axis=1) for level in np.unique(table) if level}
