"""One ``map`` for everything that fans out: single-threaded processes here, a cluster elsewhere.

A task has one thread (on a busy machine a second makes it slower by far), and results never depend
on how many workers run."""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from multiprocessing import resource_tracker

from joblib.externals.loky import cpu_count, get_reusable_executor
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from threadpoolctl import get_cached_controller
from tqdm import std

from paper_utils.config import Compute

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
LOST = ("KilledWorker", "FutureCancelledError")  # of Dask: the workers of a task, the scheduler
POOL = []  # of idle or busy workers, if there are any
ONE_TASK = threading.RLock()  # a task may map within itself
BAR = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, {remaining} left"
LINE = "{desc}: {percentage:3.0f}%, {elapsed} elapsed, about {remaining} left"


class Lines(std.tqdm):
    """Progress in a log: a line each time, and nothing that moves a cursor."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        print(self, file=self.fp, flush=True) if msg is None else None


def progress(total: float, describe: str, compute: Compute | None = None):
    """A bar in the cell of a live notebook or on the terminal; in a log, a line a minute.
    Under Papermill it is drawn on the terminal, so the executed notebook holds no trace of it."""
    where, make, options = (compute or Compute()).progress, std.tqdm, {"bar_format": BAR}
    if where == "off":
        options["disable"] = True
    elif where == "auto" and "ipykernel" in sys.modules:
        from tqdm.auto import tqdm as make
    else:
        options["file"] = sys.__stderr__
        if sys.__stderr__ is not None and not sys.__stderr__.isatty():
            make = Lines
            options |= {"bar_format": LINE, "mininterval": 60, "miniters": 1, "delay": 60}
    return make(**{"total": total, "desc": describe, "leave": False, "mininterval": 1} | options)


def device(wanted: str) -> str:
    """``auto`` is a GPU where there is one.  RuntimeError, one line, if the device is missing."""
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = next((name for name, there in present.items() if there), "cpu")
    if wanted not in ("auto", "cpu") and not present.get(wanted):
        raise RuntimeError(f"device {wanted!r} is not available here; use device=auto or cpu")
    return found if wanted == "auto" else wanted


def one_thread(libraries: bool = True) -> None:
    """Keeps this process to one thread, and libraries that are yet to be loaded, too; not these in
    a worker of a cluster, whose other threads share the environment."""
    os.environ.update(ONE_THREAD if libraries else {})
    get_cached_controller().limit(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _alone(function: Callable, libraries: bool, task):
    # Threads of a cluster's worker take turns: torch has one source of random numbers a process.
    with ONE_TASK:
        one_thread(libraries)  # and without warnings in a reader's notebook
        with warnings.catch_warnings(action="ignore"):
            return function(task)


def _follow(parent: int) -> None:
    """Has a worker end soon after the process that started it, which a kill does not tell it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _client(address: str):
    """A client of a Dask scheduler; OSError, one line, where there is none."""
    try:
        from distributed import Client

        return Client(address)
    except ImportError:
        raise OSError("a cluster needs Dask: pip install -e .[cluster]") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"no Dask scheduler at {address!r}: {reason}") from None


def map(function: Callable, tasks: Iterable, compute: Compute | None = None,
        describe: str = "") -> list:  # fmt: skip
    """``[function(task) for task in tasks]``, side by side, in the order of the tasks.

    ``function`` and tasks must be picklable.  ``describe`` names the bar, if there is to be one.
    With ``compute.cluster`` the tasks go to a Dask cluster.  The first error stops the map.

    >>> map(abs, [-1, 2])
    [1, 2]
    """
    tasks, compute = list(tasks), compute or Compute()
    results, count = [None] * len(tasks), min(compute.workers or cpu_count(), len(tasks))
    each = partial(_alone, function, not compute.cluster)
    shown, futures = compute if describe else Compute(progress="off"), {}
    with progress(len(tasks), describe, shown) as bar, ExitStack() as ending:
        if not compute.cluster and count <= 1:
            for number, task in enumerate(tasks):
                results[number] = each(task)
                bar.update(1)
            return results
        if compute.cluster:
            client = ending.enter_context(_client(compute.cluster))
            ended = sys.modules["distributed"].as_completed
            futures = {f: number for number, f in enumerate(client.map(each, tasks, pure=False))}
        else:
            os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # after a kill
            follow, ended = {"initializer": _follow, "initargs": (os.getpid(),)}, as_completed
            workers = get_reusable_executor(count, timeout=300, env=ONE_THREAD, **follow)
            POOL[:] = [workers]
            ending.callback(lambda: [future.cancel() for future in futures])
            for number, task in enumerate(tasks):
                futures[workers.submit(each, task)] = number
        for future in ended(futures):
            try:
                results[futures[future]] = future.result()
            except Exception as error:
                if not isinstance(error, BrokenExecutor) and type(error).__name__ not in LOST:
                    raise
                raise OSError("a worker has died (is there enough memory?)") from None
            bar.update(1)
    return results


def rest(kill: bool = False) -> None:
    """Ends idle workers, which would outlive this process; ``kill``: all, and what they started."""
    while POOL:
        POOL.pop().shutdown(wait=True, kill_workers=kill)
        for tracker in () if kill else (loky_tracker, resource_tracker):  # they ignore SIGTERM, so
            tracker._resource_tracker._stop()  # that a kernel would take half a minute to end
