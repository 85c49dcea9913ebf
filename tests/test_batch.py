"""Many runs at once, with some that fail."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from paper_utils import batch, pipeline
from paper_utils.__main__ import overrides, seeds
from paper_utils.config import ProfileError
from paper_utils.run import UsageError


def test_seeds_and_choices():
    assert seeds("0-3") == [0, 1, 2, 3]
    assert seeds("0,2, 5") == [0, 2, 5]
    assert overrides(["cloning.width=64,96"], several=True) == {"cloning.width": [64, 96]}
    read = overrides(["a.b={x: 1, y: 2},[3, 4]"], several=True)
    assert read == {"a.b": [{"x": 1, "y": 2}, [3, 4]]}
    for bad in ("", "x", "-1"):
        with pytest.raises(ValueError):
            seeds(bad)


def test_every_combination_is_checked_before_one_starts(smallest, tmp_path):
    choices = {"cloning.width": [32, 64], "cloning.epochs": [1, 2]}
    _, jobs = batch.check(smallest, [0, 1], choices, str(tmp_path / "out"))
    assert len(jobs) == 8 == len({job.folder for job in jobs})
    with pytest.raises(ProfileError, match="cloning.width"):
        batch.check(smallest, [0], {"cloning.width": [32, 33]}, str(tmp_path / "out"))
    with pytest.raises(UsageError, match="nothing to run"):
        batch.check(smallest, seeds("3-1"), choices, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_summary_is_means_with_intervals_over_seeds():
    rows = pd.DataFrame({"seed": [0, 1, 2], "mean": [0.5, 0.6, 0.7]})
    rows = rows.assign(setting="x", test="synonyms", measure="order", contrast="acted")
    (row,) = batch.over_runs(rows).itertuples()
    assert (row.mean, row.runs) == (pytest.approx(0.6), 3)
    # Student's t with two degrees of freedom: 4.3027 standard errors
    assert row.high - row.mean == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    one = batch.over_runs(rows[:1])
    assert one["low"].isna().all() and one["mean"].item() == 0.5


def test_a_batch_gathers_what_its_runs_found(tmp_path, monkeypatch, capsys):
    """Runs that are told what they find: three that do, and one that fails."""
    row = {"test": "synonyms", "measure": "order", "model": "mean", "contrast": "acted - exchanged"}

    def run(job):
        if job.profile.seed == 3:
            raise OSError("the disk is full")
        job.folder.mkdir(parents=True)
        found = row | {"mean": 0.3 + 0.1 * job.profile.seed}
        results = {"differences": [found, found | {"model": "LLaMA"}]}
        (job.folder / "results.json").write_text(json.dumps(results))
        return job.folder

    monkeypatch.setattr(pipeline, "run", run)
    out = tmp_path / "out"
    given = {"compute.workers": [1], "compute.progress": ["off"]}
    table, failed = batch.run(*batch.check("smoke", [0, 1, 2, 3], given, str(out)))
    said = capsys.readouterr().err
    assert failed == 1 and said == f"failed: {out / '003-seed3'}: the disk is full\n"
    pd.testing.assert_frame_equal(pd.read_csv(out / "summary.csv"), table)
    (one,) = table.itertuples()
    assert one.runs == 3 and one.mean == pytest.approx(0.4) and one.low < 0.4 < one.high
    assert len(pd.read_csv(out / "runs.csv")) == 3
