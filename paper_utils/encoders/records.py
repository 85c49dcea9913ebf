"""Who is compared: encoders as records, which ``embedding`` turns into vectors."""

from dataclasses import dataclass
from enum import StrEnum

from paper_utils.cloning.agents import Condition
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


# What readers are told of a source, where it is not its name.
KINDS = {Source.HUB: "public", Source.VECTORS: "file", Source.LEXICAL: "control"}
# What it learned from, where that is not language.
MODALITIES = {Source.AGENT: "action", Source.LEXICAL: "lexical"}


@dataclass(frozen=True)
class Encoder:
    """One way to turn instructions into vectors; plain data, as ``asdict(encoder)``.

    ``name``: of an agent its condition, of a model its family, of the published models and of
    files their own."""

    source: Source  # or its value, when it comes back from plain data
    name: str
    trained: bool = True  # or at random weights
    draw: int = 0  # which of several that differ in their random weights
    coloured: bool = True  # whether what it sees of the world of kinds has its colours
    checkpoint: str = ""  # where a checkpoint or file is
    revision: str = ""  # and which

    @property
    def family(self):
        """The architecture of a model that is read here."""
        return FAMILIES[self.name] if self.source in (Source.SCRATCH, Source.HUB) else None

    @property
    def kind(self):
        """For readers: agent, scratch, public, file or control."""
        return KINDS.get(self.source, str(self.source))

    @property
    def label(self):
        """What people call it, and nobody takes apart."""
        if self.source == Source.SCRATCH:
            return self.family.label
        if self.source == Source.HUB:
            # A folder may hold anything under a public name.
            where = hub.LOCAL if self.revision.startswith(hub.LOCAL) else "Hub"
            return f"{short_name(self.checkpoint)}, {where}"
        if self.source == Source.VECTORS:
            return f"{self.name}, vectors"
        return public.MODELS.get(self.name, self.name.replace("_", " "))

    @property
    def modality(self):
        """What it learned from: action, language, vision-language, or lexical."""
        return getattr(self.family, "modality", MODALITIES.get(self.source, "language"))

    @property
    def pooling(self):
        """How states of words become one vector; fixed before anything was compared."""
        return getattr(self.family, "pooling", "mean")

    @property
    def has_synonyms(self):
        """Whether it can embed synonyms: agents never hear one, and a file may have none."""
        if self.source == Source.VECTORS:
            return len(vectors.read(self.checkpoint).rows) > 1
        # Their vocabulary is that of the missions.
        return self.source != Source.AGENT


def agents():
    """The agents of a world that are compared with every model."""
    return [
        Encoder(Source.AGENT, Condition.ACTED.value),
        Encoder(Source.AGENT, Condition.NEVER_ACTED.value, trained=False),
        Encoder(Source.AGENT, Condition.EXCHANGED.value),
    ]


def models(profile):
    """The models of a profile, a list of `Encoder`: those trained here, the two public ones, then
    checkpoints and files of vectors.  Raises CheckpointError, if the profile is strict, for the
    first checkpoint that cannot be had, and VectorsError for a file that cannot be used."""
    return _search(profile)[0]


def missing(profile):
    """Label -> why a model of the profile cannot be had; it is left out of all tables."""
    return _search(profile)[1]


def texts(profile, rooms="babyai"):
    """A DataFrame of what encoders embed: id, text, and second_text in the profile's synonyms."""
    table = grammar.instructions(profile.data.levels, rooms, profile.data.synonyms)
    return table[["id", "text", "second_text"]]


def _search(profile):
    """Models that can be had, and why others cannot."""
    found = [Encoder(Source.SCRATCH, family) for family in profile.encoders.families]
    absent = {}  # label -> reason
    ids, *said = texts(profile).to_dict("list").values()
    for name, label in public.MODELS.items():
        try:
            published = public.load(name)
            # A profile with other levels or synonyms has sentences that nobody embedded.
            published.rows(sum(said, []))
            found.append(Encoder(Source.PUBLIC, name, revision=published.revision))
        except public.PublishedError as error:
            absent[label] = str(error)
    for family, checkpoints in profile.encoders.checkpoints.items():
        for name in checkpoints:
            try:
                _, revision = hub.usable(name, family)
                found.append(Encoder(Source.HUB, family, checkpoint=name, revision=revision))
            except hub.CheckpointError as error:
                # A batch of long runs should stop at once; a reader's run should not.
                if profile.encoders.strict:
                    raise
                absent[short_name(name)] = str(error)
    # Whoever names a file wants it: one that cannot be used stops the run.
    for name, path in profile.encoders.vectors.items():
        revision = vectors.read(path, ids, *said).revision
        found.append(Encoder(Source.VECTORS, name, checkpoint=path, revision=revision))
    return found, absent
