"""Controls against scikit-learn, brute force and their own definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.feature_extraction.text import TfidfTransformer

from paper_utils.alignment import controls

TEXTS = [
    "go to the red ball", "put the red ball next to the green key", "Open the door", "open a door",
    "pick up the ball", "put the green key next to the red ball",
]  # fmt: skip
RANDOM = [controls.random_tokens, controls.random_tokens_ordered]
CONTROLS = [*controls.FROM_TEXTS.values(), *RANDOM]


@pytest.mark.parametrize("control", CONTROLS)
def test_shape_type_order_and_determinism(control):
    vectors = control(TEXTS)
    assert vectors.dtype == np.float64 and vectors.shape[0] == len(TEXTS)
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors, control(pd.Series(TEXTS, index=range(5, 11))))
    # Reversing the texts reverses the rows: the geometry is that of the texts, not of the order.
    backwards = control(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(pdist(backwards), pdist(vectors), atol=1e-4)


def test_words_are_counted_and_weighed():
    rows = [text.lower().split() for text in TEXTS]
    vocabulary = sorted({word for row in rows for word in row})
    expected = [[row.count(word) for word in vocabulary] for row in rows]
    np.testing.assert_array_equal(controls.word_count(TEXTS), expected)
    weighed = TfidfTransformer().fit_transform(expected).toarray()
    np.testing.assert_allclose(controls.tf_idf(TEXTS), weighed, atol=1e-12)
    np.testing.assert_array_equal(controls.length(["go to it", "open"]), [[3, 8], [1, 4]])
    spelling = controls.character_ngrams(["latch key", "keyhole", "door"])
    alike = spelling @ spelling.T
    assert alike[0, 1] > alike[0, 2]


def test_random_tokens_know_words_and_only_ordered_ones_their_places():
    one, other = TEXTS[1], TEXTS[-1]
    assert sorted(one.split()) == sorted(other.split())
    np.testing.assert_allclose(*controls.random_tokens([one, other]), atol=1e-12)
    assert np.abs(np.subtract(*controls.random_tokens_ordered([one, other]))).max() > 0.1


@pytest.mark.parametrize("control", RANDOM)
def test_random_tables_depend_on_word_and_seed_only(control):
    alone = control(TEXTS[:1], 5, width=16)
    np.testing.assert_array_equal(alone, control(TEXTS, random_state=5, width=16)[:1])
    assert np.abs(alone - control(TEXTS[:1], 6, width=16)).max() > 0.1
    with pytest.raises(ValueError, match="seed"):
        control(TEXTS, "one")


def test_a_positional_gate_keeps_a_word_similar_to_itself():
    one, two = controls.random_tokens_ordered(["red", "ball red"], width=100_000)
    ball = controls.random_tokens_ordered(["ball"], width=100_000)[0]
    shifted = 2 * two - ball
    cosine = one @ shifted / np.linalg.norm(one) / np.linalg.norm(shifted)
    assert cosine == pytest.approx(0.75, abs=0.02)


def levenshtein(a: list[str], b: list[str]) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(
        levenshtein(a[1:], b) + 1,
        levenshtein(a, b[1:]) + 1,
        levenshtein(a[1:], b[1:]) + (a[0] != b[0]),
    )


def test_edit_distances_by_brute_force():
    words = np.array(["red", "green", "ball", "to"])
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, random.integers(1, 6))) for _ in range(12)]
    expected = [[levenshtein(a.split(), b.split()) for b in texts] for a in texts]
    np.testing.assert_array_equal(controls.word_edits(texts), expected)


def test_edit_distance_geometry_is_exact_where_distances_are_euclidean():
    texts = ["a b c", "d b c", "a b c d"]  # distances 1, 1, 2: points on a line
    vectors = controls.edit_distance(texts)
    np.testing.assert_allclose(squareform(pdist(vectors)), controls.word_edits(texts), atol=1e-5)
    assert vectors.shape == (3, 1)
    assert controls.edit_distance(TEXTS, width=2).shape == (len(TEXTS), 2)


def test_a_codebook_is_a_sum_over_slots():
    table = pd.DataFrame({"verb": ["go", "go", "put", "put"], "thing": ["key", "box", "key", ""],
                          "second_thing": ["", None, "box", "key"], "id": range(4)})  # fmt: skip
    code = controls.codebook(table, 3, width=12)
    assert code.shape == (4, 12)
    only = controls.codebook(table[["verb", "thing", "second_thing"]], 3, width=12)
    np.testing.assert_array_equal(code, only)  # ids are no factor
    # A level has a vector for each of its roles, and what is missing has none.
    key, box = code[0] - controls.codebook(table[["verb"]], 3, width=12)[0], code[1] - code[0]
    second = code[2] - code[3] - key
    assert np.linalg.norm(key) > 1 and np.abs(second).max() > 0.1 and np.abs(box).max() > 0.1
    np.testing.assert_allclose(code, controls.codebook(table[::-1], 3, width=12)[::-1])
    assert np.abs(code - controls.codebook(table, 4, width=12)).max() > 0.1


@pytest.mark.parametrize("texts, reason", [(["go", ""], "text 1"), ([3], "3")])
@pytest.mark.parametrize("control", CONTROLS)
def test_what_is_no_text_is_refused(control, texts, reason):
    with pytest.raises(ValueError, match=reason):
        control(texts)
