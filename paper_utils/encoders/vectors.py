"""Vectors that any model gave elsewhere, from a file (``notebooks/embed_anywhere.py`` writes one).

An ``.npz`` with arrays ``ids`` and ``vectors``, perhaps ``texts`` and a text ``source``, and for
synonyms ``second_vectors`` and ``second_texts``.  Sentences that are in the file are held to the
run's."""

from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from paper_utils.config import ProfileError
from paper_utils.encoders.elsewhere import arrays_of, located, one_line
from paper_utils.store import hash_file

# Names of sentences, and how the arrays of each begin.
NAMES = {"first": "", "second": "second_"}
ARRAYS = ("ids", "vectors", "texts", "source", "second_vectors", "second_texts")


class VectorsError(ProfileError):
    """A file of vectors that cannot be used; the message is one line that names it."""


class Vectors(NamedTuple):
    """What a file holds, rows in the order of the ids that were asked for."""

    rows: np.ndarray  # float32[M, N, D], of first names and, if there are any (M = 2), of synonyms
    revision: str  # SHA-256 of the file

    def embed(self, texts):
        """N texts -> float32[N, D]: those in first names, perhaps followed by those in synonyms, in
        the order in which they were asked for."""
        return np.concatenate(self.rows)[: len(texts)]


def read(path, ids=None, *texts):
    """`Vectors` of a file for exactly ``ids``, in their order (None: for those of its first names).

    ``texts``: the sentences of ``ids``, in first names and in synonyms.  Raises VectorsError: no
    such file, unknown arrays, ids that are missing, unknown or there twice, other sentences, or
    numbers that are not finite."""
    file = located(path)
    with one_line(VectorsError, f"vectors {path}"):
        table, revision = _opened(file, file.stat().st_mtime_ns)
        return Vectors(_in_order(table, ids, texts), revision)


def _in_order(table, ids, texts):
    """float32[M, N, D] of a file's table; VectorsError for the first thing amiss."""
    names = [name for name in NAMES if name == "first" or name in table.index]
    # By itself, as for whether it has synonyms, a file is held to nothing.
    wanted = table.loc["first"].index if ids is None else ids
    index = pd.MultiIndex.from_product([names, wanted])
    wrong = index.symmetric_difference(table.index)
    if len(wrong):
        raise VectorsError("{} names: id {} is missing or unknown".format(*wrong[0]))
    table = table.reindex(index)
    # A file that was made from other instructions has the same ids.
    for (name, number), there, here in zip(index, table.pop("text"), chain(*texts)):
        if pd.notna(there) and there != here:
            where = f"{name} names: id {number}"
            raise VectorsError(f"{where} is {there!r} in the file, but {here!r} here")
    numbers = table.to_numpy(np.float32)
    # Where first and second names differ in width, some are missing.
    if not np.isfinite(numbers).all():
        raise VectorsError("numbers are missing, or not finite")
    return numbers.reshape(len(names), len(wanted), -1)


@lru_cache(maxsize=4)
def _opened(file, changed):
    """What is in a file, and its hash: every table asks for them, and the file may be large.

    A row per name (first, second) and id: its numbers, and ``text``, if the file has it."""
    if file.suffix != ".npz":
        raise VectorsError("is no .npz")
    arrays = arrays_of(file)
    # One that is misspelled would be passed over, and its synonyms be missing.
    strange = arrays.keys() - set(ARRAYS)
    if strange:
        raise VectorsError(f"array {min(strange)!r} is none of {', '.join(ARRAYS)}")
    frames = {}
    for name, prefix in NAMES.items():
        if f"{prefix}vectors" in arrays:
            rows = pd.DataFrame(arrays[f"{prefix}vectors"], arrays["ids"])
            frames[name] = rows.assign(text=arrays.get(f"{prefix}texts"))
    return pd.concat(frames, names=["names", "id"]), hash_file(file)
