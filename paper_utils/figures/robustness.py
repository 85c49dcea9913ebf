"""Figures of notebook 07: what other choices would have shown.

They draw means over worlds: columns mean, low and high, beside panel, row (or at) and hue."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from paper_utils.figures.style import (
    BAND,
    CHANCE,
    COLOURS,
    NAMES,
    PAGE,
    legend_above,
    panels,
    rows_of_points,
)
from paper_utils.study.differences import over_worlds

SHARE = (-0.03, 1.03)
GREY = COLOURS["lexical"]  # of what stands in the appendix alone: there its row tells who it is
# What public models are asked, and who is asked: the model, or a control in its place.
QUESTIONS = {
    "drawn: model": "synonyms: the model",
    "drawn: layer 0": "its word vectors",
    "drawn: subwords": "its subwords",
    "drawn: letters": "their letters",
    "swapped: model": "swapped, as told",
    "swapped, by meaning: model": "swapped, by meaning",
    "pseudo: model": "made-up words",
    "own: untrained": "random weights",
}
MODELS = [question for question in QUESTIONS if question.endswith("model")]
OTHERS = {"character_ngrams": "letters in a row", "length": "length of the sentence"}
ALL_NAMES = NAMES | OTHERS | QUESTIONS
ALL_COLOURS = COLOURS | dict.fromkeys(MODELS, COLOURS["language"])


def short(label: str) -> str:
    """A model's label without its kind and bits, which stand in the text.

    >>> short("SmolLM2-135M-Instruct, 4-bit")
    'SmolLM2-135M'
    """
    return label.partition("-Instruct")[0]


def over_all_worlds(values: pd.DataFrame) -> pd.DataFrame:
    """Mean, low and high (95 %, t) of column ``value`` over rows that differ in the world alone."""
    by = [name for name in values if name not in ("world", "value")]
    found = []
    for key, each in values.groupby(by, sort=False)["value"]:
        # Nothing is tested here: the appendix estimates.
        over = over_worlds(each, alternative=None)
        over |= dict(zip(by, key))
        found.append(over)
    return pd.DataFrame(found, columns=[*by, "mean", "low", "high"])


def rows(
    values: pd.DataFrame,
    titles: Mapping[str, str],
    label: str = "",
    hues: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    line: float | None = None,
    colours: Mapping[str, str] = ALL_COLOURS,
) -> Figure:
    """A panel for each of ``titles`` (values of column panel), with rows in the table's order.

    Arguments:
        label: what the axis says; ``limits``: its ends; ``line``: where nothing would be.
        hues: values of column hue, a point each.  Without them a row is one point, in its own of
            ``colours``."""
    order = list(dict.fromkeys(values["row"]))
    names = [ALL_NAMES.get(row, short(row)) for row in order]
    # A control without a hue of its own is grey, as all that only sees words.
    own = dict.fromkeys(order, GREY)
    own.update(colours)
    # A row with one point has it in its middle: each is a hue that stands alone.
    each = [list(hues)] if hues else [[row] for row in order]
    column = "hue" if hues else "row"
    height = 0.22 * len(order) + 0.95
    figure, axes = panels(len(titles), len(titles), PAGE, height)
    for axis, panel in zip(axes, titles):
        part = values[values["panel"] == panel]
        for some in each:
            rows_of_points(axis, part, "row", "mean", column, order, some, colours=own)
        axis.set_yticks(axis.get_yticks(), names)
        axis.tick_params(axis="y", length=0)
        axis.set_title(titles[panel])
        axis.set(xlabel=label, xlim=limits)
        if line is not None:
            axis.axvline(line, **CHANCE)
    # All panels have the same rows: the first names them.
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    # One hue needs no name: the title has it.
    if len(hues) > 1:
        legend_above(figure, axes[0])
    return figure


def curves(values: pd.DataFrame, hues: Sequence[str], across: str, label: str) -> Figure:
    """A panel for each value of column panel, and in it a line over column at for each of ``hues``.

    Hue "permuted" is what is reached by chance: a band from low to high."""
    names = list(dict.fromkeys(values["panel"]))
    figure, axes = panels(len(names), 4, PAGE, 1.75)
    for axis, panel in zip(axes, names):
        part = values[values["panel"] == panel]
        for hue in hues:
            # Rows of other hues may stand between those of one line.
            line = part[part["hue"] == hue]
            line = line.sort_values("at").astype({"low": float, "high": float})
            ends = line[["at", "low", "high"]].to_numpy().T
            if hue == "permuted":
                axis.fill_between(*ends, label="by chance", **BAND)
                continue
            colour = COLOURS[hue]
            axis.plot(line["at"], line["mean"], "o-", color=colour, label=NAMES[hue], markersize=3)
            # One world has no interval, and none is drawn.
            axis.fill_between(*ends, color=colour, alpha=0.2, linewidth=0)
        axis.set_title(short(panel))
        # One scale for all, so that panels can be compared.
        axis.set(xlabel=across, ylim=SHARE)
        # There is no layer between two layers.
        locator = axis.xaxis.get_major_locator()
        locator.set_params(integer=True)
    axes[0].set_ylabel(label)
    legend_above(figure, axes[0])
    return figure
