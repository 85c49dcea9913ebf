"""The command line and a run, on one real smoke run."""

import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from commands import ROOT, command

from paper_utils import Profile, run
from paper_utils.__main__ import main
from paper_utils.encoders import lexical
from paper_utils.encoders.registry import EMBEDDING, Encoder, records, texts
from paper_utils.store import Store


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
        (["texts", "--profile", "lptop"], "unknown profile 'lptop'"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(tmp_path, capsys, words, line):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    places = {"foreign": tmp_path / "foreign", "file": tmp_path / "file"}
    before = sorted(tmp_path.rglob("*"))
    assert main([word.format(**places) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert line in printed.err and not printed.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [[], ["fly"], ["run", "--sed", "1"], ["run", "--seed", "x"]])
def test_unknown_words_exit_2(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2 and "usage: " in capsys.readouterr().err


def test_texts_are_csv_and_nothing_else(tmp_path, capsys):
    done = command("paper_utils", "texts", "--profile", "smoke", store=tmp_path)
    table = pd.read_csv(io.StringIO(done.stdout))
    assert done.returncode == 0 and list(table) == ["id", "text", "second_text"]
    assert len(table) == 439 and table["id"].tolist() == list(range(439))
    assert not done.stderr and (table["text"] != table["second_text"]).all()
    assert main(["texts", "--set", "data.demonstrations={GoToLocal: 5}"]) == 0
    assert capsys.readouterr().out.count("\n") < 440


def test_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(run.RunError, match="cannot write to"):
        run.Plan.check("smoke", out=str(tmp_path / "run"))


@pytest.mark.xdist_group("smoke")
def test_a_run_leaves_everything_it_promises(smoke):
    folder, store, said = smoke
    assert all((store / f"notebook-{source.stem}").is_dir() for source in run.sources())
    for name in ("results.json", "provenance.json", "manifest.json", "index.html"):
        assert (folder / name).is_file(), name
    for source in run.sources():
        assert (folder / f"{source.stem}.ipynb").is_file()
        assert (folder / f"{source.stem}.html").is_file()
    assert len(list((folder / "figures").glob("*.png"))) >= 12
    assert {p.stem for p in (folder / "figures").glob("*.png")} == {
        p.stem for p in (folder / "figures").glob("*.pdf")
    }
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    for part in (
        "Held-out precision@15",
        "Verdicts, by rule.",
        f"report   {folder / 'index.html'}",
    ):
        assert part in said
    assert "Warning" not in said and "Sampling rejected" not in said and "WARNING" not in said


@pytest.mark.xdist_group("smoke")
def test_results_are_complete_and_flat(smoke):
    folder, _, _ = smoke
    results = json.loads((folder / "results.json").read_text())
    assert results["version"] == 2 and results["profile"] == "smoke"
    assert results["instructions"] == 439 and results["k"] == 15
    assert results["chance"] == pytest.approx(15 / 439)
    for row in results["success"]:
        assert 0 <= row["low"] <= row["success"] <= row["high"] <= 1 and row["episodes"] > 0
    for row in results["alignment"]:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["N"] == 439 and row["k"] == 15 and 0 < row["p"] <= 1
        for name in ("null_mean", "precision_at_1", "lexical", "untrained_agent", "bag_of_words"):
            assert row[name] is not None, name
    for row in results["second_names"]:
        assert 0 <= row["value"] <= 1 and 0 <= row["p"] <= 1 and row["names"] in ("first", "second")
    lexical = {"bag of words", "edit distance", "random tokens, ordered"}
    for row in results["second_names"]:  # words alone are at chance, whatever was trained
        if row["second"] in lexical and row["names"] == "second" and row["measure"] == "order":
            assert row["value"] == pytest.approx(0.5, abs=0.1)
    for row in results["transfer"]:
        assert row["low"] <= row["success"] <= row["high"] and row["episodes"] > 0
        assert row["agents"] == 2
    kinds = {row["kind"] for row in results["transfer"] if row["source"] == "random moves"}
    assert kinds == {"control"}
    verdicts = {row["verdict"] for row in results["verdicts"]}
    assert verdicts <= {"supported", "opposite found", "not supported", "no power here"}
    assert len(results["verdicts"]) == 7
    assert all(row["positive_control"] and row["negative_controls"] for row in results["verdicts"])
    assert {"agent", "reference", "scores", "second-names"} <= set(results["wall_seconds"])
    notebook = (folder / "04_alignment.ipynb").read_text()
    assert str(folder.parent) not in notebook  # no path of this machine


@pytest.mark.xdist_group("smoke")
def test_a_run_embeds_sentences_in_the_order_of_the_profile_as_it_is_written(smoke):
    profile, (_, store, _) = Profile.load("smoke"), smoke
    assert profile.data.levels != sorted(profile.data.levels)
    (which,) = records([Encoder("control", "bag_of_words", "lexical")])
    assert Store(store).path(EMBEDDING, profile, **which).exists()
    rows = Store(store).get(EMBEDDING, profile, **which)
    assert np.array_equal(rows, lexical.bag_of_words(texts(profile)["text"].tolist()))


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
def test_again_there_is_nothing_to_do_and_then_only_what_changed(smoke, smoke_profile):
    folder, store, _ = smoke
    words = ("paper_utils", "run", "--profile", smoke_profile, "--out", str(folder))
    before = (folder / "results.json").read_bytes()
    again = command(*words, store=store)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert (folder / "results.json").read_bytes() == before
    assert run.verify(folder) == []

    (folder / "04_alignment.ipynb").write_text("damaged")
    (folder / "tables" / ".02_progress.csv.6979.tmp").write_text("of a run that was killed")
    broken = command("paper_utils", "verify", str(folder), store=store)
    assert broken.returncode == 1 and "04_alignment.ipynb: does not match its hash" in broken.stdout
    given = {"compute.store": str(store), "compute.workers": 1}
    status = run.status(run.Plan.check(smoke_profile, overrides=given, out=str(folder)))
    assert [what.startswith("done in") for _, what in status] == [True] * 5
    mended = command(*words, store=store)
    assert "done in" not in mended.stdout and "nothing to do" not in mended.stdout
    assert (folder / "results.json").read_bytes() == before
    assert run.verify(folder) == [] and not list(folder.rglob("*.tmp"))


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
    monkeypatch.setattr(run, "NOTEBOOKS", notebooks)
    given = {"compute.store": str(store), "compute.workers": 1}
    plan = run.Plan.check("smoke", overrides=given, out=str(tmp_path / "run"))
    with pytest.raises(run.RunError, match="01_data: cell 4 failed: ZeroDivisionError") as caught:
        run.run(plan)
    assert not caught.value.usage and "\n" not in str(caught.value)
    kept = json.loads((plan.folder / "01_data.failed.ipynb").read_text())
    assert "ZeroDivisionError" in json.dumps(kept)
    assert [path.name for path in plan.folder.glob("*.ipynb")] == ["01_data.failed.ipynb"]


@pytest.mark.xdist_group("smoke")
def test_the_pages_of_a_run_fetch_nothing(smoke):
    folder, _, _ = smoke
    for source in run.sources():
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
