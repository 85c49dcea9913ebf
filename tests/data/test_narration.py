import numpy as np

from paper_utils.data import grammar, levels, narration, pictures

NAMES = ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"]


def test_documents_use_every_word_of_the_instructions_and_are_deterministic(monkeypatch):
    told = []
    for workers in ("1", "2"):
        monkeypatch.setenv("PAPER_WORKERS", workers)
        told.append(narration.documents(NAMES, levels.seeds("text", 300)))
    assert told[0] == told[1] and len(told[0]) == 300
    words = set(" ".join(told[0]).split())
    assert set(" ".join(grammar.instructions(NAMES)["text"]).split()) <= words


def test_what_is_told_is_what_happens():
    env = levels.make("PutNextLocal")
    for seed in range(20):
        text = narration.document(env, "PutNextLocal", seed)
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
        for thing, x, y in narration.room(env):
            if narration.place(env, x, y) == grammar.LOCATIONS[desc.loc] and (
                desc.type in (None, thing.type) and desc.color in (None, thing.color)
            ):
                assert id(thing) in matching
                seen.add(desc.loc)
    assert seen == set(grammar.LOCATIONS)


def test_pictures_show_what_captions_say():
    images, captions = pictures.pictures(NAMES, levels.seeds("pictures", 40))
    assert images.shape == (len(captions), 64, 64, 3) and images.dtype == np.uint8
    assert len(captions) >= 80
    for phrase in ("you go to the", "you pick up the", "you open the", "next to the", "behind you"):
        assert any(phrase in caption for caption in captions), phrase
    again, _ = pictures.pictures(NAMES, levels.seeds("pictures", 40))
    np.testing.assert_array_equal(images, again)


def test_a_picture_looks_up():
    """Whatever the agent's direction, the cell in front of it is the one above it."""
    env = levels.make("GoToLocal")
    for seed in range(12):
        env.reset(seed=seed)
        shown = pictures.picture(env)
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
