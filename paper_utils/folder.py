"""A run's folder: filled from executed notebooks, with a manifest, and checked against it."""

import hashlib
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime

from paper_utils import report, store
from paper_utils.code import ROOT
from paper_utils.run import UsageError
from paper_utils.store import MANIFEST, read_json

LOCK = "run.lock"
# What may lie in a folder that no run has finished: what a notebook leaves that is executed on its
# own, and what systems leave.
KNOWN = ("figures", "tables", "captions", LOCK, ".tmp", *store.STRAY)


def fill(folder, notebooks, results, facts):
    """Fills a run's folder: what executed ``notebooks`` (name -> Path) wrote into theirs, results,
    pages, and ``facts``: how it came about.

    What an earlier run wrote and this one did not is removed; whatever else lies there is
    somebody's, and stays."""
    files = {}
    captions = {}
    for name, place in notebooks.items():
        captions |= read_json(place / "captions" / f"{name}.json")
        files |= {file: (place / file).read_bytes() for file in store.files_of(place)}
    results = results | {"captions": captions}
    facts = facts | {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
        "commit": commit(),
        "versions": store.versions(),
        "host": platform.platform(),
    }
    files["results.json"] = store.json_bytes(results)
    # Keys in their order: that of the levels decides which id a sentence has.
    files["provenance.json"] = json.dumps(facts, indent=1).encode()
    files |= report.pages(files, results, facts)
    hashes = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    earlier = read_json(folder / MANIFEST)["files"] if (folder / MANIFEST).exists() else ()
    # The manifest is the first, as it marks the folder as ours.
    wanted = {MANIFEST: store.json_bytes({"files": hashes}), **files}
    store.sync_folder(wanted, folder, earlier)


def commit():
    """Git commit of the code, with "-dirty" if the work tree differs; empty outside a clone."""
    # Not the commit of a repository in which this was unpacked.
    words = ["git", "--git-dir", ROOT / ".git", "--work-tree", ROOT]
    words += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    except OSError:
        # Without git, the commit is left unsaid.
        return ""


def verify(folder):
    """Problems of a finished run: files that are missing or do not match the manifest, and how."""
    # Whatever else lies there is somebody's.
    return {
        name: problem
        for name, problem in store.problems(folder).items()
        if problem != store.STRANGE
    }


def check(folder):
    """Raises UsageError where a run would overwrite what is not its own."""
    found = verify(folder)
    if MANIFEST in found and not all(path.name.endswith(KNOWN) for path in folder.glob("*")):
        raise UsageError(f"{folder} holds other files; choose a new or empty folder")
    for name, problem in found.items():
        if problem == store.CHANGED:
            remedy = "move it away, or choose another folder with --out"
            raise UsageError(f"{folder / name} was changed by hand: {remedy}")
