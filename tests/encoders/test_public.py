"""The two public models, as published: what is there, and that it is what the models give."""

from __future__ import annotations

import numpy as np
import pytest
from commands import ROOT

from paper_utils import Profile
from paper_utils.data import grammar
from paper_utils.encoders import hub, public, records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.store import Store

WIDTHS = {"all-minilm-l6-v2": 384, "smollm2-135m-instruct-q4": 576}
BLOCKS = {"all-minilm-l6-v2": 6, "smollm2-135m-instruct-q4": 30}
FIXED = {"all-minilm-l6-v2": 6, "smollm2-135m-instruct-q4": 15}
AGAIN = "run tools/public.py again"
CACHE = ROOT / "runs" / "public"


@pytest.fixture(scope="module")
def asked():
    return records.texts(Profile.load("laptop"))


@pytest.fixture(params=public.MODELS)
def name(request) -> str:
    return request.param


@pytest.fixture
def published(name) -> public.Published:
    return public.load(name)


def distances(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows[::7, None] - rows[None, ::7], axis=-1).ravel()


def test_they_say_what_they_are_and_are_small(name, published):
    assert sum(public.file_of(each).stat().st_size for each in public.MODELS) <= 6 * 2**20
    about = published.about
    assert {"model", "origin", "package", "sha256", "licence", "pooling", "versions"} <= set(about)
    assert about["layer"] == FIXED[name] and about["pooling"] == "mean"
    assert len(about["sha256"]) == 64 and about["licence"] == "Apache 2.0"


def test_every_profile_s_sentences_have_their_vectors(name, published, asked):
    first = published.embed(asked["text"])
    second = published.embed(asked["second_text"])
    assert first.shape == second.shape == (len(asked), WIDTHS[name])
    assert first.dtype == np.float32 and np.isfinite(first).all()
    # A mean over a sink would be one vector, longer in shorter sentences, and nothing else.
    variances = np.linalg.svd(first - first.mean(0), compute_uv=False) ** 2
    assert variances[0] < 0.8 * variances.sum()  # .999 with a sink
    with pytest.raises(public.PublishedError, match="no published vector of 'go home'"):
        published.embed(["go home"])


def test_every_layer_on_fewer_axes_keeps_distances(name, published, asked):
    fixed = published.embed(asked["text"], layer=FIXED[name])
    full = published.embed(asked["text"])
    assert np.corrcoef(distances(fixed), distances(full))[0, 1] > 0.99
    assert published.blocks == BLOCKS[name]


def test_the_lexicon_knows_words_and_no_order(published, asked):
    texts = ["put the red ball next to the blue key", "put the blue key next to the red ball"]
    lexicon = published.lexicon([*texts, "go to the red ball"])
    np.testing.assert_allclose(lexicon[0], lexicon[1], atol=1e-4)
    assert np.abs(lexicon[0] - lexicon[2]).max() > 0.01
    subwords = published.subwords(texts)
    np.testing.assert_array_equal(subwords[0], subwords[1])
    assert subwords[0].sum() == len(texts[0].split())  # each of these is one token of both
    # In the model itself, order makes a difference.
    assert np.abs(np.subtract(*published.embed(texts))).max() > 0.01


def test_tables_are_those_of_the_grammar_and_their_rows_those_of_the_texts(name, published, asked):
    makers = {"drawn": grammar.draw_table, "swapped": grammar.swapped_table,
              "pseudo": grammar.pseudo_table}  # fmt: skip
    assert tuple(makers) == public.KINDS
    some = asked["text"].tolist()[::40]
    first = published.embed(some, layer=FIXED[name])
    for kind, make in makers.items():
        tables = published.tables(kind, some)
        assert len(tables) == 20
        for number, table in enumerate(tables):
            assert table.words == make(number), AGAIN
            assert table.vectors.shape == table.lexicon.shape[:1] + first.shape[1:]
            assert len(table.subwords) == len(some)
    # Where a table happens to say what the default table says, it is the same sentence.
    seconds = asked.set_index("text")["second_text"]
    same = 0
    for table in published.tables("drawn", asked["text"]):
        said = [grammar.rename(text, table.words) for text in asked["text"]]
        rows = np.flatnonzero(np.array(said) == seconds.to_numpy())
        same += len(rows)
        if len(rows):
            theirs = published.embed(seconds.iloc[rows], layer=FIXED[name])
            np.testing.assert_allclose(table.vectors[rows], theirs, atol=0.02 * np.ptp(theirs))
            lexicon = published.lexicon(seconds.iloc[rows])
            np.testing.assert_allclose(table.lexicon[rows], lexicon, atol=1e-5)
    assert same > 20


def test_random_weights_are_there_for_comparison(published, asked):
    draws = published.untrained(asked["text"][:50])
    assert draws.shape[:2] == (10, 50) and np.ptp(draws, axis=1).min() > 0
    assert np.abs(draws[0] - draws[1]).max() > 0.01


def test_runs_have_their_rows_and_other_sentences_are_left_out_and_named(name, tmp_path, asked):
    profile = Profile.load("smoke")
    models = {model.name: model for model in records.models(profile)}
    frame = Store(tmp_path).get(EMBEDDING, profile, **parameters(models[name], 901, "both"))
    np.testing.assert_array_equal(frame.loc["first"], public.load(name).embed(asked["text"]))
    np.testing.assert_array_equal(
        frame.loc["second"], public.load(name).embed(asked["second_text"])
    )
    for overrides in ({"data.synonyms": "other"}, {"data.demonstrations": {"ActionObjDoor": 40}}):
        other = Profile.load("smoke", overrides)
        assert not [model for model in records.models(other) if model.source == "public"]
        assert "no published vector of" in records.missing(other)[public.MODELS[name]]


def test_a_missing_or_damaged_file_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(public, "FOLDER", tmp_path)
    public.load.cache_clear()
    (name, other) = public.MODELS
    with pytest.raises(public.PublishedError, match="git checkout -- artifacts/public"):
        public.load(name)
    public.file_of(other).write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(public.PublishedError, match="cannot be read"):
        public.load(other)
    missing = records.missing(Profile.load("smoke"))
    assert set(missing) == set(public.MODELS.values())


def test_the_models_give_what_is_published(name, published, asked):
    folder = CACHE / name
    if not folder.is_dir():
        pytest.skip("the model is not here (tools/public.py fetches it)")
    texts = [*asked["text"][::40], *asked["second_text"][::40]]
    encoder = hub.load(folder, {"all-minilm-l6-v2": "bert"}.get(name, "llama"), device="cpu")
    found = encoder.embed(texts)
    expected = published.embed(texts)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
    table = published.tables("swapped", asked["text"][:40])[3]
    renamed = [grammar.rename(text, table.words) for text in asked["text"][:40]]
    rows = encoder.embed(renamed, layer=FIXED[name])
    # Both on the same axes, up to a rotation.
    assert np.corrcoef(distances(rows), distances(table.vectors))[0, 1] > 0.9
