"""Artifacts: every stage's product is a folder of files with a key and a birth certificate.

An artifact's key is the SHA-256 of what it is made from (`Stage.recipe`).  A folder appears under
its key when it is complete; its hashes are checked before it is used."""

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from paper_utils.code import fingerprint

MANIFEST = "manifest.json"
# Those that can change a number, or how it is shown.
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "minigrid", "gymnasium",
            "transformers", "tokenizers", "rapidfuzz", "papermill", "jupytext")  # fmt: skip
QUICK = 600.0  # seconds; a published artifact of other code that took longer is not made unasked
# Systems leave these wherever somebody looked into a folder.
STRAY = (".DS_Store", "Thumbs.db", "desktop.ini")
# What can be wrong with a file of a folder.
STRANGE = "does not belong there"
CHANGED = "does not match its hash"


class ArtifactError(RuntimeError):
    """An artifact that cannot be made, read or trusted; the message is one line."""


@dataclass(frozen=True)
class Stage:
    """One step from inputs to a folder of files, made in one process with one thread.

    Arguments:
        name: of the stage, for people and folders.
        make: ``make(profile, folder, *inputs, **parameters)`` writes files into ``folder``.
        load: ``load(folder)`` turns them into an object.
        reads: dotted keys of the profile that matter.
        needs: ``needs(profile, **parameters)`` lists the inputs as (stage, parameters).
        version: of what it makes, for stages that take long: a test compares what is made at a
            tiny size with what is recorded beside the version, so whoever changes it is told to
            raise the version.  None: the key holds a hash of the code instead.
        resumable: whether it continues what an interrupted run left in ``folder``.
        cost: ``cost(profile, **parameters)``, the seconds of one core that it should take.
    """

    name: str
    make: Callable
    load: Callable
    reads: tuple = ()
    needs: Callable = lambda profile, **parameters: []
    version: int | None = None
    resumable: bool = False
    cost: Callable = lambda profile, **parameters: 1.0

    def __post_init__(self):
        STAGES[self.name] = self

    def recipe(self, profile, parameters):
        """Everything that the artifact depends on."""
        needed = self.needs(profile, **parameters)
        code = f"version {self.version}"
        if self.version is None:
            code = fingerprint(self.make, *{stage.load for stage, _ in needed})
        # A table counts with its order: that of the levels decides which id a sentence has.
        read = {
            key: list(map(list, value.items())) if isinstance(value, dict) else value
            for key, value in profile.part(*self.reads).items()
        }
        return {
            "stage": self.name,
            "code": code,
            "profile": read,
            "parameters": parameters,
            "inputs": [stage.key(profile, chosen) for stage, chosen in needed],
        }

    def key(self, profile, parameters):
        """SHA-256 (hex) of the recipe."""
        # A plan asks for the same key from many sides.
        asked = self, profile.fingerprint, json.dumps(parameters)
        if asked not in _KEYS:
            _KEYS[asked] = hash_json(self.recipe(profile, parameters))
        return _KEYS[asked]

    def label(self, parameters):
        """A folder's name for people: the stage and the plain values of its parameters."""
        words = [self.name]
        for value in parameters.values():
            parts = value.values() if isinstance(value, dict) else [value]
            words += [str(part) for part in parts if isinstance(part, (str, int)) and part != ""]
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word)[:40] for word in words)[:120]


STAGES = {}
"""All stages that have been imported, by name, for a worker that is told a name."""
_KEYS = {}


@dataclass
class Store:
    """A folder of artifacts.  ``root`` is made when first written to.

    A product, everywhere below, is a stage (Stage), a profile (Profile) and parameters (dict)."""

    root: Path
    published: Path | None = None
    """A read-only store that is asked first; what is damaged there is refused, not remade."""

    def get(self, stage, profile, **parameters):
        """Loads an artifact, first making it (and whatever it needs) if it is not there."""
        product = stage, profile, parameters
        return stage.load(self.find(*product) or self.make(*product))

    def _places(self, stage, profile, parameters):
        """Where an artifact may be: what is published comes first."""
        # The label is for people; only the key decides.
        place = Path(stage.label(parameters), stage.key(profile, parameters)[:20])
        return [root / place for root in (self.published, self.root) if root]

    def find(self, *product):
        """The checked folder of an artifact, or None, with a line where it is damaged; raises
        ArtifactError for what is damaged where it is published."""
        for path in filter(Path.exists, self._places(*product)):
            problem = damage(path)
            if problem is None:
                return path
            said = f"artifact {path.parent.name}/{path.name} is damaged: {problem}"
            if path.parents[1] == self.published:
                remedy = "restore it with: git checkout --"
                raise ArtifactError(f"published {said}; {remedy} {self.published}")
            print(f"{said}; it has to be made again")
        return None

    def refuse_other_code(self, stage, profile, parameters):
        """Raises ArtifactError where code has changed since this was published, if making it again
        takes long: hours of training are not begun because somebody edited a line."""
        recipe = stage.recipe(profile, parameters)
        label = stage.label(parameters)
        for path in self.published.glob(f"{label}/*/{MANIFEST}") if self.published else ():
            made = read_json(path)
            # Only the same settings with other code are a matter of code.
            same = all(made["recipe"][part] == recipe[part] for part in ("profile", "parameters"))
            if same and made["wall_seconds"] > QUICK:
                raise ArtifactError(
                    f"published artifact {label} was made by other code; restore the code (git "
                    "stash, git checkout), or make everything here with compute.published=false "
                    f"(this one takes about {made['wall_seconds']:.0f} s)"
                )

    def make(self, *product):
        """Makes one artifact in this process; returns its folder.  Two runs that want the same one
        take turns.  OSError, with the place, if nothing can be written there."""
        self.refuse_other_code(*product)
        final = self._places(*product)[-1]
        final.parent.mkdir(parents=True, exist_ok=True)
        # Beside the artifact, which does not exist yet.
        with FileLock(f"{final}.lock"):
            # While we waited for the lock, another run may have made it; what is damaged goes.
            if damage(final):
                shutil.rmtree(final, ignore_errors=True)
                self._write(final, *product)
        return final

    def _write(self, final, stage, profile, parameters):
        """Has a stage write its files into a folder beside, which gets its name when whole."""
        inputs = [
            self.get(needed, profile, **chosen)
            for needed, chosen in stage.needs(profile, **parameters)
        ]
        beside = Path(f"{final}.partial")
        try:
            # Only a stage that says so goes on from what a run left that was killed.
            if not stage.resumable:
                shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(exist_ok=True)
            # Half-written files are of no use to it, either.
            for path in beside.rglob(".*"):
                path.unlink()
            started = time.monotonic()
            stage.make(profile, beside, *inputs, **parameters)
            manifest = {
                "recipe": stage.recipe(profile, parameters),
                "wall_seconds": round(time.monotonic() - started, 2),
                "files": files_of(beside),
                "versions": versions(),
                "host": platform.platform(),
            }
            write_atomically(beside / MANIFEST, json_bytes(manifest))
            # Its name promises that it is whole; if the machine stops now, hashes will tell.
            os.replace(beside, final)
        finally:
            if not stage.resumable:
                shutil.rmtree(beside, ignore_errors=True)


@cache
def versions():
    """Version of Python and of each package that can change a number."""
    return {
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
    }


def hash_json(value):
    """SHA-256 (hex) of plain data, independent of the order of keys."""
    # Whatever JSON does not know, as a path, counts as its text.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def hash_file(path):
    """SHA-256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path):
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_atomically(path, data):
    """Writes bytes to a whole file (Path) or nothing: a temporary sibling, flushed to the disk,
    then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # On the same disk, so that renaming it is one step.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def json_bytes(value):
    """Plain data as JSON with sorted keys and a final newline; ValueError if there is a NaN."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def write_table(path, table):
    """A pandas table as ``.csv.gz``, for ``pandas.read_csv``; equal tables give equal bytes."""
    write_atomically(path, gzip.compress(table.to_csv(index=False).encode(), mtime=0))


def sync_folder(wanted, folder, ours):
    """Makes a folder hold ``wanted`` (relative name -> bytes).

    Each file appears whole.  Of the others, those named in ``ours`` are removed at last, and so
    are folders that this leaves empty."""
    for name, data in wanted.items():
        write_atomically(folder / name, data)
    for name in set(ours).difference(wanted):
        path = folder / name
        path.unlink(missing_ok=True)
        for parent in path.parents[: name.count("/")]:
            # What still holds something stays.
            with suppress(OSError):
                parent.rmdir()


def files_of(folder):
    """Relative name -> size and SHA-256 of every file below ``folder``, the manifest excepted."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and path.name not in STRAY:
            found[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    return found


def problems(folder):
    """How a folder differs from what its manifest says: name of a file -> what is wrong with it."""
    actual = files_of(folder)
    try:
        # Of an artifact as of a run's folder: as `files_of` gives them.
        expected = {**read_json(folder / MANIFEST)["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {MANIFEST: "is missing or unreadable"}
    found = {}
    # In order of names, so that everybody is told the same.
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            found[name] = "is missing"
        elif name not in expected:
            found[name] = STRANGE
        elif expected[name] != actual[name]:
            found[name] = CHANGED
    return found


def damage(folder):
    """What is wrong with an artifact's folder, in a few words; None if every hash holds."""
    told = (f"{name} {problem}" for name, problem in problems(folder).items())
    # A name may hold anything, but what is told is one line.
    return " ".join(next(told, "").split()) or None
