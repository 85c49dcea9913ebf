"""Layers, and many tables of synonyms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from paper_utils import Profile
from paper_utils.data import grammar
from paper_utils.encoders.records import Encoder, Source
from paper_utils.study import appendix


def test_a_maximum_over_layers_is_calibrated_by_the_same_maximum():
    rng = np.random.default_rng(0)
    rows = []
    for layer in range(3):
        for draw, value in enumerate(rng.uniform(0, 0.2, size=20)):
            rows.append((layer, "permuted", draw, value))
        rows.append((layer, "acted", 0, 0.1 + 0.4 * (layer == 1)))
    names = ["layer", "encoder", "draw", "value"]
    table = pd.DataFrame(rows, columns=names).assign(world=0, model="LLaMA", measure="order")
    (best,) = appendix.best_layers(table).to_dict("records")
    null = table[table["encoder"] == "permuted"].groupby("draw")["value"].max()
    assert (best["layer"], best["value"]) == (1, 0.5)
    assert best["p"] == 1 / 21
    assert best["null"] == null.mean()
    assert 0 < best["calibrated"] < 0.5


def test_layers_start_where_something_has_been_read():
    profile = Profile.load("smoke")
    decoder = Encoder(Source.SCRATCH, "llama")
    assert appendix.layers_of(profile, decoder) == [0, 1, 2]
    assert appendix.layers_of(profile, Encoder(Source.SCRATCH, "clip")) == [1, 2]
    assert appendix.layers_of(profile, Encoder(Source.VECTORS, "a file")) == []


def test_a_swapped_table_means_other_colours():
    table = grammar.instructions(["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"])
    words = grammar.swapped_table(3)
    rows = appendix.by_meaning(table["text"].tolist(), words)
    assert sorted(rows) == list(range(len(table)))
    meant = table.iloc[rows].reset_index(drop=True)
    for role in ("verb", "type", "location", "second_type"):
        assert (meant[role] == table[role]).all()
    meanings = grammar.meanings(words) | {"": ""}
    for role in ("colour", "second_colour"):
        assert (meant[role] == table[role].map(meanings)).all()
