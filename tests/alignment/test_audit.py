"""The audit says what is so of encoders that are known, and what there is to doubt."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from paper_utils import alignment
from paper_utils.alignment import controls, doubts, inputs, report

FAST = {"n_permutations": 120, "n_draws": 3, "effect": None}


def noisy(X: np.ndarray, seed: int, share: float) -> np.ndarray:
    return X + share * X.std() * np.random.default_rng(seed).normal(size=X.shape)


@pytest.fixture(scope="module")
def said(texts, synonym_texts, factors) -> dict:
    return {"texts": texts, "factors": factors, "texts2": synonym_texts}


@pytest.fixture(scope="module")
def agents(texts, synonym_texts, factors, said):
    """An encoder that knows synonyms and places, and an agent that never heard one."""
    meaning = controls.codebook(factors, 1005)
    X, X2 = noisy(meaning, 1, 0.2), noisy(meaning, 2, 0.2)
    A = noisy(controls.codebook(factors, 1006), 3, 0.2)
    return alignment.audit(X, A, X2=X2, names=("model", "agent"), **said, **FAST)


def row(audit, test, measure, direction="both") -> pd.Series:
    table = audit.table
    rows = table[(table["test"] == test) & (table["measure"] == measure)]
    return rows[rows["direction"] == direction].iloc[0]


# --- four answers ----------------------------------------------------------------------------


def test_words_explain_two_tables_of_random_tokens(texts):
    spaces = [controls.random_tokens(texts, 1000 + seed) for seed in range(2)]
    found = alignment.audit(*spaces, texts, n_permutations=100, effect=None)
    assert set(found.main["verdict"]) == {report.WORDS}
    assert report.WORDS in found.summary()
    best = row(found, "same words", "precision@15")
    assert min(best["value"], best["best_control"]) > 0.95 and best["null"] < 0.2


def test_nothing_is_shared_by_noise(texts, factors):
    X, Y = np.random.default_rng(0).normal(size=(2, 168, 40))
    found = alignment.audit(X, Y, texts, factors, **FAST)
    assert set(found.main["verdict"]) <= {report.NOTHING, report.UNTOLD}
    assert "nothing found" in found.summary()
    assert (found.main["calibrated"] < 0.1).all()


def test_in_synonyms_words_are_enough_in_an_agents_place_and_not_in_a_models(agents):
    order = row(agents, "synonyms", "order")
    assert order["verdict"] == report.WORDS_FOR_Y  # a code that knows order has it, too
    assert order["value"] > 0.9 and order["best_control"] < 0.75 and order["p"] < 0.03
    words = row(agents, "synonyms", "choice of colour")
    assert words["verdict"] == report.WORDS_FOR_Y and words["p"] < 0.01
    assert f"In synonyms, {report.WORDS_FOR_Y}" in agents.summary()


def test_in_the_synonym_test_words_may_be_enough_for_one_side(agents):
    order = row(agents, "synonyms", "order")
    assert order["words_for_Y"] > order["best_control"]  # there they need not know the synonyms
    as_good, worse = (order.replace(order["words_for_Y"], v) for v in (order["value"], 0.5))
    assert report.verdict(as_good) == report.WORDS_FOR_Y != report.verdict(worse)
    others = agents.table.query("test != 'synonyms'")["words_for_Y"]
    assert len(others) and others.isna().all()


def test_a_codebook_explains_two_codebooks(texts, factors):
    spaces = [controls.codebook(factors, 1000 + seed) for seed in range(2)]
    found = alignment.audit(*spaces, texts, factors, n_permutations=100, n_draws=5, effect=None)
    assert found.strongest("same words")["verdict"] == report.MORE_BUT_CODE
    assert report.CODE in found.summary()
    alone = alignment.audit(*spaces, factors=factors, **FAST | {"n_draws": 2})
    assert report.CODE in alone.summary() and "no texts were given" in alone.summary()


def test_what_neither_explains_is_more_than_both(texts, factors):
    own = np.random.default_rng(0).normal(size=(168, 30))  # what both know of every sentence
    found = alignment.audit(own, own @ np.linalg.qr(own.T @ own)[0], texts, factors, **FAST)
    assert found.strongest("same words")["verdict"] == report.MORE_THAN_CODE


# --- values, nulls, controls -----------------------------------------------------------------


def test_values_are_those_of_the_measures_and_controls_stand_in_either_place(texts, bags):
    X, Y = bags["ordered"], noisy(bags["bag"], 0, 0.5)
    found = alignment.audit(X, Y, texts, k=7, n_permutations=20, n_draws=2, effect=None)
    expected = {
        "precision@7": alignment.precision_at_k(X, Y, 7, n_permutations=20),
        "linear CKA": alignment.linear_cka(X, Y, n_permutations=20),
        "mutual k-NN@7": alignment.mutual_knn(X - X.mean(0), Y - Y.mean(0), 7, n_permutations=20),
        "RSA": alignment.rsa(X - X.mean(0), Y - Y.mean(0), n_permutations=20),
    }
    for measure, score in expected.items():
        got = row(found, "same words", measure)
        assert got["value"] == pytest.approx(score) and got["null"] == pytest.approx(score.null)
        assert got["p"] == score.p and got["chance"] == score.chance
    folds = KFold(5, shuffle=True, random_state=0)
    same = alignment.same_words(X, Y, 7, cv=folds).set_index(["measure", "direction"])["value"]
    for way in ("forward", "backward"):
        score = same["precision_at_k", way]
        assert row(found, "same words", "precision@7", way)["value"] == pytest.approx(score)
    made = {name: control(texts) for name, control in controls.FROM_TEXTS.items()}
    cka = {name: max(alignment.linear_cka(C, Y), alignment.linear_cka(X, C))
           for name, C in made.items() if name != "length"}  # fmt: skip
    best = row(found, "same words", "linear CKA")
    assert best["best_control"] >= max(cka.values()) - 1e-12
    assert "codebook" in found.table and found.table["codebook"].isna().all()


def test_synonyms_are_the_synonym_test(agents, factors):
    meaning = controls.codebook(factors, 1005)
    X, X2 = noisy(meaning, 1, 0.2), noisy(meaning, 2, 0.2)
    A = noisy(controls.codebook(factors, 1006), 3, 0.2)
    table = alignment.synonyms(X, X2, A, factors=factors)
    names = {"precision_at_1": "precision@1", "precision_at_k": "precision@15", "order": "order",
             "colour": "choice of colour"}  # fmt: skip
    for measure, name in names.items():
        for way in ("forward", "backward"):
            rows = table[(table["measure"] == measure) & (table["direction"] == way)]
            got = row(agents, "synonyms", name, way)
            assert got["value"] == pytest.approx(rows["value"].item())
    found = row(agents, "structure", "colour")
    expected = alignment.structure(X, A, factors)
    assert found["value"] == pytest.approx(expected.r) and found["p"] == pytest.approx(expected.r.p)


def test_a_maximum_over_layers_is_held_against_the_same_maximum():
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(2, 60, 6))
    layers = [random.normal(size=(60, 4)) for _ in range(4)]
    options = {"k": 5, "n_permutations": 60, "effect": None}
    one = alignment.audit(X, Y, **options)
    many = alignment.audit([X, *layers], Y, **options)
    stacked = alignment.audit(np.stack([X, X]), Y, **options)
    for measure in one.main["measure"]:
        single, best = (row(found, "same words", measure) for found in (one, many))
        assert best["value"] >= single["value"] and best["null"] > single["null"]
    pd.testing.assert_series_equal(stacked.table["value"], one.table["value"])
    pd.testing.assert_series_equal(stacked.table["p"], one.table["p"])
    assert "5 x 1 pairs of layers" in many.summary()
    planted = alignment.audit([layers[0], Y[:, ::-1], layers[1]], [layers[2], Y], k=5, **FAST)
    assert set(planted.main["layers"]) == {"1 ~ 1"} and planted.main["value"].min() > 0.99


def test_threads_and_repetition_change_nothing(texts, factors, bags):
    options = {"texts": texts, "n_permutations": 5, "n_draws": 2, "effect": None}
    first = alignment.audit(bags["bag"], bags["ordered"], **options)
    again = alignment.audit(bags["bag"], bags["ordered"], n_jobs=2, **options)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.to_json() == again.to_json()


# --- what to doubt ---------------------------------------------------------------------------


def test_what_to_doubt_is_said(texts, bags):
    X, Y = bags["ordered"], bags["other_ordered"]
    everything = [(np.arange(168), np.arange(168))]
    sink = X + np.outer(np.arange(168) % 7 + 1.0, np.full(48, 50.0))
    few = np.arange(0, 168, 6)
    quick = {"n_permutations": 3, "n_draws": 0, "effect": None}
    cases = {
        "tested on rows that they were fitted on": {"cv": everything},
        "no texts were given": {"texts": None},
        "one direction holds 100% of the variance of X": {"X": sink},
        "row 5 alone makes": {"X": np.where(np.arange(168)[:, None] == 5, 100.0, X) + X},
        "84 of 168 rows of Y repeat an earlier row": {"Y": np.repeat(Y[::2], 2, axis=0)},
        "some texts are the same": {"texts": [*texts[:-1], texts[0]]},
        "by chance alone precision is 0.54": {"X": X[few], "Y": Y[few], "texts": None},
    }
    for sentence, change in cases.items():
        given = {"X": X, "Y": Y, "texts": texts} | change | quick
        assert sentence in alignment.audit(**given).summary(), sentence
    fine = alignment.audit(X, Y, texts, n_permutations=3, n_draws=0)
    assert fine.summary().endswith("of r = 0.3, 100% are told from pairs at random).")


def test_of_too_many_rows_a_sample_is_audited_and_the_rest_is_told(texts, factors, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_ROWS", 200)  # sentences, half of them synonyms
    spaces = [controls.codebook(factors, seed) for seed in range(2)]
    options = {"X2": spaces[0], "texts2": texts, "groups": np.arange(168) // 2}
    found = alignment.audit(*spaces, texts, factors, **options, **FAST | {"n_draws": 1})
    assert (found.table["n"] == 100).all()
    assert "68 rows were left out, at random: 100 were audited" in found.summary()
    given = inputs.read_inputs(*spaces, texts, factors, spaces[0], texts2=texts)
    kept = [texts.index(text) for text in given.texts]
    assert kept == sorted(set(kept)) and given.synonym_texts == given.texts
    np.testing.assert_array_equal(given.second[0], spaces[1][kept])
    np.testing.assert_array_equal(given.factors, factors.astype(str).iloc[kept])


def test_power_grows_with_rows_and_with_the_effect():
    assert doubts.simulated_power(30, 20, effect=0.1) < 0.4
    assert doubts.simulated_power(150, 20, effect=0.5) > 0.9
    assert doubts.simulated_power(100_000, 20) == 1
    small = doubts.about_size(30, 1, 0.2, 0.1)
    assert small == [
        "N = 30 has little power: a shared signal of r = 0.1 would be found in 20% of samples"
    ]


# --- what comes back, and files --------------------------------------------------------------


def test_what_comes_back(agents):
    columns = {"test", "measure", "direction", "value", "chance", "null", "p", "calibrated",
               "best_control", "control", "words_for_Y", "control_for_Y", "codebook", "n", "layers",
               "verdict"}  # fmt: skip
    assert set(agents.table) == columns
    assert list(agents.table["test"].unique()) == ["same words", "synonyms", "structure"]
    assert not agents.table.duplicated(["test", "measure", "direction"]).any()
    summary = agents.summary()
    assert summary.startswith("Between model and agent, held-out precision@15 is 1.00")
    assert str(agents) == summary and len(summary.splitlines()) == 5
    # A figure of one test says how its strongest measure lies beside the best control.
    (axes,) = agents.plot("synonyms").axes
    assert len(axes.get_yticks()) == len(agents.main.query("test == 'synonyms'"))
    assert re.match("model and agent, synonyms: .*, controls at most ", axes.get_title("left"))
    with pytest.raises(ValueError, match="this audit has no test 'other'"):
        agents.plot("other")
    read = json.loads(agents.to_json())
    assert read["summary"] == summary and len(read["table"]) == len(agents.table)
    assert "<table" in agents._repr_html_() and "best control" in agents._repr_html_()


def test_the_figure_has_the_papers_colours_and_no_empty_legend(agents, bags):
    from paper_utils.figures.style import COLOURS

    figure = agents.plot()
    axes = figure.axes[0]
    assert len(axes.get_yticks()) == len(agents.main)
    drawn = {line.get_label(): line.get_color() for line in axes.lines}
    assert drawn["codebook"] == COLOURS["codebook"] and set(drawn.values()) <= {*COLOURS.values()}
    alone = alignment.audit(bags["bag"], bags["ordered"], n_permutations=3, effect=None).plot()
    told = [text.get_text() for text in alone.legends[0].texts]
    assert told == ["at random", "the two encoders"]


@pytest.fixture
def files(tmp_path, bags, texts, factors, synonym_texts):
    ids = np.arange(168) + 7
    first, second = tmp_path / "one.npz", tmp_path / "two<b>.npz"
    vectors = bags["bag"].astype(np.float32)
    said = {"texts": np.array(texts), "second_texts": np.array(synonym_texts)}
    np.savez(first, ids=ids, vectors=vectors, second_vectors=vectors, **said)
    np.savez(second, ids=ids, vectors=np.stack([bags["ordered"]] * 2), source=np.array("made up"))
    table = factors.assign(id=ids, text=texts, second_text=synonym_texts)
    table.to_csv(tmp_path / "texts.csv", index=False, encoding="utf-8-sig")
    return first, second, tmp_path / "texts.csv"


def test_files_are_audited_and_a_page_is_written(files, tmp_path):
    options = {"n_permutations": 3, "n_draws": 1, "effect": None}
    found = alignment.audit_files(*files, tmp_path / "out", **options)
    assert found.names == ("one", "two<b>") and "synonyms" in set(found.table["test"])
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"audit.json", "figure.pdf", "figure.png", "index.html", "table.csv"}
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "two&lt;b&gt;" in page and "<b>" not in page and "precision@15" in page
    read = pd.read_csv(tmp_path / "out" / "table.csv", keep_default_na=False)
    assert list(read["verdict"]) == list(found.table["verdict"])
    alignment.audit_files(*files, tmp_path / "again", **options)
    for name in written:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    without = alignment.audit(files[0], files[1], **options)  # its own texts and synonyms
    assert "no texts" not in without.summary() and "synonyms" in set(without.table["test"])


def test_bad_input_is_one_line(files, tmp_path, bags, texts, factors):
    X, Y = bags["bag"], bags["ordered"]
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 no archive")
    np.savez(tmp_path / "other.npz", numbers=X)
    np.savez(tmp_path / "short.npz", vectors=X, ids=np.arange(5))
    np.savez(tmp_path / "shifted.npz", vectors=X, ids=np.arange(168))
    for arguments, message in (
        ({"X": broken}, "broken.npz cannot be read as .npz"),
        ({"X": tmp_path / "other.npz"}, "other.npz has no array 'vectors'"),
        ({"X": tmp_path / "short.npz"}, "imply"),
        (
            {"X": tmp_path / "shifted.npz", "Y": files[1]},
            "Y, layer 0 is misordered: its ids differ",
        ),
        ({"X": X[:50]}, r"inconsistent numbers of samples: \[50, 168\]"),
        ({"texts": texts[:9]}, "inconsistent numbers of samples"),
        ({"factors": factors[:9]}, "inconsistent numbers of samples"),
        ({"X2": X[:9]}, "inconsistent numbers of samples"),
        ({"X2": [X, X]}, "X has 1 layers and X2 has 2"),
        ({"X": X * np.nan}, "Input X contains NaN"),
        ({"k": 0}, "k must be an integer from 1"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            alignment.audit(**({"X": X, "Y": Y, "n_permutations": 1} | arguments))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="nowhere.npz"):
        alignment.audit("nowhere.npz", Y)
    (tmp_path / "wrong.csv").write_text("sentence\ngo\n")
    with pytest.raises(ValueError, match="wrong.csv has no column 'text'"):
        alignment.audit_files(*files[:2], tmp_path / "wrong.csv", tmp_path / "out")
