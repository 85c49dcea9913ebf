"""Are two encoders' embeddings of the same items alike, and what explains it?

A library of its own: numpy, scipy, pandas, scikit-learn and rapidfuzz are all that it needs.  It
takes arrays, or tables whose index holds ids; row i of all of them is one item.

    report = alignment.audit(X, Y, texts=sentences)    # everything below, beside its controls
    alignment.precision_at_k(X, Y)                      # one measure: a float that says what it is
    alignment.synonyms(X, X2, A, factors=table)         # a test that shared words cannot pass
    alignment.structure(X, Y, table, factor="colour")   # agreement without map and dictionary
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Where a name lives.  It is loaded when it is first used, as scipy and scikit-learn take seconds.
HOMES = {
    "ContrastSets": "contrasts",
    "Procrustes": "retrieval",
    "Score": "scores",
    "audit": "auditing",
    "audit_files": "auditing",
    "concept_distances": "concepts",
    "controls": "controls",
    "inference": "inference",
    "linear_cka": "similarities",
    "mutual_knn": "similarities",
    "own_names": "cross_names",
    "precision_at_k": "retrieval",
    "rsa": "similarities",
    "same_words": "cross_names",
    "second_names": "cross_names",
    "structure": "concepts",
    "synonyms": "cross_names",
}
__all__ = list(HOMES)

if TYPE_CHECKING:  # for editors, type checkers and whoever else follows imports without running
    from paper_utils.alignment import concepts, cross_names, similarities  # noqa: F401


def __getattr__(name):
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{HOMES[name]}")
    # Two modules are known by their own names.
    return getattr(home, name, home)


def __dir__():
    return sorted(__all__)
