"""One ``map`` for everything that fans out: single-threaded processes here, a cluster elsewhere.

Two workers with one thread each do as much as one with two on a quiet machine, and several times
more on a busy one; so tasks never share cores, and results never depend on how many workers run.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from paper_utils.config import Compute

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SECONDS_PER_LINE = 60.0  # of progress, where there is no terminal


def workers(compute: Compute | None = None) -> int:
    """How many tasks run at once: ``compute.workers``, or one per core that we may use."""
    from joblib import cpu_count

    return (compute.workers if compute else 0) or cpu_count()


class Lines:
    """Progress where nothing can be redrawn, as in a log: a line a minute, with an estimate."""

    def __init__(self, total: float, describe: str, write: Callable[[str], Any]):
        self.total, self.describe, self.write, self.n = total, describe, write, 0.0
        self.began = self.last = time.monotonic()

    def update(self, steps: float = 1) -> None:
        self.n += steps
        now = time.monotonic()
        if now - self.last >= SECONDS_PER_LINE:
            self.last = now
            passed = now - self.began
            left = passed * (self.total - self.n) / self.n
            self.write(
                f"{self.describe}: {self.n:g} of {self.total:g}, {passed / 60:.0f} min elapsed, "
                f"about {left / 60:.0f} min left\n"
            )

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def progress(total: float, describe: str, compute: Compute | None = None):
    """A bar with an estimate: in the cell of a live notebook, else on the terminal.

    Under Papermill the kernel's own stderr is the terminal, so a bar there leaves no trace in the
    executed notebook.  Has ``update(n)`` and is a context manager.
    """
    from tqdm import auto, std

    where = compute.progress if compute else "auto"
    form = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, {remaining} left"
    options = {"total": total, "desc": describe, "leave": False, "bar_format": form}
    if where == "off":
        return std.tqdm(disable=True, **options)
    if where == "auto" and "ipykernel" in sys.modules:
        return auto.tqdm(mininterval=1, **options)
    if sys.__stderr__ is None or sys.__stderr__.isatty():
        return std.tqdm(file=sys.__stderr__, mininterval=1, **options)
    return Lines(total, describe, lambda line: print(line, end="", file=sys.__stderr__, flush=True))


def device(wanted: str) -> str:
    """``auto`` is a GPU where there is one.

    Raises RuntimeError, one line, where the wanted device is missing.
    """
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, there in present.items() if there), "cpu")
    if wanted != "cpu" and not present.get(wanted):
        raise RuntimeError(f"device {wanted!r} is not available here; use device=auto or cpu")
    return wanted


def one_thread(libraries: bool = True) -> None:
    """Keeps this process to one thread: on a busy machine a second one makes it slower by far.

    ``libraries``: also those that are yet to be loaded, which read the environment; not in the
    worker of a cluster, whose other threads share it.
    """
    from threadpoolctl import threadpool_limits

    for name in THREAD_VARIABLES if libraries else ():
        os.environ[name] = "1"
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _each(function: Callable, tasks: Iterable[Any], libraries: bool = True) -> Iterator[Any]:
    """Runs tasks in turn, on one thread, and without warnings in a reader's notebook."""
    one_thread(libraries)
    for task in tasks:
        with warnings.catch_warnings(action="ignore"):
            result = function(task)
        yield result


def _alone(function: Callable, task: Any, libraries: bool = True) -> Any:
    return next(_each(function, [task], libraries))


def map(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    compute: Compute | None = None,
    describe: str = "",
) -> list[Any]:
    """``[function(task) for task in tasks]``, side by side, in the order of the tasks.

    ``function`` must be importable (a module's function) and tasks picklable.  A bar is drawn if
    ``describe`` names it.  With ``compute.cluster`` the same tasks go to a Dask cluster
    (``pip install .[cluster]``).  The first error stops the map and is raised here.

    >>> map(abs, [-1, 2])
    [1, 2]
    """
    from joblib.externals.loky import get_reusable_executor

    tasks = list(tasks)
    if not tasks:
        return []
    if compute and compute.cluster:
        with client(compute.cluster) as dask:
            return dask.gather([
                dask.submit(_alone, function, task, False, pure=False) for task in tasks
            ])  # fmt: skip
    count, results = min(workers(compute), len(tasks)), []
    shown = compute if describe else Compute(progress="off")
    with progress(len(tasks), describe, shown) as bar:
        produced = _each(function, tasks)
        if count > 1:
            threads = dict.fromkeys(THREAD_VARIABLES, "1")
            pool = get_reusable_executor(count, timeout=300, env=threads)
            produced = pool.map(partial(_alone, function), tasks)
        for result in produced:
            results.append(result)
            bar.update(1)
    return results


def rest() -> None:
    """Ends idle workers, so that nothing of theirs is left behind when this process is ended."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


def client(address: str):
    """A client of the Dask scheduler at ``address``; OSError, one line, if there is none."""
    try:
        from dask.distributed import Client

        return Client(address)
    except ImportError:
        raise OSError("a cluster needs Dask: pip install -e .[cluster]") from None
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise OSError(f"no Dask scheduler at {address!r}: {line}") from None
