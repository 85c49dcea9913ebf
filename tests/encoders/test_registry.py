"""Encoders are records: complete, distinct, and never taken apart."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from paper_utils import Profile
from paper_utils.data import grammar
from paper_utils.encoders import hub, lexical, registry
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.registry import EMBEDDING, Encoder, records
from paper_utils.store import Store


def everyone(profile):
    return [*registry.encoders(profile), *registry.second_name_controls(profile)]


def test_records_survive_as_plain_data_and_labels_are_distinct():
    profile = Profile.load("laptop", {"encoders.seeds": 3})
    encoders = everyone(profile)
    for encoder in encoders:
        assert Encoder(**json.loads(json.dumps(asdict(encoder)))) == encoder
        assert encoder.modality in ("action", "language", "vision-language", "lexical")
    assert len({encoder.label for encoder in encoders}) == len(encoders) == len(set(encoders))
    trained = [e for e in encoders if e.source == "scratch" and e.kind == "trained"]
    assert len(trained) == 3 * len(FAMILIES)
    assert {e.group for e in trained} == {family.label for family in FAMILIES.values()}


def test_an_encoder_embeds_by_its_own_function(folders, tmp_path):
    profile, store = Profile.load("smoke", seed=4), Store(tmp_path)
    texts = registry.texts(profile)["text"].tolist()
    revision = hub.usable(str(folders["clip"]), "clip").revision
    clip = Encoder("trained", "clip", "hub", checkpoint=str(folders["clip"]), revision=revision)
    for encoder, expected in (
        (Encoder("control", "random_tokens", "lexical"), lexical.random_tokens(texts, seed=4)),
        (clip, hub.embed(texts, folders["clip"], pooling="pooled")),
    ):
        found = store.get(EMBEDDING, profile, **records([encoder])[0])
        np.testing.assert_array_equal(found, expected)


def test_both_sets_of_names_live_in_one_space(tmp_path):
    profile, store = Profile.load("smoke"), Store(tmp_path)
    for name in ("bag_of_words", "edit_distance", "bag_of_concepts", "random_concepts"):
        kind = "told" if name in registry.TOLD else "control"
        (which,) = records([Encoder(kind, name, "lexical")], "both")
        both = store.get(EMBEDDING, profile, **which)
        first, second = both.loc["first"].to_numpy(), both.loc["second"].to_numpy()
        assert first.shape == second.shape == (439, both.shape[1])
        assert np.allclose(first, second) == (kind == "told")
    agent = Encoder("untrained", "agent", "cloning")
    with pytest.raises(ValueError, match="not an instruction that this policy knows"):
        store.get(EMBEDDING, profile, **records([agent], "both")[0])
    bilingual = Encoder("bilingual-untrained", "agent", "cloning")
    both = store.get(EMBEDDING, profile, **records([bilingual], "both")[0])
    texts = grammar.instructions(profile.data.levels)
    assert (both.loc["second"].index == texts["id"]).all()
