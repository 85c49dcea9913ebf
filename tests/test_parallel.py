"""Tasks side by side: order, threads, errors, kills, and an estimate that can be trusted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ROOT

from paper_utils import parallel
from paper_utils.config import Compute
from paper_utils.parallel import Task


def _note(folder: Path, name: str, needs: tuple[str, ...] = ()) -> None:
    warnings.warn("a worker's warning must not reach a reader", stacklevel=1)
    missing = [one for one in needs if not (folder / one).exists()]
    (folder / name).write_text(f"{os.environ['OMP_NUM_THREADS']} {missing}")


def _fail(number: int) -> None:
    raise KeyError(f"task {number}")


def _die(number: int) -> None:
    os._exit(1)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def diamond(folder: Path) -> list[Task]:
    """Two tasks that need a third, and one that needs both, named before what they need."""
    needs = {"last": ("left", "right"), "left": ("first",), "right": ("first",), "first": ()}
    return [Task(name, _note, (folder, name, some), needs=frozenset(some))
            for name, some in needs.items()]  # fmt: skip


# The first pool of a process imports everything: one worker, one time.
POOL = pytest.mark.xdist_group("pool")


@pytest.fixture
def run(capsys):
    """Runs tasks; returns their keys as they ended."""

    def run(tasks: list[Task], **compute) -> list[str]:
        parallel.run([replace(task, told=True) for task in tasks], Compute(**compute))
        return [line.split(" done in ")[0] for line in capsys.readouterr().out.splitlines()]

    return run


@POOL
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_each_task_runs_once_after_what_it_needs_on_one_thread(tmp_path, workers, run):
    ended = run(diamond(tmp_path), workers=workers)
    assert sorted(ended) == ["first", "last", "left", "right"]
    assert ended[0] == "first" and ended[-1] == "last"
    assert {path.read_text() for path in tmp_path.iterdir()} == {"1 []"}


def test_nothing_to_do(run):
    assert run([]) == []


def test_a_circle_is_refused(run):
    needs = {"a": "b", "b": "a"}
    tasks = [Task(one, _note, (), needs=frozenset([other])) for one, other in needs.items()]
    with pytest.raises(ValueError, match="cycle"):
        run(tasks)


def test_the_longest_chain_begins_first(run):
    tasks = [Task("short", _sleep, (0,), 3.0), Task("end", _sleep, (0,), 2.0, frozenset(["begin"])),
             Task("begin", _sleep, (0,), 2.0)]  # fmt: skip
    assert run(tasks, workers=1) == ["begin", "short", "end"]


@POOL
@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_raised_here_and_stops_the_others(workers, run):
    tasks = [Task("bad", _fail, (1,), 9.0), *(Task(f"{n}", _sleep, (30,)) for n in range(3))]
    started = time.monotonic()
    with pytest.raises(KeyError, match="task 1"):
        run(tasks, workers=workers)
    assert time.monotonic() - started < 20


@POOL
def test_a_worker_that_dies_is_one_line_and_the_next_run_works(tmp_path, run):
    tasks = [Task(f"{n}", _die, (n,)) for n in range(3)]
    with pytest.raises(OSError, match="a worker has died"):
        run(tasks, workers=2)
    assert len(run(diamond(tmp_path), workers=2)) == 4


def script(tasks: str, ending: str = "") -> subprocess.CompletedProcess:
    code = ("import os, threading, time\nfrom paper_utils import parallel\n"
            "from paper_utils.config import Compute\nfrom paper_utils.parallel import Task\n"
            f"{ending}\nparallel.run({tasks}, Compute(workers=2))")  # fmt: skip
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


# Kills the process that it is started in as soon as both of its workers are at work.
KILLER = """
def kill():
    while len(os.listdir({folder!r})) < 2:
        time.sleep(0.1)
    os.kill(os.getpid(), 9)
threading.Thread(target=kill, daemon=True).start()
"""


def test_a_process_that_is_killed_leaves_no_warning_and_no_worker_behind(tmp_path):
    begun = f"import pathlib, time; pathlib.Path({str(tmp_path)!r}, '%d').touch(); time.sleep(600)"
    tasks = f"[Task(str(n), exec, ({begun!r} % n,)) for n in range(2)]"
    started = time.monotonic()
    done = script(tasks, KILLER.format(folder=str(tmp_path)))
    # Whoever still could write to the pipe has ended.
    assert time.monotonic() - started < 200
    assert done.returncode == -9 and done.stderr == ""
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pool_that_has_done_its_work_says_nothing():
    done = script("[Task(str(n), abs, (n,), told=True) for n in range(5)]")
    ended = [line[0] for line in done.stdout.splitlines() if "done in" in line]
    assert sorted(ended) == list("01234") and done.stderr == ""
    assert done.returncode == 0


def test_the_estimate_corrects_itself(monkeypatch):
    """Predictions that are twice too short: after a fifth of the work the estimate knows."""
    now = [0.0]
    monkeypatch.setattr(parallel.time, "monotonic", lambda: now[0])
    clock = parallel._Clock([Task(f"{n}", _sleep, (), 10.0) for n in range(20)])
    for _ in range(2):
        first, second = clock.begin(), clock.begin()
        now[0] += 20
        clock.end(first)
        clock.end(second)
    elapsed, left = clock.estimate(workers=2)
    assert elapsed == 40 and left == pytest.approx(160, rel=0.2)
    clock.begin()
    now[0] += 5
    assert clock.estimate(workers=2)[1] == pytest.approx(155, rel=0.2)
    # Tasks that cost nothing, as was predicted, can be estimated, too.
    assert parallel._Clock([Task("free", _sleep, (), 0.0)]).estimate(workers=2)[1] == 0


@pytest.mark.xdist_group("cluster")
def test_a_cluster_runs_the_same_graph(tmp_path, run):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        ended = run(diamond(tmp_path), cluster=address)
        assert ended[0] == "first" and ended[-1] == "last"
        assert {path.read_text() for path in tmp_path.iterdir()} == {"1 []"}
        with pytest.raises(KeyError, match="task 1"):
            run([Task("bad", _fail, (1,))], cluster=address)


def test_a_scheduler_that_is_not_there_is_one_line_and_soon(run):
    started = time.monotonic()
    with pytest.raises(OSError, match="connect to tcp://127.0.0.1:9"):
        run([Task("a", abs, (1,))], cluster="tcp://127.0.0.1:9")
    assert time.monotonic() - started < 15


def test_devices():
    assert parallel.device("cpu") == "cpu" and parallel.device("auto") in ("cpu", "cuda", "mps")
