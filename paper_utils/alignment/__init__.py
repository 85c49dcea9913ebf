"""Room of notebook 04: are two encoders' embeddings of the same instructions alike, and how?

`compare` is the one call; the metrics, splits and nulls it uses are here by name, too.
"""

from paper_utils.alignment.compare import best_layer, compare
from paper_utils.alignment.contrasts import Resampling, contrast, item_scores
from paper_utils.alignment.curves import k_curve, size_curve
from paper_utils.alignment.engine import METRICS, Score, evaluate
from paper_utils.alignment.mapping import ProcrustesMap, Reduction, lexical_residuals, preprocess
from paper_utils.alignment.metrics import (
    angular_procrustes_distance,
    linear_cka,
    mean_reciprocal_rank,
    mutual_knn,
    partial_rsa,
    precision_at_k,
    retrieval_ranks,
    rsa,
    svcca,
)
from paper_utils.alignment.nulls import benjamini_hochberg, calibrate, calibrate_maximum, p_value
from paper_utils.alignment.splits import SPLITS, Split
from paper_utils.alignment.structure import order_accuracy, shared_factors, variance_explained

__all__ = [
    "METRICS",
    "SPLITS",
    "ProcrustesMap",
    "Reduction",
    "Resampling",
    "Score",
    "Split",
    "angular_procrustes_distance",
    "benjamini_hochberg",
    "best_layer",
    "calibrate",
    "calibrate_maximum",
    "compare",
    "contrast",
    "evaluate",
    "item_scores",
    "k_curve",
    "lexical_residuals",
    "linear_cka",
    "mean_reciprocal_rank",
    "mutual_knn",
    "order_accuracy",
    "p_value",
    "partial_rsa",
    "precision_at_k",
    "preprocess",
    "retrieval_ranks",
    "rsa",
    "shared_factors",
    "size_curve",
    "svcca",
    "variance_explained",
]
