"""The tables of a run as plain rows."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from planted_worlds import STRUCTURE

from paper_utils import Profile
from paper_utils.store import json_bytes
from paper_utils.study import kinds, products, results, transfer

ROWS = (
    "same_words synonyms knows_synonyms differences order_null geometry verbs success transfer "
    "structure claims pairs"
).split()


@pytest.fixture(scope="module")
def found(eight) -> dict:
    profile = Profile.load("smoke", {"worlds": 2, "first_world": 100})
    named = {"scores": "scores", "pairs": "pairs", "order-null": "order_null"}
    played = pd.DataFrame({"success": [True, False], "steps": [3, 9]})
    distances = pd.DataFrame({"learner": ["blind agent"], "distance": [0.5]})

    def load(stage, profile, world, **parameters):
        here = {name: table[table["world"] == world] for name, table in eight.items()}
        if stage.name in named:
            return here[named[stage.name]]
        if stage.name == "spaces":
            return {name: here[name] for name in ("knows_synonyms", "geometry", "verbs")}
        if stage.name == "structure":
            return {"structure": here["structure"], "distances": distances}
        level = [parameters.get("level", "PickupLoc")] * 2
        facts = {"world": world, "source": "own", "said": transfer.UNMAPPED}
        return played.assign(level=level, seed=[0, 1], **facts)

    return results.results(profile, load)


def test_results_are_lists_of_plain_rows(found):
    assert json.loads(json_bytes(found)) == found
    for name in ROWS:
        assert found[name] and isinstance(found[name][0], dict), name
    assert found["worlds"] == [100, 101]
    assert found["instructions"] == 439
    assert found["chance"] == pytest.approx(15 / 439, abs=1e-4)


def test_rows_have_the_names_that_readers_rely_on(found):
    synonyms = {
        "world",
        "model",
        "model_kind",
        "encoder",
        "measure",
        "direction",
        "value",
        "chance",
    }
    assert synonyms <= set(found["synonyms"][0])
    assert {"world", "model", "acted", "never_acted"} <= set(found["geometry"][0])
    assert {"world", "player", "level", "success"} <= set(found["success"][0])
    assert {"world", "source", "level", "success", "episodes"} <= set(found["transfer"][0])
    assert {"world", "first", "second", "condition", "r", "p"} <= set(found["structure"][0])
    wanted = "test measure model contrast mean low high p p_equivalent worlds"
    assert set(wanted.split()) <= set(found["differences"][0])


def test_draws_are_one_row(found):
    by = ("world", "model", "encoder", "measure", "direction")
    keys = [tuple(row[name] for name in by) for row in found["synonyms"]]
    assert len(set(keys)) == len(keys)


def test_structure_has_one_row_for_all_draws(found):
    rows = found["structure"]
    assert len(rows) == 2 * 3 * len(STRUCTURE)
    assert {row["condition"] for row in rows} == {kinds.OWN, kinds.OTHER, "codebook"}


def test_every_table_is_made_of_products_in_the_plan():
    # A notebook that loads the tables of a run finds everything made.
    profile = Profile.load("smoke")
    asked = set()

    class Asked(Exception):
        pass

    planned = {
        stage.key(chosen_profile, chosen)
        for stage, chosen_profile, chosen in products.products(profile, "04_alignment")
    }

    def load(stage, chosen_profile, **parameters):
        asked.add(stage.key(chosen_profile, parameters))
        return {} if stage.name in ("spaces", "structure") else pd.DataFrame()

    with pytest.raises((KeyError, ValueError)):
        results.tables(profile, load)
    assert asked and asked <= planned
