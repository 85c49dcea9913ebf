"""Encoders are records: complete, distinct, and never taken apart; each embeds by its own means."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from commands import place_of

from paper_utils import Profile
from paper_utils.cloning.agents import Condition
from paper_utils.config import ProfileError
from paper_utils.data import grammar
from paper_utils.encoders import hub, public, records, scratch
from paper_utils.encoders.embedding import EMBEDDING, UNTRAINED, parameters
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.records import Encoder, Source
from paper_utils.encoders.scratch import MODEL_SCORES
from paper_utils.store import Store
from tests.encoders.conftest import embed_with


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def embed(store, profile, encoder, world=900, **options):
    return store.get(EMBEDDING, profile, **parameters(encoder, world, **options))


def test_records_survive_as_plain_data_and_labels_are_distinct():
    profile = Profile.load("laptop")
    models = records.models(profile)
    encoders = [*records.agents(), *models, Encoder(Source.LEXICAL, "codebook")]
    for encoder in encoders:
        assert Encoder(**json.loads(json.dumps(asdict(encoder)))) == encoder
        assert encoder.modality in ("action", "language", "vision-language", "lexical")
        assert encoder.kind in ("agent", "scratch", "public", "file", "control")
    assert len({encoder.label for encoder in encoders}) == len(encoders) == len(set(encoders))
    labels = [FAMILIES[family].label for family in profile.encoders.families]
    assert [model.label for model in models] == [*labels, *public.MODELS.values()]
    assert [agent.label for agent in records.agents()] == ["acted", "never acted", "exchanged"]
    assert not any(agent.has_synonyms for agent in records.agents())


def test_a_world_s_models_are_its_own_and_are_read_at_the_fixed_layer(store):
    profile = Profile.load("smoke", {"encoders.families": ["llama"]})
    (llama, *_) = records.models(profile)
    frame = embed(store, profile, llama, names="both")
    texts = records.texts(profile)
    assert list(frame.index.names) == ["names", "id"]
    assert (frame.loc["second"].index == texts["id"]).all()
    # Block 1 of 2, as asked for by number; and first names alone are the same rows.
    middle = embed(store, profile, llama, names="both", layer=1)
    np.testing.assert_array_equal(frame, middle)
    first = embed(store, profile, llama)
    np.testing.assert_allclose(first, frame.loc["first"], atol=1e-5)
    last = embed(store, profile, llama, layer=2)
    assert np.abs(last - first).to_numpy().max() > 0.1
    other = embed(store, profile, llama, world=901)
    assert np.abs(other - first).to_numpy().max() > 0.1
    # What it scores on held-out stories, beside its rival.
    scores = store.get(MODEL_SCORES, profile, world=900)
    assert list(scores["family"]) == ["llama"] and list(scores["baseline"]) == ["unigram"]


def test_untrained_models_are_draws_of_one_s_random_weights(store):
    profile = Profile.load("smoke", {"encoders.families": ["llama"]})
    draws = store.get(UNTRAINED, profile, world=900, family="llama")
    texts = records.texts(profile)
    assert draws.shape == (profile.alignment.untrained, 2, len(texts), profile.encoders.width)
    assert draws.dtype == np.float32 and np.isfinite(draws).all()
    corpora = [
        store.get(stage, profile, **one) for stage, one in scratch.corpora(profile, 900, "llama")
    ]
    both = [*texts["text"], *texts["second_text"]]
    for draw in range(len(draws)):
        expected = scratch.untrained(profile, *corpora, "llama", 900, draw).embed(both)
        np.testing.assert_allclose(draws[draw].reshape(expected.shape), expected, atol=0.01)
    assert np.abs(draws[0] - draws[1]).max() > 0.1


def test_agents_embed_first_names_only(store):
    profile = Profile.load("smoke")
    agent = Encoder(Source.AGENT, Condition.NEVER_ACTED.value, trained=False)
    frame = embed(store, profile, agent)
    assert frame.shape == (439, profile.cloning.width) and frame.index.name == "id"
    with pytest.raises(ValueError, match="not an instruction that this policy knows"):
        embed(store, profile, agent, names="both")


def test_checkpoints_that_can_be_had_are_embedded_and_others_are_named(folders, store, tmp_path):
    mine = shutil.copytree(folders["qwen"], tmp_path / "mine")
    asked = {"deepseek": [str(mine), "nobody/nothing"], "clip": str(folders["llama"])}
    profile = Profile.load("smoke", {"encoders.checkpoints": asked})
    (*_, found) = records.models(profile)
    missing = records.missing(profile)
    assert (found.label, found.kind, found.source) == ("mine, local", "public", Source.HUB)
    assert missing.keys() == {"nothing", "llama"}
    assert "nobody/nothing: no such folder" in missing["nothing"]
    assert "is of type 'llama', not of the family 'clip'" in missing["llama"]
    assert not any("\n" in reason for reason in missing.values())
    frame = embed(store, profile, found)
    texts = records.texts(profile)["text"].tolist()
    np.testing.assert_allclose(frame, embed_with(mine, texts, layer=1), atol=1e-5)
    # The same in every world, and other files under the same name are another artifact.
    before = parameters(found, 900)
    assert before == parameters(found, 901)
    (mine / "README.txt").write_text("other\n")
    (*_, changed) = records.models(profile)
    assert place_of(store, EMBEDDING, profile, **before) != place_of(
        store, EMBEDDING, profile, **parameters(changed, 900)
    )
    with pytest.raises(hub.CheckpointError, match="has changed; run again"):
        Store(tmp_path / "again").get(EMBEDDING, profile, **before)


def test_a_strict_run_stops_at_the_first_that_is_missing(folders):
    def models(checkpoints):
        overrides = {"encoders.checkpoints": checkpoints, "encoders.strict": True}
        return records.models(Profile.load("smoke", overrides))

    with pytest.raises(hub.CheckpointError, match="nobody/nothing: no such folder"):
        models({"llama": "nobody/nothing"})
    assert models({"llama": str(folders["llama"])})


def test_profiles_name_families_and_several_checkpoints_of_one():
    loaded = Profile.load("hub")
    assert len(loaded.encoders.checkpoints["bert"]) == 2
    assert list(Profile.load("paper").encoders.checkpoints) == list(FAMILIES)
    for name, base in (("hub", "laptop"), ("paper", "release")):
        profile = Profile.load(name)
        each = [c for family in profile.encoders.checkpoints.values() for c in family]
        assert all(checkpoint.count("/") == 1 for checkpoint in each)
        assert profile.data == Profile.load(base).data
    for checkpoints, words in (
        ({"llama": ["a/x", "b/x"]}, "two checkpoints are called 'x'"),
        ({"lama": "a/x"}, "did you mean 'llama'"),
    ):
        with pytest.raises(ProfileError, match=words):
            Profile.load("smoke", {"encoders.checkpoints": checkpoints})


def test_a_file_of_vectors_is_one_more_model(store, tmp_path):
    ids = records.texts(Profile.load("smoke"))["id"].to_numpy()
    rows = np.random.default_rng(2).normal(size=(2, len(ids), 2)).astype(np.float32)
    path = tmp_path / "mine.npz"
    np.savez(path, ids=ids[::-1], vectors=rows[0, ::-1], second_vectors=rows[1, ::-1])
    profile = Profile.load("smoke", {"encoders.vectors": {"mine": str(path)}})
    (*_, encoder) = records.models(profile)
    assert (encoder.label, encoder.kind, encoder.has_synonyms) == ("mine, vectors", "file", True)
    both = embed(store, profile, encoder, names="both")
    np.testing.assert_array_equal(both.loc["first"], rows[0])
    np.testing.assert_array_equal(both.loc["second"], rows[1])
    # Without synonyms it is known, and other content is another artifact.
    np.savez(path, ids=ids, vectors=rows[0])
    (*_, other) = records.models(profile)
    assert not other.has_synonyms and other != encoder
    np.savez(path, ids=ids[1:], vectors=rows[0, 1:])
    with pytest.raises(ProfileError, match="first names: id 0 is missing"):
        records.models(profile)


def test_texts_are_what_is_embedded():
    profile = Profile.load("smoke")
    table = records.texts(profile)
    assert list(table) == ["id", "text", "second_text"] and table["id"].is_unique
    assert "go to the red ball" in set(table["text"])
    kinds = records.texts(profile.of_kinds(), "kinds")
    assert len(kinds) == len(grammar.instructions(["GoToLocal", "PickupLoc"], rooms="kinds"))


def test_what_a_model_warns_of_is_said_in_a_silent_worker(folders, store, monkeypatch):
    monkeypatch.setattr(hub, "DWARFED", 0.5)  # so that every mean is one of a sink
    profile = Profile.load("smoke", {"encoders.checkpoints": {"bert": str(folders["bert"])}})
    (*_, found) = records.models(profile)
    with pytest.warns(hub.SinkWarning, match="dwarfs the others") as caught:
        with warnings.catch_warnings(action="ignore"):
            embed(store, profile, found)
    assert str(folders["bert"]) in str(caught[0].message)
