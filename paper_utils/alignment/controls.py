"""Encoders that know words or a dictionary and nothing else: what aligns with them needs no more.

Texts -> float64 (N, D), row i for ``texts[i]``: in single precision, what is equally far would not
be tied.  Words are lower-cased, apart by white space.  `codebook` reads a table of factors."""

import zlib

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from scipy.linalg import eigh
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import KernelCenterer

from paper_utils.alignment.contrasts import MISSING, factor_table
from paper_utils.alignment.inference import stream

WORDS = {"token_pattern": r"\S+", "dtype": np.float64}
LETTERS = {"analyzer": "char_wb", "ngram_range": (1, 4), "dtype": np.float64}
SMALLEST = 1e-9  # variance of an axis, in edits^2 for each text, that is no rounding error


def check_texts(texts):
    """The texts as a list, or ValueError for one that is empty or no string.

    >>> check_texts(("go", "open"))
    ['go', 'open']
    """
    # A missing text would be counted as a word: "nan".
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text {row} is empty or not a string: {text!r}")
    return list(texts)


def word_count(texts):
    """How often each word stands in a text: D is the number of distinct words.

    >>> word_count(["go left", "left left"]).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    return CountVectorizer(**WORDS).fit_transform(check_texts(texts)).toarray()


def tf_idf(texts):
    """Word counts, weighted by smoothed inverse document frequency, rows of unit length.

    >>> tf_idf(["go left", "left left"]).round(2).tolist()
    [[0.81, 0.58], [0.0, 1.0]]
    """
    return TfidfVectorizer(**WORDS).fit_transform(check_texts(texts)).toarray()


def character_ngrams(texts):
    """Counts of one to four letters in a row within words: what spelling tells.

    >>> character_ngrams(["aa", "ab"]).shape
    (2, 14)
    """
    return CountVectorizer(**LETTERS).fit_transform(check_texts(texts)).toarray()


def random_tokens(texts, random_state=0, width=128, ordered=False):
    """Mean of a standard normal vector per word, which the word and the seed decide: D = ``width``.

    ``ordered``: each position scales every dimension by its own gate, uniform on (0, 1).

    >>> one, other = random_tokens(["go left", "left go"])
    >>> np.allclose(one, other)
    True
    """
    # Every word has one vector, wherever and however often it stands.
    rows = _words(texts)
    words = set().union(*rows)
    table = {word: _drawn(random_state, word).standard_normal(width) for word in words}
    # No word has a space in it, so no word is drawn as a place is.
    places = range(max(map(len, rows)))
    gates = [_drawn(random_state, f"position {place}").random(width) for place in places]
    vectors = []
    for row in rows:
        parts = np.array([table[word] for word in row])  # (words, D)
        if ordered:
            parts *= gates[: len(row)]
        vectors.append(parts.mean(axis=0))  # as decoders' states are pooled
    return np.array(vectors)


def random_tokens_ordered(texts, random_state=0, width=128):
    """`random_tokens` that know the order of words, each in its place.

    >>> one, other = random_tokens_ordered(["go left", "left go"])
    >>> np.allclose(one, other)
    False
    """
    return random_tokens(texts, random_state, width, ordered=True)


def edit_distance(texts, width=128):
    """Coordinates whose distances approach the number of words to insert, delete or substitute.

    Classical scaling (Torgerson, 1952), on the D <= ``width`` axes of most positive variance.  It
    keeps the identity of every sentence in a smooth space: close to what words can do at most.

    >>> np.abs(np.diff(edit_distance(["go", "go left", "go left now"]), axis=0)).round(6).tolist()
    [[1.0], [1.0]]
    """
    # Squared distances, centred both ways, are inner products of points around their mean.
    products = KernelCenterer().fit_transform(word_edits(texts) ** 2 / -2)
    # Edits are not quite Euclidean: some axes have negative variance.
    values, axes = eigh(products, subset_by_value=(SMALLEST * len(texts), np.inf))
    strongest_first = (axes * np.sqrt(values))[:, ::-1]
    return strongest_first[:, :width]


def length(texts):
    """Number of words and number of characters: D = 2.

    >>> length(["go to it", "open"]).tolist()
    [[3.0, 8.0], [1.0, 4.0]]
    """
    return np.array([(len(text.split()), len(text)) for text in check_texts(texts)], dtype=float)


def word_edits(texts):
    """Word-level edit distances float64 (N, N) (Wagner and Fischer, 1974).

    >>> word_edits(["go left", "go"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    rows = _words(texts)
    return process.cdist(rows, rows, scorer=Levenshtein.distance, dtype=np.float64)


def codebook(factors, random_state=0, width=96):
    """A perfect code of what is said, without anything learned: float64 (N, ``width``).

    A random vector for each level of each column (slot), added up over the columns that are filled.
    It is told which words are one thing, in which role they stand, and nothing else.

    >>> table = pd.DataFrame({"verb": ["go", "go", "open"], "colour": ["red", "", "red"]})
    >>> one, other, third = codebook(table, width=2)
    >>> np.allclose(codebook(table[["colour"]], width=2)[0], one - other)
    True
    """
    table = factor_table(factors)
    vectors = np.zeros((len(table), width))
    for slot in table:
        for level, rows in table.groupby(slot).indices.items():
            # What is not said adds nothing.
            if level != MISSING:
                vectors[rows] += _drawn(random_state, f"{slot}={level}").standard_normal(width)
    return vectors


FROM_TEXTS = {
    "word count": word_count,
    "tf-idf": tf_idf,
    "character n-grams": character_ngrams,
    "edit distance": edit_distance,
    "length": length,
}
"""Controls by name, of those that are not drawn."""

# What is random is drawn many times: a single draw may be near by luck.
DRAWN = {"random tokens": random_tokens, "ordered random tokens": random_tokens_ordered}


def _drawn(seed, key):
    """A generator for one word, place or level: what else stands in the texts does not matter."""
    return stream("lexical", seed, zlib.crc32(key.encode()))


def _words(texts):
    return [text.lower().split() for text in check_texts(texts)]
