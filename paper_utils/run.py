"""One run of the paper: what a notebook holds, and Papermill running the notebooks.

An executed notebook is an artifact of the store, made anew where its source, the code or a
parameter has changed.  A run's folder is assembled from these."""

import io
import json
import os
import runpy
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path

import pandas as pd
import PIL.Image
from filelock import FileLock, Timeout
from IPython.display import HTML, Image, Markdown, display

from paper_utils import parallel, store
from paper_utils.code import ROOT
from paper_utils.config import Compute, Profile
from paper_utils.store import MANIFEST, Stage, Store, damage, hash_file, write_atomically

NOTEBOOKS, RUNS, RELEASE = ROOT / "notebooks", ROOT / "runs", ROOT / "artifacts" / "release"
LOCK, KERNEL = "run.lock", "python3"
SIDE_BY_SIDE = 2  # notebooks: while one draws, the other trains
HUSH = "import logging; logging.getLogger('asyncio').setLevel(logging.CRITICAL)"


class RunError(RuntimeError):
    """A run that cannot start (``usage``) or a notebook that failed; the message is one line.
    ``files``: what is worth keeping, by name."""

    def __init__(self, message: str, usage: bool = False, files: Mapping[str, str] = {}):
        super().__init__(message)
        self.usage, self.files = usage, files


def store_of(profile: Profile) -> Store:
    """The store that a profile's ``compute`` names, behind what is published."""
    root = Path(profile.compute.store or RUNS / "store").resolve()
    return Store(root, RELEASE if profile.compute.published else None, profile.compute)


@dataclass
class Run:
    """What a notebook needs: train-or-load, and where results go."""

    notebook: str
    profile: Profile
    folder: Path
    store: Store
    missing: dict[str, str] = field(default_factory=dict)
    """Encoders that this run has to do without, and why; every table says so."""
    used: dict[str, dict] = field(default_factory=dict)
    results: dict = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, notebook: str, profile: str, seed: int = 0, overrides: dict | None = None,
              out: str = "") -> "Run":  # fmt: skip
        """Validates a notebook's parameters.  Raises ProfileError, one line, on a bad one."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        parallel.one_thread()  # what is worth more than one is spread over workers
        folder = Path(out or RUNS / f"{loaded.name}-seed{loaded.seed}").resolve()
        return cls(notebook, loaded, folder, store_of(loaded))

    def get(self, stage: Stage, **parameters):
        """Loads a stage's product, or makes it first: the one line of train-or-load."""
        return self.get_many(stage, [parameters])[0]

    def get_many(self, stage: Stage, each: Sequence[dict]) -> list:
        """Like `get` for several parameters; what is missing is made side by side."""
        products = self.store.get_many(stage, self.profile, each)
        for parameters in each:
            self._note(stage, parameters)
        return products

    def _note(self, stage: Stage, parameters: dict) -> None:
        """Remembers an artifact that is used, and what it was made from."""
        name = stage.label(parameters)
        made = self.store.manifest(stage, self.profile, **parameters)
        if name not in self.used and made:
            facts = {key: made[key] for key in ("key", "files", "wall_seconds")}
            self.used[name] = facts | {"stage": stage.name}
            for needed, chosen in stage.needs(self.profile, **parameters):
                self._note(needed, chosen)

    def figure(self, figure, name: str, caption: str) -> None:
        """Saves a figure as PDF and PNG, the same bytes each time; shows it and its caption."""
        from matplotlib import pyplot

        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", dpi=160)
            write_atomically(self.folder / "figures" / f"{name}.{kind}", buffer.getvalue())
        pyplot.close(figure)
        self.captions[name] = caption
        shown = Image(buffer.getvalue(), width=int(figure.get_figwidth() * 100))
        display(shown, Markdown(f"*{caption}*"))

    def animation(self, frames: Sequence, name: str, caption: str) -> None:
        """Saves frames (uint8[H, W, 3]) as a GIF that plays for ever, and shows it."""
        first, *others = (PIL.Image.fromarray(frame).quantize(64) for frame in frames)
        lasting, buffer = [500] * len(others) + [2000], io.BytesIO()  # milliseconds
        first.save(buffer, "GIF", save_all=True, append_images=others, duration=lasting, loop=0)
        write_atomically(self.folder / "figures" / f"{name}.gif", buffer.getvalue())
        self.captions[name] = caption
        data = b64encode(buffer.getvalue()).decode()
        shown = HTML(f'<img alt="{escape(caption)}" src="data:image/gif;base64,{data}">')
        display(shown, Markdown(f"*{caption}*"))

    def table(self, table, name: str):
        """Saves a table as CSV and gives it back to be shown."""
        write_atomically(self.folder / "tables" / f"{name}.csv", table.to_csv(index=False))
        if self.missing:
            print(f"without {', '.join(self.missing)}, which could not be had here")
        return table

    def check(self, answers: dict) -> None:
        """Tells which answers to the exercises are right (``notebooks/exercises.py``)."""
        runpy.run_path(str(NOTEBOOKS / "exercises.py"))["check"](self, answers)

    def record(self, **results) -> None:
        """Adds plain data, or a table as rows, to this notebook's part of results.json."""
        for name, value in results.items():
            if hasattr(value, "to_json"):
                value = json.loads(value.to_json(orient="records", double_precision=12))
            self.results[name] = value

    def finish(self):
        """Writes this notebook's part of the results; returns a table of what it used."""
        parallel.rest()
        results = {"missing": self.missing, **self.results}
        part = {"results": results, "artifacts": self.used, "captions": self.captions}
        path = self.folder / "parts" / f"{self.notebook}.json"
        write_atomically(path, store.json_bytes(part))
        facts = {**store.versions(), "profile": f"{self.profile.name}, seed {self.profile.seed}"}
        facts |= {name: f"key {entry['key'][:16]}" for name, entry in self.used.items()}
        return pd.DataFrame(facts.items(), columns=["what", "which"]).set_index("what")


@dataclass(frozen=True)
class Plan:
    """A run, checked before anything is written."""

    profile: Profile
    folder: Path
    arguments: dict
    """What the notebooks are given: profile (name or path), seed, overrides but for compute."""

    @classmethod
    def check(cls, profile: str, seed: int = 0, overrides: dict | None = None,
              out: str = "") -> "Plan":  # fmt: skip
        """Raises ProfileError or RunError, one line, and writes nothing."""
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        changed = {k: v for k, v in (overrides or {}).items() if k.split(".")[0] != "compute"}
        suffix = f"-{store.hash_json(json.dumps(changed))[:8]}" if changed else ""  # order counts
        folder = Path(out or RUNS / f"{loaded.name}-seed{loaded.seed}{suffix}").resolve()
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is not a folder", usage=True)
        ours = {LOCK, "figures", "tables", "parts"}  # a notebook on its own leaves the last three
        others = [path.name for path in folder.glob("*") if path.name not in ours
                  and not path.name.endswith((".failed.ipynb", ".tmp"))]  # fmt: skip
        if others and MANIFEST not in others:
            raise RunError(f"{folder} holds other files; choose a new or empty folder", usage=True)
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise RunError(f"cannot write to {folder}", usage=True)
        profile = str(Path(profile).resolve()) if Path(profile).suffix else profile
        return cls(loaded, folder, {"profile": profile, "seed": seed, "overrides": changed})

    def notebooks(self) -> list[dict]:
        """The parameters of each notebook's artifact: its name, and what it is made from."""
        from paper_utils.encoders import registry

        kinds = (".py", ".yaml", ".html", ".md")
        code = [p for p in (ROOT / "paper_utils").rglob("*") if p.suffix in kinds]
        code.append(NOTEBOOKS / "exercises.py")
        present, missing = registry.public(self.profile)
        made_from = {
            "arguments": self.arguments | {"profile": Path(self.arguments["profile"]).name},
            # As text: levels in their order.
            "profile": {"json": self.profile.model_dump_json(exclude={"compute"})},
            "code": {"/".join(path.parts[-2:]): hash_file(path) for path in code},
            "versions": store.versions(),
            "public": {"present": [e.revision for e in present], "missing": missing},
        }
        return [{"name": p.stem, "made_from": made_from | {"source": {"sha256": hash_file(p)}}}
                for p in sources()]  # fmt: skip


def sources() -> list[Path]:
    """The notebooks' sources, in the order in which they run; RunError if there are none."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise RunError(f"no notebooks in {NOTEBOOKS}; install from a checkout: pip install -e .")
    return found


def _make(profile: Profile, folder: Path, name: str, made_from: dict) -> None:
    """Executes a notebook with the profile as it was read, which it shows as it was asked for."""
    began, as_read = time.monotonic(), folder / "profile.json"
    print(f"{name} ...", flush=True)
    write_atomically(as_read, profile.model_dump_json(exclude={"compute"}))  # keys as they are
    compute = profile.compute.model_dump(exclude_defaults=True)
    compute |= {"progress": "terminal", "store": str(store_of(profile).root)}
    given = {"profile": str(as_read), "seed": profile.seed, "out": ".",
             "overrides": {f"compute.{key}": value for key, value in compute.items()}}  # fmt: skip
    execute(NOTEBOOKS / f"{name}.py", folder, given, made_from["arguments"] | {"out": ""})
    as_read.unlink()
    print(f"{name} done in {time.monotonic() - began:.0f} s", flush=True)


NOTEBOOK = Stage(name="notebook", make=_make, load=Path, fans_out=True)
"""The folder of an executed notebook, with its figures, tables and part of the results."""


def execute(source: Path, folder: Path, given: dict | None = None, shown: dict | None = None):
    """Executes a source through Papermill in ``folder``, where the executed notebook appears.
    ``shown``: the parameters that it shows in place of those ``given``, which hold paths of this
    machine.  Raises RunError, which holds the notebook as far as it came."""
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    executed = folder / f".{source.stem}.ipynb"
    try:
        papermill.execute_notebook(
            read(source), str(executed), parameters=given, kernel_name=KERNEL,
            progress_bar=False, start_timeout=120, cwd=str(folder), log_output=False,
            coalesce_streams=True,  # one text per cell: else it depends on the moment
            config=Config(KernelManager={"shutdown_wait_time": 60.0}),  # on a busy machine
            # What goes to the terminal (progress) stays out of the cells; a kernel that ends
            # while it still listens does not complain.
            extra_arguments=["--log-level=CRITICAL", "--IPKernelApp.capture_fd_output=False",
                             f"--IPKernelApp.exec_lines={HUSH}"],
        )  # fmt: skip
        write_atomically(folder / f"{source.stem}.ipynb", _tidy(executed, shown))
    except (PapermillExecutionError, RuntimeError) as error:
        line, kept = f"{error} (is there enough memory?)", {}
        if isinstance(error, PapermillExecutionError):
            line = f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
            kept[f"{source.stem}.failed.ipynb"] = _tidy(executed, shown)
        raise RunError(f"{source.stem}: {' '.join(line.split())[:500]}", files=kept) from None
    finally:
        executed.unlink(missing_ok=True)


def read(source: Path):
    """A notebook, source or built, with cell ids that depend only on its order."""
    import jupytext

    notebook = jupytext.read(source)
    kernel = {"display_name": "Python 3", "language": "python", "name": KERNEL}
    notebook.metadata["kernelspec"] = kernel
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem.replace('_', '-')}-{number:02d}"
    return notebook


def _tidy(path: Path, shown: dict | None) -> str:
    """The text of an executed notebook without times, machine and Papermill's own metadata."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for key in notebook.metadata.keys() - {"kernelspec", "language_info", "jupytext"}:
        del notebook.metadata[key]
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != "papermill-error-cell-tag"]
        if "injected-parameters" in tags and shown:
            lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in shown.items())]
            cell.source = "\n".join(lines)
        cell.metadata = {"tags": tags} if tags else {}
    return nbformat.writes(notebook) + "\n"


def run(plan: Plan) -> Path:
    """Runs what has changed since the folder's last run, and assembles the folder.
    Two notebooks run at once, but for those that load large checkpoints: what one needs of the
    other, it waits for in the store.  Returns the folder.  Raises RunError naming the notebook and
    the error of the first cell that failed; it is in the folder as ``NN_name.failed.ipynb``."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(plan.folder / LOCK, timeout=0).acquire()
    except Timeout:
        raise RunError(f"another run is writing to {plan.folder}") from None
    with lock:
        artifacts, each = store_of(plan.profile), plan.notebooks()
        places = [artifacts.path(NOTEBOOK, plan.profile, **one) for one in each]
        waiting = len([path for path in places if damage(path)])
        workers, large = plan.profile.compute.workers, plan.profile.encoders.checkpoints
        count = 1 if large else min(SIDE_BY_SIDE, max(1, waiting), workers or parallel.cpu_count())
        execute_one = partial(artifacts.paths, NOTEBOOK, plan.profile)
        try:
            paths = parallel.map(execute_one, [[one] for one in each], Compute(workers=count))
            parallel.rest()
        except BaseException as error:
            parallel.rest(kill=True)  # what runs beside it
            for name, text in getattr(error, "files", {}).items():
                write_atomically(plan.folder / name, text)
                raise RunError(f"{error} (see {plan.folder / name})") from None
            raise
        if waiting or not (plan.folder / MANIFEST).exists() or verify(plan.folder):
            parts = {one["name"]: path for one, (path,) in zip(each, paths)}
            store.mirror(_assemble(plan, parts), plan.folder, keep=[LOCK])
        else:
            print("nothing to do: the run is complete and nothing has changed")
    return plan.folder


def _assemble(plan: Plan, notebooks: dict[str, Path]) -> dict[str, Path | bytes]:
    """All files of a run's folder, from the folders of its executed notebooks; manifest first."""
    from paper_utils import report

    results = {"version": 2, "profile": plan.profile.name, "seed": plan.profile.seed}
    results |= {"missing": {}, "captions": {}, "wall_seconds": {}}
    files, artifacts = {}, {}
    for name, folder in notebooks.items():
        part = json.loads((folder / "parts" / f"{name}.json").read_text())
        results |= part["results"] | {"missing": results["missing"] | part["results"]["missing"]}
        results["captions"] |= part["captions"]
        artifacts |= part["artifacts"]
        shown = (file for file in store.files_of(folder) if not file.startswith("parts/"))
        files |= {file: folder / file for file in shown}
    seconds = results["wall_seconds"]  # as measured when each artifact was made
    for entry in artifacts.values():
        seconds[entry["stage"]] = round(seconds.get(entry["stage"], 0) + entry["wall_seconds"], 2)
    facts = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "code": commit(), "versions": store.versions(), "host": store.host(),
        "profile": plan.profile.model_dump(mode="json")}  # fmt: skip
    files["results.json"] = store.json_bytes(results)
    files["provenance.json"] = json.dumps(facts, indent=1).encode()  # keys in their order
    files |= report.pages(files, results, facts)
    hashes = {name: hash_file(content) for name, content in files.items()}
    manifest = store.json_bytes({"files": hashes, "artifacts": artifacts})
    return {MANIFEST: manifest, **files}  # first: it marks the folder as ours


def commit() -> dict:
    """Git commit of the code and whether the work tree differs from it; empty outside a clone."""
    git, options = ["git", "-C", str(ROOT)], {"stderr": subprocess.DEVNULL, "timeout": 10}
    try:
        head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, **options)
        changes = subprocess.check_output([*git, "status", "-s"], **options)
        return {"commit": head.strip(), "dirty": bool(changes)}
    except (OSError, subprocess.SubprocessError):
        return {}


def verify(folder: Path) -> list[str]:
    """Problems of a finished run: files that are missing or do not match the manifest."""
    try:
        expected = json.loads((folder / MANIFEST).read_text())["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        line = f"{folder} is not a finished run: no readable {MANIFEST}"
        raise RunError(line, usage=True) from None
    found = {name: entry["sha256"] for name, entry in store.files_of(folder).items()}
    return [f"{name}: {'does not match its hash' if name in found else 'missing'}"
            for name, sha256 in expected if name not in found or found[name] != sha256]  # fmt: skip


def status(plan: Plan) -> list[tuple[str, str]]:
    """Per notebook: done (and how long it took), or waiting."""
    artifacts, each = store_of(plan.profile), plan.notebooks()
    made = [artifacts.manifest(NOTEBOOK, plan.profile, **parameters) for parameters in each]
    said = [f"done in {one['wall_seconds']:.0f} s" if one else "waiting" for one in made]
    return [(parameters["name"], text) for parameters, text in zip(each, said)]


def build(check: bool = False) -> list[str]:
    """Executes each notebook beside its source; with ``check``, only names those that differ."""
    stale = []
    for source in sources():
        built = source.with_suffix(".ipynb")
        if not check:
            execute(source, NOTEBOOKS)
        elif not built.exists() or _cells(read(source)) != _cells(read(built)):
            stale.append(source.stem)
    return stale


def _cells(notebook) -> list[tuple]:
    """What an executed notebook has in common with its source."""
    return [(c.cell_type, c.source, c.metadata.get("tags")) for c in notebook.cells]
