"""Vectors that any model gave elsewhere, from a file (``notebooks/embed_anywhere.py`` writes one).

``.npz``: arrays ``ids`` and ``vectors``, perhaps ``texts`` and a text ``source``, and for synonyms
``second_vectors`` and ``second_texts``.  ``.csv`` or ``.parquet``: columns ``id``, perhaps
``names`` (first or second), ``text`` and ``source``, and numbers, called 0, 1, 2... or d0, d1,
d2...  Anything else is refused by name, since it would pass for a dimension.  Sentences that are in
the file are held to the run's."""

import re
import zipfile
from collections.abc import Sequence
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


class _Rows(NamedTuple):
    """What a file holds for one set of names, as it is there."""

    ids: Sequence
    vectors: np.ndarray
    texts: Sequence[str] | None


def read(path: str, ids: Sequence[int] | None = None, *texts: Sequence[str]) -> Vectors:
    """Rows of a file for exactly ``ids``, in their order (None: for those of its first names).

    ``texts``: the sentences of ``ids``, in first names and in synonyms.  Raises VectorsError: no
    such file, too large, unknown columns, ids that are missing, unknown or there twice, other
    sentences, numbers that are not finite, or rows that are all equal."""
    file = _file(path)
    try:
        tables, source = _tables(file)
        wanted = np.array(tables["first"].ids if ids is None else ids)
        known = dict(zip(NAMES, texts))
        rows = {}
        for names, table in tables.items():
            try:
                rows[names] = _in_order(table, wanted, known.get(names))
            except VectorsError as error:
                raise VectorsError(f"{names} names: {error}") from None
        widths = {vectors.shape[1] for vectors in rows.values()}
        if len(widths) > 1:
            raise VectorsError("first and second names differ in width")
    except VectorsError as error:
        raise VectorsError(f"vectors {path}: {error}") from None
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        line = " ".join(str(error).split())[:200]
        said = f"cannot be read: {type(error).__name__}: {line}"
        raise VectorsError(f"vectors {path}: {said}") from None
    source = " ".join(source.split())[:200]
    return Vectors(rows["first"], rows.get("second"), source, hash_file(file))


def _in_order(given: _Rows, ids: np.ndarray, texts: Sequence[str] | None) -> np.ndarray:
    """The vectors of ``ids``, float32[N, D]; VectorsError for the first thing amiss."""
    index = pd.Index(given.ids)
    vectors = np.asarray(given.vectors, np.float32)
    if vectors.ndim != 2 or len(index) != len(vectors) or not vectors.size:
        raise VectorsError(f"{len(index)} ids with vectors of shape {vectors.shape}")
    _check_ids(index, ids)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise VectorsError(f"the row of id {index[~finite][0]} is not finite")
    if not np.ptp(vectors, axis=0).any():
        raise VectorsError("all rows are equal")
    order = index.get_indexer(ids)
    if given.texts is not None and texts is not None:
        said = np.asarray(given.texts)[order]
        for number, theirs, ours in zip(ids, said, texts):
            if theirs != ours:
                pair = f"{str(theirs)!r} in the file, but {ours!r} here"
                raise VectorsError(f"id {number} is {pair}")
    return vectors[order]


def _check_ids(given: pd.Index, wanted: np.ndarray) -> None:
    """Raises VectorsError unless there is one row for each id, and none more."""
    if given.dtype.kind not in "iu":
        raise VectorsError("ids are not whole numbers")
    unknown = given.difference(wanted, sort=False)
    if len(unknown):
        count = f"{len(unknown)} unknown in all"
        raise VectorsError(f"id {unknown[0]} is no instruction ({count})")
    if given.has_duplicates:
        raise VectorsError(f"id {given[given.duplicated()][0]} is there twice")
    absent = pd.Index(wanted).difference(given, sort=False)
    if len(absent):
        count = f"{len(absent)} of {len(wanted)} in all"
        raise VectorsError(f"id {absent[0]} is missing ({count})")


def _tables(file: Path) -> tuple[dict[str, _Rows], str]:
    """First and second -> what is there for them; the text that names their source."""
    if file.suffix == ".npz":
        return _tables_of_arrays(file)
    if file.suffix == ".csv":
        return _tables_of_frame(pd.read_csv(file, encoding="utf-8-sig"))
    return _tables_of_frame(pd.read_parquet(file))


def _tables_of_arrays(file: Path) -> tuple[dict[str, _Rows], str]:
    with np.load(file, allow_pickle=False) as arrays:
        for name in arrays:
            if name not in ARRAYS:
                raise VectorsError(f"array {name!r} is none of {', '.join(ARRAYS)}")
        ids = arrays["ids"]
        tables = {"first": _Rows(ids, arrays["vectors"], arrays.get("texts"))}
        if "second_vectors" in arrays:
            second = arrays["second_vectors"]
            tables["second"] = _Rows(ids, second, arrays.get("second_texts"))
        return tables, str(arrays.get("source", ""))


def _tables_of_frame(table: pd.DataFrame) -> tuple[dict[str, _Rows], str]:
    numbers = _numbers(table)
    names = table["names"] if "names" in table else pd.Series("first", index=table.index)
    strange = set(names) - set(NAMES)
    if strange:
        raise VectorsError(f"names are first or second, not {strange.pop()!r}")
    tables = {}
    for name in ("first", *names[names == "second"].unique()):
        part = table[names == name]
        tables[name] = _Rows(part["id"], part[numbers].to_numpy(), part.get("text"))
    source = str(table["source"].iloc[0]) if "source" in table else ""
    return tables, source


def _numbers(table: pd.DataFrame) -> list:
    """The columns that are dimensions; VectorsError for one that is nothing known."""
    numbers = [column for column in table if column not in COLUMNS]
    known = f"is none of {', '.join(COLUMNS)}, and no dimension, as 0, 1, 2... or d0, d1, d2..."
    prefix = None
    for place, column in enumerate(numbers):
        match = re.fullmatch(r"(\D*)(\d+)", str(column))
        # An index that was written along is called "Unnamed: 0".
        if not match or match[1].startswith("Unnamed"):
            raise VectorsError(f"column {column!r} {known}")
        if prefix is None:
            prefix = match[1]
        if match[1] != prefix or int(match[2]) != place:
            raise VectorsError(f"column {column!r} stands where '{prefix}{place}' belongs")
    return numbers


def _file(path: str) -> Path:
    """The file, from the working folder, else from the project's; VectorsError if it cannot be."""
    file = next((file for file in (Path(path), ROOT / path) if file.is_file()), None)
    if file is None:
        raise VectorsError(f"vectors {path}: no such file")
    if file.suffix not in SUFFIXES:
        raise VectorsError(f"vectors {path}: is none of {', '.join(SUFFIXES)}")
    size = file.stat().st_size
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
