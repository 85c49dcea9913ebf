"""The script for other machines: what `hub.load(...).embed` gives, for more models; or one line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from commands import ROOT

from paper_utils.encoders import scratch, vectors
from paper_utils.encoders.families import FAMILIES
from tests.encoders.conftest import TEXTS, copy, embed_with
from tests.encoders.test_hub import plain, without_bos

CASES = [(name, "mean") for name, family in FAMILIES.items() if family.modality == "language"]
CASES += [("llama", "last"), ("bert", "cls"), ("clip", "pooled"), ("blip", "cls")]
CASES += [("clip", "projected"), ("blip", "projected")]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "notebooks"))
    import embed_anywhere

    yield embed_anywhere
    sys.path.remove(str(ROOT / "notebooks"))


@pytest.fixture
def asked(tmp_path):
    """A CSV as spreadsheets write it, with a mark of the order of bytes."""
    table = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "second_text": TEXTS[::-1]})
    table.to_csv(tmp_path / "in.csv", index=False, encoding="utf-8-sig")
    return str(tmp_path / "in.csv")


@pytest.mark.parametrize("family, pooling", CASES)
def test_it_embeds_as_the_package_does(folders, tmp_path, script, asked, family, pooling):
    layers = [None] if pooling == "projected" else [None, 1]
    made = str(tmp_path / "out.npz")
    for layer in layers:
        words = ["--pooling", pooling, *(["--layer", str(layer)] if layer else [])]
        script.main([asked, str(folders[family]), made, *words])
        found = vectors.read(made, range(len(TEXTS)))
        if pooling == "projected":
            expected = np.stack([plain(family, pooling, folders[family], text) for text in TEXTS])
        else:
            own = "last" if pooling == "pooled" else pooling
            expected = embed_with(folders[family], pooling=own, layer=layer)
        np.testing.assert_allclose(found.rows, [expected, expected[::-1]], atol=1e-5)
        source = str(np.load(made)["source"])
        assert str(folders[family]) in source and pooling in source


def test_a_decoder_without_bos_gets_the_same_sink(folders, tmp_path, script, asked):
    folder = without_bos(copy(folders["llama"], tmp_path))
    made = str(tmp_path / "out.npz")
    script.main([asked, str(folder), made, "--layer", "1"])
    expected = embed_with(folder, layer=1)
    np.testing.assert_allclose(vectors.read(made).rows[0], expected, atol=1e-5)


def test_it_runs_alone(folders, tmp_path, asked):
    """As a command, from a folder where this package is not; its first pooling is the family's."""
    pd.read_csv(asked)[["id", "text"]].to_csv(tmp_path / "one.csv", index=False)
    script = str(ROOT / "notebooks" / "embed_anywhere.py")
    words = [script, "one.csv", str(folders["qwen"]), "out.npz", "--family", "deepseek"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"out.npz: {len(TEXTS)} instructions, 32 numbers each")
    found = vectors.read(str(tmp_path / "out.npz"))
    np.testing.assert_allclose(found.rows, [embed_with(folders["qwen"])], atol=1e-5)


def _save(folder, model, template):
    model.save_pretrained(folder)
    scratch.train_tokenizer(TEXTS, template).save_pretrained(folder)
    return folder


def test_roberta_without_a_pooler_and_the_encoder_of_t5(tmp_path, script, asked):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.RobertaConfig(
        vocab_size=60, intermediate_size=32, pad_token_id=0, max_position_embeddings=90, **sizes
    )
    roberta = transformers.RobertaForMaskedLM(config).eval()
    config = transformers.T5Config(
        vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    t5 = transformers.T5ForConditionalGeneration(config).eval()
    for name, model, encoder, template in (
        ("roberta", roberta, roberta.roberta, "[CLS] $A [SEP]"),
        ("t5", t5, t5.get_encoder(), "$A [EOS]"),
    ):
        folder = _save(tmp_path / name, model, template)
        made = str(tmp_path / f"{name}.npz")
        script.main([asked, str(folder), made])
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        expected = []
        for text in TEXTS:
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            with torch.no_grad():
                expected.append(encoder(input_ids=ids).last_hidden_state[0].mean(0).numpy())
        np.testing.assert_allclose(vectors.read(made).rows[0], expected, atol=1e-5)


def test_what_cannot_be_is_one_line_before_anything_is_embedded(
    folders, tmp_path, script, asked, monkeypatch
):
    monkeypatch.setattr(script, "load", lambda *_: pytest.fail("loaded a model"))
    text = pd.read_csv(asked).to_csv(index=False)
    (tmp_path / "utf16.csv").write_text(text, encoding="utf-16")
    (tmp_path / "other.csv").write_text("number,sentence\n1,go\n")
    (tmp_path / "words.csv").write_text("id,text\none,go\n")
    bert, clip, out = str(folders["bert"]), str(folders["clip"]), str(tmp_path / "out.npz")
    for words, reason in (
        ([asked, bert, out, "--layer", "9"], "has layers 0 to 2, not 9"),
        ([asked, bert, out, "--pooling", "last"], "is pooled by mean or cls, not last"),
        ([asked, clip, out, "--pooling", "projected", "--layer", "1"], "the last layer only"),
        ([asked, bert, str(tmp_path / "nowhere" / "out.npz")], "cannot write to a folder"),
        ([str(tmp_path / "utf16.csv"), bert, out], "cannot be read as a CSV in UTF-8"),
        ([str(tmp_path / "missing.csv"), bert, out], "cannot be read"),
        ([str(tmp_path / "other.csv"), bert, out], "no rows, or none of a column 'id'"),
        ([str(tmp_path / "words.csv"), bert, out], "ids are whole numbers"),
        ([asked, "nobody/nothing", out], "nobody/nothing cannot be used"),
    ):
        with pytest.raises(SystemExit, match=reason) as caught:
            script.main(words)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("embed_anywhere: ")


def test_it_says_where_a_mean_is_that_of_one_position(script, capsys):
    states = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 6, dtype=torch.long)
    states[:, 0] *= 1000
    # Of a decoder it is the sink, which is not pooled.
    words = script.pool(states, mask, "mean", "decoder")
    np.testing.assert_allclose(words, states[:, 1:].mean(1), atol=1e-5)
    assert capsys.readouterr().err == ""
    script.pool(states, mask, "mean", "encoder")
    (line,) = capsys.readouterr().err.splitlines()
    assert "dwarfs the others" in line and "--layer" in line
