"""For the appendix: every layer, and public models under many tables of synonyms."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.alignment import controls
from paper_utils.alignment.inference import calibrated, p_value, permutations
from paper_utils.config import Profile
from paper_utils.data import grammar
from paper_utils.encoders import public, records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.records import Encoder, Source
from paper_utils.store import Stage, write_table
from paper_utils.study import columns
from paper_utils.study.columns import AGENTS, both_names
from paper_utils.study.scores import READS, Reading, agreement, options, read_scores

MOST_LAYERS = 7  # of one model, evenly spaced
LEAST = 40  # sentences that can be searched and held out


def layers_of(profile: Profile, model: Encoder) -> list[int]:
    """Layers at which a model is read: of those trained here and the public ones, from the words'
    own embeddings (0) on, or from the first block where a special token is read."""
    if model.source is Source.SCRATCH:
        last = profile.encoders.layers
    elif model.source is Source.PUBLIC:
        last = public.load(model.name).blocks
    else:
        return []
    # A special token has read nothing before the first block.
    first = 0 if model.pooling == "mean" else 1
    count = min(MOST_LAYERS, last - first + 1)
    return np.linspace(first, last, count).round().astype(int).tolist()


def _layers(profile: Profile) -> list[tuple[Encoder, int]]:
    found = []
    for model in records.models(profile):
        found += [(model, layer) for layer in layers_of(profile, model)]
    return found


def _needs_layers(profile: Profile, world: int) -> list[tuple[Stage, dict]]:
    needed = columns.needs_agents(profile, world)
    for model, layer in _layers(profile):
        needed.append((EMBEDDING, parameters(model, world, "both", layer)))
    return needed


def _score_layers(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    # The null of every layer has the same permutations, so a maximum over layers has one, too.
    for draw, order in enumerate(permutations(len(table), profile.alignment.draws, world)):
        everyone["permuted", draw] = everyone["acted", 0][order]
    everyone["codebook", 0] = columns.control("codebook", table, world)
    readings = []
    for (model, layer), space in zip(_layers(profile), spaces[len(AGENTS) :], strict=True):
        readings.append(({"model": model.label, "layer": layer}, *both_names(space)))
    asked = options(profile, table, world)
    scores = agreement(readings, everyone, asked, ["synonyms"])
    scores = scores[scores["direction"] == "both"].assign(world=world)
    write_table(folder / "scores.csv.gz", scores)


LAYERS = Stage(
    name="layers",
    make=_score_layers,
    load=read_scores,
    reads=(*READS, "alignment.draws", "encoders.layers"),
    needs=_needs_layers,
    cost=lambda profile, **_: 10.0 + 4.0 * profile.alignment.draws,
)
"""Models at each of their layers, unheard synonyms, both directions: world, model, layer, encoder,
draw, measure, value, chance.  Encoder "permuted" is the null: the acting agent's sentences are
exchanged."""


def best_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """The maximum over layers with the acting agent beside the same maximum under the null: world,
    model, measure, layer, value, null (mean), p, calibrated."""
    rows = []
    by = ["world", "model", "measure"]
    for key, part in layers.groupby(by, sort=False):
        values = part.pivot(index="layer", columns=["encoder", "draw"], values="value")
        acted = values["acted", 0]
        null = values["permuted"].max().to_numpy()
        best = acted.max()
        told = (acted.idxmax(), best, null.mean(), p_value(best, null), calibrated(best, null))
        rows.append((*key, *told))
    return pd.DataFrame(rows, columns=[*by, "layer", "value", "null", "p", "calibrated"])


# --- many tables of synonyms --------------------------------------------------------------------


def by_meaning(texts: list[str], words: dict[str, str]) -> tuple[list[int], list[int]]:
    """Rows of sentences that say another one of them in English, under a swapped table, and the
    rows of those that they say.

    >>> texts = ["go to the red box", "go to the blue box"]
    >>> by_meaning(texts, {"red": "azure", "blue": "scarlet"})
    ([0, 1], [1, 0])
    """
    row = {text: number for number, text in enumerate(texts)}
    meanings = grammar.meanings(words)
    said = []
    meant = []
    for number, text in enumerate(texts):
        meaning = grammar.rename(text, meanings)
        if meaning in row:
            said.append(number)
            meant.append(row[meaning])
    return said, meant


def questions(name: str, table: pd.DataFrame, count: int) -> Iterator[Reading]:
    """What a public model makes of ``count`` tables of each kind, and what its controls make of
    them: its own layer 0, its subwords, letters, and random weights (the profile's own table)."""
    published = public.load(name)
    texts = table["text"].tolist()
    X = published.embed(texts, published.about["layer"])
    for kind in public.KINDS:
        for number, found in enumerate(published.tables(kind, texts)[:count]):
            facts = {"kind": kind, "table": number}
            second = [grammar.rename(text, found.words) for text in texts]
            letters = controls.character_ngrams([*texts, *second])
            yield {**facts, "source": "model"}, X, found.vectors
            yield {**facts, "source": "layer 0"}, published.lexicon(texts), found.lexicon
            yield {**facts, "source": "subwords"}, published.subwords(texts), found.subwords
            yield {**facts, "source": "letters"}, *np.split(letters, 2)
    drawn = published.untrained([*texts, *table["second_text"]])
    for number, both in enumerate(drawn):
        facts = {"kind": "own", "table": number, "source": "untrained"}
        yield facts, *np.split(both, 2)


def follow_meaning(
    profile: Profile, name: str, table: pd.DataFrame, everyone: dict, world: int
) -> Iterator[pd.DataFrame]:
    """Swapped tables scored the other way: by what their sentences say in English."""
    published = public.load(name)
    texts = table["text"].tolist()
    X = published.embed(texts, published.about["layer"])
    swapped = published.tables("swapped", texts)[: profile.alignment.tables]
    for number, found in enumerate(swapped):
        said, meant = by_meaning(texts, found.words)
        if len(meant) >= LEAST:
            some = {key: A[meant] for key, A in everyone.items()}
            facts = {"kind": "swapped, by meaning", "table": number, "source": "model"}
            asked = options(profile, table.iloc[meant], world)
            yield agreement([(facts, X[meant], found.vectors[said])], some, asked, ["synonyms"])


def _score_tables(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    table = columns.instructions(profile)
    everyone = columns.agents(spaces[:2])
    everyone["codebook", 0] = columns.control("codebook", table, world)
    asked = options(profile, table, world)
    parts = [pd.DataFrame(columns=["direction"])]
    for model in records.models(profile):
        if model.source is Source.PUBLIC:
            readings = questions(model.name, table, profile.alignment.tables)
            found = [agreement(readings, everyone, asked, ["synonyms"])]
            found += follow_meaning(profile, model.name, table, everyone, world)
            parts.append(pd.concat(found).assign(model=model.label))
    scores = pd.concat(parts)
    scores = scores[scores["direction"] == "both"].assign(world=world)
    write_table(folder / "scores.csv.gz", scores)


TABLES = Stage(
    name="tables",
    make=_score_tables,
    load=read_scores,
    reads=(*READS, "alignment.tables"),
    needs=columns.needs_agents,
    cost=lambda profile, **_: 10.0 + 6.0 * profile.alignment.tables,
)
"""Public models under many tables of synonyms, with two agents and a codebook (both directions):
world, model, kind, table, source, encoder, measure, value, chance.

``kind``: drawn (real synonyms); swapped (real ones of other words), scored by the table and, as
"swapped, by meaning", by English; pseudo (no words); own: the profile's own table."""
