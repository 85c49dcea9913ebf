"""What an audit is given: arrays, tables, layers, or files of vectors, all as one kind of thing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.alignment.checks import check_matrix, check_paired, row_ids
from paper_utils.alignment.contrasts import factor_table
from paper_utils.alignment.inference import stream

MOST_ROWS = 5000  # tables of all pairs of rows are held: so many stay within 4 GiB
NOT_FACTORS = ["id", "text", "second_text"]  # columns of a table of sentences


@dataclass
class Inputs:
    """Two encoders of the same N items, and what is known of these.

    Attributes:
        first, second: layers of either, each (N, d).
        synonyms: the first encoder's layers of the same sentences in synonyms; none if not given.
        texts, synonym_texts: the N sentences, and the same in synonyms, or None.
        factors: a row per item, a column per factor, perhaps none.
        groups: (N,) labels of rows that are left out together, or None.
        left_out: rows that were given and are not audited.
    """

    first: list
    second: list
    synonyms: list
    texts: list
    synonym_texts: list
    factors: pd.DataFrame
    groups: list
    left_out: int


def read_inputs(
    X, Y, texts=None, factors=None, X2=None, *, texts2=None, groups=None, random_state=0
):
    """`Inputs` from what `audit` is given; of more than 5,000 rows a random sample.

    Raises ValueError, one line, for what cannot be compared, and OSError for no such file.

    >>> layers = np.random.default_rng(0).normal(size=(2, 9, 3))
    >>> len(read_inputs(layers, layers[0]).first)
    2
    """
    first = _read(X)
    second = _read(Y)
    # What is given counts for more than what stands in a file.
    given = {"second_vectors": X2, "texts": texts, "second_texts": texts2}
    given = {key: value for key, value in given.items() if value is not None}
    known = {"texts": second.get("texts")} | first | given
    texts = known["texts"]
    texts2 = known.get("second_texts")

    layers = _layers(first["vectors"], "X", first.get("ids"))
    others = _layers(second["vectors"], "Y", second.get("ids"))
    synonyms = {}
    if "second_vectors" in known:
        synonyms = _layers(known["second_vectors"], "X2")
        if len(layers) != len(synonyms):
            raise ValueError(f"X has {len(layers)} layers and X2 has {len(synonyms)}")
    items = {"texts": texts, "texts2": texts2, "factors": factors, "groups": groups}
    n = check_paired(**layers, **others, **synonyms, **items)

    rows = np.arange(n)
    if n > MOST_ROWS:
        random = stream("audited rows", random_state)
        rows = np.sort(random.choice(n, MOST_ROWS, replace=False))
    if factors is None:
        factors = pd.DataFrame(index=range(n))
    factors = factors.drop(columns=NOT_FACTORS, errors="ignore")
    return Inputs(
        first=[layer.to_numpy()[rows] for layer in layers.values()],
        second=[layer.to_numpy()[rows] for layer in others.values()],
        synonyms=[layer.to_numpy()[rows] for layer in synonyms.values()],
        texts=_taken(texts, rows),
        synonym_texts=_taken(texts2, rows),
        factors=factor_table(factors.iloc[rows]),
        groups=_taken(groups, rows),
        left_out=n - len(rows),
    )


def _taken(values, rows):
    """A list of some of the values, or None where there are none."""
    if values is None:
        return None
    return np.array(values, dtype=object)[rows].tolist()


def _read(source):
    """What is said of one encoder, by the names of arrays in a file; of no file vectors alone."""
    if not isinstance(source, str | Path):
        return {"vectors": source}
    try:
        with open(source, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
    except OSError:
        raise
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        kind = type(error).__name__
        raise ValueError(f"{source} cannot be read as .npz ({kind})") from None
    # The one array that has to be there; what others are for is said by their names.
    if "vectors" not in arrays:
        raise ValueError(f"{source} has no array 'vectors'")
    return arrays


def _layers(source, name, ids=None):
    """Name -> table (N, d) of a layer, whose index holds the ids if there are any."""
    layers = {name: source}
    # A list of rows is one layer, a list of tables several.
    if isinstance(source, list | tuple | np.ndarray) and np.ndim(source[:1]) == 3:
        layers = {f"{name}, layer {number}": layer for number, layer in enumerate(source)}
    found = {}
    for name, layer in layers.items():
        array = check_matrix(layer, name)
        index = row_ids(layer) if ids is None else ids
        found[name] = pd.DataFrame(array, index=index)
    return found
