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
KNOWS = 0.5  # colour of six by a model's own two names, chance .17; a model below cannot be asked
MEAN = "mean"  # the primary row: the mean over models, inside each world
DECODERS = "decoders"  # and that over those that read from left to right
OTHERS = "decoders and BLIP"  # whom the paper finds to agree more than CLIP and BERT
SHARE = "share of its codebook"  # acted over codebook
REST = f"that of {OTHERS}"
BEST = "best of random tokens"
SIGHTED = ("CLIP", "BLIP")  # models of pictures and captions
INDEX = ["test", "measure", "direction", "model", "world"]
COLUMNS = [*INDEX[:-1], "contrast", "mean", "low", "high", "p", "p_equivalent", "worlds"]
# What is subtracted from what, wherever a table has both columns.
CONTRASTS = [
    *[("acted", other) for other in ("never_acted", "exchanged", "codebook", BEST)],
    ("never_acted", "codebook"),
    ("acted", "between decoders"),
    ("value", "chance"),
    (SHARE, REST),
    *[("own world", other) for other in ("other world", "codebook", "exchangeable")],
    ("exclusive", "seeing"),
]
# Directions that were stated before any of the published worlds was run
# (docs/preregistration.md), by contrast, by test, measure and contrast, or by pair of learners and
# contrast.  All other tests are two-sided, but for success in `transfer`.
DIRECTED = {
    # That somebody agrees at all is asked against the best of what knows nothing.
    f"acted - {BEST}": "greater",
    "value - chance": "greater",
    "own world - other world": "greater",
    "own world - codebook": "greater",
    "exclusive - seeing": "greater",
    ("synonyms", "order", "acted - never_acted"): "greater",
    ("synonyms", "order", "acted - exchanged"): "greater",
    ("geometry", "linear_cka, all", "acted - never_acted"): "less",
    ("verbs", "cosine", "acted - never_acted"): "greater",
    ("seeing agent ~ design", "own world"): "less",
    ("seeing agent ~ LLaMA", "own world"): "less",
    ("seeing agent ~ blind CLIP", "own world"): "less",
    ("exclusive agent ~ design", "own world"): "greater",
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
    if test == "transfer":
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
    colours in at least half of the cases (KNOWS), on average over worlds."""
    own = knows[knows["measure"] == "colour"].groupby("model", sort=False)["value"].mean()
    return list(own.index[own >= KNOWS])


def groups_of(scores: pd.DataFrame, knows: pd.DataFrame, decoders: Sequence[str]) -> dict:
    """(test, name of a group) -> its models.  MEAN: those trained in each world; DECODERS: those of
    them that read from left to right; OTHERS: these and BLIP.  Asked in synonyms, only those that
    know them."""
    scratch = scores.loc[scores["model_kind"] == "scratch", "model"].unique()
    known = who_knows(knows)
    found = {}
    for test in ("same_words", "synonyms", "geometry"):
        members = [name for name in scratch if test != "synonyms" or name in known]
        found[test, MEAN] = members
        found[test, DECODERS] = [name for name in members if name in decoders]
        found[test, OTHERS] = [name for name in members if name in (*decoders, "BLIP")]
    return found


# The tables below have a row per INDEX, and a column per encoder or condition.


def of_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Codebooks by their mean over draws, random tokens by the best of them (BEST)."""
    drawn = over_draws(scores)
    random = drawn["encoder"] == "random_tokens"
    drawn.loc[random, "value"] = drawn["most"]
    drawn["encoder"] = drawn["encoder"].replace("random_tokens", BEST)
    return drawn.pivot(index=INDEX, columns="encoder", values="value")


def of_spaces(geometry: pd.DataFrame, verbs: pd.DataFrame) -> pd.DataFrame:
    """Linear CKA of agents with each model, and the cosine of two verbs in every space."""
    cka = geometry.assign(test="geometry", direction="both")
    cka["measure"] = "linear_cka, " + cka["part"]
    cka = cka.set_index(INDEX)[["acted", "never_acted", "exchanged"]]
    cosine = verbs.assign(test="verbs", measure="cosine", direction="both", model="agent")
    return pd.concat([cka, cosine.pivot(index=INDEX, columns="encoder", values="value")])


def of_pairs(pairs: pd.DataFrame, decoders: Sequence[str], known: Sequence[str]) -> pd.DataFrame:
    """Decoders with each other, by the same words; and those that know the synonyms with models
    that see, by synonyms on both sides (``value``, beside ``chance``)."""
    ends = pairs[["model", "encoder"]]
    among = ends.isin(decoders).all(axis=1) & (pairs["test"] == "same_words")
    reads = ends.isin([name for name in known if name in decoders]).any(axis=1)
    sees = ends.isin([name for name in known if name in SIGHTED]).any(axis=1)
    across = reads & sees & (pairs["test"] == "models")
    named = pairs.assign(model=DECODERS)
    found = named[across].groupby(INDEX)[["value", "chance"]].mean()
    between = named[among].groupby(INDEX)["value"].mean()
    return found.join(between.rename("between decoders"), how="outer")


def of_ceiling(values: pd.DataFrame) -> pd.DataFrame:
    """The share of its own ceiling that a model reaches, acted over codebook, and that of OTHERS;
    unheard synonyms, precision@k."""
    part = values.xs(("synonyms", "precision_at_k"), level=(0, 1), drop_level=False)
    share = (part["acted"] / part["codebook"]).rename(index={"synonyms": "ceiling"})
    rest = share[share.index.get_level_values("model") == OTHERS].droplevel("model")
    return share.to_frame(SHARE).join(rest.rename(REST), on=rest.index.names)


def of_transfer(success: pd.DataFrame) -> pd.DataFrame:
    """Success of each source, and what models have above the best control of a level, chosen by
    its mean over worlds: a column that names it.  Of world, source, kind, level, success."""
    success = success.rename(columns={"source": "model", "level": "measure"})
    success = success.assign(test="transfer", direction="both")
    controls = success[success["kind"] == "control"]
    means = controls.groupby(["measure", "model"])["success"].mean()
    best = means.groupby("measure").idxmax().str[1]
    rivals = controls[controls["model"] == controls["measure"].map(best)]
    models = success[success["kind"] == "model"]
    beside = models.merge(rivals, on=["measure", "world"], suffixes=("", " of rival"))
    beside["gap"] = beside["success"] - beside["success of rival"]
    beside["contrast"] = "success - " + beside["model of rival"]
    gaps = beside.pivot(index=INDEX, columns="contrast", values="gap")
    return success.set_index(INDEX)[["success"]].join(gaps)


def of_structure(structure: pd.DataFrame) -> pd.DataFrame:
    """Agreement r of each pair of learners, in their own world and under each control."""
    named = structure.assign(test="structure", measure="r", direction="both")
    named["model"] = named["first"] + " ~ " + named["second"]
    values = named.pivot_table(index=INDEX, columns="condition", values="r")
    # Which way do seeing agents have the design, in either kind of rooms?
    for name in ("exclusive", "seeing"):
        r = values["own world"].xs(f"{name} agent ~ design", level="model")
        moved = pd.concat({"exclusive agent ~ design": r}, names=["model"])
        values[name] = moved.reorder_levels(INDEX)
    return values


def with_groups(values: pd.DataFrame, groups: Mapping) -> pd.DataFrame:
    """The same table, and a row for each group of models: their mean, inside each world."""
    parts = [values]
    tests = values.index.get_level_values("test")
    models = values.index.get_level_values("model")
    by = [name for name in INDEX if name != "model"]
    for (test, name), members in groups.items():
        chosen = values[(tests == test) & models.isin(members)]
        mean = chosen.groupby(level=by).mean().assign(model=name)
        parts.append(mean.set_index("model", append=True).reorder_levels(INDEX))
    return pd.concat(parts)


def contrasted(values: pd.DataFrame) -> pd.DataFrame:
    """The same table, and the CONTRASTS that its columns allow."""
    gaps = {}
    for one, other in CONTRASTS:
        if one in values and other in values:
            gaps[f"{one} - {other}"] = values[one] - values[other]
    return values.assign(**gaps)


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Means, intervals and tests over worlds of every column; columns COLUMNS."""
    long = values.rename_axis(columns="contrast").stack().dropna()
    rows = []
    for key, each in long.groupby(level=[*INDEX[:-1], "contrast"], sort=False):
        test, measure, _, model, contrast = key
        found = over_worlds(each, stated(test, measure, model, contrast))
        rows.append((*key, *found.values()))
    return pd.DataFrame(rows, columns=COLUMNS)


def adjust(table: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The same table with Holm's p over the models of one kind (scratch, public or file), for each
    test, measure, direction and contrast."""
    by = ["test", "measure", "direction", "contrast", table["model"].map(kinds)]
    for name in ("p", "p_equivalent"):
        # Groups of models are of no kind, and stay as they are.
        table[name] = table.groupby(by)[name].transform(holm).fillna(table[name])
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
    values = with_groups(pd.concat([of_scores(scores), spaces]), groups)
    pairs = of_pairs(tables["pairs"], groups["same_words", DECODERS], groups["synonyms", MEAN])
    values = values.join(pairs, how="outer")
    parts = [
        values,
        of_ceiling(values),
        of_transfer(tables["transfer"]),
        of_structure(tables["structure"]),
    ]
    found = [summarise(contrasted(part)) for part in parts]
    kinds = scores.drop_duplicates("model").set_index("model")["model_kind"]
    return adjust(pd.concat(found, ignore_index=True), kinds.to_dict())
