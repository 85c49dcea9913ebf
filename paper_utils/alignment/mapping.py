"""Maps between embedding spaces, fitted on training rows only: centring, PCA, Procrustes, ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from paper_utils.alignment import checks

PREPROCESSING = ("raw", "centred", "standardised", "top_removed")
RANK_TOLERANCE = 1e-9  # directions weaker than this share of the strongest are rounding errors


@dataclass(frozen=True)
class Reduction:
    """Centring and PCA of one side, fitted on its training rows: (N, d) -> (N, components)."""

    mean: np.ndarray  # (d,)
    scale: np.ndarray  # (d,)
    components: np.ndarray  # (d, c), orthonormal columns, strongest first

    @classmethod
    def fit(cls, X: np.ndarray, dimension: int | None = None, preprocess: str = "raw") -> Reduction:
        """At most ``dimension`` components, clipped to the rank of the centred training rows.

        ``standardised`` divides each column by its standard deviation, ``top_removed`` leaves the
        strongest component out (Mu and Viswanath, 2018); ``raw`` and ``centred`` are the same here.
        """
        checks.choice(preprocess, PREPROCESSING, "preprocessing")
        if dimension is not None and dimension < 1:
            raise ValueError(f"dimension must be at least 1, not {dimension}")
        mean, scale = X.mean(axis=0), np.ones(X.shape[1])
        if preprocess == "standardised":
            deviation = X.std(axis=0)
            scale = np.where(deviation > RANK_TOLERANCE * deviation.max(), deviation, 1.0)
        _, singular, axes = np.linalg.svd((X - mean) / scale, full_matrices=False)
        rounding = 1e-13 * np.abs(X / scale).max() * X.size**0.5
        rank = int(np.sum(singular > max(RANK_TOLERANCE * singular[0], rounding)))
        start = 1 if preprocess == "top_removed" and rank > 1 else 0
        stop = rank if dimension is None else min(rank, start + dimension)
        if stop <= start:
            raise ValueError("the training rows have zero variance: nothing to align")
        return cls(mean, scale, axes[start:stop].T)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rows in the fitted components: (M, d) -> (M, c)."""
        return (X - self.mean) / self.scale @ self.components


def procrustes(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The orthogonal W (..., c, c) that minimises ||AW - B|| (Schoenemann, 1966)."""
    U, _, V = np.linalg.svd(A.swapaxes(-1, -2) @ B)
    return U @ V


def preprocess(X: np.ndarray, kind: str = "raw") -> np.ndarray:
    """All rows centred, standardised or freed of their top component; the width is kept."""
    if checks.choice(kind, PREPROCESSING, "preprocessing") == "raw":
        return X
    if kind == "top_removed":
        top = Reduction.fit(X, 1)
        return X - top.mean - top.transform(X) @ top.components.T
    fitted = Reduction.fit(X, 1, kind)
    return (X - fitted.mean) / fitted.scale


def lexical_residuals(X: np.ndarray, lexicon: np.ndarray, train: np.ndarray) -> np.ndarray:
    """X (N, d) less what a ridge regression on lexical features (N, w) predicts of it.

    Cross-fitted: a training row is predicted by regressions on the other folds of the training
    rows, a test row by the regression on all of them; so no row is predicted from itself.
    """
    model, known, goal = Ridge(alpha=1.0), lexicon[train], X[train]
    predicted = model.fit(known, goal).predict(lexicon)
    folds = KFold(min(5, len(train)), shuffle=True, random_state=0)
    predicted[train] = cross_val_predict(model, known, goal, cv=folds)
    return X - predicted
