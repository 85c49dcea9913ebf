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
from paper_utils.data.demonstrations import Demonstrations, collect, play

LEVELS = (
    "GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal", "PickupDist", "ActionObjDoor",
    "UnblockPickup", "GoToSeqS5R2", "MiniBossLevel", "SynthLoc",
)  # fmt: skip


def plain(level, seeds):
    """The loop of Minigrid's documentation."""
    env = gymnasium.make(levels.offered()[level])
    for seed in seeds:
        with contextlib.redirect_stdout(io.StringIO()):
            observation, _ = env.reset(seed=int(seed))
        bot, observations, actions, ended, reward = BabyAIBot(env), [], [], False, 0
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
    seeds = range(25)
    for episode, (mission, observations, actions, success) in zip(
        expert.rollouts(level, seeds), plain(level, seeds), strict=True
    ):
        assert episode.instruction == mission
        assert episode.success == success
        np.testing.assert_array_equal(episode.actions, actions)
        np.testing.assert_array_equal(episode.observations, observations)
        assert episode.observations.dtype == np.uint8


def test_hung_seeds_are_given_up_and_listed():
    """The key of these seeds cannot be reached, and Minigrid's bot plans for ever."""
    found = expert.rollouts("Unlock", [0, 63, 141, 161])
    assert [episode.success for episode in found] == [True, False, True, False]
    assert collect(found).skipped.tolist() == [63, 161]
    assert len(collect(found)) == 2


def test_an_episode_does_not_depend_on_the_time_that_it_takes(monkeypatch):
    """A run that is stopped for an hour and goes on has lost nothing."""
    expected, hours = expert.rollouts("PutNextLocal", range(3)), itertools.count(0, 3600.0)
    for clock in ("monotonic", "perf_counter", "time", "process_time"):
        monkeypatch.setattr(time, clock, lambda: next(hours))
    for one, other in zip(expected, expert.rollouts("PutNextLocal", range(3)), strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        assert one.success and other.success


def test_an_error_of_whoever_watches_is_not_the_experts():
    def watch(env, action):
        raise TypeError("a bug in the narrator")

    with pytest.raises(TypeError, match="a bug in the narrator"):
        expert.rollout(levels.make("GoToLocal"), "GoToLocal", 0, watch)


def test_gym_ids_are_names_as_well():
    short, long = (expert.rollouts(n, [7])[0] for n in ("GoToLocal", "BabyAI-GoToLocal-v0"))
    assert short.level == long.level == "GoToLocal"
    np.testing.assert_array_equal(short.observations, long.observations)


def test_resets_print_nothing(capfd):
    env = levels.make("PutNextLocal")
    for seed in range(60):  # some of these draws are rejected, which Minigrid prints
        env.reset(seed=seed)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_demonstrations_survive_the_disk(tmp_path):
    (played,) = play({"GoToLocal": levels.seeds("train", 30)}).values()
    played.save(tmp_path / "shard.npz")
    loaded = Demonstrations.load(tmp_path / "shard.npz")
    np.testing.assert_array_equal(loaded.observations, played.observations)
    np.testing.assert_array_equal(loaded.instructions, played.instructions)
    assert loaded.lengths.sum() == len(loaded.actions) == len(loaded.observations)
    assert len(loaded) == 30
    assert (tmp_path / "shard.npz").stat().st_size < 150 * 30 + 2000


def test_films_have_a_frame_before_each_step_and_one_at_the_end():
    film = expert.film("PutNextLocal", 3)
    assert len(film.frames) == len(film.actions) + 1 == len(film.views) + 1
    assert film.success
