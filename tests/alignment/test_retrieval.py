"""Precision@k against a plain loop; nothing of a test row reaches the map; nulls are nulls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cosine
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, ShuffleSplit

from paper_utils import alignment
from paper_utils.alignment import inference, retrieval
from paper_utils.alignment.retrieval import make_folds
from tests.alignment.conftest import gaussians


def everything(rows: int) -> list:
    """In-sample: the one fold that is fitted and tested on all rows."""
    return [(np.arange(rows), np.arange(rows))]


def plain(X, Y, k, folds, direction="forward", dimension=32) -> float:
    """The definition, row by row."""
    if direction == "both":
        ways = ("forward", "backward")
        return np.mean([plain(X, Y, k, folds, way, dimension) for way in ways])
    first, second = (X, Y) if direction == "forward" else (Y, X)
    hits = []
    for train, test in folds:
        sides = []
        for side in (first, second):
            width = min(dimension, *side[train].shape, np.linalg.matrix_rank(side[train]))
            pca = PCA(width, svd_solver="full").fit(side[train])
            sides.append(pca.transform(side))
        width = max(side.shape[1] for side in sides)
        a, b = (np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in sides)
        W, _ = orthogonal_procrustes(a[train], b[train])
        for i in test:
            distances = np.array([cosine(a[i] @ W, target) for target in b])
            hits.append(np.sum(distances < distances[i] - 1e-9) < k)
    return float(np.mean(hits))


@pytest.mark.parametrize("shared", [0.0, 0.2, 1.0])
def test_precision_is_held_out_procrustes_retrieval(shared):
    X, Y = gaussians(75, (12, 20), shared=shared)
    folds = list(KFold(5, shuffle=True, random_state=3).split(X))
    score = alignment.precision_at_k(X, Y, 4, random_state=3)
    assert score == pytest.approx(plain(X, Y, 4, folds, "both"))
    assert (score.chance, score.n, score.measure) == (4 / 75, 75, "precision@4")
    assert np.isnan(score.p) and np.isnan(score.null)
    few = alignment.precision_at_k(X, Y, 4, random_state=3, n_components=5)
    assert few == pytest.approx(plain(X, Y, 4, folds, "both", dimension=5))


def test_any_splitter_and_groups_are_honoured():
    X, Y = gaussians(60, shared=0.4)
    groups = np.arange(60) // 3
    splitters = (GroupKFold(3), LeaveOneGroupOut())
    for cv, labels in [*((cv, groups) for cv in splitters), (KFold(4), None)]:
        folds = list(cv.split(X, groups=labels))
        expected = pytest.approx(plain(X, Y, 3, folds, "both"))
        assert alignment.precision_at_k(X, Y, 3, cv=cv, groups=labels) == expected
        assert alignment.precision_at_k(X, Y, 3, cv=folds) == expected
    for train, test in make_folds(60, 4, groups).pairs:
        assert not set(groups[train]) & set(groups[test])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        alignment.precision_at_k(X, Y, 3, groups=[0, 1])


def test_every_row_is_tested_once():
    with pytest.raises(ValueError, match="cv must test every row exactly once"):
        make_folds(30, ShuffleSplit(8, test_size=0.3, random_state=0))
    assert make_folds(30, everything(30)).in_sample and not make_folds(30).in_sample


def test_a_null_keeps_every_test_and_every_training_set():
    rows = np.arange(12)
    pairs = [(rows[6:], rows[:6]), (rows[:3], rows[6:])]  # the second is not trained on all others
    blocks = make_folds(12, pairs).blocks
    assert len(np.unique(blocks)) == 3
    for draw in inference.pairings(12, 20, 0, blocks)[1:]:
        for kept in sum(pairs, ()):
            assert set(draw[kept]) == set(kept)
    whole = make_folds(12, 3)
    assert all((whole.blocks[test] == number).all() for number, (_, test) in enumerate(whole.pairs))


def test_components_see_the_training_rows_only():
    X, _ = gaussians(50, shared=0.5)
    folds = make_folds(50)
    train, test = folds.pairs[0]
    changed = X.copy()
    changed[test[1:]] += 100 * np.random.default_rng(0).normal(size=(len(test) - 1, X.shape[1]))
    keep = [*train, test[0]]
    before, after = (retrieval.reduce_folds(side, folds, 8)[0] for side in (X, changed))
    np.testing.assert_allclose(after[keep], before[keep], atol=1e-9)


def test_the_rotation_is_scipys():
    A, B = np.random.default_rng(0).normal(size=(2, 40, 9))
    expected, _ = orthogonal_procrustes(A, B)
    np.testing.assert_allclose(retrieval.rotation(A, B), expected, atol=1e-10)


def test_procrustes_fits_and_transforms():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 8))
    Q, _ = np.linalg.qr(random.normal(size=(8, 8)))
    Y = 3 * X @ Q + 5
    fitted = alignment.Procrustes(n_components=None).fit(X[:40], Y[:40])
    np.testing.assert_allclose(fitted.transform(X[40:]), Y[40:], atol=1e-9)
    assert fitted.scale_ == pytest.approx(3) and fitted.get_params() == {"n_components": None}
    # Of a wider side no component is lost, and of a space that is not reached nothing is made up.
    wide = alignment.Procrustes(4).fit(X, np.hstack([Y, Y[:, :3]]))
    assert wide.transform(X).shape == (60, 11) and wide.rotation_.shape == (4, 4)


def test_the_null_is_a_plain_loop_over_permuted_pairings():
    X, Y = gaussians(48, (6, 9), shared=0.3)
    score = alignment.precision_at_k(X, Y, 4, n_permutations=6, cv=4, random_state=2)
    folds = make_folds(48, 4, None, 2)
    draws = inference.pairings(48, 6, 2, folds.blocks)[1:]
    loop = [plain(X, Y[draw], 4, folds.pairs, "both") for draw in draws]
    # A pool that is permuted with its partners holds the same rows.
    assert score.null == pytest.approx(np.mean(loop))
    assert score.p == inference.p_value(score, np.array(loop))


def test_in_sample_procrustes_fits_noise():
    X, Y = gaussians(200, (32, 32))
    assert alignment.precision_at_k(X, Y, cv=everything(200)) > 0.6  # chance is 0.075
    assert alignment.precision_at_k(X, Y) < 0.15
    X, Y = gaussians(500, (64, 64))
    assert alignment.precision_at_k(X, Y, cv=everything(500), n_components=None) > 0.6
    assert alignment.precision_at_k(X, Y, n_components=None) < 0.08  # chance is 0.03


def test_shared_words_saturate_retrieval_also_where_a_colour_is_left_out(bags, factors):
    X, Y = bags["bag"], bags["other_bag"]
    assert alignment.precision_at_k(X, Y, n_permutations=20).null < 0.2
    assert alignment.precision_at_k(X, Y) > 0.97
    mentions = factors[["colour", "second_colour"]].to_numpy()
    folds = []
    for colour in np.unique(factors["colour"]):
        test = np.flatnonzero(mentions[:, 0] == colour)
        folds.append((np.flatnonzero((mentions != colour).all(axis=1)), test))
    assert alignment.precision_at_k(X, Y, cv=folds) > 0.3


def test_tied_partners_share_the_places_they_reach():
    X = np.random.default_rng(0).normal(size=(100, 1))  # one dimension: every cosine is 1 or -1
    X -= X.mean()
    size = np.where(X[:, 0] > 0, np.sum(X > 0), np.sum(X < 0))  # how many lie in one's direction
    found = alignment.precision_at_k(X, X, 15, cv=everything(100))
    assert found == pytest.approx(np.mean(15 / size))
    twins = np.repeat(gaussians(40)[0], 2, axis=0)
    assert alignment.precision_at_k(twins, twins, 1, cv=everything(80)) == 0.5


def test_refused_options():
    X, Y = gaussians(15)
    for options, message in (
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"cv": 1}, "cv must lie between 2 and N/2 = 7, not 1"),
        ({"random_state": -1}, "Seed must be between 0"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            alignment.precision_at_k(X, Y, 3, **options)
        assert "\n" not in str(caught.value)
    assert alignment.precision_at_k(X, Y, 3, n_components=500) >= 0  # clipped to the rank


def test_rank_is_clipped_where_rounding_would_be_rotated():
    X, Y = gaussians(80, (3, 5))
    flat = np.hstack([X, X @ [[1.0], [2.0], [3.0]] + 1e-14])
    same = alignment.precision_at_k(flat, Y, 5)
    assert same == alignment.precision_at_k(
        1e5 * flat @ np.linalg.qr(gaussians(4, (4, 4))[0])[0], Y, 5
    )
    assert retrieval.Components(flat).axes.shape == (4, 3)


def test_tables_with_ids_are_held_to_them():
    X, Y = gaussians(30, shared=1.0)
    ids = np.arange(30) + 100
    first, second = pd.DataFrame(X, index=ids), pd.DataFrame(Y, index=ids)
    assert alignment.precision_at_k(first, second, 3) == alignment.precision_at_k(X, Y, 3)
    assert alignment.precision_at_k(first, Y, 3) == alignment.precision_at_k(X, Y, 3)
    for bad in (second[::-1], second.set_axis(ids + 1)):
        with pytest.raises(ValueError, match="Y is misordered: its ids differ"):
            alignment.precision_at_k(first, bad, 3)
    with pytest.raises(ValueError, match="X has a column 'id', which is no dimension"):
        alignment.precision_at_k(first.rename_axis("id").reset_index(), second, 3)
