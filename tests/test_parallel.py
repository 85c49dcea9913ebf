import io
import os
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from commands import ROOT
from tqdm import std

from paper_utils import parallel
from paper_utils.config import Compute


def _square(number):
    warnings.warn("a worker's warning must not reach a reader", stacklevel=1)
    return number * number, os.environ["OMP_NUM_THREADS"]


def _fail(number):
    raise KeyError(f"task {number}")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_order_and_threads_do_not_depend_on_the_workers(workers):
    done = parallel.map(_square, range(7), Compute(workers=workers))
    assert done == [(n * n, "1") for n in range(7)]


def test_nothing_to_do():
    assert parallel.map(_square, []) == []


def test_an_error_in_a_worker_is_raised_here():
    with pytest.raises(KeyError, match="task"):
        parallel.map(_fail, range(3), Compute(workers=2))


def _die(number):
    os._exit(1)


def test_a_worker_that_dies_is_one_line_and_the_next_map_works():
    with pytest.raises(OSError, match="a worker has died"):
        parallel.map(_die, range(3), Compute(workers=2))
    assert parallel.map(abs, [-1, -2], Compute(workers=2)) == [1, 2]


def test_a_process_that_is_killed_leaves_no_warning_behind():
    code = ("import os; from paper_utils import parallel; from paper_utils.config import Compute\n"
            "parallel.map(abs, range(3), Compute(workers=2)); os.kill(os.getpid(), 9)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == -9 and done.stderr == ""  # all who write there have ended


def test_at_rest_a_process_has_no_children_and_can_map_again():
    """A kernel that still has some, which ignore SIGTERM, takes half a minute to end."""
    code = ("import os; from paper_utils import parallel; from paper_utils.config import Compute\n"
            "for _ in range(2):\n"
            "    print(parallel.map(abs, range(3), Compute(workers=2)))\n"
            "    parallel.rest()\n"
            "    try: os.waitpid(-1, os.WNOHANG)\n"
            "    except ChildProcessError: print('no children')")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\nno children\n" * 2, "")


class Unreadable:
    """What can be sent, but not received."""

    def __reduce__(self):
        return int, ("no number",)


def _unreadable(number):
    return Unreadable()


def test_without_a_terminal_there_is_a_line_a_minute_with_an_estimate(monkeypatch):
    now, log = [0.0], io.StringIO()
    monkeypatch.setattr(std, "time", lambda: now[0])
    monkeypatch.setattr(sys, "__stderr__", log)
    with parallel.progress(6, "agents", Compute(progress="terminal")) as bar:
        for _ in range(6):
            now[0] += 50
            bar.update(1)
    assert log.getvalue().split("\n") == [
        "agents:  33%, 01:40 elapsed, about 03:20 left",
        "agents:  67%, 03:20 elapsed, about 01:40 left",
        "agents: 100%, 05:00 elapsed, about 00:00 left",
        "",
    ]


@pytest.mark.xdist_group("cluster")
def test_a_cluster_gives_the_same_in_the_same_order(tmp_path):
    """Tasks and whole stages: what a store makes on workers is what it makes here."""
    from distributed import LocalCluster

    from paper_utils import Profile
    from paper_utils.encoders.registry import EMBEDDING, Encoder, records
    from paper_utils.store import Store

    lexical = [Encoder("control", name, "lexical") for name in ("bag_of_words", "random_tokens")]
    agents = [Encoder("untrained", "agent", "cloning", seed) for seed in range(4)]
    names = records([*lexical, *agents])  # these draw from torch's one source of random numbers
    profile = Profile.load("smoke")
    here = Store(tmp_path / "here").get_many(EMBEDDING, profile, names)
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        compute = Compute(cluster=cluster.scheduler_address)
        assert parallel.map(abs, range(-9, 0), compute) == list(range(9, 0, -1))
        with pytest.raises(TypeError):
            parallel.map(abs, ["x"], compute)
        with pytest.raises(ValueError):  # and not for ever
            parallel.map(_unreadable, [1], compute)
        there = Store(tmp_path / "there", None, compute).get_many(EMBEDDING, profile, names)
    for one, two in zip(here, there):
        pd.testing.assert_frame_equal(one, two)


def test_devices():
    import torch

    assert parallel.device("cpu") == "cpu" and parallel.device("auto") in ("cpu", "cuda", "mps")
    for wanted, there in (("cuda", torch.cuda.is_available()), ("tpu", False)):
        if not there:
            with pytest.raises(RuntimeError, match=f"device '{wanted}' is not available"):
                parallel.device(wanted)
