"""A profile, validated: everything a run may depend on, and nothing else.

A profile is a YAML file in ``paper_utils/profiles``, or a path to one.  Each field below is a key
of it; ``extends: laptop`` takes the others from another profile."""

import difflib
import zlib
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from yaml import YAMLError

PROFILES = Path(__file__).parent / "profiles"

# Every random stream of the project.  A name that is not here is a typing error, which would
# otherwise draw other numbers without a word.
STREAMS = {
    "agent weights", "batches", "blind episodes", "codebook", "dialects", "exchanged instructions",
    "masked words", "permutations", "random player", "random tokens", "reference batches",
    "reference weights", "rooms", "synonym mentions", "tables of synonyms",
    "wrong instructions",
}  # fmt: skip


def _seed_of(stream, *numbers):
    if stream not in STREAMS:
        raise KeyError(f"unknown random stream {stream!r}{hint(stream, STREAMS)}")
    return [zlib.crc32(stream.encode()), *numbers]


def generator(stream, *numbers):
    """The random generator of a named stream; ``numbers`` tell worlds, epochs... apart.

    >>> bool(generator("batches", 0).random() == generator("batches", 0).random())
    True
    """
    return np.random.default_rng(_seed_of(stream, *numbers))


def torch_seed(stream, *numbers):
    """A seed for ``torch.manual_seed``, from the same streams."""
    return int(np.random.SeedSequence(_seed_of(stream, *numbers)).generate_state(1, np.uint64)[0])


# What packages know about values of a profile: dotted key -> its check.
_CHECKS = {}


def register(key, check):
    """Has ``check(value)`` called on a dotted key of every profile; its ValueError is one line."""
    _CHECKS[key] = check


Count = PositiveInt
CountOrNone = NonNegativeInt
Width = Annotated[int, Field(ge=8, multiple_of=8)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]


# One name may stand without a list.
Names = Annotated[
    tuple[Name, ...], BeforeValidator(lambda one: (one,) if isinstance(one, str) else one)
]


class ProfileError(ValueError):
    """A profile, or an override of one, that cannot be used; the message is one line."""


class Part(BaseModel):
    """A part of a profile: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Part):
    """For notebook 01: demonstrations, instructions and the narrated world."""

    demonstrations: dict[str, Count]  # level name -> expert demonstrations to train on
    validation: Count  # held-out demonstrations per level, for early stopping and the loss curve
    documents: Count  # stories in the corpus of the language models
    pictured_episodes: Count  # with two or three captioned pictures each, for CLIP and BLIP
    synonyms: str | dict[str, str] = "default"  # a table of grammar.SYNONYMS, or one's own

    @property
    def levels(self):
        """Names of the levels, in the order of the profile."""
        return list(self.demonstrations)


class Cloning(Part):
    """For notebook 02: the policy and its training by behavioural cloning."""

    width: Width  # of every vector in the policy, so also of the sentence embedding
    heads: Count  # of attention in the instruction encoder and over time
    instruction_layers: Count  # transformer layers that read the instruction
    queries: Count  # vectors with which the sentence embedding looks at the 49 visible cells
    history_layers: Count  # causal transformer layers over the steps of the episode
    epochs: Count  # passes over the demonstrations
    batch_episodes: Count  # episodes per optimiser step
    learning_rate: Rate  # peak of AdamW's, after warm-up and before cosine decay
    weight_decay: Share  # AdamW's, on matrices, not gains or biases
    held_out: tuple[str, ...]  # phrases, as "red ball", that the held-out agent is not shown
    blind_share: Share = 0.9  # of a blind agent's episodes, those in which things have no colour
    evaluation_episodes: Count  # fresh ones per level: of agents that act, and the expert
    baseline_episodes: Count  # the same for the others, whose episodes are long
    transfer_episodes: Count = 128  # per level, acting on another model's sentence
    transfer_steps: Count = 128  # of each; the expert needs 40, OpenDoor would allow 576 to wander


class Encoders(Part):
    """For notebook 03: the reference models and the lexical controls."""

    families: Names  # reference models to train from scratch, one of each per world
    width: Width  # hidden size
    layers: Count  # of the transformer
    heads: Count  # of attention
    steps: Count  # of the optimiser; models that see take two thirds
    batch_size: Count  # pairs per step; for language models, units of 64 tokens
    learning_rate: Rate  # peak of AdamW's
    checkpoints: dict[str, Names] = {}  # family -> folders, Hub ids, or ids@revision
    strict: bool = False  # whether a checkpoint that cannot be had stops the run, or is left out
    vectors: dict[str, str] = {}  # name -> a file of vectors that any model gave elsewhere


class Alignment(Part):
    """For notebook 04: what is compared, and against which nulls."""

    k: Count  # neighbours that count in precision@k and mutual k-NN; the paper reports k = 15
    dimension: Count  # principal components before Procrustes, at most the rank
    folds: Annotated[int, Field(ge=2)]  # of the random split; a row is held out once
    permutations: CountOrNone  # of each null; the smallest p is 1 / (permutations + 1); 0: no null
    draws: Count = 20  # of each random control, and of the codebook
    untrained: Count = 20  # random weights of each family, whose spread is the null of order
    tables: CountOrNone = 20  # of synonyms that public models are asked, of each kind


class Compute(Part):
    """Where and how to compute: nothing here changes a result, and no artifact's key holds it."""

    workers: CountOrNone = 0  # tasks that run at once, a thread each; 0: one per core
    cluster: str = ""  # address of a Dask scheduler to send tasks to; empty: this machine
    store: str = ""  # folder of artifacts; empty: runs/store
    published: bool = True  # whether to use what is published in artifacts/published
    progress: Literal["auto", "off"] = "auto"  # a bar in a live cell, or on the terminal


class Profile(Part):
    """Everything a run depends on.  ``seed`` chooses other worlds."""

    name: str
    seed: CountOrNone = 0
    worlds: Count = 1  # each with its own episodes, agents and models
    first_world: CountOrNone = 0  # the number of the first, with seed 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compute: Compute = Compute()
    data: Data
    cloning: Cloning
    encoders: Encoders
    alignment: Alignment
    # What the world of kinds changes.
    kinds: dict[Literal["data", "cloning", "encoders"], dict] = {}

    @property
    def world_numbers(self):
        """The worlds of this run; no two seeds share one.

        >>> Profile.load("smoke", seed=1).world_numbers
        [902, 903]
        """
        first = self.first_world + self.seed * self.worlds
        return list(range(first, first + self.worlds))

    def of_kinds(self):
        """The same profile with the sizes that the world of kinds has (notebook 06)."""
        values = self.model_dump(mode="json")
        for part, changes in self.kinds.items():
            values[part].update(changes)
        values["kinds"] = {}
        return Profile.model_validate(values)

    @model_validator(mode="after")
    def _consistent(self):
        for part in (self.cloning, self.encoders):
            if part.width % part.heads:
                raise ValueError(f"heads ({part.heads}) must divide width ({part.width})")
        # Every room is asked what it thinks of its values.
        for key, check in _CHECKS.items():
            check(self.part(key)[key])
        return self

    @classmethod
    def load(cls, name, overrides=None, seed=None):
        """Reads a profile by name or path: ``Profile.load("laptop", {"cloning.epochs": 3})``.

        Raises ProfileError, one line: an unknown profile or key, a wrong type, out of range."""
        try:
            values = _read(name)
            for key, value in (overrides or {}).items():
                part = values
                *parents, last = key.split(".")
                for word in parents:
                    part = part.setdefault(word, {})
                part[last] = value
            if seed is not None:
                values["seed"] = seed
            # Numbers may be written as text: YAML takes 1e-4 for a word.
            profile = cls.model_validate(values)
            # What the world of kinds changes has to be right, too.
            profile.of_kinds()
            return profile
        except ValidationError as error:
            problem = _first_problem(error)
        # Whatever reading values of any kind may raise.
        except (ValueError, TypeError, AttributeError, RecursionError, OSError, YAMLError) as error:
            problem = str(error)
        raise ProfileError(f"profile {name}: {' '.join(problem.split())[:500]}")

    @cached_property
    def fingerprint(self):
        """Text that is equal for equal profiles, wherever they compute."""
        return self.model_dump_json(exclude={"compute"})

    def part(self, *keys):
        """The values under dotted ``keys``: the part of the profile that a stage reads."""
        values = self.model_dump(mode="json")
        return {key: reduce(getitem, key.split("."), values) for key in keys}


def available():
    """Names of the profiles that come with the package."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def _read(name):
    """The values of a profile's file, and of the one that it extends."""
    path = Path(name)
    if not path.suffix:
        path = PROFILES / f"{name}.yaml"
        if not path.exists():
            raise ValueError(f"unknown profile {str(name)!r}{hint(str(name), available())}")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError("expected keys and values")
    base = _read(values.pop("extends")) if "extends" in values else {}
    for key, value in values.items():
        # Part by part: data, cloning...
        base[key] = base.get(key, {}) | value if isinstance(value, dict) else value
    return base | {"name": path.stem}


def hint(word, known):
    """What to try instead of an unknown word: what is spelled like it, or all that is known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": known are {', '.join(known)}"


def _first_problem(error):
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = [name for part in Part.__subclasses__() for name in part.model_fields]
        return f"unknown key {where!r}{hint(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (got {first['input']!r:.60})" if where else message
