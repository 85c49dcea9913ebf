"""Nothing of a test row reaches the map; what is left out is left out."""

from __future__ import annotations

import numpy as np
import pytest

from paper_utils.alignment import mapping, retrieval, splits


@pytest.mark.parametrize("name", splits.SPLITS)
def test_every_split_separates_train_from_test(name, factors):
    split = splits.make(name, len(factors), factors)
    for train, test in split.folds:
        assert name == "in_sample" or not set(train) & set(test)
        assert len(test) and len(train)
    weights = retrieval.weights(split, len(factors))
    assert weights.sum() == pytest.approx(1) and len(weights) == len(retrieval.tested(split))


@pytest.mark.parametrize("name", ["colour", "type"])
def test_a_left_out_level_is_nowhere_in_training(name, factors):
    split = splits.make(name, len(factors), factors)
    columns = factors[[name, f"second_{name}"]]
    levels = set(np.unique(columns)) - {""}
    assert len(split.folds) == len(levels)
    for train, test in split.folds:
        (level,) = set.intersection(*map(set, columns.iloc[test].to_numpy())) - {""}
        assert not (columns.iloc[train] == level).any(axis=None)


def test_verb_and_type_are_both_seen_apart(factors):
    for train, test in splits.make("verb_type", len(factors), factors).folds:
        (verb,) = set(factors["verb"].iloc[test])
        assert verb in set(factors["verb"].iloc[train])
        types = factors[["type", "second_type"]].iloc[test].to_numpy()
        (kind,) = set.intersection(*map(set, types)) - {""}
        seen = factors.iloc[train]
        mentions = (seen[["type", "second_type"]] == kind).any(axis=1)
        assert mentions.any() and not (mentions & (seen["verb"] == verb)).any()


def test_splits_refuse_what_they_cannot_do(factors):
    with pytest.raises(ValueError, match="needs the table of factors"):
        splits.make("colour", 10)
    with pytest.raises(ValueError, match="no column 'second_colour'"):
        splits.make("colour", len(factors), factors.drop(columns="second_colour"))
    with pytest.raises(ValueError, match="rows, the embeddings have"):
        splits.make("verb", 10, factors)
    with pytest.raises(ValueError, match="at least two levels"):
        splits.make("verb", 12, factors[factors["verb"] == "put"].head(12))
    split = splits.make("random", 20, None, 4, 0, groups=np.arange(20) // 2)
    assert all(set(test // 2) & set(train // 2) == set() for train, test in split.folds)


@pytest.mark.parametrize("preprocess", mapping.PREPROCESSING)
def test_reductions_and_residuals_see_the_training_rows_only(preprocess, bags, factors):
    split = splits.make("random", len(factors), factors)
    (train, test), X, lexicon = split.folds[0], bags["ordered"], bags["bag"]
    changed = X.copy()
    changed[test[1:]] += 100 * np.random.default_rng(0).normal(size=(len(test) - 1, X.shape[1]))
    keep = [*train, test[0]]
    for words in (None, lexicon):
        before, after = (
            retrieval.spaces(side, split, 8, preprocess, words)[0] for side in (X, changed)
        )
        np.testing.assert_allclose(after[keep], before[keep], atol=1e-9)


def test_lexical_residuals_leave_what_words_cannot_predict(bags):
    lexicon = 30 * bags["bag"]
    rows = np.random.default_rng(2).permutation(len(lexicon))
    own = np.random.default_rng(0).normal(size=(len(rows), 30))
    mixed = lexicon @ np.random.default_rng(1).normal(size=(lexicon.shape[1], 30)) + own
    left = mapping.lexical_residuals(mixed, lexicon, rows[:120])
    for part in (rows[:120], rows[120:]):
        both = np.corrcoef(left[part].T, lexicon[part].T)
        assert np.abs(both[:30, 30:]).max() < 0.5
    assert np.corrcoef(left.ravel(), own.ravel())[0, 1] > 0.8
    # A row's own value does not reach its prediction.
    for row in (rows[0], rows[-1]):
        moved = mixed.copy()
        moved[row] += 100
        change = mapping.lexical_residuals(moved, lexicon, rows[:120]) - left
        np.testing.assert_allclose(change[row], 100, atol=1e-6)


def test_preprocessing_is_what_it_says():
    X = np.random.default_rng(0).normal(size=(50, 6)) * np.arange(1, 7) + 9
    assert mapping.preprocess(X) is X
    np.testing.assert_allclose(mapping.preprocess(X, "centred"), X - X.mean(axis=0))
    np.testing.assert_allclose(mapping.preprocess(X, "standardised").std(axis=0), 1)
    top = mapping.preprocess(X, "top_removed")
    assert np.linalg.matrix_rank(top, tol=1e-6) == 5
    with pytest.raises(ValueError, match="unknown preprocessing"):
        mapping.preprocess(X, "whitened")
    with pytest.raises(ValueError, match="zero variance"):
        mapping.Reduction.fit(np.ones((5, 3)))


def test_the_map_recovers_a_rotation():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 8))
    Q, _ = np.linalg.qr(random.normal(size=(8, 8)))
    Y, train = 3 * X @ Q + 5, np.arange(40)
    split = splits.Split("one", ((train, np.arange(40, 60)),), np.zeros(60))
    (a,), (b,) = (retrieval.spaces(side, split, None) for side in (X, Y))
    rotation = mapping.procrustes(a[train], b[train])
    np.testing.assert_allclose(3 * a @ rotation, b, atol=1e-9)


def test_only_splits_that_can_be_made_are_offered(factors):
    assert splits.possible(len(factors), factors) == list(splits.SPLITS)
    alone = factors[factors["verb"] == "go to"].reset_index(drop=True)
    found = splits.possible(len(alone), alone)
    assert found == ["in_sample", "random", "colour", "type"]
