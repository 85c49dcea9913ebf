"""Embeddings of checkpoints in the Hub's format: the right vectors, or one line saying why not."""

from __future__ import annotations

import json
import shutil
import socket
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from paper_utils.encoders import hub
from paper_utils.encoders.families import FAMILIES
from tests.encoders.conftest import TEXTS, change_weights, copy, edit, embed_with

CASES = [(name, family.pooling) for name, family in FAMILIES.items()]
CASES += [("llama", "last"), ("bert", "cls")]
DECODERS = [name for name, family in FAMILIES.items() if family.is_decoder]
SINK = 5  # the id of [BOS] in tokenizers trained here


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
def test_equals_a_plain_forward_in_the_order_given(folders, family, pooling, monkeypatch):
    monkeypatch.setattr(hub, "BATCH", 3)
    found = embed_with(folders[family], pooling=pooling)
    expected = [plain(family, pooling, folders[family], text) for text in TEXTS[:3]]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3  # texts are told apart
    # A row does not depend on its batch or its neighbours.
    monkeypatch.undo()
    other = embed_with(folders[family], TEXTS[::-1], pooling=pooling)
    np.testing.assert_allclose(other[::-1], found, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_on_request(folders, family):
    encoder = hub.load(folders[family], family)
    layers = [encoder.embed(TEXTS, layer=number) for number in range(3)]
    np.testing.assert_array_equal(layers[1], embed_with(folders[family], layer=1))
    np.testing.assert_array_equal(layers[2], embed_with(folders[family]))
    # In memory, the one that is compared unless another is asked for.
    fixed = 1 if FAMILIES[family].is_decoder else 2
    np.testing.assert_array_equal(layers[fixed], encoder.embed(TEXTS))
    with pytest.raises(IndexError):
        encoder.embed(TEXTS, layer=3)


# The sink ---------------------------------------------------------------------------------------


def without_bos(folder):
    """A checkpoint whose tokenizer puts no special token in front, and names no BOS."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    edit(folder / "tokenizer_config.json", lambda config: config.pop("bos_token"))
    return folder


def plant_sink(encoder):
    """Has a decoder do what large ones learn: after block 0, whatever it reads first has one huge
    direction."""

    def add(module, inputs, states):
        states = states.clone()
        states[:, 0, 0] += 1e4
        return states

    encoder.tower.layers[0].register_forward_hook(add)
    return encoder


@pytest.mark.parametrize("names_bos", (True, False))
def test_a_decoder_without_bos_gets_a_sink_that_is_never_pooled(folders, tmp_path, names_bos):
    folder = without_bos(copy(folders["llama"], tmp_path))
    if names_bos:
        edit(folder / "tokenizer_config.json", lambda config: config.update(bos_token="[BOS]"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    sink = SINK if names_bos else tokenizer.eos_token_id
    assert sink not in tokenizer(TEXTS[0])["input_ids"]
    encoder = plant_sink(hub.load(folder, "llama"))
    assert all(ids[0] == sink and sink not in ids[1:] for ids in encoder.tokens(TEXTS))
    # By hand: the sink, then the words; the mean of the words.
    found = encoder.embed(TEXTS, layer=1)
    for row, text in enumerate(TEXTS):
        ids = torch.tensor([[sink, *tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            states = encoder.tower(ids, output_hidden_states=True).hidden_states[1][0]
        assert states[0].norm() > 100 * states[1:].norm(dim=-1).max()
        np.testing.assert_allclose(found[row], states[1:].mean(0), atol=1e-4)
    # Where BOS is there already, nothing is added.
    if names_bos:
        np.testing.assert_allclose(embed_with(folder), embed_with(folders["llama"]), atol=1e-6)


def test_a_decoder_with_nothing_to_put_before_the_first_word_is_refused(folders, tmp_path):
    folder = without_bos(copy(folders["llama"], tmp_path))
    edit(folder / "tokenizer_config.json", lambda config: config.update(eos_token=None))
    with pytest.raises(hub.CheckpointError, match="neither BOS nor EOS") as caught:
        embed_with(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_one_position_that_dwarfs_the_others_is_said_in_one_line(folders, tmp_path):
    """As it was before: the first word is the sink, and a mean over words is that vector."""
    encoder = plant_sink(hub.load(folders["llama"], "llama"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.embed(TEXTS, layer=1)
    encoder.family = SimpleNamespace(is_decoder=False, encoder="", pooling="mean")
    with pytest.warns(hub.SinkWarning, match="dwarfs the others.*read another layer") as caught:
        encoder.embed(TEXTS, layer=1)
    assert "\n" not in str(caught[0].message)


# Which weights ----------------------------------------------------------------------------------


def test_blip_reads_with_the_text_weights_of_the_checkpoint(folders, tmp_path):
    folder = copy(folders["blip"], tmp_path)
    change_weights(folder, lambda w: w["text_encoder.encoder.layer.0.output.dense.weight"].mul_(2))
    before, after = (embed_with(path) for path in (folders["blip"], folder))
    assert np.abs(before - after).max() > 1e-3
    # Vision weights that are missing do not matter.
    change_weights(folder, lambda weights: weights.pop("vision_proj.bias"))
    np.testing.assert_array_equal(embed_with(folder), after)


@pytest.mark.parametrize(
    "family, key",
    [
        ("llama", "model.layers.1.mlp.up_proj.weight"),
        ("bert", "bert.encoder.layer.0.output.dense.weight"),
        ("clip", "text_projection.weight"),
        ("blip", "text_encoder.embeddings.word_embeddings.weight"),
    ],
)
def test_weights_missing_from_the_text_path_are_refused(folders, tmp_path, family, key):
    folder = copy(folders[family], tmp_path)
    change_weights(folder, lambda weights: weights.pop(key))
    with pytest.raises(hub.CheckpointError, match="lacks weights of the text path"):
        embed_with(folder)


def test_a_decoder_wrapped_in_a_larger_model_is_refused(folders, tmp_path):
    """Its weights are called language_model.*: the decoder of this type would be random."""
    folder = copy(folders["llama"], tmp_path)
    weights = load_file(folder / "model.safetensors")
    wrapped = {f"language_model.{key}": value for key, value in weights.items()}
    save_file(wrapped, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(hub.CheckpointError, match="lacks weights of the text path.*random") as e:
        embed_with(folder)
    assert "\n" not in str(e.value)


# What real checkpoints look like ---------------------------------------------------------------


def test_weights_in_parts(folders, tmp_path):
    folder = copy(folders["llama"], tmp_path)
    (folder / "model.safetensors").unlink()
    model = transformers.LlamaForCausalLM.from_pretrained(folders["llama"])
    model.save_pretrained(folder, max_shard_size="20KB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1 and (folder / "model.safetensors.index.json").is_file()
    np.testing.assert_array_equal(embed_with(folder), embed_with(folders["llama"]))
    parts[1].unlink()
    with pytest.raises(hub.CheckpointError, match="cannot be read"):
        embed_with(folder)


def test_half_precision_on_disk(folders, tmp_path):
    expected = embed_with(folders["bert"])
    folder = copy(folders["bert"], tmp_path)
    whole = transformers.BertForMaskedLM.from_pretrained(folder)
    whole.to(torch.bfloat16).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    # On CPU in float32, from rounded weights.
    found = embed_with(folder)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_what_public_folders_hold_beside(folders, tmp_path):
    """Tied embeddings, as in Qwen's small models; constants of old checkpoints; no padding token;
    a folder of sentence-transformers, which is BertModel without a prefix."""
    expected = embed_with(folders["qwen"])
    folder = copy(folders["qwen"], tmp_path / "qwen")
    change_weights(folder, lambda w: w.pop("lm_head.weight"), tie_word_embeddings=True)
    stored = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    change_weights(folder, lambda weights: weights.update(stored))
    edit(folder / "tokenizer_config.json", lambda config: config.pop("pad_token"))
    np.testing.assert_allclose(embed_with(folder), expected, atol=1e-5)
    # A distilled model may carry another family's name.
    found = embed_with(folders["qwen"], family="deepseek")
    np.testing.assert_array_equal(found, expected)

    folder = copy(folders["bert"], tmp_path / "bert")
    transformers.BertModel.from_pretrained(folder).save_pretrained(folder)  # random pooler
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "modules.json").write_text("[]")
    np.testing.assert_array_equal(embed_with(folder), embed_with(folders["bert"]))


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


@pytest.mark.parametrize("adds_bos", (True, False))
@pytest.mark.parametrize("make", (_byte_level, _sentencepiece))
def test_other_tokenizers_with_and_without_bos(tmp_path, make, adds_bos):
    tokenizer = make(TEXTS * 20)
    if adds_bos:
        first = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", first)]
        )
    special = {"eos_token": "</s>"} | ({"bos_token": "<s>"} if adds_bos else {})
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
    sink = fast.bos_token_id if adds_bos else fast.eos_token_id
    expected = []
    with torch.no_grad():
        for text in TEXTS:
            ids = fast(text, add_special_tokens=False)["input_ids"]
            states = model.model(torch.tensor([[sink, *ids]])).last_hidden_state[0]
            expected.append(states[1:].mean(0).numpy())
    found = embed_with(tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Refusals ---------------------------------------------------------------------------------------


def _truncate(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _pickle_only(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


DAMAGE = {
    "lacks its config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config is cut": (lambda f: (f / "config.json").write_text('{"model'), "cannot be read"),
    "config is no object": (lambda f: (f / "config.json").write_text("[]"), "cannot be read"),
    "weights are cut": (_truncate, "cannot be read: SafetensorError"),
    "weights are pickled": (_pickle_only, "pickled ones are refused"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "wrong shapes": (
        lambda f: edit(f / "config.json", lambda c: c.update(intermediate_size=96)),
        "cannot be read",
    ),
    "not a number": (
        lambda f: change_weights(
            f, lambda w: w["bert.embeddings.LayerNorm.bias"].fill_(float("nan"))
        ),
        "not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_one_line(folders, tmp_path, damage):
    spoil, reason = DAMAGE[damage]
    folder = copy(folders["bert"], tmp_path)
    spoil(folder)
    with pytest.raises(hub.CheckpointError, match=reason) as caught:
        embed_with(folder, family="bert")
    assert str(caught.value).count(str(folder)) == 1 and "\n" not in str(caught.value)


def test_remote_code_is_not_run(folders, tmp_path):
    folder = copy(folders["bert"], tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    evil = {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil"}}
    edit(folder / "config.json", lambda config: config.update(evil))
    with pytest.raises(hub.CheckpointError, match="cannot be read"):
        embed_with(folder, family="llama")


def test_a_text_that_is_too_long_is_refused(folders):
    with pytest.raises(ValueError, match="reads 128"):
        embed_with(folders["bert"], ["ball " * 200])


def test_the_family_asked_for_must_be_the_checkpoint_s(folders):
    with pytest.raises(hub.CheckpointError, match="is of type 'clip', not of the family 'bert'"):
        embed_with(folders["clip"], family="bert")


def test_loading_is_quiet_and_leaves_settings_alone(folders, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    embed_with(folders["blip"])
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


# The Hub ----------------------------------------------------------------------------------------


@pytest.fixture
def online(monkeypatch):
    """The library believes that there is a network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    answers = hub._hub_answers
    answers.cache_clear()
    yield
    answers.cache_clear()


@pytest.mark.parametrize(
    "error, words",
    [
        ("GatedRepoError", "some-model: gated.*HF_TOKEN"),
        ("RepositoryNotFoundError", "not on the Hub"),
        ("RevisionNotFoundError", "no such revision"),
        ("LocalEntryNotFoundError", "cannot be reached.*hf download"),
    ],
)
def test_what_cannot_be_fetched_is_named_with_its_reason(monkeypatch, error, words):
    import huggingface_hub
    from huggingface_hub import errors

    def fail(*_, **__):
        kind = getattr(errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(hub.CheckpointError, match=words) as caught:
        embed_with("someone/some-model", family="bert")
    assert "\n" not in str(caught.value)


def test_a_proxy_that_never_answers_costs_seconds_and_is_said(monkeypatch, online, capfd):
    """Connections are taken, and nothing is ever sent back."""
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        started = time.monotonic()
        for name in ("someone/one", "someone/two"):
            with pytest.raises(hub.CheckpointError, match=f"{name}.*Hub cannot be reached"):
                hub.usable(name, "bert")
        assert time.monotonic() - started < 15
        silent.settimeout(1)
        silent.accept()[0].close()  # it was asked
    # One line, and for the second nobody is asked.
    assert capfd.readouterr().err == "asking the Hub for checkpoints\n"


def test_a_commit_in_the_cache_asks_nobody(folders, tmp_path, monkeypatch, online):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "models--someone--bert"
    shutil.copytree(folders["bert"], stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "_hub_answers", lambda: pytest.fail("asked"))
    assert hub.usable(f"someone/bert@{commit}", "bert")[1] == commit
    monkeypatch.setattr(hub, "_hub_answers", lambda: False)
    # A branch has to be asked for; offline, the cache says what it was.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.usable("someone/bert", "bert")[1] == commit
    found = embed_with("someone/bert", family="bert")
    np.testing.assert_array_equal(found, embed_with(folders["bert"]))
