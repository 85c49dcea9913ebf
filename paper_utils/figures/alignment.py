"""Figures of notebook 04: three tests, who agrees with models in each, and what acting teaches.

Values are rows of the differences of a study, whose ``contrast`` is a column, or one column minus
another.  What a title says of them is chosen by the rule that answers the claims."""

import textwrap

import numpy as np
import pandas as pd

from paper_utils.data.kinds import colours_by_role
from paper_utils.figures.style import (
    CHANCE,
    COLOURS,
    NAMES,
    PAGE,
    SHARE,
    THINGS,
    ZERO,
    headline,
    panels,
    points,
    rows,
    short,
)
from paper_utils.figures.style import matrix as matrix
from paper_utils.study.claims import NEVER, TELLING, number, verdict
from paper_utils.study.differences import MEAN

# In every figure: agents, and codes that know no meaning.
CODES = ["word_count", "best of random tokens", "edit_distance", "codebook"]
COLUMNS = ["acted", "never_acted", "exchanged", *CODES]
# As `SCORES` calls them, which has draws of random words, and no best one.
ENCODERS = ["random_tokens" if one == "best of random tokens" else one for one in COLUMNS]
CHOICES = ["order", "colour", "type", "verb", "location"]  # of two, six, three... sentences
OWN = "own world - other world"
# What a title says of a difference, by its verdict over worlds: so it is true in every run.
ADDS = {
    "more": "acting adds {}",
    "same": "acting adds nothing",
    "less": "acting takes away {}",
    "open": "not settled",
}
SHARED = {"more": "shared", "same": "not shared", "less": "opposite", "open": "not settled"}
WHOLE = (-1.05, 1.05)  # of an r
WORLDS = ["acted", "other world", "never_acted", "codebook"]
BLIND = "blind agent ~ LLaMA"
SEEING = "seeing agent ~ LLaMA"
# Rows of the answer, and the chance of each: what needs a code alone, what needs roles; pairs.
UNHEARD = {"colour": 1 / 6, "order": 1 / 2}
# Panels of what acting teaches: test, measure, direction, chance.
TAUGHT = {
    "Order of two, unheard synonyms": ("synonyms", "order", "both", 1 / 2),
    "Linear CKA with the model": ("geometry", "linear_cka, all", "both", 0.0),
}
PAIRS = {BLIND: 0, "blind agent ~ blind CLIP": 0, SEEING: 0}

# --- what is read --------------------------------------------------------------------------------


def values_of(differences, test, measure, direction="both"):
    """Rows of one test, measure and direction: all models and contrasts."""
    # The names of columns are those of the arguments.
    return differences.query("test == @test and measure == @measure and direction == @direction")


def compared(differences, test, model, measures):
    """Means over worlds and directions with a model: a row per measure, a column per COLUMNS."""
    rows = differences.query("test == @test and model == @model and direction == 'both'")
    wide = rows.pivot(index="measure", columns="contrast", values="mean")
    return wide.reindex(index=measures, columns=COLUMNS).dropna(how="all")


def adds(values):
    """What acting adds to a mean over models, and how much."""
    rows = values[(values["contrast"] == NEVER) & (values["model"] == MEAN)]
    # Where no model knows the synonyms there is no mean over models.
    if rows.empty:
        return "nobody can tell"
    row = rows.iloc[0]
    return ADDS[verdict(row)].format(number(abs(row["mean"])))


def shared(values, contrast, pair):
    """Whether a pair of learners shares the kinds of colours, by a contrast."""
    # A single world has no other: it is held against a codebook.
    if contrast == OWN and OWN not in set(values["contrast"]):
        contrast = "own world - codebook"
    row = values.query("contrast == @contrast and model == @pair").iloc[0]
    return SHARED[verdict(row)]


def rows_of(models):
    """Models that were trained in each world, their mean, and then all others."""
    labels = [model.label for model in models]
    # The mean divides what it is a mean of from public models, which no sentence generalises.
    labels.insert(sum(model.kind == "scratch" for model in models), MEAN)
    return labels


def drawn(values, **columns):
    """Differences as figures take them: a row per model, a hue per contrast, and other columns."""
    return values.assign(row=values["model"], hue=values["contrast"]).assign(**columns)


# --- what is drawn -------------------------------------------------------------------------------


def by_model(differences, models, asked, floors=(), strangers=(), **options):
    """A row per model, in it a point for each of COLUMNS; a panel for each name of ``asked``.

    ``asked``: name -> test, measure, direction, chance.  ``floors``: name -> values of what knows
    nothing.  ``strangers``: models that do not know the synonyms, which get a star.  ``options``:
    of `rows`."""
    parts = {}
    titles = {}
    for name, (*key, chance) in asked.items():
        parts[name] = drawn(values_of(differences, *key), panel=name)
        by_chance = f" (chance {number(chance)})" if chance else ""
        titles[name] = f"{name}:\n{adds(parts[name])}{by_chance}"
    figure = rows(
        pd.concat(parts),
        titles,
        hues=COLUMNS,
        limits=SHARE,
        order=rows_of(models),
        bands=floors,
        # Still drawn, so that nobody looks for them.
        names=NAMES | {label: f"{short(label)} *" for label in strangers},
        **options,
    )
    # Named in the titles.
    for axis, (*_, chance) in zip(figure.axes, asked.values()):
        axis.axvline(chance, **ZERO)
    return figure


def taught(differences, models, null, strangers):
    """Order with unheard synonyms, and linear CKA.  ``null``: order by untrained models."""
    by_acting = null.query("encoder == 'acted' and direction == 'both'")
    # Only order can be right by luck of weights; it has a null of its own.
    floors = {"Order of two, unheard synonyms": by_acting["value"]}
    return by_model(differences, models, TAUGHT, floors, strangers, band="untrained models")


def transfer(differences, models):
    """Success of the acting agent on mapped vectors, a panel per level that tells something."""
    labels = [model.label for model in models]
    order = ["own", "codebook", *labels, "word_count"]
    values = differences.query("contrast == 'success' and measure in @TELLING")
    # It is the same agent that acts on every row.
    values = drawn(values, panel=values["measure"], hue="acted")
    means = values.pivot(index="row", columns="panel", values="mean")
    controls = means.drop(order[:-1])
    # By the rule that answers the claim, not by the means.
    gaps = differences.query("contrast == 'success - best control' and measure in @TELLING")
    able = gaps["measure"][gaps.apply(verdict, axis=1) == "more"].value_counts()
    titles = {}
    for level in TELLING:
        count, most = able.get(level, 0), number(means.loc[labels, level].max())
        titles[level] = f"{level}: {count} of {len(labels)} models\nabove controls, at most {most}"
    return rows(values, titles, "success", ["acted"], SHARE, order=order, bands=controls)


def answer(differences, chance):
    """The answer in three panels, one per test: who passes it?  ``chance``: of precision@k."""
    means = differences[differences["model"] == MEAN]
    # Of means over models a measure is a row, of pairs of learners a pair.
    means = drawn(means, row=means["measure"])
    same = values_of(means, "same_words", "precision_at_k")
    synonyms = means.query("test == 'synonyms' and direction == 'both'")
    order = values_of(means, "synonyms", "order")
    kinds = drawn(values_of(differences, "structure", "r"))
    # Here the learner in question is always an agent that acted.
    kinds["hue"] = kinds["hue"].replace("own world", "acted")
    blind = shared(kinds, OWN, BLIND)
    seeing = shared(kinds, "own world", SEEING)
    # As many lines in each, so that all begin at one height.
    parts = {
        f"1  Same words:\n{adds(same)}\n": (same, COLUMNS, SHARE, {"precision_at_k": chance}),
        f"2  Unheard synonyms:\nin order, {adds(order)}\n": (synonyms, COLUMNS, SHARE, UNHEARD),
        f"3  Kinds of colours\nblind agent: {blind}\nseeing: {seeing}": (
            kinds,
            WORLDS,
            WHOLE,
            PAIRS,
        ),
    }
    names = NAMES | {"colour": "colour\nof six", "order": "order\nof two"}
    names |= {"precision_at_k": "precision\n@15"}
    figure, axes = panels(3, 3, PAGE, 3)
    for axis, (title, (values, hues, limits, chances)) in zip(axes, parts.items()):
        points(axis, values, list(chances), hues, names)
        axis.set(title=title, xlim=limits, xlabel="r" if limits is WHOLE else "share right")
        # Chance differs by row.
        heights = np.arange(len(chances))
        axis.vlines(chances.values(), heights - 0.4, heights + 0.4, **CHANCE)
    headline(figure)
    return figure


# --- the three tests, drawn ----------------------------------------------------------------------

# Three colours of one kind, two of another, one of a third.
DRAWN = np.array([[-0.7, 1.0], [0.2, 1.5], [0.5, 0.6], [1.2, -0.9], [0.4, -1.5], [-1.3, -0.7]])


def schematic(instructions):
    """What the three tests ask, with a sentence of the table, and another one in synonyms."""
    first = instructions.query("colour == 'red'").iloc[0]["text"]
    second = instructions.iloc[-1]["second_text"]
    # Any cloud will do; this one has its first point at the edge, where it can be seen.
    cloud = np.random.default_rng(4).normal(size=(30, 2))
    sizes = [70] + 29 * [3]
    model = COLOURS["language"]
    hues = [THINGS[colour] for colour in colours_by_role(0)]
    # A model's space, and beside it an agent's: turned, because tests do not mind.
    turned = cloud[:, ::-1], sizes, COLOURS["acted"]
    spaces = [
        ("1  Same words", first, cloud, sizes, model),
        ("rotated: near?", "its image ×, its partner ●, the 15 nearest ○", *turned),
        ("2  Synonyms", second, cloud, sizes, model),
        ("order: which?", "is the image nearer to the partner ● or to the swap ○?", *turned),
        ("3  Structure", "a model's colours", DRAWN, 40, hues),
        ("alike?", "an agent's colours", DRAWN[:, ::-1], 40, hues),
    ]
    figure, axes = panels(6, 6, PAGE, 1.9)
    for axis, (title, words, places, size, colour) in zip(axes, spaces):
        axis.scatter(*places.T, s=size, c=colour)
        axis.set(xticks=[], yticks=[], xlabel=textwrap.fill(words, 17), title=title)
        axis.margins(0.2)
    places, _, colour = turned
    # Where the model's sentence comes to lie: not quite on its partner.
    image = places[0] + 0.4
    axes[1].plot(*image, "o", color=model, fillstyle="none", markersize=32)
    swap = image + 0.7
    axes[3].plot(*swap, "o", color=colour, fillstyle="none", markersize=8)
    axes[3].plot(*zip(places[0], image, swap), ":", color=model)
    for axis in (axes[1], axes[3]):
        axis.plot(*image, "x", color=model)
    headline(figure, "Is the partner among the 15 nearest? Are the same colours alike? (A drawing)")
    return figure
