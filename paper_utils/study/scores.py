"""Scores of a world: every model with every column, by two tests; and models with each other.

*Same words* is the paper's measure, held out.  *Unheard synonyms* fits the map in first names and
asks the model's sentence in synonyms, words that no agent ever heard.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils import alignment
from paper_utils.config import Profile
from paper_utils.encoders import records
from paper_utils.encoders.embedding import UNTRAINED
from paper_utils.store import Stage, write_table
from paper_utils.study import columns
from paper_utils.study.columns import AGENTS, ROLES, Columns, both_names

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
# What a model is (columns of the result), and its vectors in first names (N, d) and in synonyms.
Reading = tuple[dict, np.ndarray, np.ndarray | None]


def options(profile: Profile, table: pd.DataFrame, world: int) -> dict:
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


def with_both(found: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of `alignment` as one table, with their mean over directions as direction "both"."""
    # One number for the whole table, or (p) without its null.
    scores = pd.concat(found).drop(columns=["p", "N", "k"])
    by = scores.columns.drop(["direction", "value"]).tolist()
    means = scores.groupby(by, sort=False, as_index=False)["value"].mean()
    # Six digits: more is rounding, and takes room.
    return pd.concat([scores, means.assign(direction="both")]).round(6)


def agreement(
    readings: Iterable[Reading], everyone: Columns, asked: dict, tests: Sequence[str] = TESTS
) -> pd.DataFrame:
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


def in_synonyms(
    profile: Profile, world: int, readings: Iterable[Reading], everyone: Columns
) -> pd.DataFrame:
    """`agreement` by unheard synonyms alone, mean of both directions."""
    asked = options(profile, columns.instructions(profile), world)
    scores = agreement(readings, everyone, asked, ["synonyms"])
    return scores.query("direction == 'both'").assign(world=world)


def write_scores(folder: Path, scores: pd.DataFrame) -> None:
    """Writes the table of a stage that has one."""
    write_table(folder / "scores.csv.gz", scores)


def read_scores(folder: Path) -> pd.DataFrame:
    """Reads it."""
    return pd.read_csv(folder / "scores.csv.gz")


def readings(profile: Profile, spaces: Sequence[pd.DataFrame]) -> list[Reading]:
    """Models, from the embeddings after those of agents."""
    found = []
    for model, space in zip(records.models(profile), spaces[len(AGENTS) :]):
        facts = {"model": model.label, "model_kind": model.kind}
        found.append((facts, *both_names(space)))
    return found


def _score(profile, folder, *spaces, world):
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    for name in columns.CONTROLS:
        for draw in range(profile.alignment.draws if name in columns.DRAWN else 1):
            everyone[name, draw] = columns.control(name, table, world, draw)
    # The most of all work of a study: models times columns and their draws, by two tests.
    scores = agreement(readings(profile, spaces), everyone, options(profile, table, world))
    write_scores(folder, scores.assign(world=world))


SCORES = Stage(
    "scores",
    _score,
    read_scores,
    reads=(*READS, "alignment.draws"),
    needs=columns.needs_everyone,
    cost=lambda profile, **_: 5.0 + 1.2 * profile.alignment.draws,
)
"""Every model of a world with every column: world, test, model, model_kind, encoder, draw, measure,
direction, value, chance.  ``direction``: model_to_agent, agent_to_model, or both (their mean)."""


def _score_pairs(profile, folder, *spaces, world):
    asked = options(profile, columns.instructions(profile), world)
    # Agents never heard a synonym, so with each other they have the same words alone.
    agents = []
    for (name, _), A in columns.agents(spaces).items():
        agents.append(({"model": name, "model_kind": "agent"}, A, None))
    parts = []
    # Agents with models are in SCORES.
    for group in (agents, readings(profile, spaces)):
        for (facts, X, X2), (other, Y, Y2) in combinations(group, 2):
            told = facts | {"encoder": other["model"]}
            found = alignment.same_words(X, Y, **asked)
            parts.append(found.assign(test="same_words", **told))
            if X2 is not None and Y2 is not None:
                # Both sides know the synonyms here, so both are asked in them.
                found = alignment.second_names(X, X2, Y, Y2, **asked)
                parts.append(found.assign(test="models", **told))
    write_scores(folder, with_both(parts).assign(world=world))


PAIRS = Stage("pairs", _score_pairs, read_scores, reads=READS, needs=columns.needs_everyone)
"""Agents with each other, and models with each other: columns as of SCORES, where ``encoder`` is
the other of the two, and ``direction`` forward (from ``model`` to ``encoder``), backward or both.
``test``: same_words, or models, with synonyms on both sides."""


def _score_untrained(profile, folder, *inputs, world):
    untrained = []
    for family, draws in zip(profile.encoders.families, inputs[len(AGENTS) :]):
        for number, (X, X2) in enumerate(draws):
            untrained.append(({"family": family, "untrained": number}, X, X2))
    scores = in_synonyms(profile, world, untrained, columns.agents(inputs))
    # Of order alone the spread by luck is large, and not that of a coin for each sentence.
    write_scores(folder, scores.query("measure == 'order'"))


def _needs_untrained(profile: Profile, world: int) -> columns.Needs:
    needed = columns.needs_agents(profile, world)
    for family in profile.encoders.families:
        needed.append((UNTRAINED, {"world": world, "family": family}))
    return needed


ORDER_NULL = Stage(
    "order-null",
    _score_untrained,
    read_scores,
    reads=(*READS, "encoders.families"),
    needs=_needs_untrained,
    cost=lambda profile, **_: 3.0 + 0.7 * profile.alignment.untrained,
)
"""Order with unheard synonyms, of models at random weights, both directions: world, family,
untrained (its number), encoder, value."""
