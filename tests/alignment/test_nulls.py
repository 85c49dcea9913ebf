"""The nulls are nulls: uniform p-values, calibrated values of zero at the stated rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from paper_utils import alignment
from paper_utils.alignment import engine, nulls

DRAWS, COUNT = 200, 39  # independent pairs of inputs, permutations of each


@pytest.fixture(scope="module")
def independent() -> dict[str, list[engine.Score]]:
    """Every metric of many pairs that share nothing, each against its null."""
    found: dict[str, list[engine.Score]] = {}
    wanted = [metric for metric in engine.METRICS if metric not in ("partial_rsa",)]
    for seed in range(DRAWS):
        X, Y, Z = np.random.default_rng([7, seed]).normal(size=(3, 24, 3))
        scores = engine.evaluate(
            {"x": X, "y": Y, "z": Z}, pairs=[("x", "y")], metrics=wanted, k=3, folds=2,
            permutations=COUNT, lexical=("z",), seed=seed,
        )  # fmt: skip
        for score in scores:
            found.setdefault(f"{score.metric} {score.direction}", []).append(score)
    return found


def distance(score: engine.Score) -> bool:
    return score.metric.endswith("_distance")


def test_p_values_of_independent_inputs_are_uniform(independent):
    assert len(independent) == 13
    for name, scores in independent.items():
        p = np.array([nulls.p_value(s.value, s.null, distance(s)) for s in scores])
        if "precision" in name or "knn" in name:  # discrete: ties count against the score
            for level in (0.05, 0.1, 0.25, 0.5):
                rate = np.mean(p <= level)
                assert rate <= level + 3 * np.sqrt(level * (1 - level) / DRAWS), name
            continue
        jitter = np.random.default_rng(0).uniform(size=DRAWS) / (COUNT + 1)
        assert kstest(p - jitter, "uniform").pvalue > 1e-3, name


def test_calibrated_values_of_independent_inputs_are_zero_at_the_stated_rate(independent):
    for name, scores in independent.items():
        best = 0.0 if distance(scores[0]) else 1.0
        values = [nulls.calibrate(s.value, s.null, best, 0.05, distance(s)) for s in scores]
        assert np.mean(np.array(values) > 0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / DRAWS), name
        assert np.mean(values) < 0.02, name


def test_the_best_of_many_layers_is_judged_against_the_best_of_the_null():
    false = 0
    for seed in range(40):
        candidates = np.random.default_rng([1, seed]).normal(size=(8, 24, 4))
        layers = {str(layer): X for layer, X in enumerate(candidates)}
        target = np.random.default_rng([2, seed]).normal(size=(24, 4))
        found = alignment.best_layer(layers, target, "linear_cka", permutations=39, seed=seed, k=3)
        assert found["value"] == max(found["values"].values())
        false += found["p"] <= 0.05
    assert false / 40 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


def test_permutations_respect_their_blocks_and_their_seed():
    labels = np.array(list("aabbbbcccc" * 3))
    drawn = nulls.permutations(30, 50, 4, labels)
    assert (np.sort(drawn, axis=1) == np.arange(30)).all()
    assert (labels[drawn] == labels).all()
    np.testing.assert_array_equal(drawn, nulls.permutations(30, 50, 4, labels))


def test_induced_permutations_are_uniform_and_stay_inside():
    drawn = nulls.permutations(6, 6000, 0)
    rows = np.array([1, 3, 4])
    inside = nulls.induced(drawn, rows)
    assert (np.sort(inside, axis=1) == rows).all()
    _, counts = np.unique(inside, axis=0, return_counts=True)
    assert len(counts) == 6 and counts.min() > 850  # 1000 expected of each
    np.testing.assert_array_equal(nulls.induced(drawn, np.arange(6)), drawn)


def test_calibration_by_hand():
    null = np.arange(19) / 100  # 0 ... 0.18; with the score K + 1 = 20, tau is the 19th
    assert nulls.p_value(0.5, null) == pytest.approx(1 / 20)
    assert nulls.calibrate(0.5, null) == pytest.approx((0.5 - 0.18) / (1 - 0.18))
    assert nulls.calibrate(0.1, null) == 0 and nulls.p_value(0.1, null) == pytest.approx(10 / 20)
    assert nulls.calibrate(1.0, null) == 1
    assert nulls.p_value(0.0, null, distance=True) == pytest.approx(2 / 20)
    assert nulls.calibrate(0.1, 1 - null, best=0.0, distance=True) == pytest.approx(0.72 / 0.82)
    assert nulls.calibrate(1.0, np.ones(19)) == 0  # the null reaches the best value, too
    found = nulls.calibrate_maximum([0.2, 0.9], np.vstack([null, null + 0.1]))
    assert found["index"] == 1 and found["p"] == pytest.approx(1 / 20)
    with pytest.raises(ValueError, match=r"shape \(2, K\)"):
        nulls.calibrate_maximum([0.2, 0.9], null)


def test_benjamini_hochberg_by_hand():
    adjusted = nulls.benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(adjusted, [0.04, 0.16 / 3, 0.16 / 3, 0.5])
