"""Claims say what was planted, in everyday words."""

from __future__ import annotations

import pandas as pd
import pytest
from planted_worlds import DECODERS

from paper_utils.study.claims import COLUMNS, ORDER, VISION, claims, verdict
from paper_utils.study.differences import differences


def answers(tables: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Claim -> its row."""
    scores = tables["scores"]
    # Others are not asked for, and every one takes its time.
    asked = scores["measure"].isin(["precision_at_k", "colour", "order"]) & (
        scores["direction"] == "both"
    )
    tables = tables | {"scores": scores[asked]}
    found = claims(tables | {"differences": differences(tables, DECODERS)}, DECODERS)
    assert list(found) == COLUMNS
    for word in ("supported", "no power", "nan"):
        assert not found.apply(lambda column, word=word: column.str.contains(word)).any(axis=None)
    return {row["claim"]: row for _, row in found.iterrows()}


def word_of(claim: pd.Series) -> str:
    """An answer without its numbers."""
    return claim["answer"].partition(" (")[0]


@pytest.fixture(scope="module")
def of_eight(eight):
    return answers(eight)


def test_who_binds_order_is_said_to(of_eight):
    assert of_eight[ORDER]["answer"].startswith("yes (acted ")
    evidence = of_eight[ORDER]["evidence"]
    assert "acted − never acted +.5" in evidence and "p .004" in evidence
    assert evidence.endswith("untrained models at most .54")


def test_who_does_not_bind_order_is_said_not_to(eight):
    scores = eight["scores"]
    # The acting agent does as the bag of words does.
    kept = scores[scores["encoder"] != "acted"]
    bag = scores[scores["encoder"] == "never_acted"].assign(encoder="acted")
    found = answers(eight | {"scores": pd.concat([kept, bag])})
    assert found[ORDER]["answer"].startswith("no difference")
    claim = found["action agrees with decoders"]
    assert claim["answer"].startswith("in synonyms as much as never acted")


def test_a_stranger_cannot_be_told(of_eight):
    claim = of_eight["action agrees less with BERT"]
    told = "cannot be told: BERT does not know the synonyms (own agreement .06)"
    assert claim["answer"] == told
    assert "same words" in claim["evidence"]


def test_a_difference_within_the_margin_is_none(eight):
    scores = eight["scores"]
    # All three do as the codebook does, give or take a hundredth.
    kept = scores[~scores["encoder"].isin(["acted", "never_acted"])]
    code = scores[(scores["encoder"] == "codebook") & (scores["draw"] == 0)]
    alike = [code.assign(encoder="acted", value=code["value"] + 0.01 * (code["world"] % 2))]
    alike.append(code.assign(encoder="never_acted"))
    same = pd.concat([kept, *alike])
    same.loc[same["encoder"] == "codebook", "draw"] = 0
    same = same.drop_duplicates(subset=[name for name in same if name != "value"])
    found = answers(eight | {"scores": same})
    assert word_of(found["agreement in colour needs only a code"]) == "yes"
    claim = word_of(found["action agrees with decoders"])
    assert claim == "in synonyms as much as never acted, as much as a codebook"


def test_models_of_kind_file_are_named(of_eight):
    assert "action agrees with a file" in of_eight


def test_missing_models_are_said_to_be_missing(of_eight):
    assert of_eight["action agrees with BLIP"]["answer"] == "not in this run"


def test_nobody_who_knows_the_synonyms_leaves_the_question_open(eight):
    knows = eight["knows_synonyms"].assign(value=0.2)
    found = answers(eight | {"knows_synonyms": knows})
    for claim in (ORDER, VISION, "action agrees with decoders"):
        assert found[claim]["answer"].startswith("cannot be told: LLaMA does not know")


def test_structure_has_its_sign(of_eight):
    assert word_of(of_eight["blind agents share kinds with language and vision"]) == "yes"
    assert word_of(of_eight["seeing agents have kinds with the opposite sign"]) == "yes"
    assert word_of(of_eight["in exclusive rooms seeing agents agree again"]) == "yes"


def test_a_hypothesis_of_several_parts_holds_in_part(eight):
    structure = eight["structure"].copy()
    blind = structure["first"] + structure["second"] == "blind agentblind CLIP"
    structure.loc[blind & (structure["condition"] == "own world"), "r"] = 0.0
    found = answers(eight | {"structure": structure})
    claim = found["blind agents share kinds with language and vision"]
    assert word_of(claim) == "no: 2 of 4 parts hold"


def test_the_opposite_is_said_to_be_the_opposite(eight):
    geometry = eight["geometry"].copy()
    swapped = {"acted": "never_acted", "never_acted": "acted", "exchanged": "exchanged"}
    geometry["encoder"] = geometry["encoder"].map(swapped)
    found = answers(eight | {"geometry": geometry})
    assert word_of(found["acting leads away from language models"]) == "no, the opposite"


def test_who_can_be_acted_on(of_eight):
    claim = of_eight["an agent can act on another model's sentence, in synonyms"]
    assert claim["answer"].startswith("PickupLoc: above word count ")
    assert ", the best control, with CLIP .60; beside them own" in claim["answer"]


def test_two_means_are_compared_for_approaching(of_eight):
    claim = of_eight["action with language approaches language with language"]
    assert word_of(claim) == "lies above it"
    assert "between decoders .40" in claim["evidence"]


def test_one_world_says_so_and_has_no_p(one):
    found = answers(one)
    assert word_of(found[ORDER]) == "yes"
    told = [claim["evidence"] for claim in found.values() if claim["evidence"]]
    assert all(text.endswith("(one world, so no interval)") for text in told)
    assert not any("p ." in text for text in told)


def test_two_worlds_are_too_few(eight):
    some = {name: table[table["world"] < 102] for name, table in eight.items()}
    assert word_of(answers(some)[ORDER]) == "not settled"


@pytest.mark.parametrize(
    ("contrast", "expected"), [("acted - never_acted", "more"), ("acted - codebook", "same")]
)
def test_equivalence_comes_first_but_for_hypotheses(contrast, expected):
    row = {"test": "synonyms", "measure": "order", "model": "mean", "contrast": contrast}
    small = {"mean": 0.02, "low": 0.01, "high": 0.03, "p": 0.004, "p_equivalent": 0.001}
    assert verdict(row | small | {"worlds": 8}) == expected


@pytest.mark.parametrize("r, expected", [(0.13, "open"), (-0.4, "open"), (0.7, "more")])
def test_one_world_has_no_structure_that_luck_has_as_well(r, expected):
    row = {"test": "structure", "measure": "r", "model": "blind agent ~ blind CLIP"}
    assert verdict(row | {"contrast": "own world", "mean": r, "worlds": 1}) == expected


def test_a_world_that_misses_a_bar_is_told(eight, of_eight):
    claim = "agents do what they are told before they are compared"
    assert of_eight[claim]["answer"] == "yes"
    success = eight["success"]
    low = (success["level"] == "PickupLoc") & (success["world"] == success["world"].min())
    missed = success.assign(success=success["success"].mask(low, 0.9))
    told = "all but 1 of 16: PickupLoc in world 100 .900"
    assert answers(eight | {"success": missed})[claim]["answer"] == told
