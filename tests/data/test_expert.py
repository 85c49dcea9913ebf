"""The fast expert against Minigrid's own loop: every observation, action and success."""

import contextlib
import io
import itertools
import time

import gymnasium
import numpy as np
import pytest
from minigrid.utils.baby_ai_bot import BabyAIBot

from paper_utils.data import expert, levels

# Level -> episodes.  Single rooms, mazes, doors to be opened, things in the way, chained clauses.
LEVELS = {
    "GoToLocal": 40,
    "PickupLoc": 30,
    "OpenDoor": 30,
    "PutNextLocal": 30,
    "PickupDist": 20,
    "ActionObjDoor": 20,
    "UnblockPickup": 12,
    "GoToSeqS5R2": 12,
    "MoveTwoAcrossS8N9": 8,
    "BlockedUnlockPickup": 8,
    "MiniBossLevel": 12,
    "SynthLoc": 10,
}


def plain(level, seeds):
    """The loop of Minigrid's documentation."""
    env = gymnasium.make(levels.registered()[level])
    for seed in seeds:
        with contextlib.redirect_stdout(io.StringIO()):
            observation, _ = env.reset(seed=int(seed))
        bot = BabyAIBot(env)
        observations = []
        actions = []
        ended = False
        reward = 0
        while not ended:
            action = bot.replan()
            if action == env.unwrapped.actions.done:
                break
            observations.append(observation["image"])
            actions.append(int(action))
            observation, reward, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        yield env.unwrapped.mission, np.array(observations), np.array(actions), reward > 0


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Gymnasium's checker, about the plain loop
@pytest.mark.parametrize("level", LEVELS)
def test_identical_to_the_plain_loop(level):
    seeds = range(LEVELS[level])
    for episode, (mission, observations, actions, success) in zip(
        expert.rollouts(level, seeds), plain(level, seeds), strict=True
    ):
        assert episode.instruction == mission
        assert episode.success == success
        np.testing.assert_array_equal(episode.actions, actions)
        np.testing.assert_array_equal(episode.observations, observations)
        assert episode.observations.dtype == np.uint8


def test_an_episode_does_not_depend_on_those_before_it():
    (alone,) = expert.rollouts("PutNextLocal", [7])
    after_others = expert.rollouts("PutNextLocal", range(8))[7]
    np.testing.assert_array_equal(alone.observations, after_others.observations)
    np.testing.assert_array_equal(alone.actions, after_others.actions)


def test_hung_seeds_are_given_up():
    """The key of these seeds cannot be reached, and Minigrid's bot plans for ever."""
    found = expert.rollouts("Unlock", [0, 63, 141, 161])
    assert [episode.success for episode in found] == [True, False, True, False]


def test_an_episode_does_not_depend_on_the_time_that_it_takes(monkeypatch):
    """A run that is stopped for an hour and goes on has lost nothing."""
    expected = expert.rollouts("PutNextLocal", range(3))
    hours = itertools.count(0, 3600.0)
    for clock in ("monotonic", "perf_counter", "time", "process_time"):
        monkeypatch.setattr(time, clock, lambda: next(hours))
    for one, other in zip(expected, expert.rollouts("PutNextLocal", range(3)), strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        assert one.success and other.success


def test_whoever_watches_sees_the_start_each_step_and_the_end():
    seen = []
    episode = expert.rollout(
        levels.make("GoToLocal"), "GoToLocal", 3, lambda env, action: seen.append(action)
    )
    assert seen == [None, *episode.actions, None]


def test_an_error_of_whoever_watches_is_not_the_experts():
    def watch(env, action):
        raise TypeError("a bug in the narrator")

    with pytest.raises(TypeError, match="a bug in the narrator"):
        expert.rollout(levels.make("GoToLocal"), "GoToLocal", 0, watch)


def test_recordings_have_a_frame_before_each_step_and_one_at_the_end():
    recording = expert.record_expert("PutNextLocal", 3, tile_size=8)
    (episode,) = expert.rollouts("PutNextLocal", [3])
    assert len(recording.frames) == len(recording.actions) + 1 == len(episode.actions) + 1
    assert recording.success and recording.instruction == episode.instruction
    assert set(recording.actions) <= {"left", "right", "forward", "pickup", "drop", "toggle"}


@pytest.mark.parametrize("rooms", [rooms for rooms in levels.ROOMS if rooms != "babyai"])
@pytest.mark.parametrize("level", ["GoToLocal", "PickupLoc"])
def test_rooms_of_kinds_are_solved(level, rooms):
    episodes = expert.rollouts(level, range(60), rooms, world=5)
    assert all(episode.success for episode in episodes)
    assert any("object" in episode.instruction for episode in episodes)
