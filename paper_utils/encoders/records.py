"""Who is compared: encoders as records, which ``embedding`` turns into vectors."""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from paper_utils.cloning.agents import Condition
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import hub, public, vectors
from paper_utils.encoders.families import FAMILIES, short_name


class Source(StrEnum):
    """Where an encoder comes from."""

    AGENT = "agent"  # cloned here, or not yet
    SCRATCH = "scratch"  # a reference model trained here
    PUBLIC = "public"  # a public model whose vectors are published with the project
    HUB = "hub"  # a checkpoint, from the Hub or a folder
    VECTORS = "vectors"  # a file of vectors
    LEXICAL = "lexical"  # a control, which only sees words: a label, for tables


# What readers are told of a source.
KINDS = {
    Source.AGENT: "agent",
    Source.SCRATCH: "scratch",
    Source.PUBLIC: "public",
    Source.HUB: "public",
    Source.VECTORS: "file",
    Source.LEXICAL: "control",
}


@dataclass(frozen=True)
class Encoder:
    """One way to turn instructions into vectors; plain data, as ``asdict(encoder)``.

    ``name``: of an agent its condition, of a model its family, of the published models and of
    files their own."""

    source: Source
    name: str
    trained: bool = True  # or at random weights
    draw: int = 0  # which of several that differ in their random weights
    coloured: bool = True  # whether what it sees of the world of kinds has its colours
    checkpoint: str = ""  # where a checkpoint or file is
    revision: str = ""  # and which

    def __post_init__(self) -> None:
        # Also when it comes back from plain data, where a source is a word; ValueError if none.
        object.__setattr__(self, "source", Source(self.source))

    @property
    def kind(self) -> str:
        """For readers: agent, scratch, public, file or control."""
        return KINDS[self.source]

    @property
    def label(self) -> str:
        """What people call it, and nobody takes apart."""
        words = [self._called]
        if self.source is Source.SCRATCH and not self.trained:
            words.append("untrained")
        if not self.coloured:
            words.append("blind")
        label = ", ".join(words)
        return f"{label} #{self.draw}" if self.draw else label

    @property
    def _called(self) -> str:
        if self.source is Source.SCRATCH:
            return FAMILIES[self.name].label
        if self.source is Source.PUBLIC:
            return public.MODELS[self.name]
        if self.source is Source.HUB:
            # A folder may hold anything under a public name.
            is_local = self.revision.startswith(hub.LOCAL)
            return f"{short_name(self.checkpoint)}, {'local' if is_local else 'Hub'}"
        if self.source is Source.VECTORS:
            return f"{self.name}, vectors"
        return self.name.replace("_", " ")

    @property
    def modality(self) -> str:
        """What it learned from: action, language, vision-language, or lexical."""
        if self.source in (Source.SCRATCH, Source.HUB):
            return FAMILIES[self.name].modality
        if self.source is Source.AGENT:
            return "action"
        return "lexical" if self.source is Source.LEXICAL else "language"

    @property
    def pooling(self) -> str:
        """How states of words become one vector; fixed before anything was compared."""
        if self.source in (Source.SCRATCH, Source.HUB):
            return FAMILIES[self.name].poolings[0]
        return "as made" if self.source is Source.VECTORS else "mean"

    @property
    def origin(self) -> str:
        """A checkpoint and its revision, what a file says of itself, or nothing."""
        if self.source is Source.PUBLIC:
            return public.load(self.name).about["origin"]
        said = vectors.read(self.checkpoint).source if self.source is Source.VECTORS else ""
        return said or f"{self.checkpoint} {self.revision[:14]}".strip()

    @property
    def has_synonyms(self) -> bool:
        """Whether it can embed synonyms: agents never hear one, and a file may have none."""
        if self.source is Source.VECTORS:
            return vectors.read(self.checkpoint).second is not None
        # Their vocabulary is that of the missions.
        return self.source is not Source.AGENT


def agents() -> list[Encoder]:
    """The agents of a world that are compared with every model."""
    return [
        Encoder(Source.AGENT, Condition.ACTED.value),
        Encoder(Source.AGENT, Condition.NEVER_ACTED.value, trained=False),
        Encoder(Source.AGENT, Condition.EXCHANGED.value),
    ]


def models(profile: Profile) -> list[Encoder]:
    """The models of a profile: those trained here, the two public ones, then checkpoints and files
    of vectors.  Raises CheckpointError, if the profile is strict, for the first checkpoint that
    cannot be had, and VectorsError for a file that cannot be used."""
    return [*scratch_models(profile), *_search(profile)[0]]


def missing(profile: Profile) -> dict[str, str]:
    """Label -> why a model of the profile cannot be had; it is left out of all tables."""
    return _search(profile)[1]


def scratch_models(profile: Profile) -> list[Encoder]:
    """The reference models of each world, one of each family."""
    return [Encoder(Source.SCRATCH, family) for family in profile.encoders.families]


def texts(profile: Profile, rooms: str = "babyai") -> pd.DataFrame:
    """What encoders embed: id, text, and second_text in the profile's synonyms."""
    data = profile.data
    table = grammar.instructions(data.levels, rooms=rooms, synonyms=data.synonyms)
    return table[["id", "text", "second_text"]]


def _search(profile: Profile) -> tuple[list[Encoder], dict[str, str]]:
    """Models from elsewhere that can be had, and why others cannot."""
    found = []
    absent = {}  # label -> reason
    asked = texts(profile)
    # A profile with other levels or synonyms has sentences that nobody embedded.
    for name in public.MODELS:
        try:
            encoder = Encoder(Source.PUBLIC, name, revision=public.revision(name))
            public.load(name).rows([*asked["text"], *asked["second_text"]])
            found.append(encoder)
        except public.PublishedError as error:
            absent[public.MODELS[name]] = str(error)
    for family, checkpoints in profile.encoders.checkpoints.items():
        for name in checkpoints:
            try:
                revision = hub.usable(name, family).revision
                found.append(Encoder(Source.HUB, family, checkpoint=name, revision=revision))
            except hub.CheckpointError as error:
                # A batch of long runs should stop at once; a reader's run should not.
                if profile.encoders.strict:
                    raise
                absent[short_name(name)] = str(error)
    # Whoever names a file wants it: one that cannot be used stops the run.
    for name, path in profile.encoders.vectors.items():
        revision = vectors.read(path, *asked.to_dict("series").values()).revision
        found.append(Encoder(Source.VECTORS, name, checkpoint=path, revision=revision))
    return found, absent
