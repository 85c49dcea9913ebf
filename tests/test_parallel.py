import os
import warnings

import pandas as pd
import pytest

from paper_utils import parallel


def _square(number):
    warnings.warn("a worker's warning must not reach a reader", stacklevel=1)
    return number * number, os.environ["OMP_NUM_THREADS"]


def _fail(number):
    raise KeyError(f"task {number}")


@pytest.mark.parametrize("workers", ["1", "2", "4"])
def test_order_and_threads_do_not_depend_on_the_workers(monkeypatch, workers):
    monkeypatch.setenv("PAPER_WORKERS", workers)
    assert parallel.map(_square, range(7), bar=False) == [(n * n, "1") for n in range(7)]


def test_nothing_to_do():
    assert parallel.map(_square, []) == []


def test_an_error_in_a_worker_is_raised_here(monkeypatch):
    monkeypatch.setenv("PAPER_WORKERS", "2")
    with pytest.raises(KeyError, match="task"):
        parallel.map(_fail, range(3), bar=False)


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_a_bad_number_of_workers_is_one_line(monkeypatch, value):
    monkeypatch.setenv("PAPER_WORKERS", value)
    with pytest.raises(ValueError, match="PAPER_WORKERS must be a positive number"):
        parallel.workers()


@pytest.mark.xdist_group("cluster")
def test_a_cluster_gives_the_same_in_the_same_order(monkeypatch, tmp_path):
    """Tasks and whole stages: what a store makes on workers is what it makes here."""
    from distributed import LocalCluster

    from paper_utils import Profile
    from paper_utils.artifacts import Store
    from paper_utils.encoders.embeddings import EMBEDDING

    names = [{"encoder": name} for name in ("bag_of_words", "random_tokens", "action-untrained-0")]
    profile = Profile.load("smoke")
    here = Store(tmp_path / "here").get_many(EMBEDDING, profile, names)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        monkeypatch.setenv("PAPER_CLUSTER", cluster.scheduler_address)
        assert parallel.map(abs, range(-9, 0)) == list(range(9, 0, -1))
        with pytest.raises(TypeError):
            parallel.map(abs, ["x"])
        there = Store(tmp_path / "there").get_many(EMBEDDING, profile, names)
    for one, two in zip(here, there):
        pd.testing.assert_frame_equal(one, two)


def test_devices():
    import torch

    assert parallel.device("cpu") == "cpu" and parallel.device("auto") in ("cpu", "cuda", "mps")
    for wanted, there in (("cuda", torch.cuda.is_available()), ("tpu", False)):
        if not there:
            with pytest.raises(RuntimeError, match=f"device '{wanted}' is not available"):
                parallel.device(wanted)
