"""What lays out a space, and which instructions are each other's swap."""

from __future__ import annotations

import numpy as np

from paper_utils.alignment import structure


def one_hot(column) -> np.ndarray:
    return (column.to_numpy()[:, None] == np.unique(column)).astype(float)


def test_swapped_twins(factors):
    twin = structure.swapped(factors)
    assert (twin >= 0).sum() == 132  # every "put next to" of two different objects
    first, second = factors.iloc[np.flatnonzero(twin >= 0)], factors.iloc[twin[twin >= 0]]
    np.testing.assert_array_equal(first["colour"], second["second_colour"])
    np.testing.assert_array_equal(first["second_type"], second["type"])


def test_variance_is_explained_by_the_factor_that_was_put_in(factors):
    noise = 0.05 * np.random.default_rng(0).normal(size=(len(factors), 12))
    X = np.hstack([one_hot(factors["type"]), noise])
    table = structure.variance_explained(X, factors).set_index("factor")
    assert table["unique"].idxmax() == "type" and table["alone"].idxmax() == "type"
    assert table.loc["type", "alone"] > 0.5 and table.loc["colour", "unique"] < 0.02
    assert (table["unique"] <= table["total"] + 1e-9).all()
    assert "location" not in table.index  # one level only
