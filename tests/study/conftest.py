"""Eight worlds whose truth is planted, and the first of them alone."""

from __future__ import annotations

import pandas as pd
import pytest
from planted_worlds import OWN, STRUCTURE, other_tables, world_of_scores


@pytest.fixture(scope="session")
def eight() -> dict[str, pd.DataFrame]:
    """All tables of eight worlds, of which two are computed and the others are much like them."""
    computed = [world_of_scores(world) for world in (100, 101)]
    each = []
    for number, world in enumerate(range(100, 108)):
        like = computed[number % 2]
        each.append(like.assign(world=world, value=like["value"] + 0.001 * (number // 2)))
    tables = other_tables(range(100, 108), OWN, STRUCTURE)
    return tables | {"scores": pd.concat(each, ignore_index=True)}


@pytest.fixture
def one(eight) -> dict[str, pd.DataFrame]:
    """The same, of its first world alone."""
    return {name: table[table["world"] == 100] for name, table in eight.items()}
