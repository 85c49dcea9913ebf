"""Two public models, embedded once and published with the project: every reader has their vectors,
without the models (``tools/public.py`` fetches these and makes the files).

Beside the vectors at the fixed layer, each file has what the appendix needs, in less room: every
layer, other tables of synonyms, and random weights, each projected on the leading principal
components of its first names (a map that is fitted on first names sees little else), in 8 bits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from paper_utils.code import ROOT
from paper_utils.store import hash_file

FOLDER = ROOT / "artifacts" / "public"
# Files in FOLDER, and what people call the models.
MODELS = {
    "all-minilm-l6-v2": "all-MiniLM-L6-v2",
    "smollm2-135m-instruct-q4": "SmolLM2-135M-Instruct, 4-bit",
}
KINDS = ("drawn", "swapped", "pseudo")  # of tables of synonyms


class PublishedError(ValueError):
    """Vectors that are not published, or cannot be read; the message is one line."""


@dataclass(frozen=True)
class Published:
    """What is published of one model.  Sentences are asked for by their texts."""

    about: dict  # model, origin, layer, pooling, licence, versions, tables...
    arrays: dict[str, np.ndarray]

    @property
    def blocks(self) -> int:
        """L, the number of its transformer blocks; layer 0 are its token embeddings."""
        return len(self.arrays["layers"]) - 1

    # Texts are asked for thousands of times.
    @cached_property
    def _row(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.arrays["texts"].tolist())}

    def rows(self, texts: Sequence[str]) -> np.ndarray:
        """int64[N]: where texts are; PublishedError for one that is not among the published."""
        for text in texts:
            if text not in self._row:
                raise PublishedError(f"{self.about['model']}: no published vector of {text!r}")
        return np.array([self._row[text] for text in texts])

    def embed(self, texts: Sequence[str], layer: int | None = None) -> np.ndarray:
        """N texts -> float32[N, D].

        Arguments:
            layer: None: the fixed layer, full width; else 0 (token embeddings) to L, or from -1
                back, on the leading principal components.

        Raises PublishedError: a text or layer that is not published.
        """
        rows = self.rows(texts)
        if layer is None:
            # Half precision, which is finer than any score that is made of them.
            return self.arrays["vectors"][rows].astype(np.float32)
        if not -self.blocks - 1 <= layer <= self.blocks:
            raise PublishedError(f"layer {layer} is not among 0 to {self.blocks}")
        return self._unpacked("layers", layer)[rows]

    def lexicon(self, texts: Sequence[str]) -> np.ndarray:
        """N texts -> float32[N, C]: the mean of the model's own token embeddings, which are a
        lexicon without context and without order."""
        return self._averaged(self.arrays["spelling"][self.rows(texts)])

    def subwords(self, texts: Sequence[str]) -> np.ndarray:
        """N texts -> float32[N, V]: how often each subword is in a text, which tells spelling."""
        return self._counted(self.arrays["spelling"][self.rows(texts)])

    def untrained(self, texts: Sequence[str]) -> np.ndarray:
        """N texts -> float32[draws, N, C]: the same architecture at random weights."""
        rows = self.rows(texts)
        draws = range(len(self.arrays["untrained"]))
        return np.stack([self._unpacked("untrained", draw)[rows] for draw in draws])

    def tables(self, kind: str, texts: Sequence[str]) -> list["Table"]:
        """What the model makes of first names ``texts`` under other tables of synonyms.

        ``kind``: drawn (real synonyms), swapped (real ones of another word) or pseudo (no words).
        Their rows belong to those of ``embed(texts, layer=about["layer"])``."""
        rows = self.rows(texts)
        found = []
        for number, (own_kind, words) in enumerate(self.about["tables"]):
            if own_kind == kind:
                # Rows are in the order of the first names, which are the first texts.
                spelling = self.arrays["table_spelling"][number][rows]
                vectors = self._unpacked("table_vectors", number)[rows]
                lexicon, subwords = self._averaged(spelling), self._counted(spelling)
                found.append(Table(words, vectors, lexicon, subwords))
        return found

    def _unpacked(self, name: str, number: int) -> np.ndarray:
        """One of several arrays that are kept in 8 bits, each with a scale per column."""
        # A column's largest value is 127: a step is a hundredth of its spread.
        scale = self.arrays[f"{name}_scale"]
        return self.arrays[name][number].astype(np.float32) * scale[number]

    def _counted(self, spelling: np.ndarray) -> np.ndarray:
        """Tokens int16[N, T], -1 where there is none -> counts float32[N, V]."""
        # Column by column, since a word may stand in a sentence twice.
        counts = np.zeros((len(spelling), len(self.arrays["lexicon"])), np.float32)
        for column in spelling.T:
            said = np.flatnonzero(column >= 0)
            counts[said, column[said]] += 1
        return counts

    def _averaged(self, spelling: np.ndarray) -> np.ndarray:
        counts = self._counted(spelling)
        # A projection of a mean is the mean of projections.
        total = counts @ self.arrays["lexicon"].astype(np.float32)
        return total / counts.sum(1, keepdims=True)


@dataclass(frozen=True)
class Table:
    """Sentences of one table of synonyms, rows in the order that they were asked for."""

    words: dict[str, str]  # first name -> synonym
    vectors: np.ndarray  # float32[N, C], at the fixed layer
    lexicon: np.ndarray  # float32[N, C], as of `Published.lexicon`
    subwords: np.ndarray  # float32[N, V]


def file_of(name: str) -> Path:
    """Where a public model's vectors are published."""
    return FOLDER / f"{name}.npz"


def revision(name: str) -> str:
    """What a published file is: the beginning of its SHA-256."""
    return hash_file(_present(name))[:16]


def load(name: str) -> Published:
    """One of MODELS.  Raises PublishedError if its file is not there or cannot be read."""
    return _load(_present(name))


def _present(name: str) -> Path:
    if not file_of(name).is_file():
        remedy = "restore it with: git checkout -- artifacts/public"
        raise PublishedError(f"artifacts/public/{name}.npz is missing; {remedy}")
    return file_of(name)


@cache
def _load(path: Path) -> Published:
    try:
        # Opened here, so that it is closed here, whatever is found in it.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        return Published(json.loads(str(arrays.pop("about"))), arrays)
    except Exception as error:  # of the archive, of an array, of the text: each has its own
        raise PublishedError(f"{path.name} cannot be read: {type(error).__name__}") from None
