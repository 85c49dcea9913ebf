"""Embeds texts with any checkpoint in the Hub's format, by its text path alone, and by weights that
it really holds: safetensors, never pickles, never code from the checkpoint."""

import json
import os
import re
from collections import namedtuple
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from paper_utils import parallel
from paper_utils.code import ROOT
from paper_utils.encoders.families import FAMILIES, Family
from paper_utils.store import files_of, hash_json

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BUFFERS = r"position_ids$|rotary_emb\.inv_freq$"  # constants that old checkpoints store
LOCAL = "local"
LARGE = 8 * 2**30  # bytes of weights above which a model on CPU keeps its own precision
Snapshot = namedtuple("Snapshot", "folder revision")
"""A checkpoint on disk: its folder, and the commit it is (``"local"`` for a local folder)."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message is one line that names it and the remedy."""


def embed(texts: list[str], checkpoint: str | os.PathLike[str], family: str | None = None,
          pooling: str | None = None, layer: int | None = None, batch_size: int = 64,
          device: str = "auto", dtype: str = "auto") -> np.ndarray:  # fmt: skip
    """N texts -> float32[N, D]; a row does not depend on its neighbours.

    ``checkpoint``: a folder, a Hub id (``HF_TOKEN`` opens gated ones) or ``id@revision``, a branch,
    tag or commit; ``family``: a key of FAMILIES, None as config.json says; ``pooling``: decoders
    ``mean`` (of all tokens but BOS) or ``last``; BERT ``mean`` or ``cls``; CLIP ``pooled`` (state
    at EOS), BLIP ``cls``, both ``projected``; None: the first; ``layer``: 0 (token embeddings) to L
    (final norm included), or from -1 back, None for the output; ``dtype`` auto: float32 on CPU
    (below 8 GiB), else the checkpoint's own.  Raises CheckpointError: missing, gated, unreachable,
    damaged, of another kind; ValueError: wrong arguments or texts; RuntimeError: no such device."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    if isinstance(texts, str) or batch_size < 1:
        raise ValueError("embed takes a list of texts, and a batch_size of at least 1")
    texts = checked(texts)
    for name, value, known in (("family", family, FAMILIES), ("dtype", dtype, PRECISIONS)):
        if value is not None and value not in known:
            raise ValueError(f"unknown {name} {value!r}: known are {', '.join(known)}")
    folder = resolve(checkpoint).folder
    with _one_line(checkpoint):
        spec = _check(folder, family)
    pooling = pooling or spec.poolings[0]
    if pooling not in spec.poolings:
        raise ValueError(f"{spec.label} is pooled by {' or '.join(spec.poolings)}, not {pooling!r}")
    projected = pooling == "projected"
    if projected and layer is not None:
        raise ValueError("the projection reads the last layer only")
    device = parallel.device(device)
    with _one_line(checkpoint):
        tokenizer, tower = _load(folder, spec, dtype, device)
    encoder = getattr(tower, spec.encoder) if spec.encoder else tower
    with quiet():
        tokens = tokenizer(texts, add_special_tokens=True, truncation=False)["input_ids"]
    context = getattr(encoder.config, "max_position_embeddings", None)
    known = encoder.get_input_embeddings().num_embeddings
    for row, ids in enumerate(tokens):
        if context and len(ids) > context:
            raise ValueError(f"text {row} has {len(ids)} tokens; {checkpoint} reads {context}")
        if not set(ids) - {tokenizer.bos_token_id}:
            raise ValueError(f"text {row} has no tokens for {checkpoint}: {texts[row]!r}")
        if max(ids) >= known:
            problem = f"do not belong together (token {max(ids)} of {known})"
            raise CheckpointError(f"checkpoint {checkpoint}: tokenizer and weights {problem}")
    order = sorted(range(len(texts)), key=lambda row: -len(tokens[row]))  # largest batch first
    options = {"use_cache": False} if hasattr(encoder.config, "use_cache") else {}
    options |= {"output_hidden_states": layer is not None, "return_dict": True}
    parts = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = [torch.tensor(tokens[row]) for row in order[start : start + batch_size]]
            # Padding on the right leaves absolute positions as they were in training, and the mask
            # hides what it is made of: zeros do, whatever a tokenizer's padding token is.
            ids = pad_sequence(rows, True).to(device)  # (B, T)
            mask = pad_sequence([torch.ones_like(row) for row in rows], True).to(device)
            output = encoder(input_ids=ids, attention_mask=mask, **options)
            # CLIP lists its last layer before the final norm, other models after it.
            layers = [*(output.hidden_states or ())[:-1], output.last_hidden_state]
            if layer is not None and not -len(layers) <= layer < len(layers):
                raise ValueError(f"layer {layer} is not among 0 to {len(layers) - 1}")
            states = layers[-1 if layer is None else layer].float()  # (B, T, D)
            read = spec.poolings[0] if projected else pooling
            vectors = _pooled(states, ids, mask, read, tokenizer.bos_token_id)  # (B, D)
            if projected:
                vectors = getattr(tower, spec.projection)(vectors.to(tower.dtype))
            parts.append(vectors.float().cpu())
    embeddings = torch.cat(parts)[np.argsort(order)].numpy()
    if not np.isfinite(embeddings).all():
        raise CheckpointError(f"checkpoint {checkpoint}: gives embeddings that are not finite")
    return embeddings


def checked(texts: list[str]) -> list[str]:
    """The texts as a list, or ValueError for one that is empty or no string."""
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text {row} is empty or not a string: {text!r}")
    if not len(texts):
        raise ValueError("no texts to embed")
    return list(texts)


def usable(checkpoint: str, family: str) -> Snapshot:
    """A checkpoint (folder, Hub id or ``id@revision``), found or fetched, and checked unloaded; the
    revision of a folder hashes its files.  Raises CheckpointError, also if of another family."""
    folder, revision = resolve(checkpoint)
    with _one_line(checkpoint):
        _check(folder, family)
    if revision == LOCAL:
        revision = f"{LOCAL}-{hash_json(files_of(folder))[:16]}"
    return Snapshot(folder, revision)


def is_folder(checkpoint: str | os.PathLike[str]) -> Path | None:
    """A checkpoint's folder: as it is given, from the working folder, else from the project's."""
    return next((f for f in (Path(checkpoint), ROOT / checkpoint) if f.is_dir()), None)


def resolve(checkpoint: str | os.PathLike[str]) -> Snapshot:
    """Finds a checkpoint on disk, or fetches it from the Hub; CheckpointError if neither works."""
    name, _, revision = str(checkpoint).partition("@")
    if folder := is_folder(checkpoint):
        return Snapshot(folder, LOCAL)
    if is_folder(name):
        raise CheckpointError(f"checkpoint {checkpoint}: {name}, a folder, has no revisions")
    if not HUB_ID.fullmatch(name):
        raise CheckpointError(f"checkpoint {checkpoint}: no such folder")
    from huggingface_hub import errors, snapshot_download

    try:
        with quiet():
            path = Path(snapshot_download(name, revision=revision or None, allow_patterns=FILES,
                                          ignore_patterns=["*/*"]))  # fmt: skip
        return Snapshot(path, path.name)
    except errors.GatedRepoError:
        reason = f"gated: accept its terms at https://huggingface.co/{name}, then set HF_TOKEN and"
    except errors.RevisionNotFoundError:
        reason = f"has no revision {revision!r}; list them on https://huggingface.co/{name}, then"
    except errors.RepositoryNotFoundError:
        reason = "no such folder, and not on the Hub (or private: set HF_TOKEN); check with"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        reason = "no such folder, not in the cache, and the Hub cannot be reached; once it can"
    except (OSError, ValueError, errors.HfHubHTTPError) as error:
        reason = f"cannot be fetched ({_line(error)}); try"
    version = f" --revision {revision}" if revision else ""
    raise CheckpointError(f"checkpoint {name}: {reason}: hf download {name}{version}")


def _check(folder: Path, family: str | None) -> Family:
    """The family that a checkpoint is read as, or CheckpointError: the first thing amiss."""
    if not (folder / "config.json").is_file():
        raise CheckpointError("has no config.json")
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    found = next((spec for spec in FAMILIES.values() if kind in spec.model_types), None)
    spec = FAMILIES[family] if family else found
    if spec is None:
        raise CheckpointError(f"is of unknown type {kind!r}; name the family to read it as")
    # Decoders share a class: DeepSeek's distilled models, for one, are of Qwen's or LLaMA's type.
    if found and found.tower != spec.tower:
        raise CheckpointError(f"is of type {kind!r}, not of the family {family!r}")
    index = folder / "model.safetensors.index.json"
    parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index.is_file() else {}
    for part in sorted(set(parts.values())):
        if not (folder / part).is_file():
            raise CheckpointError(f"lacks its part {part}; fetch it again")
    if not list(folder.glob("*.safetensors")):
        remedy = "name a revision that has them, or save it again with save_pretrained"
        raise CheckpointError(f"has no safetensors weights (pickled ones are refused); {remedy}")
    # Without a vocabulary the library would make an empty one and read every word as unknown.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise CheckpointError("has no tokenizer")
    return spec


def _load(folder: Path, spec: Family, dtype: str, device: str) -> tuple:
    """Tokenizer and model, refusing any doubt about which weights make the embeddings."""
    import torch
    import transformers

    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    dtype = "float32" if (dtype, device) == ("auto", "cpu") and size <= LARGE else dtype
    safely = {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safely)
        # Weights of another shape are reported, and refused below, in one line instead of many.
        tower, report = getattr(transformers, spec.tower).from_pretrained(
            folder, dtype=getattr(torch, dtype, dtype), use_safetensors=True, **safely,
            **spec.options, ignore_mismatched_sizes=True, output_loading_info=True)  # fmt: skip
    known = re.compile(f"{spec.unused}|{BUFFERS}")
    for problem, keys in {
        "holds weights of another shape": [key for key, *_ in report["mismatched_keys"]],
        "lacks weights of the text path, which would be random": [
            key for key in report["missing_keys"] if re.search(spec.text_path, key)],
        "holds weights that the model does not use": [
            key for key in report["unexpected_keys"] if not known.search(key)],
    }.items():  # fmt: skip
        if keys:
            raise CheckpointError(f"{problem}: {min(keys)} ({len(keys)} in all)")
    return tokenizer, tower.to(device).eval()


def _pooled(states, ids, mask, pooling: str, bos: int | None):
    """Token states (B, T, D) -> vectors (B, D)."""
    if pooling == "cls":
        return states[:, 0]
    if pooling != "mean":  # a decoder's last word; the EOS with which CLIP ends every text
        return states[range(len(ids)), mask.sum(1) - 1]
    # Most decoders put one huge constant vector on BOS, which would drown the words.  Qwen's
    # tokenizers have no BOS: there the first word stays in.
    words = mask if bos is None else mask * (ids != bos)
    weights = words.float()[..., None]  # (B, T, 1)
    return (states * weights).sum(1) / weights.sum(1)


@contextmanager
def _one_line(checkpoint) -> Iterator[None]:
    """Turns whatever a damaged checkpoint provokes in the libraries into one line."""
    try:
        yield
    except Exception as error:  # every parser and validator has its own
        known = isinstance(error, CheckpointError)
        line = str(error) if known else f"cannot be loaded: {_line(error)}"
        raise CheckpointError(f"checkpoint {checkpoint}: {line}") from None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from the libraries, here only."""
    from transformers.utils import logging

    with ExitStack() as undo:
        undo.callback(logging.set_verbosity, logging.get_verbosity())
        if logging.is_progress_bar_enabled():
            undo.callback(logging.enable_progress_bar)
        logging.set_verbosity_error()
        logging.disable_progress_bar()  # and those of downloads
        yield
