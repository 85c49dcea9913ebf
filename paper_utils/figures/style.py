"""One style for the paper: sizes in print, one dictionary of colours, one of names, and points.

Whatever has a label in any panel of a figure is named once, under the figure's headline."""

import logging
import textwrap

# Where no folder of its own can be written, matplotlib says so at import, in a reader's notebook.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

import seaborn as sns  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402

COLUMN = 3.4  # inches: one column of a printed page
PAGE = 6.9  # inches: its whole width

INK = "#333333"
GREY = "#7F7F7F"
PALE = "#B0B0B0"
ORANGE = "#D55E00"
BLUE = "#0072B2"
# Of Okabe and Ito, safe for colour-blind readers; the same hue never stands for two things.
COLOURS = {
    "acted": ORANGE,
    "never_acted": "#56B4E9",
    "exchanged": "#CC79A7",
    "codebook": "#000000",
    "word_count": GREY,
    "random_tokens": PALE,
    "best of random tokens": PALE,
    "edit_distance": "#4D4D4D",
    "action": ORANGE,
    "language": BLUE,
    "vision-language": "#009E73",
    # All that only sees words is grey, also where it has no hue of its own.
    "lexical": GREY,
    # Who plays and is no agent.
    "expert": INK,
    "random": PALE,
    "permuted": PALE,
    # Browns: from which rooms two learners come, agents or not.
    "own world": "#7F4A10",
    "other world": "#C99A56",
    "exchangeable": "#E3CC98",
    "design": "#999933",
    # The acting agent, asked in other words.
    "transfer_first_names": ORANGE,
    "transfer": "#F0B183",
    "untold": PALE,
    # Public models that are asked, and not a control in their place.
    "drawn: model": BLUE,
    "swapped: model": BLUE,
    "swapped, by meaning: model": BLUE,
    "pseudo: model": BLUE,
}

# Shapes, too, tell agents apart, and codes, which are all grey: also in print without colours.
SHAPES = {
    "never_acted": "v",
    "never acted": "v",  # as agents are called in tables of spaces
    "exchanged": "X",
    "transfer": "v",
    "untold": "s",
    "other world": "v",
    "codebook": "s",
    "edit_distance": "D",
    "best of random tokens": "^",
}
# What readers call rows and columns; a dagger marks what was added after the results were seen.
NAMES = {
    "never_acted": "never acted",
    "exchanged": "wrong instructions",
    "word_count": "word count",
    "random_tokens": "random words",
    "best of random tokens": "best random words",
    "edit_distance": "edit distance†",
    "character_ngrams": "letters in a row",
    "length": "length of the sentence",
    "permuted": "sentences permuted",
    "mean": "mean of those above",
    "own": "its own",
    "design": "how often in rooms",
    "second_colour": "second colour",
    "second_type": "second type",
    "second_location": "second location",
    "exchangeable": "rooms without kinds",
    "precision_at_k": "precision@k",
    "transfer_first_names": "in first names†",
    "transfer": "in synonyms",
    "untold": "without the sentence",
    "wrong instruction": "told another sentence",
}
# What public models are asked, and who is asked: the model, or a control in its place.
QUESTIONS = {
    "drawn: model": "true synonyms",
    "swapped, by meaning: model": "swapped, by meaning",
    "swapped: model": "swapped, as told",
    "pseudo: model": "made-up words",
    "drawn: layer 0": "its word vectors",
    "drawn: subwords": "its subwords",
    "drawn: letters": "letters alone",
    "own: untrained": "random weights",
}
NAMES |= QUESTIONS
# Things in the world are drawn in their own colour.
THINGS = {
    "red": "#D62728",
    "green": "#2CA02C",
    "blue": "#1F77B4",
    "purple": "#7B3FA0",
    "yellow": "#E6C200",
    "grey": GREY,
}
ZERO = {"color": "#444444", "linestyle": ":", "linewidth": 0.9, "zorder": 0}
CHANCE = ZERO | {"label": "chance"}
DODGE = 0.6  # of a row's height, from its first point to its last
# A little more than what is possible: points at the ends are whole, and so are most intervals.
SHARE = (-0.03, 1.08)

# From matplotlib's own defaults: nobody's personal settings are part of the style.
plt.rcdefaults()
sns.set_theme(
    "paper",
    style="ticks",
    # Labels of 8 points, and ticks of 7.5.
    font_scale=0.85,
    rc={
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.linewidth": 0.8,
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "grid.linewidth": 0.3,
        "legend.frameon": False,
        "legend.handlelength": 1.2,
        "figure.constrained_layout.use": True,
    },
)


def short(label, names=NAMES):
    """What readers call a row, a hue or a model, as it fits a figure.

    >>> short("never_acted"), short("SmolLM2-135M-Instruct, 4-bit")
    ('never acted', 'SmolLM2-135M-I, 4-bit')
    """
    return names.get(label, label).replace("-Instruct", "-I")


def panels(count, height, columns=4, width=PAGE, **options):
    """A figure ``width`` inches wide of ``count`` panels, in rows ``height`` inches high, and the
    axes of these panels."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, rows * height), squeeze=False, **options
    )
    # Places of the last row that stay empty.
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def headline(figure, text=""):
    """What a figure shows, in bold above all panels, and under it what their colours mean."""
    named = {}
    # Panels share what they show, so each name stands there once.
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, handles))
    width = figure.get_figwidth()
    # The title of a legend, because a title of the figure would lie on the legend.
    figure.legend(
        named.values(),
        named,
        title=textwrap.fill(text, int(13 * width)),
        title_fontproperties={"size": 9, "weight": "bold"},
        loc="outside upper left",
        alignment="left",
        ncols=int(0.6 * width),
    )


def name_hues(axis, hues, values, names=NAMES):
    """Lets a legend name ``hues``, and say why there are no intervals."""
    for hue in hues:
        axis.plot([], [], SHAPES.get(hue, "o"), color=COLOURS[hue], label=short(hue, names))
    # Where only means are known.
    if values["low"].isna().all():
        axis.plot([], [], " ", label="one world, so no intervals")


def with_ends(values):
    """Values whose intervals begin and end in the mean where there is none: one world has none."""
    return values.fillna({"low": values["mean"], "high": values["mean"]})


def points(axis, values, rows, hues=(), names=NAMES, colours=COLOURS):
    """A row for each of ``rows``, in it a point with its interval for each of ``hues``.

    Arguments:
        values: columns row, hue, mean, low and high (NaN where there is one world).
        hues: those that the table lacks are left out.  Without hues a row is one point, in its
            own of ``colours``.
        names: what readers call rows and hues that are not called as in the table.
    """
    hues = [hue for hue in hues if hue in set(values["hue"])]
    name_hues(axis, hues, values, names)
    several = len(hues) > 1
    if not hues:
        hues = rows
        values = values.assign(hue=values["row"])
    # The median of three numbers is the one in the middle, and all of them are the interval.
    sns.pointplot(
        values.melt(["row", "hue"], ["low", "mean", "high"]),
        x="value",
        y="row",
        hue="hue",
        order=rows,
        hue_order=hues,
        # All that only sees words is grey.
        palette={hue: colours.get(hue, GREY) for hue in hues},
        estimator="median",
        errorbar=("pi", 100),
        dodge=DODGE if several else False,
        linestyle="none",
        markers=[SHAPES.get(hue, "o") for hue in hues],
        markersize=4,
        err_kws={"linewidth": 1.2},
        legend=False,
        ax=axis,
    )
    axis.set(ylabel=None, yticks=range(len(rows)), yticklabels=[short(row, names) for row in rows])
    axis.grid(axis="x")
    # Several points of a row are kept apart from those of the next.
    if several:
        axis.set_yticks([row + 0.5 for row in range(len(rows) - 1)], minor=True)
        axis.grid(axis="y", which="minor")


def rows(
    values,
    titles,
    label="",
    hues=(),
    limits=None,
    line=None,
    *,
    order=(),
    bands=(),
    message="",
    width=PAGE,
    **options,
):
    """A panel of ``points`` for each of ``titles`` (values of column panel).

    Arguments:
        values: as `points` takes them, and perhaps chance, one number a panel: a line.
        label: what the axis says; ``limits``: its ends; ``line``: chance, or no difference.
        order: of the rows; else that of the table.
        bands: by panel and name, values of controls: a band from the worst to the best of them.  A
            second one is darker, lies in the first, and ends below the row "mean".
        message: the headline.  ``options``: of `points`.
    """
    order = list(order or values["row"].unique())
    # Points of one row need room between them.
    height = (0.17 + 0.04 * len(hues)) * len(order) + 1
    # All panels have the same rows: the first names them.
    figure, axes = panels(len(titles), height, width=width, sharey=True)
    for axis, panel in zip(axes, titles):
        part = values.query("panel == @panel")
        points(axis, part, order, hues, **options)
        axis.set(title=titles[panel], xlabel=label, xlim=limits)
        if "chance" in part:
            line = part["chance"].iloc[0]
        if line is not None:
            axis.axvline(line, **CHANCE if line else ZERO)
        for number, (name, known) in enumerate(dict(bands).get(panel, {}).items()):
            axis.axvspan(
                known.min(),
                known.max(),
                ymin=1 - (order.index("mean") + 1) / len(order) if number else 0,
                label=name,
                color=GREY,
                alpha=0.2 + 0.2 * number,
                linewidth=0,
                zorder=0,
            )
        # What titles speak of.
        if "mean" in order:
            for edge in (-0.5, 0.5):
                axis.axhline(order.index("mean") + edge, color=INK, linewidth=0.8)
    headline(figure, message)
    return figure


def matrix(shares, title):
    """A table of shares, 0 to 1, a row per encoder, the darker the more; NaN stays white."""
    # Names of many columns stand upright, and take their room.
    many = shares.shape[1] > 9
    figure, (axis,) = panels(1, 0.22 * len(shares) + (1.9 if many else 0.8))
    sns.heatmap(
        shares.rename(index=short, columns=short),
        # The same for all tables: figures of two runs compare; so pale that numbers can be read.
        vmin=0,
        vmax=2.5,
        annot_kws={"size": 7, "color": INK},
        # No hue of it stands for anything.
        cmap="Greys",
        annot=True,
        fmt=".2f",
        linewidths=0.5,
        cbar=False,
        ax=axis,
    )
    axis.set(xlabel=None, ylabel=None)
    # A table is read from its head.
    axis.tick_params("x", length=0, labeltop=True, labelbottom=False, rotation=90 if many else 0)
    headline(figure, title)
    return figure
