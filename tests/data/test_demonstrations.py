import numpy as np
import pytest

from paper_utils.config import Profile
from paper_utils.data import expert, levels
from paper_utils.data.demonstrations import DEMONSTRATIONS, EPISODES, Demonstrations, collect


def small_profile():
    changes = {"data.demonstrations": {"GoToLocal": 30, "PickupLoc": 20}, "data.validation": 6}
    return Profile.load("smoke", changes)


def test_demonstrations_survive_the_disk(tmp_path):
    made = collect(expert.rollouts("GoToLocal", levels.seeds("train", 30)))
    made.save(tmp_path)
    loaded = Demonstrations.load(tmp_path)
    for name, array in vars(made).items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert getattr(loaded, name).dtype == array.dtype
    assert loaded.observations.flags["C_CONTIGUOUS"]
    assert loaded.lengths.sum() == len(loaded.actions) == len(loaded.observations)
    assert len(loaded) == 30
    assert (tmp_path / "demonstrations.npz").stat().st_size < 150 * 30 + 2000


def test_failed_episodes_are_listed_and_left_out():
    found = collect(expert.rollouts("Unlock", [0, 63, 141, 161]))
    assert found.skipped.tolist() == [63, 161]
    assert found.seeds.tolist() == [0, 141] and len(found) == 2
    only_failures = collect(expert.rollouts("Unlock", [63]))
    assert len(only_failures) == 0 and only_failures.observations.shape == (0, 7, 7, 3)


@pytest.mark.parametrize("rooms", levels.ROOMS)
def test_the_stage_records_its_world(tmp_path, rooms):
    profile = small_profile()
    DEMONSTRATIONS.make(profile, tmp_path, world=9, level="PickupLoc", split="train", rooms=rooms)
    made = DEMONSTRATIONS.load(tmp_path)
    assert made.seeds.tolist() == list(levels.seeds("train", 20, 9, rooms))
    (again,) = expert.rollouts("PickupLoc", [made.seeds[0]], rooms, 9)
    np.testing.assert_array_equal(made.observations[: made.lengths[0]], again.observations)
    assert made.instructions[0] == again.instruction


def test_the_overview_lists_every_episode(tmp_path):
    profile = small_profile()
    inputs = []
    needed = EPISODES.needs(profile, world=1, rooms="kinds")
    assert all(stage is DEMONSTRATIONS for stage, _ in needed)
    for number, (stage, parameters) in enumerate(needed):
        folder = tmp_path / str(number)
        folder.mkdir()
        stage.make(profile, folder, **parameters)
        inputs.append(stage.load(folder))
    EPISODES.make(profile, tmp_path, *inputs, world=1, rooms="kinds")
    overview = EPISODES.load(tmp_path)
    counts = overview.episodes.groupby(["level", "split"]).size().to_dict()
    assert counts == {
        ("GoToLocal", "train"): 30,
        ("GoToLocal", "validation"): 6,
        ("PickupLoc", "train"): 20,
        ("PickupLoc", "validation"): 6,
    }
    assert set(overview.skipped) == {f"{level} {split}" for level, split in counts}
    first = overview.episodes.iloc[0]
    assert first["steps"] == inputs[0].lengths[0] and first["seed"] == inputs[0].seeds[0]
    assert first["instruction"] == inputs[0].instructions[0]


def test_the_cost_of_recording_is_known_per_level():
    profile = small_profile()
    parameters = {"world": 0, "split": "train", "rooms": "babyai"}
    quick = DEMONSTRATIONS.cost(profile, level="GoToLocal", **parameters)
    assert 0 < quick < 1
    assert (
        DEMONSTRATIONS.cost(profile, level="GoToLocal", **{**parameters, "split": "validation"})
        < quick
    )
