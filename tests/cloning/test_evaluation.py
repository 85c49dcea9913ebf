import numpy as np
import pandas as pd
import pytest
import torch
from minigrid.core.constants import COLOR_TO_IDX

from paper_utils.cloning import evaluation
from paper_utils.cloning.policy import START, Policy, Sizes, cell_kinds
from paper_utils.data import expert, grammar, levels
from paper_utils.data.demonstrations import collect


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
    best = evaluation.evaluate_expert("PutNextLocal", seeds)
    worst = evaluation.evaluate_random("PutNextLocal", seeds)
    assert best["success"].all() and worst["success"].mean() < 0.3
    assert (worst["steps"] <= 128).all()
    assert best["instruction"].tolist() == worst["instruction"].tolist()
    pd.testing.assert_frame_equal(worst, evaluation.evaluate_random("PutNextLocal", seeds))


def test_what_was_handled_and_faced_is_noted():
    """The expert's own actions, played back: it takes what is named, and nothing else."""
    seeds = levels.seeds("evaluation", 12)
    factors = grammar.instructions(["PutNextLocal", "OpenDoor"])
    said = factors.set_index("text")
    for level in ("PutNextLocal", "OpenDoor"):
        episodes = expert.rollouts(level, seeds)

        def make_act(_, episodes=episodes):
            step = [-1]

            def act(seen, running):
                step[0] += 1
                return np.array([episodes[i].actions[step[0]] for i in running])

            return act

        table = evaluation.play(level, seeds, make_act)
        assert table["success"].all()
        assert (evaluation.classify_endings(table, factors) == "succeeded").all()
        for row in table.itertuples():
            fields = said.loc[grammar.canonical(row.instruction)]
            named = f"{fields['colour']} {fields['type']}".strip()
            assert named in row.handled.split(",")[-1]
            # The door opened is faced; the thing put down is faced.
            assert row.facing == row.handled.split(",")[-1]
    endings = evaluation.classify_endings(
        table.assign(success=False), factors
    )  # had they been lost
    assert set(endings) == {"handled a named thing, not as told"}
    row = table.iloc[[0]].assign(success=False)
    for handled, facing, ending in (
        ("grey box", "", "handled a thing not named"),
        ("", "", "ended facing nothing"),
        ("", "grey ball", "ended facing a thing not named"),
        ("", table["facing"][0], "ended facing a named thing"),
    ):
        lost = row.assign(handled=handled, facing=facing)
        assert evaluation.classify_endings(lost, factors).tolist() == [ending]


def test_attention_counts_the_named_thing():
    """A policy that attends evenly gives every cell 1/49."""
    policy = Policy(Sizes(32, 2, 1, 2, 1)).eval()
    factors = grammar.instructions(["GoToLocal"])
    shown = {"GoToLocal": collect(expert.rollouts("GoToLocal", range(40)))}

    def looking_for(colour: int | None) -> pd.DataFrame:
        with torch.no_grad():
            for part in policy.look.parameters():
                part.zero_()
            policy.look.q_proj.bias.fill_(1.0)
            if colour is not None:
                policy.look.colour.weight[colour, :32] = 2.0  # keys; values stay zero
        return evaluation.attention_on_named(policy, shown, factors)

    even = looking_for(None)
    assert even["steps"].item() > 20
    assert even[["named", "other", "uniform"]].to_numpy() == pytest.approx(1 / 49)
    # Who looks for red things looks at what is named where that is red, and elsewhere only then.
    of_red = [i for i, text in enumerate(shown["GoToLocal"].instructions) if "red" in text]
    others = [i for i in range(len(shown["GoToLocal"])) if i not in of_red]
    whole = shown["GoToLocal"]
    seeds = whole.seeds.tolist()
    for rows, above in ((of_red, True), (others, False)):
        shown["GoToLocal"] = collect(expert.rollouts("GoToLocal", [seeds[i] for i in rows]))
        found = looking_for(COLOR_TO_IDX["red"]).iloc[0]
        assert (found["named"] > 3 * found["other"]) == above


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
