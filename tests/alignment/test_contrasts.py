"""Contrast sets of any table of factors against brute force; exact nulls are uniform."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from paper_utils.alignment import ContrastSets
from paper_utils.alignment.contrasts import factor_table, forced_choices


def differing(table: pd.DataFrame, one: int, other: int) -> list[str]:
    return [name for name in table if table[name][one] != table[name][other]]


def brute_choices(table: pd.DataFrame, column: str) -> set[frozenset[int]]:
    """Largest sets of rows that differ in ``column`` alone, where it cannot be empty."""
    sets = set()
    for one in range(len(table)):
        alike = [row for row in range(len(table)) if differing(table, one, row) in ([], [column])]
        levels = table[column][alike]
        if (levels != "").all() and levels.is_unique:
            sets.add(frozenset(alike))
    most = max(map(len, sets), default=0)
    return {found for found in sets if len(found) == most > 1}


@pytest.mark.parametrize("seed", range(4))
def test_forced_choices_of_random_tables(seed):
    random = np.random.default_rng(seed)
    levels = {"size": ["", "big", "small"], "animal": list("cdef"), "second_animal": ["", "c", "d"]}
    table = pd.DataFrame({name: random.choice(of, 40) for name, of in levels.items()})
    table = table.drop_duplicates().reset_index(drop=True)
    for column in table:
        found = forced_choices(table, [column])
        rows = [frozenset(row) for _, sets in found for row in sets.tolist()]
        assert len(rows) == len(set(rows)) and set(rows) == brute_choices(table, column)
        for names, sets in found:
            assert (table[column].to_numpy()[sets] == names).all()


def test_factors_of_any_names_and_what_is_no_factor(factors):
    renamed = factors.rename(
        columns=lambda name: name.replace("colour", "hue").replace("type", "kind")
    )
    whole = renamed.assign(id=range(168), text=[f"s{n}" for n in range(168)], place="", none=np.nan)
    assert list(factor_table(whole)) == list(renamed)
    sets = ContrastSets(whole, k=5, n_permutations=3)
    assert sets.measures == ["precision_at_1", "precision_at_k", "verb", "hue", "kind", "order"]
    plain = ContrastSets(factors, k=5, n_permutations=3)
    for name, old in (("hue", "colour"), ("kind", "type"), ("verb", "verb")):
        for (names, rows), (other, others) in zip(
            sets.choices[name], plain.choices[old], strict=True
        ):
            assert names == other
            np.testing.assert_array_equal(rows, others)
    assert ContrastSets(pd.DataFrame(index=range(30)), k=5).measures == [
        "precision_at_1",
        "precision_at_k",
    ]
    with pytest.raises(ValueError, match="k must be an integer from 1 to N - 1 = 8, not 15"):
        ContrastSets(pd.DataFrame(index=range(9)))


def test_twins_swap_two_things_and_share_a_group(factors):
    sets = ContrastSets(factors, n_permutations=0)
    twin = sets.swaps.twin
    assert (twin >= 0).sum() == 132  # every "put A near B": no thing is put near itself
    first, second = factors.iloc[sets.swaps.asked], factors.iloc[twin[sets.swaps.asked]]
    for column in ("colour", "type"):
        np.testing.assert_array_equal(first[column], second[f"second_{column}"])
        np.testing.assert_array_equal(first[f"second_{column}"], second[column])
    assert len(np.unique(sets.groups)) == 168 - 66
    assert (sets.groups[sets.swaps.asked] == sets.groups[twin[sets.swaps.asked]]).all()


def test_renamings_keep_twins_and_touch_what_is_renamed_only(factors):
    swaps = ContrastSets(factors, n_permutations=30).swaps
    every = ContrastSets(factors, n_permutations=400).swaps.partners
    assert len(np.unique(every, axis=0)) == len(every) == 24 * 6  # of four colours, three types
    partners = swaps.partners
    assert partners.shape == (31, 132) and (partners[0] == swaps.asked).all()
    position = {row: place for place, row in enumerate(swaps.asked)}
    for draw in partners[1:]:
        assert (np.sort(draw) == swaps.asked).all()
        turned = [draw[position[row]] for row in swaps.twin[swaps.asked]]
        np.testing.assert_array_equal(swaps.twin[draw], turned)
        colours = {*zip(factors["colour"][swaps.asked], factors["colour"][draw])}
        assert len(colours) == 4  # one name for each


def test_without_all_renamed_rows_order_has_no_null(factors):
    some = factors.drop(factors.index[40]).reset_index(drop=True)
    sets = ContrastSets(some, n_permutations=30)
    assert sets.swaps.partners.shape == (1, 130)
    cosines = np.random.default_rng(0).normal(size=(1, 167, 167))
    assert sets.scores([cosines], ["order"])["order"].shape == (1, 1)


def test_choices_and_order_of_random_cosines_by_hand(factors):
    sets = ContrastSets(factors, k=7, n_permutations=4)
    table = np.random.default_rng(0).normal(size=(168, 168))
    scores = sets.scores([table[None]])
    right = []
    for column in ("type", "second_type"):  # three stand in both roles, colours six and four
        for _, rows in forced_choices(factor_table(factors), [column]):
            right += [table[row, row] == table[row, group].max() for group in rows for row in group]
    assert scores["type"][0, 0] == pytest.approx(np.mean(right))
    assert sets.chance["type"] == pytest.approx(1 / 3)
    assert sets.chance["colour"] == pytest.approx(1 / 6)
    asked = sets.swaps.asked
    nearer = table[asked, asked] > table[asked, sets.swaps.twin[asked]]
    assert scores["order"][0, 0] == pytest.approx(nearer.mean())
    for name, k in (("precision_at_1", 1), ("precision_at_k", 7)):
        for pairing, value in zip(sets.pairings, scores[name][0], strict=True):
            own = table[np.arange(168), pairing]
            assert value == pytest.approx(np.mean((table > own[:, None]).sum(axis=1) < k))


def test_the_exact_null_of_a_choice_renames_all_levels():
    table = pd.DataFrame({"colour": list("abcd") * 6, "type": np.repeat(list("uvwxyz"), 4)})
    sets = ContrastSets(table, k=3)
    cosines = np.random.default_rng(1).normal(size=(1, 24, 24))
    values = sets.scores([cosines], ["colour"])["colour"][0]
    assert len(values) == 24
    for names, value in zip(permutations(range(4)), values, strict=True):
        right = [cosines[0, 4 * group + level, 4 * group : 4 * group + 4].argmax() == names[level]
                 for group in range(6) for level in range(4)]  # fmt: skip
        assert value == pytest.approx(np.mean(right))


def test_nulls_are_uniform_where_there_is_nothing(factors):
    sets = ContrastSets(factors, k=7, n_permutations=19)
    found = {name: [] for name in ("colour", "order", "precision_at_k")}
    for seed in range(150):
        table = np.random.default_rng(seed).normal(size=(1, 168, 168))
        for name, draws in sets.scores([table], found).items():
            value, *null = draws[0]
            found[name].append((1 + np.sum(null >= value - 1e-12)) / (1 + len(null)))
    for name, p in found.items():
        for level in (0.1, 0.25, 0.5):
            spread = np.sqrt(level * (1 - level) / 150)
            assert np.mean(np.array(p) <= level) <= level + 3 * spread, name
