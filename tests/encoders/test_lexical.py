"""The lexical controls against scikit-learn, brute force and their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from commands import ROOT
from scipy.spatial.distance import pdist, squareform
from sklearn.feature_extraction.text import TfidfTransformer

from paper_utils.encoders import lexical
from tests.encoders.conftest import TEXTS

CONTROLS = [
    lexical.bag_of_words, lexical.tf_idf, lexical.random_tokens, lexical.random_tokens_positional,
    lexical.edit_distance, lexical.length,
]  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS)
def test_shape_type_order_and_determinism(control):
    vectors = control(TEXTS, seed=3)
    assert vectors.dtype == np.float64 and vectors.shape[0] == len(TEXTS)
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors, control(TEXTS, seed=3))
    # Reversing the texts reverses the rows: the geometry is that of the texts, not of the order.
    backwards = control(TEXTS[::-1], seed=3)[::-1]
    np.testing.assert_allclose(pdist(backwards), pdist(vectors), atol=1e-4)


def test_bag_of_words_counts():
    vocabulary = sorted({word for text in TEXTS for word in text.split()})
    expected = [[text.split().count(word) for word in vocabulary] for text in TEXTS]
    np.testing.assert_array_equal(lexical.bag_of_words(TEXTS), expected)


def test_tf_idf_weighs_the_bag_of_words():
    expected = TfidfTransformer().fit_transform(lexical.bag_of_words(TEXTS)).toarray()
    np.testing.assert_allclose(lexical.tf_idf(TEXTS), expected, atol=1e-6)


def test_random_tokens_know_words_and_not_their_order():
    ordered, swapped = TEXTS[1], TEXTS[-1]
    assert sorted(ordered.split()) == sorted(swapped.split())
    first, second = lexical.random_tokens([ordered, swapped])
    np.testing.assert_allclose(first, second, atol=1e-6)
    first, second = lexical.random_tokens_positional([ordered, swapped])
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("control", CONTROLS[2:4])
def test_random_tables_depend_on_word_and_seed_only(control):
    alone = control(TEXTS[:1], seed=5, width=16)
    np.testing.assert_array_equal(alone, control(TEXTS, seed=5, width=16)[:1])
    assert np.abs(alone - control(TEXTS[:1], seed=6, width=16)).max() > 0.1


def test_a_positional_gate_keeps_a_word_similar_to_itself():
    one, two = lexical.random_tokens_positional(["red", "ball red"], width=100_000)
    ball = lexical.random_tokens_positional(["ball"], width=100_000)[0]
    shifted = 2 * two - ball
    cosine = one @ shifted / np.linalg.norm(one) / np.linalg.norm(shifted)
    assert cosine == pytest.approx(0.75, abs=0.02)


def _levenshtein(a: list[str], b: list[str]) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(
        _levenshtein(a[1:], b) + 1,
        _levenshtein(a, b[1:]) + 1,
        _levenshtein(a[1:], b[1:]) + (a[0] != b[0]),
    )


def test_edit_distances_by_brute_force():
    words = np.array(["red", "green", "ball", "to"])
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, random.integers(1, 6))) for _ in range(12)]
    expected = [[_levenshtein(a.split(), b.split()) for b in texts] for a in texts]
    np.testing.assert_array_equal(lexical.levenshtein(texts), expected)


def test_edit_distance_geometry_is_exact_where_distances_are_euclidean():
    texts = ["a b c", "d b c", "a b c d"]  # distances 1, 1, 2: points on a line
    vectors = lexical.edit_distance(texts)
    np.testing.assert_allclose(squareform(pdist(vectors)), lexical.levenshtein(texts), atol=1e-5)
    assert vectors.shape == (3, 1)
    assert lexical.edit_distance(TEXTS, width=2).shape == (len(TEXTS), 2)


def test_length_is_words_and_characters():
    np.testing.assert_array_equal(lexical.length(["go to it", "open"]), [[3, 8], [1, 4]])


@pytest.mark.parametrize("texts, reason", [([], "no texts"), (["go", ""], "text 1"), ([3], "3")])
@pytest.mark.parametrize("control", CONTROLS)
def test_what_is_no_text_is_refused(control, texts, reason):
    with pytest.raises(ValueError, match=reason):
        control(texts)


def test_the_readmes_ten_lines_add_an_encoder(monkeypatch):
    """The two blocks, as they stand, in the modules that they name."""
    from paper_utils import Profile
    from paper_utils.encoders import registry

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    part = readme.split("## Add an encoder in ten lines")[1].split("\n## ")[0]
    function, entry = (block.split("```")[0] for block in part.split("```python\n")[1:])
    assert len((function + entry).splitlines()) <= 10
    inside = dict(vars(lexical))
    exec(function, inside)
    monkeypatch.setattr(lexical, "last_word", inside["last_word"], raising=False)
    monkeypatch.setattr(registry, "CONTROLS", dict(registry.CONTROLS))
    exec(entry, vars(registry))
    encoder = registry.encoders(Profile.load("smoke"))[-1]
    assert encoder.label == "last word" and encoder.modality == "lexical"
    found = registry.CONTROLS[encoder.family][0](["go to the ball", "open the ball", "a box"])
    assert (found[0] == found[1]).all() and (found[0] != found[2]).any()
