"""From records to vectors: the two stages that other rooms read."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.cloning.agents import AGENT, agent_parameters
from paper_utils.config import Profile
from paper_utils.data.corpus import Documents, Pictures
from paper_utils.encoders import hub, public, scratch, vectors
from paper_utils.encoders.records import Encoder, Source, texts
from paper_utils.encoders.scratch import REFERENCE, reference_parameters
from paper_utils.store import Stage

# Of these, one world's vectors are every world's.
SAME_IN_ALL_WORLDS = (Source.PUBLIC, Source.HUB, Source.VECTORS)


def _make_embedding(
    profile: Profile,
    folder: Path,
    *inputs,
    world: int,
    encoder: dict,
    names: str,
    layer: int | None,
    rooms: str,
) -> None:
    record = Encoder(**encoder)
    table = texts(profile, rooms)
    # Both sets of names in one go, so that they stand in one space.
    said = table["text"].tolist()
    if names == "both":
        said += table["second_text"].tolist()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", hub.SinkWarning)
        if record.source is Source.AGENT:
            rows = inputs[0].policy.embed(said, layer)
        elif record.source is Source.PUBLIC:
            _check_revision(record, public.revision(record.name))
            rows = public.load(record.name).embed(said, layer)
        elif record.source is Source.VECTORS:
            rows = _from_file(record, table, names, layer, rooms)
        else:
            model = _model(profile, record, inputs, world)
            rows = model.embed(said, layer=hub.FIXED if layer is None else layer)
    # A worker warns nobody: what it has to say goes with the vectors.
    sinks = [warning for warning in caught if warning.category is hub.SinkWarning]
    notes = sorted({str(warning.message) for warning in sinks})
    arrays = {"ids": table["id"].to_numpy(), "vectors": rows, "notes": np.array(notes, dtype=str)}
    np.savez_compressed(folder / "vectors.npz", **arrays)


def _model(profile: Profile, record: Encoder, inputs: Sequence, world: int) -> hub.TextEncoder:
    """A model in memory: a reference model, one at random weights, or a checkpoint."""
    if record.source is Source.SCRATCH:
        if not record.trained:
            return scratch.untrained(profile, *inputs, record.name, world, record.draw)
        # So small that moving it to a GPU takes longer, and on a CPU all machines agree.
        return hub.load(inputs[0].folder, record.name, device="cpu")
    checkpoint = record.checkpoint
    if not record.revision.startswith(hub.LOCAL):
        # The very commit that was found: its branch may have moved.
        checkpoint = f"{checkpoint.partition('@')[0]}@{record.revision}"
    folder, revision = hub.usable(checkpoint, record.name)
    _check_revision(record, revision)
    return hub.load(folder, record.name, profile.device)


def _from_file(
    record: Encoder, table: pd.DataFrame, names: str, layer: int | None, rooms: str
) -> np.ndarray:
    path = record.checkpoint
    if layer is not None or rooms != "babyai":
        raise vectors.VectorsError(f"vectors {path}: hold one layer, of BabyAI's own rooms")
    # Held to these sentences: a file that was made from others has the same ids.
    read = vectors.read(path, table["id"], table["text"], table["second_text"])
    _check_revision(record, read.revision)
    if names == "first":
        return read.first
    if read.second is None:
        raise vectors.VectorsError(f"vectors {path}: has no synonyms")
    return np.concatenate([read.first, read.second])


def _check_revision(record: Encoder, revision: str) -> None:
    """What is embedded has to be what the record, and so the artifact's key, says."""
    if record.revision not in ("", revision):
        what = record.checkpoint or record.name
        raise hub.CheckpointError(f"checkpoint {what}: has changed; run again")


def _load_embedding(folder: Path) -> pd.DataFrame:
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        arrays = dict(file)
    index = pd.Index(arrays["ids"], name="id")
    # Twice as many rows as instructions: in first names, then in synonyms.
    if len(arrays["vectors"]) > len(index):
        index = pd.MultiIndex.from_product([("first", "second"), index], names=["names", "id"])
    frame = pd.DataFrame(arrays["vectors"], index=index)
    frame.attrs["notes"] = arrays["notes"].tolist()
    return frame


def _needs_of_embedding(profile: Profile, world: int, encoder: dict, rooms: str, **_) -> list:
    record = Encoder(**encoder)
    # Checkpoints, files and published vectors are made from nothing of ours.
    if record.source is Source.AGENT:
        return [(AGENT, agent_parameters(world, record.name, rooms, record.draw))]
    if record.source is not Source.SCRATCH:
        return []
    if not record.trained:
        # Their tokenizer is that of the models that were trained on these.
        return scratch.corpora(world, rooms, record.coloured)
    return [(REFERENCE, reference_parameters(world, record.name, rooms, record.coloured))]


# What is embedded, and the sizes of a model at random weights.
READS = ("data.demonstrations", "data.synonyms", *(f"encoders.{name}" for name in scratch.SIZES))


EMBEDDING = Stage(
    "embedding",
    _make_embedding,
    _load_embedding,
    reads=READS,
    needs=_needs_of_embedding,
    version=1,
    cost=lambda profile, **_: 3.0,
)
"""Vectors of one encoder, a DataFrame with a row per instruction id, float32[N, D].

Arguments:
    world: the world; of encoders that are the same in all (see `parameters`), 0.
    encoder: an `Encoder` as a dictionary.
    names: "first": rows by id; "both": rows by (names, id), names first, then second: synonyms.
    layer: None: the one fixed beforehand, of decoders block ceil(L / 2), of others where their own
        training reads them; or 0 (token embeddings) to L, -1 the last.
    rooms: one of ROOMS.

``frame.attrs["notes"]`` lists warnings of the model, for people; mostly it is empty."""


def parameters(
    encoder: Encoder,
    world: int,
    names: str = "first",
    layer: int | None = None,
    rooms: str = "babyai",
) -> dict:
    """Parameters of EMBEDDING; what is the same in all worlds is embedded once, as of world 0."""
    if encoder.source in SAME_IN_ALL_WORLDS:
        # One artifact for all, which may have taken a GPU.
        world = 0
    return {
        "world": world,
        "encoder": asdict(encoder),
        "names": names,
        "layer": layer,
        "rooms": rooms,
    }


def _make_untrained(
    profile: Profile,
    folder: Path,
    documents: Documents,
    pictures: Pictures,
    world: int,
    family: str,
) -> None:
    table = texts(profile)
    # Each draw has other weights, and reads what a trained model reads.
    each = []
    for draw in range(profile.alignment.untrained):
        model = scratch.untrained(profile, documents, pictures, family, world, draw)
        rows = model.embed([*table["text"], *table["second_text"]], layer=hub.FIXED)
        each.append(rows.reshape(2, len(table), -1))
    # Half precision: many draws, of which only the spread of their scores is read.
    np.savez_compressed(folder / "vectors.npz", vectors=np.stack(each).astype(np.float16))


def _load_untrained(folder: Path) -> np.ndarray:
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        return file["vectors"].astype(np.float32)


UNTRAINED = Stage(
    "untrained",
    _make_untrained,
    _load_untrained,
    reads=(*READS, "alignment.untrained"),
    needs=lambda profile, world, family: scratch.corpora(world, "babyai"),
    version=1,
    cost=lambda profile, **_: 5.0 + 1.5 * profile.alignment.untrained,
)
"""Vectors of a family's ``alignment.untrained`` models at random weights, by which chance is known:
float32[draws, 2, N, D], first names and synonyms, at the fixed layer, with a trained model's
tokenizer.  Arguments: ``world``, ``family``."""
