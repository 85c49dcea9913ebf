"""Each claim answered in a few words, with its numbers, made from the differences of a run.

The words follow rules that were fixed beforehand (docs/preregistration.md).  A difference is *more*
or *less* where a test over worlds says so, the *same* where it surely lies within the margin, and
else *open*.  One world has no test: there the margin alone decides (of an r, what luck can do), and
the evidence says so.
"""

from itertools import groupby, product
from typing import NamedTuple

import pandas as pd

from paper_utils.study.differences import (
    DECODERS,
    EXCLUSIVE,
    FLOORS,
    KNOWS,
    MARGIN,
    MEAN,
    best_controls,
    own_agreement,
    stated,
)
from paper_utils.study.kinds import OWN

ALPHA = 0.05  # of the tests that the preregistration names; every p is told beside its number
BY_LUCK = 0.5  # r of two sets of 15 distances, as about one in twenty relabellings of six has it
COLUMNS = ["claim", "hypothesis", "paper", "answer", "evidence"]
ABSENT = "not in this run"
# Success that an agent must reach before it is compared; a miss is told.
BARS = {"GoToLocal": 0.97, "PickupLoc": 0.95, "OpenDoor": 0.97, "PutNextLocal": 0.95}
TELLING = ("PickupLoc", "PutNextLocal")  # elsewhere a wrong instruction often succeeds
NEVER = "acted - never_acted"
VISION = "language agrees with vision"
ORDER = "acting on the right instructions adds order"
APPROACHING = "action with language approaches language with language"
BLIND = "blind agents share kinds with language and vision"
# What is told first.
HEADLINES = ("action agrees with decoders", ORDER, BLIND)
# What the paper's abstract says; it does not ask what is not here.
PAPER = {
    "action agrees with decoders": "precision@15 .70 to .73, in the same words",
    "action agrees with BLIP": "precision@15 .70 to .73, in the same words",
    "action agrees less with CLIP": "significantly weaker",
    "action agrees less with BERT": "significantly weaker",
    APPROACHING: "approaches",
}
PRECISION = "precision_at_k"
SEVERAL = ("structure", "geometry")  # tests whose claims are of several models, or pairs

# What is said of a difference, by what a claim expects of it.
RISES = {"more": "yes", "same": "no difference", "less": "no, the opposite", "open": "not settled"}
SAME = RISES | {"more": "no, more", "same": "yes", "less": "no, less"}
FALLS = RISES | {"less": "yes", "more": "no, the opposite"}
LESS = {"less": "yes", "same": "no, as much", "more": "no, more", "open": "not settled"}
APPROACHES = LESS | {"less": "stays below", "same": "reaches it", "more": "lies above it"}
# And of acted − never acted, then of acted − codebook, where an agent agrees with a model.
AGREES = {
    "more": "in synonyms more than never acted",
    "same": "in synonyms as much as never acted",
    "less": "in synonyms less than never acted",
    "open": "in synonyms yes, beside never acted not settled",
}
CODEBOOK = {
    "more": ", more than a codebook",
    "same": ", as much as a codebook",
    "less": ", less than a codebook",
    "open": ", beside a codebook not settled",
}


def number(value, signed=False, digits=2):
    """Some decimals, as people write them.

    >>> number(0.434), number(-0.1, signed=True), number(1), number(0.0042, digits=3)
    ('.43', '−.10', '1.00', '.004')
    """
    text = f"{abs(value):.{digits}f}".removeprefix("0")
    sign = "−" if value < 0 else "+" * signed
    # What is zero when it is rounded has no sign.
    return sign + text if float(text) else text


def called(contrast):
    """A contrast as readers call it.

    >>> called("acted - exchanged")
    'acted − wrong instructions'
    """
    words = contrast.replace(" - ", " − ").replace("_", " ")
    return words.replace("exchanged", "wrong instructions")


def whose(row):
    """Of tests of several models, or pairs, the one that a row of the differences is of."""
    return f"{row['model']}: " if row["test"] in SEVERAL else ""


def valued(row):
    """The contrast of a row and its mean, of a difference with its sign."""
    contrast = called(row["contrast"])
    return f"{contrast} {number(row['mean'], '−' in contrast)}"


def in_words(row):
    """What a row of the differences says: its contrast, and its numbers as far as there are any.

    >>> row = {"test": "verbs", "contrast": "acted - never_acted", "mean": 0.15}
    >>> in_words(row | {"low": 0.1, "high": 0.2, "p": 0.004})
    'acted − never acted +.15 (+.10 to +.20, p .004)'
    >>> in_words(row | {"p": None})
    'acted − never acted +.15'
    """
    text = whose(row) + valued(row)
    # Values, too, have intervals, but only what is tested is told with them.
    if pd.isna(row["p"]):
        return text
    interval = f"{number(row['low'], signed=True)} to {number(row['high'], signed=True)}"
    return f"{text} ({interval}, p {number(row['p'], digits=3)})"


def verdict(row):
    """more, less, same or open: what a difference over worlds says.

    Of a hypothesis with a direction, the test comes before equivalence; that the difference goes
    the other way is then told by its interval."""
    sign = "more" if row["mean"] > 0 else "less"
    # A single world has no spread: what is within the margin counts as the same.
    if row["worlds"] == 1:
        if row["test"] == "structure":
            return sign if abs(row["mean"]) > BY_LUCK else "open"
        return "same" if abs(row["mean"]) <= MARGIN else sign
    alternative = stated(row["test"], row["measure"], row["model"], row["contrast"])
    significant = row["p"] <= ALPHA
    # A hypothesis is what was asked; a floor is only beaten by more than the margin.
    if significant and alternative != "two-sided" and row["contrast"] not in FLOORS:
        return sign
    if row["p_equivalent"] <= ALPHA:
        return "same"
    # A one-sided test is blind to the other side.
    turned = {"greater": row["high"] < 0, "less": row["low"] > 0}
    return sign if significant or turned.get(alternative) else "open"


class Evidence(NamedTuple):
    """What the answers rest on: rows of the differences (both directions) by their key, and each
    model's own agreement of its two names.  ``asked``: test, measure, models and contrasts."""

    rows: pd.DataFrame
    own: pd.Series  # model -> colour of six, over worlds; 0: it has no synonyms

    def found(self, test, measure, models, contrasts):
        """Those rows that this run has, model by model."""
        keys = product([test], [measure], models, contrasts)
        return self.rows.reindex(list(keys)).dropna(subset="mean").to_dict("records")

    def between(self, test, measure, models, contrasts):
        """Rows of the values that some differences are between."""
        # Each once, in this order.
        names = dict.fromkeys(" - ".join(contrasts).split(" - "))
        return self.found(test, measure, models, names)

    def told(self, *asked):
        """The values that some differences are between, and then the differences themselves."""
        # An r is asked as a difference is: it is both, and told once.
        told = map(in_words, self.between(*asked) + self.found(*asked))
        return ", ".join(dict.fromkeys(told))

    def values(self, *asked):
        """Those values alone, for an answer."""
        by_pair = groupby(self.between(*asked), whose)
        return "; ".join(pair + ", ".join(map(valued, rows)) for pair, rows in by_pair)

    def strangers(self, models):
        """Which of some models do not know the synonyms, and how far they are from it."""
        # A model that is not in this run is no stranger.
        own = self.own[self.own.index.isin(models) & (self.own < KNOWS)]
        told = "{} does not know the synonyms (own agreement {})".format
        return "; ".join(map(told, own.index, own.map(number)))


def answered(evidence, words, *asked):
    """The answer that some differences give together, and their numbers."""
    found = evidence.found(*asked)
    if not found:
        return ABSENT, ""
    each = [words[verdict(row)] for row in found]
    different = dict.fromkeys(each)
    answer = "; ".join(different)
    # All parts have to hold, so one that does not is counted, not averaged away.
    if 0 < each.count("yes") < len(each):
        rest = "not settled" if set(different) == {"yes", "not settled"} else "no"
        answer = f"{rest}: {each.count('yes')} of {len(each)} parts hold"
    elif len(different) > 1 and len({row["model"] for row in found}) > 1:
        # Whose answer is whose.
        answer = "; ".join(f"{row['model']}: {said}" for row, said in zip(found, each))
    return f"{answer} ({evidence.values(*asked)})", evidence.told(*asked)


def agrees(evidence, name, models):
    """Whether the acting agent agrees with some models, called ``name`` in the differences."""
    same = "same_words", PRECISION, [name], [NEVER]
    if not evidence.found(*same):
        return ABSENT, ""
    # Not against random tokens: asked in first names, these are a code as good as a codebook.
    asked = "synonyms", PRECISION, [name], ["acted - chance", NEVER, "acted - codebook"]
    said = f"same words: {evidence.told(*same)}"
    # A group of models has none, where none of them knows the synonyms.
    if unheard := evidence.told(*asked):
        said = f"unheard synonyms: {unheard}; {said}"
    strangers = evidence.strangers(models)
    if evidence.own.reindex(models).max() < KNOWS:
        return f"cannot be told: {strangers}", said
    if strangers:
        said = f"{said}; left out: {strangers}"
    beyond, never, codebook = map(verdict, evidence.found(*asked))
    # Whether there is any agreement comes first; then what it takes.
    answers = {"more": AGREES[never] + CODEBOOK[codebook], "open": "not settled"}
    answer = answers.get(beyond, "in synonyms not more than chance")
    heard = evidence.values(*same)
    # What the paper measured comes first.
    values = f"in the same words {heard}; in synonyms {evidence.values(*asked)}"
    return f"{answer} ({values})", said


def less(evidence, model):
    """Whether a model reaches less of its own ceiling, a codebook's score with it, than others."""
    if strangers := evidence.strangers([model]):
        same = evidence.told("same_words", PRECISION, [model], [NEVER])
        return f"cannot be told: {strangers}", f"same words: {same}"
    contrasts = ["share of its codebook - that of decoders and BLIP"]
    return answered(evidence, LESS, "synonyms", PRECISION, [model], contrasts)


def acts(differences, controls):
    """On whose sentences, in words that it never heard, the acting agent succeeds more often than
    with the best control of a level."""
    answer = []
    said = []
    for level in controls.index.intersection(TELLING):
        here = differences.query("test == 'transfer' and measure == @level")
        # What models have above the best control, and values of all sources.
        gaps = here.query("contrast in @FLOORS")
        able = gaps["model"][gaps.apply(verdict, axis=1) == "more"]
        success = here.query("contrast == 'success'").set_index("model")["mean"].map(number)
        values = success.index.str.replace("_", " ") + " " + success
        above = ", ".join(values[able]) or "none"
        # What success with a model's vector is held against.
        ceilings = ", ".join(values[["own", "codebook"]])
        rival = values[controls[level]]
        answer.append(
            f"{level}: above {rival}, the best control, with {above}; beside them {ceilings}"
        )
        said.append(f"{level}: {', '.join(values)}")
    return "; ".join(answer) or ABSENT, "; ".join(said)


def good_enough(success):
    """Whether the acting agent of every world reaches the bars."""
    acted = success.query("player == 'acted' and level in @BARS")
    missed = acted.query("success < level.map(@BARS)")
    # Three digits: .949 is a miss of .95.
    said = [
        f"{row.level} in world {row.world} {number(row.success, digits=3)}"
        for row in missed.itertuples()
    ]
    answer = f"all but {len(missed)} of {len(acted)}: {', '.join(said)}" if said else "yes"
    means = acted.groupby("level", sort=False)["success"].mean()
    bars = [f"{level} {number(mean)} (bar {number(BARS[level])})" for level, mean in means.items()]
    return answer, f"means over worlds: {', '.join(bars)}"


# Claims that hold if some differences all have one sign: how that is said, and which (as `Evidence`
# takes them).
# Hypotheses, as the preregistration numbers them.
HYPOTHESES = {
    ORDER: (RISES, "synonyms", "order", [MEAN], [NEVER, "acted - exchanged"]),
    "agreement in colour needs only a code": (
        SAME,
        "synonyms",
        "colour",
        [MEAN],
        [NEVER, "acted - codebook", "never_acted - codebook"],
    ),
    "acting leads away from language models": (
        FALLS,
        "geometry",
        "linear_cka, all",
        [DECODERS],
        [NEVER],
    ),
    "acting merges verbs of one consequence (go to, pick up)": (
        RISES,
        "verbs",
        "cosine",
        ["agent"],
        [NEVER],
    ),
    BLIND: (
        RISES,
        "structure",
        "r",
        ["blind agent ~ LLaMA", "blind agent ~ blind CLIP"],
        ["own world - other world", "own world - codebook"],
    ),
    "seeing agents have kinds with the opposite sign": (
        FALLS,
        "structure",
        "r",
        ["seeing agent ~ design", "seeing agent ~ LLaMA", "seeing agent ~ blind CLIP"],
        [OWN],
    ),
    "in exclusive rooms seeing agents agree again": (
        RISES,
        "structure",
        "r",
        [EXCLUSIVE],
        [OWN, "own world - seeing agent"],
    ),
}
NUMBERS = {claim: f"H{number}" for number, claim in enumerate(HYPOTHESES, 1)}
# And others.
SIGNED = {
    APPROACHING: (APPROACHES, "same_words", PRECISION, [DECODERS], ["acted - between decoders"]),
    VISION: (RISES, "models", PRECISION, [DECODERS], ["agreement - chance"]),
    "within one verb acting leads away from language models, too": (
        FALLS,
        "geometry",
        "linear_cka, put",
        [DECODERS, MEAN],
        [NEVER],
    ),
}


def claims(tables, decoders):
    """Claims and their answers; columns COLUMNS.

    Arguments:
        tables: scores, knows_synonyms, order_null, success, transfer and differences, as
            `results.tables` has them.
        decoders: names of the models that read from left to right.
    """
    differences = tables["differences"].query("direction == 'both'")
    rows = differences.set_index(["test", "measure", "model", "contrast"], drop=False)
    kinds = tables["scores"].groupby("model", sort=False)["model_kind"].first()
    # A file of vectors may have no synonyms, and then no agreement with them.
    own = own_agreement(tables["knows_synonyms"]).reindex(kinds.index, fill_value=0.0)
    evidence = Evidence(rows, own)
    # Those that are not trained here are named one by one: nothing generalises from them.
    alone = ["BLIP", *kinds.index[kinds != "scratch"]]
    found = {}
    for name, models in {DECODERS: decoders, **{model: [model] for model in alone}}.items():
        found[f"action agrees with {name}"] = agrees(evidence, name, models)
    for model in ("CLIP", "BERT"):
        found[f"action agrees less with {model}"] = less(evidence, model)
    for claim, words_and_asked in (HYPOTHESES | SIGNED).items():
        found[claim] = answered(evidence, *words_and_asked)
    found["an agent can act on another model's sentence, in synonyms"] = acts(
        differences, best_controls(tables["transfer"])
    )
    found["agents do what they are told before they are compared"] = good_enough(tables["success"])
    # Where no model knows the synonyms there is no mean over those that do.
    for claim in (ORDER, VISION):
        if found[claim][0] == ABSENT:
            found[claim] = f"cannot be told: {evidence.strangers(kinds.index)}", ""
    # Order has a null of its own: how far luck takes a model that has read nothing.
    null = tables["order_null"].query("encoder == 'acted' and direction == 'both'")
    luck = number(null["value"].max())
    answer, told = found[ORDER]
    found[ORDER] = answer, f"{told}; untrained models at most {luck}".removeprefix("; ")
    rows = [
        (claim, NUMBERS.get(claim, ""), PAPER.get(claim, "not asked"), *said)
        for claim, said in found.items()
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if differences["worlds"].max() == 1:
        table.loc[table["evidence"] != "", "evidence"] += " (one world, so no interval)"
    return table
