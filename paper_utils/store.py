"""The store: every product of a stage is a folder with a name, a hash and a birth certificate.

An artifact's key is the SHA-256 of what it is made from: the stage's name, the code that makes it,
the part of the profile that the stage reads, its parameters, and the keys of its inputs.  A folder
appears under its key only when it is complete (written beside, fsynced, renamed), and every file is
checked against its hash before it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from paper_utils import parallel, provenance
from paper_utils.code import fingerprint
from paper_utils.config import Compute, Profile

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
QUICK = 600.0  # seconds; a published artifact of other code that took longer is not made unasked


class ArtifactError(RuntimeError):
    """An artifact that cannot be made, read or trusted; the message is one line."""


@dataclass(frozen=True)
class Stage:
    """One step from inputs to a folder of files.

    ``make(profile, folder, *inputs, **parameters)`` writes files into ``folder``; ``load(folder)``
    turns them back into an object.  ``reads`` are the keys of the profile that matter, and
    ``needs(profile, **parameters)`` lists the inputs as (stage, parameters of that stage).  A
    resumable stage finds in ``folder`` what an interrupted run left there; one that fans out is
    made in this process, because it spreads its own work over workers.  ``cost`` of making one, in
    any unit: the costly are begun first.
    """

    name: str
    make: Callable[..., None]
    load: Callable[[Path], Any]
    reads: tuple[str, ...] = ()
    needs: Callable[..., list[tuple[Stage, dict[str, Any]]]] = lambda profile, **parameters: []
    resumable: bool = False
    fans_out: bool = False
    cost: Callable[..., float] = lambda **parameters: 0.0

    def key(self, profile: Profile, parameters: dict[str, Any]) -> str:
        """SHA-256 (hex) of everything that the artifact depends on."""
        return hash_json(self.recipe(profile, parameters))

    def recipe(self, profile: Profile, parameters: dict[str, Any]) -> dict[str, Any]:
        needed = self.needs(profile, **parameters)
        loads = dict.fromkeys(stage.load for stage, _ in needed)
        return {
            "stage": self.name,
            "code": fingerprint(self.make, *loads),
            "profile": profile.part(*self.reads),
            "parameters": parameters,
            "inputs": [stage.key(profile, chosen) for stage, chosen in needed],
        }

    def label(self, parameters: dict[str, Any]) -> str:
        """A folder's name for people: the stage and the plain values of its parameters."""
        words = [self.name]
        for value in parameters.values():
            values = value.values() if isinstance(value, dict) else [value]
            words += [str(v) for v in values if isinstance(v, (str, int)) and v != ""]
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word)[:40] for word in words)[:120]


@dataclass
class Store:
    """A folder of artifacts.  ``root`` is made when first written to."""

    root: Path
    published: Path | None = None
    """A read-only store that is asked first; what is damaged there is refused, not remade."""
    compute: Compute | None = None

    def path(self, stage: Stage, profile: Profile, root: Path | None = None, **parameters) -> Path:
        """Where the artifact lies, or will lie."""
        key = stage.key(profile, parameters)
        return (root or self.root) / stage.label(parameters) / key[:20]

    def get(self, stage: Stage, profile: Profile, **parameters: Any) -> Any:
        """Loads an artifact, first making it (and whatever it needs) if it is not there."""
        return self.get_many(stage, profile, [parameters])[0]

    def get_many(self, stage: Stage, profile: Profile, each: Sequence[dict[str, Any]]) -> list[Any]:
        """Like `get` for several parameters, made side by side, one thread each."""
        return [stage.load(path) for path in self.paths(stage, profile, each)]

    def paths(self, stage: Stage, profile: Profile, each: Sequence[dict[str, Any]]) -> list[Path]:
        """Checked folders of several artifacts of a stage, made first where they are missing."""
        found = [self._find(stage, profile, parameters) for parameters in each]
        missing = [each[i] for i, path in enumerate(found) if path is None]
        if missing:
            for parameters in missing:
                self._refuse_other_code(stage, profile, parameters)
            pairs = (pair for parameters in missing for pair in stage.needs(profile, **parameters))
            for input_stage, wanted in _by_stage(pairs):
                self.paths(input_stage, profile, wanted)
            if stage.fans_out:
                for parameters in missing:
                    self.make(stage, profile, parameters)
            else:
                missing.sort(key=lambda parameters: -stage.cost(**parameters))
                tasks = [(self, stage, profile, parameters) for parameters in missing]
                parallel.map(_make_task, tasks, self.compute, stage.name)
            found = [self._find(stage, profile, parameters) for parameters in each]
        return [path for path in found if path is not None]

    def manifest(self, stage: Stage, profile: Profile, **parameters: Any) -> dict[str, Any] | None:
        """The birth certificate (recipe, hashes, wall time, versions, host), if there is one."""
        for root in filter(None, (self.published, self.root)):
            path = self.path(stage, profile, root=root, **parameters) / MANIFEST
            if path.is_file():
                return json.loads(path.read_text())
        return None

    def _find(self, stage: Stage, profile: Profile, parameters: dict[str, Any]) -> Path | None:
        for root in filter(None, (self.published, self.root)):
            path = self.path(stage, profile, root=root, **parameters)
            if not path.exists():
                continue
            problem = damage(path)
            if problem is None:
                return path
            name = f"{path.parent.name}/{path.name}"
            if root != self.root:
                raise ArtifactError(
                    f"published artifact {name} is damaged: {problem}; "
                    f"restore it with: git checkout -- {root}"
                )
            with self._lock(path):  # another run may have seen it, too, and made it again
                if damage(path) is None:
                    return path
                print(f"artifact {name} is damaged: {problem}; rebuilding it")
                shutil.rmtree(path)
        return None

    def _refuse_other_code(self, stage: Stage, profile: Profile, parameters: dict) -> None:
        """Says so, or raises ArtifactError, where code has changed since this was published."""
        if self.published is None:
            return
        recipe = stage.recipe(profile, parameters)
        for path in sorted((self.published / stage.label(parameters)).glob(f"*/{MANIFEST}")):
            try:
                made = json.loads(path.read_text())
                same = all(made["recipe"][k] == recipe[k] for k in ("profile", "parameters"))
                seconds = float(made["wall_seconds"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if not same:
                continue
            name = f"published artifact {path.parent.parent.name} was made by other code"
            if seconds <= QUICK:
                print(f"{name}; making it here (about {max(1, seconds):.0f} s)")
            else:
                raise ArtifactError(
                    f"{name}; restore the code (git stash, git checkout), or make everything here "
                    f"with compute.published=false (this one takes about {seconds / 60:.0f} min)"
                )

    @contextmanager
    def _lock(self, final: Path) -> Iterator[None]:
        """Holds an artifact's place.  Raises ArtifactError where the store cannot be written to."""
        from filelock import FileLock

        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(final.with_name(final.name + ".lock"))
            lock.acquire()
        except OSError as error:
            raise ArtifactError(
                f"cannot write to the store {self.root}: {error.strerror}"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def remake(self, stage: Stage, profile: Profile, **parameters: Any) -> Any:
        """Makes an artifact again and loads it, from inputs as they are, and keeps nothing."""
        with TemporaryDirectory() as folder:
            inputs = self._inputs(stage, profile, parameters)
            stage.make(profile, Path(folder), *inputs, **parameters)
            return stage.load(Path(folder))

    def _inputs(self, stage: Stage, profile: Profile, parameters: dict[str, Any]) -> list[Any]:
        return [
            needed.load(self.paths(needed, profile, [chosen])[0])
            for needed, chosen in stage.needs(profile, **parameters)
        ]

    def make(self, stage: Stage, profile: Profile, parameters: dict[str, Any]) -> None:
        """Makes one artifact in this process.  Two runs that want the same one take turns."""
        final = self.path(stage, profile, **parameters)
        with self._lock(final):
            if final.exists():
                return
            partial = final.with_name(final.name + ".partial")
            if partial.exists() and not stage.resumable:
                shutil.rmtree(partial)
            partial.mkdir(exist_ok=True)
            for path in partial.rglob("*"):  # a killed run's half-written files
                if path.name.startswith(".") or path.suffix == ".tmp":
                    path.unlink()
            inputs = self._inputs(stage, profile, parameters)
            started = time.monotonic()
            try:
                stage.make(profile, partial, *inputs, **parameters)
                certificate = {
                    "recipe": stage.recipe(profile, parameters),
                    "key": stage.key(profile, parameters),
                    "files": files_of(partial),
                    "wall_seconds": round(time.monotonic() - started, 2),
                    "versions": provenance.versions(),
                    "host": provenance.host(),
                }
                write_json(partial / MANIFEST, certificate)
                sync(partial)
                os.replace(partial, final)
                sync_folder(final.parent)
            except BaseException:
                if not stage.resumable:
                    shutil.rmtree(partial, ignore_errors=True)
                raise


def _make_task(task: tuple[Store, Stage, Profile, dict[str, Any]]) -> None:
    store, stage, profile, parameters = task
    store.make(stage, profile, parameters)


def _by_stage(
    pairs: Iterable[tuple[Stage, dict[str, Any]]],
) -> list[tuple[Stage, list[dict[str, Any]]]]:
    """Distinct parameters of each stage, so that they can be made side by side."""
    groups: dict[str, tuple[Stage, list[dict[str, Any]]]] = {}
    for stage, chosen in pairs:
        _, known = groups.setdefault(stage.name, (stage, []))
        if chosen not in known:
            known.append(chosen)
    return list(groups.values())


# Files and hashes -----------------------------------------------------------------------------


def hash_json(value: Any) -> str:
    """SHA-256 (hex) of plain data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: str | bytes) -> None:
    """Writes a whole file or nothing: a temporary sibling, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes plain data atomically, with sorted keys and a final newline; refuses NaN."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def compressed(text: str) -> bytes:
    """gzip without a time stamp, so that equal texts give equal bytes."""
    return gzip.compress(text.encode(), mtime=0)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A table as ``.csv.gz``, which ``pandas.read_csv`` opens."""
    write_atomically(path, compressed(table.to_csv(index=False)))


def mirror(wanted: Mapping[str, Path | bytes], folder: Path, keep: Sequence[str] = ()) -> None:
    """Makes a folder hold exactly ``wanted`` (relative name -> a file, or its bytes).

    Each file appears whole; equal ones are left alone; then whatever does not belong is removed, at
    any depth: old products, and what a killed run left half-written.  Names in ``keep`` stay.
    """
    for name, content in wanted.items():
        data, path = content if isinstance(content, bytes) else content.read_bytes(), folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomically(path, data)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder).as_posix() not in (*wanted, *keep):
            path.unlink()


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Relative name -> size and SHA-256 of every file below ``folder``, the manifest excepted."""
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hash_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    }


def damage(folder: Path) -> str | None:
    """What is wrong with an artifact's folder, in a few words; None if every hash holds."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    try:
        actual = {name: entry["sha256"] for name, entry in files_of(folder).items()}
    except OSError as error:
        return f"unreadable ({error.strerror})"
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} does not belong there"
        if expected[name] != actual[name]:
            return f"{name} does not match its hash"
    return None


def sync(folder: Path) -> None:
    """Flushes a folder's files to the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            sync_folder(path)
        else:
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a directory cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
