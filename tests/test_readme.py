"""The README is written by hand: each of its numbers is one of figures/results.json."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from commands import ROOT

from paper_utils import Profile, run
from paper_utils.alignment import linear_cka
from paper_utils.cloning import evaluation
from paper_utils.cloning.agents import AGENT, agent_parameters
from paper_utils.data import levels
from paper_utils.encoders.scratch import MODEL_SCORES
from paper_utils.figures.spaces import of_world
from paper_utils.study import columns, results
from paper_utils.study.claims import verdict

README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = README + (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "figures" / "results.json").read_text(encoding="utf-8"))
SPACE = r"\s+"


def found(test: str, measure: str, contrast: str, model: str = "mean") -> float:
    """A mean over worlds, of both directions."""
    asked = {"test": test, "measure": measure, "contrast": contrast, "model": model}
    asked["direction"] = "both"
    (row,) = [row for row in RESULTS["differences"] if asked.items() <= row.items()]
    return row["mean"]


def said(words: str) -> float:
    """The number that follows some words, wherever lines break."""
    pattern = re.escape(words).replace(r"\ ", SPACE)
    (number,) = re.findall(pattern + r"[\s(]+(−?\.\d\d)", README)
    return float(number.replace("−", "-"))


STATED = {
    "The agent that acted scores": ("same_words", "precision_at_k", "acted"),
    "439), one that never acted": ("same_words", "precision_at_k", "never_acted"),
    "a word count": ("same_words", "precision_at_k", "word_count"),
    "count .75, a codebook": ("same_words", "precision_at_k", "codebook"),
    "So acting adds": ("same_words", "precision_at_k", "acted - never_acted"),
    'next to A" (and back)? In': ("synonyms", "order", "acted"),
    "of cases after acting,": ("synonyms", "order", "never_acted"),
    "proof of meaning: a codebook has": ("synonyms", "order", "codebook"),
    "between six colours correlate, r =": ("structure", "r", "own world", "blind agent ~ LLaMA"),
    "of one kind farther apart (r =": ("structure", "r", "own world", "seeing agent ~ LLaMA"),
    "So acting adds .03": ("same_words", "precision_at_k", "acted - never_acted", "decoders"),
    "Our decoders score": ("same_words", "precision_at_k", "between decoders", "decoders"),
    "with each other,": ("same_words", "precision_at_k", "acted", "decoders"),
}


@pytest.mark.parametrize("words", STATED)
def test_a_number_of_the_readme_is_a_result(words):
    assert said(words) == pytest.approx(found(*STATED[words]), abs=0.0051)  # two digits


# What the table of the README says, and how the answer to its claim begins.
TOLD = {
    "BERT scores as decoders do. | CLIP is not settled.": (
        "action agrees less with CLIP",
        "not settled",
    ),
    "For BERT synonyms would tell, but ours knows none": (
        "action agrees less with BERT",
        "cannot be told: BERT does not know",
    ),
    "It stays below": ("action with language approaches language with", "stays below"),
    "Acting leads away from models": ("acting leads away from language models", "yes"),
    "never acted lies below. By": ("agreement in colour needs only a code", "no: 1 of 3"),
    "Acting on right instructions adds word order.": (
        "acting on the right instructions adds order",
        "yes",
    ),
    '"Go to" and "pick up" become nearly one.': ("acting merges verbs of one consequence", "yes"),
    "still finds these kinds, as LLaMA does": ("blind agents share kinds with language", "yes"),
    "An agent that sees colours holds those of one kind farther": (
        "seeing agents have kinds with the opposite sign",
        "yes",
    ),
    "kind in a room (*exclusive*) the kinds return": (
        "in exclusive rooms seeing agents agree again",
        "yes",
    ),
    "in two of 32 cases": ("agents do what they are told", "all but 2 of 32"),
}


@pytest.mark.parametrize("words", TOLD)
def test_an_answer_of_the_readme_is_that_of_the_claim(words):
    claim, answer = TOLD[words]
    assert words in " ".join(TEXT.split())
    (found,) = [row for row in RESULTS["claims"] if row["claim"].startswith(claim)]
    assert found["answer"].startswith(answer)


def test_decoders_agree_less_with_the_agent_than_with_each_other():
    gap = found("same_words", "precision_at_k", "acted - between decoders", "decoders")
    assert gap < -0.15


def test_what_the_table_says_of_the_papers_own_measure():
    """CLIP agrees less, BERT hardly; acting adds with decoders, and not with who is named."""
    same = {one: found("same_words", "precision_at_k", "acted", one) for one in ("CLIP", "BERT")}
    decoders = found("same_words", "precision_at_k", "acted", "decoders")
    assert same["CLIP"] < decoders - 0.1 and same["BERT"] > decoders - 0.02
    assert found("same_words", "precision_at_k", "acted - never_acted", "decoders") > 0.05
    for model in ("BERT", "BLIP", *PUBLIC):
        assert found("same_words", "precision_at_k", "acted - never_acted", model) < 0
    for model in PUBLIC:  # "nearly everything scores 1": no difference
        assert found("same_words", "precision_at_k", "acted - never_acted", model) > -0.05
        for who in ("acted", "never_acted", "word_count", "edit_distance", "codebook"):
            assert found("same_words", "precision_at_k", who, model) > 0.95
        assert found("same_words", "precision_at_k", "exchanged", model) < 0.7
    for model in ("LLaMA", "Qwen", "DeepSeek"):  # they agree with it less than with edit distance
        reached = found("same_words", "precision_at_k", "acted", model)
        assert reached < found("same_words", "precision_at_k", "edit_distance", model) - 0.1
    gains = [
        found("same_words", measure, "acted - never_acted")
        for measure in ("precision_at_1", "precision_at_k")
    ]
    assert gains[0] > gains[1] + 0.05  # more, if only the nearest counts
    who = ("exchanged", "never_acted", "word_count", "acted", "codebook", "edit_distance")
    scores = [found("same_words", "precision_at_k", one) for one in who]
    assert scores == sorted(scores)  # wrong instructions least, mere codes above both agents


PUBLIC = ("all-MiniLM-L6-v2", "SmolLM2-135M-Instruct, 4-bit")


def test_what_is_said_of_public_models():
    """MiniLM's order is one that single untrained models reach; acting adds none with SmolLM2, and
    takes from both precision in synonyms, and agreement within one verb."""
    null = [row["value"] for row in RESULTS["order_null"] if row["encoder"] == "acted"]
    assert 0.6 < found("synonyms", "order", "acted", PUBLIC[0]) < max(null)
    assert found("synonyms", "order", "acted - never_acted", PUBLIC[1]) < 0
    for model in PUBLIC:
        for test, measure in (("synonyms", "precision_at_k"), ("geometry", "linear_cka, put")):
            assert found(test, measure, "acted - never_acted", model) < -0.05


def test_with_which_models_acting_adds_order():
    """With four it lies above what any untrained model reaches, with two others within that."""
    luck = max(row["value"] for row in RESULTS["order_null"] if row["encoder"] == "acted")
    assert found("synonyms", "order", "exchanged") == pytest.approx(
        0.5, abs=0.05
    )  # "hardly over half"
    trained = ("LLaMA", "Qwen", "DeepSeek", "BERT", "CLIP", "BLIP")
    reached = {one for one in trained if found("synonyms", "order", "acted", one) > luck}
    assert reached == {"LLaMA", "Qwen", "DeepSeek", "CLIP"}
    for model in reached | {"BLIP"}:
        assert found("synonyms", "order", "acted - never_acted", model) > 0.05


def test_within_one_verb_acting_leads_nearer_to_our_decoders_alone():
    measure = ("geometry", "linear_cka, put", "acted - never_acted")
    nearer = [found(*measure, one) for one in ("LLaMA", "Qwen", "DeepSeek")]
    farther = [found(*measure, one) for one in ("BERT", "CLIP", "BLIP", *PUBLIC)]
    assert min(nearer) > 0 > max(farther)


def test_verbs_explain_most_of_what_leads_away_from_decoders_and_not_all(tmp_path):
    """Each verb's mean taken out, as in notebook 05."""
    profile = Profile.load(run.DEFAULT)
    here = run.Run("05_acting", profile, tmp_path, run.store_of(profile))
    verbs = columns.instructions(profile)["verb"].to_numpy()
    gaps = []
    for world in profile.world_numbers:
        left = {}
        for label, (space, *_) in of_world(here, world).items():
            means = pd.DataFrame(space).groupby(verbs).transform("mean")
            left[label] = space - means.to_numpy()
        for model in ("LLaMA", "Qwen", "DeepSeek"):
            acted, never = (linear_cka(left[one], left[model]) for one in ("acted", "never acted"))
            gaps.append(float(acted) - float(never))
    whole = found("geometry", "linear_cka, all", "acted - never_acted", "decoders")
    assert whole / 2 < np.mean(gaps) < -0.1


def test_a_counter_of_word_pairs_passes_the_test_of_kinds_and_nothing_else_that_read_nothing():
    structure = pd.DataFrame(RESULTS["structure"]).query("first == 'blind agent'")
    r = structure.groupby(["condition", "second"])["r"].mean()
    assert r["own world", "bigram counter"] > 0.6
    for condition in ("codebook", "never_acted", "other world"):
        assert abs(r[condition, "LLaMA"]) < 0.1 and abs(r[condition, "blind CLIP"]) < 0.1


def test_what_the_agent_shares_is_between_what_decoders_share_with_each_other_and_with_others():
    pairs = pd.DataFrame(RESULTS["pairs"]).query(
        "test == 'same_words' and measure == 'precision_at_k' and direction == 'both'"
    )
    means = pairs.groupby(["model", "encoder"])["value"].mean()
    decoders = ("LLaMA", "Qwen", "DeepSeek")
    among = [value for pair, value in means.items() if set(pair) <= set(decoders)]
    others = [
        value
        for pair, value in means.items()
        if set(pair) & set(decoders) and set(pair) & {"BERT", "CLIP", "BLIP", PUBLIC[0]}
    ]
    acted = [found("same_words", "precision_at_k", "acted", one) for one in decoders]
    assert max(others) < min(acted) <= max(acted) < min(among)
    smollm = [
        value for pair, value in means.items() if PUBLIC[1] in pair and set(pair) & set(decoders)
    ]
    assert max(acted) < min(smollm)
    # And with BERT and BLIP either public model shares more than the agent does (docs/limits.md).
    for model in ("BERT", "BLIP"):
        shared = [
            value for pair, value in means.items() if model in pair and set(pair) & set(PUBLIC)
        ]
        assert len(shared) == 2
        assert min(shared) > found("same_words", "precision_at_k", "acted", model)


def test_in_which_words_an_agent_acts_on_a_models_sentence():
    """On most sentences in words that both know, on few in synonyms."""
    models = pd.DataFrame(RESULTS["transfer"]).query("kind == 'model' and level == 'PutNextLocal'")
    means = models.groupby(["source", "said"])["success"].mean().unstack()
    assert (means["first names"] > 0.5).mean() > 0.5 and means["synonyms"].max() < 0.1
    # On PickupLoc the best are CLIP and BLIP, and readers trained here no better than chance (05).
    there = pd.DataFrame(RESULTS["transfer"]).query("level == 'PickupLoc'")
    asked = there.query("said != 'first names'").groupby("source")["success"].mean()
    readers = ["LLaMA", "Qwen", "DeepSeek", "BERT"]
    assert asked[["CLIP", "BLIP"]].min() > asked[[*readers, *PUBLIC]].max()
    assert asked[readers].max() < asked["random moves"]
    # Codes without meaning do as well in the words they are made of.
    codes = pd.DataFrame(RESULTS["transfer"]).query("source == 'random_tokens'")
    assert codes.query("said == 'first names'")["success"].mean() > 0.5
    # Of counts "a sixth is left" where two things are named (docs/teaching.md).
    counts = pd.DataFrame(RESULTS["transfer"]).query("source == 'word_count'")
    left = counts.query("level == 'PutNextLocal' and said == 'first names'")["success"].mean()
    assert left == pytest.approx(1 / 6, abs=0.03)


def test_what_notebook_06_says_of_luck():
    """Its ends, and how many learners lie within them: typed there by hand."""
    profile = Profile.load(run.DEFAULT)
    # Every single draw: the file of results has their means.
    structure = results.tables(profile, run.store_of(profile).get)["structure"]
    luck = structure.query("condition == 'never_acted'")["r"]
    assert (luck.min(), luck.max()) == pytest.approx((-0.74, 0.73), abs=0.005)
    own = structure.query("condition == 'own world'").set_index(["first", "second"])["r"]
    seeing = own["seeing agent", "design"]
    assert seeing.max() < 0 and (seeing > luck.min()).sum() == 5 and len(seeing) == 8
    blind = pd.concat([own["blind agent", one] for one in ("LLaMA", "blind CLIP")])
    assert blind.min() > 0 and (blind < luck.max()).mean() == pytest.approx(0.5, abs=0.1)


def verdicts(test: str, measure: str, contrast: str) -> dict[str, str]:
    """Model -> what a difference over worlds says."""
    rows = pd.DataFrame(RESULTS["differences"]).query("direction == 'both'")
    rows = rows.query("test == @test and measure == @measure and contrast == @contrast")
    return dict(zip(rows["model"], rows.apply(verdict, axis=1)))


def named(answers: dict[str, str], answer: str) -> set[str]:
    """Single models of which an answer is true."""
    singles = {"LLaMA", "Qwen", "DeepSeek", "BERT", "CLIP", "BLIP", *PUBLIC}
    return {model for model in singles if answers.get(model) == answer}


def test_what_notebook_04_says_of_single_models():
    near = verdicts("same_words", "precision_at_k", "acted - never_acted")
    assert named(near, "more") == {"Qwen"} and named(near, "less") == set()
    assert near["decoders"] == near["mean"] == "more" and near[PUBLIC[0]] == "same"
    nearest = verdicts("same_words", "precision_at_1", "acted - never_acted")
    assert len(named(nearest, "more") - set(PUBLIC)) == 5
    assert named(nearest, "less") == {PUBLIC[1]}


def test_with_whom_notebook_05_says_that_acting_adds_order():
    order = verdicts("synonyms", "order", "acted - never_acted")
    assert named(order, "more") == {"LLaMA", "Qwen", "DeepSeek", "CLIP", "BLIP", PUBLIC[0]}
    assert named(order, "less") == set()


def test_on_whose_sentences_in_synonyms_notebook_09_says_that_an_agent_can_act():
    above = {
        level: named(verdicts("transfer", level, "success - best control"), "more")
        for level in ("PickupLoc", "PutNextLocal")
    }
    assert above["PickupLoc"] == {"CLIP", "BLIP", PUBLIC[1]}
    assert above["PutNextLocal"] == {"DeepSeek", PUBLIC[1]}


def test_clip_that_sees_colours_does_not_reverse_kinds_and_of_blip_it_is_not_settled():
    pairs = {
        model: next(
            row
            for row in RESULTS["differences"]
            if row["model"] == f"seeing {model} ~ design" and row["contrast"] == "own world"
        )
        for model in ("CLIP", "BLIP")
    }
    assert pairs["CLIP"]["low"] > -0.05 and abs(pairs["BLIP"]["mean"]) < 0.1
    assert pairs["BLIP"]["low"] < -0.2 and pairs["BLIP"]["high"] > 0.2


def test_of_the_exclusive_agent_the_kinds_alone_return():
    structure = pd.DataFrame(RESULTS["structure"]).query("condition == 'own world'")
    design = structure[structure["second"] == "design"].groupby("first")["graded"].mean()
    assert design["exclusive agent"] < 0.3 and design["blind agent"] > 0.9


def test_what_the_limits_say_of_models_that_see():
    """They find one picture in twenty, as `MODEL_SCORES` of every world is published."""
    profile = Profile.load(run.DEFAULT)
    load = run.store_of(profile).get
    scores = pd.concat(load(MODEL_SCORES, profile, world=n) for n in profile.world_numbers)
    shares = scores.query("score == 'caption-to-image R@1'").groupby("family")["value"].mean()
    assert list(shares.index) == ["blip", "clip"]
    assert shares.to_numpy() == pytest.approx(1 / 20, abs=0.01)


def test_the_first_screen_is_short_and_complete():
    screen = README.split("## The notebooks")[0]
    # Pictures and addresses are no words.
    parts = re.sub(r"<img[^>]*>|\]\([^)]*\)|[|#*>\[\]()]", " ", screen).split()
    # Not the dashes of lists and tables.
    words = [part for part in parts if any(letter.isalnum() for letter in part)]
    assert len(words) <= 650
    assert len(re.findall(r"−?\.\d\d\b", screen)) <= 15
    for column in ("Acted", "Never acted", "Word count", "Codebook"):
        assert f"**{column}**" in screen
    assert "make paper" in README and "make test" in README


def test_every_file_that_is_linked_is_there():
    texts = [README, *((path.read_text(encoding="utf-8")) for path in (ROOT / "docs").glob("*.md"))]
    links = re.findall(r"\]\((?!http|#)([^)#]+)", README)
    assert len(links) > 15 and len(texts) > 2
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_told_the_other_verb_an_agent_succeeds_as_often_and_told_the_swap_never():
    """In the first world, whose agent is published."""
    profile = Profile.load(run.DEFAULT)
    world = profile.world_numbers[0]
    chosen = agent_parameters(world, "acted")
    policy = run.store_of(profile).get(AGENT, profile, **chosen).policy
    seeds = levels.seeds("evaluation", 64, world)
    for level, pattern, other in (
        ("GoToLocal", "go to", "pick up"),
        ("PickupLoc", "pick up", "go to"),
        ("PutNextLocal", "put (.*) next to (.*)", r"put \2 next to \1"),
    ):

        def exchanged(texts, pattern=pattern, other=other):
            return policy.embed([re.sub(pattern, other, text) for text in texts])

        own, told = (
            evaluation.evaluate(policy, level, seeds, vectors)["success"].mean()
            for vectors in (None, exchanged)
        )
        assert own > 0.9
        assert told == pytest.approx(0 if level == "PutNextLocal" else own, abs=0.05)
