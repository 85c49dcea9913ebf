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
from paper_utils.alignment import ContrastSets
from paper_utils.config import Profile
from paper_utils.encoders import records
from paper_utils.encoders.embedding import UNTRAINED
from paper_utils.store import Stage, write_table
from paper_utils.study import columns
from paper_utils.study.columns import AGENTS, ROLES, Columns, both_names

COLUMNS = "world test model model_kind encoder draw measure direction layer value chance".split()
TESTS = ("same_words", "synonyms")
# The map is fitted once, and asked both ways: images of the model's sentences search the column's,
# and the other way round.
DIRECTIONS = {"forward": "model_to_agent", "backward": "agent_to_model"}
# What of the profile all scores depend on; models and their vectors come with the inputs.
READS = (
    "data.demonstrations",
    "data.synonyms",
    *(f"alignment.{name}" for name in ("k", "dimension", "folds")),
)
# What a model is (columns of the result), and its vectors in first names (N, d) and in synonyms.
Reading = tuple[dict, np.ndarray, np.ndarray | None]


def options(profile: Profile, table: pd.DataFrame, world: int) -> dict:
    """What all comparisons of a world share: what its sentences can be asked, and the map."""
    settings = profile.alignment
    # Questions are prepared once for hundreds of pairs.  Their own nulls are left out: worlds are
    # the unit of every test.
    return {
        "contrasts": ContrastSets(table[ROLES], settings.k, n_permutations=0),
        "cv": settings.folds,
        "n_components": settings.dimension,
        "random_state": world,
    }


def with_both(found: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of `alignment` as one table, with their mean over directions as direction "both"."""
    scores = pd.concat(found)
    # One number for the whole table, or (p) without its null.
    scores = scores.drop(columns=["p", "N", "k"])
    by = [name for name in scores if name not in ("direction", "value")]
    means = scores.groupby(by, sort=False, as_index=False)["value"].mean()
    both = means.assign(direction="both")
    # Six digits: more is rounding, and takes room.
    return pd.concat([scores, both]).round(6)


def agreement(
    readings: Iterable[Reading], everyone: Columns, asked: dict, tests: Sequence[str] = TESTS
) -> pd.DataFrame:
    """Every reading of a model with every column, by each test and direction."""
    parts = []
    for facts, X, X2 in readings:
        # Whoever has no synonyms is asked in the same words alone.
        second = {"same_words": X, "synonyms": X2}
        for test in tests:
            if second[test] is None:
                continue
            for (encoder, draw), A in everyone.items():
                # Asked in first names, this is the test of the same words.
                found = alignment.synonyms(X, second[test], A, **asked)
                told = {"test": test, "encoder": encoder, "draw": draw}
                parts.append(found.assign(**told, **facts))
    return with_both(parts).replace({"direction": DIRECTIONS})


def read_scores(folder: Path) -> pd.DataFrame:
    """The table of a stage that has one."""
    return pd.read_csv(folder / "scores.csv.gz")


def readings(profile: Profile, spaces: Sequence[pd.DataFrame]) -> list[Reading]:
    """Models, from the embeddings after those of agents."""
    found = []
    own = spaces[len(AGENTS) :]
    for model, space in zip(records.models(profile), own, strict=True):
        facts = {"model": model.label, "model_kind": model.kind}
        found.append((facts, *both_names(space)))
    return found


def _score(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    everyone |= columns.all_controls(table, world, profile.alignment.draws)
    asked = options(profile, table, world)
    # The most of all work of a study: models times columns and their draws, by two tests.
    scores = agreement(readings(profile, spaces), everyone, asked)
    # The layer was fixed beforehand; others are in the appendix.
    scores = scores.assign(world=world, layer="fixed")
    write_table(folder / "scores.csv.gz", scores[COLUMNS])


SCORES = Stage(
    name="scores",
    make=_score,
    load=read_scores,
    reads=(*READS, "alignment.draws"),
    needs=columns.needs_everyone,
    cost=lambda profile, **_: 5.0 + 1.2 * profile.alignment.draws,
)
"""Every model of a world with every column: a table with COLUMNS.  ``direction``: model_to_agent,
agent_to_model, or both (their mean)."""


def _score_pairs(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    asked = options(profile, columns.instructions(profile), world)
    # Agents never heard a synonym, so with each other they have the same words alone.
    agents = []
    for (name, _), A in columns.agents(spaces).items():
        agents.append(({"model": name, "model_kind": "agent"}, A, None))
    parts = []
    # Agents with models are in SCORES.
    for group in (agents, readings(profile, spaces)):
        for (facts, X, X2), (other, Y, Y2) in combinations(group, 2):
            told = facts | {"encoder": other["model"], "draw": 0}
            found = alignment.same_words(X, Y, **asked)
            parts.append(found.assign(test="same_words", **told))
            if X2 is not None and Y2 is not None:
                # Both sides know the synonyms here, so both are asked in them.
                found = alignment.second_names(X, X2, Y, Y2, **asked)
                parts.append(found.assign(test="models", **told))
    scores = with_both(parts).assign(world=world, layer="fixed")
    write_table(folder / "scores.csv.gz", scores[COLUMNS])


PAIRS = Stage(
    name="pairs",
    make=_score_pairs,
    load=read_scores,
    reads=READS,
    needs=columns.needs_everyone,
    cost=lambda profile, **_: 8.0,
)
"""Agents with each other, and models with each other: a table with COLUMNS, where ``encoder`` is
the other of the two, and ``direction`` forward (from ``model`` to ``encoder``), backward or both.
``test``: same_words, or models, with synonyms on both sides."""


def _score_untrained(profile: Profile, folder: Path, *inputs, world: int) -> None:
    table = columns.instructions(profile)
    untrained = []
    drawn = inputs[len(AGENTS) :]
    for family, draws in zip(profile.encoders.families, drawn, strict=True):
        for number, (X, X2) in enumerate(draws):
            facts = {"family": family, "untrained": number}
            untrained.append((facts, X, X2))
    asked = options(profile, table, world)
    scores = agreement(untrained, columns.agents(inputs), asked, ["synonyms"])
    # Of order alone the spread by luck is large, and not that of a coin for each sentence.
    order = scores[scores["measure"] == "order"].assign(world=world)
    names = ["world", "family", "untrained", "encoder", "direction", "value"]
    write_table(folder / "scores.csv.gz", order[names])


def _needs_untrained(profile: Profile, world: int) -> list[tuple[Stage, dict]]:
    needed = columns.needs_agents(profile, world)
    for family in profile.encoders.families:
        needed.append((UNTRAINED, {"world": world, "family": family}))
    return needed


ORDER_NULL = Stage(
    name="order-null",
    make=_score_untrained,
    load=read_scores,
    reads=(*READS, "encoders.families"),
    needs=_needs_untrained,
    cost=lambda profile, **_: 3.0 + 0.7 * profile.alignment.untrained,
)
"""Order with unheard synonyms, of models at random weights: world, family, untrained (its number),
encoder, direction, value."""
