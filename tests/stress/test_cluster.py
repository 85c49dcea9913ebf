"""A batch on a Dask cluster goes on where a busy worker is killed; not part of make test."""

import os
import signal
import threading
import time

from distributed import Client, LocalCluster

from paper_utils import batch


def test_a_lost_worker_does_not_stop_a_batch(smallest, tmp_path):
    choices, out = {"cloning.epochs": [1, 2]}, tmp_path / "out"
    killed = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        choices |= {"compute.store": [str(tmp_path / "other")],
                    "compute.cluster": [cluster.scheduler_address]}  # fmt: skip
        there = batch.check(smallest, [0], choices, str(out / "there"))
        killer = threading.Thread(target=kill_one, args=(client, tmp_path / "other", killed))
        killer.start()
        found, failed = batch.run(*there)
        killer.join()
    assert killed
    assert failed == 0 and len(found)


def kill_one(client, store, killed) -> None:
    """Kills a worker that is busy with a run, once that has got somewhere."""
    until = time.monotonic() + 120
    while not list(store.glob("stories*/*/manifest.json")):
        assert time.monotonic() < until
        time.sleep(0.2)
    busy = next(worker for worker, tasks in client.processing().items() if tasks)
    process = client.run(os.getpid, workers=[busy])[busy]
    os.kill(process, signal.SIGKILL)
    killed.append(process)
