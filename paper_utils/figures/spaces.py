"""Figures of notebook 03: what a model learns, and what its space is spent on."""

import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.decomposition import PCA

from paper_utils.encoders.records import Encoder, Source, agents, models
from paper_utils.figures.data import pictures
from paper_utils.figures.robustness import over_all_worlds
from paper_utils.figures.style import COLOURS, INK, headline, panels, rows, short
from paper_utils.figures.style import matrix as matrix
from paper_utils.study import columns

CODES = ("word_count", "codebook")  # that nobody trained
SOME = ("acted", "never_acted", "llama", "clip", "all-minilm-l6-v2", "word_count")  # one of each
MARKERS = "os^Dv"  # a shape for each group of sentences, since hues say whose space it is
BUDGET = {"verb": "share of variance between verbs", "dimension": "effective dimension"}

# --- who is drawn --------------------------------------------------------------------------------


def everyone(profile):
    """Agents, models and CODES, in the order in which they are drawn."""
    return [*agents(), *models(profile), *(Encoder(Source.LEXICAL, name) for name in CODES)]


def of_world(run, world):
    """Label -> vectors of everyone in a world, in first names and, of models that have them, in
    synonyms: float64 (N, D) each."""
    found = {}
    needed = columns.needs_everyone(run.profile, world)
    for one, (stage, chosen) in zip(everyone(run.profile), needed):
        both = columns.both_names(run.get(stage, **chosen))
        found[one.label] = [np.array(each, float, order="C") for each in both if each is not None]
    # These need no product: they are made from the table alone.
    table = columns.instructions(run.profile)
    return found | {short(name): [columns.control(name, table, world)] for name in CODES}


def in_every_world(spaces, measure):
    """What ``measure`` says of every space: row (a label), panel (a name), mean, low, high.

    ``spaces``: world -> label -> vectors in first names (N, D), and others (`of_world`)."""
    found = [
        (label, *said)
        for here in spaces.values()
        for label, (space, *_) in here.items()
        for said in measure(space).items()
    ]
    return over_all_worlds(pd.DataFrame(found, columns=["row", "panel", "value"]))


def colours_of(encoders):
    """By label: the colour of what an encoder is, or of what it learned from."""
    return {one.label: COLOURS.get(one.name, COLOURS[one.modality]) for one in encoders}


# --- figures -------------------------------------------------------------------------------------


def odds(images, shares, caption):
    """Pictures uint8[M, H, W, 3] in a row, over each what every model thinks of it as the picture
    of a caption.  The first is the caption's own."""
    # A line for each model.
    titles = [
        "\n".join(f"{model} {share:.0%}" for model, share in zip(shares, each))
        for each in zip(*shares.values())
    ]
    # Black floors print badly.
    brighter = (np.array(images) / 255) ** 0.5
    return pictures(brighter, titles, len(images), f"“{caption.replace(' .', '.')}”")


def budget(values, encoders):
    """What spaces are spent on, a panel per measure of BUDGET.

    ``values``: columns row (a label), panel, mean, low and high (`in_every_world`)."""
    means = values.query("panel == 'verb'").set_index("row")["mean"]
    told = "Share spent on verbs: acted {:.0%}, never acted {:.0%}, wrong instructions {:.0%}"
    message = told.format(*means[["acted", "never acted", "exchanged"]])
    return rows(values, BUDGET, limits=(0, None), colours=colours_of(encoders), message=message)


def maps(spaces, groups, encoders):
    """Two principal components of each encoder's space, a shape and a shade for each group of
    sentences.

    Titles say what share of the variance is shown."""
    figure, axes = panels(len(encoders), 2.1, columns=3)
    for axis, (label, colour) in zip(axes, colours_of(encoders).items()):
        components = PCA(2, svd_solver="full")
        places = components.fit_transform(spaces[label])
        # The rarer, the darker, and on top: else a crowd hides it.
        kinds = groups.value_counts().index
        shades = sns.light_palette(colour, len(kinds) + 1)[1:]
        for kind, marker, shade in zip(kinds, MARKERS, shades):
            style = {"color": shade, "mec": "white", "mew": 0.3, "ms": 4, "label": kind}
            axis.plot(*places[groups == kind].T, marker, **style)
        # A map that shows little of its space has to say so.
        share = components.explained_variance_ratio_.sum()
        axis.set(xticks=[], yticks=[], title=f"{short(label)}: {share:.0%}")
    headline(figure, "Two directions of each space, and what share of its variance they show")
    # Shapes mean the same in every hue, so their names have none.
    for handle in figure.legends[0].legend_handles:
        handle.set_color(INK)
    return figure
