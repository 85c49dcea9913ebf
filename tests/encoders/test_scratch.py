"""Reference models learn something, the same thing each time, and are saved in the Hub's format."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import load_file

from paper_utils.encoders import scratch
from paper_utils.encoders.families import FAMILIES, SPECIAL
from tests.encoders.conftest import embed_with, settings, with_parts

BUDGET = {
    "llama": {"steps": 120, "learning_rate": 6e-3},
    "bert": {"steps": 350, "learning_rate": 6e-3},
    "clip": {"steps": 200, "batch_size": 32, "learning_rate": 0.015},
    "blip": {"steps": 200, "batch_size": 32, "learning_rate": 0.015},
}


@pytest.mark.parametrize("family", BUDGET)
def test_training_beats_the_trivial_baselines(tmp_path, corpus, family):
    report = scratch.train(family, tmp_path, *corpus, settings(**BUDGET[family]), seed=1)
    assert report == json.loads((tmp_path / "scores.json").read_text())
    for score in report["scores"]:
        assert score["n"] >= 50
        baseline = score["baseline value"]
        if score["better"] == "lower":
            assert score["value"] < baseline, score
        else:
            # A margin that luck does not reach: four standard errors of the baseline.
            luck = 4 * np.sqrt(baseline * (1 - baseline) / score["n"])
            assert score["value"] > baseline + luck, score


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_bytes(folders, tmp_path, corpus, family):
    scratch.train(family, tmp_path, *corpus, settings(), seed=1)
    first = {path.name: path.read_bytes() for path in folders[family].iterdir()}
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert first == again
    assert {"config.json", "model.safetensors", "tokenizer.json", "scores.json"} <= set(first)


@pytest.mark.parametrize("family", ("llama", "clip"))
def test_a_name_is_a_label(folders, tmp_path, corpus, family):
    """Models that read whole words are the same to the bit whatever these are called: another set
    of synonyms cannot change a result, and cannot confirm one."""

    def other(texts):
        return [re.sub(r"([a-z]+)", r"\1x", text) for text in texts]

    documents, pictures = corpus
    renamed = with_parts(
        corpus,
        {part: other(getattr(documents, part)) for part in ("train", "validation")},
        {
            part: other(getattr(pictures, part))
            for part in ("train_captions", "validation_captions")
        },
    )
    scratch.train(family, tmp_path, *renamed, settings(), seed=1)
    first = load_file(folders[family] / "model.safetensors")
    second = load_file(tmp_path / "model.safetensors")
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert "ballx" in (tmp_path / "tokenizer.json").read_text()


def test_seeds_differ_and_global_randomness_is_left_alone(folders, tmp_path, corpus):
    import torch

    before = torch.random.get_rng_state()
    scratch.train("bert", tmp_path, *corpus, settings(), seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.abs(embed_with(tmp_path) - embed_with(folders["bert"])).max() > 0.1


def test_training_starts_at_the_random_weights_of_its_seed(folders, tmp_path, corpus):
    report = scratch.train("llama", tmp_path, *corpus, settings(steps=0), seed=1)
    assert report["steps"] == 0 and report["scores"]
    before = load_file(tmp_path / "model.safetensors")
    after = load_file(folders["llama"] / "model.safetensors")
    moved = max(np.abs(after[name] - value).max() for name, value in before.items())
    assert 1e-4 < moved < 0.02  # three steps of at most 0.005: not another draw


def test_language_models_see_no_pictures(folders, tmp_path, corpus):
    dark = np.zeros_like(corpus[1].train_images)
    blind = with_parts(corpus, shown={"train_images": dark})
    scratch.train("llama", tmp_path, *blind, settings(), seed=1)
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert weights == (folders["llama"] / "model.safetensors").read_bytes()


def test_one_vocabulary_for_all_and_each_family_s_special_tokens(folders):
    from transformers import AutoTokenizer

    around = {"bert": "[CLS] $A [SEP]", "blip": "[CLS] $A [SEP]", "clip": "[BOS] $A [EOS]"}
    vocabulary = AutoTokenizer.from_pretrained(folders["llama"]).get_vocab()
    for family, folder in folders.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tuple(tokenizer.convert_ids_to_tokens(range(len(SPECIAL)))) == SPECIAL
        assert tokenizer.get_vocab() == vocabulary
        words = tokenizer.convert_ids_to_tokens(tokenizer("Go to the RED ball!")["input_ids"])
        expected = around.get(family, "[BOS] $A").replace("$A", "go to the red ball [UNK]")
        assert words == expected.split()


def test_the_rival_of_language_models_knows_how_often_each_token_is_said(folders, corpus):
    scores = json.loads((folders["llama"] / "scores.json").read_text())["scores"]
    words = [text.replace(".", " .").lower().split() + ["[EOS]"] for text in corpus[0].train]
    counts = Counter(word for row in words for word in row)
    total = sum(counts.values())
    asked = [text.lower().split() + ["[EOS]"] for text in corpus[0].validation]
    surprise = -np.mean([np.log(counts[word] / total) for row in asked for word in row[:127]])
    assert scores[0]["baseline"] == "unigram"
    assert scores[0]["baseline value"] == pytest.approx(np.exp(surprise), rel=0.01)


def test_what_a_masked_model_is_shown_and_asked(folders, corpus):
    import torch
    from transformers import AutoTokenizer

    from paper_utils.encoders import objectives

    tokenizer = AutoTokenizer.from_pretrained(folders["bert"])
    task = objectives.MaskedToken(*corpus, tokenizer, batch_size=8)
    random = np.random.default_rng(0)
    rows = torch.cat([task.batch(random)[:, :32] for _ in range(40)])
    shown, asked = task.hide(rows, random)
    wanted = asked != objectives.IGNORED
    assert not (wanted & (rows < len(SPECIAL))).any()
    assert torch.equal(asked[wanted], rows[wanted]) and torch.equal(shown[~wanted], rows[~wanted])
    share = wanted[rows >= len(SPECIAL)].float().mean()
    hidden = (shown[wanted] == tokenizer.mask_token_id).float().mean()
    kept = (shown[wanted] == rows[wanted]).float().mean()
    assert abs(share - 0.3) < 0.02 and abs(hidden - 0.8) < 0.02 and 0.08 < kept < 0.14
