"""What a figure has to be, where the eye would not notice: width and letters in print."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from paper_utils.cloning.evaluation import success_rates
from paper_utils.data import expert, grammar, levels
from paper_utils.figures import acting, data
from paper_utils.figures.style import COLUMN, PAGE

NAMES = ["GoToLocal", "OpenDoor"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def episodes() -> pd.DataFrame:
    """Two worlds in which every player succeeds in half of its episodes."""
    rows = []
    for world in (0, 1):
        for player in [*acting.PLAYERS, "held_out"]:
            for level in NAMES:
                for number in range(4):
                    rows.append((world, player, level, number % 2 == 0, 5 + number))
    return pd.DataFrame(rows, columns=["world", "player", "level", "success", "steps"])


def curves() -> pd.DataFrame:
    """Two worlds; one has a step less, as where the expert failed once."""
    rows = []
    for world in (0, 1):
        for condition, loss in (("acted", 0.2), ("exchanged", 0.5), ("held_out", 9.0)):
            rows += [
                (world, condition, 1, 10 - world, 1.0),
                (world, condition, 2, 20 - world, loss),
            ]
    columns = ["world", "condition", "epoch", "step", "validation_loss"]
    return pd.DataFrame(rows, columns=columns)


def seen():
    env = levels.make("PutNextLocal", highlight=True)
    view = env.reset(seed=0)[0]["image"]
    return data.seen(env, view)


def strip():
    film = expert.record_expert("GoToLocal", 0, tile_size=8)
    return data.filmstrip({"one": film, "other": film})


def compositions():
    pairs = success_rates(episodes(), ["player", "level"])
    return acting.compositions(pairs, NAMES)


FIGURES = {
    "gallery": lambda: data.gallery(NAMES, 0),
    "strip": strip,
    "seen": seen,
    "lengths": lambda: data.lengths(episodes()),
    "templates": lambda: data.templates(grammar.instructions(NAMES)),
    "curves": lambda: acting.curves(curves()),
    "success": lambda: acting.success(episodes(), NAMES),
    "compositions": compositions,
}


@pytest.mark.parametrize("name", FIGURES)
def test_can_be_read_in_print(name):
    """As wide as a column or a page, with a message above it and no letter below seven points."""
    figure = FIGURES[name]()
    figure.canvas.draw()
    assert figure.get_figwidth() in (COLUMN, PAGE)
    assert figure.get_suptitle()
    texts = [
        text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()
    ]
    assert min(text.get_fontsize() for text in texts) >= 7


def test_titles_say_what_the_numbers_are():
    assert "cost 0.30 nats" in acting.curves(curves()).get_suptitle().replace("\n", " ")
    assert "in 50% of fresh" in acting.success(episodes(), NAMES).get_suptitle()


def test_of_a_maze_one_room_is_shown():
    env = levels.make("OpenDoor", highlight=True)
    env.reset(seed=0)
    picture = data.room(env)
    assert picture.shape == (8 * data.TILE, 8 * data.TILE, 3)
    # The room's walls stand on its four sides, so no other room is in the picture.
    corners = picture[:: 8 * data.TILE - 1, :: 8 * data.TILE - 1]
    assert (corners < 200).all()


def test_films_of_different_lengths_play_side_by_side():
    film = expert.record_expert("GoToLocal", 0, tile_size=8)
    short = film._replace(frames=film.frames[:2], actions=film.actions[:1], success=False)
    shots = data.moving({"long": film, "short": short})
    assert len(shots) == len(film.frames) > 2
    assert len({shot.shape for shot in shots}) == 1
    # The last shot of the shorter film stays while the other goes on.
    half = shots[0].shape[1] // 2
    assert np.array_equal(shots[1][60:, half:], shots[-1][60:, half:])
    assert not np.array_equal(shots[1][60:, :half], shots[-1][60:, :half])


def test_a_view_is_turned_as_its_room_is():
    seeds = levels.seeds("pictures", 200, 0)
    seed = data.worth_showing("PutNextLocal", seeds, range(8, 14))
    env = levels.make("PutNextLocal")
    env.reset(seed=seed)
    assert env.agent_dir == data.UP
    assert data.worth_showing("PutNextLocal", seeds, range(0)) == seeds[0]


def test_a_live_curve_is_drawn_now_and_then(monkeypatch):
    shown = []
    monkeypatch.setattr(acting, "display", lambda picture, **_: shown.append(picture))
    live = acting.LiveLoss()
    for number in range(2 * acting.EVERY + 1):
        live.add(1 / (1 + number))
    assert len(live.losses) == 2 * acting.EVERY + 1
    assert len(shown) == 2 and shown[0].data[:4] == b"\x89PNG"
