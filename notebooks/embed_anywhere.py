"""Embeds the instructions with any model, on any machine, and writes a file that a run can read.

It needs transformers, torch and numpy, and nothing of this project:

    python -m paper_utils texts > instructions.csv                      # here: ids and sentences
    python embed_anywhere.py instructions.csv Qwen/Qwen2.5-7B qwen.npz  # there: where the model is
    python -m paper_utils run --set encoders.vectors='{Qwen 7B: qwen.npz}'             # here again

Poolings are those of the paper's own encoders.  Decoders take the mean of all tokens but the first
(or the last token): the first position is an attention sink, a huge vector that would drown the
words, so a special token is put there if the tokenizer puts none.  The paper reads them at their
middle block: of 28 blocks, --layer 14.  BERT and its kin take the mean (or the first token), models
with an encoder and a decoder the mean over the encoder, CLIP its pooled state at EOS, BLIP its
first token; CLIP and BLIP can give the projection that is compared with pictures.  Weights are read
from safetensors only, and no code of a checkpoint is run.
"""

import argparse
import csv
import os
import re
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

POOLINGS = {
    "decoder": ("mean", "last"),
    "encoder": ("mean", "cls"),
    "encoder-decoder": ("mean",),
    "clip": ("pooled", "projected"),
    "blip": ("cls", "projected"),
}
FAMILIES = {
    "llama": "decoder",
    "qwen": "decoder",
    "deepseek": "decoder",
    "bert": "encoder",
    "clip": "clip",
    "blip": "blip",
}
CLASSES = {
    "clip": "CLIPTextModelWithProjection",
    "blip": "BlipForImageTextRetrieval",  # BlipModel would leave its text weights random
}
# Weights that may be missing, because nothing here reads them.
UNREAD = {
    "encoder": r"(^|\.)pooler\.",
    "encoder-decoder": r"(^|\.)decoder\.",
    "blip": r"^(?!text_encoder\.|text_proj\.)|^text_encoder\.pooler\.",
}
SAFELY = {"trust_remote_code": False}
DWARFED = 10  # times the norm of the other words: one position's state is then the mean


def stop(line):
    """Ends with one line."""
    raise SystemExit(f"embed_anywhere: {line}")


def reason(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def read_instructions(path):
    """Ids and sentences of a CSV, and those of its second names if it has them."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        stop(f"{path} cannot be read as a CSV in UTF-8 ({reason(error)})")
    for column in ("id", "text"):
        if not rows or any(not (row.get(column) or "").strip() for row in rows):
            stop(f"{path} has no rows, or none of a column {column!r}")
    try:
        ids = np.array([int(row["id"]) for row in rows])
    except ValueError as error:
        stop(f"{path}: ids are whole numbers ({error})")
    second = [row.get("second_text") or "" for row in rows]
    if not all(second):
        second = []
    return ids, [row["text"] for row in rows], second


def kind_of(config, family):
    """How a model is read: a key of POOLINGS."""
    if family:
        return FAMILIES[family]
    if config.model_type in CLASSES:
        return config.model_type
    if config.is_encoder_decoder:
        return "encoder-decoder"
    if type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING:
        return "encoder"
    return "decoder"


def check_choices(model, config, kind, pooling, layer):
    """Ends with one line if a model cannot be pooled so, or has no such layer."""
    if pooling not in POOLINGS[kind]:
        stop(f"{model} is pooled by {' or '.join(POOLINGS[kind])}, not {pooling}")
    if layer is None:
        return
    if pooling == "projected":
        stop("the projection reads the last layer only")
    blocks = config.get_text_config().num_hidden_layers
    if not -blocks - 1 <= layer <= blocks:
        stop(f"{model} has layers 0 to {blocks}, not {layer}")


def load(model, kind, device):
    """Tokenizer, model, and its part that reads text."""
    name = CLASSES.get(kind, "AutoModel")
    tower, report = getattr(transformers, name).from_pretrained(
        model,
        **SAFELY,
        use_safetensors=True,
        output_loading_info=True,
        dtype=torch.float32 if device == "cpu" else "auto",
    )
    # What is missing would be random numbers.
    unread = UNREAD.get(kind)
    missing = [key for key in report["missing_keys"] if not (unread and re.search(unread, key))]
    if missing:
        stop(f"{model} lacks weights of its text path: {min(missing)}")
    tower = tower.to(device).eval()
    if kind == "encoder-decoder":
        encoder = tower.get_encoder()
    else:
        encoder = getattr(
            tower, {"clip": "text_model", "blip": "text_encoder"}.get(kind, ""), tower
        )
    return transformers.AutoTokenizer.from_pretrained(model, **SAFELY), tower, encoder


def tokens_of(texts, tokenizer, kind):
    """Token ids of each text; of a decoder, the first is its attention sink."""
    tokens = tokenizer(texts, add_special_tokens=True)["input_ids"]
    if kind != "decoder":
        return tokens
    sink = tokenizer.bos_token_id
    if sink is None:
        sink = tokenizer.eos_token_id
    if sink is None:
        stop("its tokenizer has neither BOS nor EOS to put before a sentence")
    return [ids if ids[:1] == [sink] else [sink, *ids] for ids in tokens]


def pool(states, mask, pooling, kind):
    """States of tokens (B, T, D) -> vectors (B, D)."""
    if pooling == "cls":
        return states[:, 0]
    if pooling != "mean":
        return states[torch.arange(len(states)), mask.sum(1) - 1]
    words = mask.clone()
    if kind == "decoder":
        words[:, 0] = 0  # the sink
    norms = states.norm(dim=-1).masked_fill(words == 0, float("nan"))  # (B, T)
    largest = norms.nan_to_num(0).amax(1)
    if (largest / norms.nanmedian(1).values).median() > DWARFED:
        said = "one position's state dwarfs the others, so a mean is that of one token"
        print(f"embed_anywhere: {said}; read another --layer", file=sys.stderr)
    weights = words.float()[..., None]  # (B, T, 1)
    return (states * weights).sum(1) / weights.sum(1)


@torch.inference_mode()
def embed(texts, model, family=None, pooling=None, layer=None, device="cpu", batch_size=32):
    """float32[N, D], row i for ``texts[i]``, and what says how it was made."""
    config = transformers.AutoConfig.from_pretrained(model, **SAFELY)
    kind = kind_of(config, family)
    pooling = pooling or POOLINGS[kind][0]
    check_choices(model, config, kind, pooling, layer)
    tokenizer, tower, encoder = load(model, kind, device)
    tokens = tokens_of(texts, tokenizer, kind)
    # RoBERTa counts positions by what is no padding; most others only look at the mask.
    fill = next(t for t in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if t is not None)
    parts = []
    for start in range(0, len(texts), batch_size):
        rows = [torch.tensor(row) for row in tokens[start : start + batch_size]]
        # Padding on the right: positions are those of training, and the mask hides the rest.
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True, padding_value=fill).to(device)  # (B, T)
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True).to(device)
        output = encoder(
            input_ids=ids,
            attention_mask=mask,
            output_hidden_states=layer is not None,
            return_dict=True,
        )
        states = output.last_hidden_state  # (B, T, D)
        if layer is not None:
            # CLIP lists its last layer before the final norm: take it after.
            states = [*output.hidden_states[:-1], states][layer]
        read = POOLINGS[kind][0] if pooling == "projected" else pooling
        vectors = pool(states.float(), mask, read, kind)  # (B, D)
        if pooling == "projected":
            project = tower.text_projection if kind == "clip" else tower.text_proj
            vectors = project(vectors.to(tower.dtype))
        parts.append(vectors.float().cpu())
    commit = getattr(tower.config, "_commit_hash", None) or "unknown revision"
    where = "last layer" if layer is None else f"layer {layer}"
    return torch.cat(parts).numpy(), f"{model} at {commit}, {pooling}, {where}"


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instructions", help="CSV with columns id, text, and perhaps second_text")
    parser.add_argument("model", help="a Hub id, or a folder in the Hub's format")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--pooling", help="mean, last, cls, pooled or projected")
    parser.add_argument("--layer", type=int, help="0: token embeddings; the last by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args(words)
    # Whatever cannot be is said before anything is embedded.
    folder = Path(asked.out).resolve().parent
    if Path(asked.out).suffix != ".npz":
        parser.error("the file to write ends in .npz")
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        stop(f"cannot write to a folder {folder}")
    ids, texts, second = read_instructions(asked.instructions)
    try:
        vectors, source = embed(
            texts + second, asked.model, asked.family, asked.pooling, asked.layer, asked.device
        )
    except Exception as error:  # of the Hub, of a checkpoint: each library has its own
        stop(f"{asked.model} cannot be used: {reason(error)}")
    arrays = {"ids": ids, "source": np.array(source)}
    arrays |= {"vectors": vectors[: len(texts)], "texts": np.array(texts)}
    if second:
        arrays |= {"second_vectors": vectors[len(texts) :], "second_texts": np.array(second)}
    np.savez_compressed(asked.out, **arrays)
    print(f"{asked.out}: {len(texts)} instructions, {vectors.shape[1]} numbers each; {source}")


if __name__ == "__main__":
    main()
