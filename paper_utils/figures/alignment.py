"""Figures of notebooks 04, 05 and 09: three tests, who agrees with models, and what acting teaches.

Values are rows of the differences of a study, whose ``contrast`` is a column, or one column minus
another.  What a title says of them is chosen by the rule that answers the claims."""

import pandas as pd

from paper_utils.figures.style import (
    CHANCE,
    COLOURS,
    NAMES,
    SHARE,
    ZERO,
    headline,
    panels,
    points,
    rows,
    short,
    with_ends,
)
from paper_utils.figures.style import matrix as matrix
from paper_utils.study.claims import HYPOTHESES, NEVER, NUMBERS, TELLING, number, verdict
from paper_utils.study.differences import DECODERS, MEAN, OTHERS

# In every figure: agents, and codes that know no meaning.
CODES = ["word_count", "best of random tokens", "edit_distance", "codebook"]
COLUMNS = ["acted", "never_acted", "exchanged", *CODES]
# As `SCORES` calls them, which has draws of random words, and no best one.
DRAWN_CODES = ["word_count", "random_tokens", "edit_distance", "codebook"]
ENCODERS = ["acted", "never_acted", "exchanged", *DRAWN_CODES]
CHOICES = ["order", "colour", "type", "verb", "location"]  # of two, six, three... sentences
OWN = "own world - other world"
# What a title says of a difference, by its verdict over worlds: so it is true in every run.
ADDS = {
    "more": "acting adds {}",
    "same": "no difference",
    "less": "acting takes away {}",
    "open": "not settled",
}
SHARED = {"more": "shared", "same": "not shared", "less": "opposite", "open": "not settled"}
GROUPS = [MEAN, DECODERS, OTHERS]  # rows that are no single model
WHOLE = (-1.05, 1.05)  # of an r
# Of pairs with seeing agents, which rooms without kinds do not have.
SEEN = ["own world", "other world", "never_acted", "codebook"]
BLIND = "blind agent ~ LLaMA"
SEEING = "seeing agent ~ LLaMA"
ASKED = ["transfer_first_names", "transfer"]  # in what words an agent is told what to do
UNTOLD = ["random moves", "wrong instruction"]  # who is not told what to do
# Rows of the answer: who stands in the agent's place, and pairs of learners.
PLACED = ["acted", "never_acted", "exchanged", "word_count", "edit_distance", "codebook"]
PAIRS = {
    BLIND: "blind agent,\nLLaMA",
    "blind agent ~ blind CLIP": "blind agent,\nblind CLIP",
    SEEING: "seeing agent,\nLLaMA",
    "exclusive agent ~ LLaMA": "exclusive\nagent†, LLaMA",
}

# --- what is read --------------------------------------------------------------------------------


def values_of(differences, test, measure, direction="both"):
    """Rows of one test, measure and direction: all models and contrasts."""
    # The names of columns are those of the arguments.
    return differences.query("test == @test and measure == @measure and direction == @direction")


def compared(differences, test, model, measures):
    """Means over worlds and directions with a model: a row per measure, a column per COLUMNS, as
    readers call them."""
    return (
        differences.query("test == @test and model == @model and direction == 'both'")
        .pivot(index="measure", columns="contrast", values="mean")
        .reindex(index=measures, columns=COLUMNS)
        .rename(index=short, columns=short)
        .rename_axis(columns=None)
    )


def adds(values):
    """What acting adds to a mean over models, and how much."""
    found = values[values["contrast"] == NEVER].query("model == @MEAN")
    # Where no model knows the synonyms there is no mean over models.
    if found.empty:
        return "nobody can tell"
    row = found.iloc[0]
    return ADDS[verdict(row)].format(number(abs(row["mean"])))


def beside_codebook(values):
    """What acting adds to a mean over models, and what it and a codebook reach."""
    means = values.query("model == @MEAN and contrast in ['acted', 'codebook']")
    return f"{adds(values)};\n{', '.join(means['contrast'] + ' ' + means['mean'].map(number))}"


def shared(values, pair, contrast=OWN):
    """Whether a pair of learners shares the kinds of colours, by a contrast."""
    # A single world has no other: it is held against a codebook.
    if contrast == OWN and OWN not in set(values["contrast"]):
        contrast = "own world - codebook"
    return SHARED[verdict(values.query("contrast == @contrast and model == @pair").iloc[0])]


def as_table(claims):
    """Claims (rows of a study's, by claim) as a table in Markdown: what is asked, the answer, and
    its numbers."""
    lines = ["| claim | the paper, or hypothesis | answer | numbers |", "|---|---|---|---|"]
    for row in claims.itertuples():
        # Which hypothesis it is, or what the paper says: none is both.
        asked = row.hypothesis + row.paper.replace("not asked", "")
        answer, _, numbers = row.answer.removesuffix(")").partition(" (")
        lines.append(f"| {row.Index} | {asked} | **{answer}** | {numbers} |")
    return "\n".join(lines)


def tested(differences, names):
    """Differences that hypotheses, as "H1", are about: hypothesis, of whom, what, mean, low, high
    (95 %), p, and p that it is within the margin, over worlds."""
    found = {}
    for claim, name in NUMBERS.items():
        _, test, measure, models, contrasts = HYPOTHESES[claim]
        rows = values_of(differences, test, measure).set_index("model")
        if name in names:
            found[name] = rows.query("model in @models and contrast in @contrasts")
    table = pd.concat(found, names=["hypothesis", "model"])
    return table[["contrast", "mean", "low", "high", "p", "p_equivalent"]].round(3)


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


def gained(values, strangers):
    """With how many models acting surely raises, or lowers, and what it adds to a mean of models;
    without ``strangers``, models that cannot be asked."""
    single = values.query("contrast == @NEVER and model not in @GROUPS and model not in @strangers")
    found = list(single.apply(verdict, axis=1))
    more, less = found.count("more"), found.count("less")
    return f"higher with acting: {more} of {len(found)}; lower: {less};\nmean: {adds(values)}"


def by_model(differences, models, asked, label, floors=(), strangers=(), hues=PLACED):
    """A row per model, in it a point for each of ``hues``; a panel for each name of ``asked``.

    ``asked``: name -> test, measure, direction, chance.  ``label``: of the axis.  ``floors``: name
    -> bands of `rows`, of what knows nothing.  ``strangers``: models that do not know the synonyms,
    which get a star."""
    parts = {}
    titles = {}
    for name, (*key, chance) in asked.items():
        parts[name] = drawn(values_of(differences, *key), panel=name, chance=chance)
        titles[name] = f"{name}:\n{gained(parts[name], strangers)}"
    # Strangers are still drawn, so that nobody looks for them.
    names = NAMES | {label: f"{short(label)} *" for label in strangers}
    if strangers:
        names[MEAN] = "mean of those without *"
    return rows(
        pd.concat(parts),
        titles,
        label,
        hues=hues,
        limits=SHARE,
        order=rows_of(models),
        bands=floors,
        names=names,
    )


def transfer(differences, models):
    """Success of the acting agent on mapped vectors, a panel per level that tells something."""
    labels = [model.label for model in models]
    values = differences.query("contrast == 'success' and measure in @TELLING")
    # Its own vectors are of first names.
    hues = values["model"].map({"own": ASKED[0], **dict.fromkeys(UNTOLD, "untold")})
    values = drawn(values, panel=values["measure"], hue=hues.fillna(values["test"]))
    of_models = values.query("row in @labels").groupby(["panel", "hue"])["mean"].mean()
    titles = {}
    for level in TELLING:
        first, synonyms = map(number, of_models[level][ASKED])
        titles[level] = f"{level}: models {first} in first names,\n{synonyms} in synonyms"
    return rows(
        values,
        titles,
        "success",
        [*ASKED, "untold"],
        SHARE,
        order=["own", *labels, "codebook", "random_tokens", "word_count", *UNTOLD],
    )


def answer(differences, k, count):
    """The answer in three panels, one per test: who passes it?  ``k`` of ``count`` sentences count
    as near."""
    # Who stands in the agent's place is a row, and names itself.
    means = differences.query("model == @MEAN").assign(row=lambda values: values["contrast"])
    same = values_of(means, "same_words", "precision_at_k")
    order = values_of(means, "synonyms", "order")
    kinds = drawn(values_of(differences, "structure", "r"))
    figure, axes = panels(3, 2.8)
    # The names of the third panel need room.
    figure.get_layout_engine().set(wspace=0.06)
    # As many lines in each title, so that all panels begin at one height.
    tests = {
        f"1  Same words:\n{beside_codebook(same)}": (same, k / count, f"precision@{k}"),
        f"2  Unheard synonyms:\n{beside_codebook(order)}": (order, 1 / 2, "order: share right"),
    }
    for axis, (title, (values, chance, label)) in zip(axes, tests.items()):
        points(axis, values, PLACED)
        axis.axvline(chance, **CHANCE | {"label": "1, 2: chance; 3: not alike"})
        axis.set(title=title, xlim=SHARE, xlabel=label)
    axes[1].set_yticklabels([])
    _beside_controls(axes[2], kinds)
    learners = f"blind agent: {shared(kinds, BLIND)}\nseeing agent: {shared(kinds, SEEING)}"
    axes[2].set(title=f"3  Kinds of colours:\n{learners}", xlim=WHOLE, xlabel="r of distances")
    headline(figure)
    return figure


def _beside_controls(axis, kinds):
    """r of PAIRS of learners of one world, each before a band of all that should be at zero."""
    learned = kinds.query("hue == 'own world'")
    points(
        axis, learned, list(PAIRS), names=PAIRS, colours=dict.fromkeys(PAIRS, COLOURS["own world"])
    )
    # From the lowest end of an interval to the highest.
    ends = with_ends(kinds[kinds["hue"].isin([*SEEN[1:], "exchangeable"])]).groupby("row")
    low, high = (end.reindex(PAIRS) for end in (ends["low"].min(), ends["high"].max()))
    told = "3: range of controls, intervals included (06)"
    axis.barh(range(len(PAIRS)), high - low, left=low, height=0.5, color="#DDDDDD", label=told)
    axis.axvline(0, **ZERO)
