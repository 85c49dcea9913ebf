"""The committed notebooks: in step with their sources, executed, and still true."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest
import torch
from commands import ROOT, command
from matplotlib import pyplot

from paper_utils import notebooks, run

SOURCES = notebooks.sources()
BUILT = [source.with_suffix(".ipynb") for source in SOURCES]
WITH_CHECKS = [source for source in SOURCES if "run.check(" in source.read_text()]
TAG = "nbval-check-output"
NAMES = [
    "data",
    "bc_training",
    "embeddings",
    "alignment",
    "acting",
    "structure",
    "your_own",
    "robustness",
    "transfer",
    "meaning",
]
SHORT = ("your_own", "transfer", "meaning")  # one question each


def stem(path) -> str:
    return path.stem


def tags_of(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words_of(text: str) -> list[str]:
    """Words, not the signs of headings and lists."""
    return [word for word in text.split() if any(letter.isalnum() for letter in word)]


def parameters_of(notebook) -> dict:
    """What the parameters' cell assigns: literals alone."""
    (cell,) = [cell for cell in code_cells(notebook) if "parameters" in tags_of(cell)]
    given = {}
    for line in ast.parse(cell.source).body:
        (name,) = line.targets
        given[name.id] = ast.literal_eval(line.value)
    return given


def test_there_are_ten():
    assert [stem(source).split("_", 1)[1] for source in SOURCES] == NAMES
    assert len(WITH_CHECKS) == 10


def cells_of(path) -> list[tuple]:
    """What an executed notebook has in common with its source."""
    return [(cell.cell_type, cell.source, tags_of(cell)) for cell in notebooks.read(path).cells]


@pytest.mark.parametrize("source", SOURCES, ids=stem)
def test_built_from_their_sources(source):
    """Else rebuild with: make notebooks."""
    assert cells_of(source) == cells_of(source.with_suffix(".ipynb"))


@pytest.mark.parametrize("path", BUILT, ids=stem)
def test_executed_in_order_without_errors_and_with_checked_cells(path):
    """nbval passes a cell that was never executed: so such a notebook must not exist."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = code_cells(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    checked = [cell for cell in code if TAG in tags_of(cell)]
    assert checked and all(cell.outputs for cell in checked)
    assert "papermill" not in notebook.metadata
    assert " at 0x" not in path.read_text()  # another address each time


@pytest.mark.parametrize("path", SOURCES, ids=stem)
def test_a_readers_notebook(path):
    """Few cells, short ones, and the same frame in each."""
    first, *others = notebooks.read(path).cells
    least, most = (12, 24) if stem(path).endswith(SHORT) else (20, 30)
    assert least <= 1 + len(others) <= most
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert len(words_of(first.source)) <= 80
    for promise in ("What you'll do", "What you'll learn", "What you'll need"):
        assert promise in first.source
    prose = [cell.source for cell in others if cell.cell_type == "markdown"]
    for text in prose:
        assert len(words_of(text)) <= 80, text
    assert "## On your own" in "\n".join(prose) and "## Provenance" in "\n".join(prose)


@pytest.mark.parametrize("path", SOURCES, ids=stem)
def test_code_is_short_and_parameters_are_literals(path):
    notebook = notebooks.read(path)
    for cell in code_cells(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        # The cell of imports says what is used, and nothing else.
        assert len(lines) <= 12 or "Run.start(" in cell.source, cell.source
    given = parameters_of(notebook)
    assert given == {"profile": run.DEFAULT, "seed": 0, "overrides": {}, "out": ""}


NBVAL = ["pytest", "--nbval-lax", "-p", "no:cacheprovider"]
CHEAP = {"agent", "embedding"}  # untrained agents, and what costs a moment


@pytest.mark.xdist_group("release")
def test_the_plain_nbval_command_finds_what_is_published():
    """As anyone would type it, from the project's folder: all are executed again, checked cells
    recompute and must agree; nothing is trained."""
    store = ROOT / "runs" / "store"
    before = set(store.glob("*"))
    done = command(*NBVAL, "notebooks/")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout and "failed" not in done.stdout
    made = {path.name for path in set(store.glob("*")) - before}  # there is no store: nothing
    assert {name.split("-")[0] for name in made} <= CHEAP
    trained = [name for name in made if name.startswith("agent-") and "never_acted" not in name]
    assert not trained


def only(*parts: str) -> nbformat.NotebookNode:
    """The first notebook's parameters, its imports and the first cell with each of these parts."""
    notebook = nbformat.read(BUILT[0], as_version=4)
    code = code_cells(notebook)
    notebook.cells = code[:2] + [next(c for c in code if part in c.source) for part in parts]
    return notebook


def published(notebook) -> str:
    """What a notebook's last cell printed."""
    return notebook.cells[-1].outputs[0]["text"]


@pytest.mark.xdist_group("release")
def test_nbval_fails_where_a_published_result_was_changed(tmp_path):
    notebook = only("recorded = run.get(EPISODES", "by_chance = ")
    assert TAG in tags_of(notebook.cells[-1]) and "N = 439" in published(notebook)
    changed = published(notebook).replace("N = 439", "N = 440")
    notebook.cells[-1].outputs[0]["text"] = changed
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    done = command(*NBVAL, str(tmp_path / "changed.ipynb"))
    assert done.returncode == 1 and "1 failed" in done.stdout


def executed(path) -> bool:
    """Whether each code cell of a file was executed."""
    return all(cell.execution_count for cell in code_cells(nbformat.read(path, as_version=4)))


def test_plain_papermill_from_another_folder(smoke, tmp_path):
    _, store, _ = smoke
    nbformat.write(only("recorded = run.get(EPISODES"), tmp_path / "mine.ipynb")
    given = ["-p", "profile", "smoke", "-p", "out", str(tmp_path / "run")]
    given += ["-y", f"overrides: {{compute.store: {store}}}"]
    done = command("papermill", "mine.ipynb", "out.ipynb", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert executed(tmp_path / "out.ipynb")
    assert list((tmp_path / "run" / "tables").glob("*.csv"))


def test_jupyter_execute(smoke, tmp_path):
    _, store, _ = smoke
    notebook = only("recorded = run.get(EPISODES")
    given = {"profile": "smoke", "seed": 0, "overrides": {"compute.store": str(store)}}
    given["out"] = str(tmp_path / "run")
    notebook.cells[0].source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    done = command("jupyter", "execute", "mine.ipynb", "--inplace", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert executed(tmp_path / "mine.ipynb")


def test_a_bad_parameter_is_one_clear_line(tmp_path):
    nbformat.write(only(), tmp_path / "mine.ipynb")
    words = ("papermill", "mine.ipynb", "out.ipynb", "-p", "profile", "lptop")
    done = command(*words, cwd=tmp_path)
    assert done.returncode != 0
    assert "unknown profile 'lptop': did you mean 'laptop'?" in done.stderr


def solution(path) -> str:
    """The code of notebooks/solutions.md that belongs to a notebook."""
    text = (run.NOTEBOOKS / "solutions.md").read_text(encoding="utf-8")
    (part,) = [part for part in text.split("\n## ")[1:] if part.startswith(stem(path)[:2])]
    return "\n".join(block.split("```")[0] for block in part.split("```python\n")[1:])


def names_in(code: str) -> tuple[set[str], set[str]]:
    """(read, assigned): names in a piece of code."""
    read, assigned = set(), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else assigned).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            assigned.add(node.name)
        elif isinstance(node, ast.alias):
            assigned.add((node.asname or node.name).split(".")[0])
    return read, assigned


def cells_for(path, code: str) -> list[str]:
    """The cells above a notebook's answers that ``code`` needs, directly or through others."""
    cells = [cell.source for cell in code_cells(notebooks.read(path))]
    place = next(number for number, text in enumerate(cells) if "run.check(" in text)
    read, assigned = names_in(code)
    needed = (read - assigned) | {"run"}
    chosen = []
    for text in reversed(cells[:place]):
        read, assigned = names_in(text)
        if assigned & needed:
            needed |= read
            chosen.insert(0, text)
    return chosen


def published_answers(path) -> dict[int, str]:
    """What notebooks/solutions.md says that the answers of the published worlds are."""
    text = " ".join((run.NOTEBOOKS / "solutions.md").read_text(encoding="utf-8").split())
    (part,) = [part for part in text.split(" ## ")[1:] if part.startswith(stem(path)[:2])]
    exercises = re.split(r"\*\*(\d)\.\*\*", part)
    told = dict(zip(map(int, exercises[1::2]), exercises[2::2], strict=True))
    found = {number: re.search(r"Published: (.+?)\.(?: |$)", text) for number, text in told.items()}
    return {number: match[1] for number, match in found.items() if match}


def is_told(answer, told: str) -> bool:
    """Whether solutions.md tells an answer: shares to .05, since agents play on any machine."""
    if isinstance(answer, float):
        return abs(answer - float(told)) < 0.05
    return told == (" and ".join(sorted(answer)) if isinstance(answer, set) else str(answer))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", WITH_CHECKS, ids=stem)
def test_the_published_answers_are_told(tmp_path, monkeypatch, capsys, path):
    given = {"profile": run.DEFAULT, "out": str(tmp_path / "run")}
    answers = solved(path, given, tmp_path, monkeypatch, capsys)
    told = published_answers(path)
    assert told and all(is_told(answers[number], text) for number, text in told.items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", WITH_CHECKS, ids=stem)
def test_the_solutions_are_right(smoke, smoke_profile, tmp_path, monkeypatch, capsys, path):
    _, store, _ = smoke
    given = {"profile": smoke_profile, "out": str(tmp_path / "run")}
    given["overrides"] = {"compute.store": str(store), "compute.workers": 1}
    solved(path, given, tmp_path, monkeypatch, capsys)


@torch.enable_grad()  # what a notebook says of gradients is forgotten after it
def solved(path, given, tmp_path, monkeypatch, capsys) -> dict:
    """Answers to a notebook's exercises: what a solution needs of its notebook, then the solution,
    then the checks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.Run, "figure", lambda _, figure, *__: pyplot.close(figure))
    monkeypatch.setattr(run.Run, "animation", lambda *_: None)
    # An audit simulates its power, which takes most of its time; no answer depends on it.
    monkeypatch.setattr("paper_utils.alignment.auditing.simulated_power", lambda *_, **__: 1.0)
    code = solution(path)
    names = {"display": lambda *_: None, "answers": {}}
    for text in cells_for(path, code):
        exec(text, names)
        if text.startswith("#") and "seed = 0" in text:  # the parameters, and then ours
            names |= given
    exec(code, names)
    capsys.readouterr()
    names["run"].check(names["answers"])
    assert capsys.readouterr().out == "1: right\n2: right\n3: right\n"
    return names["answers"]


def test_students_get_no_outputs_and_something_to_fill_in(tmp_path):
    notebooks.write_for_students(tmp_path)
    notebooks.write_for_students(tmp_path / "one_hour", "one-hour")
    hour = "\n".join(path.read_text() for path in (tmp_path / "one_hour").glob("*.ipynb"))
    # The codebook of 04 and the counter of 06; guesses are everywhere.
    assert set(re.findall(r"(\w+) = \.\.\.  # fill in", hour)) == {"guess", "codebook", "counts"}
    written = sorted(tmp_path.glob("*.ipynb"))
    assert [stem(path) for path in written] == [stem(source) for source in SOURCES]
    blanks = lists = 0
    for path, source in zip(written, SOURCES, strict=True):
        text = path.read_text()
        for told in ("**Found", "**Published world", "**As published", "**Answer"):
            assert told not in text
        # Nor what was found in a list.
        for cell in notebooks.read(source).cells:
            for listed in re.findall(r"^\*\*Published worlds:\*\*\n\n- (.{30})", cell.source, re.M):
                assert listed not in text
                lists += 1
        # A student's own are to stand there.
        assert r"own first.\n\n## Provenance" in "".join(text.split('",\n    "'))
        assert "**Found" in source.read_text()
        cells = code_cells(nbformat.read(path, as_version=4))
        for cell, whole in zip(cells, code_cells(notebooks.read(source)), strict=True):
            ast.parse(cell.source)
            assert not cell.outputs and cell.execution_count is None
            marked = "fill-in" in tags_of(cell)
            assert (cell.source != whole.source) == marked
            blanks += marked
    assert blanks >= 3 and lists >= 3
    first = written[0].read_text()
    assert "return ...  # fill in" in first and "6 - y" not in first


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


def test_every_gap_has_its_solution():
    solutions = (ROOT / "notebooks" / "solutions.md").read_text(encoding="utf-8")
    for source in SOURCES:
        lines = source.read_text(encoding="utf-8").splitlines()
        for line in [line.strip() for line in lines if line.endswith("# fill in")]:
            code = line.removesuffix("# fill in").strip()
            assert code.startswith("guess") or f"`{code}`" in solutions, code
