"""From records to vectors: the two stages that other rooms read."""

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.cloning.agents import AGENT
from paper_utils.config import Profile
from paper_utils.data.corpus import Documents, Pictures
from paper_utils.encoders import hub, public, scratch, vectors
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.records import Encoder, Source, texts
from paper_utils.encoders.scratch import REFERENCE
from paper_utils.store import Stage

# Of these, one world's vectors are every world's.
SAME_IN_ALL_WORLDS = (Source.PUBLIC, Source.HUB, Source.VECTORS)


@dataclass(frozen=True)
class _Asked:
    """What is to be embedded."""

    profile: Profile
    world: int
    rooms: str
    table: pd.DataFrame  # of `texts`
    texts: list[str]  # first names, then perhaps synonyms
    layer: int | None  # None: the fixed one


def _of_agent(asked: _Asked, encoder: Encoder, agent) -> np.ndarray:
    return agent.policy.embed(asked.texts, asked.layer)


def _of_reference(asked: _Asked, encoder: Encoder, *inputs) -> np.ndarray:
    family = FAMILIES[encoder.name]
    layer = asked.layer
    if layer is None:
        layer = family.fixed_layer(asked.profile.encoders.layers)
    if not encoder.trained:
        draw = encoder.draw
        model = scratch.untrained(asked.profile, *inputs, encoder.name, asked.world, draw)
        return model.embed(asked.texts, layer=layer)
    reference = inputs[0]
    return hub.embed(asked.texts, reference.folder, encoder.name, layer=layer, device="cpu")


def _of_published(asked: _Asked, encoder: Encoder) -> np.ndarray:
    _unchanged(encoder, public.revision(encoder.name))
    return public.load(encoder.name).embed(asked.texts, asked.layer)


def _of_checkpoint(asked: _Asked, encoder: Encoder) -> np.ndarray:
    checkpoint = encoder.checkpoint
    if not encoder.revision.startswith(hub.LOCAL):
        # The very commit that was found: its branch may have moved.
        checkpoint = f"{checkpoint.partition('@')[0]}@{encoder.revision}"
    folder, revision = hub.usable(checkpoint, encoder.name)
    _unchanged(encoder, revision)
    layer = asked.layer
    if layer is None:
        layer = FAMILIES[encoder.name].fixed_layer(hub.blocks(folder))
    return hub.embed(asked.texts, folder, encoder.name, layer=layer, device=asked.profile.device)


def _of_file(asked: _Asked, encoder: Encoder) -> np.ndarray:
    if asked.layer is not None or asked.rooms != "babyai":
        raise vectors.VectorsError(f"vectors {encoder.checkpoint}: hold one layer, one world")
    read = vectors.read(encoder.checkpoint, *asked.table.to_dict("series").values())
    _unchanged(encoder, read.revision)
    if len(asked.texts) == len(read.first):
        return read.first
    if read.second is None:
        raise vectors.VectorsError(f"vectors {encoder.checkpoint}: has no synonyms")
    return np.concatenate([read.first, read.second])


def _unchanged(encoder: Encoder, revision: str) -> None:
    if encoder.revision not in ("", revision):
        where = encoder.checkpoint or encoder.name
        raise hub.CheckpointError(f"checkpoint {where}: has changed; run again")


EMBED = {
    Source.AGENT: _of_agent,
    Source.SCRATCH: _of_reference,
    Source.PUBLIC: _of_published,
    Source.HUB: _of_checkpoint,
    Source.VECTORS: _of_file,
}


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
    said = table["text"].tolist()
    if names == "both":
        said += table["second_text"].tolist()
    asked = _Asked(profile, world, rooms, table, said, layer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", hub.SinkWarning)
        rows = EMBED[record.source](asked, record, *inputs)
    # A worker warns nobody: what it has to say goes with the vectors.
    notes = sorted({str(warning.message) for warning in caught})
    arrays = {"ids": table["id"].to_numpy(), "vectors": rows, "notes": np.array(notes, dtype=str)}
    np.savez_compressed(folder / "vectors.npz", **arrays)


def _load_embedding(folder: Path) -> pd.DataFrame:
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        arrays = dict(file)
    index = pd.Index(arrays["ids"], name="id")
    if len(arrays["vectors"]) > len(index):
        index = pd.MultiIndex.from_product([("first", "second"), index], names=["names", "id"])
    frame = pd.DataFrame(arrays["vectors"], index=index)
    frame.attrs["notes"] = arrays["notes"].tolist()
    return frame


def _needs_of_embedding(profile: Profile, world: int, encoder: dict, rooms: str, **_) -> list:
    record = Encoder(**encoder)
    if record.source is Source.AGENT:
        which = {"condition": record.name, "rooms": rooms, "draw": record.draw}
        return [(AGENT, {"world": world} | which)]
    if record.source is not Source.SCRATCH:
        return []
    if not record.trained:
        return scratch.corpora(world, rooms, record.coloured)
    which = {"family": record.name, "rooms": rooms, "coloured": record.coloured}
    return [(REFERENCE, {"world": world} | which)]


def _texts_read(*more: str) -> tuple[str, ...]:
    return ("data.demonstrations", "data.synonyms", *(f"encoders.{name}" for name in more))


EMBEDDING = Stage(
    "embedding",
    _make_embedding,
    _load_embedding,
    reads=_texts_read(*scratch.SIZES),
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
    layer = FAMILIES[family].fixed_layer(profile.encoders.layers)
    each = []
    for draw in range(profile.alignment.untrained):
        model = scratch.untrained(profile, documents, pictures, family, world, draw)
        rows = model.embed([*table["text"], *table["second_text"]], layer=layer)
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
    reads=(*_texts_read(*scratch.SIZES), "alignment.untrained"),
    needs=lambda profile, world, family: scratch.corpora(world, "babyai"),
    version=1,
    cost=lambda profile, **_: 5.0 + 1.5 * profile.alignment.untrained,
)
"""Vectors of a family's ``alignment.untrained`` models at random weights, by which chance is known:
float32[draws, 2, N, D], first names and synonyms, at the fixed layer, with a trained model's
tokenizer.  Arguments: ``world``, ``family``."""
