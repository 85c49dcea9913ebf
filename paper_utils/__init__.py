"""Code behind the notebooks: data, cloning, encoders, alignment, and what runs and stores it."""

from paper_utils.config import Profile, ProfileError
from paper_utils.data import grammar  # noqa: F401  (rooms register what a profile may say)
from paper_utils.encoders import families, vectors  # noqa: F401

__all__ = ["Profile", "ProfileError"]
