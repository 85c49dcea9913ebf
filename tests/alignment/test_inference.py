"""Nulls are uniform, exact tests are exact, intervals cover."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, ttest_1samp

from paper_utils import alignment
from paper_utils.alignment import inference

DRAWS, COUNT = 80, 39  # independent pairs of inputs, permutations of each


@pytest.fixture(scope="module")
def independent() -> dict[str, list[float]]:
    """p of every measure, of many pairs that share nothing."""
    found: dict[str, list] = {}
    for seed in range(DRAWS):
        X, Y = np.random.default_rng([7, seed]).normal(size=(2, 24, 3))
        options = {"n_permutations": COUNT, "random_state": seed}
        scores = [
            alignment.precision_at_k(X, Y, 3, cv=2, **options),
            alignment.mutual_knn(X, Y, 3, **options),
            alignment.linear_cka(X, Y, **options),
            alignment.rsa(X, Y, **options),
        ]
        for score in scores:
            found.setdefault(score.measure, []).append(score.p)
    return found


def test_p_values_of_independent_inputs_are_uniform(independent):
    assert len(independent) == 4
    for name, p in independent.items():
        p = np.array(p)
        if "@" in name:  # discrete: ties count against the score
            for level in (0.05, 0.1, 0.25, 0.5):
                spread = np.sqrt(level * (1 - level) / DRAWS)
                assert np.mean(p <= level) <= level + 3 * spread, name
            continue
        jitter = np.random.default_rng(0).uniform(size=DRAWS) / (COUNT + 1)
        assert kstest(p - jitter, "uniform").pvalue > 1e-3, name


def test_permutations_respect_their_blocks_and_their_seed():
    labels = np.array(list("aabbbbcccc" * 3))
    drawn = inference.pairings(30, 50, 4, labels)[1:]
    assert (np.sort(drawn, axis=1) == np.arange(30)).all()
    assert (labels[drawn] == labels).all()
    np.testing.assert_array_equal(drawn, inference.pairings(30, 50, 4, labels)[1:])
    assert (drawn != inference.pairings(30, 50, 5, labels)[1:]).any()


def test_relabellings_are_all_up_to_eight_and_begin_with_the_truth():
    for levels, count in ((3, 6), (6, 720), (8, 40320), (9, inference.SAMPLED)):
        orders = inference.relabellings(levels)
        assert orders.shape == (count, levels)
        np.testing.assert_array_equal(orders[0], np.arange(levels))
    assert len(np.unique(inference.relabellings(6), axis=0)) == 720


def test_p_values_by_hand():
    null = np.arange(19) / 100  # 0 ... 0.18
    assert inference.p_value(0.5, null) == pytest.approx(1 / 20)
    assert inference.p_value(0.1, null) == pytest.approx(10 / 20)
    assert np.isnan(inference.p_value(0.1, [])) and np.isnan(inference.p_value(np.nan, null))


def test_holm_by_hand_and_in_families():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(inference.holm(p), [0.04, 0.09, 0.09, 0.5])
    family = np.array(["a", "b", "a", "b"])
    together = inference.holm(p, family)
    for one in "ab":
        np.testing.assert_array_equal(together[family == one], inference.holm(p[family == one]))


def test_signs_are_flipped_in_all_ways():
    values = np.array([0.3, -0.1, 0.2, 0.05])
    sums = np.array([np.dot(signs, values) for signs in product([1, -1], repeat=4)])
    true = values.sum()
    assert inference.sign_flip(values) == np.mean(sums >= true - 1e-12)
    assert inference.sign_flip(values, "less") == np.mean(sums <= true + 1e-12)
    assert inference.sign_flip(values, "two-sided") == np.mean(np.abs(sums) >= true - 1e-12)
    assert inference.sign_flip(np.full(8, 0.1)) == 1 / 256
    assert inference.sign_flip([0.1, np.nan]) == 0.5 and inference.sign_flip([]) == 1
    with pytest.raises(KeyError, match="above"):
        inference.sign_flip(values, "above")
    with pytest.raises(ValueError, match="at most 20"):
        inference.sign_flip(np.ones(21))


def test_intervals_and_equivalence_are_students():
    values = np.array([0.02, -0.01, 0.03, 0.0, 0.01, np.nan])
    known = values[:-1]
    for confidence in (0.9, 0.95):
        expected = ttest_1samp(known, 0).confidence_interval(confidence)
        np.testing.assert_allclose(inference.t_interval(values, confidence), expected)
    above = ttest_1samp(known, -0.05, alternative="greater").pvalue
    below = ttest_1samp(known, 0.05, alternative="less").pvalue
    assert inference.equivalence(values, 0.05) == pytest.approx(max(above, below))
    assert inference.equivalence(known + 0.2, 0.05) > 0.99
    assert (
        inference.equivalence([0.01] * 3, 0.05) == 0 and inference.equivalence([0.1] * 3, 0.05) == 1
    )
    assert inference.t_interval([0.1] * 3) == pytest.approx((0.1, 0.1))
    for few in ([], [0.3], [0.3, np.nan]):
        assert np.isnan(inference.t_interval(few)).all() and np.isnan(
            inference.equivalence(few, 0.1)
        )


def test_calibrated_scores_are_zero_under_the_null_and_one_at_most():
    null = np.random.default_rng(0).uniform(size=199)
    ordered = np.sort([*null, 0.99])
    threshold = ordered[189]  # the 190th of 200
    assert inference.calibrated(0.99, null) == pytest.approx((0.99 - threshold) / (1 - threshold))
    assert inference.calibrated(0.5, null) == 0 and inference.calibrated(1.0, null) == 1
    assert inference.calibrated(1.0, np.ones(9)) == 0 and np.isnan(inference.calibrated(1.0, []))
    significant = [inference.calibrated(score, null) > 0 for score in null]
    assert np.mean(significant) <= 0.05
