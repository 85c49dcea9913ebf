"""Synonyms against a plain loop; words fail them, meaning passes, a dictionary knows no order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from paper_utils.alignment import (
    ContrastSets,
    controls,
    own_names,
    same_words,
    second_names,
    synonyms,
)


@pytest.fixture(scope="module")
def contrasts(factors) -> ContrastSets:
    return ContrastSets(factors, n_permutations=99)


@pytest.fixture(scope="module")
def knows(texts, synonym_texts, factors) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Spaces in first names and in synonyms: of words, a dictionary, and concepts in roles."""
    both = [*texts, *synonym_texts]
    concepts = factors.rename(columns=lambda name: name.removeprefix("second_"))
    bag = controls.codebook(concepts.iloc[:, :3], 8) + controls.codebook(concepts.iloc[:, 3:], 8)
    other = controls.codebook(concepts.iloc[:, :3], 9) + controls.codebook(concepts.iloc[:, 3:], 9)
    return {
        "words": tuple(np.split(controls.random_tokens_ordered(both, 1), 2)),
        "other words": tuple(np.split(controls.random_tokens_ordered(both, 2), 2)),
        "dictionary": (bag, bag),
        "other dictionary": (other, other),
        "meaning": (controls.codebook(factors, 5),) * 2,
        "other meaning": (controls.codebook(factors, 6),) * 2,
    }


def values(table: pd.DataFrame) -> pd.Series:
    """Means of both directions by measure."""
    return table.groupby("measure")["value"].mean()


# --- against a plain loop --------------------------------------------------------------------


def plain_cosines(fitted, asked, folds, width=32) -> dict[str, np.ndarray]:
    """By direction, cosines of every held-out image with all rows of the other side."""
    (X, A), (X2, A2) = fitted, asked
    found = {"forward": np.zeros((len(X), len(X))), "backward": np.zeros((len(X), len(X)))}
    for train, test in folds:
        fits = [PCA(min(width, np.linalg.matrix_rank(side[train] - side[train].mean(0))))
                .fit(side[train]) for side in (X, A)]  # fmt: skip
        wide = max(fit.n_components_ for fit in fits)

        def reduced(fit, rows, wide=wide):
            return np.pad(fit.transform(rows), ((0, 0), (0, wide - fit.n_components_)))

        W, _ = orthogonal_procrustes(reduced(fits[0], X[train]), reduced(fits[1], A[train]))
        a, b = reduced(fits[0], X2), reduced(fits[1], A2)
        for row in test:
            for way, image, pool in (("forward", a[row] @ W, b), ("backward", b[row] @ W.T, a)):
                lengths = np.linalg.norm(pool, axis=1) * np.linalg.norm(image)
                found[way][row] = pool @ image / lengths
    return found


def plain_measures(cosines: np.ndarray, factors: pd.DataFrame, k: int) -> dict[str, float]:
    own = np.diag(cosines)
    ahead = (cosines > own[:, None] + 1e-9).sum(axis=1)
    found = {"precision_at_1": np.mean(ahead < 1), "precision_at_k": np.mean(ahead < k)}
    chosen = []
    for _, rows in factors.groupby(["verb", "type", "second_colour", "second_type"]).groups.items():
        if len(set(factors["colour"][rows])) == 6:
            chosen += [cosines[row, row] >= cosines[row, rows].max() - 1e-9 for row in rows]
    found["colour"] = np.mean(chosen)
    return found


def test_synonyms_are_a_plain_loop(knows, factors):
    X = knows["meaning"][0]
    random = np.random.default_rng(0)
    X2 = X + 3 * random.normal(size=X.shape)
    A = knows["other words"][0][:, :20] + random.normal(size=(168, 20))
    narrow = factors.drop(index=factors.index[factors["verb"] == "put"])  # 36 rows, no twins
    keep = narrow.index
    folds = list(GroupKFold(4, shuffle=True, random_state=7).split(X[keep], groups=np.arange(36)))
    table = synonyms(X[keep], X2[keep], A[keep], 6, narrow, cv=4, random_state=7)
    cosines = plain_cosines((X[keep], A[keep]), (X2[keep], A[keep]), folds)
    for way, found in cosines.items():
        expected = plain_measures(found, narrow, 6)
        got = table[table["direction"] == way].set_index("measure")["value"]
        for name, value in expected.items():
            assert got[name] == pytest.approx(value), (way, name)
    assert list(table) == ["measure", "direction", "value", "chance", "p"]


def test_second_names_are_two_plain_loops(knows):
    X, X2 = (side + np.random.default_rng(n).normal(size=side.shape)
             for n, side in enumerate(knows["meaning"]))  # fmt: skip
    Y, Y2 = (side + np.random.default_rng(n).normal(size=side.shape)
             for n, side in enumerate(knows["other meaning"], 5))  # fmt: skip
    rows = np.arange(0, 168, 3)
    X, X2, Y, Y2 = (side[rows] for side in (X, X2, Y, Y2))
    folds = list(KFold(3).split(X))
    table = second_names(X, X2, Y, Y2, 5, cv=folds)
    ways = [plain_cosines((X, Y), (X2, Y2), folds), plain_cosines((X2, Y2), (X, Y), folds)]
    for row in table.itertuples():
        k = 1 if row.measure == "precision_at_1" else 5
        found = [(way[row.direction] > np.diag(way[row.direction])[:, None]).sum(axis=1) < k
                 for way in ways]  # fmt: skip
        assert row.value == pytest.approx(np.mean(found))


# --- what passes and what does not -----------------------------------------------------------


def test_words_pass_in_the_same_words_and_not_in_synonyms(knows, contrasts):
    (X, X2), (A, _) = knows["words"], knows["other words"]
    first = values(same_words(X, A, contrasts=contrasts))
    assert first["precision_at_k"] > 0.8 and first["order"] > 0.9
    table = synonyms(X, X2, A, contrasts=contrasts)
    second = values(table)
    assert second["precision_at_k"] < 0.3 and abs(second["order"] - 0.5) < 0.2
    assert abs(second["colour"] - 1 / 6) < 0.15
    assert table.set_index("measure")["p"]["colour"].min() > 0.01
    assert values(own_names(X, X2, contrasts=contrasts))["precision_at_1"] < 0.1


def test_who_knows_the_meanings_passes_all(knows, contrasts):
    for table in (
        synonyms(*knows["meaning"], knows["other meaning"][0], contrasts=contrasts),
        second_names(*knows["meaning"], *knows["other meaning"], contrasts=contrasts),
    ):
        assert values(table)[["precision_at_k", "colour", "type", "order"]].min() > 0.9
        p = table.groupby("measure")["p"].max()
        assert p["colour"] == pytest.approx(1 / 720) and p["order"] < 0.02
    assert values(own_names(*knows["meaning"], contrasts=contrasts)).min() == 1


def test_only_one_side_has_to_know_the_synonyms(knows, contrasts):
    A = knows["words"][0]  # a code of words and places: it never met a synonym
    table = values(synonyms(*knows["meaning"], A, contrasts=contrasts))
    assert table["precision_at_k"] > 0.9 and table["order"] > 0.9
    both = values(second_names(*knows["meaning"], *knows["words"], contrasts=contrasts))
    assert both["precision_at_k"] < 0.2


def test_a_dictionary_finds_the_words_and_not_their_order(knows, contrasts):
    pair = knows["dictionary"], knows["other dictionary"]
    table = values(second_names(*pair[0], *pair[1], contrasts=contrasts))
    assert table["precision_at_k"] > 0.8 and table["colour"] > 0.7
    assert table["order"] == pytest.approx(0.5)


def test_the_four_calls_agree_where_they_are_one(knows, contrasts, factors):
    X, A = knows["meaning"][0], knows["words"][0]
    first = same_words(X, A, contrasts=contrasts)
    pd.testing.assert_frame_equal(first, synonyms(X, X.copy(), A, contrasts=contrasts))
    pd.testing.assert_frame_equal(first, second_names(X, X, A, A, contrasts=contrasts))
    fresh = same_words(X, A, factors=factors)
    assert list(fresh["value"]) == list(first["value"])
    alone = same_words(X, A, cv=4)  # nothing is known of the rows
    assert list(alone["measure"].unique()) == ["precision_at_1", "precision_at_k"]


def test_prepared_contrasts_do_not_mix_up_spaces(knows, factors):
    sets = ContrastSets(factors, n_permutations=0)
    X, X2 = (side.copy() for side in knows["meaning"])
    A = knows["words"][0].copy()
    first = synonyms(X, X2, A, contrasts=sets)
    again = synonyms(X, X2, A, contrasts=sets)
    A[:] = A[::-1].copy()  # the same array, other numbers
    other = synonyms(X, X2, A, contrasts=sets)
    pd.testing.assert_frame_equal(first, again)
    fresh = synonyms(X, X2, A, factors=factors, contrasts=ContrastSets(factors, n_permutations=0))
    pd.testing.assert_frame_equal(other, fresh)
    assert values(other)["precision_at_k"] < values(first)["precision_at_k"]


def test_what_cannot_be_compared_is_refused_in_one_line(knows, contrasts, factors):
    X, X2 = knows["words"]
    for call, message in (
        (lambda: synonyms(X[:99], X2, X, contrasts=contrasts), r"samples: \[99, 168, 168"),
        (lambda: synonyms(X, X2 * np.nan, X, contrasts=contrasts), "Input X2 contains NaN"),
        (lambda: same_words(X[:99], X[:99], contrasts=contrasts), r"samples: \[99, 99, 99, 168\]"),
        (lambda: own_names(X, X2[:, :5]), "could not be broadcast"),
        (lambda: same_words(X, X2, cv=ShuffleSplit(3, test_size=9)), "every row exactly once"),
        (lambda: same_words(X, X2, cv=KFold(5), contrasts=contrasts), "rows of one group"),
        (lambda: same_words(pd.DataFrame(X, index=np.arange(168) + 1), X2,
                            factors=factors.assign(id=range(168))), "factors is misordered"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
