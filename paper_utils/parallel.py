"""One ``map`` for everything that fans out: single-threaded processes here, a cluster elsewhere.

Two workers with one thread each do as much as one with two on a quiet machine, and several times
more on a busy one; so tasks never share cores, and results never depend on how many workers run.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def workers() -> int:
    """How many tasks run at once: ``PAPER_WORKERS``, or one per core that this process may use."""
    wanted = os.environ.get("PAPER_WORKERS", "")
    if wanted:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(f"PAPER_WORKERS must be a positive number, not {wanted!r}")
        return int(wanted)
    from joblib import cpu_count

    return cpu_count()


def progress(total: float, describe: str, **options: Any):
    """A tqdm bar with an estimate: on the terminal during a run, in the cell of a live notebook.

    Under Papermill the kernel's own stderr is the terminal, so a bar there leaves no trace in the
    executed notebook.
    """
    from tqdm import auto, std

    bar = auto.tqdm
    if os.environ.get("PAPER_TERMINAL") or "ipykernel" not in sys.modules:
        bar = std.tqdm
        options = {"file": sys.__stderr__, "disable": None} | options  # None: unless a terminal
    form = "{desc}: {percentage:3.0f}%|{bar:24}| {elapsed} elapsed, {remaining} left"
    return bar(total=total, desc=describe, leave=False, bar_format=form, mininterval=1, **options)


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


def one_thread() -> None:
    """Keeps this process to one thread: on a busy machine a second one makes it slower by far."""
    from threadpoolctl import threadpool_limits

    for name in THREAD_VARIABLES:  # read by libraries that are yet to be loaded
        os.environ[name] = "1"
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _each(function: Callable, tasks: Iterable[Any]) -> Iterator[Any]:
    """Runs tasks in turn, on one thread, and without warnings in a reader's notebook."""
    one_thread()
    for task in tasks:
        with warnings.catch_warnings(action="ignore"):
            result = function(task)
        yield result


def _alone(function: Callable, task: Any) -> Any:
    return next(_each(function, [task]))


def map(
    function: Callable[[Any], Any], tasks: Iterable[Any], describe: str = "", bar: bool = True
) -> list[Any]:
    """``[function(task) for task in tasks]``, side by side, in the order of the tasks.

    ``function`` must be importable (a module's function) and tasks picklable.  With
    ``PAPER_CLUSTER=tcp://scheduler:8786`` the same tasks go to a Dask cluster
    (``pip install .[cluster]``).  The first error stops the map and is raised here.
    """
    tasks = list(tasks)
    if not tasks:
        return []
    cluster = os.environ.get("PAPER_CLUSTER")
    if cluster:
        return _on_cluster(cluster, function, tasks)
    from joblib import Parallel, delayed, parallel_config

    count, hidden = min(workers(), len(tasks)), {} if bar else {"disable": True}
    found: list[Any] = []
    with (
        parallel_config(backend="loky", inner_max_num_threads=1),
        progress(len(tasks), describe or function.__name__, **hidden) as steps,
    ):
        results = _each(function, tasks)
        if count > 1:
            side_by_side = Parallel(n_jobs=count, return_as="generator", batch_size=1)
            results = side_by_side(delayed(_alone)(function, task) for task in tasks)
        for result in results:
            found.append(result)
            steps.update(1)
    return found


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


def _on_cluster(address: str, function: Callable, tasks: list[Any]) -> list[Any]:
    with client(address) as dask:
        return dask.gather([dask.submit(_alone, function, task, pure=False) for task in tasks])
