"""Scores of a world: who binds words to roles is told from who does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted_worlds import small_table

from paper_utils.study import columns, spaces


def pick(scores: pd.DataFrame, **wanted) -> pd.Series:
    """Values of the rows with some values, by model."""
    for name, value in wanted.items():
        scores = scores[scores[name] == value]
    return scores.groupby("model")["value"].mean()


def test_order_tells_a_binder_from_a_bag_of_words(eight):
    scores = eight["scores"]
    chosen = {"test": "synonyms", "measure": "order", "direction": "both"}
    acted = pick(scores, encoder="acted", **chosen)
    never = pick(scores, encoder="never_acted", **chosen)
    assert acted[["LLaMA", "Qwen", "CLIP"]].min() > 0.9
    # A bag of words has one vector for both orders: all are ties.
    assert never[["LLaMA", "Qwen", "CLIP"]].to_numpy() == pytest.approx(0.5, abs=0.01)


def test_a_model_that_knows_no_synonym_passes_with_the_same_words_only(eight):
    scores = eight["scores"]
    chosen = {"encoder": "acted", "measure": "precision_at_k", "direction": "both"}
    assert pick(scores, test="same_words", **chosen)["BERT"] > 0.9
    assert pick(scores, test="synonyms", **chosen)["BERT"] < 0.2


def test_who_has_no_synonyms_is_asked_in_the_same_words_alone(eight):
    scores = eight["scores"]
    assert set(scores.loc[scores["model"] == "a file", "test"]) == {"same_words"}


def test_both_is_the_mean_of_the_directions(eight):
    by = ["world", "test", "model", "encoder", "draw", "measure"]
    ways = eight["scores"].pivot(index=by, columns="direction", values="value")
    mean = (ways["model_to_agent"] + ways["agent_to_model"]) / 2
    assert ways["both"].to_numpy() == pytest.approx(mean.to_numpy(), abs=1e-5)


def test_cosine_of_verbs_is_that_of_the_same_things():
    table = small_table()
    same = table[["colour", "type", "second_colour", "second_type"]].agg(" ".join, axis=1)
    vectors = np.random.default_rng(0).normal(size=(same.nunique(), 20))
    merged = vectors[pd.factorize(same)[0]]
    assert spaces.verb_cosine(merged, table) == pytest.approx(1)
    assert np.isnan(spaces.verb_cosine(merged, table.assign(verb="open")))


def test_a_codebook_has_one_vector_for_both_names_and_random_tokens_have_two():
    table = small_table()
    table["text"] = table["verb"] + " " + table["colour"]
    table["second_text"] = "approach " + table["type"]
    first, second = np.split(columns.control("codebook", table, world=0, both=True), 2)
    assert np.array_equal(first, second)
    assert np.array_equal(first, columns.control("codebook", table, world=0))
    assert not np.array_equal(first, columns.control("codebook", table, world=0, draw=1))
    first, second = np.split(columns.control("random_tokens", table, world=0, both=True), 2)
    assert not np.isclose(first, second).any()
