"""What two embeddings share: which factors order their distances, and does word order count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from paper_utils.alignment import checks, metrics, retrieval, splits
from paper_utils.alignment.mapping import procrustes

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
    factors, the same in each row); linear regression on :func:`factor_distances`.
    """
    ranks = metrics.dissimilarity_ranks(_rows(X, factors))
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


def shared_factors(X, Y, factors: pd.DataFrame) -> pd.DataFrame:
    """Which factor a pair shares: how RSA falls when its distances are partialled out.

    Columns: factor (the last row is all of them), rsa, partial, drop = rsa - partial.
    """
    x, y = (metrics.dissimilarity_ranks(_rows(side, factors)) for side in (X, Y))
    models = factor_distances(factors)
    whole = float(x @ y)
    rows = []
    for name, given in [*((n, [m]) for n, m in models.items()), ("all", list(models.values()))]:
        partial = float(metrics.residual(x, given) @ metrics.residual(y, given))
        rows.append((name, whole, partial, whole - partial))
    return pd.DataFrame(rows, columns=["factor", "rsa", "partial", "drop"])


def order_accuracy(
    X, Y, factors: pd.DataFrame, *, dimension: int | None = 32, folds: int = 5, seed: int = 0
) -> dict[str, float]:
    """Does the map know "put A next to B" from "put B next to A"?  Chance is 0.5.

    Both members of a minimal pair are held out together; a member is right if its image is nearer
    (cosine) to its partner than to its partner's swap, ties count half.  Both directions averaged.
    Returns ``accuracy``, ``low``, ``high`` (95 %, minimal pairs as units), ``pairs``, ``chance``.
    """
    X, Y = _rows(X, factors), _rows(Y, factors)
    twin = swapped(factors)
    rows = np.flatnonzero(twin >= 0)
    if len(rows) < 2 * folds:
        raise ValueError(f"{len(rows)} instructions have a swapped twin: too few for {folds} folds")
    group = np.where(twin >= 0, np.minimum(twin, np.arange(len(X))), np.arange(len(X)))
    right = np.zeros(len(X))
    split = splits.make("random", len(X), None, folds, seed, group)
    reduced = (retrieval.spaces(side, split, dimension) for side in (X, Y))
    for (train, test), a, b in zip(split.folds, *reduced, strict=True):
        test = test[twin[test] >= 0]
        shared = min(a.shape[1], b.shape[1])
        a, b = a[:, :shared], b[:, :shared]
        rotation = procrustes(a[train], b[train])
        for image, goal in ((a @ rotation, b), (b @ rotation.T, a)):
            goal = goal / np.linalg.norm(goal, axis=1, keepdims=True)
            margin = np.sum(image[test] * (goal[test] - goal[twin[test]]), axis=1)
            margin /= np.linalg.norm(image[test], axis=1)
            right[test] += (1 + np.sign(np.where(np.abs(margin) < 1e-9, 0, margin))) / 4
    units = right[rows[rows < twin[rows]]] / 2 + right[twin[rows[rows < twin[rows]]]] / 2
    draws = np.random.default_rng(seed).choice(units, (2000, len(units))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"accuracy": float(units.mean()), "low": float(low), "high": float(high),
            "pairs": len(units), "chance": 0.5}  # fmt: skip


def _rows(X, factors: pd.DataFrame) -> np.ndarray:
    """Checked and centred."""
    X = checks.embedding(X)
    if len(X) != len(factors):
        raise ValueError(f"the embedding has {len(X)} rows, factors has {len(factors)}")
    return X - X.mean(axis=0)
