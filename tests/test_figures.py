"""What a figure has to be, where the eye would not notice: width, letters, and what is named."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from paper_utils.config import Profile
from paper_utils.data import expert, kinds, levels
from paper_utils.encoders import records
from paper_utils.figures import acting, alignment, data, robustness, structure
from paper_utils.figures.style import COLUMN, PAGE

NAMES = ["GoToLocal", "OpenDoor"]
RESULTS = json.loads(
    (Path(__file__).parents[1] / "figures" / "results.json").read_text(encoding="utf-8")
)
STRUCTURE = pd.DataFrame(RESULTS["structure"])
ALONE = "one world, so no intervals"


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def episodes(worlds: int) -> pd.DataFrame:
    """Worlds in which every player succeeds in half of its episodes."""
    rows = []
    for world in range(worlds):
        for player in [*acting.PLAYERS, "held_out"]:
            for level in NAMES:
                for number in range(4):
                    rows.append((world, player, level, number % 2 == 0, 5 + number))
    return pd.DataFrame(rows, columns=["world", "player", "level", "success", "steps"])


def with_intervals(table: pd.DataFrame, worlds: int) -> pd.DataFrame:
    """As if there were so many worlds: means of a table, and intervals around them if several."""
    reach = 0.05 if worlds > 1 else np.nan
    found = table.assign(low=table["mean"] - reach, high=table["mean"] + reach, worlds=worlds)
    return found.assign(p=0.5, p_equivalent=0.5)


def differences(worlds: int) -> pd.DataFrame:
    """The published differences; several worlds have other worlds, too."""
    table = pd.DataFrame(RESULTS["differences"])
    own = table[table["contrast"] == "own world"]
    if worlds > 1:
        others = [own.assign(contrast="other world", mean=0.0)]
        others.append(own.assign(contrast="own world - other world"))
        table = pd.concat([table, *others])
    return with_intervals(table, worlds)


def seen(worlds: int):
    env = levels.make("PutNextLocal", highlight=True)
    view = env.reset(seed=0)[0]["image"]
    return data.seen(env, view)


def by_model(worlds: int):
    asked = {
        "precision@15": ("same_words", "precision_at_k", "model_to_agent", 0.03),
        "colour": ("synonyms", "colour", "both", 1 / 6),
    }
    floors = {"colour": {"controls": pd.Series([0.1, 0.2])}}
    table = differences(worlds)
    return alignment.by_model(table, models(), asked, "share right", floors, ["BERT"])


def models():
    return records.models(Profile.load("release"))


def maps(worlds: int):
    random = np.random.default_rng(0)
    measured = {}
    for learner in ("design", "blind agent", "LLaMA"):
        square = 1 - np.corrcoef(random.normal(size=(6, 9)))
        index = kinds.design(0).index
        measured[learner] = pd.DataFrame(square, index=index, columns=index)
    return structure.colour_maps(measured, list(measured), 0)


def visits(worlds: int):
    rows = []
    for role in ("mostly key, 0.92", "mostly ball, 0.64"):
        for rooms, mean in (("kinds", 0.6), ("exchangeable", 0.4)):
            rows.append({"role": role, "rooms": rooms, "design": 0.9, "mean": mean})
    return structure.visits(with_intervals(pd.DataFrame(rows), worlds))


def layers(worlds: int):
    rows = []
    for panel in ("LLaMA", "CLIP"):
        for at in (0, 1, 2):
            for hue in ("acted", "never_acted"):
                rows.append({"model": panel, "layer": at, "encoder": hue, "mean": 0.5})
    means = with_intervals(pd.DataFrame(rows), worlds)
    return robustness.curves(means, ["acted", "never_acted"], "order", 0.4)


def choices(worlds: int):
    rows = [
        {"panel": panel, "row": row, "hue": hue, "mean": 0.2}
        for panel in ("precision_at_k", "order")
        for row in ("as fixed", "8 components")
        for hue in ("acted", "codebook")
    ]
    return robustness.choices(with_intervals(pd.DataFrame(rows), worlds))


FIGURES = {
    "gallery": lambda worlds: data.gallery(NAMES, 0),
    "seen": seen,
    "success": lambda worlds: acting.success(episodes(worlds), NAMES),
    "by_model": by_model,
    "transfer": lambda worlds: alignment.transfer(differences(worlds), models()),
    "answer": lambda worlds: alignment.answer(differences(worlds), 15, 439),
    "rooms": lambda worlds: structure.rooms([0, 1]),
    "maps": maps,
    "agreement": lambda worlds: structure.agreement(differences(worlds), STRUCTURE),
    "sign": lambda worlds: structure.sign(differences(worlds), STRUCTURE),
    "visits": visits,
    "layers": layers,
    "choices": choices,
}
# Of worlds, or means over them: these need intervals, or a reason why there are none.
OVER_WORLDS = ["by_model", "transfer", "answer", "agreement", "sign", "visits", "layers", "choices"]


def words(figure) -> list[str]:
    """All that can be read in a figure."""
    texts = figure.findobj(Text)
    return [text.get_text() for text in texts if text.get_text().strip() and text.get_visible()]


@pytest.mark.parametrize("worlds", [1, 8])
@pytest.mark.parametrize("name", FIGURES)
def test_can_be_read_in_print(name, worlds):
    """As wide as a column or a page, nothing beyond its edge, and no letter below seven points."""
    figure = FIGURES[name](worlds)
    figure.canvas.draw()
    assert figure.get_figwidth() in (COLUMN, PAGE)
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible():
            assert text.get_fontsize() >= 7
    assert figure.get_tightbbox().width <= figure.get_figwidth() + 0.1
    assert (ALONE in words(figure)) == (name in OVER_WORLDS and worlds == 1)


def test_over_worlds_intervals_are_drawn():
    """A line from the lower end of an interval to the upper one, at every point."""
    for worlds, many in ((1, 0), (8, 4)):
        axis = choices(worlds).axes[0]
        ends = [line.get_xdata() for line in axis.lines if len(line.get_xdata()) == 2]
        assert sum(np.allclose(x, [0.15, 0.25]) for x in ends) == many


def test_titles_say_what_the_numbers_are():
    heads = words(acting.success(episodes(1), NAMES))
    assert any("in 50% of fresh" in text.replace("\n", " ") for text in heads)
    table = differences(1)
    assert any(
        "acting adds .27" in text.replace("\n", " ")
        for text in words(alignment.answer(table, 15, 439))
    )


def test_a_word_of_a_title_follows_the_verdict():
    rows = [("acted - never_acted", "mean", "synonyms", "order", 0.2, 1)]
    columns = ["contrast", "model", "test", "measure", "mean", "worlds"]
    table = pd.DataFrame(rows, columns=columns)
    assert alignment.adds(table) == "acting adds .20"
    assert alignment.adds(table.assign(mean=0.01)) == "no difference"
    # Where no model knows the synonyms there is no mean over models.
    assert alignment.adds(table.assign(model="BERT")) == "nobody can tell"


def test_a_title_counts_single_models_and_tells_of_their_mean():
    rows = [("mean", 0.2), ("LLaMA", 0.3), ("BERT", -0.1), ("CLIP", 0.01), ("decoders", 0.3)]
    table = pd.DataFrame(rows, columns=["model", "mean"]).assign(
        contrast="acted - never_acted", test="synonyms", measure="order", worlds=1
    )
    told = alignment.gained(table, ["CLIP"])
    assert told == "higher with acting: 1 of 2; lower: 1;\nmean: acting adds .20"


def test_differences_of_hypotheses_are_told_with_their_p():
    told = alignment.tested(differences(8), ["H1", "H4"])
    assert list(told.columns) == ["contrast", "mean", "low", "high", "p", "p_equivalent"]
    assert set(told.loc["H1", "contrast"]) == {"acted - never_acted", "acted - exchanged"}
    assert told["p"].notna().all() and list(told.index.unique("hypothesis")) == ["H1", "H4"]


def test_answers_are_listed_beside_their_hypothesis_or_what_the_paper_says():
    table = pd.DataFrame(
        {"hypothesis": ["H1", ""], "paper": ["not asked", "weaker"], "answer": ["yes (.1)", "no"]},
        index=["one", "other"],
    )
    _, _, *rows = alignment.as_table(table).splitlines()
    assert rows == ["| one | H1 | **yes** | .1 |", "| other | weaker | **no** |  |"]


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
    seed = data.worth_showing("PutNextLocal", seeds)
    env = levels.make("PutNextLocal")
    env.reset(seed=seed)
    assert env.agent_dir == data.UP
    # In OpenDoor's rooms there is nothing but doors.
    assert data.worth_showing("OpenDoor", seeds) == seeds[0]


def test_a_live_curve_is_drawn_now_and_then(monkeypatch):
    shown = []
    monkeypatch.setattr(acting.DisplayHandle, "display", lambda *_, **__: None)
    monkeypatch.setattr(acting.DisplayHandle, "update", lambda _, figure: shown.append(figure))
    live = acting.LiveLoss()
    for number in range(2 * acting.EVERY + 1):
        live.add(1 / (1 + number))
    assert len(live.losses) == 2 * acting.EVERY + 1
    assert [len(figure.axes[0].lines[0].get_ydata()) for figure in shown] == [25, 50]


def test_a_model_that_a_run_lacks_has_no_row():
    """As in the smoke profile, which trains no BLIP."""
    table = differences(8)
    assert "seeing BLIP ~ design" in table["model"].unique()
    figure = structure.sign(table[~table["model"].str.contains("BLIP")], STRUCTURE)
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "seeing CLIP ~ design" in named and not any("BLIP" in name for name in named)


def test_of_layers_those_above_luck_count():
    rows = {"model": "LLaMA", "layer": [0, 1, 2], "encoder": "acted", "mean": [0.9, 0.9, 0.5]}
    values = pd.DataFrame(rows).assign(low=np.nan, high=np.nan)  # one world
    figure = robustness.curves(values, ["acted"], "order", 0.7)
    assert "at 1 of 2 layers above 0" in figure.legends[0].get_title().get_text()
    plt.close(figure)
