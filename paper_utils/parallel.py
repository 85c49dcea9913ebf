"""Tasks side by side: single-threaded processes on this machine, or a Dask cluster.

A task has one thread (on a busy machine a second makes it slower by far), and results never depend
on how many workers run."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter

from joblib import cpu_count
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
LOST = ("KilledWorker", "FutureCancelledError", "CancelledError")  # Dask's words for it
BAR = "making: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, about {remaining} left"
# A worker of a cluster has threads, and torch one source of random numbers for all of them.
ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class Task:
    """One call in a worker, and the tasks whose results it finds when it begins."""

    key: str
    function: Callable
    arguments: tuple
    seconds: float = 1.0
    """That it should take; the longest chains are begun first."""
    needs: frozenset = frozenset()
    told: bool = False
    """Whether a line says that it has ended, and what it took."""


def device(wanted):
    """``auto`` is a GPU where there is one."""
    from torch import accelerator

    if wanted != "auto":
        return wanted
    return str(accelerator.current_accelerator()) if accelerator.is_available() else "cpu"


def one_thread():
    """Keeps this process to one thread, and libraries that are yet to be loaded, too."""
    os.environ.update(ONE_THREAD)
    threadpool_limits(1)
    if "torch" in sys.modules:
        # Loading torch only to tell it so would cost seconds.
        sys.modules["torch"].set_num_threads(1)


def call(function, arguments):
    """Calls a function as a worker does: on one thread, and without a word."""
    with ONE_AT_A_TIME, warnings.catch_warnings(action="ignore"):
        one_thread()
        return function(*arguments)


def run(tasks, compute):
    """Runs tasks (Task), each after those that it needs, ``compute.workers`` of them at once, under
    a bar.

    The first error stops everything and is raised; OSError, one line, if a worker is lost."""
    if not tasks:
        return
    clock = _Clock(tasks)
    running = {}
    # A worker without a task would import everything for nothing.
    most = min(compute.workers or cpu_count(), len(tasks))
    with _bar(compute) as bar, _executor(compute.cluster, most) as (executor, slots):
        while clock.left:
            # Never more than there are workers: what waits here can still be reordered.
            while len(running) < slots() and (task := clock.begin()):
                running[executor.submit(call, task.function, task.arguments)] = task
            # The bar moves every second.
            ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                _raise_error(future)
                seconds = clock.end(task)
                if task.told:
                    # A line of its own, above the bar.
                    bar.clear()
                    print(f"{task.key} done in {seconds:.0f} s", flush=True)
            elapsed, remaining = clock.estimate(slots())
            # The total moves with the estimate; so does the share that is done.
            bar.total = elapsed + remaining
            bar.update(elapsed - bar.n)


def _bar(compute):
    """A bar of seconds, in a live notebook or on a terminal; nothing in a log."""
    live = "ipykernel" in sys.modules or sys.stderr.isatty()
    return tqdm(
        total=1.0,
        disable=compute.progress == "off" or not live,
        delay=2.0,  # what takes no longer needs no bar
        bar_format=BAR,
        leave=False,
        miniters=0,
        smoothing=0,  # one second of work a second
    )


def _raise_error(future):
    """Raises a future's error, if it has one: a line where the worker is gone."""
    try:
        future.result()
    except Exception as error:
        # By name, so that Dask need not be installed.
        if isinstance(error, BrokenExecutor) or type(error).__name__ in LOST:
            raise OSError("a worker has died (is there enough memory?)") from None
        raise


@contextmanager
def _executor(cluster, workers):
    """What tasks are given to, and how many it can work at now."""
    if cluster:
        from distributed import Client

        # The default of half a minute looks like a hang.
        with Client(cluster, timeout="5s") as client:
            # Clusters grow; one that has no worker yet keeps the first task.
            yield client.get_executor(pure=False), lambda: sum(client.nthreads().values()) or 1
    else:
        with _Here() if workers == 1 else _pool(workers) as pool:
            yield pool, lambda: workers


class _Here(Executor):
    """Does each task in this process, at once; its error is raised at once, too."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


@contextmanager
def _pool(workers):
    """A pool of workers that end with it, at once where something goes wrong."""
    # Read by Python's own tracker of semaphores, which would complain after a kill.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("spawn" if os.name == "nt" else "forkserver")
    # The server imports what nearly every task does, once and with no thread started, and each
    # worker is its copy.
    context.set_forkserver_preload(["paper_utils.preloaded"])
    try:
        pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    except OSError as error:
        # Its queues have semaphores, which lie in shared memory.
        raise OSError(f"no worker can begin ({error}): /dev/shm; compute.workers=1") from None
    try:
        yield pool
    except BaseException:
        # Nobody wants any more what they are doing.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin():
    """Has a worker ignore Ctrl-C, which its parent handles, and end as soon as that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


class _Clock:
    """What is to be begun next, and how long all of it should still take.

    Tasks are begun by the length of the chain that waits for them, the longest first.  Predictions
    of what is left are scaled by how right they were for what has ended."""

    def __init__(self, tasks):
        seconds = {task.key: task.seconds for task in tasks}
        # What is needed and is no task is there already.
        needs = {task.key: task.needs & seconds.keys() for task in tasks}
        self.after = dict.fromkeys(seconds, 0.0)  # seconds of the longest chain that waits
        # From the last to the first.
        for key in reversed([*TopologicalSorter(needs).static_order()]):
            chain = self.after[key] + seconds[key]
            for needed in needs[key]:
                self.after[needed] = max(self.after[needed], chain)
        tasks = sorted(tasks, key=lambda task: -task.seconds - self.after[task.key])
        self.left = {task.key: task for task in tasks}
        self.since = {}  # when what is running has begun
        self.start = time.monotonic()
        # Of what has ended, and what had been predicted for it; a few quick tasks say little
        # about the others.  Where nothing is predicted, any pace will do.
        self.taken = self.predicted = 0.02 * sum(seconds.values()) or 1.0

    def begin(self):
        """The task to begin now, if one can be."""
        for key, task in self.left.items():
            if key not in self.since and not task.needs & self.left.keys():
                self.since[key] = time.monotonic()
                return task
        return None

    def end(self, task):
        """Notes that a task has ended; returns the seconds that it took."""
        seconds = time.monotonic() - self.since.pop(task.key)
        self.taken += seconds
        self.predicted += task.seconds
        del self.left[task.key]
        return seconds

    def estimate(self, workers):
        """Seconds that have passed, and those that should be left: of all work, or of the longest
        chain, whichever takes longer."""
        now = time.monotonic()
        # A pace for all: a machine that is slow is slow for everybody.
        pace = self.taken / self.predicted
        work = chain = 0.0
        for key, task in self.left.items():
            passed = now - self.since.get(key, now)
            # What has outlived its prediction is nearly done, or will take as long again.
            own = max(pace * task.seconds - passed, 0.1 * passed)
            work += own
            chain = max(chain, own + pace * self.after[key])
        return now - self.start, max(chain, work / workers)
