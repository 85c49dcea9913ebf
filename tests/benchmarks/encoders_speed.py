"""Speed of ``hub``, beside ``sentence-transformers`` and on a model of a billion parameters.

    python tests/benchmarks/encoders_speed.py            # a BERT of MiniLM's size, both in one run
    python tests/benchmarks/encoders_speed.py --billion  # LLaMA's shape, random weights, 5 GB RAM

Weights are random, which costs the same as trained ones, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from paper_utils.encoders import hub, scratch
from paper_utils.encoders.families import FAMILIES

SENTENCES = 2000


def sentences() -> list[str]:
    """Instructions of 4 to 30 words, in random order of length."""
    random = np.random.default_rng(0)
    words = "go to the red green ball box key and put next then pick up open door left".split()
    return [" ".join(random.choice(words, random.integers(4, 31))) for _ in range(SENTENCES)]


def checkpoint(folder: Path, model: torch.nn.Module, texts: list[str], family: str) -> Path:
    scratch.train_tokenizer(texts, FAMILIES[family].template).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def versus_sentence_transformers(folder: Path) -> None:
    try:
        from sentence_transformers import SentenceTransformer, models
    except ImportError:
        print("not measured: it needs pip install sentence-transformers")
        return
    from transformers import BertConfig, BertModel

    texts = sentences()
    config = BertConfig(
        vocab_size=1000, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536,
    )  # fmt: skip
    checkpoint(folder, BertModel(config), texts, "bert")
    transformer = models.Transformer(str(folder))
    pooling = models.Pooling(384, pooling_mode="mean")
    other = SentenceTransformer(modules=[transformer, pooling], device="cpu")

    def theirs() -> np.ndarray:
        return other.encode(texts, batch_size=64, show_progress_bar=False)

    def ours() -> np.ndarray:  # loads the model anew each time; theirs is already in memory
        return hub.load(folder, "bert", device="cpu").embed(texts)

    ours(), theirs()
    rates: dict[str, list[float]] = {"ours": [], "sentence-transformers": []}
    for _ in range(5):  # interleaved, so that both meet the same machine
        for name, function in (("ours", ours), ("sentence-transformers", theirs)):
            start = time.perf_counter()
            function()
            rates[name].append(SENTENCES / (time.perf_counter() - start))
    np.testing.assert_allclose(ours(), theirs(), atol=1e-4)
    for name, rate in rates.items():
        print(f"{name:24s} {np.median(rate):8.0f} sentences/s (median of 5)")


def billion(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(  # the shape of Llama 3.2 1B
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=True, pad_token_id=0,
    )  # fmt: skip
    texts = sentences()[:256]
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = model.to_empty(device="cpu").to(torch.bfloat16)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.tie_weights()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e9:.2f} billion parameters")
    checkpoint(folder, model, texts, "llama")
    del model
    start = time.perf_counter()
    hub.load(folder, "llama", device="cpu").embed(texts[:1])
    loading = time.perf_counter() - start
    start = time.perf_counter()
    hub.load(folder, "llama", device="cpu").embed(texts)
    rate = len(texts) / (time.perf_counter() - start - loading)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"loads in {loading:.1f} s, {rate:.1f} sentences/s, peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--billion", action="store_true", help="a 1-billion-parameter model")
    chosen = billion if parser.parse_args().billion else versus_sentence_transformers
    with tempfile.TemporaryDirectory() as temporary:
        chosen(Path(temporary))
