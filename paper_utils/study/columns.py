"""Who stands in a world: its agents, controls that are made from texts alone, and models.

A *column* is whom models are compared with.  Three are agents; the others know what somebody can
know who never acted: words, words and places, or which words are one thing (the codebook).
"""

from functools import wraps

import pandas as pd

from paper_utils.alignment import controls
from paper_utils.config import torch_seed
from paper_utils.data import grammar
from paper_utils.encoders import records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.store import Stage, write_table

AGENTS = ("acted", "never_acted", "exchanged")
# What an instruction says, role by role: a codebook has a random vector for each of these.
ROLES = ["verb", "colour", "type", "location", "second_colour", "second_type", "second_location"]
DRAWN = ("random_tokens", "codebook")  # controls of which there are several draws
# Beside the floor (word counts, random tokens) and the ceiling (codebook), for the appendix, what
# letters and edits of words can do.
CONTROLS = (*DRAWN, "word_count", "edit_distance", "character_ngrams", "length")


def instructions(profile, rooms="babyai"):
    """The sentences that every encoder embeds, a row each, with their synonyms and factors."""
    data = profile.data
    return grammar.instructions(data.levels, rooms=rooms, synonyms=data.synonyms)


def control(name, table, world, draw=0, both=False):
    """Vectors (N, D) of a control for the sentences of ``table``; with ``both`` (2N, D), first
    names and then synonyms, which a control other than the codebook takes for other words."""
    if both:
        table = pd.concat([table, table.assign(text=table["second_text"])])
    # It is a perfect dictionary, so a sentence has one vector in either names.
    if name == "codebook":
        return controls.codebook(table[ROLES], torch_seed("codebook", world, draw))
    texts = table["text"].tolist()
    # A random vector for each word, weighted by its place: words and order without any meaning.
    if name == "random_tokens":
        return controls.random_tokens_ordered(texts, torch_seed("random tokens", world, draw))
    return getattr(controls, name)(texts)


def agents(spaces):
    """The agents as columns, (name, draw) -> vectors (N, D) in first names, from the first of some
    embeddings."""
    # Inputs of a stage go on after the agents.
    return {(name, 0): space.to_numpy() for name, space in zip(AGENTS, spaces)}


def both_names(space):
    """Vectors in first names and, if there are any, in synonyms, from an embedding."""
    # An embedding of both names has two levels of index, one of first names has ids alone.
    if space.index.nlevels == 1:
        return space.to_numpy(), None
    return space.loc["first"].to_numpy(), space.loc["second"].to_numpy()


def needs_agents(profile, world):
    """Embeddings of a world's agents, in first names."""
    return [(EMBEDDING, parameters(agent, world)) for agent in records.agents()]


def needs_everyone(profile, world):
    """Embeddings of a world's agents, and then of its models, in all names that they have."""
    return needs_agents(profile, world) + [
        (EMBEDDING, parameters(model, world, "both" if model.has_synonyms else "first"))
        for model in records.models(profile)
    ]


def table_stage(name, make, **options):
    """A stage of tables of a world, made by ``make(profile, *inputs, **parameters)``: one, or
    several by name.  ``options``: of `Stage`."""

    # Its code is that of the module of ``make``.
    @wraps(make)
    def write(profile, folder, *inputs, **parameters):
        made = make(profile, *inputs, **parameters)
        named = made if isinstance(made, dict) else {"scores": made}
        for name, table in named.items():
            # Six digits: more is rounding, and takes room.
            table = table.assign(world=parameters["world"]).round(6)
            write_table(folder / f"{name}.csv.gz", table)

    return Stage(name, write, read_tables, **options)


def read_tables(folder):
    """The table of a stage, or if there are several, these by name."""
    named = {path.name.split(".")[0]: pd.read_csv(path) for path in folder.glob("*.csv.gz")}
    return named if len(named) > 1 else next(iter(named.values()))
