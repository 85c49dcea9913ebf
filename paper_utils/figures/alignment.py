"""Figures of notebook 04: three tests, who agrees with models in each, and what acting teaches.

Values are rows of the differences of a study, whose ``contrast`` is a column, or one column minus
another.  What a title says of them is chosen by the rule that answers the claims."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from paper_utils.data.expert import Recording
from paper_utils.data.kinds import colours_by_role
from paper_utils.encoders.records import Encoder
from paper_utils.figures.style import (
    BAND,
    CHANCE,
    COLOURS,
    NAMES,
    PAGE,
    THINGS,
    chance_line,
    legend_above,
    panels,
    rows_of_points,
)
from paper_utils.study.claims import TELLING, verdict
from paper_utils.study.differences import MEAN

# In every figure: two agents, the floor and the ceiling.
FOUR = ["acted", "never_acted", "word_count", "codebook"]
# With the control that tells acting from acting on the right instructions, where order is shown.
FIVE = ["acted", "never_acted", "exchanged", "word_count", "codebook"]
NEVER = "acted - never_acted"
OWN = "own world - other world"
# What a title says of a difference, by its verdict over worlds: so it is true in every run.
ADDS = {
    "more": "acting adds",
    "same": "acting adds nothing",
    "less": "acting takes away",
    "open": "not settled",
}
SHARED = {"more": "shared", "same": "not shared", "less": "opposite", "open": "not settled"}
# Conditions of the world of kinds: shades of the acting agent's hue, since it is agents that are
# compared under each of them.
CONDITIONS = COLOURS | {
    "own world": COLOURS["acted"],
    "other world": "#F2B48A",
    "exchangeable": "#7A3A08",
}
CONDITION_NAMES = NAMES | {
    MEAN: "their mean",
    "own": "its own",
    "own world": "same world",
    "other world": "another world",
    "exchangeable": "flat rooms",
}
NOTHING: Mapping = {}
SHOWN = ["contrast", "mean", "low", "high", "p", "worlds"]
# What is told first.
HEADLINES = (
    "action agrees with decoders",
    "acting on the right instructions adds order",
    "blind agents share kinds with language and vision",
)
# A little more than what is possible, so that points at the ends are whole.
SHARE = (-0.03, 1.03)
WHOLE = (-1.05, 1.05)
NOTE = {"fontsize": 7, "color": "#444444"}


# --- what is read --------------------------------------------------------------------------------


def values_of(
    differences: pd.DataFrame, test: str, measure: str, direction: str = "both"
) -> pd.DataFrame:
    """Rows of one test, measure and direction: all models and contrasts."""
    # The names of columns are those of the arguments.
    return differences.query("test == @test and measure == @measure and direction == @direction")


def said(
    values: pd.DataFrame, words: Mapping[str, str] = ADDS, contrast: str = NEVER, model: str = MEAN
) -> str:
    """The words for the verdict on a contrast."""
    # A single world has no other: it is held against a codebook.
    if contrast == OWN and OWN not in set(values["contrast"]):
        contrast = "own world - codebook"
    rows = values.query("contrast == @contrast and model == @model")
    # Where no model knows the synonyms there is no mean over models.
    if rows.empty:
        return "nobody can tell"
    return words[verdict(rows.iloc[0])]


def rows_of(models: Sequence[Encoder]) -> list[str]:
    """Models that were trained in each world, their mean, and then all others."""
    rows = [model.label for model in models]
    scratch = [model for model in models if model.kind == "scratch"]
    # The mean divides what it is a mean of from public models, which no sentence generalises.
    rows.insert(len(scratch), MEAN)
    return rows


# --- what is drawn -------------------------------------------------------------------------------


def draw(
    axis: Axes,
    values: pd.DataFrame,
    rows: list[str],
    columns: list[str],
    of: str = "model",
    by: str = "contrast",
    names: Mapping[str, str] = NOTHING,
    xlim: tuple[float, float] = SHARE,
    title: str = "",
) -> None:
    """A row for each of ``rows`` (column ``of``), in it a point for each of ``columns`` (``by``).

    ``names``: of rows that are called otherwise."""
    names = CONDITION_NAMES | names
    colours = CONDITIONS
    rows_of_points(axis, values, of, "mean", by, rows, columns, colours=colours, names=names)
    # Names of public models are long, and would take the room of the points.
    labels = [textwrap.fill(names.get(row, row), 17) for row in rows]
    axis.set_yticks(axis.get_yticks(), labels)
    axis.tick_params(axis="y", length=0)
    # Above the first row there is room for the name of a band.
    axis.set(xlim=xlim, ylim=(0.4 - len(rows), 1.0), title=title)


def band(axis: Axes, values: pd.Series) -> None:
    """All that knows nothing as one band, with the series' name at the top."""
    # From the worst to the best of them: to stand out is to stand beyond all.
    axis.axvspan(values.min(), values.max(), **BAND)
    axis.text(values.max(), 1.0, f" {values.name}", va="top", **NOTE)


def by_model(
    differences: pd.DataFrame,
    models: Sequence[Encoder],
    asked: Mapping[str, tuple[str, str, str, float]],
    columns: list[str] = FOUR,
    floors: Mapping[str, pd.Series] = NOTHING,
    strangers: Sequence[str] = (),
) -> Figure:
    """A row per model, in it a point per column; a panel for each name of ``asked``.

    ``asked``: name -> test, measure, direction, chance.  ``floors``: name -> values of what knows
    nothing.  ``strangers``: models that do not know the synonyms, which get a star."""
    rows = rows_of(models)
    # Still drawn, so that nobody looks for them.
    names = {label: f"{label} *" for label in strangers}
    figure, axes = panels(len(asked), 2, PAGE, 0.35 * len(rows) + 0.9)
    for axis, (name, (*key, chance)) in zip(axes, asked.items()):
        values = values_of(differences, *key)
        draw(axis, values, rows, columns, names=names, title=said(values))
        axis.set_xlabel(name)
        chance_line(axis, chance)
        # The primary row: over it the words of the title are said.
        middle = -rows.index(MEAN)
        axis.axhspan(middle - 0.5, middle + 0.5, color="#F1F1F1", zorder=-1)
        # A dozen controls at chance are one band, not a dozen rows.
        if name in floors:
            band(axis, floors[name])
    legend_above(figure, axes[0])
    return figure


def taught(
    differences: pd.DataFrame, models: Sequence[Encoder], lucky: pd.Series, strangers: Sequence[str]
) -> Figure:
    """Order with unheard synonyms, and linear CKA.  ``lucky``: order by untrained models."""
    asked = {
        "order of two, unheard synonyms": ("synonyms", "order", "both", 1 / 2),
        "linear CKA with the model": ("geometry", "linear_cka, all", "both", 0.0),
    }
    # Only order can be right by luck of weights; it has a null of its own.
    order, _ = asked
    floors = {order: lucky.rename("untrained models")}
    return by_model(differences, models, asked, FIVE, floors, strangers)


def transfer(differences: pd.DataFrame, models: Sequence[Encoder]) -> Figure:
    """Success of the acting agent on mapped vectors, a panel per level that tells something."""
    labels = [model.label for model in models]
    rows = ["own", "codebook", *labels, "word_count"]
    figure, axes = panels(2, 2, PAGE, 0.3 * len(rows) + 0.9)
    for axis, level in zip(axes, TELLING):
        values = values_of(differences, "transfer", level)
        success = values.query("contrast == 'success'")
        # It is the same agent that acts on every row.
        acted = success.assign(contrast="acted")
        draw(axis, acted, rows, ["acted"], title=level)
        axis.set_xlabel("success")
        controls = success.query("model == 'word_count' or model not in @rows")
        band(axis, controls["mean"].rename("controls"))
    return figure


def answer(differences: pd.DataFrame, models: Sequence[Encoder], chance: float) -> Figure:
    """The answer in three panels, one per test: who passes it?"""
    figure, axes = panels(3, 3, PAGE, 2.3)
    words, synonyms, structure = axes
    values = values_of(differences, "same_words", "precision_at_k")
    # Public models are named one by one: two of them say nothing of others.
    public = [model.label for model in models if model.kind == "public"]
    names = {MEAN: f"mean of {len(models) - len(public)} models"}
    draw(words, values, [MEAN, *public], FIVE, names=names)
    words.set(xlabel="precision@k", title=f"Same words:\n{said(values)}")
    chance_line(words, chance)
    # One that needs a code alone, and the one that needs roles.
    values = differences.query("test == 'synonyms' and direction == 'both' and model == @MEAN")
    names = {"colour": "colour of six", "order": "order of two"}
    draw(synonyms, values, list(names), FIVE, of="measure", names=names)
    order = values.query("measure == 'order'")
    synonyms.set(xlabel="share right", title=f"Unheard synonyms:\norder: {said(order)}")
    # Chance differs by row.
    synonyms.vlines([1 / 6, 1 / 2], [-0.4, -1.4], [0.4, -0.6], **CHANCE)
    values = values_of(differences, "structure", "r")
    names = {
        "blind agent ~ LLaMA": "blind, LLaMA",
        "blind agent ~ blind CLIP": "blind, CLIP",
        "seeing agent ~ LLaMA": "seeing, LLaMA",
    }
    seeing = said(values, SHARED, "own world", "seeing agent ~ LLaMA")
    blind = said(values, SHARED, OWN, "blind agent ~ LLaMA")
    title = f"Structure: {blind};\nseeing: {seeing}"
    columns = ["own world", "other world", "never_acted", "codebook"]
    draw(structure, values, list(names), columns, names=names, xlim=WHOLE, title=title)
    structure.axvline(0, **CHANCE)
    structure.set_xlabel("r of six colours")
    legend_above(figure, words)
    return figure


# --- the three tests, drawn ----------------------------------------------------------------------

# Middles of a model's space and of an agent's.
LEFT = (2.3, 3.2)
RIGHT = (7.7, 3.2)
# Three colours of one kind, two of another, one of a third.
SIX = np.array([[0.2, 1.5], [-0.7, 1.0], [0.5, 0.6], [1.2, -0.9], [0.4, -1.5], [-1.3, -0.7]])


def schematic(instructions: pd.DataFrame) -> Figure:
    """What the three tests ask, with a sentence of the table and the same in synonyms."""
    red = instructions.query("colour == 'red'").iloc[0]
    figure, axes = panels(3, 3, PAGE, 2.0)
    # Any cloud will do; this one has its first point at the edge, where it can be seen.
    cloud = np.random.default_rng(4).normal(scale=0.8, size=(30, 2))
    turned = cloud[:, ::-1]
    for axis, sentence in zip(axes, (red["text"], red["second_text"])):
        _space(axis, LEFT, cloud, sentence, "language")
        _space(axis, RIGHT, turned, red["text"], "acted")
        # The image lies near its partner, not on it: a rotation never fits all of them.
        near = turned[0] + 0.2
        arrow = {"arrowstyle": "->", "connectionstyle": "arc3,rad=-0.3", "color": "#444444"}
        axis.annotate("", RIGHT + near, LEFT + cloud[0], arrowprops=arrow)
        axis.text(5, -0.8, "rotate: among the nearest 15?", ha="center")
    hues = [THINGS[colour] for colour in colours_by_role(0)]
    # Turned as well: distances do not mind.
    for middle, places in ((LEFT, SIX), (RIGHT, SIX[:, ::-1])):
        points = middle + places
        axes[2].scatter(*points.T, c=hues)
    axes[2].text(5, -0.8, "are the same colours alike?", ha="center")
    for axis, title in zip(axes, ("1  same words", "2  unheard synonyms", "3  structure")):
        axis.set(xlim=(0, 10), ylim=(-1, 6), title=title)
        axis.set_axis_off()
    return figure


def _space(axis: Axes, middle: tuple, cloud: np.ndarray, sentence: str, hue: str) -> None:
    """A cloud of sentences, the first of them told."""
    points = middle + cloud
    first = points[0]
    colour = COLOURS[hue]
    axis.scatter(*points.T, s=9, color=colour, alpha=0.4, linewidth=0)
    axis.scatter(*first, s=30, color=colour)
    words = textwrap.fill(sentence, 17)
    axis.text(middle[0], 0.2, words, ha="center", **NOTE)


def beside(left: Recording, right: Recording, lines: str) -> np.ndarray:
    """Frames (T, H, W, 3) of two episodes beside each other, under ``lines``; the shorter waits."""
    steps = max(len(left.frames), len(right.frames))
    sides = []
    # An episode that has ended stands still while the other goes on.
    for episode in (left, right):
        waiting = steps - len(episode.frames)
        around = [(0, waiting), (0, 0), (0, 0), (0, 0)]
        sides.append(np.pad(episode.frames, around, mode="edge"))
    both = np.concatenate(sides, axis=2)
    head = Image.new("RGB", (both.shape[2], 40), "white")
    ImageDraw.Draw(head).text((6, 4), lines, "black", font_size=13)
    heads = np.broadcast_to(head, (steps, 40, both.shape[2], 3))
    return np.concatenate([heads, both], axis=1)
