"""Maps into an agent's space, and what is compared in transfer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_utils.study import transfer


def test_a_map_carries_synonyms_that_lie_where_first_names_do():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 10))
    target = X @ rng.normal(size=(10, 6)) + 3
    images = transfer.mapped(X, X, target)
    assert np.corrcoef(images.ravel(), target.ravel())[0, 1] > 0.99
    strangers = transfer.mapped(X, rng.normal(size=X.shape), target)
    assert abs(np.corrcoef(strangers[:, 0], target[:, 0])[0, 1]) < 0.3


def test_a_row_is_mapped_without_itself():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 5))
    target = X @ rng.normal(size=(5, 3))
    changed = target.copy()
    changed[7] += 1000
    before, after = (transfer.mapped(X, X, part)[7] for part in (target, changed))
    assert before == pytest.approx(after)


def test_a_wrong_instruction_is_another_one_of_its_template():
    template = pd.Series(list("aaabbbbc"))
    wrong = transfer.exchanged(template, world=3)
    assert sorted(wrong) == list(range(8))
    assert (template[wrong].to_numpy() == template).all()
    assert (wrong != np.arange(8)).tolist() == [True] * 7 + [False]


def test_success_is_counted_by_source_and_level():
    played = pd.DataFrame({"level": ["a", "a", "b"], "success": [True, False, True]})
    played["said"] = transfer.SYNONYMS
    each = [(0, "own"), (0, "LLaMA"), (1, "own")]
    table = transfer.success(
        pd.concat([played.assign(world=world, source=name) for world, name in each])
    )
    assert table["kind"].tolist() == ["ceiling"] * 2 + ["model"] * 2 + ["ceiling"] * 2
    assert table["success"].tolist() == [0.5, 1.0] * 3
    assert table["episodes"].tolist() == [2, 1] * 3
