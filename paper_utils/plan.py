"""A plan of work: which products are missing, and making them with one pool of workers."""

from collections.abc import Callable, Iterable
from contextlib import closing
from statistics import median

from paper_utils import parallel
from paper_utils.config import Compute, Profile
from paper_utils.parallel import Task
from paper_utils.progress import Progress
from paper_utils.store import MANIFEST, Stage, Store, read_json
from paper_utils.study.products import STAGES, Product

MOMENT = 5.0  # seconds of work for which no pool is started
LOOKED_AT = 20  # manifests of earlier products of a stage, at most


def walk(products: Iterable[Product], wanted: Callable[..., bool]) -> dict[str, Product]:
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


def pace(store: Store, stage: Stage) -> float:
    """How long products of a stage took here, as a share of what had been predicted."""
    shares = [1.0]
    # A few tell enough; reading hundreds would take longer than it saves.
    for path in sorted(store.root.glob(f"{stage.name}-*/*/{MANIFEST}"))[:LOOKED_AT]:
        made = read_json(path)
        shares.append(made["wall_seconds"] / made["predicted_seconds"])
    return median(shares[1:] or shares)


def tasks_of(store: Store, products: Iterable[Product]) -> list[Task]:
    """A task for each product that is missing, or that one of these needs."""

    def missing(stage: Stage, profile: Profile, parameters: dict) -> bool:
        if store.find(stage, profile, parameters):
            return False
        # Before hours of work begin, not in the middle of them.
        store.refuse_other_code(stage, profile, parameters)
        return True

    found = walk(products, missing)
    # Once for a stage, not for each of its products.
    paces = {name: pace(store, STAGES[name]) for name in {s.name for s, _, _ in found.values()}}
    tasks = []
    for key, (stage, profile, parameters) in found.items():
        needs = stage.needs(profile, **parameters)
        seconds = paces[stage.name] * stage.cost(profile, **parameters)
        arguments = store, stage.name, profile, parameters
        keys = frozenset(needed.key(profile, chosen) for needed, chosen in needs)
        tasks.append(Task(key, make_one, arguments, seconds, keys))
    return tasks


def make_one(store: Store, name: str, profile: Profile, parameters: dict) -> None:
    """Makes one product; a worker knows its stage by name."""
    store.make(STAGES[name], profile, parameters)


def make(store: Store, products: Iterable[Product], compute: Compute) -> None:
    """Makes what is missing of some products, and of what they need, side by side."""
    tasks = tasks_of(store, products)
    # A pool takes seconds to start.
    if sum(task.seconds for task in tasks) <= MOMENT:
        compute = compute.model_copy(update={"workers": 1, "cluster": ""})
    if tasks:
        with closing(Progress("making", compute)) as bar:
            parallel.run(tasks, compute, lambda key, seconds: None, bar)
