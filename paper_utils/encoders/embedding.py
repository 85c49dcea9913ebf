"""From records to vectors: the two stages that other packages read."""

import warnings
from dataclasses import asdict

import numpy as np
import pandas as pd

from paper_utils.cloning.agents import AGENT, agent_parameters
from paper_utils.encoders import hub, public, scratch, vectors
from paper_utils.encoders.records import Encoder, Source, texts
from paper_utils.encoders.scratch import REFERENCE, reference_parameters
from paper_utils.store import Stage

# Of these, one world's vectors are every world's.
SAME_IN_ALL_WORLDS = (Source.PUBLIC, Source.HUB, Source.VECTORS)


def _make_embedding(profile, folder, *inputs, world, encoder, names, layer, rooms):
    ids, *said = texts(profile, rooms).to_dict("list").values()
    # Both sets of names in one go, so that they stand in one space.
    asked = sum(said, []) if names == "both" else said[0]
    reader = _reader(profile, Encoder(**encoder), [ids, *said], inputs)
    # Agents and files have one layer, and are asked for none.
    chosen = [] if layer is None else [layer]
    # Workers are silent otherwise, but a spoiled mean has to be known.
    with warnings.catch_warnings(action="default", category=hub.SinkWarning):
        np.savez_compressed(folder / "vectors.npz", ids=ids, vectors=reader.embed(asked, *chosen))


def _reader(profile, record, asked, inputs):
    """What embeds, by ``embed(texts, layer)``; ``asked``: ids, texts, and texts in synonyms."""
    if record.source == Source.AGENT:
        return inputs[0].policy
    if record.source == Source.PUBLIC:
        return public.load(record.name)
    if record.source == Source.SCRATCH:
        # So small that moving it to a GPU takes longer, and on a CPU all machines agree.
        return hub.load(inputs[0].folder, record.name, device="cpu")
    if record.source == Source.VECTORS:
        # Held to these sentences: a file that was made from others has the same ids.
        reader = vectors.read(record.checkpoint, *asked)
        revision = reader.revision
    else:
        checkpoint = record.checkpoint
        if not record.revision.startswith(hub.LOCAL):
            # The very commit that was found: its branch may have moved.
            checkpoint = f"{checkpoint.partition('@')[0]}@{record.revision}"
        folder, revision = hub.usable(checkpoint, record.name)
        reader = hub.load(folder, record.name, profile.device)
    # What is embedded has to be what the record, and so the artifact's key, says.
    if record.revision != revision:
        raise hub.CheckpointError(f"checkpoint {record.checkpoint}: has changed; run again")
    return reader


def _load_embedding(folder):
    file = np.load(folder / "vectors.npz")
    index = pd.Index(file["ids"], name="id")
    rows = file["vectors"]
    # Twice as many rows as instructions: in first names, then in synonyms.
    if len(rows) > len(index):
        index = pd.MultiIndex.from_product([("first", "second"), index], names=["names", "id"])
    return pd.DataFrame(rows, index=index)


def _needs_of_embedding(profile, world, encoder, rooms, **_):
    record = Encoder(**encoder)
    if record.source == Source.AGENT:
        return [(AGENT, agent_parameters(world, record.name, rooms, record.draw))]
    # Checkpoints, files and published vectors are made from nothing of ours.
    if record.source != Source.SCRATCH:
        return []
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
    cost=lambda *_, **__: 0.15,
)
"""Vectors of one encoder, a DataFrame with a row per instruction id, float32[N, D].

Arguments:
    world: the world; of encoders that are the same in all (see `parameters`), 0.
    encoder: an `Encoder` as a dictionary.
    names: "first": rows by id; "both": rows by (names, id), names first, then second: synonyms.
    layer: None: the one fixed beforehand, of decoders block ceil(L / 2), of others where their own
        training reads them; or 0 (token embeddings) to L.  Agents and files of vectors have one.
    rooms: one of ROOMS.
"""


def parameters(encoder, world, names="first", layer=None, rooms="babyai"):
    """Parameters of EMBEDDING, plain data; what is the same in all worlds is embedded once, as of
    world 0."""
    # One artifact for all, which may have taken a GPU.
    world = 0 if encoder.source in SAME_IN_ALL_WORLDS else world
    return {
        "world": world,
        "encoder": asdict(encoder),
        "names": names,
        "layer": layer,
        "rooms": rooms,
    }


def _make_untrained(profile, folder, *corpora, world, family):
    _, first, second = texts(profile).to_dict("list").values()
    each = []
    for draw in range(profile.alignment.untrained):
        # Each draw has other weights, and reads what a trained model reads.
        model = scratch.untrained(profile, *corpora, family, world, draw)
        each.append(np.split(model.embed(first + second), 2))
    # Half precision: many draws, of which only the spread of their scores is read.
    np.savez_compressed(folder / "vectors.npz", vectors=np.float16(each))


def _load_untrained(folder):
    return np.float32(np.load(folder / "vectors.npz")["vectors"])


UNTRAINED = Stage(
    "untrained",
    _make_untrained,
    _load_untrained,
    reads=(*READS, "alignment.untrained"),
    needs=scratch.corpora,
    version=1,
    cost=lambda profile, **_: 0.5 + 0.36 * profile.alignment.untrained,
)
"""Vectors of a family's ``alignment.untrained`` models at random weights, by which chance is known:
float32[draws, 2, N, D], first names and synonyms, at the fixed layer, with a trained model's
tokenizer.  Arguments: ``world``, ``family``."""
