"""The plan of work knows every stage, and every product can be asked for by name."""

from __future__ import annotations

import json

import pytest

from paper_utils import Profile
from paper_utils.store import STAGES
from paper_utils.study import products, transfer


@pytest.fixture(scope="module")
def smoke() -> Profile:
    return Profile.load("smoke", {"worlds": 2})


def test_every_needed_stage_has_a_name_and_plain_parameters(smoke):
    waiting = products.products(smoke)
    seen = set()
    while waiting:
        stage, profile, parameters = waiting.pop()
        assert STAGES[stage.name] is stage
        assert json.loads(json.dumps(parameters)) == parameters
        assert stage.cost(profile, **parameters) > 0
        key = stage.key(profile, parameters)
        if key not in seen:
            seen.add(key)
            for needed, chosen in stage.needs(profile, **parameters):
                waiting.append((needed, profile, chosen))
    # All stages but none are made by a run.
    assert len(seen) > 100


def test_every_stage_is_needed_by_some_notebook(smoke):
    waiting = products.products(smoke)
    names = set()
    seen = set()
    while waiting:
        stage, profile, parameters = waiting.pop()
        names.add(stage.name)
        key = stage.key(profile, parameters)
        if key not in seen:
            seen.add(key)
            waiting += [(needed, profile, chosen) for needed, chosen in
                        stage.needs(profile, **parameters)]  # fmt: skip
    ours = {name for name, one in STAGES.items() if one.make.__module__.startswith("paper_utils")}
    # Notebooks are not needed by notebooks.
    assert names == ours - {"notebook"}


def test_a_notebook_asks_for_its_own_part(smoke):
    everything = {stage.key(profile, chosen) for stage, profile, chosen in products.products(smoke)}
    for notebook, own in products.by_notebook(smoke).items():
        assert own == products.products(smoke, notebook) != []
        assert {stage.key(profile, chosen) for stage, profile, chosen in own} <= everything
    assert products.products(smoke, "07_your_own") == []


def test_worlds_share_no_product_of_their_own(smoke):
    first, second = (
        {stage.key(profile, chosen) for stage, profile, chosen in products.products(smoke)
         if chosen["world"] == world and chosen.get("player") != "held_out"}
        for world in smoke.world_numbers
    )  # fmt: skip
    assert not first & second


def test_only_the_first_world_holds_words_out(smoke):
    held_out = [one for one in products.evaluations(smoke) if one["player"] == "held_out"]
    assert {one["world"] for one in held_out} == {smoke.world_numbers[0]}


def test_every_model_and_control_is_played_with(smoke):
    sources = transfer.sources(smoke)
    assert set(transfer.KINDS) < set(sources)
    assert {"LLaMA", "BERT", "CLIP"} < set(sources)
