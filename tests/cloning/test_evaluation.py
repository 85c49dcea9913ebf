import numpy as np
import pandas as pd
import pytest
import torch

from paper_utils import Profile
from paper_utils.cloning import evaluation
from paper_utils.cloning.policy import START, Policy, Sizes, cell_kinds
from paper_utils.data import expert, levels
from paper_utils.store import Store


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(3)
    return Policy(Sizes(32, 2, 1, 2, 1)).eval()


def one_at_a_time(policy, level, seed):
    """The plain loop: one episode, the whole history at every step."""
    env = levels.make(level)
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


@torch.inference_mode()
def test_side_by_side_equals_one_at_a_time(policy):
    seeds = levels.seeds("evaluation", 24)
    table = evaluation.evaluate(policy, "GoToLocal", seeds)
    for row, seed in zip(table.itertuples(), seeds, strict=True):
        assert (row.instruction, row.success, row.steps) == one_at_a_time(policy, "GoToLocal", seed)


def test_a_limit_only_ends_episodes_sooner(policy):
    seeds = levels.seeds("evaluation", 24)
    free = evaluation.evaluate(policy, "GoToLocal", seeds)
    played = evaluation.evaluate(policy, "GoToLocal", seeds, limit=9)
    assert played["steps"].equals(free["steps"].clip(upper=9)) and free["steps"].max() > 9
    assert played["success"].equals(free["success"] & (free["steps"] <= 9))


def test_an_agent_acts_on_whatever_vector_it_is_given(policy):
    seeds = levels.seeds("evaluation", 12)
    own = evaluation.evaluate(policy, "GoToLocal", seeds)
    same = evaluation.evaluate(policy, "GoToLocal", seeds, policy.embed)
    pd.testing.assert_frame_equal(own, same)
    heard = []

    def vectors(texts):
        heard.extend(texts)
        return policy.embed(texts[::-1])

    played = evaluation.evaluate(policy, "GoToLocal", seeds, vectors)
    assert heard == played["instruction"].tolist() == own["instruction"].tolist()
    act = evaluation.Cloned(policy, vectors(heard))
    assert torch.equal(act.sentence.flip(0), torch.from_numpy(policy.embed(heard)))


def test_the_expert_always_succeeds_and_chance_does_not():
    seeds = levels.seeds("evaluation", 40)
    best = expert.rollouts("PutNextLocal", seeds)
    worst = evaluation.evaluate_random("PutNextLocal", seeds)
    assert all(episode.success for episode in best) and worst["success"].mean() < 0.3
    assert (worst["steps"] <= 128).all()
    assert [episode.instruction for episode in best] == worst["instruction"].tolist()
    pd.testing.assert_frame_equal(worst, evaluation.evaluate_random("PutNextLocal", seeds))


def test_actions_are_played_as_they_are_given():
    """The expert's own actions, played back: each episode succeeds, in as many steps."""
    seeds = levels.seeds("evaluation", 12)
    for level in ("PutNextLocal", "OpenDoor"):
        episodes = expert.rollouts(level, seeds)

        def make_act(_, episodes=episodes):
            step = iter(range(200))

            def act(seen, running):
                now = next(step)
                for view, i in zip(seen, running, strict=True):
                    np.testing.assert_array_equal(view, episodes[i].observations[now])
                return np.array([episodes[i].actions[now] for i in running])

            return act

        table = evaluation.play(level, seeds, make_act)
        rows = [(level, e.seed, e.instruction, e.success, len(e.actions)) for e in episodes]
        pd.testing.assert_frame_equal(table, pd.DataFrame(rows, columns=evaluation.COLUMNS))
        assert table["success"].all() and table["seed"].tolist() == list(seeds)


def test_summary_counts_by_group():
    table = pd.DataFrame(
        {"level": ["a", "a", "b"], "success": [True, False, True], "steps": [1, 3, 5]}
    )
    found = evaluation.summarize(table, ["level"])
    assert found["success"].tolist() == [0.5, 1.0] and found["episodes"].tolist() == [2, 1]
    assert (found["low"] <= found["success"]).all() and (found["success"] <= found["high"]).all()


def test_a_film_shows_what_was_played(policy):
    film = evaluation.film(policy, "GoToLocal", 5, max_steps=6)
    assert len(film.frames) == len(film.actions) + 1
    assert film.attention.shape == (len(film.actions), 2, 7, 7)
    first = expert.rollouts("GoToLocal", [5])[0]
    assert film.instruction == first.instruction
    np.testing.assert_array_equal(film.views[0], first.observations[0])


def test_the_expert_s_episodes_are_the_demonstrator_s(tmp_path):
    """What a store makes for the player called expert."""
    profile = Profile.load("smoke", {"cloning.evaluation_episodes": 5})
    level = profile.data.levels[0]
    table = Store(tmp_path).get(
        evaluation.EVALUATION, profile, player="expert", agent=0, level=level
    )
    played = expert.rollouts(level, levels.seeds("evaluation", 5))
    assert table["steps"].tolist() == [len(episode.actions) for episode in played]
    assert table["instruction"].tolist() == [episode.instruction for episode in played]
    assert table["success"].tolist() == [episode.success for episode in played]
