import itertools

import pytest
import yaml

from paper_utils import Profile, ProfileError
from paper_utils.config import STREAMS, available, generator, torch_seed


@pytest.mark.parametrize("name", available())
def test_profiles_are_valid(name):
    profile = Profile.load(name)
    assert profile.name == name
    assert Profile.model_validate(profile.model_dump()) == profile


def test_numbers_may_be_written_with_an_exponent():
    read = Profile.load("smoke", yaml.safe_load("cloning.learning_rate: 1e-4"))
    assert read.cloning.learning_rate == 1e-4


def test_a_profile_may_extend_another(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: smoke\ncloning: {epochs: 7}\n")
    mine, smoke = Profile.load(path), Profile.load("smoke", {"cloning.epochs": 7})
    assert mine.name == "mine" and mine.cloning == smoke.cloning and mine.data == smoke.data
    path.write_text("extends: hub\n")  # which extends another
    assert Profile.load(path).encoders == Profile.load("hub").encoders


def test_worlds_of_seeds_are_never_shared():
    runs = [Profile.load("release", seed=seed).world_numbers for seed in range(3)]
    assert runs[0] == list(range(100, 108)) and len({*runs[0], *runs[1], *runs[2]}) == 24
    assert Profile.load("laptop", {"worlds": 3}).world_numbers == [0, 1, 2]


def test_the_world_of_kinds_has_sizes_of_its_own():
    profile = Profile.load("release")
    kinds = profile.of_kinds()
    assert list(kinds.data.demonstrations) == ["GoToLocal", "PickupLoc"]
    assert kinds.cloning.epochs == 8 != profile.cloning.epochs
    assert kinds.cloning.learning_rate == profile.cloning.learning_rate
    assert kinds.of_kinds() == kinds


def test_one_checkpoint_or_several():
    given = {"encoders.checkpoints": {"bert": ["a/b", "c/d"], "llama": "e/f"}}
    assert Profile.load("smoke", given).encoders.checkpoints == {
        "bert": ("a/b", "c/d"), "llama": ("e/f",)
    }  # fmt: skip


def test_overrides_and_seed():
    profile = Profile.load("smoke", overrides={"cloning.epochs": 3, "seed": 1}, seed=7)
    assert profile.cloning.epochs == 3
    assert profile.seed == 7
    assert profile.part("cloning.epochs", "seed") == {"cloning.epochs": 3, "seed": 7}
    one_level = Profile.load("smoke", overrides={"data.demonstrations": {"GoTo": 5}})
    assert one_level.data.levels == ["GoTo"]


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("lptop", {}, "unknown profile 'lptop': did you mean 'laptop'?"),
        ("", {}, "unknown profile ''"),
        ("missing.yaml", {}, "No such file or directory: 'missing.yaml'"),
        ("smoke", {"cloning.epoch": 3}, "unknown key 'cloning.epoch': did you mean 'epochs'?"),
        ("smoke", {"clonin.epochs": 3}, "did you mean 'cloning'?"),
        ("smoke", {"cloning.epochs.x": 3}, "profile smoke: "),
        ("smoke", {"": 3}, "unknown key ''"),
        (
            "smoke",
            {"cloning.epochs": "three"},
            "unable to parse string as an integer (got 'three')",
        ),
        ("smoke", {"cloning.epochs": 2.5}, "cloning.epochs"),
        ("smoke", {"cloning.epochs": None}, "cloning.epochs"),
        ("smoke", {"cloning.epochs": -1}, "greater than 0"),
        ("smoke", {"cloning.learning_rate": float("nan")}, "finite number (got nan)"),
        ("smoke", {"cloning.learning_rate": 0}, "greater than 0"),
        ("smoke", {"cloning.heads": 3}, "heads (3) must divide width"),
        ("smoke", {"cloning": 3}, "cloning"),
        ("smoke", {"device": "tpu"}, "device"),
        ("smoke", {"seed": -1}, "seed"),
        ("smoke", {"data.demonstrations": {}}, "name at least one level"),
        ("smoke", {"data.demonstrations": {"GoToLocl": 3}}, "did you mean 'GoToLocal'?"),
        ("smoke", {"data.demonstrations": {"GoToLocal": -3}}, "greater than 0"),
        (
            "smoke",
            {"data.demonstrations": {"KeyInBox": 3}},
            "is not offered: the expert cannot solve it",
        ),
        ("smoke", {"encoders.families": ["lama"]}, "did you mean 'llama'?"),
        ("smoke", {"data.synonyms": "third"}, "unknown table 'third'"),
        ("smoke", {"data.synonyms": {"red": "crimson"}}, "has no synonym"),
        ("smoke", {"worlds": 0}, "worlds"),
        ("smoke", {"kinds.training": {}}, "kinds.training"),
        ("smoke", {"kinds.cloning": {"epoch": 3}}, "did you mean 'epochs'?"),
        ("smoke", {"data.demonstrations": {"BabyAI-GoToLocal-v0": 3}}, "did you mean 'GoToLocal'"),
        ("smoke", {"compute.worker": 3}, "did you mean 'workers'?"),
        ("smoke", {"encoders.checkpoints": {"lama": "x/y"}}, "did you mean 'llama'?"),
        ("smoke", {"encoders.checkpoints": {"llama": ""}}, "encoders.checkpoints.llama"),
        ("smoke", {"cloning.held_out": ["red bal"]}, "'red bal' is not a colour and a type"),
        ("smoke", {"cloning.held_out": []}, "name at least one composition"),
        ("smoke", {"data.demonstrations": {"BossLevel": 3}}, "'BossLevel' is not listed"),
    ],
)
def test_bad_input_is_one_clear_line(name, overrides, words):
    with pytest.raises(ProfileError) as caught:
        Profile.load(name, overrides=overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("just words", "expected keys and values"),
        ("extends: lptop", "did you mean 'laptop'?"),
        ("extends: mine.yaml", "mine.yaml"),
        ("extends: [1]", "not list"),
        ("extends: smoke\ndata: 3", "data: Input should be"),
        ("extends: smoke\ncloning: {epoch: 3}", "'cloning.epoch': did you mean 'epochs'?"),
        ("data: {", "expected the node content"),
        ("x: 1", "data: Field required"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        Profile.load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_two_streams_share_their_bits():
    """Whatever their numbers: the shuffling of level n and the batches of epoch n, for one."""
    drawn = set()
    for stream in STREAMS:
        for numbers in itertools.product(range(4), repeat=2):
            drawn.add(tuple(generator(stream, *numbers).integers(2**62, size=2)))
            drawn.add(torch_seed(stream, *numbers))
    assert len(drawn) == 2 * 16 * len(STREAMS)
    with pytest.raises(KeyError, match="did you mean 'batches'"):
        generator("batchs", 0)
