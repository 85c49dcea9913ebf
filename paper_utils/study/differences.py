"""What is said over worlds: values of columns and their differences, and how sure these are.

A world gives one value.  Over worlds there is a mean with a 95 % interval (t).  A difference has an
exact sign-flip test, too, and for "no difference" two one-sided tests against a margin.  One world
gives a mean alone.
"""

import numpy as np
import pandas as pd

from paper_utils.alignment.inference import described, equivalence, holm, sign_flip, t_interval

MARGIN = 0.05  # differences that are surely smaller than this count as none
# Colour of six by a model's own two names: twice chance.  A model below cannot be asked.
KNOWS = 1 / 3
MEAN = "mean"  # the primary row: the mean over models, inside each world
DECODERS = "decoders"  # and that over those that read from left to right
OTHERS = "decoders and BLIP"  # whom the paper finds to agree more than CLIP and BERT
SHARE = "share of its codebook"  # acted over codebook
REST = "that of decoders and BLIP"
CONTROL = "best control"  # of those on whose vectors an agent acts, at a level
EXCLUSIVE = "exclusive agent ~ design"
SEEING = "seeing agent ~ design"
BEST = "best of random tokens"
SIGHTED = ("CLIP", "BLIP")  # models of pictures and captions
INDEX = ["test", "measure", "model", "direction", "world"]
OVER = ["test", "measure", "model", "contrast", "direction"]  # what a row over worlds is about
# What is subtracted from what, in every row that has both.
CONTRASTS = (
    "acted - never_acted",
    "acted - exchanged",
    "acted - codebook",
    "acted - best of random tokens",
    "acted - chance",
    "never_acted - codebook",
    "acted - between decoders",
    "agreement - chance",
    "share of its codebook - that of decoders and BLIP",
    "success - best control",
    "own world - other world",
    "own world - codebook",
    "own world - exchangeable",
    "own world - seeing agent",
)
# That somebody agrees, or acts, at all is asked against the best of what knows nothing.
FLOORS = (
    "acted - best of random tokens",
    "acted - chance",
    "agreement - chance",
    "success - best control",
)
# Directions of the hypotheses, stated before any of the published worlds was run
# (docs/preregistration.md): by contrast, by test, measure and contrast, or by pair of learners and
# contrast.  All other tests are two-sided.
GREATER = (
    *FLOORS,
    "own world - other world",
    "own world - codebook",
    "own world - seeing agent",
    ("synonyms", "order", "acted - never_acted"),
    ("synonyms", "order", "acted - exchanged"),
    ("verbs", "cosine", "acted - never_acted"),
    (EXCLUSIVE, "own world"),
)
DIRECTED = dict.fromkeys(GREATER, "greater")
DIRECTED["geometry", "linear_cka, all", "acted - never_acted"] = "less"
# Also against controls, which were added for these pairs after the study.
DIRECTED |= {
    (pair, contrast): "less"
    for pair in (SEEING, "seeing agent ~ LLaMA", "seeing agent ~ blind CLIP")
    for contrast in ("own world", "own world - other world", "own world - codebook")
}


def stated(test, measure, model, contrast):
    """The alternative that a difference is tested against; None: a value, which has no test.

    >>> stated("synonyms", "order", "mean", "acted - never_acted")
    'greater'
    >>> stated("synonyms", "colour", "mean", "acted - never_acted")
    'two-sided'
    """
    # An r is tested as a difference is: it, too, has a sign.
    if " - " not in contrast and contrast != "own world":
        return None
    # What is said of a pair of learners, before what is said of all.
    keys = ((model, contrast), (test, measure, contrast), contrast)
    return next((DIRECTED[key] for key in keys if key in DIRECTED), "two-sided")


def over_worlds(values, alternative):
    """What values or differences of worlds say.

    Arguments:
        values: (..., worlds), NaN where there is none.
        alternative: "two-sided", "greater" or "less", of the sign-flip test; None: no test.

    Returns mean, low and high (95 %, t), p, p_equivalent (within MARGIN) and worlds, each (...).
    With one world all but the first and the last are NaN.
    """
    count, mean, _ = described(values)
    low, high = t_interval(values)
    p = p_equivalent = np.nan
    if alternative:
        # One value has no spread, so neither an interval nor a test.
        p = np.where(count > 1, sign_flip(values, alternative), np.nan)[()]
        p_equivalent = equivalence(values, MARGIN)
    return {
        "mean": mean,
        "low": low,
        "high": high,
        "p": p,
        "p_equivalent": p_equivalent,
        "worlds": count,
    }


def own_agreement(knows):
    """Model -> how often it finds the right one of six colours by its own two names alone, on
    average over worlds."""
    return knows.query("measure == 'colour'").groupby("model", sort=False)["value"].mean()


def who_knows(knows):
    """Models that know the synonyms: their `own_agreement` is at least a third (KNOWS)."""
    own = own_agreement(knows)
    return list(own.index[own >= KNOWS])


def best_controls(success):
    """Level -> the control on whose vectors an agent succeeds most, on average over worlds, when it
    is asked in words that the agent never heard, or in none."""
    controls = success.query("kind == 'control' and said != 'first names'")
    return controls.pivot_table("success", "level", "source").idxmax(axis=1)


# --- values of a world --------------------------------------------------------------------------
# Each of these has a row for each of INDEX, and in it what CONTRASTS are between.


def wide(table, **facts):
    """A column for each value of ``encoder``; ``facts`` fill in what the table lacks.  Several
    values for one place are averaged, as those of a codebook's draws."""
    return table.assign(**facts).pivot_table("value", INDEX, "encoder", sort=False)


def of_models(scores, geometry):
    """The tests of agreement, and linear CKA; of random tokens the best draw (BEST)."""
    best = scores.query("encoder == 'random_tokens'").groupby(INDEX)["value"].max()
    chance = scores.groupby(INDEX)["chance"].first()
    # Of all others the mean over draws: a codebook is no floor, so its luck is none either.
    others = wide(scores.query("encoder != 'random_tokens'"))
    values = others.assign(**{BEST: best, "chance": chance})
    named = geometry.assign(measure="linear_cka, " + geometry["part"])
    return pd.concat([values, wide(named, test="geometry", direction="both")])


def of_pairs(pairs, decoders, known):
    """Decoders with each other, in the same words; and those that know the synonyms with models
    that see, in synonyms on both sides."""
    # By the paper's measure all decoders count, as they do with the agent.
    among = pairs.query("test == 'same_words' and model in @decoders and encoder in @decoders")
    across = pairs.query(
        "test == 'models' and model in @known and encoder in @known"
        " and (model in @decoders and encoder in @SIGHTED"
        " or model in @SIGHTED and encoder in @decoders)"
    )
    return [
        wide(among, model=DECODERS, encoder="between decoders"),
        wide(across, model=DECODERS, encoder="agreement"),
        wide(across, model=DECODERS, encoder="chance", value=across["chance"]),
    ]


def of_transfer(success):
    """Success of each source, in first names a test of its own; in words that the agent never heard
    beside every model that of the level's best control."""
    tests = success["said"].map({"first names": "transfer_first_names"}).fillna("transfer")
    named = success.assign(test=tests, direction="both")
    named = named.rename(columns={"level": "measure", "source": "model"})
    # One control for all worlds: the best of each would be chosen by its luck there.
    best = named["measure"].map(best_controls(success))
    rivals = named[named["model"] == best].query("test == 'transfer'")
    place = ["world", "measure"]
    rival = rivals.set_index(place)["success"].rename(CONTROL)
    beside = named.query("test == 'transfer' and kind == 'model'").join(rival, on=place)
    return pd.concat([named, beside]).set_index(INDEX)[["success", CONTROL]]


def of_structure(structure):
    """Agreement r of each pair of learners, in their own world and under each control."""
    named = structure.rename(columns={"r": "value", "condition": "encoder"})
    pair = structure["first"] + " ~ " + structure["second"]
    values = wide(named, test="structure", measure="r", direction="both", model=pair)
    # Which way do seeing agents have the design, in either kind of rooms?
    seeing = values.query("model == @SEEING").rename(index={SEEING: EXCLUSIVE})
    return pd.concat([values, seeing["own world"].to_frame("seeing agent")])


def with_ceiling(values):
    """The same values, and the share of its own ceiling, a codebook's score with it, that a model
    reaches, beside that of OTHERS: unheard synonyms, precision@k."""
    asked = "test == 'synonyms' and measure == 'precision_at_k' and direction == 'both'"
    # Models differ in how well anybody could do with them, so values are no measure of *less*.
    share = values.query(asked).eval("acted / codebook")
    of_others = share.index.get_level_values("model") == OTHERS
    rest = share.where(of_others).groupby("world").transform("max")
    return values.assign(**{SHARE: share, REST: rest})


def differences(tables, decoders):
    """All values and differences over worlds; columns OVER, and what `over_worlds` says.

    A model's own p and p_equivalent are Holm's over the models of its kind (scratch, public or
    file), for each test, measure, direction and contrast; those of a group of models, and of pairs
    of learners in the world of kinds, are plain.

    Arguments:
        tables: scores, pairs, knows_synonyms, geometry, verbs, transfer and structure, each of any
            number of worlds (`results.tables`).
        decoders: names of the models that read from left to right.
    """
    kinds = tables["scores"].groupby("model")["model_kind"].first()
    # Public models are the same in each world: no mean over worlds speaks of others like them.
    scratch = kinds.index[kinds == "scratch"]
    known = who_knows(tables["knows_synonyms"])
    models = of_models(tables["scores"], tables["geometry"])
    parts = [models]
    for name, members in ((MEAN, scratch), (DECODERS, decoders), (OTHERS, [*decoders, "BLIP"])):
        # Asked in synonyms, only those that know them.
        able = "model in @scratch and model in @members and (test != 'synonyms' or model in @known)"
        parts.append(models.query(able).rename(index=dict.fromkeys(members, name), level="model"))
    parts += of_pairs(tables["pairs"], decoders, known)
    parts += [
        wide(tables["verbs"], test="verbs", measure="cosine", direction="both", model="agent"),
        of_transfer(tables["transfer"]),
        of_structure(tables["structure"]),
    ]
    # Inside a world first: differences are of means, and means over worlds come last.
    values = with_ceiling(pd.concat(parts).groupby(INDEX, sort=False).mean())
    for contrast in CONTRASTS:
        one, other = contrast.split(" - ")
        # A run of one world has no other world, one without decoders nothing between them.
        if {one, other} <= set(values):
            values[contrast] = values[one] - values[other]
    by_world = values.rename_axis(columns="contrast").stack().dropna()
    table = by_world.unstack("world", sort=False).reorder_levels(OVER)
    # All rows with one alternative at once.
    alternatives = [stated(*key) or "" for key in table.index.droplevel("direction")]
    found = pd.concat(
        pd.DataFrame(over_worlds(part, alternative), index=part.index)
        for alternative, part in table.groupby(np.array(alternatives))
    )
    found = found.reindex(table.index).reset_index()
    # Models of one kind are a family; a group of models is one by itself, and stays as it is.
    kind = found["model"].map(kinds).fillna(found["model"])
    family = found.groupby(["test", "measure", "direction", "contrast", kind]).ngroup()
    for name in ("p", "p_equivalent"):
        found[name] = holm(found[name], family)
    return found
