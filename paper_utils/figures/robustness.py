"""Figures of notebooks 08 and 10: what other choices would have shown.

They draw means over worlds: columns mean, low and high, beside panel, row (or at) and hue."""

import pandas as pd
import seaborn as sns

# Rows of points, and what they are called, are those of all notebooks.
from paper_utils.figures.style import (
    COLOURS,
    SHAPES,
    SHARE,
    ZERO,
    headline,
    name_hues,
    panels,
    with_ends,
)
from paper_utils.figures.style import QUESTIONS as QUESTIONS
from paper_utils.figures.style import rows as rows
from paper_utils.figures.style import short as short
from paper_utils.study.differences import over_worlds


def over_all_worlds(values):
    """Mean, low and high (95 %, t) of column ``value`` over rows that differ in the world alone."""
    by = values.columns.difference(["world", "value"], sort=False).tolist()
    return (
        values.groupby(by, sort=False)["value"]
        # Nothing is tested here: the appendix estimates.
        .agg(lambda each: over_worlds(each, None))
        .apply(pd.Series)[["mean", "low", "high"]]
        .reset_index()
    )


def choices(gains):
    """What is added (acted, codebook) under each choice (row), beside none: panels of measures.

    Titles count the choices, other than the fixed one, under which acting surely adds."""
    ends = with_ends(gains)
    other = ends.query("hue == 'acted' and not row.str.startswith('as fixed')")
    titles = {
        panel: f"{short(panel)}: acting adds under\n{sum(low > 0)} of {len(low)} other choices"
        for panel, low in other.groupby("panel", sort=False)["low"]
    }
    # One scale, so that panels can be compared.
    limits = ends["low"].min() - 0.03, ends["high"].max() + 0.03
    return rows(gains, titles, "minus never acted", ["acted", "codebook"], limits, 0)


def curves(values, hues, label, luck):
    """A panel for each model, and in it a line over its layers for each of ``hues``, encoders;
    ``luck``: what a model that has read nothing may reach."""
    parts = values.groupby("model", sort=False)
    figure, axes = panels(len(parts), 1.7, sharey=True)
    # One for all, so that panels can be compared; of one world only means are known.
    scale = values[["low", "mean"]].min().min() - 0.03, SHARE[1]
    for axis, (model, part) in zip(axes, parts):
        # As in points: the middle of three numbers is the mean, and all of them are the interval.
        sns.lineplot(
            part.melt(["layer", "encoder"], ["low", "mean", "high"]),
            x="layer",
            y="value",
            hue="encoder",
            # The first lies on top.
            hue_order=hues[::-1],
            palette=COLOURS,
            # A line of dashes hides none that it coincides with.
            style="encoder",
            dashes={hue: (2, 2) if hue == "codebook" else "" for hue in hues},
            estimator="median",
            errorbar=("pi", 100),
            markers={hue: SHAPES.get(hue, "o") for hue in hues},
            markersize=3,
            markeredgewidth=0,
            legend=False,
            ax=axis,
        )
        axis.set(title=short(model), ylabel=label, ylim=scale)
        axis.axhline(luck, **ZERO | {"label": "luck"})
        # There is no layer between two layers.
        axis.xaxis.get_major_locator().set_params(integer=True)
    name_hues(axes[0], hues, values)
    # Of all that were asked: a best one would need a null that searches, too.
    read = values.query("encoder == 'acted' and layer > 0")["mean"]
    headline(figure, f"Acted above luck at {sum(read > luck)} of {len(read)} layers above 0")
    return figure
