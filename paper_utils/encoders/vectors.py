"""Vectors that any model gave elsewhere, from a file (``notebooks/embed_anywhere.py`` writes one).

``.npz``: arrays ``ids`` and ``vectors``, perhaps ``texts`` and a text ``source``, and for synonyms
``second_vectors`` and ``second_texts``.  ``.csv`` or ``.parquet``: columns ``id``, perhaps
``names`` (first or second), ``text`` and ``source``, and numbers, called 0, 1, 2... or d0, d1,
d2...  Anything else is refused by name, since it would pass for a dimension.  Sentences that are in
the file are held to the run's."""

import re
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from paper_utils.code import ROOT
from paper_utils.config import ProfileError, register
from paper_utils.store import hash_file

LARGEST = 500 * 10**6  # bytes, unpacked
NAMES = ("first", "second")
SUFFIXES = (".npz", ".csv", ".parquet")
ARRAYS = ("ids", "vectors", "texts", "source", "second_vectors", "second_texts")
COLUMNS = ("id", "names", "text", "source")


class VectorsError(ProfileError):
    """A file of vectors that cannot be used; the message is one line that names it."""


class Vectors(NamedTuple):
    """What a file holds, rows in the order of the ids that were asked for."""

    first: np.ndarray  # float32[N, D], of sentences in first names
    second: np.ndarray | None  # float32[N, D], of sentences in synonyms
    source: str  # what the file says of itself
    revision: str  # its SHA-256


def read(path: str, ids: Sequence[int] | None = None, *texts: Sequence[str]) -> Vectors:
    """Rows of a file for exactly ``ids``, in their order (None: for those of its first names).

    ``texts``: the sentences of ``ids``, in first names and in synonyms.  Raises VectorsError: no
    such file, too large, unknown columns, ids that are missing, unknown or there twice, other
    sentences, numbers that are not finite, or rows that are all equal."""
    file = _file(path)
    try:
        frames, source, revision = _opened(file, file.stat().st_mtime_ns)
        # By itself, as for what a file says of its source, it is held to nothing.
        wanted = frames["first"].index if ids is None else pd.Index(ids)
        known = dict(zip(NAMES, texts))
        rows = {name: _in_order(name, frame, wanted) for name, frame in frames.items()}
        for name, frame in frames.items():
            if name in known and "text" in frame:
                _check_sentences(name, frame["text"].loc[wanted], known[name])
        if len({vectors.shape for vectors in rows.values()}) > 1:
            raise VectorsError("first and second names differ in width")
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        line = " ".join(str(error).split())[:200]
        if not isinstance(error, VectorsError):
            line = f"cannot be read: {type(error).__name__}: {line}"
        raise VectorsError(f"vectors {path}: {line}") from None
    # It is shown in tables, on one line.
    source = " ".join(source.split())[:200]
    return Vectors(rows["first"], rows.get("second"), source, revision)


@lru_cache(maxsize=4)
def _opened(file: Path, changed: int) -> tuple[dict[str, pd.DataFrame], str, str]:
    """What is in a file, and its hash: every table asks for them, and the file may be large."""
    return *_frames(file), hash_file(file)


def _in_order(names: str, frame: pd.DataFrame, ids: pd.Index) -> np.ndarray:
    """The vectors of ``ids``, float32[N, D]; VectorsError for the first thing amiss."""
    given = frame.index
    vectors = frame.drop(columns="text", errors="ignore").to_numpy(np.float32)
    # In the order in which a reader would look for what is wrong.
    unknown = given.difference(ids, sort=False)
    absent = ids.difference(given, sort=False)
    finite = np.isfinite(vectors).all(axis=1)
    if given.dtype.kind not in "iu":
        problem = "ids are not whole numbers"
    elif len(unknown):
        problem = f"id {unknown[0]} is no instruction ({len(unknown)} unknown in all)"
    elif given.has_duplicates:
        problem = f"id {given[given.duplicated()][0]} is there twice"
    elif len(absent):
        problem = f"id {absent[0]} is missing ({len(absent)} of {len(ids)} in all)"
    elif not finite.all():
        problem = f"the row of id {given[~finite][0]} is not finite"
    elif not np.ptp(vectors, axis=0).any():
        problem = "all rows are equal"
    else:
        return vectors[given.get_indexer(ids)]
    raise VectorsError(f"{names} names: {problem}")


def _check_sentences(names: str, theirs: pd.Series, ours: Sequence[str]) -> None:
    """A file that was made from other instructions has the same ids."""
    for number, there, here in zip(theirs.index, theirs, ours):
        if there != here:
            pair = f"{str(there)!r} in the file, but {here!r} here"
            raise VectorsError(f"{names} names: id {number} is {pair}")


def _frames(file: Path) -> tuple[dict[str, pd.DataFrame], str]:
    """First and second -> vectors by id, perhaps with a column ``text``; and their source."""
    if file.suffix == ".npz":
        return _frames_of_arrays(file)
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    dimensions = _dimensions(table)
    names = table["names"] if "names" in table else pd.Series("first", index=table.index)
    strange = set(names) - set(NAMES)
    if strange:
        raise VectorsError(f"names are first or second, not {strange.pop()!r}")
    # Sentences stay with their vectors, to be held to the run's.
    kept = [*dimensions, "text"] if "text" in table else dimensions
    by_id = table.set_index("id")[kept]
    frames = {"first": by_id[names.to_numpy() == "first"]}
    if "second" in set(names):
        frames["second"] = by_id[names.to_numpy() == "second"]
    return frames, str(table["source"].iloc[0]) if "source" in table else ""


def _frames_of_arrays(file: Path) -> tuple[dict[str, pd.DataFrame], str]:
    # Opened here, so that it is closed here, whatever is found in it.
    with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as found:
        arrays = dict(found)
    for name in arrays:
        # A name that is misspelled would be passed over, and its synonyms be missing.
        if name not in ARRAYS:
            raise VectorsError(f"array {name!r} is none of {', '.join(ARRAYS)}")
    frames = {}
    for name, prefix in (("first", ""), ("second", "second_")):
        if name == "first" or f"{prefix}vectors" in arrays:
            rows = arrays[f"{prefix}vectors"]
            if rows.ndim != 2 or not rows.size:
                raise VectorsError(f"{prefix}vectors have shape {rows.shape}")
            frames[name] = pd.DataFrame(rows, index=arrays["ids"])
            if f"{prefix}texts" in arrays:
                frames[name]["text"] = arrays[f"{prefix}texts"]
    return frames, str(arrays.get("source", ""))


def _dimensions(table: pd.DataFrame) -> list:
    """The columns that are dimensions; VectorsError for one that is nothing known."""
    dimensions = [column for column in table if column not in COLUMNS]
    known = f"is none of {', '.join(COLUMNS)}, and no dimension, as 0, 1, 2... or d0, d1, d2..."
    first = re.fullmatch(r"(\D*)0", str(dimensions[0])) if dimensions else None
    # Counted from 0, without a gap: a number that is none of the vector has another name.
    for place, column in enumerate(dimensions):
        # An index that was written along is called "Unnamed: 0".
        if not first or str(column) != f"{first[1]}{place}" or "Unnamed" in str(column):
            raise VectorsError(f"column {column!r} {known}")
    return dimensions


def _file(path: str) -> Path:
    """The file, from the working folder, else from the project's; VectorsError if it cannot be."""
    # Runs and notebooks are started from different folders.
    file = next((file for file in (Path(path), ROOT / path) if file.is_file()), None)
    if file is None:
        raise VectorsError(f"vectors {path}: no such file")
    if file.suffix not in SUFFIXES:
        raise VectorsError(f"vectors {path}: is none of {', '.join(SUFFIXES)}")
    size = file.stat().st_size
    # An archive of zeros is small until it is read.
    if zipfile.is_zipfile(file):
        size = max(size, sum(part.file_size for part in zipfile.ZipFile(file).infolist()))
    if size > LARGEST:
        raise VectorsError(f"vectors {path}: is larger than {LARGEST / 10**6:.0f} MB")
    return file


def _check(files: dict[str, str]) -> None:
    for name, path in files.items():
        if not 0 < len(name.strip()) <= 60 or not name.isprintable():
            raise ValueError(f"{name!r} is no name for a model: 1 to 60 letters")
        _file(path)


register("encoders.vectors", _check)
