"""Differences over worlds agree with what a hand computes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from planted_worlds import DECODERS
from scipy import stats

from paper_utils.study import differences as study


@pytest.fixture(scope="module")
def table(eight) -> pd.DataFrame:
    return study.differences(eight, DECODERS)


def row(table: pd.DataFrame, **wanted) -> pd.Series:
    """The one row with some values."""
    wanted = {"direction": "both"} | wanted
    for name, value in wanted.items():
        table = table[table[name] == value]
    (found,) = table.to_dict("records")
    return found


def by_hand(eight, one: str, other: str, measure: str, models: list[str]) -> np.ndarray:
    """Differences of unheard synonyms, one per world: means over draws and models."""
    scores = eight["scores"]
    chosen = scores["model"].isin(models) & (scores["test"] == "synonyms")
    chosen &= (scores["measure"] == measure) & (scores["direction"] == "both")
    means = scores[chosen].groupby(["world", "encoder"])["value"].mean().unstack()
    return (means[one] - means[other]).to_numpy()


def test_the_primary_row_is_the_mean_over_models_that_know_the_synonyms(eight, table):
    found = row(table, test="synonyms", measure="order", model="mean", contrast="acted - exchanged")
    values = by_hand(eight, "acted", "exchanged", "order", ["LLaMA", "Qwen", "CLIP"])
    low, high = stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    signs = np.array(list(product((-1, 1), repeat=8)))
    p = np.mean((signs * values).mean(axis=1) >= values.mean() - 1e-12)
    assert [found[name] for name in ("mean", "low", "high", "p")] == pytest.approx(
        [values.mean(), low, high, p]
    )
    assert found["worlds"] == 8


def test_equivalence_is_two_one_sided_t_tests(eight, table):
    found = row(table, test="synonyms", measure="colour", model="mean", contrast="acted - codebook")
    values = by_hand(eight, "acted", "codebook", "colour", ["LLaMA", "Qwen", "CLIP"])
    above = stats.ttest_1samp(values, -0.05, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.05, alternative="less").pvalue
    assert found["p_equivalent"] == pytest.approx(max(above, below))


def test_models_of_one_kind_share_a_correction_and_groups_have_none(eight, table):
    values = by_hand(eight, "acted", "never_acted", "order", ["LLaMA"])
    plain = study.over_worlds(values, "greater")["p"]
    contrast = "acted - never_acted"
    found = row(table, test="synonyms", measure="order", model="LLaMA", contrast=contrast)
    # Four scratch models, of which the stranger does not differ: three smallest p are alike.
    assert found["p"] == pytest.approx(4 * plain)
    mean = row(table, test="synonyms", measure="order", model="mean", contrast=contrast)
    assert mean["p"] == pytest.approx(1 / 256)
    lone = row(
        table, test="same_words", measure="order", model="a file", contrast="acted - never_acted"
    )
    assert lone["p"] == pytest.approx(2 / 256)


def test_random_tokens_count_by_their_best_draw(eight, table):
    scores = eight["scores"].query(
        "model == 'CLIP' and test == 'synonyms' and measure == 'precision_at_k'"
        " and direction == 'both' and encoder == 'random_tokens'"
    )
    best = scores.groupby("world")["value"].max().mean()
    chosen = {"test": "synonyms", "measure": "precision_at_k", "model": "CLIP"}
    assert row(table, **chosen, contrast=study.BEST)["mean"] == pytest.approx(best)


def test_values_have_intervals_and_no_tests(table):
    values = table[~table["contrast"].str.contains(" - ") & (table["contrast"] != "own world")]
    assert values["p"].isna().all() and values["p_equivalent"].isna().all()
    assert (values["low"] <= values["mean"] + 1e-12).all()


def test_the_best_control_is_chosen_for_each_level(table, eight):
    success = eight["transfer"].copy()
    random = (success["source"] == "random moves") & (success["level"] == "PutNextLocal")
    success.loc[random, "success"] = 0.5
    assert study.best_controls(success).to_dict() == {
        "PickupLoc": "word_count",
        "PutNextLocal": "random moves",
    }
    # Of other tables little is asked here.
    some = eight["scores"].query("direction == 'both' and measure == 'precision_at_k'")
    changed = study.differences(eight | {"transfer": success, "scores": some}, DECODERS)
    chosen = {"test": "transfer", "model": "CLIP", "contrast": "success - best control"}
    assert row(changed, **chosen, measure="PickupLoc")["mean"] == pytest.approx(0.4)
    assert row(changed, **chosen, measure="PutNextLocal")["mean"] == pytest.approx(0.1, abs=0.01)


def test_a_share_of_the_ceiling_stands_beside_that_of_decoders_and_blip(eight, table):
    chosen = {"test": "synonyms", "measure": "precision_at_k", "model": "CLIP"}
    share = row(table, **chosen, contrast=study.SHARE)["mean"]
    values = row(table, **chosen, contrast="acted")["mean"]
    ceiling = row(table, **chosen, contrast="codebook")["mean"]
    assert share == pytest.approx(values / ceiling, rel=0.02)
    others = row(table, **chosen | {"model": study.OTHERS}, contrast=study.SHARE)["mean"]
    gap = row(table, **chosen, contrast=f"{study.SHARE} - {study.REST}")["mean"]
    assert gap == pytest.approx(share - others)


def test_structure_lies_above_the_mean_of_its_control(table):
    chosen = {"test": "structure", "measure": "r", "model": "blind agent ~ LLaMA"}
    found = row(table, **chosen, contrast="own world - codebook")
    assert found["mean"] == pytest.approx(0.9, abs=0.01)
    assert found["p"] == pytest.approx(1 / 256)
    turned = row(table, **chosen | {"model": study.EXCLUSIVE}, contrast="own world - seeing agent")
    assert turned["mean"] == pytest.approx(1.4)


def test_one_world_has_values_alone(one):
    table = study.differences(one, DECODERS)
    assert table["mean"].notna().all()
    assert table[["low", "high", "p", "p_equivalent"]].isna().all(axis=None)
    assert set(table["worlds"]) == {1}


def test_who_is_at_twice_chance_knows_the_synonyms():
    knows = pd.DataFrame({"model": ["a", "a", "b"], "value": [0.2, 0.5, 0.33]})
    assert study.who_knows(knows.assign(measure="colour")) == ["a"]


def test_no_difference_that_was_foreseen_is_tested_two_sided():
    for key, direction in study.DIRECTED.items():
        parts = ("structure", "r", "LLaMA ~ CLIP", key)
        if isinstance(key, tuple) and len(key) == 3:
            parts = (*key[:2], "mean", key[2])
        elif isinstance(key, tuple):
            parts = ("structure", "r", *key)
        assert study.stated(*parts) == direction


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided", None])
def test_rows_at_once_say_what_each_says_alone(alternative):
    rows = np.random.default_rng(0).normal(0.03, 0.05, size=(30, 8))
    rows[:3, 0] = np.nan  # not in that world
    rows[3, 1:] = np.nan  # in one world alone
    told = pd.DataFrame(study.over_worlds(rows, alternative))
    for row, found in zip(rows, told.to_dict("records"), strict=True):
        alone = study.over_worlds(row[~np.isnan(row)], alternative)
        assert found == pytest.approx(alone, nan_ok=True)
