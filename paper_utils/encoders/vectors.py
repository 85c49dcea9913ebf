"""Vectors that any model gave elsewhere, from a file (``notebooks/embed_anywhere.py`` writes one).

``.npz`` with arrays ``ids``, ``vectors`` and, where there are any, ``second_vectors`` and a text
``source``; or ``.csv`` or ``.parquet`` with a column ``id``, perhaps ``names`` (first or second)
and ``source``, and numbers.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from paper_utils.config import ProfileError, register
from paper_utils.provenance import ROOT
from paper_utils.store import hash_file

LARGEST = 500 * 10**6  # bytes, unpacked


class VectorsError(ProfileError):
    """A file of vectors that cannot be used; the message is one line that names it."""


class Vectors(NamedTuple):
    """float32[N, D] of the sentences in first and in second names, rows in the order asked for."""

    first: np.ndarray
    second: np.ndarray | None
    source: str  # what the file says of itself
    revision: str  # SHA-256 of the file


def read(path: str, ids: Sequence[int] | None = None) -> Vectors:
    """Reads a file: rows for exactly ``ids``, in their order (None: for those of its first names).

    Raises:
        VectorsError: no such file, too large, ids that are missing, unknown or there twice, numbers
            that are not finite, or rows that are all equal.
    """
    file = _file(path)
    try:
        tables, source = READERS[file.suffix](file)
        found = {name: (np.array(i), np.asarray(x, np.float32)) for name, (i, x) in tables.items()}
        ids = np.array(found["first"][0] if ids is None else ids)
        rows = {name: _rows(name, *table, ids) for name, table in found.items()}
        if len({table.shape for table in rows.values()}) > 1:
            raise VectorsError("first and second names differ in width")
    except VectorsError as error:
        raise VectorsError(f"vectors {path}: {error}") from None
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        raise VectorsError(f"vectors {path}: cannot be read: {line}") from None
    source = " ".join(source.split())[:200]
    return Vectors(rows["first"], rows.get("second"), source, hash_file(file))


def _rows(names: str, given: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Vectors float32[N, D] in the order of ``ids``, or VectorsError."""
    if vectors.ndim != 2 or given.shape != (len(vectors),) or not vectors.size:
        problem = f"ids of shape {given.shape} with vectors of shape {vectors.shape}"
    elif given.dtype.kind not in "iu":
        problem = "ids are not whole numbers"
    elif len(unknown := np.setdiff1d(given, ids)):
        problem = f"id {unknown[0]} is no instruction ({len(unknown)} unknown in all)"
    elif len(set(given.tolist())) < len(given):
        problem = f"id {pd.Series(given)[pd.Series(given).duplicated()].iloc[0]} is there twice"
    elif len(absent := np.setdiff1d(ids, given)):
        problem = f"id {absent[0]} is missing ({len(absent)} of {len(ids)} in all)"
    elif not np.isfinite(vectors).all():
        problem = f"the row of id {given[~np.isfinite(vectors).all(1)][0]} is not finite"
    elif not np.ptp(vectors, axis=0).any():
        problem = "all rows are equal"
    else:
        return vectors[pd.Index(given).get_indexer(ids)]
    raise VectorsError(f"{names} names: {problem}")


def _arrays(file: Path) -> tuple[dict, str]:
    if sum(part.file_size for part in zipfile.ZipFile(file).infolist()) > LARGEST:
        raise VectorsError(f"is larger than {LARGEST / 10**6:.0f} MB")
    with np.load(file, allow_pickle=False) as arrays:
        parts = {"first": "vectors", "second": "second_vectors"}
        tables = {name: (arrays["ids"], arrays[part]) for name, part in parts.items()
                  if part in arrays or name == "first"}  # fmt: skip
        return tables, str(arrays["source"]) if "source" in arrays else ""


def _table(file: Path) -> tuple[dict, str]:
    table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    source = str(table.pop("source").iloc[0]) if "source" in table and len(table) else ""
    names = table.pop("names") if "names" in table else pd.Series("first", table.index)
    if strange := set(names) - {"first", "second"}:
        raise VectorsError(f"names are first or second, not {strange.pop()!r}")
    ids = table.pop("id")
    return {n: (ids[names == n], table[names == n]) for n in ("first", *set(names))}, source


READERS: dict[str, Callable] = {".npz": _arrays, ".csv": _table, ".parquet": _table}


def _file(path: str) -> Path:
    """The file, from the working folder, else from the project's; VectorsError if it cannot be."""
    file = next((file for file in (Path(path), ROOT / path) if file.is_file()), None)
    if file is None or file.suffix not in READERS:
        problem = "no such file" if file is None else f"is none of {', '.join(READERS)}"
        raise VectorsError(f"vectors {path}: {problem}")
    if file.stat().st_size > LARGEST:
        raise VectorsError(f"vectors {path}: is larger than {LARGEST / 10**6:.0f} MB")
    return file


def _check(files: dict[str, str]) -> None:
    for name, path in files.items():
        if not 0 < len(name.strip()) <= 60 or not name.isprintable():
            raise ValueError(f"{name!r} is no name for a model: 1 to 60 letters")
        _file(path)


register("encoders.vectors", _check)
