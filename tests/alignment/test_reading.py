"""The rules that judge the paper's claims can say yes, no, and "cannot be told"."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from paper_utils.alignment import contrasts, reading, verdicts
from paper_utils.alignment.compare import compare

REFERENCES = ["llama", "qwen", "bert", "clip", "blip", "llama-hub"]
PLAYERS = {
    "trained": ["action-0", "action-1"],
    "untrained": ["action-untrained-0", "action-untrained-1"],
    "shuffled": ["action-shuffled-0", "action-shuffled-1"],
}
WORDS = ["bag_of_words", "tf_idf"]


def world(noise: dict[str, float]) -> dict[str, np.ndarray]:
    """A hidden meaning that references and trained agents know, each with its own noise."""
    random = np.random.default_rng(0)
    meaning, size = random.normal(size=(150, 10)), (150, 10)
    names = [*sum(PLAYERS.values(), []), *REFERENCES, *WORDS]
    return {name: meaning + noise.get(name, 9.0) * random.normal(size=size) for name in names}


def tables(noise: dict[str, float]):
    spaces = world(noise)
    factors = pd.DataFrame({"id": range(150), "template": ["a", "b", "c"] * 50})
    agents = sum(PLAYERS.values(), [])
    pairs = [(one, r) for one in [*agents, *WORDS] for r in REFERENCES]
    pairs += [(b, a) for a, b in combinations(REFERENCES, 2)] + [("action-0", "action-1")]
    options = {"metrics": ["precision_at_k"], "permutations": 1, "bootstrap": 100}
    comparison = compare(spaces, factors, pairs=pairs, k=5, dimension=10, lexical=WORDS, **options)
    scores = contrasts.item_scores(spaces, factors, pairs, k=5, dimension=10, lexical=WORDS)
    paired = contrasts.table(scores, PLAYERS, REFERENCES, WORDS, factors, bootstrap=300)
    # Reading fills in what it does not find with NaN, as for controls that were not asked.
    head = reading.headline(comparison, paired, REFERENCES)
    judged = verdicts.judge(head, paired, reading.ceilings(comparison))
    return head, judged.set_index(["claim", "models"])["verdict"]


KNOWS = {"llama": 0.3, "qwen": 0.3, "blip": 0.3, "llama-hub": 0.3}


@pytest.fixture(scope="module")
def meaningful():
    """Agents know the meaning; CLIP and BERT hardly do; no control does."""
    weak = {"clip": 1.5, "bert": 1.5, "action-0": 0.3, "action-1": 0.3}
    return tables(KNOWS | weak)


@pytest.fixture(scope="module")
def lexical():
    """The same, but a bag of words knows it better than the agents."""
    weak = {"clip": 1.5, "bert": 1.5, "action-0": 0.7, "action-1": 0.7, "bag_of_words": 0.1}
    return tables(KNOWS | weak)


def test_the_papers_claims_are_supported_where_they_hold(meaningful):
    head, verdict = meaningful
    for claim in (
        "action aligns with decoder-only language models",
        "action aligns with BLIP",
        "CLIP aligns less with action",
        "BERT aligns less with action",
    ):
        assert verdict[claim, "from scratch"] == "supported here", claim
    assert verdict["action aligns with decoder-only language models", "public"] == "supported here"
    assert head["gap"].iloc[0] > 0 and head["gap_low"].iloc[0] > 0
    assert (head["low"] <= head["value"] + 1e-9).all()
    assert (head["value"] <= head["high"] + 1e-9).all()


def test_and_not_where_shared_words_explain_them(lexical):
    head, verdict = lexical
    for claim in ("action aligns with decoder-only language models", "action aligns with BLIP"):
        assert verdict[claim, "from scratch"] == "not supported here", claim
    assert (head["gap_high"] < 0).any()
    assert set(head["lexical_name"]) == {"bag_of_words"}


def test_nor_judged_without_the_models(meaningful):
    _, verdict = meaningful
    assert verdict["action aligns with BLIP", "public"] == "not testable here"
    assert verdict["CLIP aligns less with action", "public"] == "not testable here"
    assert verdict["action ~ language approaches language ~ language", "public"] == (
        "not testable here"
    )


def test_seeds_are_averaged_by_kind():
    columns = ["encoder", "factor", "alone", "unique", "total"]
    rows = [("action-0", "verb", 0.2, 0, 0.5), ("action-1", "verb", 0.4, 0, 0.7),
            ("action-untrained-0", "verb", 0.9, 0, 1.0)]  # fmt: skip
    layout = reading.what_lays_out(pd.DataFrame(rows, columns=columns))
    assert layout.loc["agent"].tolist() == pytest.approx([0.3, 0.6])
    assert layout.index.tolist() == ["agent", "agent, untrained"]

    names = ["action-0", "action-1", "action-0@1", "action-1@1", "action-0@16",
             "action-untrained-0", "action-shuffled-0"]  # fmt: skip
    progress = pd.DataFrame(
        {
            "first": names,
            "second": "llama",
            "metric": "rsa",
            "value": [0.5, 0.7, 0.1, 0.3, 0.4, 0, 9],
        }
    )
    line = reading.along_training(progress).set_index("share")
    assert line["value"].to_dict() == pytest.approx({0: 0, 1 / 64: 0.2, 16 / 64: 0.4, 1: 0.6})
    assert line.loc[1, ["least", "most"]].tolist() == [0.5, 0.7]
