"""Reference models learn something, the same thing each time, and are saved in the Hub's format."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import load_file

from paper_utils.encoders import hub, scratch
from paper_utils.encoders.families import FAMILIES, SPECIAL
from tests.encoders.conftest import SMALL, TEXTS, with_parts

BUDGET = {
    "llama": {"steps": 120, "batch_size": 8, "learning_rate": 6e-3},
    "bert": {"steps": 350, "batch_size": 8, "learning_rate": 6e-3},
    "clip": {"steps": 200, "batch_size": 32, "learning_rate": 0.015},
    "blip": {"steps": 200, "batch_size": 32, "learning_rate": 0.015},
}


@pytest.mark.parametrize("family", BUDGET)
def test_training_beats_the_trivial_baselines(tmp_path, corpus, family):
    report = scratch.train(family, tmp_path, *corpus, **SMALL, **BUDGET[family])
    assert report == json.loads((tmp_path / "scores.json").read_text())
    for score in report["scores"]:
        assert score["n"] >= 50
        for name, baseline in score["baselines"].items():
            if score["better"] == "lower":
                assert score["value"] < baseline, (score["name"], name)
            else:
                # A margin that luck does not reach: four standard errors of the baseline.
                luck = 4 * np.sqrt(baseline * (1 - baseline) / score["n"])
                assert score["value"] > baseline + luck, (score["name"], name)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_bytes(folders, tmp_path, corpus, family):
    scratch.train(family, tmp_path, *corpus, steps=3, batch_size=8, **SMALL)
    first = {path.name: path.read_bytes() for path in folders[family].iterdir()}
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert first == again
    assert {"config.json", "model.safetensors", "tokenizer.json", "scores.json"} <= set(first)


@pytest.mark.parametrize("family", ("llama", "clip"))
def test_a_name_is_a_label(folders, tmp_path, corpus, family):
    """Models that read whole words are the same to the bit whatever these are called: another set
    of second names cannot change a result, and cannot confirm one."""
    documents, pictures = corpus
    other = lambda texts: [re.sub(r"([a-z]+)", r"\1x", text) for text in texts]  # noqa: E731
    renamed = with_parts(
        corpus,
        {part: other(getattr(documents, part)) for part in documents._fields},
        {f"{part}_captions": other(getattr(pictures, f"{part}_captions"))
         for part in documents._fields},
    )  # fmt: skip
    scratch.train(family, tmp_path, *renamed, steps=3, batch_size=8, **SMALL)
    first, second = (load_file(at / "model.safetensors") for at in (folders[family], tmp_path))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert "ballx" in (tmp_path / "tokenizer.json").read_text()


def test_seeds_differ_and_global_randomness_is_left_alone(folders, tmp_path, corpus):
    import torch

    before = torch.random.get_rng_state()
    options = SMALL | {"seed": 2}
    scratch.train("bert", tmp_path, *corpus, steps=3, batch_size=8, **options)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.abs(hub.embed(TEXTS, tmp_path) - hub.embed(TEXTS, folders["bert"])).max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_untrained_twin_is_where_training_starts(folders, tmp_path, corpus, family):
    report = scratch.train(family, tmp_path, *corpus, steps=0, batch_size=8, **SMALL)
    assert report["steps"] == 0 and report["scores"]
    twin, trained = (folder / "tokenizer.json" for folder in (tmp_path, folders[family]))
    assert twin.read_bytes() == trained.read_bytes()
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tmp_path, folders[family])
    )
    moved = max(np.abs(after[name] - value).max() for name, value in before.items())
    assert 1e-4 < moved < 0.02  # three steps of at most 0.005: not another draw


def test_language_models_see_no_pictures(folders, tmp_path, corpus):
    dark = np.zeros_like(corpus[1].train_images)
    blind = with_parts(corpus, shown={"train_images": dark})
    scratch.train("llama", tmp_path, *blind, steps=3, batch_size=8, **SMALL)
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert weights == (folders["llama"] / "model.safetensors").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_vocabulary_for_all_and_each_family_s_special_tokens(folders, corpus, family):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folders[family])
    assert tuple(tokenizer.convert_ids_to_tokens(range(len(SPECIAL)))) == SPECIAL
    vocabulary = AutoTokenizer.from_pretrained(folders["llama"]).get_vocab()
    assert tokenizer.get_vocab() == vocabulary
    words = tokenizer.convert_ids_to_tokens(tokenizer("Go to the RED ball!")["input_ids"])
    around = {"bert": "[CLS] $A [SEP]", "blip": "[CLS] $A [SEP]", "clip": "[BOS] $A [EOS]"}
    expected = around.get(family, "[BOS] $A").replace("$A", "go to the red ball [UNK]")
    assert words == expected.split()


def test_the_rival_of_language_models_knows_how_often_each_token_is_said(folders, corpus):
    scores = json.loads((folders["llama"] / "scores.json").read_text())["scores"]
    words = [text.replace(".", " .").lower().split() + ["[EOS]"] for text in corpus[0].train]
    counts = Counter(word for row in words for word in row)
    total = sum(counts.values())
    asked = [text.lower().split() + ["[EOS]"] for text in corpus[0].validation]
    surprise = -np.mean([np.log(counts[word] / total) for row in asked for word in row[:127]])
    assert scores[0]["baselines"] == {"unigram": pytest.approx(np.exp(surprise), rel=0.01)}


def test_a_corpus_that_cannot_teach_is_refused(tmp_path, corpus):
    with pytest.raises(ValueError, match="unknown family 'gpt'"):
        scratch.train("gpt", tmp_path, *corpus)
    with pytest.raises(ValueError, match="400 images with 399 captions"):
        fewer = with_parts(corpus, shown={"train_captions": corpus[1].train_captions[:-1]})
        scratch.train("clip", tmp_path, *fewer)
    with pytest.raises(ValueError, match="fewer than 128 tokens"):
        scratch.train("llama", tmp_path, *with_parts(corpus, told={"train": ["go"]}))
