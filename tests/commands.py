"""Running the project's commands as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPUTES = ("run", "status", "batch")


def settings(store: Path, workers: int = 1) -> list[str]:
    """A store of one's own, and one worker: two tests run side by side already."""
    return ["--set", f"compute.store={store}", "--set", f"compute.workers={workers}"]


def command(*words: str, store: Path | None = None, cwd: Path = ROOT):
    """Runs a command of this environment and captures what it prints."""
    if store is not None and words[0] == "paper_utils" and words[1:2] and words[1] in COMPUTES:
        words = (*words, *settings(store))
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def place_of(store, stage, profile, **parameters):
    """Where an artifact of a store lies, or will lie."""
    return store.root / stage.label(parameters) / stage.key(profile, parameters)[:20]
