"""A profile, validated: everything a run may depend on, and nothing else.

A profile is a YAML file in ``paper_utils/profiles``, or a path to one.  Each field below is a key
of it; ``extends: laptop`` takes the others from another profile."""

import difflib
import json
import re
import zlib
from collections.abc import Callable, Iterable
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PROFILES = Path(__file__).parent / "profiles"

# Every random stream of the project, by name.  The first three are seeded as they were when the
# published agents were trained, and are drawn from in different ways; the name seeds all others.
STREAMS: dict[str, Callable | None] = {
    "batches": lambda seed, epoch: [seed, epoch],
    "reference": lambda seed: seed,
    "permutations": lambda seed: [seed, 1],
    **dict.fromkeys(("agent seeds", "chosen names", "lexical", "masked words", "model seeds",
                     "permuted pairs", "points", "random player", "shuffled instructions",
                     "subsets", "wrong instructions"))}  # fmt: skip


def generator(stream: str, *numbers: int) -> np.random.Generator:
    """The random generator of a named stream; ``numbers`` tell seeds, epochs... apart."""
    seeding = STREAMS[stream]
    seed = seeding(*numbers) if seeding else [zlib.crc32(stream.encode()), *numbers]
    return np.random.default_rng(seed)


_CHECKS: dict[str, Callable] = {}


def register(key: str, check: Callable) -> None:
    """Has ``check(value)`` called on a dotted key of every profile; its ValueError is one line."""
    _CHECKS[key] = check


Count = Annotated[int, Field(ge=1, le=100_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=100_000_000)]
Few = Annotated[int, Field(ge=1, le=128)]
Width = Annotated[int, Field(ge=8, le=8192, multiple_of=8)]
Rate = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=500)]


class ProfileError(ValueError):
    """A profile, or an override of one, that cannot be used; the message is one line."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Part):
    """Room of notebook 01: demonstrations, instructions and the narrated world."""

    demonstrations: dict[str, Count]  # level name -> expert demonstrations to train on
    validation: Count  # held-out demonstrations per level, for early stopping and the loss curve
    documents: Count  # stories in the corpus of the language models
    pictured_episodes: Count  # with two or three captioned pictures each, for CLIP and BLIP
    second_names: str | dict[str, str] = "default"  # a table of grammar.SECOND_NAMES, or one's own

    @property
    def levels(self) -> list[str]:
        return list(self.demonstrations)


class Cloning(Part):
    """Room of notebook 02: the policy and its training by behavioural cloning."""

    agents: Count  # how many to train, each from its own seed
    bilingual: CountOrNone = 0  # how many to train on episodes that speak first or second names
    width: Width  # of every vector in the policy, so also of the sentence embedding
    heads: Few  # of attention in the instruction encoder and over time
    instruction_layers: Few  # transformer layers that read the instruction
    queries: Few  # vectors with which the sentence embedding looks at the 49 visible cells
    history_layers: Few  # causal transformer layers over the steps of the episode
    epochs: Count  # passes over the demonstrations
    batch_episodes: Count  # episodes per optimiser step
    learning_rate: Rate  # peak of AdamW's, after warm-up and before cosine decay
    weight_decay: Annotated[float, Field(ge=0, le=1)]  # AdamW's, on matrices, not gains or biases
    shuffled_epochs: Count  # passes for the control whose instructions are shuffled
    held_out: tuple[str, ...]  # phrases, as "red ball", that the held-out agent is not shown
    evaluation_episodes: Count  # fresh ones per level: trained, held-out, bilingual, expert
    baseline_episodes: Count  # the same for the others, whose episodes are long
    transfer_episodes: Count = 256  # per level, acting on another model's sentence
    transfer_steps: Count = 128  # of each; the expert needs 40, OpenDoor would allow 576 to wander


class Encoders(Part):
    """Room of notebook 03: the reference models and the lexical controls."""

    families: tuple[str, ...]  # reference models to train from scratch
    seeds: Count = 1  # how many of each family, each from its own seed
    width: Width  # hidden size
    layers: Few  # of the transformer
    heads: Few  # of attention
    steps: Count  # of the optimiser; models that see take two thirds
    batch_size: Count  # pairs per step; for language models, units of 64 tokens
    learning_rate: Rate  # peak of AdamW's
    checkpoints: dict[str, Name]  # family -> a folder, a Hub id, or id@revision, compared, too
    strict: bool  # whether a checkpoint that cannot be had stops the run, or is left out and named
    vectors: dict[str, str] = {}  # name -> a file of vectors that any model gave elsewhere


class Alignment(Part):
    """Room of notebook 04: what is compared, and against which nulls."""

    k: Count  # neighbours that count in precision@k and mutual k-NN; the paper reports k = 15
    dimension: Count  # principal components before Procrustes, at most the rank
    folds: Annotated[int, Field(ge=2, le=100)]  # of the random split; a row is held out once
    permutations: CountOrNone  # of each null; the smallest p is 1 / (permutations + 1); 0: no null


class Compute(Part):
    """Where and how to compute: nothing here changes a result, and no artifact's key holds it."""

    workers: CountOrNone = 0  # tasks that a notebook runs at once, a thread each; 0: one per core
    cluster: str = ""  # address of a Dask scheduler to send tasks to; empty: this machine
    store: str = ""  # folder of artifacts; empty: runs/store
    published: bool = True  # whether to use what is published in artifacts/release
    progress: Literal["auto", "terminal", "off"] = "auto"  # bars in a live cell, or the terminal


class Profile(Part):
    """Everything a run depends on.  ``seed`` offsets every random stream of the run."""

    name: str
    seed: CountOrNone = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compute: Compute = Compute()
    data: Data
    cloning: Cloning
    encoders: Encoders
    alignment: Alignment

    @model_validator(mode="after")
    def _consistent(self):
        for name, part in (("cloning", self.cloning), ("encoders", self.encoders)):
            if part.width % part.heads:
                raise ValueError(f"{name}: heads ({part.heads}) must divide width ({part.width})")
        if len(set(self.encoders.families)) < max(1, len(self.encoders.families)):
            raise ValueError("encoders.families: name at least one family, and each once")
        return self

    @classmethod
    def load(cls, name: str | Path, overrides: dict | None = None,
             seed: int | None = None) -> "Profile":  # fmt: skip
        """Reads a profile by name or path: ``Profile.load("laptop", {"cloning.epochs": 3})``.
        Raises ProfileError, one line: an unknown profile or key, a wrong type, out of range."""
        where, given = f"profile {name}", overrides or {}
        try:
            values = _read(name)
            if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
                raise ValueError("overrides must be a dictionary, as {'cloning.epochs': 3}")
            where += f", with {', '.join(map(repr, given))}"[:200] if given else ""
            for key, value in given.items():
                *parents, last = key.split(".")
                part = values
                for word in parents:
                    part = part.setdefault(word, {})
                    if not isinstance(part, dict):
                        raise ValueError(f"unknown key {key!r}: {word!r} has no parts")
                part[last] = value
            if seed is not None:
                values["seed"] = seed
            profile = cls.model_validate_json(json.dumps(values), strict=True)
            for key, check in _CHECKS.items():
                where += (at := f": {key}")
                check(profile.part(key)[key])
                where = where.removesuffix(at)
            return profile
        except ProfileError:
            raise
        except (OSError, TypeError, ValueError, RecursionError) as error:
            known = isinstance(error, ValidationError)
            problem = _first(error) if known else str(getattr(error, "strerror", None) or error)
            raise ProfileError(f"{where}: {' '.join(problem.split())[:500]}") from None

    def part(self, *keys: str) -> dict:
        """The values under dotted ``keys``: the part of the profile that a stage reads."""
        values = self.model_dump(mode="json")
        return {key: reduce(getitem, key.split("."), values) for key in keys}


def available() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


class _PlainLoader(yaml.SafeLoader):
    """Plain data alone: a SafeLoader makes no objects."""


_NUMBER = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")  # YAML 1.1 reads 1e-4 as a word
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def parse_yaml(text: str):
    """Plain data from YAML text; no tags, and no aliases, which can explode.  Raises ValueError."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("aliases are not allowed in a profile")
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"not readable as YAML: {error}") from None


def _read(name: str | Path, extends: bool = False) -> dict:
    """The values of a profile's file, and of the one that it extends."""
    if not isinstance(name, (str, Path)) or not str(name):
        raise ProfileError(f"a profile is a name or a path, not {name!r}")
    path = Path(name)
    if not path.suffix:
        if str(name) not in available():
            raise ProfileError(f"unknown profile {str(name)!r}{hint(str(name), available())}")
        path = PROFILES / f"{name}.yaml"
    values = parse_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError("expected keys and values")
    base: dict = {"name": path.stem}
    if "extends" in values:
        if extends:
            raise ValueError("extends a profile that itself extends another")
        base = _read(values.pop("extends"), extends=True) | base
    for key, value in values.items():  # part by part: data, cloning...
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = {**base[key], **value} if both else value
    return base


def hint(word: str, known: Iterable[str]) -> str:
    """What to try instead of an unknown word: what is spelled like it, or all that is known."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": known are {', '.join(known)}"


def _first(error: ValidationError) -> str:
    """The first problem, and how many more there are."""
    first, *others = error.errors(include_url=False)
    where = ".".join(map(str, first["loc"]))
    message = f"{where}: " * bool(where) + f"{first['msg'].removeprefix('Value error, ')}"
    if first["type"] == "extra_forbidden":
        model = Profile
        for word in first["loc"][:-1]:
            model = model.model_fields[word].annotation
        message = f"unknown key {where!r}{hint(str(first['loc'][-1]), model.model_fields)}"
    elif first["type"] not in ("missing", "value_error"):
        message += f" (got {first['input']!r})"[:120]
    return message + (f" (and {len(others)} more)" if others else "")
