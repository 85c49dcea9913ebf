import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from commands import place_of

from paper_utils import Profile
from paper_utils.cloning import agents, training
from paper_utils.cloning.agents import AGENT, CURVES, SIZES, Condition, agent_parameters
from paper_utils.cloning.policy import Sizes
from paper_utils.store import Store

TEXTS = ["go to the red ball", "go to the blue box", "open the grey door"]


@pytest.fixture(scope="module")
def made(store, profile, world) -> dict[Condition, agents.Agent]:
    """One agent of every condition."""
    return {
        condition: store.get(AGENT, profile, **agent_parameters(world, condition))
        for condition in Condition
    }


def test_all_who_act_take_the_same_number_of_steps(made, profile):
    steps = {c: made[c].curve["step"].max() for c in Condition if c != Condition.NEVER_ACTED}
    acted = steps[Condition.ACTED]
    assert acted == profile.cloning.epochs * 12  # 180 episodes, 16 at once
    assert steps[Condition.EXCHANGED] == steps[Condition.BLIND] == acted
    assert steps[Condition.HELD_OUT] == pytest.approx(acted, rel=0.3)
    assert made[Condition.NEVER_ACTED].curve.empty


def test_no_two_agents_are_the_same(made):
    spaces = [agent.policy.embed(TEXTS) for agent in made.values()]
    for number, one in enumerate(spaces):
        for other in spaces[:number]:
            assert np.abs(one - other).max() > 0.1


def test_each_agent_is_validated_on_episodes_of_its_own_kind(made):
    """After the same training an exchanged agent does not predict what others cannot hear."""
    acted, exchanged = (made[c].curve for c in (Condition.ACTED, Condition.EXCHANGED))
    assert list(acted) == list(exchanged)
    assert (acted["validation_loss"] != exchanged["validation_loss"]).all()


def test_agents_that_never_acted_are_initial_weights_and_draws_differ(store, profile, world, made):
    again = agents.new_policy(profile.cloning, world, Condition.NEVER_ACTED)
    np.testing.assert_array_equal(
        again.embed(TEXTS), made[Condition.NEVER_ACTED].policy.embed(TEXTS)
    )
    second = store.get(AGENT, profile, **agent_parameters(world, Condition.NEVER_ACTED, draw=1))
    assert np.abs(second.policy.embed(TEXTS) - again.embed(TEXTS)).max() > 0.1
    starts = {
        tuple(agents.new_policy(profile.cloning, w, condition, draw).embed(TEXTS[:1])[0])
        for w in (world, world + 1)
        for condition in Condition
        for draw in (0, 1)
    }
    assert len(starts) == 2 * len(Condition) * 2


def test_a_new_policy_leaves_the_caller_s_random_numbers_alone(profile):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    agents.new_policy(profile.cloning, 7, Condition.ACTED)
    assert torch.equal(torch.rand(3), expected)


def test_what_is_shown(demonstrations, profile, world):
    parts = demonstrations["train"]
    settings = profile.cloning
    shown = {c: agents.shown_to(c, parts, settings, world) for c in Condition}
    for before, same in zip(parts, shown[Condition.ACTED], strict=True):
        assert before is same
    exchanged = shown[Condition.EXCHANGED][0]
    assert exchanged.observations is parts[0].observations
    assert sorted(exchanged.instructions) == sorted(parts[0].instructions)
    other_world = agents.shown_to(Condition.EXCHANGED, parts, settings, world + 1)[0]
    assert (other_world.instructions != exchanged.instructions).any()
    for part in shown[Condition.HELD_OUT]:
        joined = " | ".join(part.instructions)
        assert len(part) and not any(phrase in joined for phrase in settings.held_out)
    blind = shown[Condition.BLIND][0]
    assert (blind.observations[..., 1] == 6).any()
    np.testing.assert_array_equal(blind.instructions, parts[0].instructions)


def test_needs_are_the_demonstrations_of_each_level_and_nothing_if_it_never_acted(profile):
    needed = AGENT.needs(profile, **agent_parameters(3, Condition.BLIND, "babyai"))
    assert [(p["split"], p["level"]) for _, p in needed] == [
        (split, level) for split in ("train", "validation") for level in profile.data.levels
    ]
    assert all(p["world"] == 3 and p["rooms"] == "babyai" for _, p in needed)
    assert AGENT.needs(profile, **agent_parameters(3, Condition.NEVER_ACTED)) == []
    with pytest.raises(ValueError, match="'trained' is not a valid Condition"):
        AGENT.make(profile, None, world=3, condition="trained", rooms="babyai", draw=0)


def test_an_interrupted_agent_goes_on_where_it_was(
    store, profile, world, made, tmp_path, monkeypatch
):
    """Through the store, as a run does: what was left is found, and ends in the same bits."""
    which = agent_parameters(world, Condition.BLIND)
    loss_of, steps = training.loss_of, [0]
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 5)

    def dies(policy, batch):
        steps[0] += torch.is_grad_enabled()
        if steps[0] > 8:
            raise KeyboardInterrupt
        return loss_of(policy, batch)

    # What it learns from is there; only the agent itself has to be made.
    fresh = Store(tmp_path)
    for needed, parameters in AGENT.needs(profile, **which):
        made_before = place_of(store, needed, profile, **parameters)
        shutil.copytree(made_before, place_of(fresh, needed, profile, **parameters))
    monkeypatch.setattr(training, "loss_of", dies)
    with pytest.raises(KeyboardInterrupt):
        fresh.get(AGENT, profile, **which)
    assert list(tmp_path.rglob(training.CHECKPOINT))
    steps[0] = -100  # so that nothing dies any more
    resumed = fresh.get(AGENT, profile, **which)
    assert steps[0] < -100 + 24 - 4  # it began after step 5
    assert not list(tmp_path.rglob(training.CHECKPOINT))
    pd.testing.assert_frame_equal(resumed.curve, made[Condition.BLIND].curve)
    for name, weights in made[Condition.BLIND].policy.state_dict().items():
        assert torch.equal(weights, resumed.policy.state_dict()[name]), name


def test_curves_are_those_of_a_world_s_trained_agents(profile, world, made, store):
    first = profile.world_numbers[0]
    assert agents.trained_conditions(profile, first)[-1] is Condition.HELD_OUT
    curves = store.get(CURVES, profile, world=world)
    assert curves["condition"].unique().tolist() == ["acted", "exchanged"]
    for condition, part in curves.groupby("condition"):
        expected = made[Condition(condition)].curve
        pd.testing.assert_frame_equal(
            part.drop(columns="condition").reset_index(drop=True), expected
        )


def test_predicted_seconds_grow_with_the_work():
    laptop, release = (Profile.load(name) for name in ("laptop", "release"))
    which = agent_parameters(0, Condition.ACTED)
    assert 20 < AGENT.cost(laptop, **which) < 120
    assert AGENT.cost(release, **which) > AGENT.cost(laptop, **which)
    assert AGENT.cost(release, **agent_parameters(0, Condition.NEVER_ACTED)) < 5


def test_an_agent_depends_on_every_size_of_its_policy():
    """They are named where torch is not loaded; a size that is left out would give stale agents."""
    assert tuple(SIZES) == Sizes._fields
