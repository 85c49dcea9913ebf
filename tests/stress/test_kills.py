"""kill -9 at random moments, again and again; not part of make test, whose crashes are at every
write point, one after another (test_store.py)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from commands import ROOT, settings

from paper_utils.store import MANIFEST, damage

KILLS = 20


def begin(profile: str, out: Path, store: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "paper_utils", "run", "--profile", profile, "--out", str(out)]
    return subprocess.Popen(
        [*words, *settings(store, 2)], cwd=ROOT, env=os.environ | {"PYTHONPATH": ""}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def contents(run: Path) -> dict:
    """All that a run found, and every figure and table, but no times."""
    results = json.loads((run / "results.json").read_text())
    del results["wall_seconds"]
    shown = [path for place in ("tables", "figures") for path in sorted((run / place).iterdir())]
    files = {path.relative_to(run).as_posix(): path.read_bytes() for path in shown}
    return {"results": results, "files": files}


def test_killed_again_and_again_then_damaged(smallest, tmp_path):
    store, run, draw = tmp_path / "store", tmp_path / "run", random.Random(0)
    for _ in range(KILLS):
        process = begin(smallest, run, store)
        try:
            process.wait(draw.uniform(1, 20))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(1)  # a kernel without a parent ends
    process = begin(smallest, run, store)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    first = contents(run)
    assert not [p for p in run.rglob("*") if p.suffix == ".tmp" or p.name.startswith(".")]
    for path in store.glob(f"*/*/{MANIFEST}"):
        if ".partial" not in str(path):
            victim = next(p for p in sorted(path.parent.iterdir()) if p.name != MANIFEST)
            if victim.is_file():
                victim.write_bytes(victim.read_bytes()[:-1] + b"x")
                assert damage(path.parent)
    again = begin(smallest, tmp_path / "again", store)
    printed, _ = again.communicate(timeout=600)
    assert again.returncode == 0, printed
    assert contents(tmp_path / "again") == first
