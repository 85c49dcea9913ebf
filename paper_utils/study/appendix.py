"""For the appendix: every layer, and public models under many tables of synonyms."""

import numpy as np
import pandas as pd

from paper_utils.alignment import controls
from paper_utils.alignment.inference import calibrated, p_value, pairings
from paper_utils.data import grammar
from paper_utils.encoders import public, records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.records import Source
from paper_utils.study import columns
from paper_utils.study.columns import AGENTS, both_names
from paper_utils.study.scores import READS, in_synonyms

MOST_LAYERS = 7  # of one model, evenly spaced
MEANING = "swapped, by meaning"


def layers_of(profile, model):
    """Layers at which a model is read: of those trained here and the public ones, from the words'
    own embeddings (0) on, or from the first block where a special token is read."""
    if model.source is Source.SCRATCH:
        last = profile.encoders.layers
    elif model.source is Source.PUBLIC:
        # Every layer of these is published; checkpoints are read at the fixed one alone.
        last = public.load(model.name).blocks
    else:
        return []
    # A special token has read nothing before the first block.
    first = 0 if model.pooling == "mean" else 1
    return np.unique(np.linspace(first, last, MOST_LAYERS).round()).astype(int).tolist()


def _layers(profile):
    return [
        (model, layer) for model in records.models(profile) for layer in layers_of(profile, model)
    ]


def _needs_layers(profile, world):
    return columns.needs_agents(profile, world) + [
        (EMBEDDING, parameters(model, world, "both", layer)) for model, layer in _layers(profile)
    ]


def _score_layers(profile, *spaces, world):
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    everyone["codebook", 0] = columns.control("codebook", table, world)
    # The null of every layer has the same permutations, so a maximum over layers has one, too.
    # Rows move among all sentences.
    for draw, order in enumerate(pairings(len(table), profile.alignment.draws, world)[1:]):
        everyone["permuted", draw] = everyone["acted", 0][order]
    readings = [
        ({"model": model.label, "layer": layer}, *both_names(space))
        for (model, layer), space in zip(_layers(profile), spaces[len(AGENTS) :])
    ]
    return in_synonyms(profile, world, readings, everyone)


LAYERS = columns.table_stage(
    "layers",
    _score_layers,
    reads=(*READS, "alignment.draws", "encoders.layers"),
    needs=_needs_layers,
    cost=lambda *_, **__: 19.0,
)
"""Models at each of their layers, unheard synonyms, both directions: world, model, layer, encoder,
draw, measure, value, chance.  Encoder "permuted" is the null: the acting agent's sentences are
exchanged."""


def best_layers(layers):
    """The maximum over layers with the acting agent beside the same maximum under the null: world,
    model, measure, layer, value, null (mean), p, calibrated."""
    rows = []
    by = ["world", "model", "measure"]
    for key, part in layers.groupby(by, sort=False):
        values = part.pivot(index="layer", columns=["encoder", "draw"], values="value")
        acted = values["acted", 0]
        # Who looks at all layers and names the best has to do so under the null, too.
        null = values["permuted"].max().to_numpy()
        best = acted.max()
        told = best, null.mean(), p_value(best, null), calibrated(best, null)
        rows.append((*key, acted.idxmax(), *told))
    return pd.DataFrame(rows, columns=[*by, "layer", "value", "null", "p", "calibrated"])


# --- many tables of synonyms --------------------------------------------------------------------


def by_meaning(texts, words):
    """For each sentence, the row of the one in which its colours are those that its synonyms mean
    in English.

    >>> texts = ["go to the red box", "go to the blue box"]
    >>> by_meaning(texts, {"red": "azure", "blue": "scarlet"})
    [1, 0]
    """
    meanings = grammar.meanings(words)
    rows = []
    for text in texts:
        # Colours alone: with other verbs and types a sentence may say what no level asks.
        meant = grammar.rename(text, meanings, lambda phrase: phrase in grammar.COLOURS)
        rows.append(texts.index(meant))
    return rows


def questions(name, table, count):
    """What a public model makes of ``count`` tables of each kind, and what its controls make of
    them: its own layer 0, its subwords, letters, and random weights (the profile's own table)."""
    published = public.load(name)
    texts = table["text"].tolist()
    # As compact as the tables' own vectors are published: both are in the same components.
    X = published.embed(texts, published.about["layer"])
    for kind in public.KINDS:
        for number, found in enumerate(published.tables(kind, texts)[:count]):
            facts = {"kind": kind, "table": number}
            second = [grammar.rename(text, found.words) for text in texts]
            asked = {
                "model": (X, found.vectors),
                "layer 0": (published.lexicon(texts), found.lexicon),
                "subwords": (published.subwords(texts), found.subwords),
                "letters": np.split(controls.character_ngrams([*texts, *second]), 2),
            }
            for source, pair in asked.items():
                yield facts | {"source": source}, *pair
            if kind == "swapped":
                # The same sentences in the places of those whose colours they mean.
                moved = np.empty_like(found.vectors)
                moved[by_meaning(texts, found.words)] = found.vectors
                yield facts | {"kind": MEANING, "source": "model"}, X, moved
    # What the architecture does before it has read anything.
    for number, both in enumerate(published.untrained([*texts, *table["second_text"]])):
        yield {"kind": "own", "table": number, "source": "untrained"}, *np.split(both, 2)


def _score_tables(profile, *spaces, world):
    table = columns.instructions(profile)
    # Acted and never acted: exchanged instructions have nothing to say of English.
    everyone = columns.agents(spaces[:2])
    everyone["codebook", 0] = columns.control("codebook", table, world)
    parts = [pd.DataFrame(columns=["kind", "measure"])]
    for model in records.models(profile):
        if model.source is Source.PUBLIC:
            readings = questions(model.name, table, profile.alignment.tables)
            found = in_synonyms(profile, world, readings, everyone)
            parts.append(found.assign(model=model.label))
    # By meaning, colours alone are in their places.
    return pd.concat(parts).query("kind != @MEANING or measure == 'colour'")


TABLES = columns.table_stage(
    "tables",
    _score_tables,
    reads=(*READS, "alignment.tables"),
    needs=columns.needs_agents,
    cost=lambda profile, **_: 5.5 * profile.alignment.tables,
)
"""Public models under many tables of synonyms, with two agents and a codebook (both directions):
world, model, kind, table, source, encoder, measure, value, chance.

``kind``: drawn (real synonyms); swapped (real ones of other words), scored by the table and, in
colour, by what the words mean in English (MEANING); pseudo (no words); own: the profile's own
table."""
