import numpy as np
import pandas as pd
import pytest
import torch

from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, Condition, agent_parameters
from paper_utils.cloning.policy import START, GreedyPolicy, cell_kinds
from paper_utils.data import expert, levels
from paper_utils.data.kinds import TYPES


@torch.inference_mode()
def one_at_a_time(policy, env, seed):
    """The plain loop: one episode, the whole history at every step."""
    observation, _ = env.reset(seed=int(seed))
    sentence = policy.instruction(policy.tokenize([env.mission]))
    views, previous = [], [START]
    while True:
        views.append(cell_kinds(observation["image"]))
        cells = torch.from_numpy(np.array(views)).long()[None]
        logits, _, _ = policy(sentence, cells, torch.tensor([previous]))
        previous.append(int(logits[0, -1].argmax()))
        observation, reward, terminated, truncated, _ = env.step(previous[-1])
        if terminated or truncated:
            return env.mission, reward > 0, len(views)


@pytest.mark.parametrize("rooms", ["babyai", "kinds"])
def test_side_by_side_equals_one_at_a_time(taught, rooms):
    seeds = levels.seeds("evaluation", 12, 2, rooms)
    table = evaluation.evaluate(taught, "GoToLocal", seeds, rooms=rooms, world=2)
    env = levels.make("GoToLocal", rooms, 2)
    for row, seed in zip(table.itertuples(), seeds, strict=True):
        assert (row.instruction, row.success, row.steps) == one_at_a_time(taught, env, seed)


def test_results_do_not_depend_on_who_else_plays(taught, monkeypatch):
    seeds = levels.seeds("evaluation", 24)
    together = evaluation.evaluate(taught, "GoToLocal", seeds)
    by_chance = evaluation.play("GoToLocal", seeds, evaluation.random_player)
    monkeypatch.setattr(evaluation, "BATCH", 5)
    apart = evaluation.evaluate(taught, "GoToLocal", seeds[::-1])
    pd.testing.assert_frame_equal(apart[::-1].reset_index(drop=True), together)
    apart = evaluation.play("GoToLocal", seeds[::-1], evaluation.random_player)
    pd.testing.assert_frame_equal(apart[::-1].reset_index(drop=True), by_chance)


def test_a_limit_only_ends_episodes_sooner(taught):
    seeds = levels.seeds("evaluation", 24)
    free = evaluation.evaluate(taught, "GoToLocal", seeds)
    played = evaluation.evaluate(taught, "GoToLocal", seeds, limit=9)
    assert played["steps"].equals(free["steps"].clip(upper=9))
    assert played["success"].equals(free["success"] & (free["steps"] <= 9))
    assert 0 < played["success"].sum() < free["success"].sum()


def test_an_agent_acts_on_whatever_vector_it_is_given(taught):
    seeds = levels.seeds("evaluation", 12)
    own = evaluation.evaluate(taught, "GoToLocal", seeds)
    same = evaluation.evaluate(taught, "GoToLocal", seeds, taught.embed)
    pd.testing.assert_frame_equal(own, same)
    heard = []

    def vectors(texts):
        heard.extend(texts)
        return taught.embed(texts[::-1])

    played = evaluation.evaluate(taught, "GoToLocal", seeds, vectors)
    assert heard == played["instruction"].tolist() == own["instruction"].tolist()
    act = GreedyPolicy(taught, vectors(heard))
    assert torch.equal(act.sentences.flip(0), torch.from_numpy(taught.embed(heard)))


def test_without_colours_a_policy_does_the_same_whatever_the_colours_are(taught):
    """Two rooms that differ in the colours of things, and one sentence."""

    class Painted:
        """Sees every thing in the next colour."""

        def __init__(self, act):
            self.act = act

        def __call__(self, observations, running):
            painted = observations.copy()
            things = np.isin(observations[..., 0], (5, 6, 7))
            painted[..., 1][things] = (painted[..., 1][things] + 1) % 6
            return self.act(painted, running)

    seeds = levels.seeds("evaluation", 24)
    table = {}
    for hide in (False, True):
        for paint in (False, True):

            def make_act(texts, seeds, hide=hide, paint=paint):
                act = GreedyPolicy(taught, taught.embed(texts), hide)
                return Painted(act) if paint else act

            table[hide, paint] = evaluation.play("GoToLocal", seeds, make_act)["steps"]
    assert table[True, False].equals(table[True, True])
    assert not table[False, False].equals(table[False, True])
    hidden = evaluation.evaluate(taught, "GoToLocal", seeds, hide_colours=True)["steps"]
    assert hidden.equals(table[True, False])


def test_the_expert_always_succeeds_and_chance_does_not():
    seeds = levels.seeds("evaluation", 40)
    best = evaluation.evaluate_expert("PutNextLocal", seeds)
    worst = evaluation.play("PutNextLocal", seeds, evaluation.random_player)
    assert best["success"].all() and worst["success"].mean() < 0.3
    assert (worst["steps"] <= 128).all()
    assert best["instruction"].equals(worst["instruction"])


def test_actions_are_played_as_they_are_given():
    """The expert's own actions, played back: each episode succeeds, in as many steps."""
    seeds = levels.seeds("evaluation", 12)
    for level in ("PutNextLocal", "OpenDoor"):
        episodes = expert.rollouts(level, seeds)

        def make_act(texts, seeds, episodes=episodes):
            assert texts == [episode.instruction for episode in episodes]
            step = iter(range(200))

            def act(seen, running):
                now = next(step)
                for view, i in zip(seen, running, strict=True):
                    np.testing.assert_array_equal(view, episodes[i].observations[now])
                return np.array([episodes[i].actions[now] for i in running])

            return act

        table = evaluation.play(level, seeds, make_act)
        pd.testing.assert_frame_equal(table, evaluation.evaluate_expert(level, seeds))
        assert table["success"].all() and table["seed"].tolist() == list(seeds)
        assert table["steps"].tolist() == [len(episode.actions) for episode in episodes]


def test_success_rates_count_by_group():
    table = pd.DataFrame(
        {"level": ["a", "a", "b"], "success": [True, False, True], "steps": [1, 3, 5]}
    )
    found = evaluation.success_rates(table, ["level"])
    assert found["level"].tolist() == ["a", "b"] and found["steps"].tolist() == [2, 5]
    assert found["success"].tolist() == [0.5, 1.0] and found["episodes"].tolist() == [2, 1]
    assert (found["low"] <= found["success"]).all() and (found["success"] <= found["high"]).all()


def test_a_recording_shows_what_was_played(taught):
    recording = evaluation.record_episode(taught, "GoToLocal", 5, max_steps=6)
    steps = len(recording.actions)
    assert len(recording.frames) == steps + 1
    played = evaluation.evaluate(taught, "GoToLocal", [5], limit=6).iloc[0]
    assert recording.instruction == played["instruction"]
    assert (recording.success, steps) == (played["success"], played["steps"])
    shown = [frame.tobytes() for frame in recording.frames]
    assert shown[0] == expert.record_expert("GoToLocal", 5, tile_size=32).frames[0].tobytes()
    vectors = [taught.embed([f"go to the {name}"])[0] for name in ("red ball", "grey box")]
    vectors += [10 * np.eye(32, dtype=np.float32)[row] for row in range(8)]
    others = [evaluation.record_episode(taught, "GoToLocal", 5, 6, vector) for vector in vectors]
    assert all(other.frames[0].tobytes() == shown[0] for other in others)
    assert len({tuple(other.actions) for other in others}) > 1


def test_first_visits_are_to_the_first_thing_in_front(taught):
    seeds = levels.seeds("evaluation", 8, 4, "exchangeable")
    table = evaluation.first_visits(taught, seeds, world=4)
    assert len(table) == 18 and (table["episodes"] == 8).all()
    assert (table.groupby("colour")["visits"].sum() <= 8).all()
    # Again, one at a time.
    visits = []
    env = levels.make("GoToLocal", "exchangeable", 4)
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        act = GreedyPolicy(taught, taught.embed(["go to the green object"]), True)
        ended = False
        while not ended:
            (action,) = act(observation["image"][None], np.zeros(1, dtype=int))
            observation, _, terminated, truncated, _ = env.step(int(action))
            thing = env.grid.get(*env.front_pos)
            found = thing is not None and thing.type in TYPES
            if found:
                visits.append(thing.type)
            ended = found or terminated or truncated
    green = table[table["colour"] == "green"].set_index("type")["visits"]
    assert green.to_dict() == {kind: visits.count(kind) for kind in TYPES}
    assert len(visits) > 2  # otherwise nothing was tested


PLAYERS = [*Condition, "expert", "random"]


@pytest.mark.parametrize("player", PLAYERS)
def test_what_the_store_makes_is_what_each_player_plays(store, profile, world, player):
    level = "GoToLocal"
    which = {"world": world, "player": str(player), "level": level, "rooms": "babyai"}
    table = store.get(evaluation.EVALUATION, profile, **which)
    skilled = player in ("acted", "held_out", "blind", "expert")
    settings = profile.cloning
    count = settings.evaluation_episodes if skilled else settings.baseline_episodes
    seeds = levels.seeds("evaluation", count, world)
    if player == "expert":
        expected = evaluation.evaluate_expert(level, seeds)
    elif player == "random":
        expected = evaluation.play(level, seeds, evaluation.random_player)
    else:
        agent = store.get(AGENT, profile, **agent_parameters(world, player))
        blind = player == Condition.BLIND
        expected = evaluation.evaluate(agent.policy, level, seeds, hide_colours=blind)
    pd.testing.assert_frame_equal(table, expected)
    assert evaluation.EVALUATION.cost(profile, **which) > 0


def test_the_store_makes_first_visits(store, profile, world):
    which = {"world": world, "condition": "acted", "rooms": "babyai"}
    table = store.get(evaluation.FIRST_VISITS, profile, **which)
    agent = store.get(AGENT, profile, **agent_parameters(world, "acted"))
    seeds = levels.seeds("evaluation", 2, world, "exchangeable")  # six colours, eight episodes
    pd.testing.assert_frame_equal(table, evaluation.first_visits(agent.policy, seeds, world))
