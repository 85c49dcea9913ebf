"""Embeds texts with any checkpoint in the Hub's format, by its text path alone, and by weights that
it really holds: safetensors, never pickles, never code from the checkpoint.

The sink.  A decoder makes the first position that it reads an *attention sink*: its state is a
huge constant vector (in SmolLM2-135M, block 15, of norm 25,683 where words have 150 to 180), and a
mean over it is that vector.  So the first position is never pooled; and where a tokenizer puts no
special token there (Qwen's and SmolLM2's do not), one is put there, or the first *word* would be
the sink."""

import re
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from paper_utils import parallel
from paper_utils.encoders.elsewhere import located, one_line
from paper_utils.encoders.families import FAMILIES, Family
from paper_utils.store import files_of, hash_json, read_json

# What a checkpoint must have, and its files.  Without a vocabulary the library would make an empty
# tokenizer, and read every word as unknown.
NEEDED = {
    "config.json": ["config.json"],
    "safetensors weights (pickled ones are refused)": ["*.safetensors"],
    "tokenizer": ["tokenizer.json", "tokenizer.model", "vocab.*"],
}
# Files that are fetched: settings, vocabularies, weights.  Folders within a repository
# hold the same weights for other libraries.
FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
# What readers are told of an error of the library, by its name.
REASONS = {
    "GatedRepoError": "gated: accept its terms on its page of the Hub, and set HF_TOKEN",
    "RevisionNotFoundError": "has no such revision",
    "RepositoryNotFoundError": "no such folder, and not on the Hub (or private: set HF_TOKEN)",
    "HFValidationError": "no such folder, and no name on the Hub",
    "LocalEntryNotFoundError": "no such folder, not in the cache, and the Hub cannot be reached; "
    "once it can: hf download",
}
LOCAL = "local"  # how the revision of a folder begins
BATCH = 64  # sentences that a model reads at once
PATIENCE = 10.0  # seconds for the Hub's answer; behind a proxy that is silent there is none
NO_SINK = "its tokenizer has neither BOS nor EOS, one of which has to stand before the first word"
SINK = "one position's state dwarfs the others, so a mean is that of one token; read another layer"
DWARFED = 10.0  # times the norm of the others: one position's state is then the mean


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message is one line that names it and the remedy."""


class SinkWarning(UserWarning):
    """A mean over words that is, for the most part, one position's state."""


def load(folder, family, device="auto"):
    """A checkpoint in memory, a `TextEncoder`.

    Arguments:
        folder: of the checkpoint, as `usable` gives it.
        family: a key of FAMILIES.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: it is damaged, or lacks weights of the text path.
        RuntimeError: no such device.
    """
    import transformers

    spec = FAMILIES[family]
    device = parallel.device(device)
    safely = {"local_files_only": True, "trust_remote_code": False}
    # On a CPU as exact as all machines are; on a GPU in the checkpoint's own precision.
    dtype = "float32" if device == "cpu" else "auto"
    with one_line(CheckpointError, f"checkpoint {folder}"), quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safely)
        tower, report = getattr(transformers, spec.tower).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **safely
        )
        # The library fills in random numbers, with a warning.
        lacking = [key for key in report["missing_keys"] if re.search(spec.text_path, key)]
        if lacking:
            raise CheckpointError(f"lacks weights of the text path (random): {min(lacking)}")
    return TextEncoder(str(folder), spec, tokenizer, tower.to(device).eval(), device)


@dataclass
class TextEncoder:
    """A model in memory that turns sentences into vectors."""

    name: str  # for messages
    family: Family
    tokenizer: object
    tower: object  # the module that the family's ``encoder`` is an attribute of
    device: str = "cpu"

    def embed(self, texts, layer=None):
        """N texts -> float32[N, D]; a row does not depend on its neighbours.

        ``layer``: 0 (token embeddings) to L (final norm included); None: the one that is compared
        (`Family.fixed_layer`).  Raises IndexError for a layer that it does not have, ValueError for
        a text that is longer than it reads.  Warns (SinkWarning, one line) where one position's
        state dwarfs those that it is averaged with."""
        import torch

        if layer is None:
            layer = self.family.fixed_layer(self.blocks)
        tokens = self.tokens(texts)
        # The longest first, so that what does not fit into memory fails at once.
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        parts = []
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = padded([tokens[row] for row in order[start : start + BATCH]])
                ids, mask = (tensor.to(self.device) for tensor in batch)
                output = self._encoder(ids, attention_mask=mask, output_hidden_states=True)
                # CLIP lists its last layer before the final norm, other models after it.
                states = [*output.hidden_states[:-1], output.last_hidden_state]
                parts.append(self._pool(states[layer].float(), mask).cpu())
        # From the order of lengths back to that of the texts.
        found = torch.cat(parts).numpy()[np.argsort(order)]
        if not np.isfinite(found).all():
            raise CheckpointError(f"checkpoint {self.name}: gives embeddings that are not finite")
        return found

    @property
    def blocks(self):
        """L, the number of transformer blocks that read text."""
        return self._encoder.config.num_hidden_layers

    @property
    def _encoder(self):
        """The module with the hidden states of the text."""
        return self.tower.get_submodule(self.family.encoder)

    def tokens(self, texts):
        """Token ids of each text, special ones included; of decoders, the first is the sink."""
        tokens = self.tokenizer(texts)["input_ids"]
        if self.family.is_decoder:
            # Without a special token in front, the first word would be the attention sink.
            sink = self.tokenizer.bos_token_id
            if sink is None:
                sink = self.tokenizer.eos_token_id
            if sink is None:
                raise CheckpointError(f"checkpoint {self.name}: {NO_SINK}")
            tokens = [ids if ids[:1] == [sink] else [sink, *ids] for ids in tokens]
        # What is cut off would be read as another sentence.
        longest = max(map(len, tokens))
        context = self._encoder.config.max_position_embeddings
        if longest > context:
            raise ValueError(f"a text has {longest} tokens; {self.name} reads {context}")
        return tokens

    def _pool(self, states, mask):
        """Token states (B, T, D) -> vectors (B, D), as the family's ``pooling`` says: ``mean`` (of
        decoders without the sink), ``last`` (of CLIP the state at EOS) or ``cls`` (the first)."""
        if self.family.pooling == "cls":
            return states[:, 0]
        if self.family.pooling == "last":
            return states[range(len(states)), mask.sum(1) - 1]
        words = mask.clone()
        if self.family.is_decoder:
            words[:, 0] = 0  # the sink
        if _dominance(states, words) > DWARFED:
            warnings.warn(f"checkpoint {self.name}: {SINK}", SinkWarning, stacklevel=2)
        weights = words.float()[..., None]  # (B, T, 1)
        return (states * weights).sum(1) / weights.sum(1)


def padded(rows):
    """Ids and mask of sentences, int64[B, T] each.

    >>> ids, mask = padded([[5, 8, 9], [5, 8]])
    >>> ids.tolist(), mask.tolist()
    ([[5, 8, 9], [5, 8, 0]], [[1, 1, 1], [1, 1, 0]])
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    # Padding on the right leaves absolute positions as they were in training, and the mask hides
    # what it is made of: zeros do, whatever a tokenizer's padding token is.
    ids = pad_sequence([*map(torch.tensor, rows)], batch_first=True, padding_value=-1)
    return ids.clamp(min=0), (ids >= 0).long()


def _dominance(states, words):
    """Of states (B, T, D), the largest norm in a sentence over its median norm, typically."""
    # What is not pooled has no say: neither padding nor the sink itself.
    norms = states.norm(dim=-1).masked_fill(words == 0, float("nan")).cpu()  # (B, T)
    # A sentence of few words may have one that is large; a sink is in all of them.
    return (norms.nan_to_num(0).amax(1) / norms.nanmedian(1).values).median()


def usable(checkpoint, family):
    """A checkpoint's folder and revision, found or fetched, and checked unloaded.

    Arguments:
        checkpoint: a folder, a Hub id (``HF_TOKEN`` opens gated ones), or ``id@revision`` with a
            branch, tag or commit.
        family: a key of FAMILIES.

    The revision is the commit, or of a local folder LOCAL and a hash of its files.  Raises
    CheckpointError: missing, gated, unreachable, incomplete, or of another family."""
    folder = located(checkpoint)
    is_local = folder.is_dir()
    with one_line(CheckpointError, f"checkpoint {checkpoint}", **REASONS), quiet():
        if not is_local:
            folder = Path(_fetched(checkpoint))
        for what, patterns in NEEDED.items():
            if not any(list(folder.glob(pattern)) for pattern in patterns):
                raise CheckpointError(f"has no {what}")
        kind = read_json(folder / "config.json").get("model_type")
        # Decoders share a class: DeepSeek's distilled models are of Qwen's or LLaMA's type.
        for other in FAMILIES.values():
            if kind in other.model_types and other.tower != FAMILIES[family].tower:
                raise CheckpointError(f"is of type {kind!r}, not of the family {family!r}")
    if is_local:
        changed = sum(path.stat().st_mtime_ns for path in folder.rglob("*"))
        return folder, f"{LOCAL}-{_hash(folder, changed)}"
    # The Hub's cache calls a folder by its commit.
    return folder, folder.name


@cache
def _hash(folder, changed):
    """Of a folder's files, which may be replaced under the same name; gigabytes are read once."""
    return hash_json(files_of(folder))[:16]


def _fetched(checkpoint):
    """The folder of a checkpoint in the Hub's cache, fetched first if need be."""
    from huggingface_hub import errors, snapshot_download

    name, _, revision = checkpoint.partition("@")
    wanted = {"revision": revision or None, "allow_patterns": FILES, "ignore_patterns": ["*/*"]}
    if re.fullmatch("[0-9a-f]{40}", revision):
        # What it is, nobody needs to be asked.
        with suppress(errors.LocalEntryNotFoundError):
            return snapshot_download(name, local_files_only=True, **wanted)
    # Of a branch the Hub has to be asked; where it does not answer, the cache says what it was.
    return snapshot_download(name, local_files_only=not _hub_answers(), **wanted)


@cache
def _hub_answers():
    """Whether the Hub can be reached, asked once in a process: the library would wait for ever."""
    from huggingface_hub import constants, get_session, is_offline_mode

    if is_offline_mode():
        return False
    # On the terminal, so that no notebook keeps it.
    print("asking the Hub for checkpoints", file=sys.__stderr__, flush=True)
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # no connection, no answer: every transport has its own errors
        return False
    return True


@contextmanager
def quiet():
    """No progress bars and no advice from the libraries, here only."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()  # and those of downloads
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
