"""A plan of work: which products are missing, and making them with one pool of workers."""

import paper_utils.study.products  # noqa: F401  (a worker has to know all stages)
from paper_utils import parallel
from paper_utils.config import Compute
from paper_utils.parallel import Task
from paper_utils.store import STAGES

MOMENT = 5.0  # seconds of work for which no pool is started


def walk(products, wanted):
    """Those products (stage, profile, parameters) that are ``wanted``, asked with these three, and
    of what they need those that are wanted, too: key -> product."""
    found = {}
    asked = set()
    waiting = list(products)
    while waiting:
        stage, profile, parameters = product = waiting.pop()
        # Many products share what they need.
        key = stage.key(profile, parameters)
        if key not in asked and wanted(*product):
            found[key] = product
            for needed, chosen in stage.needs(profile, **parameters):
                waiting.append((needed, profile, chosen))
        asked.add(key)
    return found


def tasks_of(store, products):
    """A task for each product that is missing, or that one of these needs."""
    tasks = []
    missing = walk(products, lambda *product: store.find(*product) is None)
    for key, product in missing.items():
        # Before hours of work begin, not in the middle of them.
        store.refuse_other_code(*product)
        stage, profile, parameters = product
        needs = frozenset(stage.recipe(profile, parameters)["inputs"])
        seconds = stage.cost(profile, **parameters)
        tasks.append(Task(key, make_one, (store, stage.name, profile, parameters), seconds, needs))
    return tasks


def make_one(store, name, *product):
    """Makes one product; a worker knows its stage by name."""
    store.make(STAGES[name], *product)


def make(store, products, compute):
    """Makes what is missing of some products, and of what they need, side by side."""
    tasks = tasks_of(store, products)
    # A pool takes seconds to start.
    if sum(task.seconds for task in tasks) <= MOMENT:
        compute = Compute(workers=1, progress=compute.progress)
    parallel.run(tasks, compute)
