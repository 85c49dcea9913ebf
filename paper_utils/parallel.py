"""Tasks side by side: single-threaded processes on this machine, or a Dask cluster.

A task has one thread (on a busy machine a second makes it slower by far), and results never depend
on how many workers run."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from paper_utils.config import Compute
from paper_utils.progress import Show

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# What nearly every task imports, once: workers are copies of a process that has done it.
PRELOADED = ["paper_utils.preloaded"]
LOST = ("KilledWorker", "FutureCancelledError", "CancelledError")  # Dask's words for it
TICK = 1.0  # seconds between two looks at what is running
# A worker of a cluster has threads, and torch one source of random numbers for all of them.
ONE_AT_A_TIME = threading.RLock()


@dataclass
class Task:
    """One call in a worker, and the tasks whose results it finds when it begins."""

    key: str
    function: Callable
    arguments: tuple
    seconds: float = 1.0
    """That it should take; the longest chains are begun first."""
    needs: frozenset[str] = field(default_factory=frozenset)


def cpu_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device(wanted: str) -> str:
    """``auto`` is a GPU where there is one.  RuntimeError, one line, if the device is missing."""
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, there in present.items() if there), "cpu")
    if wanted != "cpu" and not present.get(wanted):
        raise RuntimeError(f"device {wanted!r} is not available here; use device=auto or cpu")
    return wanted


def one_thread() -> None:
    """Keeps this process to one thread, and libraries that are yet to be loaded, too."""
    os.environ.update(ONE_THREAD)
    threadpool_limits(1)
    if "torch" in sys.modules:
        # Loading torch only to tell it so would cost seconds.
        sys.modules["torch"].set_num_threads(1)


def call(function: Callable, arguments: tuple):
    """Calls a function as a worker does: on one thread, and without a word."""
    with ONE_AT_A_TIME, warnings.catch_warnings(action="ignore"):
        one_thread()
        return function(*arguments)


def run(tasks: Sequence[Task], compute: Compute, done: Callable[[str], None], show: Show) -> None:
    """Runs tasks, each after those that it needs, ``compute.workers`` of them at once.

    ``done(key)`` is called in this process when a task has ended, ``show`` about once a second.
    The first error stops everything and is raised; OSError, one line, if a worker is lost."""
    if not tasks:
        return
    # A worker without a task would import everything for nothing.
    workers = min(compute.workers or cpu_count(), len(tasks))
    clock = _Clock(tasks, workers)
    if compute.cluster:
        _on_cluster(tasks, compute.cluster, clock, done, show)
    elif workers == 1:
        _here(clock, done, show)
    else:
        _in_processes(workers, clock, done, show)


def _here(clock: "_Clock", done: Callable[[str], None], show: Show) -> None:
    while clock.waiting:
        task = clock.next()
        show(*clock.estimate())
        call(task.function, task.arguments)
        clock.ended(task.key)
        done(task.key)


def _in_processes(workers: int, clock: "_Clock", done: Callable[[str], None], show: Show) -> None:
    with _pool(workers) as pool:
        running = {}
        while clock.waiting or running:
            # Never more than there are workers: what waits here can still be reordered.
            while len(running) < workers and (task := clock.next()):
                running[pool.submit(call, task.function, task.arguments)] = task.key
            ended, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in ended:
                key = running.pop(future)
                _result(future)
                clock.ended(key)
                done(key)
            show(*clock.estimate())


def _result(future):
    """A future's result, or its error: one line where the worker is gone."""
    try:
        return future.result()
    except Exception as error:
        # By name, so that Dask need not be installed.
        if isinstance(error, BrokenExecutor) or type(error).__name__ in LOST:
            raise OSError("a worker has died (is there enough memory?)") from None
        raise


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of workers that end with it, at once where something goes wrong."""
    # Read by Python's own tracker of semaphores, which would complain after a kill.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    os.environ.update(ONE_THREAD)
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    # The server imports once, with no thread started, and each worker is its copy.
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    try:
        # Workers end when the other end of this pipe is closed, by us or because we are gone.
        watched, held = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(watched,))
    except OSError as error:
        remedy = "with --set compute.workers=1 none are needed"
        raise OSError(f"cannot start workers ({error.strerror}); {remedy}") from None
    try:
        yield pool
    except BaseException:
        held.close()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        held.close()
        watched.close()


def _begin(watched) -> None:
    """Has a worker ignore Ctrl-C, which its parent handles, and end as soon as that says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.connection.wait([watched])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(
    tasks: Sequence[Task], address: str, clock: "_Clock", done: Callable[[str], None], show: Show
) -> None:
    """The same tasks on a Dask cluster, whose futures hold what each of them needs."""
    with _client(address) as client:
        from distributed import as_completed

        futures = {}
        # A cluster wants the rank of a task beforehand; what it needs was named before it.
        for task in _in_order(tasks):
            needed = [futures[key] for key in task.needs if key in futures]
            options = {"pure": False, "priority": clock.rank[task.key]}
            futures[task.key] = client.submit(
                _after, needed, task.function, task.arguments, **options
            )
            clock.begun(task.key)
        keys = {future: key for key, future in futures.items()}
        for future in as_completed(keys):
            _result(future)
            clock.ended(keys[future])
            done(keys[future])
            show(*clock.estimate())


def _after(needed: list, function: Callable, arguments: tuple):
    return call(function, arguments)


def _client(address: str):
    """A client of a Dask scheduler; OSError, one line, where there is none."""
    try:
        from distributed import Client

        # The default of half a minute looks like a hang.
        return Client(address, timeout="5s")
    except ImportError:
        raise OSError("a cluster needs Dask: pip install -e .[cluster]") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"no Dask scheduler at {address!r}: {reason}") from None


def _in_order(tasks: Sequence[Task]) -> list[Task]:
    """Tasks, each after those that it needs."""
    # What is needed and is no task is there already.
    known = {task.key for task in tasks}
    placed: dict[str, Task] = {}
    while len(placed) < len(tasks):
        before = len(placed)
        for task in tasks:
            if task.key not in placed and task.needs & known <= placed.keys():
                placed[task.key] = task
        if len(placed) == before:
            raise ValueError("tasks need each other in a circle")
    return list(placed.values())


class _Clock:
    """What is to be begun next, and how long all of it should still take.

    Tasks are begun by the length of the chain that waits for them, the longest first.  Predictions
    of what is left are scaled by how right they were for what has ended."""

    def __init__(self, tasks: Sequence[Task], workers: int):
        self.workers = workers
        self.tasks = {task.key: task for task in _in_order(tasks)}
        self.rank = {}
        # From the last to the first: each knows those that wait for it.
        for task in reversed(self.tasks.values()):
            after = [key for key, other in self.tasks.items() if task.key in other.needs]
            self.rank[task.key] = task.seconds + max((self.rank[key] for key in after), default=0.0)
        self.waiting = sorted(self.tasks, key=lambda key: -self.rank[key])
        self.since: dict[str, float] = {}  # when what is running has begun
        self.finished: set[str] = set()
        self.taken = 0.0  # seconds of what has ended, and what had been predicted for it
        self.predicted = 0.0
        self.start = time.monotonic()

    def next(self) -> Task | None:
        """The task to begin now, if one can be."""
        unmet = self.tasks.keys() - self.finished
        for key in self.waiting:
            if not self.tasks[key].needs & unmet:
                self.begun(key)
                return self.tasks[key]
        return None

    def begun(self, key: str) -> None:
        self.waiting.remove(key)
        self.since[key] = time.monotonic()

    def ended(self, key: str) -> None:
        # A pace for all: a machine that is slow is slow for everybody.
        self.taken += time.monotonic() - self.since.pop(key)
        self.predicted += self.tasks[key].seconds
        self.finished.add(key)

    def estimate(self) -> tuple[float, float]:
        """Seconds that have passed, and those that should be left: what is running goes on, then
        each worker that becomes free takes the next task."""
        now = time.monotonic()
        # A few quick tasks say little about the others.
        prior = 0.05 * sum(task.seconds for task in self.tasks.values())
        pace = (self.taken + prior) / (self.predicted + prior)
        free = []
        for key, since in self.since.items():
            expected = pace * self.tasks[key].seconds
            # What has outlived its prediction is nearly done, or will take as long again.
            free.append(max(expected - (now - since), 0.1 * (now - since)))
        free = sorted(free)[-self.workers :]
        free += [0.0] * (self.workers - len(free))
        for key in self.waiting:
            free.sort()
            free[0] += pace * self.tasks[key].seconds
        return now - self.start, max(free)
