"""A run's folder: assembled from executed notebooks, with a manifest, and checked against it."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from paper_utils import store
from paper_utils.code import ROOT
from paper_utils.config import Profile
from paper_utils.run import RunError
from paper_utils.store import MANIFEST, read_json

PARTS = "parts/"  # what notebooks tell of themselves; not part of a run's folder
PATIENCE = 10  # seconds that git may take


def collect(notebooks: Mapping[str, Path]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of a run, from the folders of its executed notebooks, and the captions of its
    figures."""
    files = {}
    captions = {}
    for name, folder in notebooks.items():
        captions |= read_json(folder / PARTS / f"{name}.json")
        for file in store.files_of(folder):
            if not file.startswith(PARTS):
                files[file] = (folder / file).read_bytes()
    return files, captions


def facts_of(profile: Profile) -> dict:
    """How a run came about: time, command, commit, versions, machine and profile."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "code": commit(),
        "versions": store.versions(),
        "host": store.host(),
        "profile": profile.model_dump(mode="json"),
    }


def with_manifest(files: Mapping[str, bytes], artifacts: dict) -> dict[str, bytes]:
    """All files of a folder.  The manifest is the first, as it marks the folder as ours."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {MANIFEST: store.json_bytes({"files": hashes, "artifacts": artifacts}), **files}


def commit() -> dict:
    """Git commit of the code and whether the work tree differs from it; empty outside a clone."""
    words = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    # Not the commit of a repository in which this was unpacked.
    place = ["--git-dir", ROOT / ".git", "--work-tree", ROOT]
    try:
        # A missing or a slow git leaves the commit unsaid.
        said = subprocess.run(
            ["git", *place, *words], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    head, _, dirty = said.stdout.strip().partition("-")
    return {"commit": head, "dirty": bool(dirty)}


def hashes_of(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file of a finished run, as its manifest says; RunError without."""
    try:
        return dict(read_json(folder / MANIFEST)["files"].items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        line = f"{folder} is not a finished run: no readable {MANIFEST}"
        raise RunError(line, usage=True) from None


def verify(folder: Path) -> dict[str, str]:
    """Problems of a finished run: files that are missing or do not match the manifest, and how."""
    expected = hashes_of(folder)
    found = store.files_of(folder)
    # Whatever else lies there is somebody's.
    actual = {name: found[name]["sha256"] for name in expected if name in found}
    return store.differences(expected, actual)
