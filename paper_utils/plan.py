"""A plan of work: which products are missing, and making them with one pool of workers."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from statistics import median

from paper_utils import parallel
from paper_utils.config import Compute
from paper_utils.parallel import Task
from paper_utils.store import MANIFEST, Store, read_json
from paper_utils.study.products import STAGES, Product

MOMENT = 5.0  # seconds of work for which no pool is started
LOOKED_AT = 20  # manifests of earlier products of a stage, at most


def walk(products: Iterable[Product], wanted: Callable) -> dict[str, Product]:
    """Those products that are ``wanted(stage, profile, parameters)``, and of what they need those
    that are wanted, too: key -> product."""
    found = {}
    seen = set()
    waiting = list(products)
    while waiting:
        stage, profile, parameters = waiting.pop()
        # Many products share what they need.
        key = stage.key(profile, parameters)
        if key not in seen and wanted(stage, profile, parameters):
            found[key] = stage, profile, parameters
            needs = stage.needs(profile, **parameters)
            waiting += [(needed, profile, chosen) for needed, chosen in needs]
        seen.add(key)
    return found


@cache
def pace(root: Path, stage: str) -> float:
    """How long products of a stage took in a store, as a share of what had been predicted."""
    # A few tell enough; reading hundreds would take longer than it saves.
    paths = sorted(root.glob(f"{stage}-*/*/{MANIFEST}"))[:LOOKED_AT]
    made = [read_json(path) for path in paths]
    return median([one["wall_seconds"] / one["predicted_seconds"] for one in made] or [1.0])


def tasks_of(store: Store, products: Iterable[Product]) -> list[Task]:
    """A task for each product that is missing, or that one of these needs."""

    def missing(*product):
        there = store.find(*product)
        if not there:
            # Before hours of work begin, not in the middle of them.
            store.refuse_other_code(*product)
        return not there

    tasks = []
    for key, (stage, profile, parameters) in walk(products, missing).items():
        needs = stage.needs(profile, **parameters)
        keys = frozenset(needed.key(profile, chosen) for needed, chosen in needs)
        seconds = pace(store.root, stage.name) * stage.cost(profile, **parameters)
        tasks.append(Task(key, make_one, (store, stage.name, profile, parameters), seconds, keys))
    return tasks


def make_one(store: Store, name: str, *product) -> None:
    """Makes one product; a worker knows its stage by name."""
    store.make(STAGES[name], *product)


def make(store: Store, products: Iterable[Product], compute: Compute) -> None:
    """Makes what is missing of some products, and of what they need, side by side."""
    tasks = tasks_of(store, products)
    # A pool takes seconds to start.
    if sum(task.seconds for task in tasks) <= MOMENT:
        compute = Compute(workers=1, progress=compute.progress)
    parallel.run(tasks, compute)
