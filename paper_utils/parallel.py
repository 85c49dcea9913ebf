"""One ``map`` for everything that fans out: single-threaded processes here, a cluster elsewhere.

A task has one thread (on a busy machine a second makes it slower by far), and results never depend
on how many workers run.
"""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits
from tqdm import std

from paper_utils.config import Compute

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
POOL = []  # of idle or busy workers, if there are any
ONE_TASK = threading.RLock()  # a task may map within itself
BAR = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, {remaining} left"
LINE = "{desc}: {percentage:3.0f}%, {elapsed} elapsed, about {remaining} left\n"


class Lines(std.tqdm):
    """Progress in a log, where a line is never redrawn nor wiped out."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        return msg == "" or super().display(msg, pos)


def progress(total: float, describe: str, compute: Compute | None = None):
    """A bar in the cell of a live notebook or on the terminal; in a log, a line a minute.

    Under Papermill it is drawn on the terminal, so the executed notebook holds no trace of it.
    """
    where, make, options = (compute or Compute()).progress, std.tqdm, {"bar_format": BAR}
    if where == "off":
        options["disable"] = True
    elif where == "auto" and "ipykernel" in sys.modules:
        from tqdm.auto import tqdm as make
    else:
        options["file"] = sys.__stderr__
        if sys.__stderr__ is not None and not sys.__stderr__.isatty():
            make, options["bar_format"] = Lines, LINE
            options |= {"mininterval": 60, "miniters": 1, "delay": 60}
    return make(**{"total": total, "desc": describe, "leave": False, "mininterval": 1} | options)


def device(wanted: str) -> str:
    """``auto`` is a GPU where there is one.  RuntimeError, one line, if the device is missing."""
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, there in present.items() if there), "cpu")
    if wanted != "cpu" and not present.get(wanted):
        raise RuntimeError(f"device {wanted!r} is not available here; use device=auto or cpu")
    return wanted


def one_thread(libraries: bool = True) -> None:
    """Keeps this process to one thread, and libraries that are yet to be loaded, too; not these in
    a worker of a cluster, whose other threads share the environment."""
    os.environ.update(ONE_THREAD if libraries else {})
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _alone(function: Callable, libraries: bool, task: Any) -> Any:
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


def _results(function: Callable, tasks: list[Any], compute: Compute) -> Iterator[tuple[int, Any]]:
    """Number and result of each task, as soon as it is there."""
    count = min(compute.workers or cpu_count(), len(tasks))
    if compute.cluster:
        yield from enumerate(_cluster_results(function, tasks, compute.cluster))
    elif count > 1:
        POOL[:] = [get_reusable_executor(
            count, timeout=300, env=ONE_THREAD, initializer=_follow, initargs=(os.getpid(),)
        )]  # fmt: skip
        futures = {POOL[0].submit(function, task): n for n, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise OSError("a worker has died (is there enough memory?)") from None
        finally:
            for future in futures:
                future.cancel()
    else:
        yield from ((n, function(task)) for n, task in enumerate(tasks))


def _cluster_results(function: Callable, tasks: list[Any], address: str) -> Iterator[Any]:
    try:
        from distributed import Client, KilledWorker

        client = Client(address)
    except ImportError:
        raise OSError("a cluster needs Dask: pip install -e .[cluster]") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"no Dask scheduler at {address!r}: {reason}") from None
    with client:
        try:
            for future in client.map(function, tasks, pure=False):
                yield future.result()
        except KilledWorker:
            line = "a task's workers died again and again (is there enough memory?)"
            raise OSError(line) from None


def map(
    function: Callable[[Any], Any], tasks: Iterable[Any],
    compute: Compute | None = None, describe: str = "",
) -> list[Any]:  # fmt: skip
    """``[function(task) for task in tasks]``, side by side, in the order of the tasks.

    ``function`` and tasks must be picklable.  ``describe`` names the bar, if there is to be one.
    With ``compute.cluster`` the same tasks go to a Dask cluster (``pip install .[cluster]``).  The
    first error stops the map and is raised here.

    >>> map(abs, [-1, 2])
    [1, 2]
    """
    tasks, compute = list(tasks), compute or Compute()
    results = [None] * len(tasks)
    with progress(len(tasks), describe, compute if describe else Compute(progress="off")) as bar:
        each = partial(_alone, function, not compute.cluster)
        for number, result in _results(each, tasks, compute):
            results[number] = result
            bar.update(1)
    return results


def rest(kill: bool = False) -> None:
    """Ends idle workers, so that nothing of theirs is left behind when this process is ended;
    ``kill``: busy ones, too, and what these have started."""
    while POOL:
        POOL.pop().shutdown(wait=True, kill_workers=kill)
