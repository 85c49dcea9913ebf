"""One run of the paper: one plan of work, then notebooks that load it, then the run's folder."""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from paper_utils import folder as folders
from paper_utils import notebooks, parallel, plan, report, store
from paper_utils.config import Profile
from paper_utils.encoders import records
from paper_utils.notebooks import NOTEBOOK
from paper_utils.parallel import Task
from paper_utils.progress import Progress
from paper_utils.run import RUNS, RunError, store_of
from paper_utils.store import MANIFEST
from paper_utils.study import results as study
from paper_utils.study.products import products

LOCK = "run.lock"
# What may lie in a folder that no run has finished: what a notebook leaves that is executed on its
# own, and what systems leave.
KNOWN = ("figures", "tables", "parts", LOCK, ".tmp", *store.STRAY)


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
        # A checked profile: rooms register what they know of it.
        from paper_utils import Profile

        # Without notebooks (as in an installation that is no checkout) there is nothing to run.
        notebooks.sources()
        loaded = Profile.load(profile, overrides=overrides, seed=seed)
        given = (overrides or {}).items()
        changed = {key: value for key, value in given if not key.startswith("compute")}
        # As text, since the order of levels counts.
        mark = f"-{store.hash_json(json.dumps(changed))[:8]}" if changed else ""
        folder = Path(out or RUNS / f"{loaded.name}-seed{loaded.seed}{mark}").resolve()
        _check_folder(folder)
        known = str(Path(profile).resolve()) if Path(profile).suffix else profile
        return cls(loaded, folder, {"profile": known, "seed": seed, "overrides": changed})


def _check_folder(folder: Path) -> None:
    """Raises RunError where a run would overwrite what is not its own."""
    if (folder / MANIFEST).exists():
        for name, problem in folders.verify(folder).items():
            if "match" in problem:
                remedy = "move it away, or choose another folder with --out"
                raise RunError(f"{folder / name} was changed by hand: {remedy}", usage=True)
    elif not all(path.name.endswith(KNOWN) for path in folder.glob("*")):
        raise RunError(f"{folder} holds other files; choose a new or empty folder", usage=True)


def run(job: Job) -> Path:
    """Makes what is missing, executes the notebooks that have changed, assembles the folder.

    Returns the folder.  Raises RunError naming the notebook, the error of the first cell that
    failed, and where it lies as far as it came."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.folder / LOCK, timeout=0):
            each = notebooks.parameters_of(job.profile, job.arguments)
            changed = _execute(job, each)
            # Somebody may have deleted files of a run that had ended.
            if changed or not (job.folder / MANIFEST).exists() or folders.verify(job.folder):
                _assemble(job, each)
            else:
                print("nothing to do: the run is complete and nothing has changed")
    except Timeout:
        raise RunError(f"another run is writing to {job.folder}") from None
    return job.folder


def _waiting(job: Job, each: list[dict]) -> list[Task]:
    """Products and notebooks that are still to be made, as one plan of work."""
    profile = job.profile
    artifacts = store_of(profile)
    # One plan for everything, so that one bar knows what is left.
    tasks = plan.tasks_of(artifacts, products(profile))
    for one in each:
        # A notebook is a product, too: unchanged, it is not executed again.
        if artifacts.find(NOTEBOOK, profile, one) is None:
            name = one["name"]
            # It begins when what it loads is there, not when everything is.
            loaded = products(profile, name)
            needs = frozenset(stage.key(known, chosen) for stage, known, chosen in loaded)
            seconds = NOTEBOOK.cost(profile, **one)
            tasks.append(Task(name, notebooks.make_notebook, (profile, one), seconds, needs))
    return tasks


def _execute(job: Job, each: list[dict]) -> bool:
    """Does all that is waiting; returns whether there was anything to do."""
    tasks = _waiting(job, each)
    names = {one["name"] for one in each}

    def tell(key: str, seconds: float) -> None:
        if key in names:
            bar.write(f"{key} done in {seconds:.0f} s")

    with closing(Progress("paper", job.profile.compute)) as bar:
        parallel.run(tasks, job.profile.compute, tell, bar)
    return bool(tasks)


def _assemble(job: Job, each: list[dict]) -> None:
    profile = job.profile
    artifacts = store_of(profile)
    # Everything that went into it, down to the first episode where that was not published.
    made = {}
    for key, product in plan.walk(products(profile), artifacts.manifest).items():
        stage, _, parameters = product
        manifest = artifacts.manifest(*product)
        facts = {name: manifest[name] for name in ("key", "files", "wall_seconds")}
        made[f"{stage.label(parameters)}/{key[:20]}"] = facts | {"stage": stage.name}
    # Executed notebooks lie in the store; the folder gets copies.
    places = {one["name"]: artifacts.find(NOTEBOOK, profile, one) for one in each}
    contents, captions = folders.collect(places)
    seconds = pd.DataFrame(made.values()).groupby("stage")["wall_seconds"].sum().round(2)
    facts = folders.facts_of(profile)
    results = study.results(profile, artifacts.get) | {
        "version": 3,
        "profile": profile.name,
        "seed": profile.seed,
        "missing": records.missing(profile),
        "captions": captions,
        "wall_seconds": seconds.to_dict(),
    }
    contents["results.json"] = store.json_bytes(results)
    # Keys in their order: that of the levels decides which id a sentence has.
    contents["provenance.json"] = json.dumps(facts, indent=1).encode()
    contents |= report.pages(contents, results, facts)
    # What the last run wrote may go; whatever else lies there is somebody's.
    ours = list(folders.hashes_of(job.folder)) if (job.folder / MANIFEST).exists() else []
    # Nor are parts of notebooks that were executed here on their own part of a run.
    ours += [f"parts/{name}.json" for name in places]
    store.sync_folder(folders.with_manifest(contents, made), job.folder, ours)


def status(job: Job) -> dict[str, str]:
    """Per notebook whether it is done; and how much is still to be made."""
    each = notebooks.parameters_of(job.profile, job.arguments)
    left = {task.key: task.seconds for task in _waiting(job, each)}
    said = {one["name"]: "waiting" if one["name"] in left else "done" for one in each}
    minutes = sum(left.values()) / 60
    return said | {"left": f"{len(left)} tasks, about {minutes:.0f} min of one core"}
