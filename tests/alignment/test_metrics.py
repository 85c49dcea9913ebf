"""Each metric against an independent implementation, on its traps, and for its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cosine, pdist
from scipy.stats import ortho_group, spearmanr
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors

from paper_utils import alignment
from paper_utils.alignment import metrics, retrieval

SYMMETRIC = {
    "mutual_knn": lambda X, Y: alignment.mutual_knn(X, Y, 5),
    "linear_cka": alignment.linear_cka,
    "rsa": alignment.rsa,
    "precision_at_k": lambda X, Y: alignment.precision_at_k(X, Y, 5, dimension=8),
}
TRANSLATION = {name: SYMMETRIC[name] for name in SYMMETRIC if name not in ("mutual_knn", "rsa")}


def gaussians(items=60, widths=(10, 14), seed=0, shared=0.0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(items, widths[0]))
    Y = random.normal(size=(items, widths[1]))
    return X, Y + shared * X @ random.normal(size=widths)


# --- against independent implementations -----------------------------------------------------


@pytest.mark.parametrize("shared", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_precision_is_held_out_procrustes_retrieval(shared, direction):
    X, Y = gaussians(75, (12, 20), shared=shared)
    first, second = (X, Y) if direction == "forward" else (Y, X)
    hits = []
    for train, test in KFold(5, shuffle=True, random_state=3).split(X):
        a, b = (PCA(svd_solver="full").fit(side[train]).transform(side) for side in (first, second))
        a, b = (np.pad(side, ((0, 0), (0, 20 - side.shape[1]))) for side in (a, b))
        W, _ = orthogonal_procrustes(a[train], b[train])
        for i in test:
            distances = [cosine(a[i] @ W, target) for target in b]
            rank = 1 + np.sum(np.array(distances) < distances[i])
            hits.append(rank <= 4)
    options = {"seed": 3, "direction": direction}
    assert alignment.precision_at_k(X, Y, 4, **options) == pytest.approx(np.mean(hits))


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
def test_linear_cka_against_both_definitions(widths):
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


def test_the_rotation_is_scipys():
    A, B = np.random.default_rng(0).normal(size=(2, 5, 40, 9))
    for W, a, b in zip(retrieval.procrustes(A, B), A, B, strict=True):
        np.testing.assert_allclose(W, orthogonal_procrustes(a, b)[0], atol=1e-10)


@pytest.mark.parametrize("metric", metrics.RELATIONS)
def test_tables_have_the_metric_as_inner_product(metric, bags):
    X, Y = bags["ordered"], bags["other_bag"]
    tables = [metrics.RELATIONS[metric](side, 15) for side in (X, Y)]
    expected = getattr(alignment, metric)(X, Y)
    assert (tables[0] * tables[1]).sum() == pytest.approx(expected, abs=1e-12)


# --- identical, rotated, scaled, shifted, shuffled, wide ------------------------------------


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("width", [9, 300])
def test_identical_inputs_score_one(name, width):
    X = np.random.default_rng(1).normal(size=(60, width))
    assert SYMMETRIC[name](X, X) == pytest.approx(1)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.sampled_from(sorted(SYMMETRIC)))
def test_rotation_and_scale_do_not_matter(seed, scale, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    turned = scale * X @ ortho_group.rvs(X.shape[1], random_state=seed % 2**32)
    assert SYMMETRIC[name](turned, Y) == pytest.approx(SYMMETRIC[name](X, Y), abs=1e-7)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(-100, 100), st.sampled_from(sorted(TRANSLATION)))
def test_translation_does_not_matter_where_claimed(seed, shift, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    moved = X + shift * np.random.default_rng([seed, 1]).normal(size=X.shape[1])  # not X's draws
    assert TRANSLATION[name](moved, Y) == pytest.approx(TRANSLATION[name](X, Y), abs=1e-7)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(["mutual_knn", "linear_cka", "rsa"]))
def test_symmetry_and_common_order_of_rows(seed, name):
    X, Y = gaussians(40, seed=seed, shared=0.3)
    order = np.random.default_rng(seed).permutation(40)
    value = SYMMETRIC[name](X, Y)
    assert SYMMETRIC[name](Y, X) == pytest.approx(value, abs=1e-9)
    assert SYMMETRIC[name](X[order], Y[order]) == pytest.approx(value, abs=1e-9)


def test_shuffled_rows_score_as_chance():
    X, _ = gaussians(300, (8, 8))
    Y = X[np.random.default_rng(0).permutation(300)]
    assert alignment.precision_at_k(X, Y) == pytest.approx(15 / 300, abs=0.04)
    assert alignment.mutual_knn(X, Y) == pytest.approx(15 / 299, abs=0.02)
    assert abs(alignment.linear_cka(X, Y)) < 0.02 and abs(alignment.rsa(X, Y)) < 0.02


# --- facts: what a bare number hides --------------------------------------------------------


def test_in_sample_procrustes_fits_noise():
    X, Y = gaussians(200, (32, 32))
    assert alignment.precision_at_k(X, Y, split="in_sample") > 0.6  # chance is 0.075
    assert alignment.precision_at_k(X, Y) < 0.15
    X, Y = gaussians(500, (64, 64))
    assert alignment.precision_at_k(X, Y, split="in_sample", dimension=None) > 0.6
    assert alignment.precision_at_k(X, Y, dimension=None) < 0.08  # chance is 0.03


def test_shared_words_saturate_retrieval(bags, factors):
    assert alignment.precision_at_k(bags["bag"], bags["other_bag"]) > 0.97
    left_out = alignment.precision_at_k(
        bags["bag"], bags["other_bag"], split="colour", factors=factors
    )
    assert 0.3 < left_out < 0.97
    assert alignment.mutual_knn(bags["bag"], bags["other_bag"]) > 0.5


def test_biased_cka_is_inflated_and_ours_is_not():
    def biased(X, Y):  # Kornblith et al. (2019), equation 4
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        between, *own = (np.linalg.norm(a.T @ b) for a, b in ((X, Y), (X, X), (Y, Y)))
        return between**2 / np.prod(own)

    pairs = [gaussians(32, (8, 8), seed) for seed in range(40)]
    assert np.mean([biased(*pair) for pair in pairs]) > 0.15
    assert abs(np.mean([alignment.linear_cka(*pair) for pair in pairs])) < 0.03


# --- duplicates and ties ---------------------------------------------------------------------


def test_tied_partners_share_the_places_they_reach():
    X = np.random.default_rng(0).normal(size=(100, 1))  # one dimension: every cosine is 1 or -1
    X -= X.mean()
    size = np.where(X[:, 0] > 0, np.sum(X > 0), np.sum(X < 0))  # how many lie in one's direction
    found = alignment.precision_at_k(X, X, 15, split="in_sample")
    assert found == pytest.approx(np.mean(15 / size))


def test_tied_neighbours_share_their_places():
    X = np.abs(np.random.default_rng(0).normal(size=(50, 1)))  # all cosines are equal
    graph = metrics.neighbour_graph(X, 7)
    np.testing.assert_allclose(graph, 7 / 49 * (1 - np.eye(50)))
    assert alignment.mutual_knn(X, X, 7) == pytest.approx(7 / 49)  # chance, not 1


def test_duplicates_drop_self_by_index():
    X, Y = (np.repeat(side, 2, axis=0) for side in gaussians(40, (6, 6), shared=1.0))
    graph = metrics.neighbour_graph(X, 1)
    twin = np.arange(80) ^ 1
    np.testing.assert_array_equal(graph, np.eye(80)[twin])
    assert alignment.mutual_knn(X, Y, 1) == pytest.approx(1)
    assert alignment.mutual_knn(X, X, 15) == pytest.approx(1)
    assert alignment.precision_at_k(X, X, 1, split="in_sample") == 0.5  # twins share first place


def test_blocks_do_not_change_anything(monkeypatch):
    X, Y = gaussians(120, shared=0.3)
    whole = alignment.precision_at_k(X, Y, seed=1)
    monkeypatch.setattr(retrieval, "BLOCK", 700)
    assert alignment.precision_at_k(X, Y, seed=1) == whole


# --- refusals --------------------------------------------------------------------------------


def broken(change) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(30, 5))
    return change(X)


def put(X, rows, value):
    X[rows] = value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (broken(lambda X: put(X, 3, np.nan)), "NaN or infinity in 1 rows, first row 3"),
        (broken(lambda X: put(X, 7, np.inf)), "NaN or infinity"),
        (broken(lambda X: put(X, slice(None), X[0])), "is constant: all 30 rows are equal"),
        (broken(lambda X: put(X, 4, 2.0)), "1 constant rows, first row 4"),
        (broken(lambda X: put(X, slice(12, 30), X[0])), "18 of 30 rows equal to an earlier row"),
        (broken(lambda X: X[:29]), "X has 29 rows and Y has 30"),
        (broken(lambda X: X[:3]), "at least 4"),
        (broken(lambda X: X[0]), r"must have shape \(N, d\)"),
        ([["a", "b"]] * 30, "not an array of numbers"),
    ],
)
def test_refusals_are_one_clear_line(X, message):
    Y = np.random.default_rng(1).normal(size=(30, 5))
    for name in ("mutual_knn", "precision_at_k", "linear_cka", "rsa"):
        with pytest.raises(ValueError, match=message) as caught:
            getattr(alignment, name)(X, Y)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True, None])
@pytest.mark.parametrize("metric", [alignment.mutual_knn, alignment.precision_at_k])
def test_k_must_be_a_positive_integer(k, metric):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        metric(*gaussians(), k)


def test_k_below_n_and_known_names():
    X, Y = gaussians(15)
    for metric in (alignment.mutual_knn, alignment.precision_at_k):
        with pytest.raises(ValueError, match="N = 15 items are too few for k = 15"):
            metric(X, Y, 15)
    for options in ({"direction": "up"}, {"split": "colours"}):
        with pytest.raises(ValueError, match="choose from"):
            alignment.precision_at_k(X, Y, 3, **options)
    with pytest.raises(ValueError, match="dimension must be at least 1"):
        alignment.precision_at_k(X, Y, 3, dimension=0)
    with pytest.raises(ValueError, match="folds must lie between"):
        alignment.precision_at_k(X, Y, 3, folds=1)
    assert alignment.precision_at_k(X, Y, 3, dimension=500) >= 0  # clipped to the training rank
