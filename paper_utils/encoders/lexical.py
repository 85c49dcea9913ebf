"""Lexical controls: what aligns with these aligns through shared words, not through meaning.

N texts -> float64[N, D], row i for ``texts[i]``: in single precision, what is equally far would not
be tied.  Words are lower-cased, apart by white space."""

import zlib

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from paper_utils.config import generator
from paper_utils.encoders.hub import checked

_WORDS = {"token_pattern": r"\S+", "lowercase": True, "dtype": np.float64}


def bag_of_words(texts: list[str], seed: int = 0) -> np.ndarray:
    """Sum of the one-hot vectors of the words: D is the number of distinct words."""
    return CountVectorizer(**_WORDS).fit_transform(checked(texts)).toarray()


def tf_idf(texts: list[str], seed: int = 0) -> np.ndarray:
    """Bag of words, weighted by smoothed inverse document frequency, rows of unit length."""
    return TfidfVectorizer(**_WORDS).fit_transform(checked(texts)).toarray()


def random_tokens(texts: list[str], seed: int = 0, width: int = 128) -> np.ndarray:
    """Mean of a standard normal vector per word, which the word and the seed decide: D = ``width``.

    >>> random_tokens(["go left", "left go"])[0, 0] == random_tokens(["left go"])[0, 0]
    np.True_
    """
    return _pooled(texts, seed, width, positional=False)


def random_tokens_positional(texts: list[str], seed: int = 0, width: int = 128) -> np.ndarray:
    """The same, each position scaling every dimension by its own gate, uniform on (0, 1)."""
    return _pooled(texts, seed, width, positional=True)


def edit_distance(texts: list[str], seed: int = 0, width: int = 128) -> np.ndarray:
    """Coordinates whose distances approach the number of words to insert, delete or substitute:
    classical scaling (Torgerson 1952), on the D <= ``width`` axes of most positive variance."""
    squares = levenshtein(texts) ** 2
    squares -= squares.mean(0)
    values, vectors = np.linalg.eigh((squares - squares.mean(1, keepdims=True)) / -2)
    kept = np.flatnonzero(values > 1e-9 * len(texts))[::-1][:width]  # edits are not quite Euclidean
    axes = vectors[:, kept]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(len(kept))])  # one sign of two
    return axes * np.sqrt(values[kept])


def length(texts: list[str], seed: int = 0) -> np.ndarray:
    """Number of words and number of characters: D = 2."""
    return np.array([(len(w), len(t)) for t, w in zip(texts, _words(texts))], dtype=float)


def levenshtein(texts: list[str]) -> np.ndarray:
    """Word-level edit distances float64[N, N] (Wagner and Fischer 1974)."""
    rows = _words(texts)
    return process.cdist(rows, rows, scorer=Levenshtein.distance, dtype=np.float64)


def _pooled(texts: list[str], seed: int, width: int, positional: bool) -> np.ndarray:
    rows = _words(texts)
    words = {word for row in rows for word in row}
    places = [f"position {i}" for i in range(max(map(len, rows)))]  # no word has a space in it
    draws = {key: generator("lexical", seed, zlib.crc32(key.encode())) for key in [*words, *places]}
    table = {word: draws[word].standard_normal(width) for word in words}
    gates = [draws[place].random(width) if positional else 1.0 for place in places]
    return np.array([np.mean([table[w] * g for w, g in zip(row, gates)], axis=0) for row in rows])


def _words(texts: list[str]) -> list[list[str]]:
    return [text.lower().split() for text in checked(texts)]
