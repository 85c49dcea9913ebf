"""Embeds the instructions with any model, on any machine, and writes a file that a run can read.

It needs transformers, torch and numpy, and nothing of this project:

    python -m paper_utils texts > instructions.csv                      # here: ids and sentences
    python embed_anywhere.py instructions.csv Qwen/Qwen2.5-7B qwen.npz  # there: where the model is
    python -m paper_utils run --set encoders.vectors='{Qwen 7B: qwen.npz}'             # here again

Poolings are those of the paper's own encoders: decoders take the mean of all tokens but BOS (or the
last), BERT the mean (or the first), CLIP its pooled state at EOS, BLIP its first, and both can give
the projection that is compared with pictures.  Weights are read from safetensors only, and no code
of a checkpoint is run.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
import transformers

POOLINGS = {
    "decoder": ("mean", "last"),
    "bert": ("mean", "cls"),
    "clip": ("pooled", "projected"),
    "blip": ("cls", "projected"),
}
DECODERS = ("llama", "qwen", "deepseek")  # one class reads them all
SAFELY = {"trust_remote_code": False}
# Weights without which sentences would be read by random numbers.
TEXT_PATH = {"blip": ("text_encoder.", "text_proj.")}


def load(model, family, device):
    """Tokenizer, model, its text encoder, and the family that the model is read as."""
    config = transformers.AutoConfig.from_pretrained(model, **SAFELY)
    family = family or config.model_type
    family = family if family in POOLINGS else "decoder"
    options = {"add_pooling_layer": False} if family == "bert" else {}
    name = {
        "decoder": "AutoModel",
        "bert": "BertModel",
        "clip": "CLIPTextModelWithProjection",
        "blip": "BlipForImageTextRetrieval",  # BlipModel would leave its text weights random
    }[family]
    tower, report = getattr(transformers, name).from_pretrained(
        model, **SAFELY, **options, use_safetensors=True, output_loading_info=True,
        dtype=torch.float32 if device == "cpu" else "auto",
    )  # fmt: skip
    path = TEXT_PATH.get(family, ("",))
    missing = [key for key in report["missing_keys"] if key.startswith(path)]
    if missing:
        raise SystemExit(f"{model} lacks weights of its text path: {min(missing)}")
    tower = tower.to(device).eval()
    encoder = {"clip": "text_model", "blip": "text_encoder"}.get(family)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, **SAFELY)
    return tokenizer, tower, getattr(tower, encoder) if encoder else tower, family


def pool(states, ids, mask, pooling, bos):
    """States of tokens (B, T, D) -> vectors (B, D)."""
    if pooling == "mean":
        # One huge constant vector stands on most decoders' BOS; it would drown the words.
        weights = (mask if bos is None else mask * (ids != bos)).float()[..., None]  # (B, T, 1)
        return (states * weights).sum(1) / weights.sum(1)
    if pooling == "cls":
        return states[:, 0]
    return states[torch.arange(len(ids)), mask.sum(1) - 1]


@torch.inference_mode()
def embed(texts, model, family=None, pooling=None, layer=None, device="cpu", batch_size=32):
    """float32[N, D], row i for ``texts[i]``, and the pooling that was used."""
    tokenizer, tower, encoder, family = load(model, family, device)
    pooling = pooling or POOLINGS[family][0]
    if pooling not in POOLINGS[family]:
        raise SystemExit(f"{model} is pooled by {' or '.join(POOLINGS[family])}, not {pooling}")
    if pooling == "projected" and layer is not None:
        raise SystemExit("the projection reads the last layer only")
    fill = next(t for t in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if t is not None)
    tokens = tokenizer(texts, add_special_tokens=True)["input_ids"]
    parts = []
    for start in range(0, len(texts), batch_size):
        rows = [torch.tensor(row) for row in tokens[start : start + batch_size]]
        # Padding on the right: positions are those of training, and the mask hides the rest.
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True, padding_value=fill).to(device)  # (B, T)
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True).to(device)
        output = encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=layer is not None,
            return_dict=True,
        )  # fmt: skip
        states = output.last_hidden_state  # (B, T, D)
        if layer is not None:  # CLIP lists its last layer before the final norm: take it after
            states = [*output.hidden_states[:-1], states][layer]
        read = POOLINGS[family][0] if pooling == "projected" else pooling
        vectors = pool(states.float(), ids, mask, read, tokenizer.bos_token_id)  # (B, D)
        if pooling == "projected":
            project = tower.text_projection if family == "clip" else tower.text_proj
            vectors = project(vectors.to(tower.dtype))
        parts.append(vectors.float().cpu())
    return torch.cat(parts).numpy(), pooling, getattr(tower.config, "_commit_hash", None)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instructions", help="CSV with columns id, text, and perhaps second_text")
    parser.add_argument("model", help="a Hub id, or a folder in the Hub's format")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("--family", choices=[*DECODERS, "bert", "clip", "blip"])
    parser.add_argument("--pooling", help="mean, last, cls, pooled or projected")
    parser.add_argument("--layer", type=int, help="0: token embeddings; the last by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args(words)
    if Path(asked.out).suffix != ".npz":
        parser.error("the file to write ends in .npz")
    with open(asked.instructions, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    second = [row["second_text"] for row in rows if row.get("second_text")]
    vectors, pooling, commit = embed(
        texts + second, asked.model, asked.family, asked.pooling, asked.layer, asked.device
    )
    layer = "last layer" if asked.layer is None else f"layer {asked.layer}"
    source = f"{asked.model} at {commit or 'unknown revision'}, {pooling}, {layer}"
    arrays = {"ids": np.array([int(row["id"]) for row in rows]), "source": np.array(source)}
    arrays |= {"vectors": vectors[: len(texts)], "texts": np.array(texts)}
    if len(second) == len(texts):
        arrays |= {"second_vectors": vectors[len(texts) :], "second_texts": np.array(second)}
    np.savez_compressed(asked.out, **arrays)
    print(f"{asked.out}: {len(texts)} instructions, {vectors.shape[1]} numbers each; {source}")


if __name__ == "__main__":
    main()
