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

COLUMNS = ("world test model model_kind encoder draw measure direction layer value chance").split()
TESTS = ("same_words", "synonyms")
DIRECTIONS = {"forward": "model_to_agent", "backward": "agent_to_model"}
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
    return {
        "contrasts": ContrastSets(table[ROLES], settings.k, n_permutations=0),
        "cv": settings.folds,
        "n_components": settings.dimension,
        "random_state": world,
    }


def with_both(found: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of `alignment` as one table, with their mean over directions as direction "both"."""
    scores = pd.concat(found).drop(columns=["p", "N", "k"])
    by = [name for name in scores if name not in ("direction", "value")]
    both = scores.groupby(by, sort=False, as_index=False)["value"].mean()
    return pd.concat([scores, both.assign(direction="both")]).round(6)


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
    for model, space in zip(records.models(profile), spaces[len(AGENTS) :], strict=True):
        found.append(({"model": model.label, "model_kind": model.kind}, *both_names(space)))
    return found


def _score(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    table = columns.instructions(profile)
    everyone = columns.agents(spaces)
    everyone |= columns.all_controls(table, world, profile.alignment.draws)
    asked = options(profile, table, world)
    scores = agreement(readings(profile, spaces), everyone, asked)
    write_table(folder / "scores.csv.gz", scores.assign(world=world, layer="fixed")[COLUMNS])


SCORES = Stage(
    name="scores",
    make=_score,
    load=read_scores,
    reads=(*READS, "alignment.draws"),
    needs=columns.needs_everyone,
    cost=lambda profile, **_: 10.0 + 4.0 * profile.alignment.draws,
)
"""Every model of a world with every column: a table with COLUMNS.  ``direction``: model_to_agent,
agent_to_model, or both (their mean)."""


def _score_pairs(profile: Profile, folder: Path, *spaces: pd.DataFrame, world: int) -> None:
    asked = options(profile, columns.instructions(profile), world)
    agents = []
    for (name, _), A in columns.agents(spaces).items():
        agents.append(({"model": name, "model_kind": "agent"}, A, None))
    parts = []
    for group in (agents, readings(profile, spaces)):
        for (facts, X, X2), (other, Y, Y2) in combinations(group, 2):
            told = facts | {"encoder": other["model"], "draw": 0}
            found = alignment.same_words(X, Y, **asked)
            parts.append(found.assign(test="same_words", **told))
            if X2 is not None and Y2 is not None:
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
    cost=lambda profile, **_: 20.0,
)
"""Agents with each other, and models with each other: a table with COLUMNS, where ``encoder`` is
the other of the two, and ``direction`` forward (from ``model`` to ``encoder``), backward or both.
``test``: same_words, or models, with synonyms on both sides."""


def _score_untrained(profile: Profile, folder: Path, *inputs, world: int) -> None:
    table = columns.instructions(profile)
    untrained = []
    for family, drawn in zip(profile.encoders.families, inputs[len(AGENTS) :], strict=True):
        for number, (X, X2) in enumerate(drawn):
            untrained.append(({"family": family, "untrained": number}, X, X2))
    asked = options(profile, table, world)
    scores = agreement(untrained, columns.agents(inputs), asked, ["synonyms"])
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
    cost=lambda profile, **_: 5.0 + 2.0 * profile.alignment.untrained,
)
"""Order with unheard synonyms, of models at random weights: world, family, untrained (its number),
encoder, direction, value."""
