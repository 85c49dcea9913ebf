"""What an audit is given: arrays, tables, layers, or files of vectors, all as one kind of thing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paper_utils.alignment.checks import check_matrix, check_paired, id_table


@dataclass
class Side:
    """One encoder: its layers, each (N, d), and what a file says of its rows.

    ``rows``: a table without columns whose index holds the ids.  ``texts``: the N sentences;
    ``synonyms``: layers of the same sentences in synonyms, ``synonym_texts`` these sentences."""

    layers: list[np.ndarray]
    rows: pd.DataFrame
    texts: list[str] | None = None
    synonyms: list[np.ndarray] | None = None
    synonym_texts: list[str] | None = None


def read_side(source, name):
    """An array (N, d), several layers (a list, or an array (L, N, d)), tables of them, or the path
    of an ``.npz`` with arrays vectors, and perhaps ids, texts, second_vectors and second_texts.

    Raises ValueError, one line, for what cannot be compared, and OSError for no such file.

    >>> layers = np.random.default_rng(0).normal(size=(2, 9, 3))
    >>> len(read_side(layers, "X").layers)
    2
    """
    if not isinstance(source, str | Path):
        return _side(source, name)
    try:
        with open(source, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
    except OSError:
        raise
    except Exception as error:  # whatever a reader finds in a file from elsewhere
        kind = type(error).__name__
        raise ValueError(f"{source} cannot be read as .npz ({kind})") from None
    if "vectors" not in arrays:
        raise ValueError(f"{source} has no array 'vectors'")
    side = _side(arrays["vectors"], name)
    for key in ("ids", "texts", "second_texts"):
        if len(arrays.get(key, side.rows)) != len(side.rows):
            raise ValueError(f"{source} has another number of {key} than of vectors")
    # All but the vectors may be missing.
    if "ids" in arrays:
        side.rows.index = arrays["ids"]
    if "texts" in arrays:
        side.texts = arrays["texts"].tolist()
    if "second_vectors" in arrays:
        side.synonyms = _side(arrays["second_vectors"], name).layers
    if "second_texts" in arrays:
        side.synonym_texts = arrays["second_texts"].tolist()
    return side


def _side(source, name):
    layers = [source]
    # A list of rows is one layer, a list of tables several.
    if not isinstance(source, pd.DataFrame) and np.ndim(source[0]) == 2:
        layers = list(source)
    named = {f"layer {number}": layer for number, layer in enumerate(layers)}
    check_paired(**named)
    # Rows that repeat are a doubt to be told, not a reason to refuse.
    checked = [check_matrix(layer, name, duplicates=1.0) for layer in layers]
    return Side(checked, id_table(layers[0]))
