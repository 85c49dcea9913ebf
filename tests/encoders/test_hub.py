"""Embeddings of checkpoints in the Hub's format: the right vectors, or one line saying why not."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from paper_utils.encoders import hub
from paper_utils.encoders.families import FAMILIES
from tests.encoders.conftest import TEXTS

CASES = [(name, pooling) for name, family in FAMILIES.items() for pooling in family.poolings]


def plain(family: str, pooling: str, folder, text: str) -> np.ndarray:
    """One sentence through the whole model as its documentation says: no padding, no batch."""
    model = getattr(transformers, FAMILIES[family].model).from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    inputs = dict(tokenizer(text, return_tensors="pt"))
    with torch.no_grad():
        if family == "clip":
            if pooling == "projected":
                return model.get_text_features(**inputs).pooler_output[0].numpy()
            return model.text_model(**inputs).pooler_output[0].numpy()
        if family == "blip":
            state = model.text_encoder(**inputs).last_hidden_state[0, 0]
            return (model.text_proj(state) if pooling == "projected" else state).numpy()
        states = model(**inputs, output_hidden_states=True).hidden_states[-1][0]
    if family == "bert":
        return (states.mean(0) if pooling == "mean" else states[0]).numpy()
    return (states[1:].mean(0) if pooling == "mean" else states[-1]).numpy()


@pytest.mark.parametrize("family, pooling", CASES)
def test_equals_a_plain_forward_in_the_order_given(folders, family, pooling):
    found = hub.embed(TEXTS, folders[family], pooling=pooling, batch_size=3)
    expected = [plain(family, pooling, folders[family], text) for text in TEXTS]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3  # texts are told apart


@pytest.mark.parametrize("family", FAMILIES)
def test_does_not_depend_on_batch_or_neighbours(folders, family):
    whole = hub.embed(TEXTS, folders[family])
    np.testing.assert_allclose(hub.embed(TEXTS, folders[family], batch_size=1), whole, atol=1e-5)
    np.testing.assert_allclose(hub.embed(TEXTS[::-1], folders[family])[::-1], whole, atol=1e-5)
    np.testing.assert_allclose(hub.embed(TEXTS[:1], folders[family])[0], whole[0], atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_on_request(folders, family):
    layers = [hub.embed(TEXTS, folders[family], layer=n) for n in range(3)]
    assert {layer.shape for layer in layers} == {(len(TEXTS), 32)}
    np.testing.assert_allclose(layers[-1], hub.embed(TEXTS, folders[family]), atol=1e-6)
    np.testing.assert_array_equal(layers[1], hub.embed(TEXTS, folders[family], layer=-2))
    with pytest.raises(ValueError, match="not among 0 to 2"):
        hub.embed(TEXTS, folders[family], layer=3)


@pytest.mark.parametrize("family", ("llama", "qwen", "deepseek"))
def test_the_mean_leaves_out_bos(folders, tmp_path, family):
    """Whatever stands on BOS at layer 0, the mean over words does not feel it."""
    folder = _copy(folders[family], tmp_path)
    _change(folder, lambda w: w["model.embed_tokens.weight"][5].fill_(1e3))
    before = hub.embed(TEXTS, folders[family], layer=0)
    np.testing.assert_array_equal(hub.embed(TEXTS, folder, layer=0), before)


def test_blip_reads_with_the_text_weights_of_the_checkpoint(folders, tmp_path):
    folder = _copy(folders["blip"], tmp_path)
    _change(folder, lambda w: w["text_encoder.encoder.layer.0.output.dense.weight"].mul_(2))
    before, after = (hub.embed(TEXTS, path) for path in (folders["blip"], folder))
    assert np.abs(before - after).max() > 1e-3
    # The decoy: this class would read the same folder with random text weights.
    tower = transformers.BlipForImageTextRetrieval.from_pretrained(folder).text_encoder
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        inputs = tokenizer(TEXTS[:1], return_tensors="pt")
        state = tower(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state[:, 0]
    np.testing.assert_allclose(after[:1], state.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "family, key",
    [
        ("llama", "model.layers.1.mlp.up_proj.weight"),
        ("qwen", "model.embed_tokens.weight"),
        ("deepseek", "model.layers.0.self_attn.q_b_proj.weight"),
        ("bert", "bert.encoder.layer.0.output.dense.weight"),
        ("clip", "text_model.final_layer_norm.weight"),
        ("clip", "text_projection.weight"),
        ("blip", "text_encoder.embeddings.word_embeddings.weight"),
        ("blip", "text_proj.bias"),
    ],
)
def test_weights_missing_from_the_text_path_are_refused(folders, tmp_path, family, key):
    folder = _copy(folders[family], tmp_path)
    _change(folder, lambda weights: weights.pop(key))
    with pytest.raises(hub.CheckpointError, match="lacks weights of the text path"):
        hub.embed(TEXTS, folder)


def test_missing_vision_weights_do_not_matter(folders, tmp_path):
    folder = _copy(folders["blip"], tmp_path)
    _change(folder, lambda weights: weights.pop("vision_proj.bias"))
    np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["blip"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_would_go_unused_are_refused(folders, tmp_path, family):
    folder = _copy(folders[family], tmp_path)
    stray = {"clip": "text_model.encoder.layers.2.x", "blip": "text_encoder.layer.2.x"}
    key = stray.get(family, "model.layers.2.x")
    _change(folder, lambda weights: weights.update({key: torch.zeros(1)}))
    with pytest.raises(hub.CheckpointError, match="does not use"):
        hub.embed(TEXTS, folder)


def test_a_missing_padding_token_does_not_matter(folders, tmp_path):
    folder = _copy(folders["llama"], tmp_path)
    _edit(folder / "tokenizer_config.json", lambda config: config.pop("pad_token"))
    np.testing.assert_allclose(
        hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["llama"]), atol=1e-5
    )


def test_reads_a_folder_of_sentence_transformers(folders, tmp_path):
    """Such a folder holds BertModel, without a prefix and with extra files beside."""
    folder = _copy(folders["bert"], tmp_path)
    transformers.BertModel.from_pretrained(folder).save_pretrained(folder)  # random pooler
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "modules.json").write_text("[]")
    np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["bert"]))


def test_a_distilled_model_may_carry_another_family_s_name(folders):
    np.testing.assert_array_equal(
        hub.embed(TEXTS, folders["qwen"], family="deepseek"), hub.embed(TEXTS, folders["qwen"])
    )


# What real checkpoints look like ---------------------------------------------------------------


def test_weights_in_parts(folders, tmp_path):
    folder = _copy(folders["llama"], tmp_path)
    (folder / "model.safetensors").unlink()
    model = transformers.LlamaForCausalLM.from_pretrained(folders["llama"])
    model.save_pretrained(folder, max_shard_size="20KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1 and (folder / "model.safetensors.index.json").is_file()
    np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["llama"]))
    parts[1].unlink()
    with pytest.raises(hub.CheckpointError, match=f"lacks its part {parts[1].name}"):
        hub.usable(str(folder), "llama")


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_stored_in_bfloat16(folders, tmp_path, family):
    folder = _copy(folders[family], tmp_path)
    whole = getattr(transformers, FAMILIES[family].model).from_pretrained(folder)
    whole.to(torch.bfloat16).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    found = hub.embed(TEXTS, folder)  # on CPU in float32, from rounded weights
    np.testing.assert_allclose(found, hub.embed(TEXTS, folders[family]), atol=0.1)


def test_tied_and_untied_word_embeddings(folders, tmp_path):
    assert "lm_head.weight" in load_file(folders["qwen"] / "model.safetensors")  # untied
    folder = _copy(folders["qwen"], tmp_path)  # and tied, as in Qwen's small models
    _change(folder, lambda w: w.pop("lm_head.weight"), tie_word_embeddings=True)
    np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["qwen"]))


def _byte_level(texts):
    """As Qwen's and LLaMA 3's: bytes, merges, spaces kept in the words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _sentencepiece(texts):
    """As LLaMA 2's: pieces of words, with a mark for the space before."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.mark.parametrize("bos", (True, False))
@pytest.mark.parametrize("make", (_byte_level, _sentencepiece))
def test_other_tokenizers_with_and_without_bos_and_none_for_padding(tmp_path, make, bos):
    tokenizer = make(TEXTS * 20)
    if bos:
        first = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", first)]
        )
    special = {"eos_token": "</s>"} | ({"bos_token": "<s>"} if bos else {})
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    assert fast.pad_token is None
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=256,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    fast.save_pretrained(tmp_path)
    expected = []
    with torch.no_grad():
        for text in TEXTS:
            inputs = {"input_ids": fast(text, return_tensors="pt")["input_ids"]}
            states = model.model(**inputs).last_hidden_state[0]
            assert (inputs["input_ids"][0, 0].item() == fast.bos_token_id) == bos
            expected.append(states[int(bos) :].mean(0).numpy())
    found = hub.embed(TEXTS, tmp_path, batch_size=3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_constants_that_old_checkpoints_store_are_passed_over(folders, tmp_path):
    """CLIP's and BERT's position ids, LLaMA's rotary frequencies."""
    stored = {
        "clip": ("text_model.embeddings.position_ids", torch.arange(128)[None]),
        "bert": ("bert.embeddings.position_ids", torch.arange(128)[None]),
        "llama": ("model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(4)),
    }
    for family, (key, value) in stored.items():
        folder = _copy(folders[family], tmp_path / family)
        _change(folder, lambda weights, key=key, value=value: weights.update({key: value}))
        np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders[family]))


def test_blip_s_text_is_read_beside_vision_weights_that_nothing_knows(folders, tmp_path):
    folder = _copy(folders["blip"], tmp_path)
    _change(folder, lambda weights: weights.update({"vision_model.extra.weight": torch.ones(2)}))
    np.testing.assert_array_equal(hub.embed(TEXTS, folder), hub.embed(TEXTS, folders["blip"]))


def test_a_decoder_wrapped_in_a_larger_model_is_refused(folders, tmp_path):
    """Its weights are called language_model.*: the decoder of this type would be random."""
    folder = _copy(folders["llama"], tmp_path)
    weights = load_file(folder / "model.safetensors")
    wrapped = {f"language_model.{key}": value for key, value in weights.items()}
    save_file(wrapped, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(hub.CheckpointError, match="lacks weights of the text path.*random") as e:
        hub.embed(TEXTS, folder)
    assert "\n" not in str(e.value)


def test_half_precision_stays_close(folders):
    half = hub.embed(TEXTS, folders["bert"], dtype="bfloat16")
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, hub.embed(TEXTS, folders["bert"]), atol=0.1)


def _truncate(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _pickle_only(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


DAMAGE = {
    "lacks its config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config is cut": (lambda f: (f / "config.json").write_text('{"model'), "cannot be loaded"),
    "config is no object": (lambda f: (f / "config.json").write_text("[]"), "cannot be loaded"),
    "unknown type": (
        lambda f: _edit(f / "config.json", lambda c: c.update(model_type="x")), "unknown type 'x'",
    ),
    "weights are cut": (_truncate, "cannot be loaded: SafetensorError"),
    "weights are pickled": (_pickle_only, "pickled ones are refused"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "wrong shapes": (
        lambda f: _edit(f / "config.json", lambda c: c.update(intermediate_size=96)),
        "another shape",
    ),
    "another tokenizer": (
        lambda f: _change(
            f, lambda w: w.update({k: v[:9].clone() for k, v in w.items() if "word_emb" in k}),
            vocab_size=9,
        ),
        "another shape|do not belong together",
    ),
    "not a number": (
        lambda f: _change(f, lambda w: w["bert.embeddings.LayerNorm.bias"].fill_(float("nan"))),
        "not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_one_line(folders, tmp_path, damage):
    spoil, reason = DAMAGE[damage]
    folder = _copy(folders["bert"], tmp_path)
    spoil(folder)
    with pytest.raises(hub.CheckpointError, match=reason) as caught:
        hub.embed(TEXTS, folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_remote_code_is_not_run(folders, tmp_path):
    folder = _copy(folders["bert"], tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    _edit(
        folder / "config.json",
        lambda c: c.update(model_type="evil", auto_map={"AutoModel": "evil.Evil"}),
    )
    with pytest.raises(hub.CheckpointError, match="cannot be loaded"):
        hub.embed(TEXTS, folder, family="llama")


@pytest.mark.parametrize(
    "error, words",
    [
        ("GatedRepoError", "gated.*HF_TOKEN"),
        ("RepositoryNotFoundError", "not on the Hub"),
        ("RevisionNotFoundError", "no revision"),
        ("LocalEntryNotFoundError", "cannot be reached"),
    ],
)
def test_what_cannot_be_fetched_is_named_with_its_command(monkeypatch, error, words):
    import huggingface_hub
    from huggingface_hub import errors

    def fail(*_, **__):
        kind = getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(hub.CheckpointError, match=words) as caught:
        hub.embed(TEXTS, "someone/some-model")
    assert str(caught.value).endswith("hf download someone/some-model")
    assert "\n" not in str(caught.value)


def test_offline_the_cache_serves(folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "models--someone--bert"
    shutil.copytree(folders["bert"], stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.resolve("someone/bert").revision == commit
    np.testing.assert_array_equal(
        hub.embed(TEXTS, "someone/bert"), hub.embed(TEXTS, folders["bert"])
    )


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"texts": []}, "no texts"),
        ({"texts": ["go", " "]}, "text 1 is empty"),
        ({"texts": "go to the red ball"}, "list of texts"),
        ({"texts": ["ball " * 200]}, "reads 128"),
        ({"family": "gpt"}, "unknown family"),
        ({"pooling": "last"}, "mean or cls, not 'last'"),
        ({"batch_size": 0}, "batch_size"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"pooling": "projected", "checkpoint": "clip", "layer": 1}, "last layer only"),
    ],
)
def test_wrong_arguments(folders, options, reason):
    with pytest.raises(ValueError, match=reason):
        values = {"texts": TEXTS, "checkpoint": "bert"} | options
        hub.embed(**values | {"checkpoint": folders[values["checkpoint"]]})


def test_a_folder_does_not_pass_for_a_revision(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders["bert"], tmp_path / "someone" / "bert")
    assert hub.resolve("someone/bert").revision == hub.LOCAL
    with pytest.raises(hub.CheckpointError, match="someone/bert, a folder, has no revisions"):
        hub.resolve("someone/bert@main")


def test_the_family_asked_for_must_be_the_checkpoint_s(folders):
    with pytest.raises(hub.CheckpointError, match="is of type 'clip', not of the family 'bert'"):
        hub.embed(TEXTS, folders["clip"], family="bert")


def test_loading_is_quiet_and_leaves_settings_alone(folders, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub.embed(TEXTS, folders["blip"])
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def _copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "checkpoint")


def _change(folder, change, **config):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _edit(folder / "config.json", lambda values: values.update(config))


def _edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
