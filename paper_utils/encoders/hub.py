"""Embeds texts with any checkpoint in the Hub's format, by its text path alone, and by weights that
it really holds: safetensors, never pickles, never code from the checkpoint.

The sink.  A decoder makes the first position that it reads an *attention sink*: its state is a
huge constant vector (in SmolLM2-135M, block 15, of norm 25,683 where words have 150 to 180), and a
mean over it is that vector.  So the first position is never pooled; and where a tokenizer puts no
special token there (Qwen's and SmolLM2's do not), one is put there, or the first *word* would be
the sink."""

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paper_utils import parallel
from paper_utils.code import ROOT
from paper_utils.encoders.families import FAMILIES, Family
from paper_utils.store import files_of, hash_json

# What the Hub calls a repository; anything else can only be a folder.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Files that are fetched: settings, vocabularies, weights.
FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BUFFERS = r"position_ids$|rotary_emb\.inv_freq$"  # constants that old checkpoints store
LOCAL = "local"
FIXED = "fixed"  # as a layer
LARGE = 8 * 2**30  # bytes of weights above which a model on CPU keeps its own precision
PATIENCE = 10.0  # seconds for the Hub's answer; behind a proxy that is silent there is none
SILENCE = 60.0  # seconds for which a Hub that did not answer is not asked again
DWARFED = 10.0  # times the norm of the others: one position's state is then the mean


class Snapshot(NamedTuple):
    """A checkpoint on disk."""

    folder: Path
    revision: str  # the commit that it is; LOCAL, or LOCAL and a hash, of a local folder


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message is one line that names it and the remedy."""


class SinkWarning(UserWarning):
    """A mean over words that is, for the most part, one position's state."""


def embed(
    texts: list[str],
    checkpoint: str | os.PathLike[str],
    family: str | None = None,
    pooling: str | None = None,
    layer: int | str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    dtype: str = "auto",
) -> np.ndarray:
    """N texts -> float32[N, D]; a row does not depend on its neighbours.

    Arguments:
        texts: sentences, none of them empty.
        checkpoint: a folder, a Hub id (``HF_TOKEN`` opens gated ones), or ``id@revision`` with a
            branch, tag or commit.
        family: a key of FAMILIES; None: what config.json says.
        pooling: of decoders ``mean`` (of all tokens but the first, see above) or ``last``; of BERT
            ``mean`` or ``cls``; of CLIP ``pooled`` (state at EOS), of BLIP ``cls``, of both
            ``projected``.  None: the first of these.
        layer: 0 (token embeddings) to L (final norm included), or from -1 back; None: the output;
            FIXED: the one that is compared (`Family.fixed_layer`).
        device: auto, cpu, cuda or mps.
        dtype: auto is float32 on CPU (below 8 GiB of weights), else the checkpoint's own.

    Raises:
        CheckpointError: missing, gated, unreachable, damaged, or of another kind.
        ValueError: wrong arguments or texts.
        RuntimeError: no such device.

    Warns (SinkWarning, one line) where one position's state dwarfs those that it is averaged with.
    """
    # A string is a list of letters to what follows.
    if isinstance(texts, str) or batch_size < 1:
        raise ValueError("embed takes a list of texts, and a batch_size of at least 1")
    texts = checked(texts)
    encoder = load(checkpoint, family, device, dtype)
    encoder.batch_size = batch_size
    return encoder.embed(texts, pooling, layer)


def load(
    checkpoint: str | os.PathLike[str],
    family: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> "TextEncoder":
    """A checkpoint in memory, to embed with more than once; arguments and errors as of `embed`."""
    for name, value, known in (("family", family, FAMILIES), ("dtype", dtype, PRECISIONS)):
        if value is not None and value not in known:
            raise ValueError(f"unknown {name} {value!r}: known are {', '.join(known)}")
    folder = resolve(checkpoint).folder
    device = parallel.device(device)
    with _one_line(checkpoint):
        spec = _check(folder, family)
        tokenizer, tower = _load(folder, spec, dtype, device)
    return TextEncoder(str(checkpoint), spec, tokenizer, tower, device)


def checked(texts: list[str]) -> list[str]:
    """The texts as a list, or ValueError for one that is empty or no string."""
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text {row} is empty or not a string: {text!r}")
    if not len(texts):
        raise ValueError("no texts to embed")
    return list(texts)


@dataclass
class TextEncoder:
    """A model in memory that turns sentences into vectors."""

    name: str  # for messages
    family: Family
    tokenizer: Any
    tower: Any  # the module that the family's ``encoder`` and ``projection`` are attributes of
    device: str = "cpu"
    batch_size: int = 64

    def embed(
        self, texts: list[str], pooling: str | None = None, layer: int | str | None = None
    ) -> np.ndarray:
        """N texts -> float32[N, D], as `embed` of this module."""
        family = self.family
        pooling = pooling or family.poolings[0]
        if pooling not in family.poolings:
            known = " or ".join(family.poolings)
            raise ValueError(f"{family.label} is pooled by {known}, not {pooling!r}")
        if pooling == "projected" and layer is not None:
            raise ValueError("the projection reads the last layer only")
        if layer == FIXED:
            layer = family.fixed_layer(self.blocks)
        elif isinstance(layer, str):
            raise ValueError(f"a layer is a number or {FIXED!r}, not {layer!r}")
        return self._collect(texts, pooling, [layer])[0]

    def every_layer(self, texts: list[str]) -> np.ndarray:
        """N texts -> float32[L + 1, N, D], from token embeddings to the last layer, in one go."""
        layers = list(range(self.blocks + 1))
        return np.stack(self._collect(texts, self.family.poolings[0], layers))

    @property
    def blocks(self) -> int:
        """L, the number of transformer blocks that read text."""
        return self._encoder.config.num_hidden_layers

    @property
    def _encoder(self):
        """The module with the hidden states of the text."""
        return getattr(self.tower, self.family.encoder) if self.family.encoder else self.tower

    def _collect(self, texts: list[str], pooling: str, layers: list[int | None]) -> list:
        """The vectors of each layer, float32[N, D] each."""
        import torch

        tokens = self.tokens(texts)
        # The longest first, so that what does not fit into memory fails at once.
        order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
        parts: list[list] = [[] for _ in layers]
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                rows = [tokens[row] for row in order[start : start + self.batch_size]]
                ids, mask = _padded(rows, self.device)
                states = self._states(ids, mask, layers)
                for part, state in zip(parts, states):
                    vectors = self._pool(state, mask, pooling)
                    part.append(vectors.float().cpu())
        # From the order of lengths back to that of the texts.
        back = np.argsort(order)
        found = [torch.cat(part).numpy()[back] for part in parts]
        if not all(np.isfinite(vectors).all() for vectors in found):
            raise CheckpointError(f"checkpoint {self.name}: gives embeddings that are not finite")
        return found

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, special ones included; of decoders, the first is the sink."""
        with quiet():
            tokens = self.tokenizer(texts, add_special_tokens=True, truncation=False)["input_ids"]
        fewest = 1
        if self.family.is_decoder:
            fewest = 2  # the sink, and a word
            with _one_line(self.name):
                tokens = [with_sink(ids, self.tokenizer) for ids in tokens]
        # What is cut off would be read as another sentence.
        context = getattr(self._encoder.config, "max_position_embeddings", None)
        known = self._encoder.get_input_embeddings().num_embeddings
        for row, ids in enumerate(tokens):
            if context and len(ids) > context:
                raise ValueError(f"text {row} has {len(ids)} tokens; {self.name} reads {context}")
            if len(ids) < fewest:
                raise ValueError(f"text {row} has no tokens for {self.name}: {texts[row]!r}")
            if max(ids) >= known:
                problem = f"do not belong together (token {max(ids)} of {known})"
                raise CheckpointError(f"checkpoint {self.name}: tokenizer and weights {problem}")
        return tokens

    def _states(self, ids, mask, layers: list[int | None]) -> Iterator:
        """States of the tokens at each layer, float32[B, T, D] each."""
        encoder = self._encoder
        options = {"return_dict": True, "output_hidden_states": layers != [None]}
        # A cache is for writing on; here each text is read once.
        if hasattr(encoder.config, "use_cache"):
            options["use_cache"] = False
        output = encoder(input_ids=ids, attention_mask=mask, **options)
        # CLIP lists its last layer before the final norm, other models after it.
        found = [*(output.hidden_states or ())[:-1], output.last_hidden_state]
        for layer in layers:
            if layer is not None and not -len(found) <= layer < len(found):
                raise ValueError(f"layer {layer} is not among 0 to {len(found) - 1}")
            yield found[-1 if layer is None else layer].float()

    def _pool(self, states, mask, pooling: str):
        """Token states (B, T, D) -> vectors (B, D)."""
        if pooling == "projected":
            vectors = self._pool(states, mask, self.family.poolings[0])
            project = getattr(self.tower, self.family.projection)
            return project(vectors.to(self.tower.dtype))
        if pooling == "cls":
            return states[:, 0]
        if pooling != "mean":
            # A decoder's last word; the EOS with which CLIP ends every text.
            last = mask.sum(1) - 1
            return states[range(len(states)), last]
        words = mask.clone()
        if self.family.is_decoder:
            words[:, 0] = 0  # the sink
        if _dominance(states, words) > DWARFED:
            said = "one position's state dwarfs the others, so a mean is that of one token"
            warnings.warn(
                f"checkpoint {self.name}: {said}; read another layer", SinkWarning, stacklevel=2
            )
        weights = words.float()[..., None]  # (B, T, 1)
        return (states * weights).sum(1) / weights.sum(1)


def with_sink(ids: list[int], tokenizer) -> list[int]:
    """A decoder's tokens with a special one in front, which is to be its attention sink: BOS if
    the tokenizer has one, else EOS.

    >>> from types import SimpleNamespace
    >>> with_sink([7, 8], SimpleNamespace(bos_token_id=None, eos_token_id=2))
    [2, 7, 8]
    >>> with_sink([1, 7, 8], SimpleNamespace(bos_token_id=1, eos_token_id=2))
    [1, 7, 8]
    """
    sink = tokenizer.bos_token_id
    if sink is None:
        sink = tokenizer.eos_token_id
    if sink is None:
        raise CheckpointError("its tokenizer has neither BOS nor EOS to put before a sentence")
    return ids if ids[:1] == [sink] else [sink, *ids]


def _padded(rows: list[list[int]], device: str) -> tuple:
    """Ids and mask, int64[B, T] each."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    # Padding on the right leaves absolute positions as they were in training, and the mask hides
    # what it is made of: zeros do, whatever a tokenizer's padding token is.
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return ids.to(device), mask.long().to(device)


def _dominance(states, words) -> float:
    """Of states (B, T, D), the largest norm in a sentence over its median norm, typically."""
    # Not every device knows medians.
    norms = states.norm(dim=-1).cpu()  # (B, T)
    # What is not pooled has no say: neither padding nor the sink itself.
    norms = norms.masked_fill(words.cpu() == 0, float("nan"))
    middle = norms.nanmedian(1).values
    largest = norms.nan_to_num(0).amax(1)
    # A sentence of few words may have one that is large; a sink is in all of them.
    return float((largest / middle).median())


def usable(checkpoint: str, family: str) -> Snapshot:
    """A checkpoint (folder, Hub id or ``id@revision``), found or fetched, and checked unloaded.

    The revision of a folder is LOCAL and a hash of its files.  Raises CheckpointError, also if it
    is of another family."""
    folder, revision = resolve(checkpoint)
    with _one_line(checkpoint):
        _check(folder, family)
    if revision == LOCAL:
        stamps = [path.stat() for path in sorted(folder.rglob("*"))]
        changed = tuple((stamp.st_size, stamp.st_mtime_ns) for stamp in stamps)
        revision = f"{LOCAL}-{_hash(folder, changed)}"
    return Snapshot(folder, revision)


@cache
def _hash(folder: Path, changed: tuple) -> str:
    """Of a folder's files, which may be replaced under the same name; gigabytes are read once."""
    return hash_json(files_of(folder))[:16]


def local_folder(checkpoint: str | os.PathLike[str]) -> Path | None:
    """A checkpoint's folder: as it is given, from the working folder, else from the project's."""
    for folder in (Path(checkpoint), ROOT / checkpoint):
        if folder.is_dir():
            return folder
    return None


def resolve(checkpoint: str | os.PathLike[str]) -> Snapshot:
    """Finds a checkpoint on disk, or fetches it from the Hub; CheckpointError if neither works."""
    name, _, revision = str(checkpoint).partition("@")
    folder = local_folder(checkpoint)
    if folder:
        return Snapshot(folder, LOCAL)
    if local_folder(name):
        raise CheckpointError(f"checkpoint {checkpoint}: {name}, a folder, has no revisions")
    if not HUB_ID.fullmatch(name):
        raise CheckpointError(f"checkpoint {checkpoint}: no such folder")
    from huggingface_hub import errors

    try:
        with quiet():
            folder = _fetch(name, revision or None)
        return Snapshot(folder, folder.name)
    except errors.GatedRepoError:
        reason = f"gated: accept its terms at https://huggingface.co/{name}, then set HF_TOKEN and"
    except errors.RevisionNotFoundError:
        reason = f"has no revision {revision!r}; list them on https://huggingface.co/{name}, then"
    except errors.RepositoryNotFoundError:
        reason = "no such folder, and not on the Hub (or private: set HF_TOKEN); check with"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        reason = "no such folder, not in the cache, and the Hub cannot be reached; once it can"
    except Exception as error:  # of the network, of the disk: each library has its own
        reason = f"cannot be fetched ({_line(error)}); try"
    version = f" --revision {revision}" if revision else ""
    raise CheckpointError(f"checkpoint {name}: {reason}: hf download {name}{version}")


def _fetch(name: str, revision: str | None) -> Path:
    """The folder of a Hub id in the cache, fetched first if need be."""
    from huggingface_hub import errors, snapshot_download

    # Folders within a repository hold the same weights for other libraries.
    wanted = {"repo_id": name, "allow_patterns": FILES, "ignore_patterns": ["*/*"]}
    # A commit is what it is; of a branch the Hub has to be asked, if it can be reached.
    is_commit = revision and COMMIT.fullmatch(revision)
    commit = revision if is_commit else _commit(name, revision)
    try:
        path = snapshot_download(revision=commit or revision, local_files_only=True, **wanted)
    except errors.LocalEntryNotFoundError:
        # Not without an answer first: the library would wait for one for ever.
        if _commit(name, commit) is None:
            raise
        path = snapshot_download(revision=commit, **wanted)
    return Path(path)


_silent_since = [-SILENCE]  # when the Hub was last asked in vain


@cache
def _ask(name: str, revision: str | None) -> str:
    """The commit that a revision is, asked once in a process, with a line on the terminal."""
    from huggingface_hub import HfApi

    # On the terminal, so that no notebook keeps it.
    if sys.__stderr__ is not None:
        print(f"asking the Hub for {name}", file=sys.__stderr__, flush=True)
    return HfApi().model_info(name, revision=revision, timeout=PATIENCE).sha


def _commit(name: str, revision: str | None) -> str | None:
    """The commit that a revision is; None where the Hub cannot be reached."""
    from huggingface_hub import errors, is_offline_mode

    if is_offline_mode() or time.monotonic() - _silent_since[0] < SILENCE:
        return None
    try:
        return _ask(name, revision)
    except errors.HfHubHTTPError as error:
        # No such model, or not for everyone: that is an answer.
        if error.response is not None and error.response.status_code < 500:
            raise
    except Exception:  # noqa: S110  (no connection, no answer: every transport has its own errors)
        pass
    # Seven checkpoints of a profile should not each wait for it.
    _silent_since[0] = time.monotonic()
    return None


def _config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _check(folder: Path, family: str | None) -> Family:
    """The family that a checkpoint is read as, or CheckpointError: the first thing amiss."""
    if not (folder / "config.json").is_file():
        raise CheckpointError("has no config.json")
    kind = _config(folder).get("model_type")
    found = next((spec for spec in FAMILIES.values() if kind in spec.model_types), None)
    spec = FAMILIES[family] if family else found
    if spec is None:
        raise CheckpointError(f"is of unknown type {kind!r}; name the family to read it as")
    # Decoders share a class: DeepSeek's distilled models, for one, are of Qwen's or LLaMA's type.
    if found and found.tower != spec.tower:
        raise CheckpointError(f"is of type {kind!r}, not of the family {family!r}")
    # Large checkpoints come in parts, of which a fetch that was interrupted lacks some.
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        for part in sorted(set(parts)):
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
    if dtype == "auto" and device == "cpu" and size <= LARGE:
        dtype = "float32"
    safely = {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safely)
        tower, report = getattr(transformers, spec.tower).from_pretrained(
            folder,
            dtype=getattr(torch, dtype, dtype),
            use_safetensors=True,
            # Weights of another shape are reported, and refused below, in one line.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **safely,
            **spec.options,
        )
    _refuse_doubtful_weights(report, spec)
    return tokenizer, tower.to(device).eval()


def _refuse_doubtful_weights(report: dict, spec: Family) -> None:
    """Raises CheckpointError for what the library reports after loading."""
    # The library would fill in random numbers, or pass weights over, with a warning.
    needed = re.compile(spec.text_path)
    known = re.compile(f"{spec.unused}|{BUFFERS}")
    misshapen = [key for key, *_ in report["mismatched_keys"]]
    lacking = [key for key in report["missing_keys"] if needed.search(key)]
    strange = [key for key in report["unexpected_keys"] if not known.search(key)]
    for problem, keys in (
        ("holds weights of another shape", misshapen),
        ("lacks weights of the text path, which would be random", lacking),
        ("holds weights that the model does not use", strange),
    ):
        if keys:
            raise CheckpointError(f"{problem}: {min(keys)} ({len(keys)} in all)")


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
