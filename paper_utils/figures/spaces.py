"""Figures of notebook 03: what a model learns, and what its space is spent on."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from paper_utils.encoders.records import Encoder, Source, agents, models
from paper_utils.figures.robustness import over_all_worlds, rows, short
from paper_utils.figures.style import COLOURS, NAMES, PAGE, legend_above, panels
from paper_utils.study import columns

# From paper to ink: no hue of it stands for anything.
INK = LinearSegmentedColormap.from_list("ink", ["#FFFFFF", "#3B3B3B"])
DARK = 0.55  # from here on a number is written in white
CENTRED = {"ha": "center", "va": "center", "fontsize": 7}
SOME = ("acted", "never_acted", "llama", "clip", "all-minilm-l6-v2", "word_count")  # one of each
MARKERS = "os^Dv"  # a shape for each group of sentences, since hues say whose space it is
# Hollow, so that those that lie on each other can be told apart.
DOT = {"markerfacecolor": "none", "markeredgewidth": 0.5, "markersize": 3.2}
BUDGET = {"verb": "share of variance between verbs", "dimension": "effective dimension"}

# --- who is drawn --------------------------------------------------------------------------------


def everyone(profile) -> list[Encoder]:
    """Agents, models and word counts, in the order in which they are drawn."""
    word_count = Encoder(Source.LEXICAL, "word_count")
    return [*agents(), *models(profile), word_count]


def vectors(run, world: int) -> dict[str, np.ndarray]:
    """Vectors (N, D) of everyone in a world, in first names, by label."""
    encoders = everyone(run.profile)
    needed = columns.needs_everyone(run.profile, world)
    found = {}
    # Word counts, the last, need no product: they are made from texts alone.
    for encoder, (stage, chosen) in zip(encoders, needed):
        space = run.get(stage, **chosen)
        first, _ = columns.both_names(space)
        found[encoder.label] = first
    table = columns.instructions(run.profile)
    label = encoders[-1].label
    found[label] = columns.control("word_count", table, world)
    return found


def in_every_world(run, measure: Callable[[np.ndarray], dict[str, float]]) -> pd.DataFrame:
    """What ``measure`` says of every space: row (a label), panel (a name), mean, low, high."""
    found = []
    for world in run.worlds:
        spaces = vectors(run, world)
        for label, space in spaces.items():
            said = measure(space)
            for name, value in said.items():
                found.append((label, name, value))
    values = pd.DataFrame(found, columns=["row", "panel", "value"])
    return over_all_worlds(values)


def names_and_colours(encoders: Sequence[Encoder]) -> dict[str, tuple[str, str]]:
    """By label: what readers call an encoder, and the colour of what it is or learned from."""
    found = {}
    for encoder in encoders:
        name = NAMES.get(encoder.name, short(encoder.label))
        # Whoever learned English at large is told from those that were trained here.
        if encoder.kind == "public":
            name = f"{name} (public)"
        modality = COLOURS[encoder.modality]
        colour = COLOURS.get(encoder.name, modality)
        found[encoder.label] = name, colour
    return found


# --- figures -------------------------------------------------------------------------------------


def odds(pictures: np.ndarray, shares: Mapping[str, Sequence[float]], caption: str) -> Figure:
    """Pictures uint8[M, H, W, 3] in a row, under each what every model thinks of it as the picture
    of a caption.  The first is the caption's own: it is framed."""
    count = len(pictures)
    figure, axes = panels(count, count, PAGE, 1.75)
    for number, axis in enumerate(axes):
        axis.imshow(pictures[number], interpolation="nearest")
        lines = []
        for name, share in shares.items():
            lines.append(f"{name} {share[number]:.0%}")
        axis.set_xlabel("\n".join(lines))
        axis.set(xticks=[], yticks=[])
        # All sides at once: a frame, or none.
        frame = axis.spines[:]
        frame.set_visible(number == 0)
        frame.set(color=COLOURS["vision-language"], linewidth=2.5)
    said = textwrap.fill(f"“{caption}”", 110)
    figure.suptitle(said, fontsize=8.5, fontweight="bold")
    return figure


def kept_words(shares: pd.DataFrame, encoders: Sequence[Encoder], title: str) -> Figure:
    """Shares (encoders, words): of how many sentences has the nearest one the same word?"""
    values = shares.to_numpy(dtype=float)
    count, width = values.shape
    height = 0.2 * count + 0.8
    figure, (axis,) = panels(1, 1, PAGE, height)
    # From 0 to 1, whatever the table holds: figures of two runs compare.
    axis.imshow(values, cmap=INK, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if value > DARK else "black"
        number = f"{value:.2f}"
        axis.text(column, row, number, color=ink, **CENTRED)
    labels = [name.replace("_", " ") for name in shares]
    axis.set_xticks(range(width), labels)
    # A table is read from its head.
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    # Columns are apart: each is another question.
    for column in range(1, width):
        axis.axvline(column - 0.5, color="white", linewidth=4)
    named = names_and_colours(encoders)
    names, colours = zip(*named.values())
    axis.set_yticks(range(count), names)
    for label, colour in zip(axis.get_yticklabels(), colours):
        label.set_color(colour)
    axis.set_title(title, pad=8)
    return figure


def budget(values: pd.DataFrame, encoders: Sequence[Encoder]) -> Figure:
    """What spaces are spent on, a panel per measure of BUDGET.

    ``values``: columns row (a label), panel, mean, low and high (`in_every_world`)."""
    by_label = values.set_index(["panel", "row"])["mean"]
    titles = {}
    for panel, name in BUDGET.items():
        acted = by_label[panel, "acted"]
        never = by_label[panel, "never acted"]
        titles[panel] = f"{name}:\nacted {acted:.2g}, never acted {never:.2g}"
    named = names_and_colours(encoders)
    # A row is known to a figure by its name alone.
    names = {label: name for label, (name, _) in named.items()}
    drawn = values.assign(row=values["row"].map(names))
    figure = rows(drawn, titles, colours=dict(named.values()))
    for axis in figure.axes:
        axis.set_xlim(left=0)
    return figure


def maps(
    spaces: Mapping[str, np.ndarray], groups: pd.Series, encoders: Sequence[Encoder]
) -> Figure:
    """Two principal components of each encoder's space, a shape for each group of sentences.

    Axes say what share of the variance they show, and titles what both do together."""
    figure, axes = panels(len(encoders), 3, PAGE, 2.1)
    kinds = list(dict.fromkeys(groups))
    named = names_and_colours(encoders)
    for axis, label in zip(axes, named):
        name, colour = named[label]
        components = PCA(2, svd_solver="full")
        points = components.fit_transform(spaces[label])
        # Moved a little, so that equal ones show; always alike, so that figures are equal files.
        random = np.random.default_rng(0)
        noise = random.normal(size=points.shape)
        points += noise * np.ptp(points, axis=0) / 120
        for kind, marker in zip(kinds, MARKERS):
            chosen = points[groups == kind]
            axis.plot(*chosen.T, marker, color=colour, label=kind, **DOT)
        first, second = components.explained_variance_ratio_
        # A map that shows little of its space has to say so.
        axis.set_title(f"{name}: {first + second:.0%}")
        axis.set_xlabel(f"first component: {first:.0%}")
        axis.set_ylabel(f"second: {second:.0%}")
        axis.set(xticks=[], yticks=[])
    legend_above(figure, axes[0])
    # Shapes mean the same in every hue, so their names have none.
    (legend,) = figure.legends
    for handle in legend.legend_handles:
        handle.set_color("#333333")
    return figure
