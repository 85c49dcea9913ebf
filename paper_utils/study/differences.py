"""What is said over worlds: values of columns and their differences, and how sure these are.

A world gives one value.  Over worlds there is a mean with a 95 % interval (t).  A difference has an
exact sign-flip test, too, and for "no difference" two one-sided tests against a margin.  One world
gives a mean alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paper_utils.alignment.inference import equivalence, holm, sign_flip, t_interval

MARGIN = 0.05  # differences that are surely smaller than this count as none
# Colour of six by a model's own two names: twice chance.  A model below cannot be asked.
KNOWS = 1 / 3
MEAN = "mean"  # the primary row: the mean over models, inside each world
DECODERS = "decoders"  # and that over those that read from left to right
OTHERS = "decoders and BLIP"  # whom the paper finds to agree more than CLIP and BERT
SHARE = "share of its codebook"  # acted over codebook
REST = f"that of {OTHERS}"
CONTROL = "best control"  # of those on whose vectors an agent acts, at a level
EXCLUSIVE = "exclusive agent ~ design"
BEST = "best of random tokens"
SIGHTED = ("CLIP", "BLIP")  # models of pictures and captions
INDEX = ["test", "measure", "direction", "model", "world"]
LONG = [*INDEX, "contrast", "value"]
COLUMNS = [*INDEX[:-1], "contrast", "mean", "low", "high", "p", "p_equivalent", "worlds"]
# What is subtracted from what, in every row that has both.
CONTRASTS = (
    ("acted", "never_acted"),
    ("acted", "exchanged"),
    ("acted", "codebook"),
    ("acted", BEST),
    ("acted", "chance"),
    ("never_acted", "codebook"),
    ("acted", "between decoders"),
    ("agreement", "chance"),
    (SHARE, REST),
    ("success", CONTROL),
    ("own world", "other world"),
    ("own world", "codebook"),
    ("own world", "exchangeable"),
    ("own world", "seeing agent"),
)
# That somebody agrees, or acts, at all is asked against the best of what knows nothing.
FLOORS = (f"acted - {BEST}", "acted - chance", "agreement - chance", f"success - {CONTROL}")
# Directions of the hypotheses, stated before any of the published worlds was run
# (docs/preregistration.md): by contrast, by test, measure and contrast, or by pair of learners and
# contrast.  All other tests are two-sided.
DIRECTED = {
    "own world - other world": "greater",
    "own world - codebook": "greater",
    "own world - seeing agent": "greater",
    ("synonyms", "order", "acted - never_acted"): "greater",
    ("synonyms", "order", "acted - exchanged"): "greater",
    ("geometry", "linear_cka, all", "acted - never_acted"): "less",
    ("verbs", "cosine", "acted - never_acted"): "greater",
    ("seeing agent ~ design", "own world"): "less",
    ("seeing agent ~ LLaMA", "own world"): "less",
    ("seeing agent ~ blind CLIP", "own world"): "less",
    (EXCLUSIVE, "own world"): "greater",
}


def stated(test: str, measure: str, model: str, contrast: str) -> str | None:
    """The alternative that a difference is tested against; None: a value, which has no test.

    >>> stated("synonyms", "order", "mean", "acted - never_acted")
    'greater'
    >>> stated("synonyms", "colour", "mean", "acted - never_acted")
    'two-sided'
    """
    # An r is tested as a difference is: it, too, has a sign.
    if " - " not in contrast and contrast != "own world":
        return None
    if contrast in FLOORS:
        return "greater"
    for key in (contrast, (test, measure, contrast), (model, contrast)):
        if key in DIRECTED:
            return DIRECTED[key]
    return "two-sided"


def over_worlds(values: Sequence[float], alternative: str | None = "two-sided") -> dict:
    """What one value or difference per world says.

    Arguments:
        values: (worlds,)
        alternative: "two-sided", "greater" or "less", of the sign-flip test; None: no test.

    Returns mean, low and high (95 %, t), p, p_equivalent (within MARGIN) and worlds.  With one
    world all but the first and the last are NaN.
    """
    values = np.asarray(values, dtype=float)
    found = dict.fromkeys(COLUMNS[-6:], np.nan)
    found["mean"] = values.mean()
    found["worlds"] = len(values)
    # One value has no spread, so neither an interval nor a test.
    if len(values) > 1:
        found["low"], found["high"] = t_interval(values)
        if alternative is not None:
            found["p"] = sign_flip(values, alternative=alternative)
            found["p_equivalent"] = equivalence(values, margin=MARGIN)
    return found


def over_draws(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with one row for all draws of a column: ``value`` is their mean, beside ``least`` and
    ``most``, which equal it where there is one draw."""
    by = [name for name in scores if name not in ("draw", "value")]
    drawn = scores.groupby(by, sort=False, dropna=False)["value"]
    return drawn.agg(value="mean", least="min", most="max").reset_index()


def who_knows(knows: pd.DataFrame) -> list[str]:
    """Models that know the synonyms: by their own two names alone they choose the right one of six
    colours in at least a third of the cases (KNOWS), on average over worlds."""
    colour = knows[knows["measure"] == "colour"]
    own = colour.groupby("model", sort=False)["value"].mean()
    return list(own.index[own >= KNOWS])


def groups_of(scores: pd.DataFrame, knows: pd.DataFrame, decoders: Sequence[str]) -> dict:
    """(test, name of a group) -> its models.  MEAN: those trained in each world; DECODERS: those of
    them that read from left to right; OTHERS: these and BLIP.  Asked in synonyms, only those that
    know them."""
    # Public models are the same in each world: no mean over worlds speaks of others like them.
    scratch = scores.loc[scores["model_kind"] == "scratch", "model"].unique()
    known = who_knows(knows)
    found = {}
    for test in ("same_words", "synonyms", "geometry"):
        members = [name for name in scratch if test != "synonyms" or name in known]
        found[test, MEAN] = members
        found[test, DECODERS] = [name for name in members if name in decoders]
        found[test, OTHERS] = [name for name in members if name in (*decoders, "BLIP")]
    return found


def best_controls(success: pd.DataFrame) -> dict[str, str]:
    """Level -> the control on whose vectors an agent succeeds most, on average over worlds."""
    controls = success[success["kind"] == "control"]
    means = controls.groupby(["level", "source"])["success"].mean()
    # The largest of a level, as (level, source).
    return {level: source for level, source in means.groupby("level").idxmax()}


# --- one long table of values -------------------------------------------------------------------
# Each of these has columns LONG.  Several rows for one place of the table are averaged: draws of a
# codebook, or of a control of kinds, and the models of a group.


def long_of(table: pd.DataFrame, **facts) -> pd.DataFrame:
    """A table with columns LONG; ``facts`` fill those that it lacks."""
    return table.assign(**facts)[LONG]


def of_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Columns of the tests; of random tokens the best draw (BEST)."""
    drawn = scores["encoder"] == "random_tokens"
    best = scores[drawn].groupby(INDEX, sort=False)["value"].max()
    # Of all others the mean over draws: a codebook is no floor, so its luck is none either.
    others = scores[~drawn]
    acted = scores[scores["encoder"] == "acted"]
    return pd.concat(
        [
            long_of(others, contrast=others["encoder"]),
            long_of(best.reset_index(), contrast=BEST),
            long_of(acted, contrast="chance", value=acted["chance"]),
        ]
    )


def of_pairs(pairs: pd.DataFrame, decoders: Sequence[str], known: Sequence[str]) -> pd.DataFrame:
    """Decoders with each other, in the same words; and those that know the synonyms with models
    that see, in synonyms on both sides."""
    ends = pairs[["model", "encoder"]]
    # By the paper's measure all decoders count, as they do with the agent.
    both_read = ends.isin(decoders).all(axis=1)
    among = pairs[both_read & (pairs["test"] == "same_words")]
    reads = ends.isin(set(known) & set(decoders)).any(axis=1)
    sees = ends.isin(set(known) & set(SIGHTED)).any(axis=1)
    across = pairs[reads & sees & (pairs["test"] == "models")]
    return pd.concat(
        [
            long_of(among, model=DECODERS, contrast="between decoders"),
            long_of(across, model=DECODERS, contrast="agreement"),
            long_of(across, model=DECODERS, contrast="chance", value=across["chance"]),
        ]
    )


def of_spaces(geometry: pd.DataFrame, verbs: pd.DataFrame) -> pd.DataFrame:
    """Linear CKA of agents with each model, and the cosine of two verbs in every space."""
    cka = "linear_cka, " + geometry["part"]
    who = geometry["encoder"]
    told = {"measure": "cosine", "model": "agent", "contrast": verbs["encoder"]}
    return pd.concat(
        [
            long_of(geometry, test="geometry", direction="both", measure=cka, contrast=who),
            long_of(verbs, test="verbs", direction="both", **told),
        ]
    )


def of_transfer(success: pd.DataFrame) -> pd.DataFrame:
    """Success of each source, and beside every model that of the level's best control."""
    # One control for all worlds: the best of each would be chosen by its luck there.
    best = success["level"].map(best_controls(success))
    rivals = success[success["source"] == best].set_index(["world", "level"])
    models = success[success["kind"] == "model"].drop(columns="success")
    beside = models.join(rivals["success"], on=["world", "level"])
    parts = []
    for contrast, part in (("success", success), (CONTROL, beside)):
        facts = {"measure": part["level"], "model": part["source"], "value": part["success"]}
        facts |= {"test": "transfer", "direction": "both", "contrast": contrast}
        parts.append(long_of(part, **facts))
    return pd.concat(parts)


def of_structure(structure: pd.DataFrame) -> pd.DataFrame:
    """Agreement r of each pair of learners, in their own world and under each control."""
    facts = {"test": "structure", "measure": "r", "direction": "both", "value": structure["r"]}
    pair = structure["first"] + " ~ " + structure["second"]
    named = long_of(structure, **facts, model=pair, contrast=structure["condition"])
    # Which way do seeing agents have the design, in either kind of rooms?
    own = named[named["contrast"] == "own world"]
    seeing = own[own["model"] == "seeing agent ~ design"]
    turned = seeing.assign(model=EXCLUSIVE, contrast="seeing agent")
    return pd.concat([named, turned])


# --- what they say over worlds ------------------------------------------------------------------


def with_ceiling(values: pd.DataFrame) -> pd.DataFrame:
    """The same values, and the share of its own ceiling, a codebook's score with it, that a model
    reaches, beside that of OTHERS: unheard synonyms, precision@k."""
    place = ("synonyms", "precision_at_k", "both")
    here = values.xs(place, level=(0, 1, 2), drop_level=False)
    # Models differ in how well anybody could do with them, so values are no measure of *less*.
    share = here["acted"] / here["codebook"].replace(0, np.nan)
    of_others = share.index.get_level_values("model") == OTHERS
    rest = share[of_others].droplevel("model").rename(REST)
    shares = share.to_frame(SHARE).join(rest, on=rest.index.names)
    return values.join(shares)


def contrasted(values: pd.DataFrame) -> pd.DataFrame:
    """The same values, and their CONTRASTS."""
    gaps = {}
    for one, other in CONTRASTS:
        # A run of one world has no other world, one without decoders nothing between them.
        if one in values and other in values:
            gaps[f"{one} - {other}"] = values[one] - values[other]
    return values.assign(**gaps)


def adjust(table: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The same table with Holm's p over the models of one kind (scratch, public or file), for each
    test, measure, direction and contrast."""
    by = ["test", "measure", "direction", "contrast", table["model"].map(kinds)]
    for name in ("p", "p_equivalent"):
        adjusted = table.groupby(by)[name].transform(holm)
        # Groups of models are of no kind, and stay as they are.
        table[name] = adjusted.fillna(table[name])
    return table


def differences(tables: Mapping[str, pd.DataFrame], decoders: Sequence[str]) -> pd.DataFrame:
    """All values and differences over worlds; columns COLUMNS.

    A model's own p and p_equivalent are Holm's (`adjust`); those of a group of models, and of pairs
    of learners in the world of kinds, are plain.

    Arguments:
        tables: scores, pairs, knows_synonyms, geometry, verbs, transfer and structure, each of any
            number of worlds (`results.tables`).
        decoders: names of the models that read from left to right.
    """
    scores = tables["scores"]
    groups = groups_of(scores, tables["knows_synonyms"], decoders)
    spaces = of_spaces(tables["geometry"], tables["verbs"])
    models = pd.concat([of_scores(scores), spaces])
    parts = [models]
    for (test, name), members in groups.items():
        chosen = (models["test"] == test) & models["model"].isin(members)
        parts.append(models[chosen].assign(model=name))
    everyone = groups["same_words", DECODERS]
    parts.append(of_pairs(tables["pairs"], everyone, groups["synonyms", MEAN]))
    parts.append(of_transfer(tables["transfer"]))
    parts.append(of_structure(tables["structure"]))
    long = pd.concat(parts)
    # Inside a world first: differences are of means, and means over worlds come last.
    values = long.pivot_table(index=INDEX, columns="contrast", values="value", sort=False)
    values = contrasted(with_ceiling(values))
    by_world = values.rename_axis(columns="contrast").stack().dropna().unstack("world")
    rows = []
    for key, row in zip(by_world.index, by_world.to_numpy(), strict=True):
        test, measure, _, model, contrast = key
        known = row[~np.isnan(row)]
        told = over_worlds(known, stated(test, measure, model, contrast))
        rows.append((*key, *told.values()))
    named = scores.drop_duplicates("model").set_index("model")
    return adjust(pd.DataFrame(rows, columns=COLUMNS), named["model_kind"])
