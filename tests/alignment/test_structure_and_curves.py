"""What is shared, whether word order counts, and how scores depend on k and N."""

from __future__ import annotations

import numpy as np
import pytest

from paper_utils import alignment
from paper_utils.alignment import structure
from paper_utils.alignment.comparison import _curves


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


def test_shared_factors_finds_the_common_one(factors):
    random = np.random.default_rng(0)
    noise = 0.2 * random.normal(size=(2, len(factors), 6))
    X = np.hstack([one_hot(factors["type"]), one_hot(factors["colour"]), noise[0]])
    Y = np.hstack([one_hot(factors["type"]), one_hot(factors["second_colour"]), noise[1]])
    table = structure.shared_factors(X, Y, factors).set_index("factor")
    assert table.drop("all")["drop"].idxmax() == "type"
    assert table.loc["all", "partial"] < table.loc["all", "rsa"] / 2


def test_only_ordered_encoders_know_the_order(bags, factors):
    known = structure.order_accuracy(bags["ordered"], bags["other_ordered"], factors)
    blind = structure.order_accuracy(bags["bag"], bags["other_bag"], factors)
    mixed = structure.order_accuracy(bags["bag"], bags["ordered"], factors)
    assert known["accuracy"] > 0.9 and known["low"] > 0.8 and known["pairs"] == 66
    assert blind["accuracy"] == 0.5 and mixed["accuracy"] == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="have a swapped twin"):
        structure.order_accuracy(bags["bag"][:40], bags["ordered"][:40], factors.head(40))
    with pytest.raises(ValueError, match="factors has"):
        structure.order_accuracy(bags["bag"][:40], bags["ordered"][:40], factors)


def test_curves_hold_the_precision_and_show_what_fewer_instructions_do():
    X, Y = np.random.default_rng(0).normal(size=(2, 200, 6))
    options = {"dimension": 6, "folds": 5, "seed": 0}
    curve = _curves(("one", "two", X, Y, 15, options)).set_index(["along", "at"])
    for k in (1, 15):
        both = [
            alignment.precision_at_k(X, Y, k, direction=way, **options)
            for way in ("forward", "backward")
        ]
        assert curve.loc[("k", k), "value"] == pytest.approx(np.mean(both))
    assert curve.loc["k", "value"].is_monotonic_increasing
    assert curve.loc["N", "value"].is_monotonic_decreasing  # P@15 of noise grows as N falls
    np.testing.assert_allclose(curve.loc["N", "chance"], [15 / 30, 15 / 60, 15 / 120, 15 / 200])
