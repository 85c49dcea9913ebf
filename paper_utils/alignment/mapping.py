"""Maps between embedding spaces, fitted on training rows only: centring, PCA, Procrustes, ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold

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


@dataclass(frozen=True)
class ProcrustesMap:
    """Orthogonal map between two reduced spaces: W = argmin ||XW - Y|| (Schoenemann, 1966)."""

    source: Reduction
    target: Reduction
    rotation: np.ndarray  # (c, c)

    @classmethod
    def fit(cls, X: np.ndarray, Y: np.ndarray, dimension: int | None = None) -> ProcrustesMap:
        """Fits both reductions and the rotation to paired training rows (n, d1), (n, d2)."""
        source, target = Reduction.fit(X, dimension), Reduction.fit(Y, dimension)
        shared = min(source.components.shape[1], target.components.shape[1])
        source, target = (
            Reduction(side.mean, side.scale, side.components[:, :shared])
            for side in (source, target)
        )
        return cls(source, target, polar(source.transform(X).T @ target.transform(Y)))

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Source rows in the target's reduced space."""
        return self.source.transform(X) @ self.rotation

    def backward(self, Y: np.ndarray) -> np.ndarray:
        """Target rows in the source's reduced space: the inverse of the rotation."""
        return self.target.transform(Y) @ self.rotation.T


def polar(M: np.ndarray) -> np.ndarray:
    """The orthogonal factor UV' of each square matrix M = USV', shape (..., c, c).

    Scaled Newton-Schulz iteration (Chen and Chow, 2014), which is matrix products only and so
    several times faster than stacked SVDs; the SVD decides wherever it has not converged.
    """
    stack = M.reshape(-1, *M.shape[-2:])
    bound = np.sqrt(
        np.abs(stack).sum(axis=1).max(axis=1) * np.abs(stack).sum(axis=2).max(axis=1)
    )  # at least the largest singular value
    Q = stack / np.where(bound > 0, bound, 1.0)[:, None, None]
    identity, low = np.eye(M.shape[-1]), 1e-6  # low: the smallest singular value still expected
    gram, product = np.empty_like(Q), np.empty_like(Q)
    while low < 1 - 1e-14:
        rho = 3 / (1 + low + low * low)
        np.matmul(Q.swapaxes(1, 2), Q, out=gram)
        gram *= -0.5 * rho**1.5
        gram += 1.5 * rho**0.5 * identity
        Q, product = np.matmul(Q, gram, out=product), Q
        low = 0.5 * rho**0.5 * low * (3 - rho * low * low)
    np.matmul(Q.swapaxes(1, 2), Q, out=gram)
    failed = np.abs(gram - identity).max(axis=(1, 2)) > 1e-11
    if failed.any():
        U, _, V = np.linalg.svd(stack[failed])
        Q[failed] = U @ V
    return Q.reshape(M.shape)


def preprocess(X: np.ndarray, kind: str = "raw") -> np.ndarray:
    """All rows centred, standardised or freed of their top component; the width is kept."""
    if checks.choice(kind, PREPROCESSING, "preprocessing") == "raw":
        return X
    if kind == "top_removed":
        top = Reduction.fit(X, 1)
        return X - top.mean - top.transform(X) @ top.components.T
    fitted = Reduction.fit(X, 1, kind)
    return (X - fitted.mean) / fitted.scale


def lexical_residuals(
    X: np.ndarray,
    lexicon: np.ndarray,
    train: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    ridge: float = 1.0,
) -> np.ndarray:
    """X (N, d) less what a ridge regression on lexical features (N, w) predicts of it.

    Cross-fitted: a training row is predicted by regressions on the other folds of the training
    rows, a test row by the regression on all of them; so no row is predicted from itself.
    """
    rows = np.arange(len(X)) if train is None else np.asarray(train)

    def predict(fit: np.ndarray, goal: np.ndarray) -> np.ndarray:
        words, mean = lexicon[fit].mean(axis=0), X[fit].mean(axis=0)
        L = lexicon[fit] - words  # the intercept is not penalised
        slope = np.linalg.solve(L.T @ L + ridge * np.eye(L.shape[1]), L.T @ (X[fit] - mean))
        return mean + (lexicon[goal] - words) @ slope

    predicted = predict(rows, np.arange(len(X)))
    for fit, held in KFold(min(folds, len(rows)), shuffle=True, random_state=seed).split(rows):
        predicted[rows[held]] = predict(rows[fit], rows[held])
    return X - predicted
