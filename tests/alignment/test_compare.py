"""The one call: its columns, its refusals, and the same numbers as the functions it replaces."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils import alignment
from paper_utils.alignment import inference, retrieval
from paper_utils.alignment.compare import RELATIONS
from paper_utils.config import Compute

FAST = {"permutations": 9}


@pytest.fixture(scope="module")
def world(bags, factors):
    random = np.random.default_rng(0)
    noisy = bags["ordered"] @ random.normal(size=(48, 30)) + random.normal(size=(len(factors), 30))
    noise = random.normal(size=(len(factors), 12))
    world = {**bags, "agent": noisy, "noise": noise}
    return {
        name: X - X.mean(axis=0) for name, X in world.items()
    }  # as metrics without a map see it


@pytest.fixture(scope="module")
def frame(world, factors):
    return alignment.compare(
        world, factors, splits=("in_sample", "random", "verb"), lexical=("bag", "other_bag"), **FAST
    )


def pick(frame, first, second, metric, split="random", direction="forward"):
    symmetric = metric in RELATIONS
    split, direction = ("all", "symmetric") if symmetric else (split, direction)
    rows = frame.query(
        "first == @first and second == @second and metric == @metric"
        " and split == @split and direction == @direction"
    )
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_row_per_pair_metric_split_and_direction(frame):
    keys = ["first", "second", "metric", "split", "direction"]
    assert not frame.duplicated(keys).any()
    assert len(frame) == 15 * (2 * 3 * 2 + 3)
    columns = "value null_mean p N k chance"
    assert {*columns.split()} <= set(frame)
    assert frame["p"].between(0.1, 1).all()


def test_values_are_those_of_the_functions(frame, world, factors):
    X, Y = world["ordered"], world["agent"]
    for split in ("in_sample", "random", "verb"):
        for direction in ("forward", "backward"):
            options = {"split": split, "direction": direction, "factors": factors}
            for metric, value in (
                ("precision_at_k", alignment.precision_at_k(X, Y, **options)),
                ("precision_at_1", alignment.precision_at_k(X, Y, 1, **options)),
            ):  # fmt: skip
                row = pick(frame, "ordered", "agent", metric, split, direction)
                assert row["value"] == pytest.approx(value, abs=1e-12)
    for metric, value in (
        ("mutual_knn", alignment.mutual_knn(X, Y)),
        ("linear_cka", alignment.linear_cka(X, Y)),
        ("rsa", alignment.rsa(X, Y)),
    ):
        assert pick(frame, "ordered", "agent", metric)["value"] == pytest.approx(value, abs=1e-9)


def test_nulls_are_those_of_a_plain_loop(world, factors):
    X, Y = world["agent"], world["other_ordered"]
    for name in ("random", "in_sample"):
        frame = alignment.compare({"x": X, "y": Y}, factors, splits=[name], permutations=4)
        split = retrieval.make_split(name, len(X))
        inside = inference.permutations(len(X), 4, 0, split.blocks)
        free = inference.permutations(len(X), 4, 0)
        for row in frame.itertuples():
            if row.metric in RELATIONS:
                loop = [getattr(alignment, row.metric)(X, Y[draw]) for draw in free]
            else:
                way = {"split": split, "direction": row.direction}
                way["k"] = 15 if row.metric == "precision_at_k" else 1
                loop = [alignment.precision_at_k(X, Y[draw], **way) for draw in inside]
            assert row.null_mean == pytest.approx(np.mean(loop), abs=1e-9)
            assert row.p == inference.p_value(row.value, np.array(loop))


def test_the_facts_that_a_bare_number_hides(frame):
    noise = [pick(frame, "ordered", "noise", "precision_at_k", s) for s in ("in_sample", "random")]
    assert noise[0]["value"] > 2 * noise[1]["value"]
    bags = pick(frame, "bag", "other_bag", "precision_at_k")
    assert bags["value"] > 0.95 and bags["null_mean"] < 0.3  # a row permutation is a straw man


def test_chosen_pairs_score_as_among_all(world, factors, frame):
    few = alignment.compare(
        world, factors, pairs=[("ordered", "agent")], metrics=["precision_at_k", "rsa"], **FAST
    )
    assert len(few) == 3
    for _, row in few.iterrows():
        same = pick(frame, "ordered", "agent", row["metric"], direction=row["direction"])
        columns = ["value", "null_mean", "p"]
        np.testing.assert_allclose(row[columns].astype(float), same[columns].astype(float))


def test_results_do_not_depend_on_the_run_or_its_workers(world, factors):
    some = {name: world[name] for name in ("bag", "ordered", "agent")}
    options = {**FAST, "lexical": ("bag",), "permutations": 60}
    here = alignment.compare(some, factors, compute=Compute(workers=1), **options)
    pd.testing.assert_frame_equal(here, alignment.compare(some, factors, **options))
    there = alignment.compare(some, factors, compute=Compute(workers=2), **options)
    pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_ids_are_checked(world, factors):
    ids = factors["id"].to_numpy()
    tables = {"a": pd.DataFrame(world["bag"], index=ids), "b": world["agent"]}
    metrics = {"metrics": ["linear_cka"], **FAST}
    good = alignment.compare(tables, factors, **metrics)
    assert good["value"].iloc[0] == pytest.approx(
        alignment.linear_cka(world["bag"], world["agent"])
    )
    for bad in (ids[::-1], ids + 1):
        other = {**tables, "a": pd.DataFrame(world["bag"], index=bad)}
        with pytest.raises(ValueError, match="a is misordered: its ids differ from factors.id"):
            alignment.compare(other, factors, **metrics)
    with pytest.raises(ValueError, match="no column 'id'"):
        alignment.compare(tables, factors.drop(columns="id"), **metrics)
    with pytest.raises(ValueError, match="duplicated ids"):
        alignment.compare(tables, factors.assign(id=1), **metrics)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 168 * 2}, "too few for k"),
        ({"k": 0}, "at least 1"),
        ({"metrics": ["rho"]}, "unknown metric 'rho'"),
        ({"splits": ["letters"]}, "unknown split"),
        ({"pairs": [("bag", "nobody")]}, "unknown embedding 'nobody'"),
        ({"lexical": ("nothing",)}, "unknown embedding 'nothing'"),
        ({"pairs": []}, "nothing to compare"),
        ({"permutations": -1}, "permutations must not be negative"),
    ],
)  # fmt: skip
def test_refused_arguments(world, factors, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        alignment.compare(world, factors, **{**FAST, **change})
    assert "\n" not in str(caught.value)


def test_refused_embeddings(world, factors):
    with pytest.raises(ValueError, match="agent has NaN"):
        alignment.compare({**world, "agent": world["agent"] * np.nan}, factors, **FAST)
    with pytest.raises(ValueError, match="agent has 10 rows, but"):
        alignment.compare({**world, "agent": world["agent"][:10]}, factors, **FAST)
    with pytest.raises(ValueError, match="at least two"):
        alignment.compare({"agent": world["agent"]}, factors, **FAST)
    few = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), len(factors) // 3, axis=0)
    tables = {"few": few, "agent": world["agent"][: len(few)]}
    rows = factors.head(len(few))
    with pytest.raises(ValueError, match="few has .* rows equal to an earlier row"):
        alignment.compare(tables, rows, **FAST)
    allowed = alignment.compare(tables, rows, lexical=("few",), metrics=["rsa"], **FAST)
    assert len(allowed) == 1  # a control may be as coarse as it likes
