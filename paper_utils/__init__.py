"""Code behind the notebooks: data, cloning, encoders, alignment, and what runs and stores it.

``paper_utils.alignment`` is a library of its own: importing it loads nothing else of the package.
"""

__all__ = ["Profile", "ProfileError"]


def __getattr__(name):
    # On demand: whoever only aligns two arrays waits for no simulator and no torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from paper_utils import config
    from paper_utils.data import grammar  # noqa: F401  (packages register what a profile may say)
    from paper_utils.encoders import families, vectors  # noqa: F401

    return getattr(config, name)
