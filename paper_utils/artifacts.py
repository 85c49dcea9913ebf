"""The store: every product of a stage is a folder with a name, a hash and a birth certificate.

An artifact's key is the SHA-256 of what it is made from: the stage's name and version, the part of
the profile that the stage reads, its parameters, and the keys of its inputs.  A folder appears
under its key only when it is complete (written beside, fsynced, renamed), and every file is
checked against its hash before it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from paper_utils import parallel, provenance
from paper_utils.config import Profile

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
PROGRESS = "progress.txt"
PUBLISHED_VARIABLE = "PAPER_RELEASE"  # "ignore": make everything here
Report = Callable[[float], None]


class ArtifactError(RuntimeError):
    """An artifact that cannot be made, read or trusted; the message is one line."""


@dataclass(frozen=True)
class Stage:
    """One step from inputs to a folder of files.

    ``make(profile, folder, report, *inputs, **parameters)`` writes files into ``folder`` and may
    call ``report(fraction)``; ``load(folder)`` turns them back into an object.
    ``needs(profile, **parameters)`` lists its inputs as (stage, parameters of that stage).
    A resumable stage finds in ``folder`` what an interrupted run left there; one that fans out
    is made in this process, because it spreads its own work over workers.
    """

    name: str
    version: int
    make: Callable[..., None]
    load: Callable[[Path], Any]
    reads: tuple[str, ...] = ()
    needs: Callable[..., list[tuple[Stage, dict[str, Any]]]] = lambda *_, **__: []
    resumable: bool = False
    fans_out: bool = False
    cost: Callable[..., float] = lambda **_: 0.0
    """Of making one, from its parameters, in any unit: the costly are begun first."""

    def key(self, profile: Profile, parameters: dict[str, Any]) -> str:
        """SHA-256 (hex) of everything that the artifact depends on."""
        return hash_json(self.recipe(profile, parameters))

    def recipe(self, profile: Profile, parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            "stage": self.name,
            "version": self.version,
            "profile": profile.part(*self.reads),
            "parameters": parameters,
            "inputs": [
                stage.key(profile, chosen) for stage, chosen in self.needs(profile, **parameters)
            ],
        }


@dataclass
class Store:
    """A folder of artifacts.  ``root`` is made when first written to."""

    root: Path
    published: tuple[Path, ...] = ()
    """Read-only stores that are asked first; a damaged artifact there is refused, not remade.
    An artifact there may lack files (its manifest says which): it can be loaded, but what is made
    from it is made from a whole one."""

    def path(self, stage: Stage, profile: Profile, root: Path | None = None, **parameters) -> Path:
        """Where the artifact lies, or will lie."""
        key = stage.key(profile, parameters)
        plain = [value for value in parameters.values() if isinstance(value, (str, int))]
        label = "-".join([stage.name, *map(_plain, plain)])
        return (root or self.root) / label / key[:20]

    def get(self, stage: Stage, profile: Profile, **parameters: Any) -> Any:
        """Loads an artifact, first making it (and whatever it needs) if it is not there."""
        return self.get_many(stage, profile, [parameters])[0]

    def get_many(self, stage: Stage, profile: Profile, each: Sequence[dict[str, Any]]) -> list[Any]:
        """Like :meth:`get` for several parameters, made side by side, one thread each."""
        return [stage.load(path) for path in self.paths(stage, profile, each)]

    def paths(
        self,
        stage: Stage,
        profile: Profile,
        each: Sequence[dict[str, Any]],
        whole: bool = False,
    ) -> list[Path]:
        """Checked folders of several artifacts of a stage, made first where they are missing.

        ``whole``: with all of their files, as stages need their inputs.
        """
        found = [self._find(stage, profile, parameters, whole) for parameters in each]
        missing = [each[i] for i, path in enumerate(found) if path is None]
        if missing:
            for input_stage, wanted in _by_stage(
                pair for parameters in missing for pair in stage.needs(profile, **parameters)
            ):
                self.paths(input_stage, profile, wanted, whole=True)
            self._make_all(stage, profile, missing)
            found = [self._find(stage, profile, parameters, whole) for parameters in each]
        return [path for path in found if path is not None]

    def manifest(self, stage: Stage, profile: Profile, **parameters: Any) -> dict[str, Any] | None:
        """The birth certificate (recipe, hashes, wall time, versions, host), if there is one."""
        for root in (*self.published, self.root):
            path = self.path(stage, profile, root=root, **parameters) / MANIFEST
            if path.is_file():
                return json.loads(path.read_text())
        return None

    def _make_all(self, stage: Stage, profile: Profile, missing: list[dict[str, Any]]) -> None:
        if stage.fans_out:
            for parameters in missing:
                self.make(stage, profile, parameters)
            return
        missing = sorted(missing, key=lambda parameters: -stage.cost(**parameters))
        folders = [self.path(stage, profile, **parameters) for parameters in missing]
        with _watch(folders, describe=stage.name):
            parallel.map(_make_task, [(self, stage, profile, p) for p in missing], bar=False)

    def _find(
        self, stage: Stage, profile: Profile, parameters: dict[str, Any], whole: bool = False
    ) -> Path | None:
        for root in (*self.published, self.root):
            path = self.path(stage, profile, root=root, **parameters)
            if not path.exists():
                continue
            problem = damage(path)
            if problem is None:
                if usable(path, whole):
                    return path
                continue
            if root != self.root:
                raise ArtifactError(
                    f"published artifact {path.parent.name}/{path.name} is damaged: {problem}; "
                    f"restore it with: git checkout -- {root}"
                )
            with self._lock(path):  # another run may have seen it, too, and made it again
                if not path.exists():
                    continue
                if damage(path):
                    name = f"{path.parent.name}/{path.name}"
                    print(f"artifact {name} is damaged: {problem}; rebuilding it")
                    shutil.rmtree(path)
                    continue
            return path
        return None

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
            stage.make(profile, Path(folder), lambda fraction: None, *inputs, **parameters)
            return stage.load(Path(folder))

    def _inputs(
        self, stage: Stage, profile: Profile, parameters: dict[str, Any], whole: bool = False
    ) -> list[Any]:
        return [
            needed.load(self.paths(needed, profile, [chosen], whole)[0])
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
            inputs = self._inputs(stage, profile, parameters, whole=True)
            started = time.monotonic()
            report = _reporter(partial)
            try:
                stage.make(profile, partial, report, *inputs, **parameters)
                (partial / PROGRESS).unlink(missing_ok=True)
                seconds = time.monotonic() - started
                _write_manifest(partial, stage, profile, parameters, seconds)
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


def present(path: Path) -> Path:
    """``path``, if it is there.  Raises ArtifactError if the release leaves this file out."""
    if not path.exists():
        raise ArtifactError(
            f"the release has no {path.name} of {path.parent.parent.name}; to make it here, "
            f"set {PUBLISHED_VARIABLE}=ignore"
        )
    return path


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
        for name in manifest.get("left_out", []):
            del expected[name]
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


def usable(folder: Path, whole: bool) -> bool:
    """Whether a published artifact has files besides its manifest; if ``whole``, all of them."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    left_out = manifest.get("left_out", [])
    return not left_out or (not whole and len(left_out) < len(manifest["files"]))


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


def _write_manifest(folder, stage, profile, parameters, seconds) -> None:
    certificate = {
        "recipe": stage.recipe(profile, parameters),
        "key": stage.key(profile, parameters),
        "files": files_of(folder),
        "wall_seconds": round(seconds, 2),
        "versions": provenance.versions(),
        "host": provenance.host(),
    }
    write_json(folder / MANIFEST, certificate)


def _plain(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "_", str(value))[:40]


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


# Progress across processes: each worker writes a fraction, the parent reads and draws ----------


def _reporter(folder: Path) -> Report:
    last = [0.0]

    def report(fraction: float) -> None:
        now = time.monotonic()
        if now - last[0] > 0.5:
            last[0] = now
            (folder / PROGRESS).write_text(f"{fraction:.4f}")

    return report


@contextmanager
def _watch(folders: list[Path], describe: str) -> Iterator[None]:
    """A bar over all the artifacts being made, from the fractions their workers report."""
    done = threading.Event()

    def fraction(folder: Path) -> float:
        if folder.exists():
            return 1.0
        try:
            return float((folder.with_name(folder.name + ".partial") / PROGRESS).read_text())
        except (OSError, ValueError):
            return 0.0

    def poll() -> None:
        while not done.wait(1.0):
            bar.n = round(sum(map(fraction, folders)), 3)
            bar.refresh()

    with parallel.progress(len(folders), describe) as bar:
        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
