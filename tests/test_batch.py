"""Many runs at once: on this machine and on a Dask cluster, with runs and workers that fail."""

import json
import shutil

import pandas as pd
import pytest
from commands import ROOT

from paper_utils import batch, run
from paper_utils.__main__ import overrides, seeds
from paper_utils.config import ProfileError


def test_seeds_and_choices():
    assert seeds("0-3") == [0, 1, 2, 3]
    assert seeds("0,2, 5") == [0, 2, 5] and seeds("1-2,2") == [1, 2]
    assert overrides(["cloning.width=64,96"], several=True) == {"cloning.width": [64, 96]}
    read = overrides(["a.b={x: 1, y: 2},[3, 4]"], several=True)
    assert read == {"a.b": [{"x": 1, "y": 2}, [3, 4]]}
    for bad in ("", "x", "3-1", "1-", "-1", "0-99999999"):
        with pytest.raises(ProfileError, match="--seeds"):
            seeds(bad)


def test_every_combination_is_checked_before_one_starts(smallest, tmp_path):
    choices = {"cloning.width": [32, 64], "cloning.epochs": [1, 2]}
    _, plans = batch.check(smallest, [0, 1], choices, str(tmp_path / "out"))
    assert len(plans) == 8 == len({plan.folder for plan in plans})
    with pytest.raises(ProfileError, match="cloning.width"):
        batch.check(smallest, [0], {"cloning.width": [32, 33]}, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_summary_is_means_with_intervals_over_seeds():
    rows = pd.DataFrame({"seed": [0, 1, 2], "value": [0.5, 0.6, 0.7]})
    rows = rows.assign(setting="x", measure="success", of="A", lowest=0)
    (row,) = batch.summarize(rows).itertuples()
    assert (row.mean, row.runs) == (pytest.approx(0.6), 3)
    # Student's t with two degrees of freedom: 4.3027 standard errors
    assert row.high - row.mean == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    few = batch.summarize(rows[:2])
    assert few["low"].isna().all() and (few["least"].item(), few["most"].item()) == (0.5, 0.6)
    wide = batch.summarize(rows.assign(value=[0.0, 0.9, 1.0]))
    assert wide["low"].item() == 0 and wide["high"].item() == 1  # no success beyond 1
    gap = batch.summarize(rows.assign(value=[-0.9, 0.0, 0.9], lowest=-1))
    assert gap["low"].item() == -1


def test_rows_of_a_run_hold_all_that_batches_compare(tmp_path):
    plan = run.Plan.check("release", out=str(tmp_path / "run"))
    plan.folder.mkdir()
    shutil.copy(ROOT / "figures" / "results.json", plan.folder)
    rows, verdicts = batch._rows(plan)
    results = json.loads((plan.folder / "results.json").read_text())
    assert list(verdicts["verdict"]) == [row["verdict"] for row in results["verdicts"]]
    counts = rows["measure"].value_counts()
    assert counts["success"] == 4
    assert counts["precision@k"] == counts["gap to the best control"] == len(results["alignment"])
    assert counts["colour in second names"] == len(results["alignment"])  # trained references
    moved = [row for row in results["transfer"]
             if (row["names"], row["level"]) == ("second", "PickupLoc")]  # fmt: skip
    assert counts["success of transfer"] == len(moved) > 10
    assert rows["value"].between(rows["lowest"], 1).all() and (rows["setting"] == "as it is").all()


def test_a_batch_gathers_what_its_runs_found(tmp_path, monkeypatch):
    """Runs that are told what they find: three that do, and one that fails."""
    found = json.loads((ROOT / "figures" / "results.json").read_text())

    def process(plan):
        folder = plan.folder
        if folder.name == "seed3":
            return "the disk is full"
        folder.mkdir(parents=True)
        for row in found["success"]:
            row["success"] = 0.9 + 0.03 * int(folder.name[-1])
        (folder / "results.json").write_text(json.dumps(found))
        return ""

    monkeypatch.setattr(batch, "_process", process)
    said, out = [], tmp_path / "out"
    given = {"compute.workers": 1, "compute.progress": "off"}
    planned = batch.check("smoke", [0, 1, 2, 3], {}, str(out), given)
    table, failures = batch.run(*planned, say=lambda line, **_: said.append(line))
    assert failures == [f"{out / 'plain' / 'seed3'}: the disk is full"]
    assert (out / "failures.txt").read_text() == f"{failures[0]}\n"
    pd.testing.assert_frame_equal(pd.read_csv(out / "summary.csv"), table)
    assert (table["runs"] == 3).all() and table["low"].notna().all()
    success = table[table["measure"] == "success"]
    assert success["mean"].tolist() == pytest.approx([0.93] * 4) and (success["high"] == 1).all()
    verdicts = pd.read_csv(out / "verdicts.csv")
    assert len(verdicts) == len(found["verdicts"]) == len(said) - 1
    assert verdicts["verdict"].str.endswith(" in 3 of 3 runs").all()
    assert said[1] == f"{verdicts['claim'][0]} (as it is): {verdicts['verdict'][0]}"
    assert (out / "summary.pdf").is_file() and len(pd.read_csv(out / "runs.csv")) == 3 * len(table)


def test_verdicts_are_counted_over_runs():
    said = ["supported", "no power here", "supported", "supported"]
    gate = ["supported", "supported", "supported", ""]  # the last has no layer to choose
    rows = pd.DataFrame({"claim": ["a", "a", "a", "b"], "verdict": said,
                         "verdict_gate_layer": gate, "setting": "x"})  # fmt: skip
    assert batch.count(rows).to_dict("records") == [
        {"claim": "a", "setting": "x", "verdict": "supported in 2 of 3 runs, "
                                                  "no power here in 1 of 3 runs",
         "verdict_gate_layer": "supported in 3 of 3 runs"},
        {"claim": "b", "setting": "x", "verdict": "supported in 1 of 1 runs",
         "verdict_gate_layer": ""},
    ]  # fmt: skip
