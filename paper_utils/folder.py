"""A run's folder: assembled from executed notebooks, with a manifest, and checked against it."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from paper_utils import store
from paper_utils.code import ROOT
from paper_utils.config import Profile
from paper_utils.run import RunError
from paper_utils.store import MANIFEST, hash_bytes, hash_file

PARTS = "parts/"  # what notebooks tell of themselves; not part of a run's folder
PATIENCE = 10  # seconds that git may take


def collect(notebooks: Mapping[str, Path]) -> tuple[dict[str, Path], dict]:
    """The files of a run, from the folders of its executed notebooks, and what these say: missing
    encoders, artifacts that they used, captions of their figures."""
    # Later notebooks may repeat what earlier ones say of shared artifacts.
    files: dict[str, Path] = {}
    said: dict[str, dict] = {"missing": {}, "artifacts": {}, "captions": {}}
    for name, folder in notebooks.items():
        part = json.loads((folder / PARTS / f"{name}.json").read_text(encoding="utf-8"))
        for key in said:
            said[key] |= part[key]
        for file in store.files_of(folder):
            if not file.startswith(PARTS):
                files[file] = folder / file
    return files, said


def wall_seconds(artifacts: Iterable[dict]) -> dict[str, float]:
    """Stage -> seconds that making its artifacts took, whenever that was."""
    seconds: dict[str, float] = {}
    for entry in artifacts:
        before = seconds.get(entry["stage"], 0.0)
        seconds[entry["stage"]] = round(before + entry["wall_seconds"], 2)
    return seconds


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


def with_manifest(files: Mapping[str, Path | bytes], artifacts: dict) -> dict[str, Path | bytes]:
    """All files of a folder.  The manifest is the first, as it marks the folder as ours."""
    # What is a file already is hashed where it lies.
    hashes = {}
    for name, content in files.items():
        known = isinstance(content, bytes)
        hashes[name] = hash_bytes(content) if known else hash_file(content)
    manifest = store.json_bytes({"files": hashes, "artifacts": artifacts})
    return {MANIFEST: manifest, **files}


def commit() -> dict:
    """Git commit of the code and whether the work tree differs from it; empty outside a clone."""
    # Not the commit of a repository in which this was unpacked.
    if not (ROOT / ".git").exists():
        return {}
    try:
        # A missing or a slow git leaves the commit unsaid.
        head = _git("rev-parse", "HEAD")
        changes = _git("status", "-s")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": head.strip(), "dirty": bool(changes)}


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.check_output(
        command, text=True, encoding="utf-8", stderr=subprocess.DEVNULL, timeout=PATIENCE
    )


def hashes_of(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file of a finished run, as its manifest says; RunError without."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return dict(manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        line = f"{folder} is not a finished run: no readable {MANIFEST}"
        raise RunError(line, usage=True) from None


def verify(folder: Path) -> list[str]:
    """Problems of a finished run: files that are missing or do not match the manifest."""
    expected = hashes_of(folder)
    found = {name: entry["sha256"] for name, entry in store.files_of(folder).items()}
    problems = []
    for name, sha256 in expected.items():
        if name not in found:
            problems.append(f"{name}: missing")
        elif found[name] != sha256:
            problems.append(f"{name}: does not match its hash")
    return problems


def changed(folder: Path) -> list[str]:
    """Files of a finished run that somebody has changed since."""
    lines = [line for line in verify(folder) if "match" in line]
    return [line.split(": ")[0] for line in lines]
