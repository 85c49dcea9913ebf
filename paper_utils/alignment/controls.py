"""Encoders that know words or a dictionary and nothing else: what aligns with them needs no more.

Texts -> float64 (N, D), row i for ``texts[i]``: in single precision, what is equally far would not
be tied.  Words are lower-cased, apart by white space.  `codebook` reads a table of factors."""

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from paper_utils.alignment.checks import check_seed
from paper_utils.alignment.contrasts import MISSING, factor_table
from paper_utils.alignment.inference import stream

WORDS = {"token_pattern": r"\S+", "lowercase": True, "dtype": np.float64}
LONGEST_GRAM = 4  # letters


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, or ValueError for one that is empty or no string."""
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text {row} is empty or not a string: {text!r}")
    if len(texts) == 0:
        raise ValueError("no texts")
    return list(texts)


def word_count(texts: Sequence[str]) -> np.ndarray:
    """How often each word stands in a text: D is the number of distinct words.

    >>> word_count(["go left", "left left"]).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    counts = CountVectorizer(**WORDS).fit_transform(check_texts(texts))
    return counts.toarray()


def tf_idf(texts: Sequence[str]) -> np.ndarray:
    """Word counts, weighted by smoothed inverse document frequency, rows of unit length."""
    counts = TfidfVectorizer(**WORDS).fit_transform(check_texts(texts))
    return counts.toarray()


def character_ngrams(texts: Sequence[str]) -> np.ndarray:
    """Counts of one to four letters in a row within words: what spelling tells.

    >>> character_ngrams(["aa", "ab"]).shape
    (2, 14)
    """
    counter = CountVectorizer(
        analyzer="char_wb", ngram_range=(1, LONGEST_GRAM), dtype=np.float64, lowercase=True
    )
    return counter.fit_transform(check_texts(texts)).toarray()


def random_tokens(
    texts: Sequence[str], random_state: int = 0, width: int = 128, ordered: bool = False
) -> np.ndarray:
    """Mean of a standard normal vector per word, which the word and the seed decide: D = ``width``.

    ``ordered``: each position scales every dimension by its own gate, uniform on (0, 1).

    >>> one, other = random_tokens(["go left", "left go"])
    >>> np.allclose(one, other)
    True
    """
    seed = check_seed(random_state)
    rows = _words(texts)
    words = sorted({word for row in rows for word in row})
    table = {word: _drawn(seed, word).standard_normal(width) for word in words}
    gates = np.ones((max(map(len, rows)), width))
    if ordered:
        # No word has a space in it, so no word is drawn as a place is.
        gates = [_drawn(seed, f"position {place}").random(width) for place in range(len(gates))]
    vectors = []
    for row in rows:
        parts = [table[word] * gate for word, gate in zip(row, gates)]
        vectors.append(np.mean(parts, axis=0))
    return np.array(vectors)


def random_tokens_ordered(
    texts: Sequence[str], random_state: int = 0, width: int = 128
) -> np.ndarray:
    """`random_tokens` that know the order of words, each in its place.

    >>> one, other = random_tokens_ordered(["go left", "left go"])
    >>> np.allclose(one, other)
    False
    """
    return random_tokens(texts, random_state, width, ordered=True)


def edit_distance(texts: Sequence[str], width: int = 128) -> np.ndarray:
    """Coordinates whose distances approach the number of words to insert, delete or substitute.

    Classical scaling (Torgerson, 1952), on the D <= ``width`` axes of most positive variance.  It
    keeps the identity of every sentence in a smooth space: close to what words can do at most."""
    squares = word_edits(texts) ** 2
    squares -= squares.mean(axis=0)
    products = squares - squares.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(products / -2)
    # Edits are not quite Euclidean: some axes have negative variance.
    positive = np.flatnonzero(values > 1e-9 * len(texts))
    kept = positive[::-1][:width]
    axes = vectors[:, kept]
    # An axis has two signs; which one must not depend on the library.
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(len(kept))])
    return axes * signs * np.sqrt(values[kept])


def length(texts: Sequence[str]) -> np.ndarray:
    """Number of words and number of characters: D = 2.

    >>> length(["go to it", "open"]).tolist()
    [[3.0, 8.0], [1.0, 4.0]]
    """
    words = [len(row) for row in _words(texts)]
    characters = [len(text) for text in texts]
    return np.column_stack([words, characters]).astype(float)


def word_edits(texts: Sequence[str]) -> np.ndarray:
    """Word-level edit distances float64 (N, N) (Wagner and Fischer, 1974)."""
    rows = _words(texts)
    return process.cdist(rows, rows, scorer=Levenshtein.distance, dtype=np.float64)


def codebook(factors: pd.DataFrame, random_state: int = 0, width: int = 96) -> np.ndarray:
    """A perfect code of what is said, without anything learned: float64 (N, ``width``).

    A random vector for each level of each column (slot), added up over the columns that are filled.
    It is told which words are one thing, in which role they stand, and nothing else.

    >>> table = pd.DataFrame({"verb": ["go", "go", "open"], "colour": ["red", "", "red"]})
    >>> one, other, third = codebook(table, width=2)
    >>> np.allclose(codebook(table[["colour"]], width=2)[0], one - other)
    True
    """
    seed = check_seed(random_state)
    table = factor_table(factors)
    vectors = np.zeros((len(table), width))
    for slot in table:
        for level, rows in table.groupby(slot).indices.items():
            if level != MISSING:
                vectors[rows] += _drawn(seed, f"{slot}={level}").standard_normal(width)
    return vectors


FROM_TEXTS = {
    "word count": word_count,
    "tf-idf": tf_idf,
    "character n-grams": character_ngrams,
    "edit distance": edit_distance,
    "length": length,
}
"""Controls by name, of those that are not drawn."""


def _drawn(seed, key) -> np.random.Generator:
    """A generator for one word, place or level: what else stands in the texts does not matter."""
    return stream("lexical", seed, zlib.crc32(key.encode()))


def _words(texts) -> list[list[str]]:
    return [text.lower().split() for text in check_texts(texts)]
