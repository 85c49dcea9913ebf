"""A small world of instructions with its factors, and embeddings built from its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils import parallel

COLOURS = ("blue", "green", "grey", "purple", "red", "yellow")
TYPES = ("ball", "box", "key")


def sentences() -> pd.DataFrame:
    """All "go to", "pick up" and a part of "put next to" of a BabyAI-like grammar."""
    rows = []
    for colour in COLOURS:
        for kind in (*TYPES, "door"):
            rows.append(("go to", "go to", colour, kind, "", ""))
            rows.append(
                ("open", "open", colour, kind, "", "")
                if kind == "door"
                else ("pick up", "pick up", colour, kind, "", "")
            )
    things = [(colour, kind) for colour in COLOURS[:4] for kind in TYPES]
    for first in things:
        for second in things:
            if first != second:
                rows.append(("put next to", "put", *first, *second))
    columns = ["template", "verb", "colour", "type", "second_colour", "second_type"]
    table = pd.DataFrame(rows, columns=columns)
    table["location"], table["article"], table["id"] = "", "the", np.arange(len(table)) + 100
    parts = table[["verb", "colour", "type", "second_colour", "second_type"]]
    words = [" ".join(filter(None, row)) for row in parts.itertuples(index=False)]
    table["text"], table["words"] = words, [len(text.split()) for text in words]
    return table


def pooled(table: pd.DataFrame, width: int, seed: int, ordered: bool = False) -> np.ndarray:
    """Mean of random word vectors; ``ordered`` gives each role its own random gate."""
    random = np.random.default_rng(seed)
    vectors: dict[str, np.ndarray] = {}
    gates = random.normal(size=(8, width)) if ordered else np.ones((8, width))
    rows = []
    for text in table["text"]:
        parts = []
        for place, word in enumerate(text.split()):
            if word not in vectors:
                vectors[word] = random.normal(size=width)
            parts.append(vectors[word] * gates[place])
        rows.append(np.mean(parts, axis=0))
    return np.array(rows)


@pytest.fixture(scope="module", autouse=True)
def one_core():
    """Two tests run side by side already; what is asked of more workers by number has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session")
def factors() -> pd.DataFrame:
    return sentences()


@pytest.fixture(scope="session")
def bags(factors) -> dict[str, np.ndarray]:
    """Two independent random token tables, bag-pooled, and two that know the order of words."""
    return {
        "bag": pooled(factors, 40, 1),
        "other_bag": pooled(factors, 56, 2),
        "ordered": pooled(factors, 48, 3, ordered=True),
        "other_ordered": pooled(factors, 64, 4, ordered=True),
    }
