"""One style for the paper: a fixed colour for each thing, sizes in print, direct labels."""

import logging
from collections.abc import Sequence

# Where no folder of its own can be written, matplotlib says so at import, in a reader's notebook.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import seaborn as sns  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

COLUMN = 3.4  # inches: one column of a printed page
PAGE = 6.9  # inches: its whole width

# Of Okabe and Ito, safe for colour-blind readers; the same hue never stands for two things.
COLOURS = {
    "acted": "#D55E00",
    "never_acted": "#56B4E9",
    "exchanged": "#CC79A7",
    "codebook": "#000000",
    "word_count": "#7F7F7F",
    "random_tokens": "#B0B0B0",
    "edit_distance": "#9A9A9A",
    "language": "#0072B2",
    "vision-language": "#009E73",
}
COLOURS["action"] = COLOURS["acted"]
COLOURS["lexical"] = COLOURS["word_count"]

# What readers call the columns.
NAMES = {
    "acted": "acted",
    "never_acted": "never acted",
    "exchanged": "wrong instructions",
    "word_count": "word count",
    "codebook": "codebook",
    "random_tokens": "random words",
    "edit_distance": "edit distance",
}
# Things in the world are drawn in their own colour.
THINGS = {
    "red": "#D62728",
    "green": "#2CA02C",
    "blue": "#1F77B4",
    "purple": "#7B3FA0",
    "yellow": "#E6C200",
    "grey": "#7F7F7F",
}
CHANCE = {"color": "#444444", "linestyle": ":", "linewidth": 0.9, "zorder": 0}
BAND = {"color": "#7F7F7F", "alpha": 0.18, "linewidth": 0, "zorder": 0}


def use() -> None:
    """Sets the style, from matplotlib's own defaults: nobody's personal settings are part of it."""
    mpl.rcdefaults()
    settings = {
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titleweight": "bold",
        "axes.titlesize": 8.5,
        "axes.titlelocation": "left",
        "axes.labelsize": 8,
        "font.size": 8,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "legend.fontsize": 7.5,
        "legend.frameon": False,
        "errorbar.capsize": 2,
        "figure.constrained_layout.use": True,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
    }
    sns.set_theme(style="ticks", rc=settings)


use()


def panels(count: int, columns: int, width: float, height: float, **options):
    """A figure ``width`` inches wide with rows of ``height`` inches, and its first axes."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, rows * height), squeeze=False, **options
    )
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def interval_points(
    axis: Axes, table: pd.DataFrame, value: str, places: Sequence[float], colour: str, **options
) -> None:
    """Points at heights ``places`` with intervals, where the table has them (low, high)."""
    x = table[value].to_numpy(float)
    error = None
    if {"low", "high"} <= set(table):
        reach = np.array([x - table["low"], table["high"] - x], dtype=float)
        # A value without an interval is drawn without one.
        error = np.nan_to_num(np.clip(reach, 0, None))
    axis.errorbar(x, places, xerr=error, fmt="o", markersize=4, color=colour, **options)


def rows_of_points(
    axis: Axes,
    table: pd.DataFrame,
    of: str,
    value: str,
    hue: str,
    order: Sequence[str],
    hues: Sequence[str],
    *,
    colours: dict[str, str] = COLOURS,
    names: dict[str, str] = NAMES,
) -> None:
    """A row for each of ``order`` (column ``of``), in it a point for each of ``hues``."""
    apart = 0.7 / max(1, len(hues))
    for number, one in enumerate(hues):
        part = table[(table[hue] == one) & table[of].isin(order)]
        if part.empty:
            continue
        offset = apart * ((len(hues) - 1) / 2 - number)
        places = [offset - order.index(name) for name in part[of]]
        label = names.get(one, one)
        interval_points(axis, part, value, places, colours[one], label=label)
    axis.set_yticks([-number for number in range(len(order))], order)
    axis.set_ylim(0.6 - len(order), 0.6)
    axis.grid(axis="x", linewidth=0.3)


def chance_line(axis: Axes, value: float, label: str = "chance") -> None:
    """A dotted line with its name, at the bottom of a panel of rows."""
    axis.axvline(value, **CHANCE)
    low, _ = axis.get_ylim()
    axis.text(value, low, f" {label}", fontsize=7, va="bottom", color="#444444")


def legend_above(figure: Figure, axis: Axes, columns: int = 5) -> None:
    """The names of one panel's points, once, above all panels."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, markerscale=1.0)
