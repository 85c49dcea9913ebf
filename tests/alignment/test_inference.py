"""Nulls are nulls, intervals cover, and differences are found only where they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from paper_utils.alignment import inference
from paper_utils.alignment.compare import METRICS, compare

DRAWS, COUNT = 200, 39  # independent pairs of inputs, permutations of each


def flat(items: int) -> pd.DataFrame:
    return pd.DataFrame({"template": ["one"] * items})


@pytest.fixture(scope="module")
def independent() -> dict[str, list[float]]:
    """p of every metric, of many pairs that share nothing."""
    found: dict[str, list] = {}
    for seed in range(DRAWS):
        X, Y = np.random.default_rng([7, seed]).normal(size=(2, 24, 3))
        frame = compare(
            {"x": X, "y": Y}, metrics=METRICS, k=3, folds=2, permutations=COUNT, seed=seed
        )
        for row in frame.itertuples():
            found.setdefault(f"{row.metric} {row.direction}", []).append(row.p)
    return found


def test_p_values_of_independent_inputs_are_uniform(independent):
    assert len(independent) == 7
    for name, p in independent.items():
        p = np.array(p)
        if "precision" in name or "knn" in name:  # discrete: ties count against the score
            for level in (0.05, 0.1, 0.25, 0.5):
                rate = np.mean(p <= level)
                assert rate <= level + 3 * np.sqrt(level * (1 - level) / DRAWS), name
            continue
        jitter = np.random.default_rng(0).uniform(size=DRAWS) / (COUNT + 1)
        assert kstest(p - jitter, "uniform").pvalue > 1e-3, name


def test_permutations_respect_their_blocks_and_their_seed():
    labels = np.array(list("aabbbbcccc" * 3))
    drawn = inference.permutations(30, 50, 4, labels)
    assert (np.sort(drawn, axis=1) == np.arange(30)).all()
    assert (labels[drawn] == labels).all()
    np.testing.assert_array_equal(drawn, inference.permutations(30, 50, 4, labels))


def test_induced_permutations_are_uniform_and_stay_inside():
    drawn = inference.permutations(6, 6000, 0)
    rows = np.array([1, 3, 4])
    inside = inference.induced(drawn, rows)
    assert (np.sort(inside, axis=1) == rows).all()
    _, counts = np.unique(inside, axis=0, return_counts=True)
    assert len(counts) == 6 and counts.min() > 850  # 1000 expected of each
    np.testing.assert_array_equal(inference.induced(drawn, np.arange(6)), drawn)


def test_p_values_by_hand():
    null = np.arange(19) / 100  # 0 ... 0.18
    assert inference.p_value(0.5, null) == pytest.approx(1 / 20)
    assert inference.p_value(0.1, null) == pytest.approx(10 / 20)
    assert np.isnan(inference.p_value(0.1, np.empty(0)))
    np.testing.assert_allclose(inference.holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])
    one, other = np.array([1, 1, 1, 0, 1, 1], bool), np.array([0, 0, 0, 1, 1, 0], bool)
    assert inference.mcnemar(one, other) == pytest.approx(6 / 32)  # 4 against 1


def test_seeds_are_drawn_on_both_axes_and_alike():
    values = np.array([[0.2, 0.6, 1.0], [0.3, 0.7, 1.1]])  # agents differ by 0.1, models by 0.4
    drawn = inference.seed_bootstrap(values, "LLaMA")
    low, high = inference.interval(drawn)
    assert low < values.mean() < high and np.std(drawn) == pytest.approx(0.192, abs=0.02)
    # The same model and number of agents: paired, so that only what differs is left.
    np.testing.assert_allclose(inference.seed_bootstrap(values + 0.05, "LLaMA") - drawn, 0.05)
    other = inference.seed_bootstrap(values, "Qwen") - drawn
    assert np.std(other) > 0.1
    alone = inference.seed_bootstrap(values[:1, :1], "LLaMA")
    assert np.ptp(alone) == 0  # one seed of each: nothing to draw from
