"""Rooms whose things have kinds."""

import itertools
from collections import Counter

import numpy as np
import pytest

from paper_utils.data import grammar, kinds, levels

LEVELS = list(kinds.LEVELS)


def things_of(env):
    """(colour, type) of what stands in the room."""
    cells = [cell for cell in env.grid.grid if cell is not None and cell.type != "wall"]
    return [(cell.color, cell.type) for cell in cells]


def rooms_of(rooms, world, count, level="GoToLocal"):
    env = levels.make(level, rooms, world)
    for seed in levels.seeds("train", count, world, rooms):
        env.reset(seed=seed)
        yield things_of(env)


def distances(table):
    """Pairwise cosine and Euclidean distances of the colours' centred rows."""
    centred = table - table.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    cosine = 1 - unit @ unit.T
    euclidean = np.linalg.norm(table[:, None] - table[None], axis=2)
    return cosine, euclidean


def test_designs_of_different_worlds_do_not_correlate():
    """Measured: the largest correlation between two of the eight is .19, and no world is like the
    others on average by more than .09, so that their models can serve as controls."""
    upper = np.triu_indices(6, 1)
    for measure in (0, 1):
        vectors = [distances(kinds.design(world).to_numpy())[measure][upper] for world in range(8)]
        correlations = np.corrcoef(vectors)
        others = correlations[~np.eye(8, dtype=bool)].reshape(8, 7)
        assert round(np.abs(others).max(), 2) <= 0.19
        assert np.abs(others.mean(axis=1)).max() < 0.09


def test_every_world_has_all_colours_and_worlds_eight_apart_the_same():
    assert len({*map(tuple, kinds.ASSIGNMENTS)}) == 8
    for world in range(8):
        table = kinds.design(world)
        assert list(table.index) == list(grammar.COLOURS)
        assert np.allclose(table.sum(axis=1), 1)
        assert kinds.design(world + 8).equals(table)
    assert (kinds.design(3, "exchangeable") == 1 / 3).all(axis=None)


@pytest.mark.parametrize("rooms", kinds.ROOMS)
def test_things_are_drawn_from_the_design(rooms):
    found = Counter(itertools.chain(*rooms_of(rooms, 3, 700)))
    table = kinds.design(3, rooms)
    total = sum(found.values())
    assert total == 700 * 8
    for colour in table.index:
        of_colour = sum(found[colour, kind] for kind in table.columns)
        assert abs(of_colour / total - 1 / 6) < 0.06
        for kind in table.columns:
            share = found[colour, kind] / of_colour
            assert abs(share - table.loc[colour, kind]) < 0.06, (colour, kind, share)


def test_exclusive_rooms_show_one_colour_of_each_kind():
    kind_of = kinds.design(6).idxmax(axis=1).to_dict()
    assert Counter(kind_of.values()) == {"key": 3, "ball": 2, "box": 1}
    together = Counter()
    for things in rooms_of("exclusive", 6, 120):
        colours = {colour for colour, _ in things}
        shown = [kind_of[colour] for colour in colours]
        assert len(shown) == len(set(shown)), things
        together.update(colours)
    # No colour of a kind is preferred.
    assert min(together.values()) > 20


def test_worlds_differ_and_are_repeatable():
    again = [list(rooms_of("kinds", world, 5)) for world in (2, 2, 3)]
    assert again[0] == again[1] != again[2]


@pytest.mark.parametrize("level", LEVELS)
def test_a_colour_without_a_type_is_any_thing_of_it_and_no_wall(level):
    """Walls are grey, and Minigrid's own description of "a grey object" matches them."""
    env = levels.make(level, "kinds", 1)
    typeless = []
    with_type = 0
    for seed in range(300):
        env.reset(seed=seed)
        wanted = env.instrs.desc
        if wanted.type is not None:
            with_type += wanted.color is not None and wanted.loc is None
            continue
        matching = [thing for thing in things_of(env) if thing[0] == wanted.color]
        assert len(matching) == len(wanted.obj_set) == len(wanted.obj_poss)
        article = "a" if len(matching) > 1 else "the"
        assert env.mission.endswith(f" {article} {wanted.color} object")
        typeless.append(wanted.color)
        # Facing a wall ends nothing.
        env.agent_pos = (1, 1)
        env.agent_dir = 3
        assert env.step(env.actions.pickup)[1:3] == (0, False)
    assert set(typeless) == set(grammar.COLOURS)
    # Half of the missions that say a colour and no place.
    assert 0.4 < len(typeless) / (len(typeless) + with_type) < 0.6


@pytest.mark.parametrize(
    ("level", "count", "enough"), [("GoToLocal", 24, 400), ("PickupLoc", 111, 2200)]
)
def test_the_grammar_lists_what_is_said_and_nothing_else(level, count, enough):
    listed = set(grammar.instructions([level], "kinds")["text"])
    assert len(listed) == count
    # All types are equally likely in exchangeable rooms: there rare instructions are met sooner.
    said = set()
    for rooms, episodes in (("exchangeable", enough), ("kinds", 200), ("exclusive", 200)):
        env = levels.make(level, rooms, 0)
        for seed in range(episodes):
            env.reset(seed=seed)
            said.add(grammar.canonical(env.mission))
    assert said <= listed
    missing = listed - said
    assert not missing


def test_frames_are_those_that_take_all_six_colours():
    table = grammar.instructions(LEVELS, "kinds")
    assert len(table) == 135
    frames = grammar.frames(table)
    assert frames["frame"].nunique() == 20
    assert {"go to the X object", "pick up the X key behind you"} <= set(frames["frame"])
    for frame, rows in frames.groupby("frame"):
        assert rows["colour"].tolist() == list(grammar.COLOURS)
        said = [frame.replace("X", colour) for colour in grammar.COLOURS]
        assert rows["text"].tolist() == said
        assert table.set_index("id").loc[rows["id"], "text"].tolist() == said
