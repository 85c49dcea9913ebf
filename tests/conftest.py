"""Shared by all tests: a store of their own, one smoke run, and nothing from the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # as in a worker: two tests run side by side
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "agg"


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """One folder for the whole session, whichever process asks."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def command(*words: str, store: Path, cwd: Path = ROOT, **environment: str):
    """Runs a command of this environment and captures what it prints."""
    variables = os.environ | {"PAPER_STORE": str(store), "PYTHONPATH": ""} | environment
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="session")
def smoke(shared) -> tuple[Path, Path, str]:
    """(folder, store, what was printed) of one complete smoke run through the command line."""
    from filelock import FileLock

    folder, store, log = shared / "smoke", shared / "store", shared / "smoke.txt"
    with FileLock(shared / "smoke.lock"):
        if not log.exists():
            done = command(
                "paper_utils", "run", "--profile", "smoke", "--out", str(folder), store=store
            )
            assert done.returncode == 0, done.stdout + done.stderr
            log.write_text(done.stdout + done.stderr)
    return folder, store, log.read_text()
