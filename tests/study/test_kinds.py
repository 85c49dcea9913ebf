"""Structure in the world of kinds, on learners whose colours were placed by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paper_utils import Profile
from paper_utils.data import kinds as world_of_kinds
from paper_utils.data.corpus import Documents
from paper_utils.study import columns, kinds

WORLD = 900


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile.load("smoke", {"kinds.encoders.families": ["llama"]}).of_kinds()


def learned(table: pd.DataFrame, design: pd.DataFrame, sign: float, rng) -> np.ndarray:
    """Vectors (N, 24) whose colours lie as the design's do, or (sign -1) the other way round."""
    centred = design.to_numpy() - design.to_numpy().mean(axis=0)
    distances = 1 - np.corrcoef(design)
    if sign < 0:
        distances = distances.max() - distances
        np.fill_diagonal(distances, 0)
    products = -0.5 * distances
    products -= products.mean(axis=0)
    products -= products.mean(axis=1, keepdims=True)
    values, axes = np.linalg.eigh(products)
    places = axes * np.sqrt(np.clip(values, 0, None))
    vectors = pd.DataFrame(places, index=design.index) @ rng.normal(size=(len(centred), 24))
    words = rng.normal(size=(table["verb"].nunique(), 24))
    verbs = pd.factorize(table["verb"])[0]
    coloured = vectors.reindex(table["colour"]).fillna(0).to_numpy()
    return coloured + words[verbs] + rng.normal(scale=0.02, size=(len(table), 24))


@pytest.fixture(scope="module")
def made(profile, tmp_path_factory) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("structure")
    rng = np.random.default_rng(0)
    table = columns.instructions(profile, "kinds")
    spaces = []
    for condition, name in kinds.everyone(profile, WORLD, WORLD + 1):
        design = world_of_kinds.design(WORLD + (condition == kinds.OTHER))
        if condition in (kinds.FLAT, "never_acted"):
            design = pd.DataFrame(rng.normal(size=design.shape), index=design.index)
        sign = -1.0 if name == "seeing agent" else 1.0
        spaces.append(pd.DataFrame(learned(table, design, sign, rng)))
    stories = []
    for colour, shares in world_of_kinds.design(WORLD).iterrows():
        for kind, share in shares.items():
            stories += [f"There is a {colour} {kind}."] * round(100 * share)
    documents = Documents(train=stories, validation=[])
    kinds.STRUCTURE.make(profile, folder, documents, *spaces, world=WORLD, other=WORLD + 1)
    return kinds.STRUCTURE.load(folder)


def r_of(made: dict, first: str, second: str, condition: str = kinds.OWN) -> float:
    rows = made["structure"]
    chosen = (rows["first"] == first) & (rows["second"] == second)
    return rows[chosen & (rows["condition"] == condition)]["r"].mean()


def test_who_learned_the_kinds_agrees_and_who_turned_them_round_disagrees(made):
    assert r_of(made, "blind agent", "LLaMA") > 0.9
    assert r_of(made, "exclusive agent", "design") > 0.8
    assert r_of(made, "seeing agent", "design") < -0.5
    assert r_of(made, "seeing agent", "LLaMA") < -0.5
    for control in (kinds.OTHER, "codebook", "never_acted", "edit_distance"):
        assert abs(r_of(made, "blind agent", "LLaMA", control)) < 0.7


def test_r_is_that_of_the_published_distances(made):
    distances = made["distances"]
    own = distances[distances["condition"] == kinds.OWN]
    squares = {
        name: part.pivot(index="colour", columns="other", values="distance").to_numpy()
        for name, part in own.groupby("learner")
    }
    upper = np.triu_indices(6, 1)
    r = np.corrcoef(squares["blind agent"][upper], squares["LLaMA"][upper])[0, 1]
    assert r_of(made, "blind agent", "LLaMA") == pytest.approx(r, abs=1e-4)


def test_each_pair_has_its_controls(made):
    rows = made["structure"]
    controlled = rows[~rows["condition"].isin([kinds.OWN, kinds.FLAT])]
    draws = controlled.groupby("condition")["draw"].nunique().to_dict()
    assert draws == {kinds.OTHER: 1, "never_acted": 5, "codebook": 2, "edit_distance": 1}
    # Nobody learns in exclusive rooms of the other world.
    learned = controlled[controlled["condition"] == kinds.OTHER]
    assert not learned["first"].str.contains("exclusive|design").any()
    for control in (kinds.OTHER, "codebook", "never_acted"):
        assert r_of(made, "seeing agent", "LLaMA", control) > -0.5


def test_counting_neighbours_of_words_finds_the_design(made):
    assert r_of(made, "design", "bigram counter") > 0.99


def test_each_world_is_the_control_of_the_one_before():
    worlds = kinds.worlds_of(SimpleNamespace(world_numbers=[4, 5, 6]))
    assert [(one["world"], one["other"]) for one in worlds] == [(4, 5), (5, 6), (6, 4)]
    assert kinds.worlds_of(SimpleNamespace(world_numbers=[4])) == [{"world": 4, "other": None}]
