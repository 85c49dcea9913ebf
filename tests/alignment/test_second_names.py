"""Words are at chance, whoever knows the meanings passes, and a dictionary knows no order."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pytest

from paper_utils.alignment import first_names, own_names, retrieval, second_names
from paper_utils.alignment.retrieval import make_split
from paper_utils.alignment.second_names import Questions, assignment_p, swapped
from paper_utils.data import grammar
from paper_utils.encoders import lexical

LEVELS = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions(grammar.instructions(LEVELS), permutations=99)


def space(texts, seed: int, dictionary: dict[str, str] | None = None, ordered: bool = True):
    """Sums of random vectors of the words, each turned by its place if the order counts."""
    vectors: dict[str, np.ndarray] = {}
    random = np.random.default_rng(seed)
    gates = random.normal(size=(12, 64)) if ordered else np.ones((12, 64))
    rows = []
    for text in texts:
        words = [(dictionary or {}).get(word, word) for word in text.split()]
        for word in words:
            if word not in vectors:
                number = zlib.crc32(word.encode())
                vectors[word] = np.random.default_rng([seed, number]).normal(size=64)
        rows.append(sum(vectors[w] * gates[place] for place, w in enumerate(words)))
    return np.array(rows)


@pytest.fixture(scope="module")
def texts() -> tuple[pd.Series, pd.Series]:
    table = grammar.instructions(LEVELS)
    return table["text"], table["second_text"]


@pytest.fixture(scope="module")
def knows(texts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Spaces in first and second names: of strangers to the second, of a dictionary, of meaning."""
    first, second = texts
    same = lambda seed, ordered: (space(first, seed, None, ordered),) * 2  # noqa: E731
    return {
        "words": (space(first, 1), space(second, 1)),
        "other words": (space(first, 2), space(second, 2)),
        "concepts": same(3, False),
        "other concepts": same(4, False),
        "meaning": same(5, True),
        "other meaning": same(6, True),
    }


def measures(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("measure")


def test_words_alone_are_at_chance_in_second_names_and_not_in_first(knows, questions):
    one, other = knows["words"], knows["other words"]
    first = measures(first_names(one[0], other[0], questions=questions))
    assert first.loc["precision_at_k", "value"] > 0.8
    second = measures(second_names(*one, *other, questions=questions))
    assert second.loc["precision_at_k", "value"] < 0.15
    assert second.loc["colour", "p"] > 0.01 and abs(second.loc["colour", "value"] - 1 / 6) < 0.1
    gate = measures(own_names(*one, questions=questions))
    assert gate.loc["precision_at_1", "value"] < 0.1


def test_a_count_of_unknown_words_is_at_chance_exactly_but_for_what_is_left_out(
    knows, texts, questions, monkeypatch
):
    """Fitted on all instructions, a bag of words gives one answer to each question.  Fitted without
    a fold, the mean of the others points back at what was left out, by a few hundredths."""
    both = lexical.bag_of_words([*texts[0], *texts[1]])
    bags, meaning = np.split(both, 2), knows["meaning"]
    value = lambda: measures(second_names(*meaning, *bags, questions=questions)).loc["colour"]  # noqa: E731
    assert 0 < abs(value()["value"] - 1 / 6) < 0.05
    everything = make_split("in_sample", questions.items)
    monkeypatch.setattr(retrieval, "make_split", lambda *_: everything)
    assert value()["value"] == pytest.approx(1 / 6) and value()["p"] == 1


def test_whoever_knows_the_meanings_passes(knows, questions):
    table = measures(second_names(*knows["meaning"], *knows["other meaning"], questions=questions))
    for name in ("precision_at_k", "colour", "type", "order"):
        assert table.loc[name, "value"] > 0.9, name
    assert table.loc["colour", "p"] == pytest.approx(1 / 720)
    assert table.loc["type", "p"] <= 1 / 6 and table.loc["order", "p"] < 1e-6
    assert measures(own_names(*knows["meaning"], questions=questions))["value"].min() == 1


def test_a_dictionary_finds_the_words_and_not_their_order(knows, questions):
    pair = *knows["concepts"], *knows["other concepts"]
    table = measures(second_names(*pair, questions=questions))
    assert table.loc["precision_at_k", "value"] > 0.8 and table.loc["colour", "value"] > 0.9
    assert table.loc["order", "value"] == pytest.approx(0.5)


def test_the_exact_null_of_a_choice_is_uniform():
    random = np.random.default_rng(0)
    p = [assignment_p(random.random((5, 5))) for _ in range(300)]
    for level in (0.05, 0.1, 0.25, 0.5):
        rate = np.mean(np.array(p) <= level)
        assert abs(rate - level) < 3 * np.sqrt(level * (1 - level) / 300)
    assert assignment_p(np.ones((4, 4))) == 1  # all assignments tie


def test_what_cannot_be_compared_is_refused_in_one_line(knows, questions):
    one = knows["words"]
    with pytest.raises(ValueError, match="must have the same N rows") as caught:
        second_names(one[0][:99], one[1], *one, questions=questions)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="X2 has NaN"):
        second_names(one[0], one[1] * np.nan, *one, questions=questions)


def test_swapped_twins(factors):
    twin = swapped(factors)
    assert (twin >= 0).sum() == 132  # every "put next to" of two different objects
    first, second = factors.iloc[np.flatnonzero(twin >= 0)], factors.iloc[twin[twin >= 0]]
    np.testing.assert_array_equal(first["colour"], second["second_colour"])
    np.testing.assert_array_equal(first["second_type"], second["type"])
