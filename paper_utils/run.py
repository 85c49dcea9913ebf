"""One run of the paper: what a notebook holds, and Papermill running the notebooks in turn.

An executed notebook is an artifact of the store like any other: it appears whole, is found again by
its key, and is made anew where its source, the code or a parameter has changed.  A run's folder is
assembled from these.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from paper_utils import parallel, provenance
from paper_utils.config import Compute, Profile
from paper_utils.store import (
    Stage,
    Store,
    damage,
    hash_file,
    hash_json,
    mirror,
    write_atomically,
    write_json,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from IPython.display import HTML, Image
    from matplotlib.figure import Figure

ROOT = provenance.ROOT
NOTEBOOKS = ROOT / "notebooks"
PACKAGE = Path(__file__).parent
RUNS = ROOT / "runs"
RELEASE = ROOT / "artifacts" / "release"
LOCK = "run.lock"
KERNEL = "python3"
RESULTS_VERSION = 2
CODE = (".py", ".yaml")


class RunError(RuntimeError):
    """A run that cannot start (``usage``) or a notebook that failed; the message is one line."""

    def __init__(self, message: str, usage: bool = False, notebook: str = ""):
        super().__init__(message)
        self.usage, self.notebook = usage, notebook


def folder_of(profile: Profile, out: str | Path = "") -> Path:
    """Where a run writes unless it is told: ``runs/<profile>-seed<seed>`` in the project."""
    return Path(out) if out else RUNS / f"{profile.name}-seed{profile.seed}"


def store_of(profile: Profile) -> Store:
    """The store that a profile's ``compute`` names, behind what is published."""
    compute = profile.compute
    root = Path(compute.store) if compute.store else RUNS / "store"
    return Store(root.resolve(), RELEASE if compute.published else None, compute)


# What a notebook holds ------------------------------------------------------------------------


@dataclass
class Run:
    """What a notebook needs from the house: train-or-load, and where results go."""

    notebook: str
    profile: Profile
    folder: Path
    store: Store
    missing: dict[str, str] = field(default_factory=dict)
    """Encoders that this run has to do without, and why; every table says so."""
    used: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls, notebook: str, profile: str, seed: int = 0,
        overrides: dict[str, Any] | None = None, out: str = "",
    ) -> Run:  # fmt: skip
        """Validates a notebook's parameters.  Raises ProfileError, one line, on a bad one."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        parallel.one_thread()  # what is worth more than one is spread over workers
        return cls(notebook, loaded, folder_of(loaded, out).resolve(), store_of(loaded))

    def get(self, stage: Stage, **parameters: Any) -> Any:
        """Loads a stage's product, or makes it first: the one line of train-or-load."""
        return self.get_many(stage, [parameters])[0]

    def get_many(self, stage: Stage, each: Sequence[dict[str, Any]]) -> list[Any]:
        """Like `get` for several parameters; what is missing is made side by side."""
        products = self.store.get_many(stage, self.profile, each)
        for parameters in each:
            self._note(stage, parameters)
        return products

    def remake(self, stage: Stage, **parameters: Any) -> Any:
        """Makes a stage's product once more, in passing, to be compared with what there is."""
        return self.store.remake(stage, self.profile, **parameters)

    def _note(self, stage: Stage, parameters: dict[str, Any]) -> None:
        """Remembers an artifact that is used, and what it was made from."""
        name = stage.label(parameters)
        manifest = self.store.manifest(stage, self.profile, **parameters)
        if name in self.used or manifest is None:
            return
        facts = {key: manifest[key] for key in ("key", "files", "wall_seconds")}
        self.used[name] = facts | {"stage": stage.name}
        for needed, chosen in stage.needs(self.profile, **parameters):
            self._note(needed, chosen)

    def figure(self, figure: Figure, name: str, caption: str = "") -> Image:
        """Saves a figure as PDF and PNG, with the same bytes each time, and shows the PNG."""
        import matplotlib.pyplot as plt
        from IPython.display import Image

        pictures = {}
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", dpi=160)
            pictures[kind] = buffer.getvalue()
            write_atomically(self.folder / "figures" / f"{name}.{kind}", pictures[kind])
        plt.close(figure)
        self.captions[name] = caption
        return Image(data=pictures["png"], width=int(figure.get_figwidth() * 100))

    def animation(self, frames: Sequence[np.ndarray], name: str, caption: str = "") -> HTML:
        """Saves frames as a GIF that plays for ever, and shows it."""
        from base64 import b64encode

        from IPython.display import HTML
        from PIL import Image as Picture

        pictures = [Picture.fromarray(frame).quantize(64) for frame in frames]
        lasting = [500] * (len(frames) - 1) + [2000]  # milliseconds
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, "GIF", save_all=True, append_images=pictures[1:], duration=lasting, loop=0
        )
        write_atomically(self.folder / "figures" / f"{name}.gif", buffer.getvalue())
        self.captions[name] = caption
        data = b64encode(buffer.getvalue()).decode()
        return HTML(f'<img alt="{caption or name}" src="data:image/gif;base64,{data}">')

    def table(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Saves a table as CSV and gives it back to be shown."""
        write_atomically(self.folder / "tables" / f"{name}.csv", table.to_csv(index=False))
        if self.missing:
            print(f"without {', '.join(self.missing)}, which could not be had here")
        return table

    def check(self, answers: dict[int, Any]) -> None:
        """Tells which answers to the exercises are right (``notebooks/exercises.py``)."""
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("exercises", NOTEBOOKS / "exercises.py")
        exercises = module_from_spec(spec)
        spec.loader.exec_module(exercises)
        exercises.check(self, answers)

    def record(self, **results: Any) -> None:
        """Adds plain data, or a table as rows, to this notebook's part of results.json."""
        for name, value in results.items():
            if hasattr(value, "to_json"):
                value = json.loads(value.to_json(orient="records", double_precision=12))
            self.results[name] = value

    def finish(self) -> pd.DataFrame:
        """Writes this notebook's part of the results; returns what it used, with hashes."""
        import pandas as pd

        parallel.rest()
        part = {"results": {"missing": self.missing, **self.results}, "artifacts": self.used}
        part["captions"] = self.captions
        write_json(self.folder / "parts" / f"{self.notebook}.json", part)
        facts = provenance.versions() | {
            "profile": f"{self.profile.name}, seed {self.profile.seed}"
        }
        rows = [{"what": name, "which": value} for name, value in facts.items()]
        rows += [{"what": n, "which": f"key {e['key'][:16]}"} for n, e in self.used.items()]
        return pd.DataFrame(rows).set_index("what")


# Papermill runs the notebooks -----------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A run, checked before anything is written."""

    profile: Profile
    folder: Path
    arguments: dict[str, Any]
    """What the notebooks are given: profile (name or path), seed, overrides but for compute."""

    @classmethod
    def check(
        cls, profile: str, seed: int = 0, overrides: dict[str, Any] | None = None, out: str = ""
    ) -> Plan:
        """Raises ProfileError or RunError, one line, and writes nothing."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        changed = {k: v for k, v in (overrides or {}).items() if k.split(".")[0] != "compute"}
        if changed and not out:
            out = str(folder_of(loaded)) + "-" + hash_json(changed)[:8]
        folder = folder_of(loaded, out).resolve()
        _check_folder(folder)
        profile = str(Path(profile).resolve()) if Path(profile).suffix else profile
        return cls(loaded, folder, {"profile": profile, "seed": seed, "overrides": changed})

    @property
    def store(self) -> Store:
        return store_of(self.profile)

    def notebooks(self) -> list[tuple[str, dict[str, Any]]]:
        """Name of each notebook, and the parameters of its artifact."""
        from paper_utils.encoders import registry

        code = {p.relative_to(ROOT).as_posix(): p for p in PACKAGE.rglob("*") if p.suffix in CODE}
        code["exercises"] = NOTEBOOKS / "exercises.py"
        present, missing = registry.public(self.profile)
        made_from = {
            "arguments": self.arguments | {"profile": Path(self.arguments["profile"]).name},
            "profile": self.profile.model_dump(mode="json", exclude={"compute"}),
            "code": {name: hash_file(path) for name, path in code.items()},
            "versions": provenance.versions(),
            "public": {"present": [e.revision for e in present], "missing": missing},
        }
        return [
            (
                s.stem,
                {"name": s.stem, "made_from": {"source": {"sha256": hash_file(s)}} | made_from},
            )
            for s in sources()
        ]


def sources() -> list[Path]:
    """The notebooks' sources, in the order in which they run; RunError if there are none."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise RunError(f"no notebooks in {NOTEBOOKS}; install from a checkout: pip install -e .")
    return found


def _execute(profile: Profile, folder: Path, name: str, made_from: dict[str, Any]) -> None:
    arguments = made_from["arguments"]
    if Path(made_from["arguments"]["profile"]).suffix:  # a profile of one's own: as it was read
        write_json(folder / "profile.json", profile.model_dump(mode="json", exclude={"compute"}))
        arguments = arguments | {"profile": str(folder / "profile.json"), "overrides": {}}
    compute = profile.compute.model_dump(exclude_defaults=True) | {"progress": "terminal"}
    compute |= {"store": str(store_of(profile).root)}
    overrides = arguments["overrides"] | {f"compute.{k}": v for k, v in compute.items()}
    execute(
        NOTEBOOKS / f"{name}.py", folder / f"{name}.ipynb", folder,
        arguments | {"overrides": overrides, "out": "."},
        arguments | {"profile": Path(arguments["profile"]).name, "out": ""},
    )  # fmt: skip
    (folder / "profile.json").unlink(missing_ok=True)


NOTEBOOK = Stage(name="notebook", make=_execute, load=Path, fans_out=True)
"""The folder of an executed notebook, with its figures, tables and part of the results."""


def execute(
    source: Path, output: Path, folder: Path, parameters: dict[str, Any] | None = None,
    shown: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Executes a source through Papermill, its kernel working in ``folder``.

    ``shown``: parameters that the saved notebook shows in place of those injected, which hold paths
    of this machine.  Raises RunError, which holds the notebook as far as it came.
    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from papermill.exceptions import PapermillExecutionError

    with TemporaryDirectory() as temporary:
        executed = Path(temporary) / output.name
        try:
            papermill.execute_notebook(
                read(source), str(executed), parameters=parameters, kernel_name=KERNEL,
                progress_bar=False, start_timeout=120, cwd=str(folder), log_output=False,
                coalesce_streams=True,  # one text per cell: else it depends on the moment
                extra_arguments=["--log-level=CRITICAL"],
            )  # fmt: skip
        except PapermillExecutionError as error:
            line = " ".join(str(error.evalue).split())[:500]
            failure = f"{source.stem}: cell {error.exec_count} failed: {error.ename}: {line}"
            raise RunError(failure, notebook=tidy(executed, shown)) from None
        except NoSuchKernel:
            line = f"the Jupyter kernel {KERNEL!r} is missing; python -m pip install ipykernel"
            raise RunError(line, usage=True) from None
        except RuntimeError as error:  # the kernel died
            line = " ".join(str(error).split())[:300]
            raise RunError(f"{source.stem}: {line} (is there enough memory?)") from None
        write_atomically(output, tidy(executed, shown))


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


def tidy(path: Path, shown: dict[str, Any] | None = None) -> str:
    """The text of an executed notebook without times, machine and Papermill's own metadata."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    kept = ("kernelspec", "language_info", "jupytext")
    notebook.metadata = {key: notebook.metadata[key] for key in kept if key in notebook.metadata}
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != "papermill-error-cell-tag"]
        if "injected-parameters" in tags and shown:
            lines = [f"{name} = {value!r}" for name, value in shown.items()]
            cell.source = "\n".join(["# Parameters", *lines])
        cell.metadata = {"tags": tags} if tags else {}
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def run(plan: Plan, say=print) -> Path:
    """Runs what has changed since the folder's last run, and assembles the folder.

    Returns the folder.  Raises RunError naming the notebook and the error of the first cell that
    failed; the notebook, executed up to there, is in the folder as ``NN_name.failed.ipynb``.
    """
    from filelock import FileLock, Timeout

    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(plan.folder / LOCK, timeout=0):
            return _run(plan, say)
    except Timeout:
        raise RunError(f"another run is writing to {plan.folder}") from None


def _run(plan: Plan, say) -> Path:
    store, parts, made = plan.store, {}, 0
    store.published = None  # a run's own notebooks
    each = plan.notebooks()
    for number, (name, parameters) in enumerate(each, 1):
        waiting = damage(store.path(NOTEBOOK, plan.profile, **parameters)) is not None
        if waiting:
            say(f"[{number}/{len(each)}] {name} ...", flush=True)
        started = time.monotonic()
        try:
            (parts[name],) = store.paths(NOTEBOOK, plan.profile, [parameters])
        except RunError as error:
            if not error.notebook:
                raise
            failed = plan.folder / f"{name}.failed.ipynb"
            write_atomically(failed, error.notebook)
            raise RunError(f"{error} (see {failed})") from None
        if waiting:
            made += 1
            seconds = time.monotonic() - started
            say(f"[{number}/{len(each)}] {name} done in {seconds:.0f} s", flush=True)
    if not made and (plan.folder / "manifest.json").exists() and not verify(plan.folder):
        say("nothing to do: the run is complete and nothing has changed")
        return plan.folder
    mirror(assemble(plan, parts), plan.folder, keep=[LOCK])
    return plan.folder


def assemble(plan: Plan, notebooks: dict[str, Path]) -> dict[str, Path | bytes]:
    """All files of a run's folder, from the folders of its executed notebooks; manifest first."""
    from paper_utils import report

    results: dict[str, Any] = {
        "version": RESULTS_VERSION, "profile": plan.profile.name, "seed": plan.profile.seed,
        "missing": {},
    }  # fmt: skip
    artifacts: dict[str, Any] = {}
    captions: dict[str, str] = {}
    files: dict[str, Path | bytes] = {}
    for name, folder in notebooks.items():
        part = json.loads((folder / "parts" / f"{name}.json").read_text())
        results |= part["results"] | {"missing": results["missing"] | part["results"]["missing"]}
        artifacts |= part["artifacts"]
        captions |= part["captions"]
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_file() and relative.parts[0] in (f"{name}.ipynb", "figures", "tables"):
                files[relative.as_posix()] = path
    seconds: dict[str, float] = {}  # of one core, as measured when each artifact was made
    for entry in artifacts.values():
        stage = entry["stage"]
        seconds[stage] = round(seconds.get(stage, 0.0) + entry["wall_seconds"], 2)
    results |= {"wall_seconds": seconds, "captions": captions}
    facts = provenance.record(plan.profile)
    files |= {"results.json": _json(results), "provenance.json": _json(facts)}
    files |= report.pages(files, results, facts, captions)
    hashes = {
        name: hash_file(content) if isinstance(content, Path) else _sha256(content)
        for name, content in files.items()
    }
    manifest = _json({"files": hashes, "artifacts": artifacts})
    return {"manifest.json": manifest, **files}  # first: it marks the folder as ours


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def verify(folder: Path) -> list[str]:
    """Problems of a finished run: files that are missing or do not match the manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        files = {str(name): expected for name, expected in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        line = f"{folder} is not a finished run: no readable manifest.json"
        raise RunError(line, usage=True) from None
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


def status(plan: Plan) -> list[tuple[str, str]]:
    """Per notebook: done (and how long it took), or waiting."""
    rows = []
    for name, parameters in plan.notebooks():
        path = plan.store.path(NOTEBOOK, plan.profile, **parameters)
        done = damage(path) is None
        seconds = json.loads((path / "manifest.json").read_text())["wall_seconds"] if done else 0
        rows.append((name, f"done in {seconds:.0f} s" if done else "waiting"))
    return rows


def build(check: bool = False) -> list[str]:
    """Builds each ``.ipynb`` beside its source, executed with the source's own parameters.

    With ``check``, writes nothing and returns the names of notebooks whose cells differ from their
    source's.
    """
    if check:
        return [source.stem for source in sources() if not _same_cells(source)]
    for source in sources():
        execute(source, source.with_suffix(".ipynb"), NOTEBOOKS)
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


def _check_folder(folder: Path) -> None:
    import os

    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is not a folder", usage=True)
    ours = {LOCK, "figures", "tables", "parts"}  # a notebook on its own leaves the last three
    others = {path.name for path in folder.iterdir()} - ours if folder.exists() else set()
    others = {name for name in others if not name.endswith((".failed.ipynb", ".tmp"))}
    if others and not (folder / "manifest.json").exists():
        raise RunError(f"{folder} holds other files; choose a new or empty folder", usage=True)
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {folder}", usage=True)


__all__ = ["Compute", "Plan", "Run", "RunError", "build", "run", "status", "verify"]
