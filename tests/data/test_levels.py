import gymnasium
import numpy as np
import pytest

from paper_utils.data import expert, grammar, levels


def test_levels_with_a_grammar_and_the_longest_are_offered_and_solvable():
    for name in (*grammar.GRAMMARS, "GoToSeq", "SynthSeq", "BossLevel"):
        assert expert.rollouts(name, [0])[0].success, name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("GoToLocl",), "unknown level 'GoToLocl': did you mean 'GoToLocal'?"),
        (("PutNextS5N2Carrying",), "not offered"),
        (("UnlockToUnlock",), "expert cannot solve it"),
        (("../../etc",), "unknown level"),
        (("GoToLocal", "kind"), "unknown rooms 'kind': did you mean 'kinds'?"),
        (("OpenDoor", "kinds"), "'OpenDoor' does not take place in rooms 'kinds'"),
    ],
)
def test_what_is_not_offered_is_refused_in_a_line_with_the_reason(arguments, words):
    with pytest.raises(levels.LevelError, match=words) as caught:
        levels.make(*arguments)
    assert "\n" not in str(caught.value)


def test_uses_worlds_and_rooms_never_share_an_episode():
    worlds = (0, 1, 107, 39_999_999)
    ranges = [
        levels.seeds(use, 10**7, world, rooms)
        for use in levels.USES
        for world in worlds
        for rooms in levels.ROOMS
    ]
    spans = sorted((r.start, r.stop) for r in ranges)
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))
    # A table may hold them as floats.
    assert spans[-1][1] < 2**53
    # Success is reported on seeds that lie far from those of other people's training.
    assert levels.seeds("evaluation", 1).start >= 10**9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", 10**7 + 1), "no seeds for 10,000,001 episodes in world 0"),
        (("train", 1, 4 * 10**7), "no seeds for 1 episodes in world 40,000,000"),
        (("train", 1, -1), "no seeds for 1 episodes in world -1"),
    ],
)
def test_seeds_that_do_not_exist_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        levels.seeds(*arguments)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("name", ["BossLevel", "PutNextS6N3", "GoToLocal", "UnblockPickup"])
def test_the_fast_view_equals_minigrids_along_random_walks(name):
    """Carried things, doors that open and close, and corners included."""
    rng = np.random.default_rng(0)
    fast = levels.make(name)
    slow = gymnasium.make(levels.registered()[name]).unwrapped
    for seed in range(3):
        first = fast.reset(seed=seed)[0]
        other = slow.reset(seed=seed)[0]
        assert first["mission"] == other["mission"]
        np.testing.assert_array_equal(first["image"], other["image"])
        for action in rng.choice(6, size=150, p=[0.15, 0.15, 0.4, 0.1, 0.1, 0.1]):
            one = fast.step(action)
            two = slow.step(action)
            np.testing.assert_array_equal(one[0]["image"], two[0]["image"])
            assert one[0]["direction"] == two[0]["direction"]
            assert one[1:4] == two[1:4]
            if one[2] or one[3]:
                break


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_change_from_outside_is_seen():
    """The grid is encoded once per change, whoever makes it."""
    fast = levels.make("GoToSeqS5R2")
    slow = gymnasium.make(levels.registered()["GoToSeqS5R2"]).unwrapped
    for env in (fast, slow):
        env.reset(seed=2)
        env.gen_obs()
        doors = [cell for cell in env.grid.grid if cell is not None and cell.type == "door"]
        for door in doors:
            door.is_open = not door.is_open
        env.agent_pos = doors[0].cur_pos
    assert doors
    for direction in range(4):
        fast.agent_dir = direction
        slow.agent_dir = direction
        np.testing.assert_array_equal(fast.gen_obs()["image"], slow.gen_obs()["image"])
    fast.grid.set(*fast.front_pos, None)
    assert fast.gen_obs()["image"][3, 5].tolist() == [1, 0, 0]


def test_resets_print_nothing(capfd):
    env = levels.make("PutNextLocal")
    for seed in range(60):  # some of these draws are rejected, which Minigrid prints
        env.reset(seed=seed)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_thing_behind_things_is_out_of_reach():
    env = levels.make("GoToLocal")
    env.reset(seed=1)
    assert env.check_objs_reachable()
    corner = (1, 1)
    env.agent_pos = (5, 5)
    things = [cell for cell in env.grid.grid if cell is not None and cell.type == "key"]
    for place in (corner, (2, 1), (1, 2)):
        env.grid.set(*place, things[0])
    assert not env.check_objs_reachable(raise_exc=False)
    with pytest.raises(Exception, match="unreachable"):
        env.check_objs_reachable()


def test_hidden_colours():
    (episode,) = expert.rollouts("OpenDoor", [2])
    more = np.concatenate([e.observations for e in expert.rollouts("PickupLoc", range(5))])
    observations = np.concatenate([episode.observations, more])
    known = observations.copy()
    hidden = levels.hide_colours(observations)
    np.testing.assert_array_equal(observations, known)  # a copy was changed
    np.testing.assert_array_equal(hidden[..., [0, 2]], known[..., [0, 2]])
    thing = np.isin(known[..., 0], [5, 6, 7])  # key, ball, box
    assert thing.any() and (known[..., 0] == 4).any()  # and a door
    assert set(hidden[..., 1][thing]) == {levels.HIDDEN} == {6}
    np.testing.assert_array_equal(hidden[..., 1][~thing], known[..., 1][~thing])
