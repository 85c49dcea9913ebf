"""Two public models, embedded once and published with the project: every reader has their vectors,
without the models (``tools/public.py`` fetches these and makes the files).

Beside the vectors at the fixed layer, each file has what the appendix needs, in less room: every
layer, other tables of synonyms, and random weights, each projected on the leading principal
components of its first names (a map that is fitted on first names sees little else), in 8 bits."""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from paper_utils.code import ROOT
from paper_utils.encoders.elsewhere import arrays_of, one_line
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


class Table(NamedTuple):
    """Sentences of one table of synonyms, rows in the order that they were asked for."""

    words: dict  # first name -> synonym
    vectors: np.ndarray  # float32[N, C], at the fixed layer
    lexicon: np.ndarray  # float32[N, C], as of `Published.lexicon`
    subwords: np.ndarray  # float32[N, V]


@dataclass(frozen=True)
class Published:
    """What is published of one model.  Sentences are asked for by their texts."""

    about: dict  # model, origin, layer, pooling, licence, versions, tables...
    arrays: dict  # by name, as in its file
    revision: str  # which file it is: the beginning of its SHA-256

    @property
    def blocks(self):
        """L, the number of its transformer blocks; layer 0 are its token embeddings."""
        return len(self.arrays["layers"]) - 1

    # Texts are asked for thousands of times.
    @cached_property
    def _row(self):
        return {text: row for row, text in enumerate(self.arrays["texts"].tolist())}

    def rows(self, texts):
        """int64[N]: where texts are; PublishedError for one that is not among the published."""
        try:
            return np.array([self._row[text] for text in texts])
        except KeyError as error:
            raise PublishedError(f"{self.about['model']}: no published vector of {error}") from None

    def embed(self, texts, layer=None):
        """N texts -> float32[N, D].

        Arguments:
            layer: None: the fixed layer, full width; else 0 (token embeddings) to L, on the
                leading principal components.

        Raises PublishedError: a text that is not published.
        """
        rows = self.rows(texts)
        if layer is None:
            # Half precision, which is finer than any score that is made of them.
            return self.arrays["vectors"][rows].astype(np.float32)
        return self._unpacked("layers")[layer, rows]

    def lexicon(self, texts):
        """N texts -> float32[N, C]: the mean of the model's own token embeddings, which are a
        lexicon without context and without order."""
        return self._averaged(self.subwords(texts))

    def subwords(self, texts):
        """N texts -> float32[N, V]: how often each subword is in a text, which tells spelling."""
        return self._counted(self.arrays["spelling"][self.rows(texts)])

    def untrained(self, texts):
        """N texts -> float32[draws, N, C]: the same architecture at random weights."""
        return self._unpacked("untrained")[:, self.rows(texts)]

    def tables(self, kind, texts):
        """What the model makes of first names ``texts`` under other tables of synonyms.

        ``kind``: drawn (real synonyms), swapped (real ones of another word) or pseudo (no words).
        Their rows belong to those of ``embed(texts, layer=about["layer"])``."""
        # Rows are in the order of the first names, which are the first texts.
        rows = self.rows(texts)
        vectors = self._unpacked("table_vectors")[:, rows]
        found = []
        for number, (own_kind, words) in enumerate(self.about["tables"]):
            if own_kind == kind:
                subwords = self._counted(self.arrays["table_spelling"][number, rows])
                found.append(Table(words, vectors[number], self._averaged(subwords), subwords))
        return found

    def _unpacked(self, name):
        """float32[M, N, C] of what is kept in 8 bits, with a scale per column of each of M."""
        # A column's largest value is 127: a step is a hundredth of its spread.
        return self.arrays[name].astype(np.float32) * self.arrays[f"{name}_scale"][:, None]

    def _counted(self, spelling):
        """Tokens int16[N, T], -1 where there is none -> counts float32[N, V]."""
        counts = np.apply_along_axis(
            np.bincount, 1, spelling + 1, minlength=len(self.arrays["lexicon"]) + 1
        )
        # The first is of what is none.
        return counts[:, 1:].astype(np.float32)

    def _averaged(self, counts):
        # A projection of a mean is the mean of projections.
        return (counts @ self.arrays["lexicon"].astype(np.float32)) / counts.sum(1, keepdims=True)


def file_of(name):
    """Where a public model's vectors are published."""
    return FOLDER / f"{name}.npz"


@cache
def load(name):
    """One of MODELS.  Raises PublishedError if its file is not there or cannot be read."""
    path = file_of(name)
    with one_line(PublishedError, f"{path.name} (restored by git checkout -- artifacts/public)"):
        arrays = arrays_of(path)
        return Published(json.loads(str(arrays.pop("about"))), arrays, hash_file(path)[:16])
