"""The committed notebooks: in step with their sources, executed, and still true."""

from __future__ import annotations

import json
import subprocess
import sys

import nbformat
import pytest
from commands import ROOT, command
from matplotlib import pyplot

from paper_utils import run

SOURCES = run.sources()
BUILT = [source.with_suffix(".ipynb") for source in SOURCES]
TAG = "nbval-check-output"


def test_there_are_four_and_an_appendix():
    stems = [source.stem.split("_", 1)[1] for source in SOURCES]
    assert stems == ["data", "bc_training", "embeddings", "alignment", "robustness"]


def test_built_from_their_sources():
    assert run.build(check=True) == []


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.stem)
def test_executed_in_order_without_errors_and_with_checked_cells(path):
    """nbval passes a cell that was never executed: so such a notebook must not exist."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    checked = [cell for cell in code if TAG in cell.metadata.get("tags", [])]
    assert checked and all(cell.outputs for cell in checked)
    assert "papermill" not in notebook.metadata
    assert " at 0x" not in path.read_text()  # another address each time


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_readers_notebook(path):
    """20 to 30 cells, three of prose to four of code, literal parameters, the same frame."""
    notebook = run.read(path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert 20 <= len(kinds) <= 30
    assert kinds.count("markdown") >= 0.75 * kinds.count("code")
    assert kinds[0] == "markdown" and notebook.cells[0].source.startswith("# ")
    for promise in ("What you'll do", "What you'll learn", "What you'll need"):
        assert promise in notebook.cells[0].source
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "## On your own" in text and "## Provenance" in text
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    names = {}
    exec(cell.source, names)  # literals only, so this is harmless
    assert {"profile", "seed", "overrides", "out"} <= set(names)


NBVAL = ["pytest", "--nbval-lax"]


@pytest.mark.xdist_group("release")
def test_the_plain_nbval_command_finds_what_is_published():
    """As anyone would type it, from the project's folder: all are executed again, checked cells
    recompute and must agree; nothing is trained."""
    store = ROOT / "runs" / "store"
    before = {path.name for path in store.iterdir()} if store.is_dir() else set()
    done = command(*NBVAL, "notebooks/")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout and "failed" not in done.stdout
    made = {path.name.split("-")[0] for path in store.iterdir() if path.name not in before}
    assert made <= {"agent", "embedding"}  # untrained agents, and what costs a moment
    conditions = {p.name for p in store.glob("agent-*") if p.name not in before}
    assert all(name.endswith("untrained") for name in conditions)


def only(*sources: str) -> nbformat.NotebookNode:
    """The first notebook's parameters, its imports and the first cell with each of these sources
    (the others, nbval executes)."""
    notebook = nbformat.read(BUILT[0], as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = code[:2] + [next(c for c in code if text in c.source) for text in sources]
    return notebook


@pytest.mark.xdist_group("release")
def test_nbval_fails_where_a_published_result_was_changed(tmp_path):
    notebook = only("table = grammar.instructions(", "the abstract reports")
    cell = notebook.cells[-1]
    assert TAG in cell.metadata["tags"] and "N = 439" in cell.outputs[0]["text"]
    cell.outputs[0]["text"] = cell.outputs[0]["text"].replace("N = 439", "N = 440")
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    done = command(*NBVAL, "-p", "no:cacheprovider", str(tmp_path / "changed.ipynb"))
    assert done.returncode == 1 and "1 failed" in done.stdout


def solutions(stem: str) -> str:
    """The code of notebooks/solutions.md that belongs to a notebook."""
    text = (run.NOTEBOOKS / "solutions.md").read_text(encoding="utf-8")
    (part,) = [p for p in text.split("\n## ")[1:] if p.startswith(stem[:2])]
    return "\n".join(block.split("```")[0] for block in part.split("```python\n")[1:])


def test_plain_papermill_from_another_folder(smoke, tmp_path):
    _, store, _ = smoke
    nbformat.write(only("run.get("), tmp_path / "mine.ipynb")
    done = command(
        "papermill", "mine.ipynb", "out.ipynb", "-p", "profile", "smoke", "-p", "out",
        str(tmp_path / "run"), "-y", f"overrides: {{compute.store: {store}}}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")
    assert list((tmp_path / "run" / "figures").glob("*.png"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", SOURCES[:4], ids=lambda path: path.stem)
def test_the_solutions_are_right(smoke, smoke_profile, tmp_path, monkeypatch, capsys, path):
    """The cells of a notebook one after another, with the solutions where answers are checked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.Run, "figure", lambda _, figure, *__: pyplot.close(figure))
    given = {"profile": smoke_profile, "out": str(tmp_path / "run"),
             "overrides": {"compute.store": str(smoke[1]), "compute.workers": 1}}  # fmt: skip
    names = {"display": lambda *_, **__: None}
    for cell in (cell for cell in run.read(path).cells if cell.cell_type == "code"):
        begin, check, rest = cell.source.partition("run.check(answers")
        exec(begin + (solutions(path.stem) if check else ""), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= given
        if check:
            capsys.readouterr()
            exec(check + rest, names)
            assert capsys.readouterr().out == "1: right\n2: right\n3: right\n"
            return
    raise AssertionError("no answers are checked")


def test_jupyter_execute(tmp_path):
    notebook = only("run.get(")
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    done = command("jupyter", "execute", "mine.ipynb", "--inplace", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(tmp_path / "mine.ipynb", as_version=4).cells
    assert all(cell.execution_count for cell in cells)


def test_a_bad_parameter_is_one_clear_line(tmp_path):
    done = command("papermill", str(BUILT[0]), "out.ipynb", "-p", "profile", "lptop", cwd=tmp_path)
    assert done.returncode != 0
    assert "unknown profile 'lptop': did you mean 'laptop'?" in done.stderr


def test_environment_agrees_with_pyproject():
    import tomllib

    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    nbval = [d for d in project["optional-dependencies"]["test"] if d.startswith("nbval")]
    assert sorted(pip) == sorted(["-e .", *project["dependencies"], *nbval])
    assert f"python{project['requires-python']}" in listed


def test_the_lock_pins_every_dependency():
    import re
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    for text in wanted:
        requirement = Requirement(text)
        pin = pins[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(pin), text
    assert not [line for line in lines if "://" in line or "@" in line or "+" in line]


def test_installed_versions_are_the_locked_ones():
    """What the tests say holds for the lock, not for whatever happens to be installed."""
    found = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    installed = dict(line.split("==") for line in found.splitlines() if "==" in line)
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert installed[name].split("+")[0] == version, name


def test_the_readme_shows_the_published_results():
    sys.path.insert(0, str(ROOT / "tools"))
    import publish

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert publish.readme() == readme
    assert "make paper" in readme and "make test" in readme
