"""One run of the paper: one plan of work, then notebooks that load it, then the run's folder."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from paper_utils import Profile, folder, notebooks, parallel, plan
from paper_utils.encoders import records
from paper_utils.notebooks import NOTEBOOK
from paper_utils.parallel import Task
from paper_utils.run import RUNS, store_of
from paper_utils.store import MANIFEST, hash_json, read_json
from paper_utils.study import results as study
from paper_utils.study.products import products


@dataclass(frozen=True)
class Job:
    """A run, checked before anything is written."""

    profile: Profile
    folder: Path
    arguments: dict
    """What the notebooks are given: profile (name or path), seed, overrides but for compute."""

    @classmethod
    def check(cls, profile, seed=0, overrides=None, out=""):
        """Raises ProfileError or RunError, one line, and writes nothing."""
        # Without notebooks (as in an installation that is no checkout) there is nothing to run.
        notebooks.sources()
        loaded = Profile.load(profile, overrides, seed)
        changed = {
            key: value for key, value in (overrides or {}).items() if not key.startswith("compute")
        }
        # As text, since the order of levels counts.
        mark = f"-{hash_json(json.dumps(changed))[:8]}" if changed else ""
        place = Path(out or RUNS / f"{loaded.name}-seed{loaded.seed}{mark}").resolve()
        folder.check(place)
        known = str(Path(profile).resolve()) if Path(profile).suffix else profile
        return cls(loaded, place, {"profile": known, "seed": seed, "overrides": changed})

    @cached_property
    def notebooks(self):
        """Parameters of each notebook of this run, as it was when it was first asked for."""
        return notebooks.parameters_of(self.profile, self.arguments)


def run(job):
    """Makes what is missing, executes the notebooks that have changed, fills the folder.

    Returns the folder.  Raises RunError naming the notebook, the error of the first cell that
    failed, and where it lies as far as it came; OSError if another run is writing there."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(job.folder / folder.LOCK, timeout=0):
        tasks = waiting(job)
        parallel.run(tasks, job.profile.compute)
        # Somebody may have deleted files of a run that had ended.
        if tasks or folder.verify(job.folder):
            _fill(job)
        else:
            print("nothing to do: the run is complete and nothing has changed")
    return job.folder


def waiting(job):
    """Products and notebooks that are still to be made, as one plan of work."""
    profile = job.profile
    artifacts = store_of(profile)
    # One plan for everything, so that one bar knows what is left.
    tasks = plan.tasks_of(artifacts, products(profile))
    for one in job.notebooks:
        # A notebook is a product, too: unchanged, it is not executed again.
        if artifacts.find(NOTEBOOK, profile, one) is None:
            # It begins when what it loads is there, not when everything is.
            loaded = products(profile, one["name"])
            needs = frozenset(stage.key(known, chosen) for stage, known, chosen in loaded)
            work = notebooks.make_notebook, (profile, one), NOTEBOOK.cost(profile)
            tasks.append(Task(one["name"], *work, needs, told=True))
    return tasks


def _fill(job):
    profile = job.profile
    artifacts = store_of(profile)
    # Everything that went into it, down to the first episode where that was not published.
    made = {}
    seconds = Counter()
    for product in plan.walk(products(profile), artifacts.find).values():
        place = artifacts.find(*product)
        manifest = read_json(place / MANIFEST)
        made[f"{place.parent.name}/{place.name}"] = manifest["files"]
        seconds[manifest["recipe"]["stage"]] += manifest["wall_seconds"]
    results = study.results(profile, artifacts.get) | {
        "version": 3,
        "profile": profile.name,
        "seed": profile.seed,
        "missing": records.missing(profile),
        "wall_seconds": {name: round(total, 2) for name, total in seconds.items()},
    }
    # Executed notebooks lie in the store; the folder gets copies.
    executed = {one["name"]: artifacts.find(NOTEBOOK, profile, one) for one in job.notebooks}
    sizes = profile.model_dump(mode="json")
    folder.fill(job.folder, executed, results, {"profile": sizes, "artifacts": made})


def status(job):
    """Which notebooks are not done, and how much is still to be made."""
    tasks = waiting(job)
    names = [task.key for task in tasks if task.told]
    minutes = sum(task.seconds for task in tasks) / 60
    waits = ", ".join(names) or "nothing"
    return f"waiting: {waits}\nleft: {len(tasks)} tasks, about {minutes:.0f} min of one core"
