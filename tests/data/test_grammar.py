import pytest

from paper_utils.config import Profile, ProfileError
from paper_utils.data import grammar, levels

NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]

# Counted by hand from the mission generators.
COUNTS = {
    "GoToObj": 18,
    "GoToLocal": 18,
    "PickupDist": 27,
    "PickupLoc": 105,
    "OpenDoor": 10,
    "ActionObjDoor": 48,
    "PutNextLocal": 306,
}


@pytest.mark.parametrize(("level", "count"), COUNTS.items())
def test_counts(level, count):
    assert len(grammar.instructions([level])) == count


@pytest.mark.parametrize("level", grammar.GRAMMARS)
def test_every_mission_is_in_the_table(level):
    known = set(grammar.instructions([level])["text"])
    env = levels.make(level)
    for seed in range(60):
        env.reset(seed=seed)
        assert grammar.canonical(env.mission) in known


def test_factors_rebuild_the_text():
    table = grammar.instructions(NAMES)
    assert list(table.columns) == grammar.COLUMNS
    assert len(table) == 439 and table["id"].tolist() == list(range(439))
    assert not table["text"].duplicated().any()
    for row in table.itertuples():
        place = grammar.LOCATIONS.get(row.location, "")
        filled = row.template
        for slot, word in (("colour", row.colour), ("type", row.type), ("location", place)):
            filled = filled.replace(f"{{{slot}}}", word, 1)
        for slot, word in (("colour", row.second_colour), ("type", row.second_type)):
            filled = filled.replace(f"{{{slot}}}", word, 1)
        assert filled == row.text
        assert row.template.startswith(row.verb)
    swap = table[table["text"] == "put the red ball next to the blue key"].iloc[0]
    assert (swap["colour"], swap["type"]) == ("red", "ball")
    assert (swap["second_colour"], swap["second_type"]) == ("blue", "key")


def test_what_several_levels_say_is_listed_once_in_the_order_of_the_levels():
    table = grammar.instructions(["GoToLocal", "GoToObj", "PickupLoc"])
    assert len(table) == 18 + 105
    assert not table["text"].duplicated().any() and table["id"].tolist() == list(range(123))
    assert grammar.instructions(["PickupLoc", "GoToLocal"])["text"].iloc[0].startswith("pick up")


def test_frames_leave_out_what_has_no_colour():
    table = grammar.instructions(NAMES)
    frames = grammar.frames(table)
    assert (frames.groupby("frame").size() == 6).all()
    assert set(frames["frame"]) >= {"open the X door", "put the X key next to the red ball"}
    # Its second object cannot be of the same colour and type as the first.
    assert "put the X ball next to the red ball" not in set(frames["frame"])
    assert not frames["text"].duplicated().any()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((["BossLevel"],), grammar.GrammarError, "'BossLevel' is not listed"),
        ((["GoToLocl"],), levels.LevelError, "did you mean 'GoToLocal'"),
        ((["OpenDoor"], "kinds"), levels.LevelError, "does not take place in rooms 'kinds'"),
    ],
)
def test_what_cannot_be_listed_is_refused_in_a_line(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        grammar.instructions(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("data.demonstrations", {"GoToLocl": 5}, "unknown level 'GoToLocl'"),
        ("data.demonstrations", {"BossLevel": 5}, "'BossLevel' is not listed"),
        ("data.demonstrations", {"BabyAI-GoToLocal-v0": 5}, "did you mean 'GoToLocal'"),
        ("data.demonstrations", {}, "name at least one level"),
        ("data.synonyms", "defalt", "did you mean 'default'"),
        ("data.synonyms", {"red": "crimson"}, "'green' has no synonym"),
        ("cloning.held_out", [], "name at least one composition"),
        ("cloning.held_out", ["red dog"], "'red dog' is not a colour and a type"),
    ],
)
def test_a_profile_is_told_what_it_cannot_say(key, value, words):
    with pytest.raises(ProfileError, match=words) as caught:
        Profile.load("smoke", {key: value})
    assert "\n" not in str(caught.value)
