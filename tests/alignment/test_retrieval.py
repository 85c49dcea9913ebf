"""Nothing of a test row reaches the map; what is left out is left out."""

from __future__ import annotations

import numpy as np
import pytest

from paper_utils.alignment import retrieval, transfer
from paper_utils.alignment.retrieval import make_split


@pytest.mark.parametrize("name", retrieval.SPLITS)
def test_every_split_separates_train_from_test(name, factors):
    split = make_split(name, len(factors), factors)
    for train, test in split.folds:
        assert name == "in_sample" or not set(train) & set(test)
        assert len(test) and len(train)
    tested = np.concatenate([test for _, test in split.folds])
    values = np.random.default_rng(0).random((2, len(tested)))
    rows = [[part[tested == row].mean() for row in sorted({*tested})] for part in values]
    np.testing.assert_allclose(split.mean(values), np.mean(rows, axis=1), atol=1e-11)


@pytest.mark.parametrize("name", ["colour", "type"])
def test_a_left_out_level_is_nowhere_in_training(name, factors):
    split = make_split(name, len(factors), factors)
    columns = factors[[name, f"second_{name}"]]
    levels = set(np.unique(columns)) - {""}
    assert len(split.folds) == len(levels)
    for train, test in split.folds:
        (level,) = set.intersection(*map(set, columns.iloc[test].to_numpy())) - {""}
        assert not (columns.iloc[train] == level).any(axis=None)


def test_splits_refuse_what_they_cannot_do(factors):
    with pytest.raises(ValueError, match="needs the table of factors"):
        make_split("colour", 10)
    with pytest.raises(ValueError, match="no column 'second_colour'"):
        make_split("colour", len(factors), factors.drop(columns="second_colour"))
    with pytest.raises(ValueError, match="rows, the embeddings have"):
        make_split("verb", 10, factors)
    with pytest.raises(ValueError, match="at least two levels"):
        make_split("verb", 12, factors[factors["verb"] == "put"].head(12))
    split = make_split("random", 20, None, 4, 0, groups=np.arange(20) // 2)
    assert all(set(test // 2) & set(train // 2) == set() for train, test in split.folds)
    assert retrieval.possible_splits(factors) == list(retrieval.SPLITS)
    alone = factors[factors["verb"] == "go to"].reset_index(drop=True)
    assert retrieval.possible_splits(alone) == ["in_sample", "random", "colour", "type"]


def test_reductions_see_the_training_rows_only(bags, factors):
    split = make_split("random", len(factors), factors)
    (train, test), X = split.folds[0], bags["ordered"]
    changed = X.copy()
    changed[test[1:]] += 100 * np.random.default_rng(0).normal(size=(len(test) - 1, X.shape[1]))
    keep = [*train, test[0]]
    before, after = (retrieval.reduced(side, split, 8)[0] for side in (X, changed))
    np.testing.assert_allclose(after[keep], before[keep], atol=1e-9)


def test_the_map_recovers_a_rotation_and_keeps_the_wider_side():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 8))
    Q, _ = np.linalg.qr(random.normal(size=(8, 8)))
    Y, train = 3 * X @ Q + 5, np.arange(40)
    split = retrieval.Split(((train, np.arange(40, 60)),), np.zeros(60))
    (a,), (b,) = (retrieval.reduced(side, split, None) for side in (X, Y))
    np.testing.assert_allclose(3 * a @ retrieval.procrustes(a[train], b[train]), b, atol=1e-9)
    thin, wide = retrieval.equal_width(a[:, :3], b)
    np.testing.assert_array_equal(wide, b)
    assert thin.shape == b.shape and not thin[:, 3:].any()


def test_ridge_finds_any_linear_map():
    random = np.random.default_rng(0)
    X, A = random.normal(size=(80, 6)), random.normal(size=(6, 4))
    found = transfer.map_vectors(X[:60], X[:60] @ A + 2, X[60:], "ridge", None)
    np.testing.assert_allclose(found, X[60:] @ A + 2, atol=0.05)
