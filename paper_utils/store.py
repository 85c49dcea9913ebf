"""The store: every product of a stage is a folder with a name, a hash and a manifest.

An artifact's key is the SHA-256 of what it is made from (`Stage.recipe`).  A folder appears under
its key when it is complete; its hashes are checked before it is used."""

import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import AcquireReturnProxy, FileLock

from paper_utils import parallel
from paper_utils.code import fingerprint
from paper_utils.config import Compute, Profile

MANIFEST = "manifest.json"
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "minigrid", "gymnasium",
            "transformers", "tokenizers", "rapidfuzz", "papermill", "jupytext")  # fmt: skip
QUICK = 600.0  # seconds; a published artifact of other code that took longer is not made unasked


class ArtifactError(RuntimeError):
    """An artifact that cannot be made, read or trusted; the message is one line."""


@dataclass(frozen=True)
class Stage:
    """One step from inputs to a folder of files.

    ``make(profile, folder, *inputs, **parameters)`` writes files into ``folder``; ``load(folder)``
    turns them into an object.  ``reads`` are the keys of the profile that matter, and
    ``needs(profile, **parameters)`` lists the inputs as (stage, parameters).  A resumable stage
    finds in ``folder`` what an interrupted run left there; one that fans out is made in this
    process, because it spreads its own work.  Those of the highest ``cost`` are begun first."""

    name: str
    make: Callable[..., None]
    load: Callable
    reads: tuple[str, ...] = ()
    needs: Callable[..., list[tuple["Stage", dict]]] = lambda profile, **parameters: []
    resumable: bool = False
    fans_out: bool = False
    cost: Callable[..., float] = lambda **parameters: 0.0

    def recipe(self, profile: Profile, parameters: dict) -> dict:
        """Everything that the artifact depends on."""
        needed = self.needs(profile, **parameters)
        part = profile.part(*self.reads).items()
        return {
            "stage": self.name,
            "code": fingerprint(self.make, *dict.fromkeys(stage.load for stage, _ in needed)),
            # A table counts with its order: that of the levels decides which id a sentence has.
            "profile": {k: [*map(list, v.items())] if isinstance(v, dict) else v for k, v in part},
            "parameters": parameters,
            "inputs": [stage.key(profile, chosen) for stage, chosen in needed],
        }

    def key(self, profile: Profile, parameters: dict) -> str:
        """SHA-256 (hex) of the recipe."""
        return hash_json(self.recipe(profile, parameters))

    def label(self, parameters: dict) -> str:
        """A folder's name for people: the stage and the plain values of its parameters."""
        values = [v.values() if isinstance(v, dict) else [v] for v in parameters.values()]
        plain = [str(v) for v in chain(*values) if isinstance(v, (str, int)) and v != ""]
        words = [self.name, *plain]
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", word)[:40] for word in words)[:120]


@dataclass
class Store:
    """A folder of artifacts.  ``root`` is made when first written to."""

    root: Path
    published: Path | None = None
    """A read-only store that is asked first; what is damaged there is refused, not remade."""
    compute: Compute | None = None

    def path(self, stage: Stage, profile: Profile, **parameters) -> Path:
        """Where the artifact lies, or will lie."""
        return self._places(stage, profile, parameters)[-1]

    def get(self, stage: Stage, profile: Profile, **parameters):
        """Loads an artifact, first making it (and whatever it needs) if it is not there."""
        return self.get_many(stage, profile, [parameters])[0]

    def get_many(self, stage: Stage, profile: Profile, each: Sequence[dict]) -> list:
        """Like `get` for several parameters, made side by side, one thread each."""
        return [stage.load(path) for path in self.paths(stage, profile, each)]

    def paths(self, stage: Stage, profile: Profile, each: Sequence[dict]) -> list[Path]:
        """Checked folders of several artifacts of a stage, made first where they are missing."""
        found = [self._find(stage, profile, parameters) for parameters in each]
        missing = [parameters for parameters, path in zip(each, found) if path is None]
        if not missing:
            return found
        inputs: dict[str, dict[str, tuple]] = {}  # by stage: what it makes is made side by side
        for parameters in missing:
            self._refuse_other_code(stage, profile, parameters)
            for pair in stage.needs(profile, **parameters):
                inputs.setdefault(pair[0].name, {})[hash_json(pair[1])] = pair
        for pairs in inputs.values():
            stages, wanted = zip(*pairs.values())
            self.paths(stages[0], profile, wanted)
        missing.sort(key=lambda parameters: -stage.cost(**parameters))
        if stage.fans_out:
            for parameters in missing:
                self.make(stage, profile, parameters)
        else:
            parallel.map(partial(self.make, stage, profile), missing, self.compute, stage.name)
        return [self._find(stage, profile, parameters) for parameters in each]

    def _places(self, stage: Stage, profile: Profile, parameters: dict) -> list[Path]:
        """Where an artifact may be: what is published comes first."""
        place = Path(stage.label(parameters), stage.key(profile, parameters)[:20])
        return [root / place for root in (self.published, self.root) if root]

    def manifest(self, stage: Stage, profile: Profile, **parameters) -> dict | None:
        """The manifest (recipe, hashes, wall time, versions, host), if there is one."""
        files = [path / MANIFEST for path in self._places(stage, profile, parameters)]
        return next((json.loads(file.read_text()) for file in files if file.is_file()), None)

    def _find(self, stage: Stage, profile: Profile, parameters: dict) -> Path | None:
        for path in filter(Path.exists, self._places(stage, profile, parameters)):
            if (problem := damage(path)) is None:
                return path
            said = f"artifact {path.parent.name}/{path.name} is damaged: {problem}"
            if self.published and path.is_relative_to(self.published):
                remedy = f"restore it with: git checkout -- {self.published}"
                raise ArtifactError(f"published {said}; {remedy}")
            with self._lock(path):  # another run may have seen it, too, and made it again
                if damage(path) is None:
                    return path
                print(f"{said}; rebuilding it")
                shutil.rmtree(path, ignore_errors=True)  # or has made room for it
        return None

    def _refuse_other_code(self, stage: Stage, profile: Profile, parameters: dict) -> None:
        """Says so, or raises ArtifactError, where code has changed since this was published."""
        folders = (self.published / stage.label(parameters)).glob("*") if self.published else ()
        recipe = stage.recipe(profile, parameters)
        for folder in sorted(folders):
            made = json.loads((folder / MANIFEST).read_text()) if damage(folder) is None else None
            if not made or any(made["recipe"][k] != recipe[k] for k in ("profile", "parameters")):
                continue
            said = f"published artifact {folder.parent.name} was made by other code"
            seconds = made["wall_seconds"]
            if seconds > QUICK:
                said += "; restore the code (git stash, git checkout), or make everything here with"
                minutes = f"this one takes about {seconds / 60:.0f} min"
                raise ArtifactError(f"{said} compute.published=false ({minutes})")
            print(f"{said}; making it here (about {max(1, seconds):.0f} s)")

    def _lock(self, final: Path) -> AcquireReturnProxy:
        """Holds an artifact's place, in a ``with``.  ArtifactError if the store is not writable."""
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(final.with_name(final.name + ".lock")).acquire()
        except OSError as error:
            line = f"cannot write to the store {self.root}: {error.strerror}"
            raise ArtifactError(line) from None

    def remake(self, stage: Stage, profile: Profile, **parameters):
        """Makes an artifact again and loads it, from inputs as they are, and keeps nothing."""
        with TemporaryDirectory() as folder:
            self._write(stage, profile, parameters, Path(folder))
            return stage.load(Path(folder))

    def _write(self, stage: Stage, profile: Profile, parameters: dict, folder: Path) -> float:
        """Has a stage write its files into a folder; returns the seconds that it took."""
        needs = stage.needs(profile, **parameters)
        inputs = [self.get(needed, profile, **chosen) for needed, chosen in needs]
        started = time.monotonic()
        stage.make(profile, folder, *inputs, **parameters)
        return round(time.monotonic() - started, 2)

    def make(self, stage: Stage, profile: Profile, parameters: dict) -> None:
        """Makes one artifact in this process.  Two runs that want the same one take turns."""
        final = self.path(stage, profile, **parameters)
        with self._lock(final), ExitStack() as unfinished:
            if final.exists():
                return
            beside = final.with_name(final.name + ".partial")
            if not stage.resumable:
                shutil.rmtree(beside, ignore_errors=True)
                unfinished.callback(shutil.rmtree, beside, ignore_errors=True)
            beside.mkdir(exist_ok=True)
            for path in [*beside.rglob(".*"), *beside.rglob("[!.]*.tmp")]:
                path.unlink()  # half-written by a run that was killed
            seconds = self._write(stage, profile, parameters, beside)
            recipe = stage.recipe(profile, parameters)
            write_atomically(beside / MANIFEST, json_bytes({
                "recipe": recipe, "key": hash_json(recipe), "wall_seconds": seconds,
                "files": files_of(beside), "versions": versions(), "host": host(),
            }))  # fmt: skip
            sync(*beside.rglob("*"), beside)
            os.replace(beside, final)
            sync(final.parent)


@cache
def versions() -> dict[str, str]:
    """Version of Python and of each package that can change a number."""
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}}


def host() -> dict:
    """What the machine is, without naming it."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}


def hash_json(value) -> str:
    """SHA-256 (hex) of plain data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def hash_file(path: Path | bytes) -> str:
    """SHA-256 (hex) of a file, or of what is to be one."""
    with io.BytesIO(path) if isinstance(path, bytes) else open(path, "rb") as file:
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


def json_bytes(value) -> bytes:
    """Plain data as JSON with sorted keys and a final newline; ValueError if there is a NaN."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def write_table(path: Path, table) -> None:
    """A pandas table as ``.csv.gz``, for ``pandas.read_csv``; equal tables give equal bytes."""
    write_atomically(path, gzip.compress(table.to_csv(index=False).encode(), mtime=0))


def mirror(wanted: Mapping[str, Path | bytes], folder: Path, keep: Sequence[str] = ()) -> None:
    """Makes a folder hold exactly ``wanted`` (relative name -> a file, or its bytes) and ``keep``.
    Each file appears whole; equal ones are left alone; what does not belong is removed at last."""
    for name, content in wanted.items():
        data, path = content if isinstance(content, bytes) else content.read_bytes(), folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomically(path, data)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder).as_posix() not in (*wanted, *keep):
            path.unlink()


def files_of(folder: Path) -> dict[str, dict]:
    """Relative name -> size and SHA-256 of every file below ``folder``, the manifest excepted."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    files.pop(MANIFEST, None)
    return {n: {"bytes": p.stat().st_size, "sha256": hash_file(p)} for n, p in files.items()}


def damage(folder: Path) -> str | None:
    """What is wrong with an artifact's folder, in a few words; None if every hash holds."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        actual = {name: entry["sha256"] for name, entry in files_of(folder).items()}
    except OSError as error:
        return f"{Path(error.filename or folder).name} is missing or unreadable ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is unreadable"
    problems = [f"{name} is missing" for name in expected.keys() - actual.keys()]
    problems += [f"{name} does not belong there" for name in actual.keys() - expected.keys()]
    problems += [f"{name} does not match its hash" for name in expected.keys() & actual.keys()
                 if expected[name] != actual[name]]  # fmt: skip
    return min(problems, default=None)


def sync(*paths: Path) -> None:
    """Flushes files and folders to the disk."""
    for path in paths if os.name == "posix" else ():  # elsewhere a folder cannot be opened
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
