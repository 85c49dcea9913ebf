"""The command line and a run, on one real smoke run."""

import io
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from commands import ROOT, command, settings

from paper_utils import folder as folders
from paper_utils import notebooks, pipeline
from paper_utils.__main__ import main
from paper_utils.run import RunError, UsageError


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
        (["run", "--set", "cloning.epochs=-2"], "greater than 0"),
        (["run", "--set", "cloning.epochs"], "should be a valid integer (got None)"),
        (["run", "--set", "cloning.epochs=[1"], "while parsing a flow sequence"),
        (["run", "--set", "data.demonstrations={{GoToMoon: 5}}"], "unknown level 'GoToMoon'"),
        (["run", "--seed", "-1"], "seed: Input should be greater than or equal to 0"),
        (["run", "--out", "{foreign}"], "holds other files"),
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


def test_a_file_in_place_of_a_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["run", "--profile", "smoke", "--out", str(place)]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and str(place) in said


def test_without_notebooks_there_is_nothing_to_run(tmp_path, monkeypatch):
    """As in an installation that is no checkout."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    with pytest.raises(RunError, match="install from a checkout"):
        pipeline.Job.check("smoke", out=str(tmp_path / "run"))


# What a run may print: a line per notebook, and the answer.
ALLOWED = re.compile(r"\d\d_\w+ done in \d+ s|report   .*|")


@pytest.mark.xdist_group("smoke")
def test_a_run_prints_its_notebooks_and_its_answer_and_nothing_else(smoke):
    """With two workers, as readers run it."""
    folder, _, said = smoke
    results = json.loads((folder / "results.json").read_text())
    answers = " ".join(f"{row['claim']}: {row['answer']}" for row in results["claims"])
    for line in said.splitlines():
        assert ALLOWED.fullmatch(line) or line in answers, line
    done = re.findall(r"^(\w+) done in", said, re.MULTILINE)
    assert sorted(done) == [source.stem for source in notebooks.sources()]
    assert f"report   {folder / 'index.html'}\n" in said


@pytest.mark.xdist_group("smoke")
def test_a_run_leaves_everything_it_promises(smoke):
    folder, store, _ = smoke
    assert all((store / f"notebook-{source.stem}").is_dir() for source in notebooks.sources())
    for name in ("results.json", "provenance.json", "manifest.json", "index.html"):
        assert (folder / name).is_file(), name
    for source in notebooks.sources():
        assert (folder / f"{source.stem}.ipynb").is_file()
        assert (folder / f"{source.stem}.html").is_file()
    assert len(list((folder / "figures").glob("*.png"))) >= 12
    assert {p.stem for p in (folder / "figures").glob("*.png")} == {
        p.stem for p in (folder / "figures").glob("*.pdf")
    }
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    shown = [json.loads(path.read_text()) for path in sorted((folder / "captions").iterdir())]
    assert len(shown) == 10 and shown[0]["01_gallery"]


LISTS = ("same_words", "synonyms", "knows_synonyms", "differences", "order_null", "geometry",
         "verbs", "success", "transfer", "structure", "claims")  # fmt: skip


@pytest.mark.xdist_group("smoke")
def test_results_are_complete_and_flat(smoke):
    folder, _, _ = smoke
    results = json.loads((folder / "results.json").read_text())
    assert results["version"] == 3 and results["profile"] == "smoke"
    assert results["worlds"] == [900, 901] and results["instructions"] == 439
    assert results["k"] == 15 and results["chance"] == pytest.approx(15 / 439, abs=1e-4)
    for name in LISTS:
        rows = results[name]
        assert rows and len({tuple(row) for row in rows}) == 1, name
        plain = (str, int, float, bool, type(None))
        assert all(isinstance(value, plain) for row in rows for value in row.values()), name
    for row in results["same_words"] + results["synonyms"]:
        assert 0 <= row["value"] <= 1 and 0 < row["chance"] < 1
    for row in results["success"] + results["transfer"]:
        assert 0 <= row["success"] <= 1 and row["episodes"] > 0
    words = " ".join(row["answer"] for row in results["claims"])
    assert "no power" not in words and "not supported" not in words
    assert {"agent", "reference"} <= set(results["wall_seconds"])
    notebook = (folder / "04_alignment.ipynb").read_text()
    assert str(folder.parent) not in notebook  # no path of this machine


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
def test_again_there_is_nothing_to_do_and_what_is_not_ours_stays(smoke, smoke_profile, capsys):
    """In this process: others would only import everything anew, six times."""
    folder, store, _ = smoke
    words = ("--profile", smoke_profile, "--out", str(folder), *settings(store))

    def say(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        return code, *capsys.readouterr()

    before = (folder / "results.json").read_bytes()
    (folder / "notes.md").write_text("mine")
    (folder / "mine").mkdir()
    (folder / "mine" / "analysis.csv").write_text("a,b")
    code, printed, complaint = say("run", *words)
    assert code == 0 and "nothing to do" in printed, complaint
    assert (folder / "results.json").read_bytes() == before

    (folder / "tables" / "02_success.csv").unlink()
    code, printed, _ = say("verify", str(folder))
    assert code == 1 and "tables/02_success.csv is missing" in printed
    code, printed, complaint = say("run", *words)
    assert code == 0 and complaint == ""
    assert "done in" not in printed and "nothing to do" not in printed
    assert (folder / "results.json").read_bytes() == before and folders.verify(folder) == {}
    assert (folder / "notes.md").read_text() == "mine"
    assert (folder / "mine" / "analysis.csv").is_file()

    path = folder / "02_bc_training.ipynb"
    text = path.read_text()
    path.write_text(text + "\n")
    code, _, complaint = say("run", *words)
    assert code == 2 and complaint.count("\n") == 1
    assert f"{path} was changed by hand: move it away" in complaint
    path.write_text(text)
    code, printed, _ = say("status", *words)
    assert code == 0 and "waiting: nothing\nleft: 0 tasks" in printed
    code, printed, _ = say("verify", str(folder.parent))
    assert code == 1 and "manifest.json is missing" in printed


def test_a_failing_cell_is_named_and_its_notebook_kept(smoke, tmp_path, monkeypatch):
    _, store, _ = smoke
    place = tmp_path / "notebooks"
    place.mkdir()
    (place / "exercises.py").write_text("")
    text = (ROOT / "notebooks" / "01_data.py").read_text()
    head = text.index("# %%", text.index("Run.start("))
    (place / "01_data.py").write_text(f"{text[:head]}# %%\n1 / 0\n")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", place)
    given = {"compute.store": str(store), "compute.workers": 1}
    job = pipeline.Job.check("smoke", overrides=given, out=str(tmp_path / "run"))
    with pytest.raises(RunError, match="01_data: cell 4 failed: ZeroDivisionError") as caught:
        pipeline.run(job)
    assert not isinstance(caught.value, UsageError) and "\n" not in str(caught.value)
    kept = re.search(r"\(see (.*01_data.failed.ipynb)\)", str(caught.value))[1]
    assert "ZeroDivisionError" in Path(kept).read_text()
    assert not list(job.folder.glob("*.ipynb"))


@pytest.mark.xdist_group("smoke")
def test_the_pages_of_a_run_fetch_nothing(smoke):
    folder, _, _ = smoke
    for source in notebooks.sources():
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
