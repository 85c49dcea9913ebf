"""One run of the paper: one plan of work, then notebooks that load it, then the run's folder."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from paper_utils import folder as folders
from paper_utils import notebooks, parallel, plan, report, store
from paper_utils.config import Profile
from paper_utils.notebooks import NOTEBOOK
from paper_utils.parallel import Task
from paper_utils.progress import Progress
from paper_utils.run import RUNS, RunError, store_of
from paper_utils.store import MANIFEST, write_atomically

LOCK = "run.lock"
# What a notebook that is executed on its own leaves in the folder.
LEFT_BY_NOTEBOOKS = {"figures", "tables", "parts"}


@dataclass(frozen=True)
class Job:
    """A run, checked before anything is written."""

    profile: Profile
    folder: Path
    arguments: dict
    """What the notebooks are given: profile (name or path), seed, overrides but for compute."""

    @classmethod
    def check(
        cls, profile: str, seed: int = 0, overrides: dict | None = None, out: str = ""
    ) -> "Job":
        """Raises ProfileError or RunError, one line, and writes nothing."""
        from paper_utils import Profile

        # Without notebooks (as in an installation that is no checkout) there is nothing to run.
        notebooks.sources()
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        changed = {}
        for key, value in (overrides or {}).items():
            if key.split(".")[0] != "compute":
                changed[key] = value
        name = f"{loaded.name}-seed{loaded.seed}"
        if changed:
            # As text, since the order of levels counts.
            name += f"-{store.hash_json(json.dumps(changed))[:8]}"
        folder = Path(out or RUNS / name).resolve()
        _check_folder(folder)
        known = str(Path(profile).resolve()) if Path(profile).suffix else profile
        return cls(loaded, folder, {"profile": known, "seed": seed, "overrides": changed})


def _check_folder(folder: Path) -> None:
    """Raises RunError where a run could not write, or would overwrite what is not its own."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is not a folder", usage=True)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"cannot write to {folder}", usage=True)
    if (folder / MANIFEST).exists():
        changed = folders.changed(folder)
        if changed:
            remedy = "move it away, or choose another folder with --out"
            raise RunError(f"{folder / changed[0]} was changed by hand: {remedy}", usage=True)
        return
    for path in folder.glob("*"):
        known = path.name in LEFT_BY_NOTEBOOKS or path.name in (LOCK, *store.STRAY)
        if not known and not path.name.endswith((".failed.ipynb", ".tmp")):
            line = f"{folder} holds other files; choose a new or empty folder"
            raise RunError(line, usage=True)


def run(job: Job) -> Path:
    """Makes what is missing, executes the notebooks that have changed, assembles the folder.

    Returns the folder.  Raises RunError naming the notebook and the error of the first cell that
    failed; it is in the folder as ``NN_name.failed.ipynb``."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(job.folder / LOCK, timeout=0).acquire()
    except Timeout:
        raise RunError(f"another run is writing to {job.folder}") from None
    with lock:
        # A notebook is a product, too: unchanged, it is not executed again.
        each = notebooks.parameters_of(job.profile, job.arguments)
        changed = _execute(job, each)
        # Somebody may have deleted files of a run that had ended.
        done = (job.folder / MANIFEST).exists() and not folders.verify(job.folder)
        if changed or not done:
            _assemble(job, each)
        else:
            print("nothing to do: the run is complete and nothing has changed")
    return job.folder


def _execute(job: Job, each: list[dict]) -> bool:
    """Products and notebooks as one plan of work; returns whether there was anything to do."""
    from paper_utils.study.products import products

    profile = job.profile
    artifacts = store_of(profile)
    # One plan for everything, so that one bar knows what is left.
    made = plan.tasks_of(artifacts, plan.missing(artifacts, products(profile)))
    waiting = [one for one in each if artifacts.find(NOTEBOOK, profile, one) is None]
    tasks = list(made)
    keys = {task.key for task in made}
    for one in waiting:
        # A notebook begins when what it loads is there, not when everything is.
        own = plan.missing(artifacts, products(profile, one["name"]))
        seconds = NOTEBOOK.cost(profile, **one)
        arguments = profile, one
        needs = frozenset(own) & keys
        tasks.append(Task(one["name"], notebooks.make_notebook, arguments, seconds, needs))
    with Progress("paper", profile.compute) as bar:
        done = _teller(job, {one["name"]: one for one in waiting}, bar)
        try:
            parallel.run(tasks, profile.compute, done, bar)
        except RunError as error:
            raise _kept(error, job.folder) from None
    return bool(tasks)


def _teller(job: Job, waiting: dict[str, dict], bar: Progress) -> Callable[[str], None]:
    """Prints a line for each notebook that is done."""
    artifacts = store_of(job.profile)

    def done(key: str) -> None:
        if key in waiting:
            made = artifacts.manifest(NOTEBOOK, job.profile, **waiting[key])
            bar.write(f"{key} done in {made['wall_seconds']:.0f} s")

    return done


def _kept(error: RunError, folder: Path) -> RunError:
    """The same error, with the place of the notebook that failed."""
    for name, text in error.files.items():
        write_atomically(folder / name, text)
        return RunError(f"{error} (see {folder / name})")
    return error


def _assemble(job: Job, each: list[dict]) -> None:
    from paper_utils.study import results as study

    profile = job.profile
    artifacts = store_of(profile)
    # Executed notebooks lie in the store; the folder gets copies.
    places = {one["name"]: artifacts.find(NOTEBOOK, profile, one) for one in each}
    files, said = folders.collect(places)
    results = {"version": 3, "profile": profile.name, "seed": profile.seed}
    results |= {"missing": said["missing"], "captions": said["captions"]}
    results |= study.results(profile, artifacts.get)
    results["wall_seconds"] = folders.wall_seconds(said["artifacts"].values())
    facts = folders.facts_of(profile)
    contents = dict(files)
    contents["results.json"] = store.json_bytes(results)
    # Keys in their order: that of the levels decides which id a sentence has.
    contents["provenance.json"] = json.dumps(facts, indent=1).encode()
    contents |= report.pages(contents, results, facts)
    # What the last run wrote may go; whatever else lies there is somebody's.
    before = folders.hashes_of(job.folder) if (job.folder / MANIFEST).exists() else {}
    # Parts of notebooks that were executed here on their own are no part of a run.
    ours = [*before, *(f"parts/{name}.json" for name in places)]
    failed = [f"{name}.failed.ipynb" for name in places]
    store.sync_folder(
        folders.with_manifest(contents, said["artifacts"]), job.folder, [*ours, *failed]
    )


def status(job: Job) -> list[tuple[str, str]]:
    """Per notebook: done (and how long it took), or waiting; and how much is still to be made."""
    from paper_utils.study.products import products

    artifacts = store_of(job.profile)
    lines = []
    for one in notebooks.parameters_of(job.profile, job.arguments):
        made = artifacts.manifest(NOTEBOOK, job.profile, **one)
        said = f"done in {made['wall_seconds']:.0f} s" if made else "waiting"
        lines.append((one["name"], said))
    tasks = plan.tasks_of(artifacts, plan.missing(artifacts, products(job.profile)))
    minutes = sum(task.seconds for task in tasks) / 60
    lines.append(("products", f"{len(tasks)} missing, about {minutes:.0f} min of one core"))
    return lines
