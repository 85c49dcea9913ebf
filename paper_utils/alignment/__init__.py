"""Room of notebook 04: are two encoders' embeddings of the same instructions alike, and how?

`compare` is the one call; the metrics it uses are here by name, too.
"""

from paper_utils.alignment.compare import best_layer, compare
from paper_utils.alignment.metrics import (
    angular_procrustes_distance,
    linear_cka,
    mean_reciprocal_rank,
    mutual_knn,
    partial_rsa,
    precision_at_k,
    rsa,
    svcca,
)

__all__ = [
    "angular_procrustes_distance",
    "best_layer",
    "compare",
    "linear_cka",
    "mean_reciprocal_rank",
    "mutual_knn",
    "partial_rsa",
    "precision_at_k",
    "rsa",
    "svcca",
]
