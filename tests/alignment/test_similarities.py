"""Each measure against an independent implementation, on its traps, and for its invariances."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, spearmanr
from sklearn.neighbors import NearestNeighbors

from paper_utils import alignment
from paper_utils.alignment import inference, similarities
from tests.alignment.conftest import gaussians

MEASURES = {
    "mutual_knn": lambda X, Y: alignment.mutual_knn(X, Y, 5),
    "linear_cka": alignment.linear_cka,
    "rsa": alignment.rsa,
    "precision_at_k": lambda X, Y: alignment.precision_at_k(X, Y, 5, n_components=8),
}
SYMMETRIC = list(MEASURES)[:3]


def test_mutual_knn_against_scikit_learn():
    X, Y = gaussians(90, (7, 5), shared=0.5)
    for k in (1, 5, 15, 89):
        neighbours = []
        for side in (X, Y):
            search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(side)
            neighbours.append(search.kneighbors(return_distance=False))  # without self
        shared = [len(set(a) & set(b)) / k for a, b in zip(*neighbours, strict=True)]
        assert alignment.mutual_knn(X, Y, k) == pytest.approx(np.mean(shared))


@pytest.mark.parametrize("widths", [(4, 9), (200, 150)])
def test_linear_cka_against_its_definition(widths):
    X, Y = gaussians(32, widths, shared=0.1)

    def hsic(K, L):  # Song et al. (2012), equation 5
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        n, one = len(K), np.ones(len(K))
        first = np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
        return (first - 2 * one @ K @ L @ one / (n - 2)) / (n * (n - 3))

    K, L = X @ X.T, Y @ Y.T
    expected = hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))
    assert alignment.linear_cka(X, Y) == pytest.approx(expected, abs=1e-10)


def test_rsa_against_scipy():
    X, Y = gaussians(40, shared=0.5)
    expected = spearmanr(pdist(X, "cosine"), pdist(Y, "cosine")).statistic
    assert alignment.rsa(X, Y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_nulls_are_those_of_a_plain_loop(name):
    X, Y = gaussians(40, shared=0.5)
    score = getattr(alignment, name)(X, Y, n_permutations=8, random_state=3)
    loop = [getattr(alignment, name)(X, Y[draw]) for draw in inference.pairings(40, 8, 3)[1:]]
    assert score.null == pytest.approx(np.mean(loop), abs=1e-12)
    assert score.p == inference.p_value(score, np.array(loop))


# --- identical, rotated, scaled, shifted, shuffled, wide ------------------------------------


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("width", [9, 300])
def test_identical_inputs_score_one(name, width):
    X = np.random.default_rng(1).normal(size=(60, width))
    assert MEASURES[name](X, X) == pytest.approx(1)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.sampled_from(sorted(MEASURES)))
def test_rotation_and_scale_do_not_matter(seed, scale, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    turned = scale * X @ ortho_group.rvs(X.shape[1], random_state=seed % 2**32)
    assert MEASURES[name](turned, Y) == pytest.approx(MEASURES[name](X, Y), abs=1e-7)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(-100, 100),
       st.sampled_from(["linear_cka", "precision_at_k"]))  # fmt: skip
def test_translation_does_not_matter_where_claimed(seed, shift, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    moved = X + shift * np.random.default_rng([seed, 1]).normal(size=X.shape[1])  # not X's draws
    assert MEASURES[name](moved, Y) == pytest.approx(MEASURES[name](X, Y), abs=1e-7)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(SYMMETRIC))
def test_symmetry_and_common_order_of_rows(seed, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    order = np.random.default_rng(seed).permutation(40)
    value = MEASURES[name](X, Y)
    assert MEASURES[name](Y, X) == pytest.approx(value, abs=1e-9)
    assert MEASURES[name](X[order], Y[order]) == pytest.approx(value, abs=1e-9)


def test_shuffled_rows_score_as_chance():
    X, _ = gaussians(300, (8, 8))
    Y = X[np.random.default_rng(0).permutation(300)]
    for score in (alignment.precision_at_k(X, Y), alignment.mutual_knn(X, Y)):
        assert score == pytest.approx(score.chance, abs=0.04)
    assert abs(alignment.linear_cka(X, Y)) < 0.02 and abs(alignment.rsa(X, Y)) < 0.02


def test_biased_cka_is_inflated_and_ours_is_not():
    def biased(X, Y):  # Kornblith et al. (2019), equation 4
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        between, *own = (np.linalg.norm(a.T @ b) for a, b in ((X, Y), (X, X), (Y, Y)))
        return between**2 / np.prod(own)

    pairs = [gaussians(32, (8, 8), seed) for seed in range(40)]
    assert np.mean([biased(*pair) for pair in pairs]) > 0.15
    assert abs(np.mean([alignment.linear_cka(*pair) for pair in pairs])) < 0.03


# --- duplicates and ties ---------------------------------------------------------------------


def test_tied_neighbours_share_their_places():
    X = np.abs(np.random.default_rng(0).normal(size=(50, 1)))  # all cosines are equal
    graph = similarities.neighbour_graph(X, 7).toarray() * np.sqrt(50 * 7)
    np.testing.assert_allclose(graph, 7 / 49 * (1 - np.eye(50)))
    assert alignment.mutual_knn(X, X, 7) == pytest.approx(7 / 49)  # chance, not 1


def test_duplicates_drop_self_by_index():
    X, Y = (np.repeat(side, 2, axis=0) for side in gaussians(40, (6, 6), shared=1.0))
    graph = similarities.neighbour_graph(X, 1).toarray() * np.sqrt(80)
    np.testing.assert_allclose(graph, np.eye(80)[np.arange(80) ^ 1])
    assert alignment.mutual_knn(X, Y, 1) == pytest.approx(1)
    assert alignment.mutual_knn(X, X, 15) == pytest.approx(1)


def test_blocks_of_neighbours_change_nothing(monkeypatch):
    X, Y = gaussians(120, shared=0.3)
    whole = alignment.mutual_knn(X, Y)
    monkeypatch.setattr(similarities, "BLOCK", 700)
    assert alignment.mutual_knn(X, Y) == whole


# --- refusals --------------------------------------------------------------------------------


def put(rows, value) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(30, 5))
    X[rows] = X[0] if value is None else value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (put(3, np.nan), "Input X contains NaN"),
        (put(7, np.inf), "Input X contains infinity"),
        (put(slice(None), None), "is constant: all 30 rows are equal"),
        (put(4, 2.0), "1 constant rows, first row 4"),
        (put(0, 0)[:29] + 1 + np.arange(5), r"inconsistent numbers of samples: \[29, 30\]"),
        (put(0, None)[:3], "minimum of 4 is required"),
        (put(0, None)[0], r"must have shape \(N, d\)"),
        ([["a", "b"]] * 30, "could not convert string to float"),
    ],
)
def test_refusals_are_one_clear_line(X, message):
    Y = np.random.default_rng(1).normal(size=(30, 5))
    for name in MEASURES:
        with pytest.raises(ValueError, match=message) as caught:
            getattr(alignment, name)(X, Y)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, 60])
@pytest.mark.parametrize("measure", ["mutual_knn", "precision_at_k"])
def test_k_must_be_an_integer_below_n(k, measure):
    with pytest.raises(ValueError, match="k must be an integer from 1 to N - 1 = 59"):
        getattr(alignment, measure)(*gaussians(), k)


def test_what_has_no_structure_is_refused():
    corners = np.eye(5)
    with pytest.raises(ValueError, match="RSA is undefined"):
        alignment.rsa(corners, np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.raises(ValueError, match="linear CKA is undefined"):
        alignment.linear_cka(corners, np.random.default_rng(0).normal(size=(5, 3)))


# --- a number that travels with its chance, its null and its n -------------------------------


def test_a_score_is_a_float_and_prints_as_a_sentence():
    score = alignment.Score(0.5, "precision@15", chance=0.05, null=0.06, p=0.005, n=300)
    assert str(score) == repr(score) == f"{score}"
    assert str(score) == "precision@15 = 0.500 (chance 0.050, null 0.060, p = 0.005, n = 300)"
    assert f"{score:.2f}" == "0.50" and json.dumps({"a": score}) == '{"a": 0.5}'
    assert score + 0.25 == 0.75 and score > 0.4 and np.mean([score, 1.5]) == 1
    assert type(score * 2) is float and np.array([score]).dtype == float
    for other in (pickle.loads(pickle.dumps(score)), copy.deepcopy(score)):
        assert (other, other.n, other.p, str(other)) == (0.5, 300, 0.005, str(score))
