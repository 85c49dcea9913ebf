"""Worlds whose truth is planted, so that it is known what tables and sentences have to say."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pandas as pd

from paper_utils.alignment import ContrastSets
from paper_utils.study import kinds, scores, transfer
from paper_utils.study.columns import ROLES

DECODERS = ["LLaMA", "Qwen", "DeepSeek"]
COLOURS = ("blue", "green", "grey", "purple", "red", "yellow")


def small_table() -> pd.DataFrame:
    """Seventy-eight sentences: six colours of two types, gone to, picked up, or put together."""
    things = list(product(COLOURS, ("ball", "box")))
    rows = [("go to", *thing, "", "") for thing in things]
    rows += [("pick up", *thing, "", "") for thing in things]
    for first, second in permutations([*things[:4], *things[6:10]], 2):
        rows.append(("put", *first, *second))
    names = ["verb", "colour", "type", "second_colour", "second_type"]
    return pd.DataFrame(rows, columns=names).assign(location="", second_location="")


def coded(table: pd.DataFrame, rng: np.random.Generator, bound: bool, noise: float = 0.0):
    """Vectors (N, 48): a random one for each word, in each role if ``bound``, added up."""
    vectors = rng.normal(scale=noise, size=(len(table), 48)) if noise else 0.0
    known = {}
    for role in ROLES:
        for word in sorted(set(table[role]) - {""}):
            key = (role if bound else role.removeprefix("second_"), word)
            known.setdefault(key, rng.normal(size=48))
            vectors = vectors + np.outer(table[role] == word, known[key])
    return vectors


def world_of_scores(world: int, models=("LLaMA", "Qwen", "CLIP"), stranger="BERT") -> pd.DataFrame:
    """Scores of a world: the acting agent binds words to roles, as models do; others do not."""
    table = small_table()
    rng = np.random.default_rng(world)
    asked = {"contrasts": ContrastSets(table[ROLES], 5, n_permutations=0), "cv": 4}
    asked |= {"n_components": 16, "random_state": world}
    acted = coded(table, rng, bound=True)
    never = coded(table, rng, bound=False)
    everyone = {
        ("acted", 0): acted,
        ("never_acted", 0): never,
        ("exchanged", 0): rng.normal(size=never.shape),
        **{("codebook", draw): coded(table, rng, bound=True) for draw in range(2)},
        **{("random_tokens", draw): rng.normal(size=never.shape) for draw in range(2)},
    }
    readings = []
    for name in models:
        X = coded(table, rng, bound=True)
        second = X + rng.normal(scale=0.2, size=X.shape)
        readings.append(({"model": name, "model_kind": "scratch"}, X, second))
    X = coded(table, rng, bound=True)
    facts = {"model": stranger, "model_kind": "scratch"}
    readings.append((facts, X, rng.normal(size=X.shape)))
    readings.append(({"model": "a file", "model_kind": "file"}, X, None))
    found = scores.agreement(readings, everyone, asked)
    return found.assign(world=world)


def other_tables(worlds, own: dict[str, float], structure: dict[str, float]) -> dict:
    """The tables beside scores, with small differences between worlds."""
    found: dict[str, list] = {}

    def add(name: str, **row) -> None:
        found.setdefault(name, []).append(row)

    for world in worlds:
        wiggle = 0.001 * (world % 3)
        for model, value in own.items():
            facts = {"world": world, "model": model, "model_kind": "scratch"}
            add("knows_synonyms", **facts, measure="colour", value=value, chance=1 / 6)
            for part, (encoder, cka) in product(
                ("all", "put"), {"never_acted": 0.77, "acted": 0.11, "exchanged": 0.3}.items()
            ):
                add("geometry", **facts, part=part, encoder=encoder, value=cka + wiggle)
        for test, (one, other) in product(("same_words", "models"), combinations(own, 2)):
            row = {"world": world, "test": test, "model": one, "encoder": other}
            row |= {"measure": "precision_at_k", "direction": "both", "chance": 0.03}
            add("pairs", **row, value=0.4 + wiggle, model_kind="scratch")
        for encoder, cosine in {"acted": 0.99, "never_acted": 0.77, "LLaMA": 0.1}.items():
            add("verbs", world=world, encoder=encoder, value=cosine - wiggle)
        for draw in range(3):
            null = {"family": "llama", "untrained": draw, "encoder": "acted", "direction": "both"}
            add("order_null", world=world, **null, value=0.5 + 0.02 * draw)
        for level, (source, success) in product(
            ("PickupLoc", "PutNextLocal"),
            {"own": 1.0, "codebook": 0.9, "random moves": 0.1, "word_count": 0.2, "CLIP": 0.6,
             "BERT": 0.19}.items(),
        ):  # fmt: skip
            row = {"world": world, "source": source, "level": level, "episodes": 16}
            row["kind"] = transfer.KINDS.get(source, "model")
            add("transfer", **row, said=transfer.SYNONYMS, success=success + wiggle)
            if row["kind"] == "model":
                add("transfer", **row, said=transfer.FIRST, success=0.95 + wiggle)
        for level in ("GoToLocal", "PickupLoc"):
            row = {"world": world, "player": "acted", "level": level}
            add("success", **row, success=0.98 + wiggle)
        for pair, r in structure.items():
            first, second = pair.split(" ~ ")
            row = {"world": world, "first": first, "second": second, "p": 0.01}
            add("structure", **row, condition=kinds.OWN, draw=0, r=r + wiggle)
            for draw in range(2):
                row["draw"] = draw
                add("structure", **row, condition="codebook", r=0.1 * (-1) ** draw)
                add("structure", **row, condition=kinds.OTHER, r=0.1 - wiggle)
    return {name: pd.DataFrame(rows) for name, rows in found.items()}


OWN = {"LLaMA": 0.8, "Qwen": 0.7, "CLIP": 0.9, "BERT": 0.06}
STRUCTURE = {
    "exclusive agent ~ design": 0.9,
    "seeing agent ~ design": -0.5,
    "seeing agent ~ LLaMA": -0.6,
    "seeing agent ~ blind CLIP": -0.4,
    "blind agent ~ LLaMA": 0.9,
    "blind agent ~ blind CLIP": 0.85,
}
