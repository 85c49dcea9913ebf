"""What an audit is given: arrays, tables, layers, or files of vectors, all as one kind of thing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from paper_utils.alignment.checks import check_matrix, check_paired, row_ids
from paper_utils.alignment.contrasts import factor_table
from paper_utils.alignment.inference import stream

MOST_ROWS = 5000  # tables of all pairs of rows are held: so many stay within 4 GiB


def read_inputs(X, Y, texts=None, factors=None, X2=None, texts2=None, groups=None, random_state=0):
    """What `audit` is given, as one kind of thing; of more than 5,000 rows (2,500 with
    ``texts2``) a random sample.

    Returns a namespace with
        first, second: layers of either encoder, each (N, d).
        synonyms: the first encoder's layers of the same sentences in synonyms; none if not given.
        texts, synonym_texts: the N sentences, and the same in synonyms, or None.
        factors: a row per item, a column per factor, perhaps none.
        groups: (N,) labels of rows that are left out together, or None.
        left_out: how many rows were given and are not audited.

    Raises ValueError, one line, for what cannot be compared, and OSError for no such file.

    >>> layers = np.random.default_rng(0).normal(size=(2, 9, 3))
    >>> len(read_inputs(layers, layers[0]).first)
    2
    """
    known = _read(X)
    other = _read(Y)
    first = _layers(known["vectors"], "X", known.get("ids"))
    second = _layers(other["vectors"], "Y", other.get("ids"))
    # What is given counts for more than what stands in a file.
    if X2 is None:
        X2 = known.get("second_vectors")
    if texts is None:
        texts = known.get("texts", other.get("texts"))
    if texts2 is None:
        texts2 = known.get("second_texts")
    synonyms = {} if X2 is None else _layers(X2, "X2")
    if synonyms and len(first) != len(synonyms):
        raise ValueError(f"X has {len(first)} layers and X2 has {len(synonyms)}")
    check_paired(
        **first, **second, **synonyms, texts=texts, texts2=texts2, factors=factors, groups=groups
    )

    n = len(next(iter(first.values())))
    # Synonyms are sentences, too, of which a control holds all pairs.
    most = MOST_ROWS if texts2 is None else MOST_ROWS // 2
    random = stream("audited rows", random_state)
    rows = np.sort(random.choice(n, min(n, most), replace=False))
    if factors is None:
        factors = pd.DataFrame(index=range(n))
    # A table of sentences has columns that are no factors.
    factors = factors.drop(columns=["id", "text", "second_text"], errors="ignore")
    return SimpleNamespace(
        first=_some(first, rows),
        second=_some(second, rows),
        synonyms=_some(synonyms, rows),
        texts=_list(texts, rows),
        synonym_texts=_list(texts2, rows),
        factors=factor_table(factors.iloc[rows]),
        groups=_list(groups, rows),
        left_out=n - len(rows),
    )


def _some(layers, rows):
    """Some rows of each layer."""
    return [layer.to_numpy()[rows] for layer in layers.values()]


def _list(values, rows):
    """Some of the values, or None where there are none."""
    return None if values is None else pd.Series(values).iloc[rows].tolist()


def _read(source):
    """What is said of one encoder, by the names of arrays in a file; of no file vectors alone."""
    if not isinstance(source, str | Path):
        return {"vectors": source}
    try:
        with open(source, "rb") as stream, np.load(stream) as file:
            arrays = dict(file)
    except OSError:
        raise
    except Exception:  # whatever a reader finds in a file from elsewhere
        raise ValueError(f"{source} cannot be read as .npz") from None
    # The one array that has to be there; what others are for is said by their names.
    if "vectors" not in arrays:
        raise ValueError(f"{source} has no array 'vectors'")
    return arrays


def _layers(source, name, ids=None):
    """Name -> table (N, d) of a layer, whose index holds the ids if there are any."""
    layers = {name: source}
    # A list of rows is one layer, a list of tables several.
    if np.ndim(source[:1]) == 3:
        layers = {f"{name}, layer {number}": layer for number, layer in enumerate(source)}
    return {
        name: pd.DataFrame(check_matrix(layer, name), row_ids(layer) if ids is None else ids)
        for name, layer in layers.items()
    }
