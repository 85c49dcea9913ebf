"""What lays out a space: which factors of the instruction order its distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from paper_utils.alignment.metrics import check_embedding, dissimilarity_ranks

FACTORS = ("verb", "colour", "type", "location", "second_colour", "second_type")
ROLES = ("colour", "type", "second_colour", "second_type")


def swapped(factors: pd.DataFrame) -> np.ndarray:
    """For each row (N,), the row that swaps its two objects ("put A next to B"), or -1."""
    others = factors.columns.intersection(["template", "location", "article"])
    rest = list(factors[others].itertuples(index=False, name=None))
    roles = list(factors[list(ROLES)].itertuples(index=False, name=None))
    place = {(*more, *role): row for row, (more, role) in enumerate(zip(rest, roles, strict=True))}
    partners = [
        place.get((*more, *role[2:], *role[:2]), -1) if role[:2] != role[2:] else -1
        for more, role in zip(rest, roles, strict=True)
    ]
    return np.array(partners, dtype=int)


def factor_distances(
    factors: pd.DataFrame, columns: Sequence[str] = FACTORS
) -> dict[str, np.ndarray]:
    """Model distances over the N(N - 1)/2 pairs: 1 where a factor differs, in the order of pdist.

    ``argument_order`` is 1 for the pairs that differ in the order of their two objects only.
    Factors with one level have no distances and are left out.
    """
    result = {}
    for column in columns:
        codes = pd.factorize(factors[column])[0][:, None]
        result[column] = pdist(codes, "hamming")
    if set(ROLES) <= set(factors):
        first, second = np.triu_indices(len(factors), 1)
        result["argument_order"] = (swapped(factors)[first] == second).astype(float)
    return {name: model for name, model in result.items() if np.ptp(model) > 0}


def variance_explained(X, factors: pd.DataFrame) -> pd.DataFrame:
    """Share of the variance of X's ranked cosine distances that each factor explains.

    Columns: factor, alone (R^2 by itself), unique (R^2 lost without it), total (R^2 of all
    factors, the same in each row); linear regression on `factor_distances`.  X is centred first.
    """
    X = check_embedding(X)
    if len(X) != len(factors):
        raise ValueError(f"the embedding has {len(X)} rows, factors has {len(factors)}")
    ranks = dissimilarity_ranks(X - X.mean(axis=0))
    models = factor_distances(factors)

    def explained(names: Sequence[str]) -> float:
        design = np.column_stack([np.ones(len(ranks)), *(models[name] for name in names)])
        return 1 - float(np.sum((ranks - design @ np.linalg.lstsq(design, ranks)[0]) ** 2))

    total = explained(list(models))
    rows = [
        (name, explained([name]), total - explained([n for n in models if n != name]), total)
        for name in models
    ]
    return pd.DataFrame(rows, columns=["factor", "alone", "unique", "total"])
