"""The rules give each of the four verdicts where it is due, and none where a control fails."""

from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
import pytest

from paper_utils.alignment import verdicts
from paper_utils.alignment.verdicts import NO_POWER, NOT_SUPPORTED, OPPOSITE, SUPPORTED

GROUPS = {  # group -> kind, source, seeds
    verdicts.AGENTS: ("bilingual", "cloning", 3),
    **dict.fromkeys("LLaMA Qwen DeepSeek BERT CLIP BLIP".split(), ("trained", "scratch", 3)),
    "LLaMA, untrained": ("untrained", "scratch", 1),
    verdicts.RANDOM: ("control", "lexical", 5),
    "bag of concepts": ("told", "lexical", 1),
}  # fmt: skip
GOOD = {frozenset([verdicts.AGENTS]): 1.0, frozenset([verdicts.AGENTS, "BERT"]): 0.3,
        frozenset([verdicts.AGENTS, "CLIP"]): 0.4}  # fmt: skip


def table(changes: dict | None = None, seeds: int = 3) -> pd.DataFrame:
    """Oriented choices of colour: 0.6 between those that learned, 0.17 with controls."""
    values, rows, random = GOOD | (changes or {}), [], np.random.default_rng(0)
    for a, b in combinations_with_replacement(GROUPS, 2):
        free = [g for g in (a, b) if GROUPS[g][0] in ("untrained", "control", "told")]
        if len(free) == 2:
            continue
        value = values.get(frozenset([a, b]), 0.17 if free else 0.6)
        for n in range(min(seeds, GROUPS[a][2])):
            for m in range(min(seeds, GROUPS[b][2])):
                if a == b and n >= m:
                    continue
                jitter = 0.01 * random.normal()
                p = 1 / 720 if value > 0.25 else 0.5
                for one, x, other, y in ((a, n, b, m), (b, m, a, n)):
                    ends = {"first": (one, x), "second": (other, y)}
                    facts = {end: f"{g} #{seed}" for end, (g, seed) in ends.items()}
                    for end, (g, _) in ends.items():
                        kind, source, _ = GROUPS[g]
                        facts |= {f"{end}_group": g, f"{end}_kind": kind, f"{end}_source": source}
                    rows.append(facts | {"value": value + jitter, "p": p, "chance": 1 / 6,
                                         "names": "second", "measure": "colour"})  # fmt: skip
    return pd.DataFrame(rows)


def transfer(**success) -> pd.DataFrame:
    rows = [("bilingual agent", "agent", 0.97, np.nan), ("CLIP", "reference", 0.7, 1e-9),
            ("Qwen", "reference", 0.5, 1e-5), ("bag of words", "control", 0.1, 1.0)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["source", "kind", "success", "p"])
    named = frame["source"].str.split().str[0]
    frame["success"] = [success.get(n, v) for n, v in zip(named, frame["success"])]
    return frame.assign(names="second", level="PickupLoc", agents=3)


def gate(*strangers: str) -> pd.DataFrame:
    rows = [(name, "colour", 0.5 if name in strangers else 0.001) for name in GROUPS]
    return pd.DataFrame(rows, columns=["group", "measure", "p"])


def judged(changes: dict | None = None, seeds: int = 3, **success) -> list[str]:
    judged = verdicts.judge(table(changes, seeds), transfer(**success), gate())
    return judged["verdict"].tolist()


def test_each_claim_is_judged_where_the_controls_hold():
    assert judged() == [SUPPORTED] * 7
    lower = {frozenset([verdicts.AGENTS, "BLIP"]): 0.19, frozenset([verdicts.AGENTS, "CLIP"]): 0.9}
    aligns, blip, clip, bert, approaches, *rest = judged(lower)
    assert (aligns, blip, clip) == (SUPPORTED, NOT_SUPPORTED, OPPOSITE)
    far = {frozenset([verdicts.AGENTS, name]): 0.3 for name in ("LLaMA", "Qwen", "DeepSeek")}
    assert judged(far)[4] == NOT_SUPPORTED


@pytest.mark.parametrize(
    "changes",
    [
        {frozenset([verdicts.AGENTS]): 0.17},  # agents of two seeds disagree
        {frozenset(["LLaMA", "Qwen"]): 0.2},  # language models disagree
        {frozenset([verdicts.AGENTS, verdicts.RANDOM]): 0.5},  # a control passes the test
    ],
)
def test_nothing_is_judged_where_a_control_fails(changes):
    assert judged(changes) == [NO_POWER] * 6 + [SUPPORTED]  # acting has controls of its own


def test_a_dictionary_is_no_negative_control():
    told = {frozenset([name, "bag of concepts"]): 0.9 for name in GROUPS}
    assert judged(told) == [SUPPORTED] * 7


def test_who_did_not_learn_the_names_is_not_said_to_align_less():
    verdict = verdicts.judge(table(), transfer(), gate("BERT"))["verdict"].tolist()
    assert verdict == [SUPPORTED] * 3 + [NO_POWER] + [SUPPORTED] * 3


def test_differences_between_models_need_three_seeds():
    verdict = judged(seeds=2)
    assert verdict[:2] == [SUPPORTED] * 2 and verdict[2:5] == [NO_POWER] * 3
    fewer = table()  # two agents, three seeds of each model
    third = f"{verdicts.AGENTS} #2"
    fewer = fewer[(fewer["first"] != third) & (fewer["second"] != third)]
    verdict = verdicts.judge(fewer, transfer(), gate())["verdict"].tolist()
    assert verdict[:2] == [SUPPORTED] * 2 and verdict[2:5] == [NO_POWER] * 3


def test_a_share_of_nothing_is_not_taken():
    decoders = combinations(("LLaMA", "Qwen", "DeepSeek"), 2)
    near = table({frozenset(pair): 0.19 for pair in decoders}).assign(p=1 / 720)
    near.loc[near["second_group"] == verdicts.RANDOM, "p"] = 0.5
    row = verdicts.judge(near, transfer(), gate()).iloc[4]
    assert row["verdict"] == NO_POWER and "too near chance" in row["because"]


def test_at_the_preferred_layer_the_papers_claims_are_judged_once_more():
    good, bad = table(), table({frozenset(["LLaMA", "Qwen"]): 0.2})
    layers = pd.concat([bad.assign(layer="last"), good.assign(layer="gate")])
    own = gate("BERT").assign(encoder=list(GROUPS), value=0.5)
    learned = own.assign(p=0.001, value=0.9)
    precise = learned.assign(measure="precision_at_k")
    known = pd.concat([own.assign(layer="last"), learned.assign(layer="1"),
                       precise.assign(layer="1")])  # fmt: skip
    both = verdicts.judge_layers(layers, transfer(), known)
    assert list(both["verdict"]) == [NO_POWER] * 6 + [SUPPORTED]
    assert list(both["verdict_gate_layer"]) == [SUPPORTED] * 6 + [""]  # BERT knows its names there
    assert (both.iloc[-1][[name for name in both if name.endswith("_gate_layer")]] == "").all()


def test_acting_needs_two_references_ahead_of_the_best_control_a_ceiling_and_three_agents():
    assert judged(Qwen=0.05)[-1] == NOT_SUPPORTED
    assert judged(bilingual=0.05)[-1] == NO_POWER
    for change in ({"level": "GoTo"}, {"agents": 2}):
        judged_so = verdicts.judge(table(), transfer().assign(**change), gate())
        assert judged_so["verdict"].iloc[-1] == NO_POWER


def test_what_the_papers_measure_says_has_a_line_for_each_claim():
    headline = pd.DataFrame({"reference": ["LLaMA", "Qwen", "BERT"], "value": [0.5, 0.7, 0.6],
                             "gap": [-0.4, -0.2, 0.1]})  # fmt: skip
    control = pd.DataFrame([{"first": "LLaMA", "second": "Qwen", "value": 0.8, "lexical": 0.9}])
    said = verdicts.paper_measure(headline, control)
    assert len(said) == len(verdicts.judge(table(), transfer(), gate()))
    assert said[0] == "LLaMA 0.50 (best control 0.90); Qwen 0.70 (best control 0.90)"
    assert said[1] == said[5] == "the models are not part of this run"
    assert said[3] == "0.60 against 0.60"
