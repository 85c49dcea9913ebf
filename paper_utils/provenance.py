"""Who, what, when, and with which versions: the facts that stand beside every result."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "minigrid", "gymnasium",
            "transformers", "tokenizers", "papermill", "jupytext")  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Version of Python and of each package that can change a number."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def host() -> dict[str, Any]:
    """What the machine is, without naming it."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}


def commit() -> dict[str, Any]:
    """Git commit of the code and whether the work tree differs from it; empty outside a clone."""
    git, options = ["git", "-C", str(ROOT)], {"stderr": subprocess.DEVNULL, "timeout": 10}
    try:
        head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, **options)
        changes = subprocess.check_output([*git, "status", "-s"], **options)
        return {"commit": head.strip(), "dirty": bool(changes)}
    except (OSError, subprocess.SubprocessError):
        return {}


def record(profile: Any) -> dict[str, Any]:
    """Everything at once, as written into ``provenance.json``."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "code": commit(), "versions": versions(), "host": host(),
        "profile": profile.model_dump(mode="json"),
    }  # fmt: skip
