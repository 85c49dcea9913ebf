"""Room of notebook 04: are two encoders' embeddings of the same instructions alike, and how?

`compare` gives the paper's measure and its relatives; `second_names` is the test where shared
words do not help."""

from paper_utils.alignment.compare import compare
from paper_utils.alignment.metrics import linear_cka, mutual_knn, rsa
from paper_utils.alignment.retrieval import precision_at_k
from paper_utils.alignment.second_names import first_names, own_names, second_names

__all__ = ["compare", "first_names", "linear_cka", "mutual_knn", "own_names",
           "precision_at_k", "rsa", "second_names"]  # fmt: skip
