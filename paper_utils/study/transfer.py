"""Acting on another model's sentence: the agent of a world is given a mapped vector, and plays.

A linear map from another encoder's space into the agent's is fitted on sentences in first names.
The agent then acts on images of other sentences, in first names and in synonyms it never heard.
"""

from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.config import generator
from paper_utils.data import grammar, levels
from paper_utils.encoders import records
from paper_utils.encoders.embedding import EMBEDDING, parameters
from paper_utils.encoders.records import Encoder
from paper_utils.study import columns

# Of ridge, in units of the spread of rows; the best is chosen by leave-one-out, on training rows.
STRENGTHS = np.array([1e-3, 1e-2, 1e-1, 1.0, 10.0])
RANDOM = "random moves"  # how often an episode ends well by itself
WRONG = "wrong instruction"  # how often it does whatever is said
# In what the sentences of a source are said; of its own vectors none is mapped.
FIRST = "first names"
SYNONYMS = "synonyms"
UNMAPPED = "unmapped"
# Sources that are no models, and their part in the comparison.
KINDS = {
    "own": "ceiling",  # the agent's own vector of the sentence
    "codebook": "ceiling",
    WRONG: "control",  # its own vector of another sentence of the same template
    RANDOM: "control",  # without any vector
    "word_count": "control",
    "random_tokens": "control",
}


def mapped(X, X2, target, cv=5, random_state=0):
    """Images (N, width) of X2 in a target space, each by a map that was fitted without its row.

    Arguments:
        X, X2: (N, d), a model's vectors of N sentences in first names, and in synonyms.
        target: (N, width), the agent's vectors of the same sentences.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 8))
    >>> target = X @ rng.normal(size=(8, 5))
    >>> np.allclose(mapped(X, X, target), target, atol=0.1)
    True
    """
    images = np.empty(target.shape)
    # Each sentence once in a fold that the map has not seen, as in the tests of agreement.
    for train, test in KFold(cv, shuffle=True, random_state=random_state).split(X):
        # Spaces differ in scale by orders of magnitude, and so would a fixed strength in effect.
        spread = X[train].var(axis=0).sum()
        ridge = RidgeCV(spread * STRENGTHS)
        images[test] = ridge.fit(X[train], target[train]).predict(X2[test])
    return images


def exchanged(template, world):
    """For each sentence another one of its template (N,); if it is alone there, itself."""
    wrong = np.arange(len(template))
    rng = generator("wrong instructions", world)
    for rows in template.groupby(template).indices.values():
        # A cycle through all of them moves every one.
        order = rng.permutation(rows)
        wrong[order] = np.roll(order, 1)
    return wrong


def _vectors(profile, table, own, spaces, world, source):
    """Said in what -> the vectors (N, width) that instructions are played with; None: with none."""
    if source == RANDOM:
        return {UNMAPPED: None}
    if source == "own":
        return {UNMAPPED: own}
    if source == WRONG:
        return {UNMAPPED: own[exchanged(table["template"], world)]}
    if spaces:
        X, X2 = columns.both_names(spaces[0])
    else:
        # A control has vectors of synonyms, too: to all but the codebook they are new words.
        X, X2 = np.split(columns.control(source, table, world, both=True), 2)
    both = {FIRST: X.astype(float), SYNONYMS: X2.astype(float)}
    folds = profile.alignment.folds
    return {said: mapped(both[FIRST], each, own, folds, world) for said, each in both.items()}


def _transfer(profile, agent, *spaces, world, source):
    table = columns.instructions(profile)
    own = agent.policy.embed(table["text"].tolist()).astype(float)
    # The same episodes for every source, so that their successes can be compared.
    seeds = levels.seeds("evaluation", profile.cloning.transfer_episodes, world)
    limit = profile.cloning.transfer_steps
    row = {text: number for number, text in enumerate(table["text"])}
    vectors = _vectors(profile, table, own, spaces, world, source)
    parts = []
    for (said, images), level in product(vectors.items(), profile.data.levels):

        def sentences(missions, images=images):
            """The vectors float32 (B, width) that B missions are played with."""
            # Whichever article the level says: vectors are of "the".
            asked = [row[grammar.canonical(mission)] for mission in missions]
            return images[asked].astype(np.float32)

        if source == RANDOM:
            played = evaluation.play(level, seeds, evaluation.random_player, limit=limit)
        else:
            played = evaluation.evaluate(agent.policy, level, seeds, sentences, limit=limit)
        parts.append(played.assign(said=said))
    name = source if isinstance(source, str) else Encoder(**source).label
    return pd.concat(parts)[["said", "level", "seed", "success", "steps"]].assign(source=name)


def _needs(profile, world, source):
    needed = [(AGENT, agent_parameters(world, Condition.ACTED))]
    if isinstance(source, dict):
        needed.append((EMBEDDING, parameters(Encoder(**source), world, "both")))
    return needed


TRANSFER = columns.table_stage(
    "transfer",
    _transfer,
    cost=lambda profile, **_: 0.06 * profile.cloning.transfer_episodes,
    reads=(
        "data.demonstrations",
        "data.synonyms",
        "alignment.folds",
        "cloning.transfer_episodes",
        "cloning.transfer_steps",
    ),
    needs=_needs,
)
"""Episodes of a world's acting agent on vectors of ``source``: one of KINDS, or an encoder's record
(a dictionary).  Columns: said (FIRST, SYNONYMS or UNMAPPED), level, seed, success, steps, source
(its name), world."""


def sources(profile):
    """Name -> ``source`` of everything whose sentences a world's agent acts on."""
    # A file of vectors may have no synonyms.
    models = {one.label: asdict(one) for one in records.models(profile) if one.has_synonyms}
    return dict(zip(KINDS, KINDS)) | models


def success(episodes):
    """Success by world, source, kind (ceiling, control, model), said and level."""
    kinds = episodes["source"].map(KINDS).fillna("model")
    each = episodes.groupby(["world", "source", kinds.rename("kind"), "said", "level"], sort=False)
    return each["success"].agg(success="mean", episodes="size").reset_index()
