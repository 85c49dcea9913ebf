"""The registry of encoders: what is compared, as records, and how each turns texts into vectors.
One more lexical control is a function in ``lexical.py`` and an entry in CONTROLS."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.cloning.training import AGENT
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import hub, lexical, vectors
from paper_utils.encoders.families import FAMILIES
from paper_utils.encoders.scratch import REFERENCE, Reference
from paper_utils.store import Stage

DRAWS = 4  # of random tokens in the test of second names, beside the first
CONTROLS = {
    "bag_of_words": (lexical.bag_of_words, "bag of words", "sum"),
    "tf_idf": (lexical.tf_idf, "tf-idf", "sum"),
    "random_tokens": (lexical.random_tokens, "random tokens", "mean"),
    "random_tokens_positional":
        (lexical.random_tokens_positional, "random tokens, ordered", "mean"),
    "edit_distance": (lexical.edit_distance, "edit distance", "none"),
    "length": (lexical.length, "length", "none")}  # fmt: skip
"""Lexical controls: name -> function, label, and how it pools words."""
TOLD = {
    "bag_of_concepts": (lexical.bag_of_words, "bag of concepts", "sum"),
    "random_concepts": (lexical.random_tokens_positional, "random concepts, ordered", "mean"),
}
"""Controls that are told which names are one thing, as they read all in second names: what names
and places in a sentence can do without anything learned.  For second names only."""


@dataclass(frozen=True)
class Encoder:
    """A row of the comparison: one way to turn texts into vectors."""

    kind: str  # an agent's condition; trained, untrained, dialect (no ties in text); control, told
    family: str  # "agent", a key of FAMILIES or CONTROLS, or a file's name
    source: str  # cloning (an agent), scratch (a model trained here), hub, vectors or lexical
    seed: int = 0
    checkpoint: str = ""  # where a checkpoint or file is
    revision: str = ""  # and which

    @property
    def group(self) -> str:
        """What people call all of its kind: the label without a seed."""
        name = self._facts[0]
        if self.source == "hub":
            return f"{name}, {hub.LOCAL if self.revision.startswith(hub.LOCAL) else 'public'}"
        return name if self.kind in ("trained", "control", "told") else f"{name}, {self.kind}"

    @property
    def label(self) -> str:
        """What people call it, and nobody takes apart."""
        return self.group + f" #{self.seed}" * bool(self.seed or self.source == "cloning")

    @property
    def _facts(self) -> tuple[str, str, str]:
        if self.source == "cloning":
            return "agent", "action", "mean"
        if self.source == "lexical":
            _, name, pooling = (CONTROLS | TOLD)[self.family]
            return name, "lexical", pooling
        if self.source == "vectors":
            return f"{self.family}, vectors", "language", "as made"
        family = FAMILIES[self.family]
        return family.label, family.modality, family.poolings[0]

    modality = property(lambda self: self._facts[1])
    """What it learned from: action, language, vision-language, or lexical."""
    pooling = property(lambda self: self._facts[2])
    """How the states of words become one vector; fixed before looking at alignment."""

    @property
    def origin(self) -> str:
        """The checkpoint and its revision, what a file says of itself, or nothing."""
        said = vectors.read(self.checkpoint).source if self.source == "vectors" else ""
        return said or f"{self.checkpoint} {self.revision[:14]}".strip()


def has_second_names(encoder: Encoder) -> bool:
    """Whether EMBEDDING has its vectors of sentences in second names."""
    if encoder.source == "vectors":
        return vectors.read(encoder.checkpoint).second is not None
    return encoder.source != "cloning" or encoder.kind.startswith("bilingual")


def agents(profile: Profile, kind: str) -> list[Encoder]:
    """The profile's agents of one condition."""
    count = profile.cloning.bilingual if "bilingual" in kind else profile.cloning.agents
    return [Encoder(kind, "agent", "cloning", n) for n in range(count)]


def encoders(profile: Profile) -> list[Encoder]:
    """Rows of the comparison: agents, reference models and their twins, lexical controls."""
    families, seeds = profile.encoders.families, range(profile.encoders.seeds)
    return [
        *(agent for kind in ("trained", "bilingual", "shuffled", "untrained")
          for agent in agents(profile, kind)),
        *(Encoder("trained", family, "scratch", seed) for family in families for seed in seeds),
        *(Encoder("untrained", family, "scratch") for family in families),
        *(Encoder("control", name, "lexical") for name in CONTROLS)]  # fmt: skip


def second_name_controls(profile: Profile) -> list[Encoder]:
    """Who else is asked in second names: what has not learned them, and what was told them."""
    draws = [Encoder("control", "random_tokens_positional", "lexical", n + 1) for n in range(DRAWS)]
    llama = [Encoder("dialect", f, "scratch") for f in profile.encoders.families if f == "llama"]
    unpaired, naive = (agents(profile, f"bilingual-{kind}") for kind in ("shuffled", "untrained"))
    told = [Encoder("told", name, "lexical") for name in TOLD]
    return [*unpaired[:1], *naive, *llama, *draws, *told]


def public(profile: Profile) -> tuple[list[Encoder], dict[str, str]]:
    """The profile's checkpoints and files of vectors, and why other checkpoints cannot be had: for
    the first of these raises CheckpointError if the profile is strict.  Raises VectorsError."""
    present, missing = [], {}
    for family, name in profile.encoders.checkpoints.items():
        try:
            revision = hub.usable(name, family).revision
            present.append(Encoder("trained", family, "hub", checkpoint=name, revision=revision))
        except hub.CheckpointError as error:
            if profile.encoders.strict:
                raise
            given = hub.LOCAL if hub.is_folder(name) or not hub.HUB_ID.match(name) else ""
            missing[Encoder("trained", family, "hub", revision=given).label] = str(error)
    for name, path in profile.encoders.vectors.items():
        revision = vectors.read(path, *texts(profile).to_dict("series").values()).revision
        present.append(Encoder("trained", name, "vectors", checkpoint=path, revision=revision))
    return present, missing


def _trained(profile: Profile) -> list[tuple[Stage, dict]]:
    return [(REFERENCE, {"family": e.family, "seed": e.seed, "kind": e.kind})
            for e in [*encoders(profile), *second_name_controls(profile)]
            if e.source == "scratch" and e.kind != "untrained"]  # fmt: skip


def _model_scores(profile: Profile, folder: Path, *references: Reference) -> None:
    pd.DataFrame([
        {**which, "parameters": r.scores["parameters"], "steps": r.scores["steps"],
         "score": score["name"], "value": score["value"], "baseline": name,
         "baseline value": baseline, "better": score["better"], "n": score["n"]}
        for (_, which), r in zip(_trained(profile), references, strict=True)
        for score in r.scores["scores"] for name, baseline in score["baselines"].items()
    ]).to_csv(folder / "scores.csv", index=False)  # fmt: skip


MODEL_SCORES = Stage("model-scores", _model_scores, lambda path: pd.read_csv(path / "scores.csv"),
    ("encoders.families", "encoders.seeds"), _trained)  # fmt: skip
"""What every reference model scores on held-out worlds, beside a simple rival; a row per rival."""


def texts(profile: Profile) -> pd.DataFrame:
    """What every encoder embeds: id, text, and second_text in the profile's second names."""
    table = grammar.instructions(profile.data.levels, second=profile.data.second_names)
    return table[["id", "text", "second_text"]]


def _embed(profile: Profile, folder: Path, *inputs, encoder: dict, names: str,
           layer: int | None = None) -> None:  # fmt: skip
    record, asked, both = Encoder(**encoder), texts(profile), names == "both"
    said, revision = asked["text"].tolist() + asked["second_text"].tolist() * both, record.revision
    if record.source == "lexical":
        if record.kind == "told":
            table = grammar.second_names(profile.data.second_names)
            said = [grammar.rename(text, table) for text in said]
        function, seed = (CONTROLS | TOLD)[record.family][0], profile.seed + 100_000 * record.seed
        rows = function(said, seed=seed)
    elif record.source == "cloning":
        rows = inputs[0].policy.embed(said, layer)
    elif record.source == "vectors":
        *read, _, revision = vectors.read(record.checkpoint, *asked.to_dict("series").values())
        if both and read[1] is None:
            raise vectors.VectorsError(f"vectors {record.checkpoint}: has no second names")
        rows = np.concatenate(read[: 1 + both])
    else:
        model = inputs[0].folder if inputs else None
        if record.source == "hub":
            model, revision = hub.usable(record.checkpoint, record.family)
        rows = hub.embed(said, model, record.family, record.pooling, layer, device=profile.device)
    if record.revision and revision != record.revision:
        raise hub.CheckpointError(f"checkpoint {record.checkpoint}: has changed; run again")
    np.savez_compressed(folder / "vectors.npz", ids=asked["id"].to_numpy(), vectors=rows)


def _load(folder: Path) -> pd.DataFrame:
    with np.load(folder / "vectors.npz", allow_pickle=False) as file:
        ids, rows = file["ids"], file["vectors"]
    both = pd.MultiIndex.from_product([("first", "second"), ids], names=["names", "id"])
    return pd.DataFrame(rows, index=ids if len(rows) == len(ids) else both)


EMBEDDING = Stage("embedding", _embed, _load, ("seed", "data.demonstrations", "data.second_names"),
    needs=lambda profile, encoder, **_: {
        "cloning": [(AGENT, {"agent": encoder["seed"], "condition": encoder["kind"]})],
        "scratch": [(REFERENCE, {key: encoder[key] for key in ("family", "seed", "kind")})],
    }.get(encoder["source"], []))  # fmt: skip
"""Vectors of one encoder (``encoder``: its record as a dictionary), by instruction id.  ``names``:
first, or both (sentences in first and in second names, by names and id).  ``layer``: of `embed`."""


def records(each: list[Encoder], names: str = "first", **options) -> list[dict]:
    """Parameters of EMBEDDING for several encoders."""
    return [{"encoder": asdict(encoder), "names": names, **options} for encoder in each]
