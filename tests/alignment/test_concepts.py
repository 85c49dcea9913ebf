"""Structure against a plain implementation; what is planted is found, with its sign and grades."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cosine
from scipy.stats import ortho_group

from paper_utils.alignment import concept_distances, concepts, structure
from paper_utils.alignment.inference import p_value
from tests.alignment.conftest import COLOURS, TYPES

# Three kinds of three, two and one colours, graded: what stands next to each colour.
DESIGN = pd.DataFrame(
    [[0.92, 0.04, 0.04], [0.72, 0.24, 0.04], [0.64, 0.04, 0.32],
     [0.04, 0.92, 0.04], [0.04, 0.64, 0.32], [0.04, 0.04, 0.92]],
    index=COLOURS, columns=TYPES)  # fmt: skip
KINDS = dict(zip(COLOURS, "aaabbc"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Frames in which all colours stand, one in which they do not, and rows without a colour."""
    rows = [(verb, colour, kind) for verb in ("go", "take") for kind in TYPES
            for colour in (*COLOURS, "")]  # fmt: skip
    rows += [("open", colour, "door") for colour in COLOURS[:4]]
    return pd.DataFrame(rows, columns=["verb", "colour", "type"]).sample(frac=1, random_state=0)


def learner(table, seed, strength=1.0, noise=0.2, width=20) -> np.ndarray:
    """Vectors of the rows: a random code of verb and type, and an image of the colour's design."""
    random = np.random.default_rng(seed)
    images = strength * DESIGN.to_numpy() @ random.normal(size=(3, width))
    rows = np.zeros((len(table), width))
    for column in ("verb", "type"):
        for level in table[column].unique():
            rows[table[column] == level] += 3 * random.normal(size=width)
    for colour, image in zip(COLOURS, images, strict=True):
        rows[table["colour"] == colour] += image
    return rows + noise * random.normal(size=rows.shape)


def plain_means(X, table) -> np.ndarray:
    places = table.reset_index(drop=True)
    frames = [part.index for _, part in places[places["colour"] != ""].groupby(["verb", "type"])
              if set(part["colour"]) == set(COLOURS)]  # fmt: skip
    means = [np.mean([X[i] for rows in frames for i in rows if places["colour"][i] == colour],
                     axis=0) for colour in COLOURS]  # fmt: skip
    return np.array(means) - np.mean(means, axis=0)


def plain_r(A, B, order=range(6)) -> float:
    pairs = list(combinations(range(6), 2))
    first = [cosine(A[i], A[j]) for i, j in pairs]
    second = [cosine(B[order[i]], B[order[j]]) for i, j in pairs]
    return np.corrcoef(first, second)[0, 1]


def plain_withheld(A, B, count) -> float:
    """Share of withheld levels put right by a rotation of the others' principal components."""
    shares = []
    for withheld in map(list, combinations(range(6), count)):
        kept = [level for level in range(6) if level not in withheld]
        sides = []
        for side in (A, B):
            centre = side[kept].mean(axis=0)
            axes = np.linalg.svd(side[kept] - centre)[2][: len(kept) - 1].T
            sides.append(((side[kept] - centre) @ axes, (side[withheld] - centre) @ axes))
        (a, asked_a), (b, asked_b) = sides
        W, _ = orthogonal_procrustes(a, b)
        distances = {order: np.sum((asked_a @ W - asked_b[list(order)]) ** 2)
                     for order in permutations(range(count))}  # fmt: skip
        best = min(distances, key=distances.get)
        shares.append(np.mean([place == which for place, which in enumerate(best)]))
    return np.mean(shares)


def test_structure_is_a_plain_implementation(table):
    X, Y = learner(table, 1), learner(table, 2, noise=1.0)
    found = structure(X, Y, table, factor="colour", kinds=KINDS)
    A, B = plain_means(X, table), plain_means(Y, table)
    assert found.r == pytest.approx(plain_r(A, B)) and found.r.n == 6
    orders = list(permutations(range(6)))
    loop = np.array([plain_r(A, B, order) for order in orders])
    assert found.r.p == np.mean(loop >= found.r - 1e-12)
    assert found.r.null == pytest.approx(loop[1:].mean())
    for score, count in ((found.withheld_pairs, 2), (found.withheld_triples, 3)):
        assert score == pytest.approx(plain_withheld(A, B, count))
        some = [plain_withheld(A, B[list(order)], count) for order in orders[::36]]
        assert score.chance == 1 / count and score.null == pytest.approx(1 / count, abs=0.01)
        assert np.mean(some) == pytest.approx(1 / count, abs=0.1)
    kind = [KINDS[colour] for colour in COLOURS]
    within = [loop[n] for n, order in enumerate(orders) if [kind[i] for i in order] == kind]
    assert len(within) == 12 and found.graded.n == 11
    assert found.graded == pytest.approx(np.mean([found.r > other for other in within[1:]]))


def test_distances_are_of_centred_means(table):
    X = learner(table, 3)
    A = plain_means(X, table)
    found = concept_distances(X, table, "colour")
    assert list(found.index) == list(found.columns) == list(COLOURS)
    for i, j in combinations(range(6), 2):
        assert found.iloc[i, j] == pytest.approx(cosine(A[i], A[j]))


def test_planted_structure_is_found_without_a_dictionary(table):
    X, Y = learner(table, 1), learner(table, 2)
    found = structure(X, Y, table, kinds=KINDS)
    assert found.r > 0.9 and found.r.p < 0.005 and found.graded > 0.8
    assert found.withheld_pairs > 0.8 and found.withheld_triples > 0.6
    names = table.assign(colour=table["colour"].map(lambda name: name[::-1]))  # other names
    assert structure(X, Y, names).r == pytest.approx(found.r)


def test_the_sign_is_kept(table):
    X = learner(table, 1, noise=0)
    apart = 2 - concept_distances(X, table)  # what is alike there is far apart here
    found = structure(X, apart, table)
    assert found.r == pytest.approx(-1) and found.r.p > 0.99
    assert np.isnan(found.withheld_pairs) and np.isnan(found.graded)


def test_a_code_of_words_has_no_structure(table):
    known = concept_distances(learner(table, 99), table).to_numpy()
    r, p = [], []
    for seed in range(60):
        words = concept_distances(learner(table, seed, strength=0), table).to_numpy()
        draws = concepts.agreement_draws(words, known)
        r.append(draws[0])
        p.append(p_value(draws[0], draws[1:]))
    assert abs(np.mean(r)) < 0.15
    for level in (0.1, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 0.2


def test_a_design_or_distances_stand_for_a_learner(table):
    X = learner(table, 1)
    by_design = structure(X, DESIGN, table)
    assert by_design.r > 0.9 and by_design.withheld_pairs > 0.7
    by_rows = structure(X, DESIGN.reindex(table["colour"]).fillna(0).to_numpy(), table)
    assert by_rows.r == pytest.approx(by_design.r)
    distances = concept_distances(X, table)
    turned = distances.iloc[::-1, ::-1]
    assert structure(turned, X, table).r == pytest.approx(1)
    assert structure(DESIGN, DESIGN, table).r == pytest.approx(1)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_rotation_scale_and_translation_do_not_matter(table, seed, scale):
    X, Y = learner(table, seed), learner(table, 7)
    random = np.random.default_rng(seed)
    moved = scale * X @ ortho_group.rvs(20, random_state=seed % 2**32) + random.normal(size=20)
    first, second = (structure(side, Y, table) for side in (X, moved))
    assert second.r == pytest.approx(first.r, abs=1e-7)
    assert second.withheld_pairs == pytest.approx(first.withheld_pairs)


def test_what_has_no_structure_is_nan_or_refused(table):
    X = learner(table, 1)
    equal = pd.DataFrame(np.eye(6), index=COLOURS)
    assert np.isnan(structure(X, equal, table).r) and np.isnan(structure(X, equal, table).r.p)
    for arguments, message in (
        ((X, X, table, "size"), "factors has no column 'size'"),
        ((X, X, table, "verb"), "no context holds 3 levels of 'verb'"),
        ((X[:9], X, table), r"inconsistent numbers of samples: \[9, 46\]"),
        ((X, DESIGN[:5], table), "X and Y have other levels of 'colour'"),
        ((X * np.nan, X, table), "Input X contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            structure(*arguments)
    with pytest.raises(KeyError, match="blue"):
        structure(X, X, table, kinds={"red": 1})
