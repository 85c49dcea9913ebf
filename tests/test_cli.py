"""The command line and the pipeline, on one real smoke run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from commands import ROOT, command

from paper_utils import pipeline


def test_help_is_worth_reading(tmp_path):
    done = command("paper_utils", "--help", store=tmp_path)
    assert done.returncode == 0
    assert "exit codes: 0 done" in done.stdout and "--set cloning.width=96" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "--profile", "lptop"], "unknown profile 'lptop': did you mean 'laptop'?"),
        (["run", "--set", "cloning.epoch=3"], "did you mean 'epochs'?"),
        (["run", "--set", "cloning.epochs=three"], "should be a valid integer"),
        (["run", "--set", "cloning.epochs=-2"], "greater than or equal to 1"),
        (["run", "--set", "cloning.epochs"], "--set wants KEY=VALUE"),
        (["run", "--set", "cloning.epochs=[1"], "is not a YAML value"),
        (["run", "--set", "data.demonstrations={{GoToMoon: 5}}"], "unknown level 'GoToMoon'"),
        (["run", "--seed", "-1"], "seed: Input should be greater than or equal to 0"),
        (["run", "--out", "{foreign}"], "holds other files"),
        (["run", "--out", "{file}"], "is not a folder"),
        (["run", "--out", "{file}/below"], "cannot write to"),
        (["verify", "{foreign}"], "is not a finished run"),
        (["status", "--profile", "nothing.yaml"], "No such file"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(tmp_path, words, line):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    places = {"foreign": tmp_path / "foreign", "file": tmp_path / "file"}
    before = sorted(tmp_path.rglob("*"))
    done = command(
        "paper_utils", *(word.format(**places) for word in words), store=tmp_path / "store"
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert line in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [[], ["fly"], ["run", "--sed", "1"], ["run", "--seed", "x"]])
def test_unknown_words_exit_2(tmp_path, words):
    assert command("paper_utils", *words, store=tmp_path).returncode == 2


def test_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(pipeline.RunError, match="cannot write to"):
        pipeline.Plan.check("smoke", out=str(tmp_path / "run"))


@pytest.mark.xdist_group("smoke")
def test_a_run_leaves_everything_it_promises(smoke):
    folder, _, said = smoke
    for name in ("results.json", "provenance.json", "manifest.json", "index.html", "run.json"):
        assert (folder / name).is_file(), name
    for source in pipeline.sources():
        assert (folder / f"{source.stem}.ipynb").is_file()
        assert (folder / f"{source.stem}.html").is_file()
    assert len(list((folder / "figures").glob("*.png"))) >= 12
    assert {p.stem for p in (folder / "figures").glob("*.png")} == {
        p.stem for p in (folder / "figures").glob("*.pdf")
    }
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    assert "held-out precision@15" in said and str(folder / "index.html") in said
    assert "Warning" not in said and "Sampling rejected" not in said and "WARNING" not in said


@pytest.mark.xdist_group("smoke")
def test_results_are_complete_and_flat(smoke):
    folder, _, _ = smoke
    results = json.loads((folder / "results.json").read_text())
    assert results["version"] == 1 and results["profile"] == "smoke"
    assert results["instructions"] == 439 and results["k"] == 15
    assert results["chance"] == pytest.approx(15 / 439)
    for row in results["success"]:
        assert 0 <= row["low"] <= row["success"] <= row["high"] <= 1 and row["episodes"] > 0
    for row in results["alignment"]:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["N"] == 439 and row["k"] == 15 and 0 < row["p"] <= 1
        for name in ("null_mean", "calibrated", "lexical", "untrained_agent", "bag_of_words"):
            assert row[name] is not None, name
    fixed = {row["reference"]: row for row in results["choices"] if row["choice"] == "as fixed"}
    for row in results["alignment"]:  # the choice that was made is the headline
        assert fixed[row["reference"]]["difference"] == pytest.approx(row["gap"])
    assert {"agent", "reference", "comparison"} <= set(results["wall_seconds"])


@pytest.mark.xdist_group("smoke")
def test_executed_notebooks_are_clean(smoke):
    folder, _, _ = smoke
    for path in folder.glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in code)
        outputs = [output for cell in code for output in cell["outputs"]]
        assert not [o for o in outputs if o.get("name") == "stderr"], path.name
        assert not [o for o in outputs if o["output_type"] == "error"], path.name
        assert "papermill" not in notebook["metadata"]


@pytest.mark.xdist_group("smoke")
def test_again_there_is_nothing_to_do_and_then_only_what_changed(smoke):
    folder, store, _ = smoke
    words = ("paper_utils", "run", "--profile", "smoke", "--out", str(folder))
    before = (folder / "results.json").read_bytes()
    again = command(*words, store=store)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert (folder / "results.json").read_bytes() == before
    assert command("paper_utils", "verify", str(folder), store=store).returncode == 0

    (folder / "04_alignment.ipynb").write_text("damaged")
    broken = command("paper_utils", "verify", str(folder), store=store)
    assert broken.returncode == 1 and "04_alignment.ipynb: does not match its hash" in broken.stdout
    status = command(
        "paper_utils", "status", "--profile", "smoke", "--out", str(folder), store=store
    )
    assert "04_alignment     waiting" in status.stdout and "01_data          done" in status.stdout
    mended = command(*words, store=store)
    assert (
        "04_alignment done" in mended.stdout and "01_data" not in mended.stdout.split("Success")[0]
    )
    assert (folder / "results.json").read_bytes() == before


@pytest.mark.xdist_group("smoke")
def test_a_failing_cell_is_named_and_its_notebook_kept(smoke, tmp_path, monkeypatch):
    _, store, _ = smoke
    notebooks = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks, ignore=shutil.ignore_patterns("*.ipynb"))
    source = notebooks / "01_data.py"
    source.write_text(
        source.read_text().replace(
            "# ## The world", "# ## The world\n\n# %%\n1 / 0\n\n# %% [markdown]\n#", 1
        )
    )
    monkeypatch.setattr(pipeline, "NOTEBOOKS", notebooks)
    monkeypatch.setenv("PAPER_STORE", str(store))
    plan = pipeline.Plan.check("smoke", out=str(tmp_path / "run"))
    with pytest.raises(
        pipeline.RunError, match="01_data: cell 4 failed: ZeroDivisionError"
    ) as caught:
        pipeline.run(plan, say=lambda *_, **__: None)
    assert not caught.value.usage and "\n" not in str(caught.value)
    kept = json.loads((plan.folder / "01_data.ipynb").read_text())
    assert "ZeroDivisionError" in json.dumps(kept)
    assert not (plan.folder / "02_bc_training.ipynb").exists()


@pytest.mark.xdist_group("smoke")
def test_the_pages_of_a_run_fetch_nothing(smoke):
    folder, _, _ = smoke
    for source in pipeline.sources():
        page = (folder / f"{source.stem}.html").read_text()
        assert not re.findall(r"""<(?:script|img|link)[^>]+(?:src|href)=["']https?:""", page)
        assert page.count('name="viewport"') == 1 and 'className="code"' in page


def test_make_with_an_old_python_is_one_line(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(ROOT), "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "error: Python 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / "venv").exists()
