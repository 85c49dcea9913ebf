"""A small world of sentences with factors, and encoders that know words, places or concepts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils.alignment import controls

COLOURS = ("blue", "green", "grey", "purple", "red", "yellow")
TYPES = ("ball", "box", "key")
SYNONYMS = {
    "blue": "azure", "green": "emerald", "grey": "ashen", "purple": "violet", "red": "crimson",
    "yellow": "golden", "ball": "sphere", "box": "crate", "key": "opener", "go": "walk",
    "take": "grab", "put": "place",
}  # fmt: skip


def sentences() -> pd.DataFrame:
    """All "go" and "take" sentences, and "put A near B" of some things: 168 rows."""
    rows = [(verb, colour, kind, "", "")
            for verb in ("go", "take") for colour in COLOURS for kind in TYPES]  # fmt: skip
    things = [(colour, kind) for colour in COLOURS[:4] for kind in TYPES]
    rows += [("put", *one, *other) for one in things for other in things if one != other]
    return pd.DataFrame(rows, columns=["verb", "colour", "type", "second_colour", "second_type"])


@pytest.fixture(scope="session")
def factors() -> pd.DataFrame:
    return sentences()


@pytest.fixture(scope="session")
def texts(factors) -> list[str]:
    form = "{verb} the {colour} {type} near the {second_colour} {second_type}"
    said = [form.format(**row).removesuffix(" near the  ") for row in factors.to_dict("records")]
    assert len(set(said)) == len(said) == 168
    return said


@pytest.fixture(scope="session")
def synonym_texts(texts) -> list[str]:
    return [" ".join(SYNONYMS.get(word, word) for word in text.split()) for text in texts]


@pytest.fixture(scope="session")
def bags(texts) -> dict[str, np.ndarray]:
    """Two random token tables that are pooled, and two that know the order of words."""
    return {
        "bag": controls.random_tokens(texts, 1, width=40),
        "other_bag": controls.random_tokens(texts, 2, width=56),
        "ordered": controls.random_tokens_ordered(texts, 3, width=48),
        "other_ordered": controls.random_tokens_ordered(texts, 4, width=64),
    }


def gaussians(rows=60, widths=(10, 14), seed=0, shared=0.0):
    """Two independent normal matrices, the second with a share of an image of the first."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, widths[0]))
    Y = random.normal(size=(rows, widths[1]))
    return X, Y + shared * X @ random.normal(size=widths)
