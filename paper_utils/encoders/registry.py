"""The registry of encoders: what is compared, as records, and how each turns texts into vectors.

To add a lexical control: one function in ``lexical.py``, one entry in ``CONTROLS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_utils.cloning.training import AGENT, SNAPSHOTS
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.data.corpus import PICTURES, STORIES, Documents, Pictures
from paper_utils.encoders import hub, lexical, scratch
from paper_utils.encoders.families import FAMILIES
from paper_utils.store import Stage

# What of the profile a reference model depends on: not which others are trained.
TRAINED_WITH = ("width", "layers", "heads", "steps", "batch_size", "learning_rate")
# How each family hears of second names: who reads has only the text to tie two names together; who
# sees is given captions that never use both, so that what is pictured must tie them.
TIED = {"language": "mention", "vision-language": "dialect"}
DRAWS = 4  # of random tokens in the test of second names, beside the first

CONTROLS: dict[str, tuple[Callable[..., np.ndarray], str, str]] = {
    "bag_of_words": (lexical.bag_of_words, "bag of words", "sum"),
    "tf_idf": (lexical.tf_idf, "tf-idf", "sum"),
    "random_tokens": (lexical.random_tokens, "random tokens", "mean"),
    "random_tokens_positional": (
        lexical.random_tokens_positional, "random tokens, ordered", "mean"
    ),
    "edit_distance": (lexical.edit_distance, "edit distance", "none"),
    "length": (lexical.length, "length", "none"),
}  # fmt: skip
"""Lexical controls: name -> function, label, and how it pools words."""


@dataclass(frozen=True)
class Encoder:
    """A row of the comparison: one way to turn texts into vectors.

    ``source``: cloning (an agent), scratch (a reference model trained here), hub (a public
    checkpoint) or lexical.  ``family``: "agent", a key of FAMILIES, or of CONTROLS.  ``kind``: of
    agents, a condition of AGENT; of models trained, untrained, or dialect (text without ties
    between names); of controls, control.  ``snapshot``: 64ths of an agent's training, or 0 for its
    end.  ``checkpoint`` and ``revision`` of a public one.
    """

    kind: str
    family: str
    source: str
    seed: int = 0
    snapshot: int = 0
    checkpoint: str = ""
    revision: str = ""

    @property
    def group(self) -> str:
        """What people call all of its kind: the label without a seed."""
        if self.source == "lexical":
            return CONTROLS[self.family][1] if self.family in CONTROLS else "bag of concepts"
        if self.source == "cloning":
            name = "agent" if self.kind == "trained" else f"agent, {self.kind}"
            return f"{name}, after {self.snapshot}/64" if self.snapshot else name
        name = FAMILIES[self.family].label
        if self.source == "hub":
            return f"{name}, public"
        return name if self.kind == "trained" else f"{name}, {self.kind}"

    @property
    def label(self) -> str:
        """What people call it, and nobody takes apart."""
        if self.source == "cloning":
            return f"{self.group} #{self.seed}"
        return f"{self.group} #{self.seed}" if self.seed else self.group

    @property
    def modality(self) -> str:
        """What it learned from: action, language, vision-language, or lexical."""
        if self.source in ("cloning", "lexical"):
            return {"cloning": "action"}.get(self.source, self.source)
        return FAMILIES[self.family].modality

    @property
    def pooling(self) -> str:
        """How the states of words become one vector; fixed before looking at alignment."""
        if self.source == "cloning":
            return "mean"
        if self.source == "lexical":
            return CONTROLS[self.family][2] if self.family in CONTROLS else "sum"
        return FAMILIES[self.family].poolings[0]


def agents(profile: Profile, kind: str, snapshot: int = 0) -> list[Encoder]:
    """The profile's agents of one condition."""
    count = profile.cloning.bilingual if "bilingual" in kind else profile.cloning.agents
    return [Encoder(kind, "agent", "cloning", n, snapshot) for n in range(count)]


def encoders(profile: Profile) -> list[Encoder]:
    """Rows of the comparison: agents, reference models and their twins, lexical controls."""
    families, seeds = profile.encoders.families, range(profile.encoders.seeds)
    return [
        *(agent for kind in ("trained", "bilingual", "shuffled", "untrained")
          for agent in agents(profile, kind)),
        *(Encoder("trained", family, "scratch", seed) for family in families for seed in seeds),
        *(Encoder("untrained", family, "scratch") for family in families),
        *(Encoder("control", name, "lexical", 0) for name in CONTROLS),
    ]  # fmt: skip


def second_name_controls(profile: Profile) -> list[Encoder]:
    """Who else is asked in second names: what has not learned them, and what was told them."""
    llama = "llama" in profile.encoders.families
    return [
        *agents(profile, "bilingual-shuffled")[:1],
        *agents(profile, "bilingual-untrained"),
        *([Encoder("dialect", "llama", "scratch")] if llama else []),
        *(Encoder("control", "random_tokens_positional", "lexical", n + 1) for n in range(DRAWS)),
        Encoder("control", "bag_of_concepts", "lexical"),
    ]


def snapshots(profile: Profile) -> list[Encoder]:
    """The first trained agent as it was on the way."""
    return [agents(profile, "trained", part)[0] for part in SNAPSHOTS]


def public(profile: Profile) -> tuple[list[Encoder], dict[str, str]]:
    """The profile's public checkpoints that can be had, and why others cannot, by label.

    Raises CheckpointError for the first of the latter if the profile is strict.
    """
    present, missing = [], {}
    for family, checkpoint in profile.encoders.checkpoints.items():
        try:
            revision = hub.usable(checkpoint, family).revision
        except hub.CheckpointError as error:
            if profile.encoders.strict:
                raise
            missing[f"{FAMILIES[family].label}, public"] = str(error)
        else:
            present.append(
                Encoder("trained", family, "hub", checkpoint=checkpoint, revision=revision)
            )
    return present, missing


# Reference models -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """A reference model trained here: a folder in the Hub's format, and its held-out scores."""

    folder: Path
    scores: dict[str, Any]


def _train(
    profile: Profile, folder: Path, documents: Documents, pictures: Pictures,
    family: str, seed: int, kind: str,
) -> None:  # fmt: skip
    settings = profile.encoders
    scratch.train(
        family, folder, documents, pictures, width=settings.width, layers=settings.layers,
        heads=settings.heads, steps=0 if kind == "untrained" else settings.steps,
        batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        seed=profile.seed if kind == "trained" and not seed else 1000 * profile.seed + seed
        + KIND_OFFSETS[kind],
    )  # fmt: skip


KIND_OFFSETS = {"trained": 0, "untrained": 0, "dialect": 200}
"""Kind -> offset of its seeds."""


def _corpora(profile: Profile, family: str, kind: str, **_) -> list[tuple[Stage, dict[str, Any]]]:
    """Stories and pictures: all read the same vocabulary."""
    stories = "dialect" if kind == "dialect" else TIED["language"]
    return [(STORIES, {"names": stories}), (PICTURES, {"names": TIED["vision-language"]})]


REFERENCE = Stage(
    name="reference",
    make=_train,
    load=lambda folder: Reference(folder, json.loads((folder / "scores.json").read_text())),
    reads=("seed", *(f"encoders.{name}" for name in TRAINED_WITH)),
    needs=_corpora,
    cost=lambda family, seed, kind: (
        (kind != "untrained") * {"blip": 3, "deepseek": 2}.get(family, 1)
    ),
)
"""A `Reference` of a family; ``kind`` as of an `Encoder`."""


def _model_scores(profile: Profile, folder: Path, *references: Reference) -> None:
    trained = [e for e in encoders(profile) if e.source == "scratch" and e.kind == "trained"]
    rows = [
        {"family": encoder.family, "seed": encoder.seed, "parameters": r.scores["parameters"],
         "steps": r.scores["steps"], "score": score["name"], "value": score["value"],
         "baseline": name, "baseline value": baseline, "better": score["better"], "n": score["n"]}
        for encoder, r in zip(trained, references, strict=True)
        for score in r.scores["scores"]
        for name, baseline in score["baselines"].items()
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "scores.csv", index=False)


MODEL_SCORES = Stage(
    name="model-scores",
    make=_model_scores,
    load=lambda folder: pd.read_csv(folder / "scores.csv"),
    reads=("encoders.families", "encoders.seeds"),
    needs=lambda profile: [
        (REFERENCE, {"family": e.family, "seed": e.seed, "kind": e.kind})
        for e in encoders(profile)
        if e.source == "scratch" and e.kind == "trained"
    ],
)
"""What every reference model scores on held-out worlds, beside a simple rival; a row per rival."""


# Embeddings -----------------------------------------------------------------------------------


def embed(
    encoder: Encoder, texts: list[str], model: Any = None, layer: int | None = None,
    table: dict[str, str] | None = None, seed: int = 0, device: str = "auto",
) -> np.ndarray:  # fmt: skip
    """Texts -> float32[N, D], row i for ``texts[i]``.

    ``model``: an agent's policy, or a folder or Hub id; ``layer``: as for `hub.embed`; ``table``:
    second names, for the bag of concepts; ``seed`` of the run, for random tables.
    """
    if encoder.source == "lexical":
        if encoder.family == "bag_of_concepts":
            return lexical.bag_of_concepts(texts, table=table)
        return CONTROLS[encoder.family][0](texts, seed=seed + 100_000 * encoder.seed)
    if encoder.source == "cloning":
        return model.embed(texts, layer)
    return hub.embed(texts, model, encoder.family, encoder.pooling, layer, device=device)


def _source(profile: Profile, encoder: dict[str, Any], **_) -> list[tuple[Stage, dict[str, Any]]]:
    record = Encoder(**encoder)
    if record.source == "cloning":
        return [(AGENT, {"agent": record.seed, "condition": record.kind})]
    if record.source == "scratch":
        chosen = {"family": record.family, "seed": record.seed, "kind": record.kind}
        return [(REFERENCE, chosen)]
    return []


def _embed(
    profile: Profile, folder: Path, *inputs, encoder: dict[str, Any], names: str,
    layer: int | None = None,
) -> None:  # fmt: skip
    record, second = Encoder(**encoder), profile.data.second_names
    table = grammar.instructions(profile.data.levels, second=second)
    texts, model = table["text"].tolist(), None
    if names == "both":
        texts += table["second_text"].tolist()
    if record.source == "cloning":
        model = inputs[0].after(record.snapshot) if record.snapshot else inputs[0].policy
    elif record.source == "scratch":
        model = inputs[0].folder
    elif record.source == "hub":
        there = hub.usable(record.checkpoint, record.family)
        if there.revision != record.revision:
            raise hub.CheckpointError(f"checkpoint {record.checkpoint}: has changed; run again")
        model = there.folder
    vectors = embed(
        record, texts, model, layer, grammar.second_names(second), profile.seed, profile.device
    )
    np.savez_compressed(folder / "vectors.npz", ids=table["id"].to_numpy(), vectors=vectors)


def _load(folder: Path) -> pd.DataFrame:
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        ids, vectors = file["ids"], file["vectors"]
    if len(vectors) == len(ids):
        return pd.DataFrame(vectors, index=ids)
    index = pd.MultiIndex.from_product([("first", "second"), ids], names=["names", "id"])
    return pd.DataFrame(vectors, index=index)


EMBEDDING = Stage(
    name="embedding",
    make=_embed,
    load=_load,
    reads=("seed", "data.demonstrations", "data.second_names"),
    needs=_source,
)
"""Vectors of one encoder (``encoder``: its record as a dictionary), indexed by instruction id.
``names``: first, or both, which embeds sentences in first and in second names together, indexed by
(names, id).  ``layer``: as for `embed`."""


def records(each: list[Encoder], names: str = "first", **options: Any) -> list[dict[str, Any]]:
    """Parameters of EMBEDDING for several encoders."""
    return [{"encoder": asdict(encoder), "names": names, **options} for encoder in each]
