"""Each claim answered in a few words, with its numbers, made from the differences of a run.

The words follow rules that were fixed beforehand (docs/preregistration.md).  A difference is *more*
or *less* where a test over worlds says so, the *same* where it surely lies within the margin, and
else *open*.  One world has no test: there the margin alone decides, and the evidence says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from paper_utils.study.differences import (
    DECODERS,
    EXCLUSIVE,
    FLOORS,
    KNOWS,
    MARGIN,
    MEAN,
    REST,
    SHARE,
    best_controls,
    stated,
)

ALPHA = 0.05  # of the tests that the preregistration names; every p is told beside its number
COLUMNS = ["claim", "paper", "answer", "evidence"]
ABSENT = "not in this run"
TELLING = ("PickupLoc", "PutNextLocal")  # elsewhere a wrong instruction often succeeds
# What the paper's abstract says.
NUMBERS = "precision@15 .70 to .73"
WEAKER = "significantly weaker"
OURS = "not asked"
NEVER = "acted - never_acted"
VISION = "language agrees with vision"
ORDER = "acting on the right instructions adds order"
Key = tuple[str, str, str, str]  # test, measure, model, contrast

# What is said of a difference, by what a claim expects of it.
RISES = {"more": "yes", "same": "no difference", "less": "no, the opposite", "open": "not settled"}
SAME = RISES | {"more": "no, more", "same": "yes", "less": "no, less"}
FALLS = RISES | {"less": "yes", "more": "no, the opposite"}
LESS = {"less": "yes", "same": "no, as much", "more": "no, more", "open": "not settled"}
APPROACHES = LESS | {"less": "stays below", "same": "reaches it", "more": "lies above it"}
# And of acted − never acted, then of acted − codebook, where an agent agrees with a model.
AGREES = {
    "more": "agrees more than an agent that never acted",
    "same": "agrees, and so does an agent that never acted",
    "less": "agrees less than an agent that never acted",
    "open": "agrees; whether more than an agent that never acted is not settled",
}
CODEBOOK = {
    "more": "; more than a codebook does",
    "same": ", as a codebook does",
    "less": "; less than a codebook does",
    "open": "; whether as a codebook does is not settled",
}


def number(value: float, signed: bool = False) -> str:
    """Two decimals, as people write them.

    >>> number(0.434), number(-0.1, signed=True), number(1)
    ('.43', '−.10', '1.00')
    """
    text = f"{abs(value):.2f}".removeprefix("0")
    # What is zero when it is rounded has no sign.
    if not float(text):
        return text
    if value < 0:
        return f"−{text}"
    return f"+{text}" if signed else text


def in_words(row: Mapping) -> str:
    """What a row of the differences says: its contrast, and its numbers as far as there are any.

    >>> row = {"contrast": "acted - never_acted", "mean": 0.15, "worlds": 8}
    >>> in_words(row | {"low": 0.1, "high": 0.2, "p": 0.004})
    'acted − never acted +.15 (+.10 to +.20, p .004)'
    >>> in_words(row | {"worlds": 1})
    'acted − never acted +.15'
    """
    contrast = row["contrast"].replace(" - ", " − ").replace("_", " ")
    text = f"{contrast} {number(row['mean'], '−' in contrast)}"
    # Values, too, have intervals, but only what is tested is told with them.
    if row["worlds"] == 1 or pd.isna(row["p"]):
        return text
    low = number(row["low"], signed=True)
    high = number(row["high"], signed=True)
    p = f"{row['p']:.3f}".removeprefix("0")
    return f"{text} ({low} to {high}, p {p})"


def verdict(row: Mapping) -> str:
    """more, less, same or open: what a difference over worlds says.

    Of a hypothesis with a direction, the test comes before equivalence; that the difference goes
    the other way is then told by its interval."""
    sign = "more" if row["mean"] > 0 else "less"
    # A single world has no spread: what is within the margin counts as the same.
    if row["worlds"] == 1:
        return "same" if abs(row["mean"]) <= MARGIN else sign
    alternative = stated(row["test"], row["measure"], row["model"], row["contrast"])
    significant = row["p"] <= ALPHA
    # A hypothesis is what was asked; a floor is only beaten by more than the margin.
    if significant and alternative != "two-sided" and row["contrast"] not in FLOORS:
        return sign
    if row["p_equivalent"] <= ALPHA:
        return "same"
    # A one-sided test is blind to the other side.
    turned = {"greater": row["high"] < 0, "less": row["low"] > 0}.get(alternative, False)
    return sign if significant or turned else "open"


@dataclass(frozen=True)
class Evidence:
    """What the answers rest on: rows of the differences (both directions) by their key, and each
    model's own agreement of its two names."""

    rows: Mapping[Key, Mapping]
    own: Mapping[str, float]  # model -> colour of six, over worlds; 0: it has no synonyms

    def told(self, asked: Sequence[Key]) -> str:
        """The values that some differences are between, and then the differences themselves."""
        said = []
        for test, measure, model, contrast in asked:
            # Values have rows of their own, called as they stand in the difference.
            for name in contrast.split(" - "):
                said.append((test, measure, model, name))
        words = []
        # Each once, in this order.
        for key in dict.fromkeys([*said, *asked]):
            if key in self.rows:
                # Of pairs of learners there are several in one claim.
                pair = f"{key[2]}: " if key[0] == "structure" else ""
                words.append(pair + in_words(self.rows[key]))
        return ", ".join(words)

    def strangers(self, models: Sequence[str]) -> str:
        """Which of some models do not know the synonyms, and how far they are from it."""
        found = []
        for model in models:
            # A model that is not in this run is no stranger.
            own = self.own.get(model, KNOWS)
            if own < KNOWS:
                found.append(f"{model} does not know the synonyms (own agreement {number(own)})")
        return "; ".join(found)


def answered(evidence: Evidence, words: Mapping, asked: Sequence[Key]) -> tuple[str, str]:
    """The answer that some differences give together, and their numbers."""
    present = [key for key in asked if key in evidence.rows]
    each = [words[verdict(evidence.rows[key])] for key in present]
    if not each:
        return ABSENT, ""
    answer = "; ".join(dict.fromkeys(each))
    # All parts have to hold, so one that does not is counted, not averaged away.
    if "yes" in each and len(set(each)) > 1:
        answer = f"in part ({each.count('yes')} of {len(each)})"
    return answer, evidence.told(asked)


def agrees(evidence: Evidence, name: str, models: Sequence[str]) -> tuple[str, str]:
    """Whether the acting agent agrees with some models, called ``name`` in the differences."""
    present = [model for model in models if model in evidence.own]
    same = evidence.told([("same_words", "precision_at_k", name, NEVER)])
    strangers = evidence.strangers(present)
    # Not against random tokens: asked in first names, these are a code as good as a codebook.
    gaps = ["acted - chance", NEVER, "acted - codebook"]
    asked = [("synonyms", "precision_at_k", name, gap) for gap in gaps]
    if not present:
        return ABSENT, ""
    said = f"same words: {same}"
    # A group of models has none, where none of them knows the synonyms.
    if evidence.told(asked):
        said = f"unheard synonyms: {evidence.told(asked)}; {said}"
    if all(evidence.own[model] < KNOWS for model in present):
        return f"cannot be told: {strangers}", said
    if strangers:
        said = f"{said}; left out: {strangers}"
    beyond, never, codebook = (verdict(evidence.rows[key]) for key in asked)
    # Whether there is any agreement comes first; then what it takes.
    if beyond == "open":
        return "not settled", said
    if beyond != "more":
        return "does not agree more than chance", said
    return AGREES[never] + CODEBOOK[codebook], said


def less(evidence: Evidence, model: str) -> tuple[str, str]:
    """Whether a model reaches less of its own ceiling, a codebook's score with it, than others."""
    strangers = evidence.strangers([model])
    if strangers:
        same = evidence.told([("same_words", "precision_at_k", model, NEVER)])
        return f"cannot be told: {strangers}", f"same words: {same}"
    return answered(evidence, LESS, [("synonyms", "precision_at_k", model, f"{SHARE} - {REST}")])


def acts(evidence: Evidence, controls: Mapping[str, str]) -> tuple[str, str]:
    """On whose sentences, in words that it never heard, the acting agent succeeds more often than
    with the best control of a level."""
    answer = []
    said = []
    for level in TELLING:
        success = {}
        able = []
        for (test, measure, model, contrast), row in evidence.rows.items():
            if (test, measure) == ("transfer", level):
                # Values of all sources, and what models have above the best control.
                if contrast == "success":
                    success[model] = number(row["mean"])
                elif " - " in contrast and verdict(row) == "more":
                    able.append(model)
        if success:
            answer.append(f"{level}: of {', '.join(able) or 'none'}")
            values = ", ".join(f"{name} {value}" for name, value in success.items())
            said.append(f"{level} (best control: {controls[level]}): {values}")
    return "; ".join(answer) or ABSENT, "; ".join(said)


# Claims that hold if some differences all have one sign: what the paper says, and how it is said.
SIGNED: dict[str, tuple[str, Mapping, list[Key]]] = {
    "action with language approaches language with language": (
        "approaches",
        APPROACHES,
        [("same_words", "precision_at_k", DECODERS, "acted - between decoders")],
    ),
    VISION: (OURS, RISES, [("models", "precision_at_k", DECODERS, "agreement - chance")]),
    ORDER: (
        OURS,
        RISES,
        [("synonyms", "order", MEAN, NEVER), ("synonyms", "order", MEAN, "acted - exchanged")],
    ),
    "agreement in colour needs only a code": (
        OURS,
        SAME,
        [
            ("synonyms", "colour", MEAN, NEVER),
            ("synonyms", "colour", MEAN, "acted - codebook"),
            ("synonyms", "colour", MEAN, "never_acted - codebook"),
        ],
    ),
    "acting merges verbs of one consequence": (OURS, RISES, [("verbs", "cosine", "agent", NEVER)]),
    "acting leads away from language models": (
        OURS,
        FALLS,
        [("geometry", "linear_cka, all", DECODERS, NEVER)],
    ),
    "blind agents share kinds with language and vision": (
        OURS,
        RISES,
        [
            ("structure", "r", "blind agent ~ LLaMA", "own world - other world"),
            ("structure", "r", "blind agent ~ LLaMA", "own world - codebook"),
            ("structure", "r", "blind agent ~ blind CLIP", "own world - other world"),
            ("structure", "r", "blind agent ~ blind CLIP", "own world - codebook"),
        ],
    ),
    "seeing agents have kinds with the opposite sign": (
        OURS,
        FALLS,
        [
            ("structure", "r", "seeing agent ~ design", "own world"),
            ("structure", "r", "seeing agent ~ LLaMA", "own world"),
            ("structure", "r", "seeing agent ~ blind CLIP", "own world"),
        ],
    ),
    "in exclusive rooms seeing agents agree again": (
        OURS,
        RISES,
        [
            ("structure", "r", EXCLUSIVE, "own world"),
            ("structure", "r", EXCLUSIVE, "own world - seeing agent"),
        ],
    ),
}


def claims(tables: Mapping[str, pd.DataFrame], decoders: Sequence[str]) -> pd.DataFrame:
    """Claims and their answers; columns COLUMNS.

    Arguments:
        tables: scores, knows_synonyms, order_null, transfer, differences (`results.tables`).
        decoders: names of the models that read from left to right.
    """
    differences = tables["differences"]
    rows = {}
    for row in differences[differences["direction"] == "both"].to_dict("records"):
        rows[row["test"], row["measure"], row["model"], row["contrast"]] = row
    named = tables["scores"].drop_duplicates("model").set_index("model")
    kinds = named["model_kind"]
    knows = tables["knows_synonyms"]
    colour = knows[knows["measure"] == "colour"]
    own = colour.groupby("model")["value"].mean().to_dict()
    # A file of vectors may have no synonyms, and then no agreement with them.
    evidence = Evidence(rows, dict.fromkeys(kinds.index, 0.0) | own)
    controls = best_controls(tables["transfer"])
    found = [
        ("action agrees with decoders", NUMBERS, *agrees(evidence, DECODERS, decoders)),
        ("action agrees with BLIP", NUMBERS, *agrees(evidence, "BLIP", ["BLIP"])),
    ]
    # Those that are not trained here are named one by one: nothing generalises from them.
    for model in kinds.index[kinds != "scratch"]:
        found.append((f"action agrees with {model}", OURS, *agrees(evidence, model, [model])))
    for model in ("CLIP", "BERT"):
        found.append((f"action agrees less with {model}", WEAKER, *less(evidence, model)))
    for claim, (paper, words, asked) in SIGNED.items():
        found.append((claim, paper, *answered(evidence, words, asked)))
    found.append(("an agent can act on another model's sentence", OURS, *acts(evidence, controls)))
    table = pd.DataFrame(found, columns=COLUMNS).set_index("claim", drop=False)
    # Order has a null of its own: how far luck takes a model that has read nothing.
    null = tables["order_null"].query("encoder == 'acted' and direction == 'both'")
    luck = f"untrained models at most {number(null['value'].max())}"
    told = table.loc[ORDER, "evidence"]
    table.loc[ORDER, "evidence"] = f"{told}; {luck}" if told else luck
    # Where no model knows the synonyms there is no mean over those that do.
    for claim in (ORDER, VISION):
        if table.loc[claim, "answer"] == ABSENT:
            table.loc[claim, "answer"] = f"cannot be told: {evidence.strangers(kinds.index)}"
    if differences["worlds"].max() == 1:
        table.loc[table["evidence"] != "", "evidence"] += " (one world, so no interval)"
    return table.reset_index(drop=True)
