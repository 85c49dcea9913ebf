"""Papermill runs the four notebooks, resumes where it stopped, and binds the run's report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_utils import provenance
from paper_utils.artifacts import hash_file, hash_json, write_atomically, write_json
from paper_utils.config import Profile
from paper_utils.run import PARTS, folder_of

NOTEBOOKS = provenance.ROOT / "notebooks"
PACKAGE = Path(__file__).parent
STATE = "run.json"  # marks a folder as ours, and remembers what is done
LOCK = "run.lock"
REPORT = "index.html"
WHOLE = ("results.json", "provenance.json", "manifest.json", REPORT)
KERNEL = "python3"
RESULTS_VERSION = 1


class RunError(RuntimeError):
    """A run that cannot start (``usage``) or a notebook that failed; the message is one line."""

    def __init__(self, message: str, usage: bool = False):
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True)
class Plan:
    """A run, checked before anything is written."""

    profile: Profile
    folder: Path
    parameters: dict[str, Any]

    @classmethod
    def check(
        cls, profile: str, seed: int = 0, overrides: dict[str, Any] | None = None, out: str = ""
    ) -> Plan:
        """Raises ProfileError or RunError, one line, and writes nothing."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        if overrides and not out:
            out = str(folder_of(loaded)) + "-" + hash_json(overrides)[:8]
        folder = folder_of(loaded, out).resolve()
        _check_folder(folder)
        profile = str(Path(profile).resolve()) if Path(profile).suffix else profile
        parameters = {
            "profile": profile, "seed": seed, "overrides": overrides or {}, "out": str(folder),
        }  # fmt: skip
        return cls(loaded, folder, parameters)


def sources() -> list[Path]:
    """The notebooks' sources, in the order in which they run; RunError if there are none."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise RunError(f"no notebooks in {NOTEBOOKS}; install from a checkout: pip install -e .")
    return found


def run(plan: Plan, say=print) -> Path:
    """Runs what has changed since the folder's last run, and binds the report.

    Returns the folder.  Raises RunError naming the notebook and the error of the first cell that
    failed; the notebook, executed up to there, is in the folder.
    """
    from filelock import FileLock, Timeout

    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(plan.folder / LOCK, timeout=0):
            return _run(plan, say)
    except Timeout:
        raise RunError(f"another run is writing to {plan.folder}") from None


def _run(plan: Plan, say) -> Path:
    for path in plan.folder.glob(".*"):  # what a killed run left half-written
        if path.is_file():
            path.unlink()
    state = _read_state(plan.folder)
    done: dict[str, Any] = state.setdefault("notebooks", {})
    write_json(plan.folder / STATE, state)
    changed = False
    for number, source in enumerate(sources(), 1):
        output = plan.folder / f"{source.stem}.ipynb"
        fingerprint = _fingerprint(source, plan.parameters)
        known = done.get(source.stem, {})
        if known.get("fingerprint") == fingerprint and _intact(plan.folder, known):
            part = json.loads((plan.folder / PARTS / f"{source.stem}.json").read_text())
            if not part["results"]["missing"]:  # what could not be had then may be there now
                continue
        if not changed:
            (plan.folder / REPORT).unlink(missing_ok=True)  # written last: the sign of a whole run
        changed = True
        say(f"[{number}/{len(sources())}] {source.stem} ...", flush=True)
        started = time.monotonic()
        done.pop(source.stem, None)
        write_json(plan.folder / STATE, state)
        for path in _products(plan.folder, source):
            path.unlink()
        execute(source, output, plan.parameters)
        seconds = time.monotonic() - started
        done[source.stem] = {
            "fingerprint": fingerprint,
            "seconds": round(seconds, 1),
            "files": {
                path.relative_to(plan.folder).as_posix(): hash_file(path)
                for path in (
                    output,
                    plan.folder / PARTS / f"{source.stem}.json",
                    *_products(plan.folder, source),
                )
            },
        }
        write_json(plan.folder / STATE, state)
        say(f"[{number}/{len(sources())}] {source.stem} done in {seconds:.0f} s", flush=True)
    if changed or not all((plan.folder / name).exists() for name in WHOLE):
        from paper_utils import report

        gather(plan)
        report.bind(plan.folder)
    else:
        say("nothing to do: the run is complete and nothing has changed")
    return plan.folder


def execute(source: Path, output: Path, parameters: dict[str, Any] | None = None) -> None:
    """Executes a source through Papermill; ``output`` appears whole, also where a cell fails.

    Papermill only warns about a parameter that a notebook does not have: tests see to the names.
    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from papermill.exceptions import PapermillExecutionError

    notebook = read(source)
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.ipynb")
    failure = None
    try:
        with environment(PAPER_TERMINAL="1", PYTHONWARNINGS="ignore"):
            papermill.execute_notebook(
                notebook, str(temporary), parameters=parameters, kernel_name=KERNEL,
                progress_bar=False, start_timeout=120, cwd=str(NOTEBOOKS), log_output=False,
                coalesce_streams=True,  # one text per cell: else it depends on the moment
                extra_arguments=["--log-level=CRITICAL"],
            )  # fmt: skip
    except PapermillExecutionError as error:
        line = " ".join(str(error.evalue).split())[:500]
        failure = f"{source.stem}: cell {error.exec_count} failed: {error.ename}: {line}"
    except NoSuchKernel:
        raise RunError(
            f"the Jupyter kernel {KERNEL!r} is missing; python -m pip install ipykernel", usage=True
        ) from None
    except RuntimeError as error:  # the kernel died
        temporary.unlink(missing_ok=True)
        line = " ".join(str(error).split())[:300]
        raise RunError(f"{source.stem}: {line} (is there enough memory?)") from None
    except BaseException:  # interrupted, or the disk is full: the file may be half-written
        temporary.unlink(missing_ok=True)
        raise
    try:
        write_atomically(output, tidy(temporary))
    finally:
        temporary.unlink(missing_ok=True)
    if failure:
        raise RunError(f"{failure} (see {output})")


def read(source: Path):
    """A notebook from its source, with cell ids that depend only on its order."""
    import jupytext

    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": KERNEL,
    }  # fmt: skip
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem.replace('_', '-')}-{number:02d}"
    return notebook


def tidy(path: Path) -> str:
    """The text of an executed notebook without times, machine and Papermill's own metadata."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    kept = ("kernelspec", "language_info", "jupytext")
    notebook.metadata = {key: notebook.metadata[key] for key in kept if key in notebook.metadata}
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != "papermill-error-cell-tag"]
        cell.metadata = {"tags": tags} if tags else {}
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def gather(plan: Plan) -> dict[str, Any]:
    """Writes results.json, provenance.json and manifest.json from the notebooks' parts."""
    results: dict[str, Any] = {
        "version": RESULTS_VERSION,
        "profile": plan.profile.name,
        "seed": plan.profile.seed,
    }
    artifacts: dict[str, Any] = {}
    for source in sources():
        part = json.loads((plan.folder / PARTS / f"{source.stem}.json").read_text())
        results |= part["results"]
        artifacts |= part["artifacts"]
    # Seconds of one core per stage, as measured when each artifact was made.
    seconds: dict[str, float] = {}
    for name, entry in artifacts.items():
        stage = name.split("-")[0]
        seconds[stage] = round(seconds.get(stage, 0.0) + entry["wall_seconds"], 2)
    results["wall_seconds"] = seconds
    write_json(plan.folder / "results.json", results)
    write_json(plan.folder / "provenance.json", provenance.record(plan.profile))
    files = {
        path.relative_to(plan.folder).as_posix(): hash_file(path)
        for pattern in ("*.ipynb", "figures/*", "tables/*", "results.json", "provenance.json")
        for path in sorted(plan.folder.glob(pattern))
    }
    write_json(plan.folder / "manifest.json", {"files": files, "artifacts": artifacts})
    return results


def verify(folder: Path) -> list[str]:
    """Problems of a finished run: files that are missing or do not match the manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        files = {str(name): expected for name, expected in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RunError(
            f"{folder} is not a finished run: no readable manifest.json", usage=True
        ) from None
    problems = []
    for name, expected in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            problems.append(f"{name}: not inside the run")
        elif not path.is_file():
            problems.append(f"{name}: missing")
        elif hash_file(path) != expected:
            problems.append(f"{name}: does not match its hash")
    return problems


def status(folder: Path) -> list[tuple[str, str]]:
    """Per notebook: done (and how long it took), or waiting."""
    done = _read_state(folder).get("notebooks", {})
    rows = []
    for source in sources():
        entry = done.get(source.stem)
        ok = entry and _intact(folder, entry)
        rows.append((source.stem, f"done in {entry['seconds']:.0f} s" if ok else "waiting"))
    return rows


def build(check: bool = False) -> list[str]:
    """Builds each ``.ipynb`` beside its source, executed with the source's own parameters.

    With ``check``, writes nothing and returns the names of notebooks whose cells differ from their
    source's.
    """
    if check:
        return [source.stem for source in sources() if not _same_cells(source)]
    for source in sources():
        execute(source, source.with_suffix(".ipynb"))
    return []


def _same_cells(source: Path) -> bool:
    import nbformat

    built = source.with_suffix(".ipynb")
    if not built.exists():
        return False

    def cells(notebook) -> list:
        return [
            (c.cell_type, c.source, c.get("id"), c.metadata.get("tags", [])) for c in notebook.cells
        ]

    return cells(read(source)) == cells(nbformat.read(built, as_version=4))


def _fingerprint(source: Path, parameters: dict[str, Any]) -> str:
    code = {p.relative_to(PACKAGE).as_posix(): hash_file(p) for p in sorted(PACKAGE.rglob("*.py"))}
    profiles = {p.name: hash_file(p) for p in sorted(PACKAGE.rglob("*.yaml"))}
    own = Path(str(parameters["profile"]))
    return hash_json(
        {
            "source": hash_file(source),
            "parameters": parameters,
            "code": code | profiles,
            "profile": hash_file(own) if own.suffix else "",
            "versions": provenance.versions(),
        }
    )


def _products(folder: Path, source: Path) -> list[Path]:
    """Figures and tables of a notebook, whose names begin with its number."""
    return [p for kind in ("figures", "tables") for p in folder.glob(f"{kind}/{source.stem[:3]}*")]


def _intact(folder: Path, known: dict[str, Any]) -> bool:
    return all(
        (folder / name).is_file() and hash_file(folder / name) == expected
        for name, expected in known["files"].items()
    )


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / STATE).read_text())
        return state if isinstance(state, dict) else {}
    except (OSError, ValueError):
        return {}


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is not a folder", usage=True)
    known = {STATE, LOCK, "figures", "tables", PARTS}  # a notebook on its own leaves the last three
    if (
        folder.exists()
        and {path.name for path in folder.iterdir()} - known
        and not (folder / STATE).exists()
    ):
        raise RunError(f"{folder} holds other files; choose a new or empty folder", usage=True)
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {folder}", usage=True)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
