import hashlib

import numpy as np

from paper_utils.config import Compute
from paper_utils.data import corpus, grammar, levels

NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]


GOLDEN = "f06539b5c9742c92fbbec9d8fd0bed5a5cd6e490a58fe337775739812fd609ba"
TABLE = grammar.SECOND_NAMES["default"]


def test_stories_use_every_word_of_the_instructions_and_do_not_depend_on_workers():
    seeds = levels.seeds("text", 500)
    stories = [
        corpus.record(corpus.document, NAMES, seeds, "mention", TABLE, Compute(workers=count))
        for count in (1, 2)
    ]
    assert stories[0] == stories[1] and len(stories[0]) == 500
    words = set(" ".join(stories[0]).split())
    instructions = grammar.instructions(NAMES)
    assert set(" ".join([*instructions["text"], *instructions["second_text"]]).split()) <= words


def test_who_ties_the_names_together():
    """In first names nothing is renamed; a dialect never mixes; mentions mix within a story."""
    env = levels.make("PutNextLocal")
    second = {*TABLE.values()}
    one_word = {phrase for phrase in TABLE if " " not in phrase and phrase != "open"}
    mixed, dialects = 0, set()
    for seed in range(60):
        told = {
            tied: set(
                corpus.document(
                    env, "PutNextLocal", seed, corpus.renamer(tied, TABLE, seed)
                ).split()
            )
            for tied in corpus.NAMES
        }
        assert not told["first"] & second
        assert bool(told["dialect"] & second) != bool(told["dialect"] & one_word)
        dialects.add(bool(told["dialect"] & second))
        mixed += bool(told["mention"] & second) and bool(told["mention"] & one_word)
    assert dialects == {True, False} and mixed == 60


def test_stories_in_first_names_are_as_they_were():
    text = "\n".join(
        corpus.document(levels.make(name), name, seed) for name in NAMES for seed in range(5)
    )
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN


def test_what_is_told_is_what_happens():
    env = levels.make("PutNextLocal")
    for seed in range(20):
        text = corpus.document(env, "PutNextLocal", seed)
        moved, fixed = (
            part.removeprefix("put the ") for part in env.mission.split(" next to the ")
        )
        assert env.mission in text
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
        desc = env.instrs.desc
        if desc.loc is None:
            continue
        matching = {id(thing) for thing in desc.obj_set}
        for thing, x, y in levels.room(env):
            if levels.place(env, x, y) == desc.loc and (
                desc.type in (None, thing.type) and desc.color in (None, thing.color)
            ):
                assert id(thing) in matching
                seen.add(desc.loc)
    assert seen == set(grammar.LOCATIONS)


def test_pictures_show_what_captions_say():
    def shoot():
        shots = corpus.record(corpus.shoot, NAMES, levels.seeds("pictures", 40))
        images, captions = zip(*(shot for part in shots for shot in part))
        return np.array(images), captions

    images, captions = shoot()
    assert images.shape == (len(captions), 64, 64, 3) and images.dtype == np.uint8
    assert len(captions) >= 80
    for phrase in ("you go to the", "you pick up the", "you open the", "next to the", "behind you"):
        assert any(phrase in caption for caption in captions), phrase
    again, _ = shoot()
    np.testing.assert_array_equal(images, again)


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
        assert (ahead is not None and ahead.type == "wall") == bool(
            (cell == 100).all(-1).mean() > 0.8
        )
