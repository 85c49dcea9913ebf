"""Differences between alignments: found where they are, and not where they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils import alignment
from paper_utils.alignment import contrasts


def flat(items: int) -> pd.DataFrame:
    return pd.DataFrame({"template": ["one"] * items})


def test_item_scores_are_those_of_the_metric(bags, factors):
    pair = ("ordered", "bag")
    for metric in ("precision_at_k", "mutual_knn"):
        items = contrasts.item_scores(bags, factors, [pair], metric)[pair]
        way = {"direction": "backward"}
        value = getattr(alignment, metric)(bags["ordered"], bags["bag"])
        if metric == "precision_at_k":
            value = (value + alignment.precision_at_k(bags["ordered"], bags["bag"], **way)) / 2
        assert items.shape == (len(factors),) and items.mean() == pytest.approx(value)


def test_a_real_difference_is_found_and_none_where_there_is_none(factors, bags):
    X, random = bags["ordered"], np.random.default_rng(1)
    near, far = (X + s * random.normal(size=X.shape) for s in (0.3, 3))
    pairs = [("x", "near"), ("x", "far")]
    items = contrasts.item_scores({"x": X, "near": near, "far": far}, factors, pairs)
    near, far = (items[pair][None] for pair in pairs)
    draws = contrasts.Resampling(factors, 500)
    found = contrasts.contrast(near, [far], draws)
    assert found["low"] > 0 and found["p"] < 0.01
    assert found["difference"] == pytest.approx(near.mean() - far.mean())
    assert found["value_low"] <= found["value"] <= found["value_high"]
    back = contrasts.contrast(far, [near], draws)
    assert back["high"] < 0 and back["low"] == pytest.approx(-found["high"])
    same = contrasts.contrast(near, [near], draws)
    assert same["difference"] == 0 and same["p"] == 1


def test_choosing_the_best_rival_costs_something():
    """Against ten equals, the best of them is above us in most draws."""
    random = np.random.default_rng(0)
    ours, *rivals = (random.random((11, 1, 200)) < 0.5).astype(float)
    draws = contrasts.Resampling(flat(200), 500)
    one = contrasts.contrast(ours, rivals[:1], draws)
    all_ = contrasts.contrast(ours, rivals, draws)
    assert all_["rival_value"] == max(rival.mean() for rival in rivals)
    assert all_["high"] < one["high"] and all_["difference"] < 0


def test_what_differs_between_seeds_widens_the_interval():
    random = np.random.default_rng(0)
    items = (random.random(300) < 0.5).astype(float)
    alike = np.stack([items] * 5)
    apart = alike * np.array([0.2, 0.6, 1.0, 1.4, 1.8])[:, None]
    draws = contrasts.Resampling(flat(300), 2000)
    narrow, wide = (contrasts.contrast(x, [items[None] * 0.5], draws) for x in (alike, apart))
    assert narrow["value"] == pytest.approx(wide["value"])
    assert wide["value_high"] - wide["value_low"] > 2 * (narrow["value_high"] - narrow["value_low"])
    # One seed: the textbook standard error of a mean over instructions.
    one = draws.means(items[None])
    assert np.std(one) == pytest.approx(np.std(items) / np.sqrt(300), rel=0.1)


def test_intervals_cover_a_known_difference():
    """95 % intervals of a true difference of 0.1, two hundred times."""
    random = np.random.default_rng(0)
    draws = contrasts.Resampling(flat(150), 300)
    hits = 0
    for _ in range(200):
        base = random.normal(size=150)
        ours = (base + 0.1 + random.normal(size=150) * 0.5)[None]
        found = contrasts.contrast(ours, [(base + random.normal(size=150) * 0.5)[None]], draws)
        hits += found["low"] <= 0.1 <= found["high"]
    assert 180 <= hits <= 198


def test_the_table_of_all(factors, bags):
    random = np.random.default_rng(3)
    spaces = {
        "bag_of_words": bags["bag"],
        "other": bags["other_bag"],
        "good": bags["ordered"],
        "bad": random.normal(size=(len(factors), 30)),
    }
    players = {"trained": ["a-0", "a-1"], "untrained": ["u-0", "u-1"], "shuffled": ["s-0"]}
    for kind, scale in (("trained", 0.5), ("untrained", 3), ("shuffled", 3)):
        for name in players[kind]:
            noise = random.normal(size=bags["ordered"].shape)
            spaces[name] = bags["ordered"] + scale * noise
    lexical, references = ["bag_of_words", "other"], ["good", "bad"]
    ones = [*sum(players.values(), []), *lexical]
    pairs = [(one, reference) for one in ones for reference in references] + [("bad", "good")]
    items = contrasts.item_scores(spaces, factors, pairs, lexical=lexical)
    table = contrasts.table(items, players, references, lexical, factors, bootstrap=300)
    assert len(table) == 2 * 5 + 2 and (table["p_adjusted"] >= table["p"]).all()
    models = table[table["kind"] == "models"].iloc[0]
    assert models["value"] == pytest.approx(items["bad", "good"].mean()) and models["high"] < 0
    rows = table[table["kind"] != "models"].set_index(["reference", "rival"])
    assert rows.loc[("good", "untrained agent"), "low"] > 0
    assert rows.loc[("good", "bad"), "low"] > 0
    assert rows.loc[("bad", "any control"), "low"] < 0
    for reference in references:
        best = rows.loc[(reference, "best lexical control"), "rival_value"]
        untrained = rows.loc[(reference, "untrained agent"), "rival_value"]
        assert rows.loc[(reference, "any control"), "rival_value"] == max(best, untrained)
