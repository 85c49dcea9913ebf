"""Running the project's commands as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def command(*words: str, store: Path, cwd: Path = ROOT, **environment: str):
    """Runs a command of this environment and captures what it prints."""
    variables = os.environ | {"PAPER_STORE": str(store), "PYTHONPATH": ""} | environment
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
