"""Vectors that any model gave elsewhere, from a file (``notebooks/embed_anywhere.py`` writes one).

``.npz`` with arrays ``ids``, ``vectors``, maybe ``second_vectors``, ``texts``, ``second_texts`` and
a text ``source``; or ``.csv`` or ``.parquet`` with a column ``id``, perhaps ``names``, ``text`` and
``source``, and numbers.  Sentences that are there are held to the run's."""

import zipfile
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.code import ROOT
from paper_utils.config import ProfileError, register
from paper_utils.store import hash_file

LARGEST = 500 * 10**6  # bytes, unpacked
NAMES, SUFFIXES = ("first", "second"), (".npz", ".csv", ".parquet")
Vectors = namedtuple("Vectors", "first second source revision")
"""float32[N, D] of sentences in first and in second names (or None), what the file says of itself,
and its SHA-256."""


class VectorsError(ProfileError):
    """A file of vectors that cannot be used; the message is one line that names it."""


def read(path: str, ids: Sequence[int] | None = None, *texts: Sequence[str]) -> Vectors:
    """Rows of a file for exactly ``ids``, in their order (None: for those of its first names).
    ``texts``: the sentences of ``ids``, in first and in second names.  Raises VectorsError: no such
    file, too large, ids that are missing, unknown or there twice, other sentences, numbers that are
    not finite, or rows that are all equal."""
    file = _file(path)
    try:
        tables, source = _tables(file)
        ids = np.array(tables["first"][0] if ids is None else ids)
        known = dict(zip(NAMES, texts))
        rows = {name: _rows(name, *table, ids, known.get(name)) for name, table in tables.items()}
        if len({table.shape for table in rows.values()}) > 1:
            raise VectorsError("first and second names differ in width")
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        line = " ".join(str(error).split())[:200]
        if not isinstance(error, VectorsError):
            line = f"cannot be read: {type(error).__name__}: {line}"
        raise VectorsError(f"vectors {path}: {line}") from None
    source = " ".join(source.split())[:200]
    return Vectors(rows["first"], rows.get("second"), source, hash_file(file))


def _rows(names: str, given, vectors, said, ids: np.ndarray,
          texts: Sequence[str] | None) -> np.ndarray:  # fmt: skip
    given, vectors = pd.Index(given), np.asarray(vectors, np.float32)
    unknown, absent = given.difference(ids, False), pd.Index(ids).difference(given, False)
    if vectors.ndim != 2 or len(given) != len(vectors) or not vectors.size:
        problem = f"{len(given)} ids with vectors of shape {vectors.shape}"
    elif given.dtype.kind not in "iu":
        problem = "ids are not whole numbers"
    elif len(unknown):
        problem = f"id {unknown[0]} is no instruction ({len(unknown)} unknown in all)"
    elif given.has_duplicates:
        problem = f"id {given[given.duplicated()][0]} is there twice"
    elif len(absent):
        problem = f"id {absent[0]} is missing ({len(absent)} of {len(ids)} in all)"
    elif not np.isfinite(vectors).all():
        problem = f"the row of id {given[~np.isfinite(vectors).all(1)][0]} is not finite"
    elif not np.ptp(vectors, axis=0).any():
        problem = "all rows are equal"
    else:
        order = given.get_indexer(ids)
        pairs = () if said is None or texts is None else zip(ids, np.asarray(said)[order], texts)
        other = next(((i, a, b) for i, a, b in pairs if a != b), None)
        if not other:
            return vectors[order]
        problem = "id {} is {!r} in the file, but {!r} here".format(*map(str, other))
    raise VectorsError(f"{names} names: {problem}")


def _tables(file: Path) -> tuple[dict, str]:
    """First and second -> their ids, vectors and sentences; the text that names their source."""
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            parts = ("", "second_")[: 1 + ("second_vectors" in arrays)]
            return {n: (arrays["ids"], arrays[f"{part}vectors"], arrays.get(f"{part}texts"))
                    for n, part in zip(NAMES, parts)}, str(arrays.get("source", ""))  # fmt: skip
    table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    source = str(table.pop("source").iloc[0]) if "source" in table else ""
    names = table.pop("names") if "names" in table else pd.Series("first", table.index)
    if strange := set(names) - set(NAMES):
        raise VectorsError(f"names are first or second, not {strange.pop()!r}")
    parts = {n: table[names == n] for n in ("first", *set(names))}
    return {n: (part["id"], part.drop(columns=["id", "text"], errors="ignore"), part.get("text"))
            for n, part in parts.items()}, source  # fmt: skip


def _file(path: str) -> Path:
    """The file, from the working folder, else from the project's; VectorsError if it cannot be."""
    file = next((file for file in (Path(path), ROOT / path) if file.is_file()), None)
    if file is None or file.suffix not in SUFFIXES:
        problem = "no such file" if file is None else f"is none of {', '.join(SUFFIXES)}"
        raise VectorsError(f"vectors {path}: {problem}")
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
