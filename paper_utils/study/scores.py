"""Scores of a world: every model with every column, by two tests; and models with each other.

*Same words* is the paper's measure, held out.  *Unheard synonyms* fits the map in first names and
asks the model's sentence in synonyms, words that no agent ever heard.
"""

from itertools import combinations

import pandas as pd

from paper_utils import alignment
from paper_utils.encoders import records
from paper_utils.encoders.embedding import UNTRAINED
from paper_utils.study import columns
from paper_utils.study.columns import AGENTS, ROLES, both_names

# The map is fitted once, and asked both ways: images of the model's sentences search the column's,
# and the other way round.
DIRECTIONS = {"forward": "model_to_agent", "backward": "agent_to_model"}
TESTS = ("same_words", "synonyms")
# What of the profile all scores depend on; models and their vectors come with the inputs.
READS = (
    "data.demonstrations",
    "data.synonyms",
    "alignment.k",
    "alignment.dimension",
    "alignment.folds",
)


def options(profile, table, world):
    """What all comparisons of a world share: what its sentences can be asked, and the map."""
    settings = profile.alignment
    # Questions are prepared once for hundreds of pairs.  Their own nulls are left out: worlds are
    # the unit of every test.
    return {
        "contrasts": alignment.ContrastSets(table[ROLES], settings.k, n_permutations=0),
        "cv": settings.folds,
        "n_components": settings.dimension,
        "random_state": world,
    }


def mean_over(scores, column):
    """Means of ``value`` over rows that differ in one column alone."""
    by = scores.columns.drop([column, "value"]).tolist()
    return scores.groupby(by, sort=False, as_index=False)["value"].mean()


def with_both(found):
    """Rows of `alignment` as one table, with their mean over directions as direction "both"."""
    # Without a null there is no p.
    scores = pd.concat(found).drop(columns="p")
    return pd.concat([scores, mean_over(scores, "direction").assign(direction="both")])


def agreement(readings, everyone, asked, tests=TESTS):
    """Every reading of a model with every column, by each test and direction."""
    parts = []
    for facts, X, X2 in readings:
        # Asked in first names, the test of synonyms is that of the same words.
        second = {"same_words": X, "synonyms": X2}
        for test in tests:
            # Whoever has no synonyms is asked in the same words alone.
            if second[test] is None:
                continue
            for (encoder, draw), A in everyone.items():
                found = alignment.synonyms(X, second[test], A, **asked)
                parts.append(found.assign(test=test, encoder=encoder, draw=draw, **facts))
    return with_both(parts).replace({"direction": DIRECTIONS})


def in_synonyms(profile, world, readings, everyone):
    """`agreement` by unheard synonyms alone, mean of both directions."""
    asked = options(profile, columns.instructions(profile), world)
    return agreement(readings, everyone, asked, ["synonyms"]).query("direction == 'both'")


def readings(profile, spaces):
    """Models, from the embeddings after those of agents.  A reading is what a model is (columns of
    the result), and its vectors (N, d) in first names and in synonyms, or None."""
    return [
        ({"model": model.label, "model_kind": model.kind}, *both_names(space))
        for model, space in zip(records.models(profile), spaces[len(AGENTS) :])
    ]


def _score(profile, *spaces, world):
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    for name in columns.CONTROLS:
        for draw in range(profile.alignment.draws if name in columns.DRAWN else 1):
            everyone[name, draw] = columns.control(name, table, world, draw)
    # The most of all work of a study: models times columns and their draws, by two tests.
    return agreement(readings(profile, spaces), everyone, options(profile, table, world))


SCORES = columns.table_stage(
    "scores",
    _score,
    reads=(*READS, "alignment.draws"),
    needs=columns.needs_everyone,
    cost=lambda *_, **__: 22.0,
)
"""Every model of a world with every column: world, test, model, model_kind, encoder, draw, measure,
direction, value, chance.  ``direction``: model_to_agent, agent_to_model, or both (their mean)."""


def _score_pairs(profile, *spaces, world):
    asked = options(profile, columns.instructions(profile), world)
    # Agents never heard a synonym, so with each other they have the same words alone.
    agents = [
        ({"model": name, "model_kind": "agent"}, A, None)
        for (name, _), A in columns.agents(spaces).items()
    ]
    parts = []
    # Agents with models are in SCORES.
    for group in (agents, readings(profile, spaces)):
        for (facts, X, X2), (other, Y, Y2) in combinations(group, 2):
            tests = {"same_words": alignment.same_words(X, Y, **asked)}
            if X2 is not None and Y2 is not None:
                # Both sides know the synonyms here, so both are asked in them.
                tests["models"] = alignment.second_names(X, X2, Y, Y2, **asked)
            for test, found in tests.items():
                parts.append(found.assign(test=test, **facts, encoder=other["model"]))
    return with_both(parts)


PAIRS = columns.table_stage(
    "pairs", _score_pairs, reads=READS, needs=columns.needs_everyone, cost=lambda *_, **__: 4.0
)
"""Agents with each other, and models with each other: columns as of SCORES, where ``encoder`` is
the other of the two, and ``direction`` forward (from ``model`` to ``encoder``), backward or both.
``test``: same_words, or models, with synonyms on both sides."""


def _score_untrained(profile, *inputs, world):
    untrained = []
    for family, draws in zip(profile.encoders.families, inputs[len(AGENTS) :]):
        for number, both in enumerate(draws):
            untrained.append(({"family": family, "untrained": number}, *both))
    scores = in_synonyms(profile, world, untrained, columns.agents(inputs))
    # Of order alone the spread by luck is large, and not that of a coin for each sentence.
    return scores.query("measure == 'order'")


def _needs_untrained(profile, world):
    return columns.needs_agents(profile, world) + [
        (UNTRAINED, {"world": world, "family": family}) for family in profile.encoders.families
    ]


ORDER_NULL = columns.table_stage(
    "order-null",
    _score_untrained,
    reads=(*READS, "encoders.families"),
    needs=_needs_untrained,
    cost=lambda profile, **_: 0.5 * profile.alignment.untrained,
)
"""Order with unheard synonyms, of models at random weights, both directions: world, family,
untrained (its number), encoder, value."""
