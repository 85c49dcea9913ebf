import hashlib

import numpy as np

from paper_utils.config import Profile
from paper_utils.data import corpus, grammar, levels, scene

NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]
OF_KINDS = ["GoToLocal", "PickupLoc"]
TABLE = grammar.SYNONYMS["default"]
STORIES_IN_FIRST_NAMES = "f06539b5c9742c92fbbec9d8fd0bed5a5cd6e490a58fe337775739812fd609ba"


def stories(names, seeds, wording="first", rooms="babyai", world=0):
    for seed, story in corpus.record(corpus.tell, names, seeds, rooms, world):
        yield corpus.reworder(wording, TABLE, seed)(story)


def test_stories_use_every_word_of_the_instructions():
    told = list(stories(NAMES, levels.seeds("text", 300), "mention"))
    assert len(told) == 300
    words = set(" ".join(told).split())
    instructions = grammar.instructions(NAMES)
    assert set(" ".join([*instructions["text"], *instructions["second_text"]]).split()) <= words


def test_stories_in_first_names_are_as_they_were():
    made = (corpus.tell(levels.make(name), name, seed) for name in NAMES for seed in range(5))
    assert hashlib.sha256("\n".join(made).encode()).hexdigest() == STORIES_IN_FIRST_NAMES


def test_an_episode_is_the_same_in_any_part_of_a_corpus():
    seeds = levels.seeds("text", 9, world=3)
    whole = list(stories(NAMES, seeds, "mention"))
    assert list(stories(NAMES, seeds[5:], "mention")) == whole[5:]


def test_who_ties_the_names_together():
    """In first names nothing is renamed; a dialect never mixes; mentions mix within a story."""
    env = levels.make("PutNextLocal")
    second = {*TABLE.values()}
    first = {phrase for phrase in TABLE if " " not in phrase and phrase != "open"}
    mixed = 0
    dialects = set()
    for seed in range(60):
        story = corpus.tell(env, "PutNextLocal", seed)
        said = {}
        for wording in ("first", "mention", "dialect"):
            said[wording] = set(corpus.reworder(wording, TABLE, seed)(story).split())
        assert not said["first"] & second
        assert bool(said["dialect"] & second) != bool(said["dialect"] & first)
        dialects.add(bool(said["dialect"] & second))
        mixed += bool(said["mention"] & second) and bool(said["mention"] & first)
    assert dialects == {True, False} and mixed == 60


def test_half_of_the_mentions_leave_the_type_out():
    text = "the red ball is behind you . you carry the blue key . the door is open ."
    reworded = [corpus.reworder("typeless", TABLE, seed)(text) for seed in range(200)]
    for phrase, typeless in (("red ball", "red object"), ("blue key", "blue object")):
        without = sum(typeless in one for one in reworded)
        assert 70 < without < 130
        assert without + sum(phrase in one for one in reworded) == 200
    # Each mention draws for itself, and nothing else changes.
    assert len(set(reworded)) == 4
    assert reworded == [corpus.reworder("typeless", TABLE, seed)(text) for seed in range(200)]


def test_what_is_told_is_what_happens():
    env = levels.make("PutNextLocal")
    for seed in range(20):
        text = corpus.tell(env, "PutNextLocal", seed)
        moved = env.mission.removeprefix("put the ").split(" next to the ")[0]
        after = text[text.index(env.mission) :]
        assert f"the {moved}" in after and "pick" in after
        carried = after.index(moved, len(env.mission))
        assert "next to the" in after[carried:] or "put down" in after[carried:]


def test_places_are_babyais():
    """What the narrator calls left is what the level accepts as "on your left"."""
    env = levels.make("PickupLoc")
    seen = set()
    for seed in range(200):
        env.reset(seed=seed)
        wanted = env.instrs.desc
        if wanted.loc is None:
            continue
        matching = {id(thing) for thing in wanted.obj_set}
        for thing, x, y in scene.things_in_room(env):
            fits = wanted.type == thing.type and wanted.color in (None, thing.color)
            if fits and scene.direction_from_agent(env, x, y) == wanted.loc:
                assert id(thing) in matching
                seen.add(wanted.loc)
    assert seen == set(grammar.LOCATIONS)


def test_pictures_show_events_and_moments_between():
    seeds = levels.seeds("pictures", 40)
    shots = [shot for _, made in corpus.record(corpus.photograph, NAMES, seeds) for shot in made]
    images = np.array([image for image, _ in shots])
    captions = [caption for _, caption in shots]
    assert images.shape == (len(shots), 64, 64, 3) and images.dtype == np.uint8
    assert len(captions) >= 80
    for phrase in ("you go to the", "you pick up the", "you open the", "next to the", "behind you"):
        assert any(phrase in caption for caption in captions), phrase


def test_a_caption_says_what_the_picture_shows():
    """Where a caption says that a thing is in front, it is drawn above the agent."""
    env = levels.make("GoToLocal")
    checked = 0
    for seed in range(30):
        (_, caption), *_ = corpus.photograph(env, "GoToLocal", seed)
        first = caption.split(" . ")[0]
        ahead = env.grid.get(*env.front_pos)
        assert first.removesuffix(" .") == f"you go to the {scene.name_of(ahead)}"
        checked += 1
    assert checked == 30


def test_a_picture_looks_up():
    """Whatever the agent's direction, the cell in front of it is the one above it."""
    env = levels.make("GoToLocal")
    for seed in range(12):
        env.reset(seed=seed)
        shown = corpus.picture(env)
        red = (shown == (255, 0, 0)).all(-1).reshape(8, 8, 8, 8).sum(axis=(1, 3))
        left, top = env.room_from_pos(*env.agent_pos).top
        x, y = env.agent_pos[0] - left, env.agent_pos[1] - top
        for _ in range((env.agent_dir + 1) % 4):
            x, y = y, 7 - x
        assert red[y, x] > 0
        ahead = env.grid.get(*env.front_pos)
        cell = shown[8 * (y - 1) : 8 * y, 8 * x : 8 * x + 8]
        is_wall = ahead is not None and ahead.type == "wall"
        assert is_wall == bool((cell == 100).all(-1).mean() > 0.8)


def test_without_colours_nothing_but_the_colours_is_missing():
    for level in OF_KINDS:
        env = levels.make(level, "kinds", 2)
        for seed in range(8):
            seen = corpus.photograph(env, level, seed, coloured=True)
            blind = corpus.photograph(env, level, seed, coloured=False)
            assert [caption for _, caption in seen] == [caption for _, caption in blind]
            for (image, _), (grey, _) in zip(seen, blind):
                # The agent is red; everything else is grey now.
                assert (grey[..., 1] == grey[..., 2]).all()
                assert (image[..., 1] != image[..., 2]).any()
                # The same cells are empty.
                drawn = [(i.reshape(8, 8, 8, 8, 3) > 0).any(axis=(1, 3, 4)) for i in (image, grey)]
                np.testing.assert_array_equal(*drawn)


def test_texts_about_kinds_say_nothing_of_kinds():
    """They use BabyAI's first names, and of other words "object" alone."""
    elsewhere = set(" ".join(stories(OF_KINDS, levels.seeds("text", 300))).split())
    for rooms in ("kinds", "exclusive", "exchangeable"):
        seeds = levels.seeds("text", 80, 1, rooms)
        told = set(" ".join(stories(OF_KINDS, seeds, rooms=rooms, world=1)).split())
        assert "object" in told and told <= elsewhere | {"object"}


def profile(**changes):
    return Profile.load("smoke", {f"data.{key}": value for key, value in changes.items()})


def test_the_stage_of_stories(tmp_path):
    small = profile(documents=20)
    corpus.STORIES.make(small, tmp_path, world=4, rooms="babyai")
    documents = corpus.STORIES.load(tmp_path)
    seeds = levels.seeds("text", 20, 4)
    told = list(stories(small.data.levels, seeds, "mention"))
    assert documents == corpus.Documents(told[:18], told[18:])
    assert set(" ".join(told).split()) & {*TABLE.values()}


def test_the_stage_of_pictures(tmp_path):
    small = profile(pictured_episodes=12, demonstrations={"GoToLocal": 5, "PickupLoc": 5})
    made = {}
    for coloured in (True, False):
        folder = tmp_path / str(coloured)
        folder.mkdir()
        corpus.PICTURES.make(small, folder, world=4, rooms="kinds", coloured=coloured)
        made[coloured] = corpus.PICTURES.load(folder)
        assert len(made[coloured].train_images) == len(made[coloured].train_captions) > 18
        assert len(made[coloured].validation_images) == len(made[coloured].validation_captions) >= 2
    assert made[True].train_captions == made[False].train_captions
    assert (made[True].train_images != made[False].train_images).any()
    captions = " ".join(made[True].train_captions)
    assert " object " in captions and not set(captions.split()) & {*TABLE.values()}


def test_the_cost_of_stages_grows_with_what_they_make():
    small = profile(documents=100)
    large = profile(documents=1000)
    costs = [corpus.STORIES.cost(one, world=0, rooms="babyai") for one in (small, large)]
    assert costs[1] == 10 * costs[0] > 0
    assert corpus.PICTURES.cost(small, world=0, rooms="kinds", coloured=True) > 0
