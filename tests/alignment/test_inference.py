"""Nulls are nulls, intervals cover, and differences are found only where they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from paper_utils.alignment import inference
from paper_utils.alignment.compare import METRICS, score
from paper_utils.alignment.inference import Bootstrap

DRAWS, COUNT = 200, 39  # independent pairs of inputs, permutations of each


def flat(items: int) -> pd.DataFrame:
    return pd.DataFrame({"template": ["one"] * items})


@pytest.fixture(scope="module")
def independent() -> dict[str, list[tuple[float, np.ndarray]]]:
    """Value and null of every metric, of many pairs that share nothing."""
    found: dict[str, list] = {}
    wanted = [metric for metric in METRICS if metric != "partial_rsa"]
    for seed in range(DRAWS):
        X, Y, Z = np.random.default_rng([7, seed]).normal(size=(3, 24, 3))
        scores = score(
            {"x": X, "y": Y, "z": Z}, pairs=[("x", "y")], metrics=wanted, k=3, folds=2,
            permutations=COUNT, lexical=("z",), seed=seed,
        )  # fmt: skip
        for number, row in scores.rows.iterrows():
            name = f"{row['metric']} {row['direction']}"
            found.setdefault(name, []).append((row["value"], scores.null(number)))
    return found


def test_p_values_of_independent_inputs_are_uniform(independent):
    assert len(independent) == 9
    for name, scores in independent.items():
        p = np.array([inference.p_value(*one) for one in scores])
        if "precision" in name or "knn" in name:  # discrete: ties count against the score
            for level in (0.05, 0.1, 0.25, 0.5):
                rate = np.mean(p <= level)
                assert rate <= level + 3 * np.sqrt(level * (1 - level) / DRAWS), name
            continue
        jitter = np.random.default_rng(0).uniform(size=DRAWS) / (COUNT + 1)
        assert kstest(p - jitter, "uniform").pvalue > 1e-3, name


def test_calibrated_values_of_independent_inputs_are_zero_at_the_stated_rate(independent):
    for name, scores in independent.items():
        values = np.array([inference.calibrate(*one) for one in scores])
        assert np.mean(values > 0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / DRAWS), name
        assert np.mean(values) < 0.02, name


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


def test_calibration_and_adjustment_by_hand():
    null = np.arange(19) / 100  # 0 ... 0.18; with the score K + 1 = 20, tau is the 19th
    assert inference.p_value(0.5, null) == pytest.approx(1 / 20)
    assert inference.calibrate(0.5, null) == pytest.approx((0.5 - 0.18) / (1 - 0.18))
    assert inference.calibrate(0.1, null) == 0
    assert inference.p_value(0.1, null) == pytest.approx(10 / 20)
    assert inference.calibrate(1.0, np.ones(19)) == 0  # the null reaches the best value, too
    adjusted = inference.benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(adjusted, [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    one, other = np.array([1, 1, 1, 0, 1, 1], bool), np.array([0, 0, 0, 1, 1, 0], bool)
    assert inference.mcnemar(one, other) == pytest.approx(2 * 6 / 32)  # 4 against 1


def test_a_real_difference_is_found_and_none_where_there_is_none():
    random, draws = np.random.default_rng(1), Bootstrap(flat(200), 500)
    base = random.random(200)
    near, far = (base + shift + 0.1 * random.normal(size=(1, 200)) for shift in (0.1, 0))
    found = draws.contrast(near, [far])
    assert found["low"] > 0 and found["p"] < 0.01
    assert found["difference"] == pytest.approx(near.mean() - far.mean())
    assert found["value_low"] <= found["value"] <= found["value_high"]
    back = draws.contrast(far, [near])
    assert back["high"] < 0 and back["low"] == pytest.approx(-found["high"])
    same = draws.contrast(near, [near])
    assert same["difference"] == 0 and same["p"] == 1


def test_choosing_the_best_rival_costs_something():
    """Against ten equals, the best of them is above us in most draws."""
    random = np.random.default_rng(0)
    ours, *rivals = (random.random((11, 1, 200)) < 0.5).astype(float)
    draws = Bootstrap(flat(200), 500)
    one, all_ = draws.contrast(ours, rivals[:1]), draws.contrast(ours, rivals)
    assert all_["rival_value"] == max(rival.mean() for rival in rivals)
    assert all_["high"] < one["high"] and all_["difference"] < 0


def test_what_differs_between_seeds_widens_the_interval():
    items = (np.random.default_rng(0).random(300) < 0.5).astype(float)
    alike = np.stack([items] * 5)
    apart = alike * np.array([0.2, 0.6, 1.0, 1.4, 1.8])[:, None]
    draws = Bootstrap(flat(300), 2000)
    spread = [np.ptp(np.quantile(draws.means(x), (0.025, 0.975))) for x in (alike, apart)]
    assert spread[1] > 2 * spread[0]
    models = np.broadcast_to(apart[None], (2, 5, 300))  # the second axis is drawn, too
    assert np.ptp(np.quantile(draws.means(models), (0.025, 0.975))) > 2 * spread[0]
    # One seed: the textbook standard error of a mean over instructions.
    assert np.std(draws.means(items[None])) == pytest.approx(np.std(items) / 300**0.5, rel=0.1)


def test_intervals_cover_a_known_difference():
    """95 % intervals of a true difference of 0.1, two hundred times."""
    random, draws, covered = np.random.default_rng(0), Bootstrap(flat(150), 300), 0
    for _ in range(200):
        base = random.normal(size=150)
        ours = (base + 0.1 + random.normal(size=150) * 0.5)[None]
        found = draws.contrast(ours, [(base + random.normal(size=150) * 0.5)[None]])
        covered += found["low"] <= 0.1 <= found["high"]
    assert 180 <= covered <= 198
