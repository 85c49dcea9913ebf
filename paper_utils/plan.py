"""A plan of work: which products are missing, and making them with one pool of workers."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from paper_utils import parallel
from paper_utils.code import ROOT
from paper_utils.config import Compute, Profile
from paper_utils.parallel import Task
from paper_utils.progress import Progress, Show
from paper_utils.store import MANIFEST, ArtifactError, Stage, Store

Product = tuple[Stage, Profile, dict]
MOMENT = 5.0  # seconds of work for which no pool is started
LOOKED_AT = 20  # manifests of earlier products of a stage, at most


def missing(store: Store, products: Sequence[Product]) -> dict[str, Product]:
    """Those products, and what they need, that are not in the store: key -> product."""
    found: dict[str, Product] = {}
    seen: set[str] = set()
    waiting = list(products)
    while waiting:
        stage, profile, parameters = waiting.pop()
        # Many products share what they need.
        key = stage.key(profile, parameters)
        if key in seen:
            continue
        seen.add(key)
        if store.find(stage, profile, parameters) is None:
            # Before hours of work begin, not in the middle of them.
            store.refuse_other_code(stage, profile, parameters)
            found[key] = stage, profile, parameters
            for needed, chosen in stage.needs(profile, **parameters):
                waiting.append((needed, profile, chosen))
    return found


def pace(store: Store, stage: Stage) -> float:
    """How long products of a stage took here, as a share of what had been predicted."""
    shares = []
    # A few tell enough; reading hundreds would take longer than it saves.
    for path in sorted(store.root.glob(f"{stage.name}-*/*/{MANIFEST}"))[:LOOKED_AT]:
        made = json.loads(path.read_text(encoding="utf-8"))
        if made["recipe"]["stage"] == stage.name and made.get("predicted_seconds"):
            shares.append(made["wall_seconds"] / made["predicted_seconds"])
    return median(shares) if shares else 1.0


def tasks_of(store: Store, products: dict[str, Product]) -> list[Task]:
    """A task for each missing product."""
    # Once for a stage, not for each of its products.
    stages = {stage.name: stage for stage, _, _ in products.values()}
    paces = {name: pace(store, stage) for name, stage in stages.items()}
    tasks = []
    for key, (stage, profile, parameters) in products.items():
        needs = [needed.key(profile, chosen)
                 for needed, chosen in stage.needs(profile, **parameters)]  # fmt: skip
        seconds = paces[stage.name] * stage.cost(profile, **parameters)
        arguments = store, stage.name, profile, parameters
        tasks.append(Task(key, make_one, arguments, seconds, frozenset(needs)))
    return tasks


def make_one(store: Store, name: str, profile: Profile, parameters: dict) -> None:
    """Makes one product; a worker knows its stage by name."""
    from paper_utils.study.products import STAGES

    store.make(STAGES[name], profile, parameters)


def make(
    store: Store, products: Sequence[Product], compute: Compute, show: Show | None = None
) -> None:
    """Makes what is missing of some products, and of what they need, side by side.

    ``show`` gets the seconds that have passed and those that are left; by default a bar does."""
    tasks = tasks_of(store, missing(store, products))
    with Progress("making", compute) as bar:
        parallel.run(tasks, compute, lambda key: None, show or bar)


def make_elsewhere(store: Store, products: Sequence[Product], compute: Compute) -> None:
    """The same from a notebook: in a process of its own, whose workers end with it, so that the
    kernel never waits for them.  A moment's work is done here."""
    tasks = tasks_of(store, missing(store, products))
    # A pool takes seconds to start.
    if sum(task.seconds for task in tasks) <= MOMENT:
        make(store, products, compute.model_copy(update={"workers": 1, "cluster": ""}))
        return
    request = json.dumps({
        "store": [str(store.root), str(store.published or "")],
        "compute": compute.model_dump(),
        "products": [[stage.name, profile.model_dump(mode="json"), parameters]
                     for stage, profile, parameters in products],
    })  # fmt: skip
    command = [sys.executable, "-m", "paper_utils", "make"]
    pipe = subprocess.PIPE
    options = {"text": True, "encoding": "utf-8", "cwd": ROOT}
    with (
        Progress("making", compute) as bar,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **options) as process,
    ):
        # Everything is on standard input: no limit on length, nothing in a list of processes.
        process.stdin.write(request)
        process.stdin.close()
        for line in process.stdout:
            _tell(line.strip(), bar)
        problem = process.stderr.read().strip()
    if process.returncode:
        line = problem.splitlines()[-1] if problem else f"ended with code {process.returncode}"
        raise ArtifactError(line.removeprefix("error: "))


def _tell(line: str, bar: Progress) -> None:
    """Shows what the other process says: where it is, or a line for people."""
    if line.startswith("["):
        bar(*json.loads(line))
    elif line:
        bar.write(line)


def make_requested(text: str, show: Show) -> None:
    """Makes what `make_elsewhere` asked for."""
    from paper_utils.study.products import STAGES

    request = json.loads(text)
    root, published = request["store"]
    store = Store(Path(root), Path(published) if published else None)
    products = [(STAGES[name], Profile.model_validate(profile), parameters)
                for name, profile, parameters in request["products"]]  # fmt: skip
    make(store, products, Compute(**request["compute"]), show)
